"""The model card: what a model is, was trained on, may be trusted for; in English and Japanese."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from data.times import render_duration
from training.assessment import Assessment
from training.backtest import HALF_LIVES
from training.bundle import Bundle
from training.card_assessment import assessment_sections
from training.card_rendering import Card, Image, Items, Section, Tabular, Text
from training.dates import day, when
from training.evaluation import Report
from training.fitting import Fitted
from training.gate import Agreement
from training.policy import Policy
from training.rows import History

Lang = Literal["en", "ja"]
LANGS: tuple[Lang, ...] = ("en", "ja")

Say = Callable[[str, str], str]
"""(English, Japanese) → the one that is wanted."""

_PARTS_JA = {
    "prior": "全体の率",
    "recent prior": "最近の率",
    "logistic": "ロジスティック回帰",
    **{f"logistic, half-life {h:g}": f"ロジスティック回帰(最近を重視、半減期 {h:g})" for h in HALF_LIVES},
    "LightGBM": "LightGBM",
    "LightGBM on logistic": "LightGBM(ロジスティック回帰の上)",
    "blend": "ブレンド",
    "naive Bayes": "ナイーブベイズ",
    "the prior": "全体の率",
    "the logistic": "ロジスティック回帰",
}
_VERDICTS_JA = {"holds": "劣らない", "no loss shown": "劣るとは言えない", "loses": "劣る", "undecided": "判定できない"}
_PLOTS = {
    "calibration.png": ("Calibration by tenths, forward in time", "十分位ごとの較正(時間順)"),
    "over_time.png": ("Predicted and actual rate over time", "時期ごとの予測と実績"),
    "gain.png": ("Share of outcomes among the best leads", "上位リードに含まれる成果の割合"),
    "contributions.png": ("Contributions to the margin", "マージンへの寄与"),
}


def model_card(
    history: History,
    bundle: Bundle,
    policy: Policy,
    fitted: Fitted | None,
    report: Report | None,
    assessment: Assessment | None = None,
    *,
    lang: Lang = "en",
    plots: tuple[Path, ...] | list[Path] = (),
) -> Card:
    """All figures are the procedure's, forward in time; `plots` are files by the names `training.plots` gives them."""

    def say(en: str, ja: str) -> str:
        return ja if lang == "ja" else en

    sections = [_what(history, bundle, say), _data(history, say)]
    if fitted is not None and report is not None:
        sections += [_composition(bundle, fitted, say), _figures(history, fitted, report, say)]
    if assessment is not None:
        sections += assessment_sections(history, assessment, say)
    if bundle.manifest.get("gate"):
        sections.append(_gate(history, bundle, say))
    sections += [_policy(history, policy, say), _limits(bundle, say)]
    if plots:
        sections.append(_plots(plots, say))
    title = say(f"Model card: {bundle.target}", f"モデルカード: {bundle.target}")
    return Card(title, lang, tuple(sections))


def _what(history: History, bundle: Bundle, say: Say) -> Section:
    span = render_duration(bundle.horizon)
    span_ja = span.replace("d", "日").replace("h", "時間")
    by_row = history.snapshot.company.time == "row"
    horizon = say("with its row", "その行のうち") if by_row else say(f"within {span}", f"{span_ja}以内")
    stage = history.target.stage
    kind = (
        say("It gives a calibrated probability.", "較正済みの確率を出します。")
        if bundle.proven
        else say(
            "It gives points without a probability: there are too few outcomes so far.",
            "成果がまだ少ないため、確率ではなく点数だけを出します。",
        )
    )
    facts = (
        (say("bundle", "バンドル"), bundle.hash),
        (say("schema", "スキーマ"), str(bundle.manifest["schema_hash"])),
        (say("features", "特徴量の数"), str(len(bundle.declarations))),
    )
    return Section(
        say("What it is", "概要"),
        (
            Text(
                say(
                    f"Predicts whether a lead reaches the stage {stage} {horizon}. {kind}",
                    f"リードが{horizon}に段階「{stage}」に達するかを予測します。{kind}",
                )
            ),
            Tabular((say("", ""), say("", "")), facts),
        ),
    )


def _data(history: History, say: Say) -> Section:
    found, at = history.labelled, when(history, history.as_of)
    items = [
        say(
            f"what was recorded before {at}, snapshot {history.snapshot.hash}",
            f"{at}より前に記録されたもの(スナップショット {history.snapshot.hash})",
        ),
        say(
            f"{len(found.rows):,} matured rows, {history.outcomes:,} lead cycles with the outcome",
            f"成果が確定した行 {len(found.rows):,}、成果に達したリードサイクル {history.outcomes:,}",
        ),
        say(
            f"left out: {found.immature:,} rows not matured, {found.past_target:,} past the target, "
            f"{found.before_recording:,} from before outcomes were recorded",
            f"除外: 未確定 {found.immature:,}行、達成済み {found.past_target:,}行、"
            f"成果の記録開始前 {found.before_recording:,}行",
        ),
    ]
    if found.recorded_from is not None:
        began = when(history, found.recorded_from)
        how = say("found in the data", "データから検出") if found.detected else say("declared", "宣言による")
        items.append(say(f"outcomes recorded from {began} ({how})", f"成果の記録は{began}から({how})"))
    return Section(say("Trained on", "学習データ"), (Items(tuple(items)),))


def _guarantees(bundle: Bundle, say: Say) -> Items:
    """Which of the two properties the model has."""
    options = bundle.manifest["options"]
    additive = (
        say(
            "additive: fit and behaviour features stand in separate trees",
            "加法的: 適合度と行動の特徴量は別々の木にあります",
        )
        if options["separate"]
        else say(
            "not additive: trees mix fit and behaviour; the two parts are sums of contributions (SHAP)",
            "加法的ではありません: 木は適合度と行動を混ぜており、2つの部分は寄与(SHAP)の合計です",
        )
    )
    monotone = (
        say(
            "monotone: declared directions are kept; with nothing new, the behaviour part never rises by waiting",
            "単調: 宣言した向きを守り、新しい動きがなければ、行動の部分が待つだけで上がることはありません",
        )
        if options["monotone"]
        else say(
            "not monotone: declared directions are not kept, and the behaviour part may rise by waiting",
            "単調ではありません: 宣言した向きは守られず、行動の部分が待つだけで上がることがあります",
        )
    )
    return Items((additive, monotone))


def _composition(bundle: Bundle, fitted: Fitted, say: Say) -> Section:
    described, calibration = fitted.choice.described(), fitted.scorer.calibration
    rows = tuple((say(n, _PARTS_JA.get(n, n)), f"{w:.3f}") for n, w in described["weights"].items())
    members = ", ".join([*described["LightGBM"], *described["LightGBM on logistic"]]) or say("none", "なし")
    return Section(
        say("Composition", "構成"),
        (
            Tabular((say("part", "部分"), say("weight in the margin", "マージンでの重み")), rows),
            Text(
                say("Members", "構成要素")
                + f": {described['logistic']}; {', '.join(described['recent logistic'])}; {members}. "
                f"{say('Calibration', '較正')}: {calibration.method} ({say('slope', '傾き')} {calibration.slope:.3f}, "
                f"{say('shift', '切片')} {calibration.shift:+.3f})."
            ),
            _guarantees(bundle, say),
        ),
    )


def _figures(history: History, fitted: Fitted, report: Report, say: Say) -> Section:
    slices = tuple(
        say(
            f"{day(history, f.begins)} to {day(history, f.ends)}: {len(f.test):,} rows",
            f"{day(history, f.begins)} ~ {day(history, f.ends)}: {len(f.test):,}行",
        )
        for f in fitted.backtest.folds
    )
    rows = tuple(
        (
            say(name, _PARTS_JA.get(name, name)),
            f"{f.auc:.3f}",
            f"{f.pr_auc:.3f}",
            f"{f.log_loss:.4f}",
            f"{f.brier:.4f}",
            f"{f.ece:.3f}",
        )
        for name, f in report.rungs.items()
    )
    honest = fitted.proof.honest
    return Section(
        say("Figures of the procedure", "手順の成績"),
        (
            Text(
                say(
                    "These figures are the procedure's, on slices that lie after what each fit had seen "
                    f"({fitted.backtest.kind}). The shipped model was then refitted on all matured rows and has no "
                    "unseen outcomes of its own yet.",
                    f"これらは手順の成績で、各学習より後の区間で測りました({fitted.backtest.kind})。"
                    "稼働するモデルはその後、確定した全行で学習し直したもので、未見の成果による成績はまだありません。",
                )
            ),
            Items(slices),
            Tabular((say("rung", "段"), "ROC-AUC", "PR-AUC", "log loss", "Brier", "ECE"), rows),
            Text(
                say(
                    f"Gain over the constant rate {honest.gain:.4f} ± {honest.gain_error:.4f} (standard error, by "
                    f"account or lead). A random split would have shown an AUC higher by {report.optimism_gap:+.3f}.",
                    f"一定率に対する改善 {honest.gain:.4f} ± {honest.gain_error:.4f}"
                    "(標準誤差、取引先またはリード単位)。"
                    f"無作為分割ではAUCが{report.optimism_gap:+.3f}だけ高く見えたはずです。",
                )
            ),
        ),
    )


def _gate(history: History, bundle: Bundle, say: Say) -> Section:
    gate = bundle.manifest["gate"]
    rows = tuple(
        (
            say(c["opponent"], _PARTS_JA.get(c["opponent"], c["opponent"])),
            f"{c['rows']:,}",
            f"{c['difference']:+.4f} ± {c['error']:.4f}",
            f"{c['tolerance']:.4f}",
            say(c["verdict"], _VERDICTS_JA[c["verdict"]]),
        )
        for c in gate["references"]
    )
    agreement = Agreement(**gate["agreement"])
    begins, ends = day(history, gate["begins"]), day(history, gate["ends"])
    return Section(
        say("Gate", "昇格判定"),
        (
            Text(
                say(
                    f"Its twin {gate['twin'][:16]}, trained without the newest slice ({begins} to {ends}), "
                    "against references refitted on the same past; positive differences in log loss are worse.",
                    f"最新区間({begins} ~ {ends})を見ずに学習した双子 {gate['twin'][:16]} を、"
                    "同じ過去で学習し直した基準と比べたもの。対数損失の差は正が悪化です。",
                )
            ),
            Tabular(
                (
                    say("opponent", "相手"),
                    say("rows", "行"),
                    say("difference", "差"),
                    say("tolerance", "許容"),
                    say("verdict", "判定"),
                ),
                rows,
            ),
            Text(
                say(
                    f"Refitted on all matured rows, its {agreement.text()}.",
                    f"全行での学習し直しにより、マージンは全体で{agreement.shift:+.2f}、"
                    f"個々に{agreement.spread:.2f}(標準偏差)動きました(対数オッズ)。",
                )
            ),
        ),
    )


def _policy(history: History, policy: Policy, say: Say) -> Section:
    aims = {
        "capacity": say("capacity", "対応可能件数"),
        "profit": say("profit", "利益"),
        "precision": say("precision floor", "適合率の下限"),
        "points": say("capacity, by points", "対応可能件数(点数による)"),
    }
    rows = [
        (say("id", "識別子"), policy.policy_id),
        (say("chosen from", "選び方"), aims[policy.method] + "".join(_terms(policy, say))),
        (
            say("threshold", "しきい値"),
            f"{policy.threshold:.4f} ({policy.threshold_low:.4f} – {policy.threshold_high:.4f})",
        ),
        (say("expected yield", "引き渡し分の成果率(見込み)"), f"{policy.expected_yield:.3f}"),
        (say("grades", "グレード"), f"A ≥ {policy.cut_a:.4f}, B ≥ {policy.cut_b:.4f}, C ≥ {policy.cut_c:.4f}"),
    ]
    if history.snapshot.company.time != "row":
        expected = (
            say("expected hand-overs a week", "週あたり引き渡し件数(見込み)"),
            f"{policy.handovers_per_week:.1f}",
        )
        rows.insert(3, expected)
    return Section(say("Operating policy", "運用ポリシー"), (Tabular(("", ""), tuple(rows)),))


def _terms(policy: Policy, say: Say) -> Iterator[str]:
    if policy.capacity_per_week is not None:
        yield say(f": {policy.capacity_per_week:g} a week", f": 週{policy.capacity_per_week:g}件")
    if policy.call_cost is not None:
        yield say(
            f": a call costs {policy.call_cost:g}, a deal brings {policy.deal_value:g}",
            f": 1件の対応費用 {policy.call_cost:g}、成約の価値 {policy.deal_value:g}",
        )
    if policy.precision is not None:
        yield f": {policy.precision:g}"


def _limits(bundle: Bundle, say: Say) -> Section:
    unproven = (
        ""
        if bundle.proven
        else say(" Unproven until at least 40 outcomes are known.", "成果が40件に達するまでは未検証です。")
    )
    return Section(
        say("Limits", "限界"),
        (
            Text(
                say(
                    "A prediction from past results, not a statement of cause. It holds while leads, their recording "
                    "and the market stay as they were.",
                    "過去の結果に基づく予測であり、原因を述べるものではありません。"
                    "リードの構成、記録の仕方、市場がこれまでと同じである間だけ成り立ちます。",
                )
                + unproven
            ),
        ),
    )


def _plots(plots: tuple[Path, ...] | list[Path], say: Say) -> Section:
    images = tuple(Image(path, say(*_PLOTS.get(path.name, (path.stem, path.stem)))) for path in plots)
    return Section(say("Plots", "図"), images)
