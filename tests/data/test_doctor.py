"""The data doctor on small histories whose illness is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data import doctor_columns, doctor_labels, doctor_likeness, doctor_times
from data.company import Company, Target
from data.doctor import Finding, Ward
from data.sources.alone import auc, forward_auc
from data.sources.profile import ColumnProfile, Told
from data.times import DAY, HOUR, ROW_STEP, parse_instant

START = parse_instant("2025-01-01")
WON = Target("won", "won", 30 * DAY)


def ward(
    created: np.ndarray,
    reached: dict[int, float] | None = None,
    *,
    as_of: int,
    attributes: dict[str, list[str | None]] | None = None,
    touchpoints: list[int] | None = None,
    history_from: dict[str, int] | None = None,
    time: str = "dates",
    zone: str = "UTC",
    lost: dict[int, float] | None = None,
) -> Ward:
    """Leads 0 … n−1 with their creation, some reaching won, some lost; attributes are one value a lead."""
    ids = [str(i) for i in range(len(created))]
    leads = pd.DataFrame(
        {"lead_id": ids, "person_id": None, "account_id": None, "occurred_at": created, "recorded_at": created}
    )
    changes = [(str(i), "won", t, t) for i, t in (reached or {}).items()]
    changes += [(str(i), "lost", t, t) for i, t in (lost or {}).items()]
    won = pd.DataFrame(changes, columns=["lead_id", "stage", "occurred_at", "recorded_at"])
    values = [
        {"lead_id": ids[i], "name": name, "text": text, "number": np.nan, "occurred_at": created[i]}
        for name, column in (attributes or {}).items()
        for i, text in enumerate(column)
    ]
    touched = [{"lead_id": "0", "actor": "lead", "occurred_at": t, "recorded_at": t} for t in touchpoints or []]
    company = Company(time=time, timezone=zone, targets=(WON,), history_from=history_from or {})  # type: ignore[arg-type]
    columns = ["lead_id", "actor", "occurred_at", "recorded_at"]
    frame = pd.DataFrame(values, columns=["lead_id", "name", "text", "number", "occurred_at"])
    return Ward(company, as_of, leads, won, frame, pd.DataFrame(touched, columns=columns))


def told(findings: list[Finding], what: str) -> list[Finding]:
    return [f for f in findings if what in f.what]


def daily(days: int, a_day: int = 5) -> np.ndarray:
    return START + np.repeat(np.arange(days), a_day) * DAY


def every_tenth(created: np.ndarray, delay: int, since: int = 0, until: int = 2**62) -> dict[int, float]:
    reached = {i: float(c + delay) for i, c in enumerate(created) if i % 10 == 0}
    return {i: t for i, t in reached.items() if since <= t < until}


def test_a_healthy_history_gives_no_warning() -> None:
    created = daily(200)
    end = START + 200 * DAY
    lost = {i: float(c + 20 * DAY) for i, c in enumerate(created) if i % 10 and c + 20 * DAY < end}
    found = doctor_labels.findings(ward(created, every_tenth(created, 10 * DAY, until=end), as_of=end, lost=lost))
    assert [f.what for f in found if f.level != "ok"] == []
    # Created up to 30 days before the end: 170 days and the one whose window ends at it.
    assert "855 leads matured, 86 with the outcome within 30 days" in told(found, "matured")[0].evidence


@pytest.mark.parametrize(
    ("lost_from", "level"),
    [(2**62, "no lead is ever given up"), (60, "most old leads never ended"), (35, "")],
)
def test_leads_that_stay_open_for_ever_are_said(lost_from: int, level: str) -> None:
    """Only leads created in the first `lost_from` days of a hundred are never given up."""
    created, end = daily(100), START + 130 * DAY
    lost = {i: float(c + DAY) for i, c in enumerate(created) if i % 10 and c >= START + lost_from * DAY}
    found = told(doctor_labels.findings(ward(created, every_tenth(created, DAY), as_of=end, lost=lost)), "old leads")
    found += told(
        doctor_labels.findings(ward(created, every_tenth(created, DAY), as_of=end, lost=lost)), "given up: all"
    )
    assert [f.what.startswith(level) for f in found] == ([True] if level else [])
    if level:
        assert f"{9 * 5 * min(lost_from, 100) // 10:,} of 500 leads created before 2025-04-11" in found[0].evidence
        assert "lost" in found[0].next_step


def test_a_target_that_nobody_reached_is_refused() -> None:
    found = doctor_labels.findings(ward(daily(50), as_of=START + 60 * DAY))
    assert [(f.level, f.subject) for f in found] == [("refuse", "target won")]


def test_few_outcomes_are_said() -> None:
    created = daily(30)
    found = doctor_labels.findings(ward(created, every_tenth(created, DAY), as_of=START + 90 * DAY))
    assert told(found, "fewer than 40")[0].level == "warn"


@pytest.mark.parametrize(("declared", "level"), [(False, "warn"), (True, "ok")])
def test_outcomes_recorded_late_are_a_left_truncation_with_its_day(declared: bool, level: str) -> None:
    created, since = daily(300), START + 150 * DAY
    reached = every_tenth(created, 10 * DAY, since=since)
    history = {"stage_changes": since} if declared else {}
    found = told(
        doctor_labels.findings(ward(created, reached, as_of=START + 340 * DAY, history_from=history)), "left truncation"
    )
    assert [f.level for f in found] == [level]
    assert "2025-05-31" in found[0].evidence


def test_outcomes_that_stop_are_said_with_their_day() -> None:
    created = daily(200)
    reached = every_tenth(created, 10 * DAY, until=START + 120 * DAY)
    found = told(doctor_labels.findings(ward(created, reached, as_of=START + 200 * DAY)), "stop")
    assert "last outcome 2025-04-29" in found[0].evidence


def test_outcomes_still_to_come_are_estimated_from_the_pace_of_earlier_ones() -> None:
    rng = np.random.default_rng(7)
    created = daily(120, 40).astype(float)
    delay = rng.uniform(0, 60 * DAY, len(created))
    reached = created + delay
    reached[rng.random(len(created)) > 0.3] = np.nan
    as_of = START + 120 * DAY
    truly = float((reached >= as_of).sum() / np.isfinite(reached).sum())
    seen = np.where(reached < as_of, reached, np.nan)
    estimate = doctor_labels.outcomes_to_come(seen, created.astype("int64"), as_of)
    assert 0.2 < truly < 0.3
    assert abs(estimate - truly) < 0.04


def test_the_delay_distribution_without_truncation_is_the_plain_one() -> None:
    days = np.array([1, 1, 2, 5])
    found = doctor_labels.delay_distribution(days, np.array([9, 9, 9, 9]))
    np.testing.assert_allclose(found, [0, 0.5, 0.75, 0.75, 0.75, 1, 1, 1, 1, 1])


def test_a_moving_base_rate_is_said_with_its_ends() -> None:
    created = np.arange(1, 2001) * ROW_STEP
    rng = np.random.default_rng(1)
    won = rng.random(2000) < np.linspace(0.02, 0.5, 2000)
    found = doctor_labels.findings(
        ward(created, {i: float(created[i] + 2) for i in np.flatnonzero(won)}, as_of=3000 * ROW_STEP, time="row")
    )
    first, last = won[:200].mean(), won[-200:].mean()
    assert (
        f"from {100 * first:.1f}% in the first tenth to {100 * last:.1f}% in the last" in told(found, "moves")[0].what
    )


def test_repeated_and_contradicting_leads_are_counted() -> None:
    rows = ["a", "a", "a", "b", "b", "c"] + [f"x{i}" for i in range(94)]
    created = np.arange(1, 101) * ROW_STEP
    attributes = {f"c{k}": rows for k in range(6)}
    found = doctor_likeness.findings(ward(created, {1: 0.0, 3: 0.0}, as_of=2**50, attributes=attributes, time="row"))
    # a, a lost and a won: one repeat, one contradiction; b won and b lost: one contradiction.
    assert told(found, "duplicate")[0].evidence.startswith("1 of 100 leads repeat")
    assert "2 groups of equal leads contradict" in told(found, "duplicate")[0].evidence


def test_few_columns_make_equal_leads_no_surprise() -> None:
    found = doctor_likeness.findings(ward(daily(40), {1: 0.0}, as_of=2**60, attributes={"c": ["a"] * 200}))
    assert told(found, "duplicate") == []


def test_categories_that_arrive_late_are_counted() -> None:
    values = ["old"] * 150 + ["old", "new"] * 25
    found = doctor_likeness.findings(ward(daily(40), as_of=2**60, attributes={"page": values}))
    assert "50.0% of the newest 50 leads hold one of 1 levels" in found[0].evidence


@pytest.mark.parametrize(
    ("hour", "zone", "what"),
    [(0, "Asia/Tokyo", "all leads were created at 9:00 in Asia/Tokyo"), (0, "UTC", "creation times are whole days")],
)
def test_days_of_another_zone_are_noticed(hour: int, zone: str, what: str) -> None:
    found = doctor_times.findings(ward(daily(20) + hour * HOUR, as_of=2**60, zone=zone), now=2**60)
    assert told(found, what)


def test_night_work_makes_the_zone_doubtful() -> None:
    nights = [START + d * DAY + 15 * HOUR for d in range(200)]
    found = doctor_times.findings(
        ward(daily(20) + 9 * HOUR + 1, touchpoints=nights, as_of=2**60, zone="Asia/Tokyo"), now=2**60
    )
    assert told(found, "100.0% of the leads' own touchpoints lie between 22 and 6")


def test_touchpoints_that_begin_late_are_said() -> None:
    found = doctor_times.findings(ward(daily(100) + 1, touchpoints=[START + 60 * DAY], as_of=2**60), now=2**60)
    assert "2025-03-02" in told(found, "begin long after")[0].next_step


def test_an_as_of_time_to_come_and_leads_that_are_not() -> None:
    assert told(doctor_times.findings(ward(daily(3), as_of=START + 99 * DAY), now=START), "lies in the future")
    assert doctor_times.findings(ward(np.array([], "int64"), as_of=1), now=1)[0].level == "refuse"


def profile(**changes: object) -> ColumnProfile:
    plain = {
        "file": "leads.csv", "column": "x", "role": "attribute", "attribute": "x", "type": "category", "rows": 1000,
        "filled": 1000, "distinct": 5, "whole_numbers": False, "filled_of_won": 1.0, "filled_of_others": 1.0,
        "won": 100, "declared_missing": (), "missing": (), "spikes": (), "top": (), "alone": 0.6,
    }  # fmt: skip
    return ColumnProfile(**{**plain, **changes})  # type: ignore[arg-type]


EXCLUSIVE = {"filled": 100, "filled_of_others": 0.0}


@pytest.mark.parametrize(
    ("changes", "level", "what"),
    [
        ({}, None, ""),
        (EXCLUSIVE, "refuse", "a perfect leak"),
        ({**EXCLUSIVE, "role": "undeclared"}, "warn", "exists only for leads with the outcome"),
        ({**EXCLUSIVE, "role": "outcome"}, "ok", "rightly kept out"),
        ({**EXCLUSIVE, "won": 5}, None, ""),
        ({"alone": 0.9}, "warn", "suspiciously well"),
        ({"alone": 0.9, "role": "undeclared"}, "warn", "suspiciously well"),
        ({"alone": 0.9, "role": "outcome"}, "ok", "rightly kept out"),
        ({"spikes": ("999",)}, "warn", "999 stands far from all other values"),
        ({"spikes": ("999",), "declared_missing": ("999",)}, "ok", "999 means missing"),
        ({"missing": (Told("unknown", 9, 0.1),)}, "warn", "looks like missing but is kept"),
        (
            {"missing": (Told("unknown", 9, 0.1),), "declared_missing": ("unknown",)},
            "ok",
            "means missing, as the mapping",
        ),
        ({"missing": (Told("", 9, 0.2), Told("unknown", 9, 0.1))}, "warn", "says missing in two ways"),
        ({"whole_numbers": True, "type": "number"}, "warn", "are they codes?"),
        ({"whole_numbers": True}, "ok", "rightly declared as categories"),
    ],
)
def test_what_a_column_s_profile_gives_away(changes: dict[str, object], level: str | None, what: str) -> None:
    found = doctor_columns.findings(Company(), [profile(**changes)])
    named = [f for f in found if "not declared by the mapping" not in f.what]
    assert [f.level for f in named] == ([level] if level else [])
    assert all(what in f.what and "x" in f.subject for f in named)


def test_a_column_is_not_doubted_where_the_mapping_says_why() -> None:
    from data.company import CompanyColumn

    company = Company(columns=(CompanyColumn("x", allowed_because="typed in by the visitor"),))
    assert doctor_columns.findings(company, [profile(alone=0.9)]) == []
    assert doctor_columns.findings(company, [profile(**EXCLUSIVE)]) == []


def test_columns_nobody_declared_are_listed() -> None:
    found = doctor_columns.findings(Company(), [profile(role="undeclared"), profile(role="undeclared", column="y")])
    assert found[0].subject == "leads.csv: x, y"


def test_auc_is_the_chance_of_ranking_a_pair_rightly() -> None:
    score, won = np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, True, False, True])
    pairs = [(a > b) + 0.5 * (a == b) for a in score[won] for b in score[~won]]
    assert auc(score, won) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("kind", ["number", "category"])
def test_one_column_alone_is_judged_on_later_rows_only(kind: str) -> None:
    rng = np.random.default_rng(3)
    won = rng.random(4000) < 0.2
    told_earlier = pd.Series(np.where(won, 1.0, 0.0) + rng.normal(0, 0.01, 4000))
    told_earlier[2800:] = rng.random(1200)
    told_later = pd.Series(np.where(won, 5.0, 1.0) + rng.normal(0, 0.5, 4000))
    values = [v if kind == "number" else v.round().astype(str) + "€" for v in (told_earlier, told_later)]
    assert forward_auc(values[0], won) == pytest.approx(0.5, abs=0.06)
    assert forward_auc(values[1], won) > 0.95
    assert forward_auc(values[1], np.zeros(4000, bool)) is None
