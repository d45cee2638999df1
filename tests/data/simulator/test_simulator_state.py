"""The state that hazards read, built again from the written records alone, slowly.

This is what "hazards depend only on recorded quantities" means: whoever has
the tables can compute every number the next day is drawn from.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data.simulator.truth import States
from data.simulator.world import STAGE_NAMES, World

WORLD = World()
STRONG = {"pricing_view", "download", "inquiry", "seminar", "meeting"}


START = pd.Timestamp(WORLD.end) - pd.Timedelta(days=WORLD.days)


def _day(at):
    """Whole days (Japan) since the period began."""
    return (at - START) // pd.Timedelta(days=1)


def _known(mine: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    return mine[(mine["recorded_at"] < as_of) & (mine["occurred_at"] < as_of)]


def _state(mine: dict[str, pd.DataFrame], as_of: pd.Timestamp, today: int) -> dict[str, float]:
    """`mine`: the lead's own rows of each table."""
    touches = _known(mine["touchpoints"], as_of)
    own = touches[(touches["actor"] == "lead") & (touches["kind"] != "email_unsubscribed")]
    age = today - _day(own["occurred_at"])
    steps = _known(mine["stage_changes"], as_of).sort_values("recorded_at")
    record = mine["leads"].iloc[0]
    starts = steps[steps["stage"] == "recycled"]["occurred_at"]
    newest = steps.iloc[-1] if len(steps) else None
    entered = record["occurred_at"] if newest is None else newest["occurred_at"]
    known = record["recorded_at"] if newest is None else newest["recorded_at"]
    stage = "new" if newest is None or newest["stage"] == "recycled" else newest["stage"]
    agreed = bool(((mine["consents"]["purpose"] == "marketing") & (mine["consents"]["granted"] == "true")).any())
    return {
        "interest": float((0.5 ** (age / 7)).sum()),
        "intent": float((0.5 ** (age / 14))[own["kind"].isin(STRONG)].sum()),
        "last": int(_day(own["occurred_at"]).max()),
        "stage": STAGE_NAMES.index(stage),
        "cycle": len(starts),
        "begun": _day(starts.max() if len(starts) else record["occurred_at"]),
        "entered": _day(entered),
        "known": _day(known),
        "mailable": agreed and not (touches["kind"] == "email_unsubscribed").any(),
    }


def _rows_by_lead(tables: dict[str, pd.DataFrame], leads: set[str]) -> dict[str, dict[str, pd.DataFrame]]:
    lead_of = tables["leads"].set_index("person_id")["lead_id"]
    consents = tables["consents"]
    consents = consents.assign(lead_id=lead_of.loc[consents["person_id"]].to_numpy())
    wanted = {name: tables[name] for name in ("touchpoints", "stage_changes", "leads")} | {"consents": consents}
    wanted = {name: table[table["lead_id"].isin(leads)] for name, table in wanted.items()}
    return {lead: {name: t[t["lead_id"] == lead] for name, t in wanted.items()} for lead in leads}


@pytest.fixture(scope="module")
def rebuilt(sampled) -> list[tuple[dict[str, float], dict[str, float]]]:
    """(state as the records give it, state as the simulator had it) of every sort of row."""
    lanes = sampled.rows.lanes
    as_of = States(lanes, sampled.rows.first_day, sampled.rows.second).as_of(WORLD)
    later = np.flatnonzero(lanes.cycle > 0)[:40]
    places = sorted({*range(0, len(lanes), max(len(lanes) // 150, 1)), *later})
    grouped = _rows_by_lead(sampled.tables, {sampled.rows.lead_id[place].as_py() for place in places})
    pairs = []
    for place in places:
        mine, today = grouped[sampled.rows.lead_id[place].as_py()], int(lanes.day[place])
        found = _state(mine, pd.Timestamp(as_of[place], unit="us", tz="UTC"), today)
        pairs.append((found, {name: getattr(lanes, name)[place].item() for name in found}))
    return pairs


@pytest.mark.parametrize("name", ["stage", "cycle", "begun", "entered", "known", "last", "mailable"])
def test_the_state_is_what_the_records_say(rebuilt, name):
    assert len({row[name] for row, _ in rebuilt}) > 1
    assert [row[name] for row, _ in rebuilt] == [lane[name] for _, lane in rebuilt]


@pytest.mark.parametrize("name", ["interest", "intent"])
def test_decayed_sums_are_what_the_records_say(rebuilt, name):
    np.testing.assert_allclose(
        [row[name] for row, _ in rebuilt], [lane[name] for _, lane in rebuilt], rtol=1e-4, atol=1e-5
    )


ATTRIBUTES = ["channel", "job_title_band", "free_mail", "current_tool", "industry", "employee_band"]


@pytest.fixture(scope="module")
def fits(sampled) -> pd.DataFrame:
    """Recorded attributes and fit of every sampled row."""
    accounts = sampled.tables["accounts"][["account_id", "industry", "employee_band"]]
    about = sampled.tables["leads"].merge(accounts, how="left", on="account_id").set_index("lead_id")
    rows = about.loc[sampled.rows.lead_id.to_pylist(), ATTRIBUTES].fillna("?")
    return rows.assign(fit=sampled.rows.lanes.fit).drop_duplicates()


def test_equal_recorded_attributes_are_equal_fit(fits):
    assert len(fits) > 300
    assert not fits.assign(fit=fits["fit"].round(5)).drop_duplicates().duplicated(ATTRIBUTES).any()


@pytest.mark.parametrize(
    ("bands", "effect"),
    [(["1–29", "30–99"], WORLD.fit.executive_small), (["300–999", "1,000–4,999"], WORLD.fit.executive_large)],
)
def test_executives_decide_in_small_companies_and_only_look_in_large_ones(fits, bands, effect):
    """Within a class of sizes fit is a plain sum, so least squares finds the executive's part exactly."""
    some = fits[fits["employee_band"].isin(bands)]
    design = pd.get_dummies(some[ATTRIBUTES].astype(str), drop_first=True, dtype=float)
    job = some["job_title_band"] == "役員"
    base = design.drop(columns=[c for c in design if c.startswith("job_title_band")])
    others = pd.get_dummies(some["job_title_band"].where(~job, "係長"), dtype=float).drop(columns="係長")
    columns = np.column_stack([np.ones(len(some)), job, base, others])
    found, *_ = np.linalg.lstsq(columns, some["fit"].to_numpy(dtype=float), rcond=None)
    assert found[1] == pytest.approx(effect, abs=1e-3)
