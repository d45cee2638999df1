"""One lead, one answer: it reconciles, it says when it says nothing, and the ledger row says the same."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from serving_worlds import COMPANY, INDUSTRIES, NOW, SQL, START, WON, World, make_bundle, make_policy

from data.records import Attribute, LeadHistory, StageChange, Touchpoint
from data.store.deployments import Deployment
from data.store.history import lead_history
from data.store.operational import Store
from data.times import DAY
from serving.answer import Asked, InForce, answer_lead, is_past, stages_of_cycle
from training.bundle import Bundle, logistic
from training.policy import score_of

ASKED = Asked("request-1", NOW, NOW)


@pytest.fixture(scope="module")
def force(tmp_path_factory: pytest.TempPathFactory) -> InForce:
    return in_force(tmp_path_factory.mktemp("bundles"), proven=True)


def in_force(folder: Path, *, proven: bool) -> InForce:
    policy = make_policy("won")
    path = make_bundle(folder, WON, 7, proven=proven)
    row = Deployment(4, "won", "champion", path.name, "12", policy.policy_id, "promote", NOW, "test", "test")
    return InForce.of(row, Bundle.load(path), policy)


def lead(*stages: StageChange, cycles: tuple[tuple[int, int], ...] = ()) -> LeadHistory:
    touched = tuple(
        Touchpoint("pricing_view", "lead", START + n * DAY, START + n * DAY, channel="web") for n in range(1, 30)
    )
    known = (Attribute("industry", START, START, text=INDUSTRIES[0]),)
    return LeadHistory("L1", START, START, cycles, stages, touched, known)


def stage(name: str, day: float, recorded: float | None = None) -> StageChange:
    return StageChange(name, START + int(day * DAY), START + int((day if recorded is None else recorded) * DAY))


def test_base_fit_and_behaviour_make_the_margin_and_all_reasons_make_fit_and_behaviour(force: InForce) -> None:
    answer, _ = answer_lead(force, lead(), replace(ASKED, all_reasons=True))
    assert answer.base + answer.fit + answer.behaviour == pytest.approx(answer.margin, abs=1e-9)
    total = math.fsum(reason.contribution for reason in answer.reasons)
    assert total == pytest.approx(answer.fit + answer.behaviour, abs=1e-9)
    assert answer.probability == pytest.approx(1 / (1 + math.exp(-answer.margin)), abs=1e-15)


def test_score_grade_value_and_threshold_follow_from_the_probability(force: InForce) -> None:
    answer, _ = answer_lead(force, lead(), ASKED)
    assert answer.score == math.floor(100 * math.sqrt(answer.probability) + 0.5)
    assert answer.grade == force.policy.grade(answer.probability)
    assert answer.expected_value == pytest.approx(answer.probability * 1_200_000)
    assert answer.threshold_met == (answer.probability >= 0.2)


def test_every_stored_lead_reconciles(world: World) -> None:
    with Store.open(world.home) as store:
        policy = store.deployment("won").policy_id
        bundle = Bundle.load(world.home.bundles / world.hashes["won"])
        row = store.deployment("won")
        assert row.policy_id == policy
        in_use = InForce.of(row, bundle, make_policy("won"))
        for lead_id in store.lead_ids():
            answer, _ = answer_lead(
                in_use, lead_history(store, lead_id, as_of=ASKED.as_of), replace(ASKED, all_reasons=True)
            )
            if answer.status == "scored":
                parts = [answer.base, *(reason.contribution for reason in answer.reasons)]
                assert math.fsum(parts) == pytest.approx(answer.margin, abs=1e-9)


def test_the_ledger_row_holds_what_was_answered_and_what_it_was_computed_from(force: InForce) -> None:
    answer, row = answer_lead(force, lead(), ASKED)
    assert (row.margin, row.fit, row.behaviour, row.probability, row.score, row.grade, row.threshold_met) == (
        answer.margin,
        answer.fit,
        answer.behaviour,
        answer.probability,
        answer.score,
        answer.grade,
        answer.threshold_met,
    )
    assert (row.request_id, row.lead_id, row.deployment_id, row.bundle_hash) == (
        "request-1",
        "L1",
        4,
        force.bundle.hash,
    )
    again = force.bundle.explain(row.values())
    assert again.margin == row.margin
    assert again.contributions == row.parts()


def test_one_language_is_given_where_one_is_asked_for(force: InForce) -> None:
    answer, _ = answer_lead(force, lead(), replace(ASKED, lang="ja"))
    assert answer.odds.en is None
    assert all(r.text_en is None and r.text_ja for r in answer.reasons)


def test_an_unproven_model_gives_a_score_and_no_probability(tmp_path: Path) -> None:
    force = in_force(tmp_path, proven=False)
    answer, row = answer_lead(force, lead(), ASKED)
    assert (answer.status, answer.probability, answer.odds, answer.expected_value) == ("unproven", None, None, None)
    assert answer.score == score_of(logistic(answer.margin))
    assert answer.grade
    assert (row.status, row.probability) == ("unproven", None)


@pytest.mark.parametrize(
    ("stages", "status"),
    [
        ((), "scored"),
        ((stage("mql", 3),), "scored"),
        ((stage("sql", 3),), "scored"),
        ((stage("won", 3),), "past_target"),
        ((stage("lost", 3),), "past_target"),
        ((stage("disqualified", 3),), "past_target"),
        ((stage("won", 400),), "scored"),  # not yet happened
        ((stage("won", 3, recorded=400),), "scored"),  # not yet known
    ],
)
def test_a_lead_past_its_target_gets_no_score(force: InForce, stages: tuple[StageChange, ...], status: str) -> None:
    answer, row = answer_lead(force, lead(*stages), ASKED)
    assert (answer.status, row.status) == (status, status)
    assert (answer.margin is None) == (status == "past_target")
    assert (answer.reasons == []) == (status == "past_target")


def test_recycling_opens_the_lead_again() -> None:
    lost = lead(stage("lost", 3), stage("recycled", 3), cycles=((START + 3 * DAY, START + 3 * DAY),))
    assert stages_of_cycle(lost, NOW) == []
    assert [c.stage for c in stages_of_cycle(lost, START + 3 * DAY)] == []
    later = replace(lost, stages=(*lost.stages, stage("sql", 9)))
    assert [c.stage for c in stages_of_cycle(later, NOW)] == ["sql"]


@pytest.mark.parametrize(
    ("reached", "target", "past"),
    [
        ("mql", "sql", False),
        ("sql", "sql", True),
        ("opportunity", "sql", True),
        ("won", "sql", True),
        ("lost", "sql", True),
        ("recycled", "sql", False),
        ("opportunity", "won", False),
        ("demo_given", "won", False),
        ("demo_given", "demo_given", True),
    ],
)
def test_which_stages_are_past_which_target(reached: str, target: str, past: bool) -> None:
    assert is_past(reached, target) is past


def test_without_consent_nothing_is_computed(force: InForce) -> None:
    answer, row = answer_lead(force, lead(), ASKED, may_score=False)
    assert (answer.status, answer.margin, answer.score, answer.reasons) == ("no_consent", None, None, [])
    assert (row.status, row.features, row.contributions) == ("no_consent", b"", b"")


def test_a_lead_of_whom_nothing_is_known_is_said_to_be_so(force: InForce) -> None:
    empty = LeadHistory("L2", START, START)
    answer, _ = answer_lead(force, empty, ASKED)
    assert answer.little_known.text_ja == "判断材料が不足しています。業種・従業員規模をご確認ください"
    assert answer.little_known.ask_for == ["industry", "employee_band"]
    assert answer_lead(force, lead(), ASKED)[0].little_known is None


def test_a_target_of_its_own_has_its_own_past(tmp_path: Path) -> None:
    path = make_bundle(tmp_path, SQL, 9)
    row = Deployment(1, "sql", "champion", path.name, "1", "p", "promote", NOW, "test", "test")
    force = InForce.of(row, Bundle.load(path), make_policy("sql"))
    assert COMPANY.target("sql").stage == "sql"
    assert answer_lead(force, lead(stage("sql", 3)), ASKED)[0].status == "past_target"
