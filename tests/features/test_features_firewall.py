"""The leak firewall on leaks made on purpose, on honest columns, and on the real sets' traps."""

from __future__ import annotations

import random
from dataclasses import replace

import ibis
import numpy as np
import pytest

from data.company import Company, CompanyColumn, Target
from data.errors import DataRefused
from data.records import Attribute, LeadHistory, StageChange
from data.times import ROW_HORIZON, ROW_OUTCOME_DELAY, ROW_STEP
from features.catalogue import declarations
from features.existence import Filled, filled_late, only_with_outcome, only_without_outcome
from features.firewall import Verdict, blocking, refuse_blocked, verdicts
from features.leaks import auc, auc_error, encoded, forward_strength
from tests.features.worlds import World, tables_of

DAY = 86_400_000_000
START = 1_700_000_000_000_000
NAMES = ("honest", "gaps", "contract", "lost_reason", "after", "strong", "noise", "late_import")
TARGET = Target("won", "won", horizon=30 * DAY)


def company(**allowed: str) -> Company:
    columns = tuple(
        CompanyColumn(
            name,
            type="number" if name in ("honest", "strong", "noise") else "category",
            known="later" if name == "late_import" else "creation",
            allowed_because=allowed.get(name, ""),
        )
        for name in NAMES
    )
    return Company(targets=(TARGET,), columns=columns)


def made_leads(count: int = 1500, seed: int = 0) -> tuple[LeadHistory, ...]:
    """Leads a third of which win within days, with one column of each sort in NAMES."""
    rng = random.Random(seed)
    return tuple(made_lead(rng, str(number), START + number * DAY // 4) for number in range(count))


def made_lead(rng: random.Random, lead_id: str, born: int) -> LeadHistory:
    won = rng.random() < 0.33
    ended = born + rng.randrange(2, 20) * DAY
    values = {
        "honest": (born, rng.gauss(0.7 * won, 1)),
        "noise": (born, rng.gauss(0, 1)),
        "strong": (born, rng.gauss(3.0 * won, 1)),
        "gaps": (born, "x" if rng.random() < (0.8 if won else 0.6) else None),
        "contract": (born, "signed" if won else None),
        "lost_reason": (born, None if won else "price"),
        "after": (ended + DAY, "x" if rng.random() < 0.9 else None),
        "late_import": (START + 2000 * DAY, "x"),
    }
    attributes = tuple(
        Attribute(name, at, at, **({"text": v} if isinstance(v, str) else {"number": v}))
        for name, (at, v) in values.items()
    )
    stages = (StageChange("won" if won else "lost", ended, ended),)
    return LeadHistory(lead_id, born, born, stages=stages, attributes=attributes)


@pytest.fixture(scope="module")
def found() -> dict[str, Verdict]:
    return judged(company(), made_leads())


def judged(of: Company, leads: tuple[LeadHistory, ...]) -> dict[str, Verdict]:
    connection = ibis.duckdb.connect()
    tables = tables_of([World("w", 0, leads, {h.lead_id: None for h in leads})], connection)
    wanted = [d for d in declarations(of) if d.attribute in NAMES or d.kind in ("stage", "lead_age")]
    judged = verdicts(connection, tables, of, wanted, TARGET, as_of=START + 3000 * DAY)
    return {v.subject: v for v in judged}


@pytest.mark.parametrize(
    ("column", "level", "said"),
    [
        ("contract", "block", "exists only with the outcome"),
        ("lost_reason", "block", "exists only without the outcome"),
        ("after", "block", "first filled at or after the outcome"),
        ("strong", "flag", "alone ranks later outcomes"),
        ("honest", "allow", ""),
        ("noise", "allow", ""),
        ("gaps", "allow", ""),
        ("late_import", "allow", ""),
        ("stage", "allow", ""),
    ],
)
def test_each_sort_of_column_gets_its_verdict(found: dict[str, Verdict], column: str, level: str, said: str) -> None:
    verdict = found[column]
    assert verdict.level == level, verdict
    assert said in " ".join(verdict.evidence)
    assert bool(verdict.evidence) == (level != "allow")


def test_evidence_gives_the_counts(found: dict[str, Verdict]) -> None:
    won = sum(h.stages[0].stage == "won" for h in made_leads())
    assert (
        f"{won:,} of {won:,} leads that have it reached it, against {won:,} of 1,500" in found["contract"].evidence[0]
    )


def test_a_gap_that_tells_is_flagged() -> None:
    rng = random.Random(2)

    def told(history: LeadHistory) -> LeadHistory:
        won = history.stages[0].stage == "won"
        text = "x" if rng.random() < (0.9 if won else 0.15) else None
        return replace(history, attributes=(Attribute("gaps", history.occurred_at, history.occurred_at, text),))

    verdict = judged(company(), tuple(told(h) for h in made_leads()))["gaps"]
    assert verdict.level == "flag"
    assert "whether it is missing" in " ".join(verdict.evidence)


def test_a_reason_in_the_mapping_allows_what_is_blocked() -> None:
    allowed = judged(company(contract="written by hand at creation"), made_leads(600))
    assert allowed["contract"].level == "block"
    assert {v.subject for v in blocking(list(allowed.values()))} == {"lost_reason", "after"}
    with pytest.raises(DataRefused, match="lost_reason") as refused:
        refuse_blocked(list(allowed.values()))
    assert "contract" not in str(refused.value)
    assert "allowed_because" in str(refused.value)


def test_nothing_is_refused_where_nothing_is_blocked(found: dict[str, Verdict]) -> None:
    refuse_blocked([v for v in found.values() if v.level != "block"])


def test_too_few_outcomes_give_no_verdict_on_strength() -> None:
    few = judged(company(), made_leads(40))
    assert few["strong"].level == "allow"
    assert few["strong"].figures.get("forward_auc") is None


def test_row_time() -> None:
    rng = random.Random(4)
    target = Target("won", "won", horizon=ROW_HORIZON)
    of = Company(time="row", targets=(target,), columns=(CompanyColumn("leak"), CompanyColumn("fair")))
    leads = []
    for number in range(1, 1001):
        at, won = number * ROW_STEP, rng.random() < 0.3
        told = (Attribute("leak", at, at, "x" if won else None), Attribute("fair", at, at, rng.choice("ab")))
        ended = at + ROW_OUTCOME_DELAY
        leads.append(
            LeadHistory(
                str(number), at, at, stages=(StageChange("won" if won else "lost", ended, ended),), attributes=told
            )
        )
    connection = ibis.duckdb.connect()
    tables = tables_of([World("w", 0, tuple(leads), {h.lead_id: None for h in leads})], connection)
    wanted = [d for d in declarations(of) if d.attribute in ("leak", "fair")]
    levels = {v.subject: v.level for v in verdicts(connection, tables, of, wanted, target, as_of=1001 * ROW_STEP)}
    assert levels == {"leak": "block", "fair": "allow"}


def test_auc_counts_pairs() -> None:
    rng = np.random.default_rng(1)
    scores, label = rng.integers(0, 5, 60).astype(float), rng.integers(0, 2, 60).astype(float)
    pairs = [(a > b) + (a == b) / 2 for a in scores[label == 1] for b in scores[label == 0]]
    assert auc(scores, label) == pytest.approx(np.mean(pairs))


def test_strength_learns_only_from_labels_known_by_then() -> None:
    """A column whose meaning turns round: the future would say one thing, the past says the other."""
    rng = np.random.default_rng(3)
    at = np.arange(2000, dtype=np.int64) * DAY
    label = rng.integers(0, 2, 2000).astype(float)
    values = np.where(np.arange(2000) < 800, label, 1 - label)
    turned = forward_strength(values, label, at, 0)
    assert turned is not None
    assert turned.forward
    late = forward_strength(values, label, at, 5000 * DAY)
    assert late is not None
    assert not late.forward


def test_rows_sorted_by_the_outcome_are_judged_all_the_same() -> None:
    rng = np.random.default_rng(5)
    label = np.repeat([0.0, 1.0], 500)
    found = forward_strength(label + rng.normal(0, 0.1, 1000), label, np.arange(1000, dtype=np.int64), 0)
    assert found is not None
    assert found.low > 0.95
    assert not found.forward


def test_the_error_of_an_auc_is_what_many_samples_show() -> None:
    rng = np.random.default_rng(6)
    label = np.r_[np.ones(60), np.zeros(240)]
    samples = [auc(np.r_[rng.normal(1, 1, 60), rng.normal(0, 1, 240)], label) for _ in range(800)]
    assert auc_error(float(np.mean(samples)), 60, 240) == pytest.approx(np.std(samples), rel=0.15)


def test_encoding_is_the_smoothed_rate_of_the_past() -> None:
    past, label = np.array(["a", "a", "b", None], dtype=object), np.array([1.0, 0.0, 1.0, 0.0])
    asked = np.array(["a", "b", None, "new"], dtype=object)
    base = 0.5
    expected = [(1 + 20 * base) / 22, (1 + 20 * base) / 21, (0 + 20 * base) / 21, base]
    assert encoded(past, label, asked) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("filled", "late", "only_with", "only_without"),
    [
        (Filled(1000, 100, 100, 100, 0), False, True, False),
        (Filled(1000, 100, 5, 5, 0), False, False, False),  # 1 in 100,000 by chance
        (Filled(1000, 100, 6, 6, 0), False, False, False),  # 1 in a million is not below it
        (Filled(1000, 100, 7, 7, 0), False, True, False),
        (Filled(1000, 900, 100, 100, 0), False, False, False),
        (Filled(1000, 100, 300, 0, 0), False, False, True),
        (Filled(1000, 100, 100, 0, 0), False, False, False),
        (Filled(1000, 100, 500, 50, 26), True, False, False),
        (Filled(1000, 100, 500, 50, 24), False, False, False),
        (Filled(0, 0, 0, 0, 0), False, False, False),
    ],
)
def test_one_sidedness_and_lateness(filled: Filled, late: bool, only_with: bool, only_without: bool) -> None:
    assert (filled_late(filled), only_with_outcome(filled), only_without_outcome(filled)) == (
        late,
        only_with,
        only_without,
    )
