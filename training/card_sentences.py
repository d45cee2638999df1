"""Sentences of the model card and of `train`: how sure, when, for whom, at what price; in English and Japanese."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from data.times import DAY, ROW_STEP
from training.assessment import Assessment
from training.costs import Ageing, Cost
from training.dates import day
from training.fairness import FairColumn
from training.intervals import Interval
from training.regimes import Change
from training.rows import History

Say = Callable[[str, str], str]
"""(English, Japanese) → the one that is wanted."""


def sure(found: Assessment, say: Say) -> str:
    cell = found.pooled
    loss, brier, ece = shown(cell.log_loss, 4), shown(cell.brier, 4), shown(cell.ece, 3)
    return say(
        f"95% intervals, accounts (else leads) drawn again: log loss {loss}, Brier {brier}, ECE {ece}; perfectly "
        f"calibrated probabilities would show an ECE of up to {cell.ece_of_chance:.3f} on as many rows",
        f"95%区間(取引先またはリードの再抽出): 対数損失 {loss}、Brier {brier}、ECE {ece}。"
        f"完全に較正された確率でも、同じ行数ではECEが{cell.ece_of_chance:.3f}まで出ます。",
    )


def handed(found: Assessment, say: Say) -> str:
    h = found.handovers
    if not h.handed_over:
        return say(
            f"at the threshold {h.threshold:.4f} no lead cycle of the slices would have been handed over",
            f"しきい値{h.threshold:.4f}では、検証区間で引き渡されるリードサイクルはありません。",
        )
    taken, lift = shown(h.captured, 0, percent=True), shown(h.lift, 1)
    yielded = shown(h.yielded, 1, percent=True)
    return say(
        f"at the policy's threshold: {h.share:.1%} of the lead cycles handed over ({h.handed_over:,} of {h.cycles:,}), "
        f"{yielded} of them with the outcome, {lift} times the mean, and {taken} of the outcomes",
        f"ポリシーのしきい値では、リードサイクルの{h.share:.1%}({h.cycles:,}件中{h.handed_over:,}件)を引き渡し、"
        f"成果率は{yielded}、平均の{lift}倍、全成果の{taken}を捉えます。",
    )


def regime_sentences(history: History, found: Assessment, say: Say) -> Iterator[str]:
    """What moved and when, what the probabilities rest on, how often to retrain."""
    now = found.regimes.now
    began, rate = day(history, now.since), shown(now.rate, 1, percent=True)
    yield from (change_sentence(history, c, say) for c in now.changes)
    if now.changes:
        yield say(
            f"these probabilities hold only if the rate of new leads stays near {rate}, where it has been since "
            f"{began}, and leads go on coming as they did since the newest change",
            f"これらの確率が成り立つのは、新規リードの成果率が{began}以降の{rate}付近にとどまり、"
            "リードの構成が最新の変化以降のままである場合だけです。",
        )
    else:
        yield say(
            f"no change of base rate or mix beyond chance since {began} ({now.cycles:,} lead cycles); these "
            f"probabilities hold only if the rate of new leads stays near {rate} and leads go on coming as they did",
            f"{began}以降({now.cycles:,}サイクル)、成果率と構成に偶然を超える変化は見られません。"
            f"これらの確率が成り立つのは、新規リードの成果率が{rate}付近にとどまり、リードの構成が変わらない場合だけです。",
        )
    if found.ageing is not None:
        yield ageing_sentence(history, found.ageing, say)


def change_sentence(history: History, change: Change, say: Say) -> str:
    at = day(history, change.at)
    if change.what == "base rate":
        return say(
            f"the base rate moved from {change.before:.1%} to {change.after:.1%} around {at}",
            f"{at}ごろ、成果率が{change.before:.1%}から{change.after:.1%}に変わりました。",
        )
    if " = " in change.name:
        moved = f"{change.before:.0%} → {change.after:.0%}"
        return say(
            f"the mix moved around {at}, most of all {change.name}: {moved} of the leads",
            f"{at}ごろ、リードの構成が変わりました。最も変わったのは {change.name}(割合 {moved})です。",
        )
    moved = f"{change.before:.2f} → {change.after:.2f}"
    return say(
        f"the mix moved around {at}, most of all {change.name}: mean rank {moved} (0 lowest, 1 highest)",
        f"{at}ごろ、リードの構成が変わりました。"
        f"最も変わったのは {change.name}(平均順位 {moved}、0が最小、1が最大)です。",
    )


def ageing_sentence(history: History, found: Ageing, say: Say) -> str:
    every, oldest = _span(history, found.every, say), _span(history, max(p.age for p in found.points), say)
    if found.seen:
        return say(
            f"retrain every {every}: by then a model has fallen {found.tolerance:.4f} in log loss behind a newer one "
            f"(1% of the constant rate's), as older models did on the slices",
            f"{every}ごとに学習し直してください。検証区間での旧モデルの劣化から、その間に対数損失で"
            f"{found.tolerance:.4f}(一定率の1%)だけ新しいモデルに後れます。",
        )
    return say(
        f"models up to {oldest} older were no worse on the slices beyond noise: retrain every {every} at the latest",
        f"検証区間では{oldest}までの旧モデルに、ばらつきを超える劣化は見られません。遅くとも{every}ごとに学習し直してください。",
    )


def cost_sentence(cost: Cost, say: Say) -> str:
    names = {
        "additive": (
            "additive (fit and behaviour in separate trees)",
            "加法性(適合度と行動を別の木に)",
            "--no-separate",
        ),
        "monotone": ("monotone (declared directions kept)", "単調性(宣言した向きを守る)", "--no-monotone"),
    }
    en, ja, switch = names[cost.name]
    size = f"{cost.difference:+.4f} ({cost.low:+.4f} to {cost.high:+.4f})"
    if not cost.on:
        return say(
            f"{en} is switched off ({switch}); it would cost {size} in log loss",
            f"{ja}は無効です({switch})。有効にすると対数損失は{size}変わります。",
        )
    verdict = (
        say(f", beyond noise: {switch} gives it up", f"、ばらつきを超えるため{switch}で外せます")
        if cost.beyond_noise
        else say(": nothing beyond noise", "、ばらつきを超える代償はありません")
    )
    return say(
        f"{en} costs {size} in log loss on {cost.rows:,} rows, its members refitted without it{verdict}",
        f"{ja}の代償は対数損失で{size}({cost.rows:,}行で、外して学習し直した差){verdict}。",
    )


def fair_sentence(column: FairColumn, say: Say) -> str:
    if not column.comparable:
        return say(
            f"{column.column}: fewer than two groups are large enough to compare",
            f"{column.column}: 比較できる大きさの群が2つありません。",
        )
    verdict = (
        say("below four fifths beyond noise: look at why", "ばらつきを超えて5分の4を下回るため、理由を確認してください")
        if column.uneven
        else say("not below four fifths beyond noise", "ばらつきを超えて5分の4を下回ってはいません")
    )
    chosen, found = shown(column.selection_ratio, 2), shown(column.opportunity_ratio, 2)
    return say(
        f"{column.column}: the least chosen group stands above the threshold {chosen} times as "
        f"often as the most chosen one ({verdict}); among those with the outcome {found} times",
        f"{column.column}: しきい値以上になる割合は、最も低い群が最も高い群の{chosen}倍"
        f"({verdict})。成果ありの中では{found}倍。",
    )


def _span(history: History, span: int, say: Say) -> str:
    if history.snapshot.company.time == "row":
        rows = max(round(span / ROW_STEP), 1)
        return say(f"{rows:,} rows", f"{rows:,}行")
    days = max(round(span / DAY), 1)
    return say(f"{days:,} days", f"{days:,}日")


def shown(found: Interval, digits: int, *, percent: bool = False) -> str:
    """`value (low–high)`."""
    kind = "%" if percent else "f"
    return f"{found.value:.{digits}{kind}} ({found.low:.{digits}{kind}}–{found.high:.{digits}{kind}})"


def level(name: str, say: Say) -> str:
    return {"others": say("others", "その他"), "not known": say("not known", "不明")}.get(name, name)
