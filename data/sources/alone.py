"""How well one column alone tells later outcomes from what earlier rows taught: the mark of a leak.

Values are grouped on the earlier rows (figures in twentieths, words as they
are, missing as a group of its own), each group gets its smoothed share of
outcomes, and the later rows are ranked by it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EARLIER = 0.7
"""Share of rows, in order of time, that teach."""
GROUPS = 20
SMOOTHING = 20.0
MISSING = -1
FEWEST = 10
"""Outcomes of either kind that must be in both parts."""

Flags = NDArray[np.bool_]


def forward_auc(values: pd.Series, won: Flags) -> float | None:
    """AUC on the later rows of `values` alone, rows in order of time; None where outcomes are too few.

    Text that is not all figures counts as categories.
    """
    cut = int(len(won) * EARLIER)
    if min(won[:cut].sum(), (~won[:cut]).sum(), won[cut:].sum(), (~won[cut:]).sum()) < FEWEST:
        return None
    groups = grouped(values, cut)
    mean = won[:cut].mean()
    told = pd.DataFrame({"group": groups[:cut], "won": won[:cut]}).groupby("group")["won"].agg(["sum", "count"])
    share = (told["sum"] + SMOOTHING * mean) / (told["count"] + SMOOTHING)
    return auc(pd.Series(groups[cut:]).map(share).fillna(mean).to_numpy(), won[cut:])


def grouped(values: pd.Series, cut: int) -> NDArray[np.int64]:
    """A group a row, learnt from the rows before `cut`; MISSING for missing."""
    places, different = pd.factorize(values)
    read = pd.to_numeric(pd.Series(different), errors="coerce").to_numpy("float64")
    if len(different) <= GROUPS or np.isfinite(read).mean() < 0.95:
        return places
    figures = np.append(read, np.nan)[places]
    earlier = figures[:cut][np.isfinite(figures[:cut])]
    edges = np.unique(np.quantile(earlier, np.linspace(0, 1, GROUPS + 1)[1:-1])) if len(earlier) else np.array([])
    return np.where(np.isfinite(figures), np.searchsorted(edges, figures), MISSING)


def auc(score: NDArray[np.float64], won: Flags) -> float:
    """Chance that a row with the outcome ranks above one without; ties count half."""
    ranks = pd.Series(score).rank().to_numpy()
    n_won, n_rest = int(won.sum()), int((~won).sum())
    return float((ranks[won].sum() - n_won * (n_won + 1) / 2) / (n_won * n_rest))
