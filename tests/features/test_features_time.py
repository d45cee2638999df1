"""What a feature may know, and how it moves while nothing happens."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from data.company import Company
from data.records import Attribute, LeadHistory, StageChange, Touchpoint
from features.catalogue import declarations
from features.declaration import Declaration
from features.online import OnlineFeatures, Value
from tests.features import oracle
from tests.features.comparing import batch_values, catalogue, company, rows_of
from tests.features.worlds import KINDS, World, lead, world

DAY = 86_400_000_000


def later_records(rng: random.Random, as_of: int) -> tuple[int, int]:
    """Times of a record that happened, or became known, at or after `as_of`."""
    return rng.choice(
        [
            (as_of, as_of),
            (as_of, as_of - DAY),
            (as_of - DAY, as_of),
            (as_of + DAY, as_of + DAY),
            (as_of - 400 * DAY, as_of),
        ]
    )


def with_the_future(history: LeadHistory, rng: random.Random, as_of: int) -> LeadHistory:
    touches = [Touchpoint(rng.choice(KINDS), "lead", *later_records(rng, as_of), "web", "c1", "/p") for _ in range(5)]
    stages = [
        StageChange("won", *later_records(rng, as_of)),
        StageChange("recycled", *later_records(rng, as_of), "later"),
    ]
    values = [
        Attribute("department", *later_records(rng, as_of), "later"),
        Attribute("渇望度", *later_records(rng, as_of), None, 9.0),
    ]
    account = history.account
    if account:
        siblings = tuple(replace(s, touchpoints=(*s.touchpoints, *touches)) for s in account.siblings)
        account = replace(
            account, siblings=siblings, attributes=(*account.attributes, Attribute("industry", as_of, 0, "later"))
        )
    return replace(
        history,
        touchpoints=(*touches, *history.touchpoints),
        stages=(*stages, *history.stages),
        attributes=(*values, *history.attributes),
        cycles=(*history.cycles, later_records(rng, as_of)),
        account=account,
    )


@pytest.mark.parametrize("seed", range(3))
def test_records_at_or_after_the_instant_change_nothing_online(seed: int) -> None:
    rng = random.Random(seed)
    of = company()
    online = OnlineFeatures(catalogue(of), of)
    for number in range(100):
        w = world(rng.choice, f"w{number}")
        for history in w.leads:
            assert online.row(with_the_future(history, rng, w.as_of), w.as_of) == online.row(history, w.as_of)


def test_records_at_or_after_the_instant_change_nothing_in_batch() -> None:
    rng = random.Random(5)
    of = company()
    worlds = [world(rng.choice, f"w{number}") for number in range(60)]
    told = [replace(w, leads=tuple(with_the_future(history, rng, w.as_of) for history in w.leads)) for w in worlds]
    rows = [row for row in rows_of(worlds) if any(row[0] in w.leads and row[3] == w.as_of for w in worlds)]
    wanted = catalogue(of)
    assert batch_values(told, rows, of, wanted) == batch_values(worlds, rows, of, wanted)


def number(value: Value, d: Declaration) -> float:
    """Recency that was never is the oldest."""
    if value is None:
        return float("inf") if d.kind.startswith("days_since") else 0.0
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize("timezone", ["Asia/Tokyo", "Europe/Berlin"])
def test_values_move_as_their_ageing_says_while_nothing_happens(timezone: str) -> None:
    rng = random.Random(9)
    of = company(timezone)
    wanted = [d for d in catalogue(of) if d.ageing != "free"]
    assert len(wanted) > 70
    online = OnlineFeatures(wanted, of)
    for n in range(150):
        w = world(rng.choice, f"w{n}", busy=12)
        start = w.as_of + 400 * DAY  # everything is known by then, however late
        instants = sorted(start + rng.randrange(400 * DAY) for _ in range(4))
        for history in w.leads:
            rows = [online.row(history, t) for t in instants]
            for earlier, later in pairwise(rows):
                for d, before, after in zip(wanted, earlier, later, strict=True):
                    if d.ageing == "still":
                        assert before == after, d.name
                    elif d.ageing == "falls":
                        assert number(before, d) >= number(after, d), d.name
                    else:
                        assert number(before, d) <= number(after, d), d.name


def test_default_behaviour_features_keep_the_decay_guarantee_but_for_the_trend() -> None:
    free = [d.name for d in declarations(Company()) if not d.keeps_decay_guarantee]
    assert free == ["touchpoints_90d_trend"]


def test_ten_thousand_touchpoints() -> None:
    rng = random.Random(1)
    of = company()
    as_of = 1_740_322_800_000_000
    history = lead(rng.choice, "big", as_of, busy=0)
    history = replace(
        history,
        touchpoints=tuple(
            Touchpoint(rng.choice(KINDS), "lead", t, t + rng.choice((0, DAY)), rng.choice(("web", None)), None, None)
            for t in (as_of - rng.randrange(1, 500 * DAY) for _ in range(10_000))
        ),
    )
    worlds = [World("big", as_of, (history,), {"big": None})]
    wanted = catalogue(of)
    start = oracle.cycle(history, as_of)[0]
    expected = [oracle.value(d, history, as_of, of) for d in wanted]
    assert OnlineFeatures(wanted, of).row(history, as_of) == expected
    assert batch_values(worlds, [(history, "big", start, as_of)], of, wanted) == {("big", as_of): expected}


def test_an_empty_history_has_counts_of_zero_and_nulls() -> None:
    of = Company()
    wanted = declarations(of)
    row = dict(zip([d.name for d in wanted], OnlineFeatures(wanted, of).row(LeadHistory("a", 1, 1), 10), strict=True))
    assert row["touchpoints_ever_count"] == 0.0
    assert row["days_since_last_touchpoint"] is None
    assert row["industry"] is None
    assert row["industry_missing"] == 1.0
    assert row["account_other_leads"] is None
    assert row["times_recycled"] == 0.0


def test_the_order_of_records_changes_nothing() -> None:
    rng = random.Random(3)
    of = company()
    online = OnlineFeatures(catalogue(of), of)
    for n in range(50):
        w = world(rng.choice, f"w{n}")
        for history in w.leads:
            shuffled = replace(
                history,
                touchpoints=tuple(rng.sample(history.touchpoints, len(history.touchpoints))),
                stages=tuple(rng.sample(history.stages, len(history.stages))),
                attributes=tuple(rng.sample(history.attributes, len(history.attributes))),
            )
            assert online.row(shuffled, w.as_of) == online.row(history, w.as_of)


def test_a_lead_of_which_nothing_is_known_still_has_its_row() -> None:
    of = company()
    wanted = catalogue(of)
    values = batch_values([], [(LeadHistory("ghost", 5, 5), None, None, 5)], of, wanted)["ghost", 5]
    assert values == [oracle.value(d, LeadHistory("ghost", 5, 5), 5, of) for d in wanted]
