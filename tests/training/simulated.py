"""The simulator's lead cycles as the watch over regimes sees them, straight from its tables: a second a company."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.simulator.block_tables import tables_of_block
from data.simulator.history import SampleShares
from data.simulator.world import World
from data.times import DAY
from training.regimes import Cohorts

LEAD = ("channel", "job_title_band", "department", "current_tool")
ACCOUNT = ("industry", "employee_band", "prefecture", "country")
HORIZON, LAG = 90 * DAY, 7 * DAY


def simulated_cohorts(world: World, seed: int, leads: int) -> Cohorts:
    """First cycles with won within 90 days, NaN where that is not known at the end, and who the leads are."""
    tables = tables_of_block(world, seed, 0, leads, SampleShares()).tables
    frame, changes, accounts = (tables[name].to_pandas() for name in ("leads", "stage_changes", "accounts"))
    frame = frame.merge(accounts[["account_id", *(c for c in ACCOUNT if c in accounts)]], on="account_id", how="left")
    at = _micros(frame["occurred_at"])
    won = (
        changes[changes["stage"] == "won"].assign(at=lambda f: _micros(f["occurred_at"])).groupby("lead_id")["at"].min()
    )
    reached = frame["lead_id"].map(won).to_numpy(dtype=float)
    label = ((reached >= at) & (reached < at + HORIZON)).astype(float)
    label[at + HORIZON + LAG > world.end_at] = np.nan
    columns = {name: values for c in (*LEAD, *ACCOUNT) if c in frame for name, values in _shares(c, frame[c]).items()}
    order = np.argsort(at, kind="stable")
    return Cohorts(
        at[order],
        label[order],
        (at + HORIZON + LAG)[order],
        np.column_stack(list(columns.values()))[order],
        tuple(columns),
    )


def _micros(texts: pd.Series) -> np.ndarray:
    instants = pd.to_datetime(texts, utc=True).dt.tz_localize(None)
    return instants.to_numpy().astype("datetime64[us]").astype(np.int64)


def _shares(name: str, values: pd.Series) -> dict[str, np.ndarray]:
    texts = values.astype(object).where(values.notna(), "not known")
    often = texts.value_counts(normalize=True)
    return {f"{name} = {k}": (texts == k).to_numpy(dtype=float) for k, share in often.items() if share > 0.02}
