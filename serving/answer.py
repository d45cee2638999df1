"""One lead, one deployment in force: the answer and the ledger row that records it.

Pure: nothing here reads a clock, a file or a store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.company import Target
from data.records import LeadHistory, StageChange
from data.store.deployments import Deployment
from data.store.ledger import LedgerRow
from data.store.packing import pack_contributions, pack_values
from data.tables import STAGES, TERMINAL_STAGES
from features.online import OnlineFeatures
from serving.contract import Language, LittleKnown, Reason, Status, TargetAnswer, Words
from serving.intake import Known
from serving.odds import odds
from serving.reasons import Ranked, ReasonPlan, most_telling
from serving.unknowns import Profile
from serving.words import ReasonWords
from training.bundle import Bundle, Scored, logistic
from training.deals import Expected
from training.policy import Policy, score_of

Value = float | str | None


@dataclass(frozen=True, eq=False)
class InForce:
    """One deployment with everything needed to answer by it, built once when it comes into force."""

    deployment: Deployment
    bundle: Bundle
    policy: Policy
    features: OnlineFeatures
    reasons: ReasonPlan
    words: ReasonWords
    profile: Profile
    known: Known

    @staticmethod
    def of(deployment: Deployment, bundle: Bundle, policy: Policy) -> InForce:
        return InForce(
            deployment,
            bundle,
            policy,
            OnlineFeatures(bundle.declarations, bundle.company),
            ReasonPlan(bundle.declarations),
            ReasonWords(bundle.declarations),
            Profile(bundle),
            Known.of(bundle.company),
        )


@dataclass(frozen=True)
class Asked:
    """What one request wants to know, its times in microseconds UTC."""

    request_id: str
    as_of: int
    scored_at: int
    lang: Language | None = None
    all_reasons: bool = False


def answer_lead(
    force: InForce, history: LeadHistory, asked: Asked, *, may_score: bool = True
) -> tuple[TargetAnswer, LedgerRow]:
    """The answer of one deployment for one lead. `may_score` is the consent for scoring as of `asked.as_of`."""
    unscored = status_unscored(history, force.bundle.target_definition, asked.as_of, may_score)
    if unscored:
        return _silent(force, unscored), _row(force, history.lead_id, asked, unscored, None, ())
    values = force.features.row(history, asked.as_of)
    scored = force.bundle.explain(values)
    status: Status = "scored" if scored.probability is not None else "unproven"
    answer = _spoken(force, asked, status, values, scored)
    return answer, _row(force, history.lead_id, asked, status, (answer, scored), values)


def status_unscored(history: LeadHistory, target: Target, as_of: int, may_score: bool) -> Status | None:
    """Why this lead gets no score as of `as_of`; None when it gets one."""
    if not may_score:
        return "no_consent"
    reached = stages_of_cycle(history, as_of)
    return "past_target" if any(is_past(change.stage, target.stage) for change in reached) else None


def stages_of_cycle(history: LeadHistory, as_of: int) -> list[StageChange]:
    """The stage changes of the current cycle that are visible as of `as_of`.

    A change at the very instant of recycling belongs to the cycle before.
    """
    starts = [start for start, recorded in history.cycles if start < as_of and recorded < as_of]
    start = max(starts, default=history.occurred_at)
    recycled = start in starts
    visible = (c for c in history.stages if c.occurred_at < as_of and c.recorded_at < as_of)
    return [c for c in visible if c.occurred_at > start or (c.occurred_at == start and not recycled)]


def is_past(stage: str, target_stage: str) -> bool:
    """Whether a cycle that has reached `stage` can no longer reach `target_stage` for the first time."""
    if stage == target_stage or stage in TERMINAL_STAGES:
        return True
    funnel = STAGES[: STAGES.index("won") + 1]
    return stage in funnel and target_stage in funnel and funnel.index(stage) > funnel.index(target_stage)


def _silent(force: InForce, status: Status) -> TargetAnswer:
    return TargetAnswer(
        target=force.bundle.target,
        status=status,
        score=None,
        probability=None,
        grade=None,
        trend=None,
        margin=None,
        base=None,
        fit=None,
        behaviour=None,
        odds=None,
        reasons=[],
        little_known=None,
        expected_value=None,
        expected_value_low=None,
        expected_value_high=None,
        days_to_outcome=None,
        threshold_met=None,
        model_version=force.deployment.model_version,
        policy_version=force.deployment.policy_id,
    )


def _spoken(force: InForce, asked: Asked, status: Status, values: Sequence[Value], scored: Scored) -> TargetAnswer:
    chance = logistic(scored.margin) if scored.probability is None else scored.probability
    every = force.reasons.rank(scored.contributions)
    shown = every if asked.all_reasons else most_telling(every)
    deal = expected_deal(force, values, scored.probability)
    return TargetAnswer(
        target=force.bundle.target,
        status=status,
        score=score_of(chance),
        probability=scored.probability,
        grade=force.policy.grade(chance),
        trend=None,
        margin=scored.margin,
        base=scored.base,
        fit=scored.fit,
        behaviour=scored.behaviour,
        odds=_odds(force.bundle, scored.probability, asked.lang),
        reasons=[_reason(force, ranked, scored, values, asked.lang) for ranked in shown],
        little_known=_little_known(force, values, asked.lang),
        expected_value=deal.amount,
        expected_value_low=deal.amount_low,
        expected_value_high=deal.amount_high,
        days_to_outcome=deal.days,
        threshold_met=force.policy.threshold_met(chance),
        model_version=force.deployment.model_version,
        policy_version=force.deployment.policy_id,
    )


def expected_deal(force: InForce, values: Sequence[Value], probability: float | None) -> Expected:
    """The deal's figures, its amounts times the probability; without a probability there are none.

    Bundles that know nothing of amounts answer with the policy's mean amount.
    """
    if probability is None:
        return Expected()
    found = Expected() if force.bundle.deals is None else force.bundle.deals.expected(values)
    if found.amount is None:
        mean = force.policy.mean_amount
        return Expected(amount=None if mean is None else probability * mean, days=found.days)
    assert found.amount_low is not None
    assert found.amount_high is not None
    return Expected(
        probability * found.amount, probability * found.amount_low, probability * found.amount_high, found.days
    )


def _reason(force: InForce, ranked: Ranked, scored: Scored, values: Sequence[Value], lang: Language | None) -> Reason:
    feature = force.reasons.speaker(scored.contributions, ranked)
    value = values[feature]
    return Reason(
        force.reasons.codes[ranked.code],
        "up" if ranked.contribution > 0 else "down",
        ranked.rank,
        ranked.contribution,
        None if lang == "en" else force.words.text(feature, value, "ja"),
        None if lang == "ja" else force.words.text(feature, value, "en"),
    )


def _odds(bundle: Bundle, probability: float | None, lang: Language | None) -> Words | None:
    if probability is None:
        return None
    stage, horizon = bundle.target_definition.stage, None if bundle.company.time == "row" else bundle.horizon
    return in_words(odds(probability, stage, horizon, "ja"), odds(probability, stage, horizon, "en"), lang)


def in_words(ja: str, en: str, lang: Language | None) -> Words:
    return Words(ja=None if lang == "en" else ja, en=None if lang == "ja" else en)


def _little_known(force: InForce, values: Sequence[Value], lang: Language | None) -> LittleKnown | None:
    found = force.profile.unknowns(values)
    if found is None:
        return None
    return LittleKnown(
        text_ja=None if lang == "en" else found.ja, text_en=None if lang == "ja" else found.en, ask_for=list(found.ask)
    )


def _row(
    force: InForce,
    lead_id: str,
    asked: Asked,
    status: Status,
    said: tuple[TargetAnswer, Scored] | None,
    values: Sequence[Value],
) -> LedgerRow:
    answer, scored = said or (None, None)
    return LedgerRow(
        request_id=asked.request_id,
        lead_id=lead_id or f"request:{asked.request_id}",
        target=force.bundle.target,
        as_of=asked.as_of,
        scored_at=asked.scored_at,
        bundle_hash=force.bundle.hash,
        policy_id=force.deployment.policy_id,
        deployment_id=force.deployment.deployment_id,
        channel="online",
        status=status,
        margin=scored.margin if scored else None,
        base=scored.base if scored else None,
        fit=scored.fit if scored else None,
        behaviour=scored.behaviour if scored else None,
        probability=scored.probability if scored else None,
        score=answer.score if answer else None,
        grade=answer.grade if answer else None,
        threshold_met=answer.threshold_met if answer else None,
        features=pack_values(values),
        contributions=pack_contributions(scored.contributions if scored else ()),
    )
