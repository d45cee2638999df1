"""From evidence to one action: a pure function, rule by rule, most urgent first.

| action      | when                                                                                     |
|-------------|------------------------------------------------------------------------------------------|
| roll_back   | a guardrail broke, or scores or hand-overs moved with a version change and not without    |
| retrain     | matured log loss or AUC beyond the champion's own bound in two consecutive windows, and  |
|             | recalibration would not mend it                                                          |
| recalibrate | ranking holds, calibration of the matured cohort does not                                  |
| retune      | scores moved and hand-overs left the capacity interval, or a term of the policy moved      |
| tell        | anything else moved: features, feeds, scores, hand-overs                                   |
| nothing     | nothing moved                                                                              |

A rule without evidence is silent and is listed as such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from monitoring.evidence import Evidence, Shift

Action = Literal["nothing", "tell", "retune", "recalibrate", "retrain", "roll_back"]
Level = Literal["OK", "watch", "act"]

CONSECUTIVE = 2
"""Windows in a row that must be worse before a retrain."""


@dataclass(frozen=True)
class Reason:
    rule: str
    ja: str
    en: str

    def text(self, lang: str) -> str:
        return self.ja if lang == "ja" else self.en


@dataclass(frozen=True)
class Decision:
    action: Action
    reasons: tuple[Reason, ...]
    """Why this action; at least one."""
    noted: tuple[Reason, ...] = ()
    """What else was seen and outranked."""
    silent: tuple[Reason, ...] = ()
    """Rules that had no evidence."""
    automatic: bool = True
    """False while frozen: say it, do nothing."""

    @property
    def level(self) -> Level:
        if self.action == "nothing":
            return "OK"
        return "watch" if self.action == "tell" else "act"

    def to_dict(self) -> dict[str, Any]:
        def plain(reasons: tuple[Reason, ...]) -> list[dict[str, str]]:
            return [{"rule": r.rule, "ja": r.ja, "en": r.en} for r in reasons]

        return {
            "action": self.action,
            "level": self.level,
            "automatic": self.automatic,
            "reasons": plain(self.reasons),
            "noted": plain(self.noted),
            "silent": plain(self.silent),
        }


def decide(evidence: Evidence) -> Decision:
    """The most urgent action that any rule asks for, with its reasons; the rest is noted."""
    found: list[tuple[Action, list[Reason]]] = [(action, list(rule(evidence))) for action, rule in RULES]
    spoken = [(action, reasons) for action, reasons in found if reasons]
    silent = tuple(_silent(evidence))
    if not spoken:
        return Decision("nothing", (_ALL_QUIET,), silent=silent, automatic=not evidence.frozen)
    action, reasons = spoken[0]
    noted = tuple(reason for _, rest in spoken[1:] for reason in rest)
    return Decision(action, tuple(reasons), noted, silent, automatic=not evidence.frozen)


_ALL_QUIET = Reason("quiet", "基準からの変化は見つかりませんでした", "nothing moved beyond what ordinary weeks show")


def _roll_back(evidence: Evidence) -> Iterator[Reason]:
    change = evidence.change
    if change is not None and not change.can_be_undone:
        return
    for broken in evidence.guardrails or ():
        yield Reason(
            "guardrail",
            f"安全基準「{broken.name}」を超過({broken.value:.3g}、上限{broken.limit:.3g})",
            f"guardrail {broken.name} broke: {broken.value:.3g} against a limit of {broken.limit:.3g}",
        )
    if change is None or evidence.scores_moved:
        return  # scores moved under one and the same model: the world moved, not the version
    if change.kind == "model" and change.score is not None and change.score.alarmed and evidence.judges_drift:
        yield Reason(
            "version_change",
            f"モデルの切り替え({change.action})と同時にスコアが変化{_moved_ja(change.score)}",
            f"scores moved when the model changed ({change.action}): {_moved_en(change.score)}",
        )
    if change.kind == "policy" and evidence.operating is not None and evidence.operating.outside:
        yield Reason(
            "version_change",
            f"しきい値の変更後、引き渡し件数が範囲外{_point_ja(evidence)}",
            f"hand-overs left their interval when the policy changed: {_point_en(evidence)}",
        )


def _retrain(evidence: Evidence) -> Iterator[Reason]:
    matured = evidence.matured
    if matured is None or not matured.worse or evidence.worse_windows < CONSECUTIVE:
        return
    if matured.ranking_holds and not matured.calibration_holds:
        return  # recalibration mends this, and is the smaller change
    yield Reason(
        "worse_than_own_bound",
        f"結果の確定したリードで{evidence.worse_windows}期間続けて精度が低下"
        f"(対数損失{matured.log_loss:.3f}、上限{matured.log_loss_bound:.3f})",
        f"on matured outcomes the champion is worse than its own bound for {evidence.worse_windows} windows running: "
        f"log loss {matured.log_loss:.3f} (bound {matured.log_loss_bound:.3f}), "
        f"AUC {_figure(matured.auc)} (bound {_figure(matured.auc_bound)})",
    )


def _recalibrate(evidence: Evidence) -> Iterator[Reason]:
    matured = evidence.matured
    if matured is None or not matured.enough or not matured.ranking_holds or matured.calibration_holds:
        return
    yield Reason(
        "calibration",
        f"順位付けは保たれているが確率がずれている(予測{matured.predicted:.1%}、実績{matured.base_rate:.1%})",
        f"ranking holds but probabilities do not: predicted {matured.predicted:.1%}, came true {matured.base_rate:.1%} "
        f"(calibration error {matured.ece:.3f}, bound {matured.ece_bound:.3f})",
    )


def _retune(evidence: Evidence) -> Iterator[Reason]:
    operating, matured = evidence.operating, evidence.matured
    outside = operating is not None and operating.outside
    if evidence.change is None and outside and evidence.scores_moved and evidence.score is not None:
        yield Reason(
            "handovers",
            f"スコアの変化{_moved_ja(evidence.score)}により引き渡し件数が範囲外{_point_ja(evidence)}",
            f"scores moved ({_moved_en(evidence.score)}) and with them the hand-overs: {_point_en(evidence)}",
        )
    holds = matured is None or not matured.enough or (matured.ranking_holds and matured.calibration_holds)
    for term in (evidence.moved or ()) if holds else ():
        yield Reason(
            "policy_term",
            f"しきい値の前提({_TERMS_JA[term]})が変化",
            f"{_TERMS_EN[term]} moved since the policy was chosen; ranking and calibration hold",
        )


_TERMS_JA = {"base_rate": "成約率", "cost": "費用", "capacity": "対応可能件数"}
_TERMS_EN = {"base_rate": "the base rate", "cost": "the cost", "capacity": "the capacity"}


def _tell(evidence: Evidence) -> Iterator[Reason]:
    yield from _feed_faults(evidence)
    if evidence.judges_drift:
        for shift in sorted((s for s in evidence.features if s.alarmed), key=lambda s: -s.share_moved):
            yield _of_column(shift)
    if evidence.scores_moved and evidence.score is not None:
        yield Reason(
            "scores",
            f"スコアの分布が変化{_moved_ja(evidence.score)}",
            f"scores moved: {_moved_en(evidence.score)}",
        )
    if evidence.operating is not None and evidence.operating.outside:
        yield Reason(
            "operating_point",
            f"引き渡し件数が範囲外{_point_ja(evidence)}",
            f"hand-overs are outside the capacity interval: {_point_en(evidence)}",
        )
    if evidence.matured is not None and evidence.matured.worse:
        yield Reason(
            "worse_once",
            "結果の確定したリードで精度が低下(次の期間も続けば再学習)",
            "matured log loss or AUC is beyond the champion's own bound; a second window like this means retraining",
        )
    if evidence.change is not None and not evidence.change.can_be_undone:
        for broken in evidence.guardrails or ():
            yield Reason(
                "guardrail",
                f"安全基準「{broken.name}」を超過。戻す先の版がありません",
                f"guardrail {broken.name} broke, and there is no earlier version to go back to",
            )


def _feed_faults(evidence: Evidence) -> Iterator[Reason]:
    if evidence.freshness is not None and evidence.freshness.stale:
        silent, newest = evidence.freshness.silent_days, evidence.freshness.newest
        yield Reason(
            "stale",
            f"{newest}以降の記録がない({silent:.0f}日間)",
            f"no record for {silent:.0f} days: the newest is of {newest}",
        )
    for feed in evidence.feeds:
        if feed.dried_up or feed.flooded:
            yield Reason(
                "feed",
                f"{feed.name}の件数が異常(週{feed.count:.0f}件、通常{feed.low:.0f}〜{feed.high:.0f}件)",
                f"{feed.name}: {feed.count:.0f} records a week, usually {feed.low:.0f} to {feed.high:.0f}",
            )


def _of_column(shift: Shift) -> Reason:
    if shift.emptied:
        return Reason(
            "emptied",
            f"{shift.column}が入力されなくなった(欠損{shift.missing_reference:.0%}→{shift.missing:.0%})",
            f"{shift.column} stopped being filled: missing {shift.missing_reference:.0%} → {shift.missing:.0%}",
        )
    if shift.full_of_unseen:
        return Reason(
            "unseen",
            f"{shift.column}に未知の値が{shift.unseen:.0%}",
            f"{shift.column}: {shift.unseen:.0%} of its values were never seen in training",
        )
    return Reason(
        "covariate",
        f"{shift.column}の分布が変化{_moved_ja(shift)}",
        f"{shift.column} moved: {_moved_en(shift)}",
    )


RULES: tuple[tuple[Action, Callable[[Evidence], Iterator[Reason]]], ...] = (
    ("roll_back", _roll_back),
    ("retrain", _retrain),
    ("recalibrate", _recalibrate),
    ("retune", _retune),
    ("tell", _tell),
)


def _silent(evidence: Evidence) -> Iterator[Reason]:
    if evidence.guardrails is None:
        yield Reason("guardrail", "安全基準は未計測", "guardrails (schema, skew, errors, latency) are not measured")
    if evidence.operating is None:
        yield Reason("operating_point", "引き渡し件数は未計測", "no weekly hand-overs to hold against capacity")
    if evidence.moved is None:
        yield Reason("policy_term", "費用・対応可能件数の変化は未計測", "changes of cost and capacity are not measured")
    if evidence.matured is None:
        yield Reason("matured", "結果の確定したリードがまだない", "no outcomes yet: performance cannot be judged")
    elif not evidence.matured.enough:
        yield Reason(
            "matured",
            f"結果が少ない({evidence.matured.rows}件中成約{evidence.matured.conversions}件)",
            f"too few outcomes: {evidence.matured.conversions} conversions among {evidence.matured.rows} matured leads",
        )
    if not evidence.judges_drift:
        yield Reason("drift", f"対象が{evidence.rows}件と少ない", f"only {evidence.rows} rows: too few to judge drift")


def _moved_ja(shift: Shift) -> str:
    return f"({shift.share_moved:.0%}が移動、PSI {shift.psi:.2f}、限界{shift.critical:.2f})"


def _moved_en(shift: Shift) -> str:
    return f"{shift.share_moved:.0%} of rows, PSI {shift.psi:.2f} (critical {shift.critical:.2f})"


def _point_ja(evidence: Evidence) -> str:
    point = evidence.operating
    assert point is not None
    return f"(週{point.handovers_per_week:.0f}件、範囲{point.low:.0f}〜{point.high:.0f}件)"


def _point_en(evidence: Evidence) -> str:
    point = evidence.operating
    assert point is not None
    return f"{point.handovers_per_week:.0f} a week, interval {point.low:.0f} to {point.high:.0f}"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
