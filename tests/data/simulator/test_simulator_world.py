"""The calendar, the changes a scenario is made of, and how hard the default world is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest

from data.simulator.block_tables import tables_of_block
from data.simulator.history import SampleShares
from data.simulator.proof import prove
from data.simulator.world import CHANNELS, OPPORTUNITY, Change, World, calendar_of


def _day(world: World, text: str) -> int:
    return int((np.datetime64(text) - np.datetime64(world.start_date)).astype(int))


@pytest.mark.parametrize(
    ("day", "open_"),
    [
        ("2025-01-01", False), ("2025-01-03", False), ("2025-01-06", True), ("2025-05-05", False),
        ("2025-08-14", False), ("2025-08-18", True), ("2025-11-22", False), ("2025-11-25", True),
    ],
)  # fmt: skip
def test_the_office_is_open_or_closed(day, open_):
    world = World()
    assert calendar_of(world).business[_day(world, day)] == open_


def test_budgets_end_with_the_fiscal_year():
    world = World()
    log_factor = calendar_of(world).advance[:, OPPORTUNITY]
    march, may, april = (log_factor[_day(world, d)] for d in ("2026-03-25", "2026-05-25", "2026-04-07"))
    assert march > may + 0.5 > april + 0.5


@pytest.mark.parametrize(("ramp", "halfway"), [(0, 1.0), (100, 0.5)])
def test_a_change_takes_effect_on_its_day(ramp, halfway):
    change = Change("channel_quality", -2.0, day=400, which="webinar", ramp_days=ramp)
    quality = calendar_of(replace(World(), changes=(change,))).channel_quality
    column = CHANNELS.index("webinar")
    assert (quality[:400] == 0).all()
    assert quality[449, column] == pytest.approx(-2.0 * halfway)
    assert quality[600, column] == -2.0
    assert (np.delete(quality, column, axis=1) == 0).all()


@pytest.mark.parametrize(
    ("change", "more"),
    [
        (Change("arrivals", 2.0, day=0, which="partner"), "partner"),
        (Change("advance", 1.0, day=0, which="new"), "mql"),
        (Change("give_up", 1.5, day=0), "disqualified"),
        (Change("sessions", 0.5, day=0), "page_view"),
    ],
)
def test_changes_move_what_they_name(change, more):
    before, after = (
        tables_of_block(replace(World(), changes=changes), 8, 0, 1_500, SampleShares()).tables
        for changes in ((), (change,))
    )
    column, table = {"partner": ("channel", "leads"), "page_view": ("kind", "touchpoints")}.get(
        more, ("stage", "stage_changes")
    )
    count = [pc.sum(pc.equal(tables[table][column], more)).as_py() for tables in (before, after)]
    assert count[1] > 1.15 * count[0]


def test_the_default_world_is_as_hard_as_it_claims():
    """`python -m data.simulator.proof` shows the same with more leads and boosted trees beside it."""
    found = prove(World(), leads=16_000, truth_rows=700, trees=False)
    assert 0.03 < found.base_rate < 0.08
    assert 0.75 < found.oracle_auc < 0.85
    assert found.behaviour_share > 0.30
    assert 0.5 < found.logistic < 0.93
    assert found.wins_a_lead > 0.03
    assert 27 < found.touchpoints_a_lead < 35
