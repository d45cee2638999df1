"""How much each row says: weekly rows of one lead share one outcome and must not shout it down.

The row at the cycle's beginning weighs 1. The n later rows together weigh
1 + (n − 1)·step/horizon: a first row, and one more for each horizon's length
the cycle was watched, since rows whose outcome windows overlap tell the same
story. So the sum of weights counts about the independent answers, smoothing
and regularisation mean what they say, and neither new leads nor the old open
ones rule the fit.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.times import WEEK

MOST_ROWS = 80_000
"""Beyond this, later rows are sampled: at weekly steps they are nearly copies of each other."""
MOST_CYCLES = 300_000
"""Beyond this, whole cycles are sampled."""


def marked_creation(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds `creation`: whether a row is the first of its cycle. To be asked of all rows, before any is left out."""
    return rows.assign(creation=rows["as_of"] == rows.groupby("cycle_id", sort=False)["as_of"].transform("min"))


def weighed(rows: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Adds `weight` to rows with cycle_id, as_of and creation."""
    later = (~rows["creation"]).groupby(rows["cycle_id"], sort=False).transform("sum")
    share = 1.0 + (later - 1) * min(WEEK / max(horizon, 1), 1.0)
    return rows.assign(weight=np.where(rows["creation"], 1.0, share / later.clip(lower=1)))


def thinned(
    rows: pd.DataFrame, *, most_rows: int = MOST_ROWS, most_cycles: int = MOST_CYCLES, seed: int
) -> pd.DataFrame:
    """Weighed rows, sampled by a seeded draw where they are too many; the kept carry the weight of the rest.

    Whole cycles go beyond `most_cycles`; then later rows, never the first of a
    cycle, until about `most_rows` are left.
    """
    rows = _cycles_sampled(rows, most_cycles, seed)
    creation = rows["creation"].to_numpy()
    room, later = most_rows - creation.sum(), (~creation).sum()
    if later == 0 or room >= later:
        return rows
    share = max(room / later, 0.05)
    draw = _draw(rows["cycle_id"] + "@" + rows["as_of"].astype(str), seed)
    kept = rows[creation | (draw < share)]
    return kept.assign(weight=np.where(kept["creation"], kept["weight"], kept["weight"] / share))


def _cycles_sampled(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    cycles = rows["cycle_id"].drop_duplicates()
    if len(cycles) <= most:
        return rows
    kept = cycles.iloc[np.argsort(_draw(cycles, seed), kind="stable")[:most]]
    chosen = rows[rows["cycle_id"].isin(kept)]
    return chosen.assign(weight=chosen["weight"] * (len(cycles) / most))


def _draw(names: pd.Series, seed: int) -> np.ndarray:
    """A number in [0, 1) per name, the same whatever the order of rows."""
    hashed = pd.util.hash_pandas_object(names + f"#{seed}", index=False).to_numpy()
    return np.asarray(hashed / 2.0**64)
