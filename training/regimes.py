"""Changes of regime: whether the base rate or the mix of leads moved within what was known, and when.

Lead cycles, one row each at their beginning, are cut in the order of time into
blocks of equal size. The statistic is the largest standardised difference
between the mean before and after any cut (of the outcome's rate; for the mix,
over all columns at once). Its null distribution comes from permuting whole
blocks: what varies within a block (accounts with several leads, days, shows)
varies in the permuted histories too, and so does a season much shorter than
the history. A change is told only where it is also large enough to matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from training.intervals import Interval
from training.slices import Fold

FEWEST_BLOCKS, MOST_BLOCKS = 24, 48
IN_BLOCK = 100
"""Lead cycles in a block, where there are enough …"""
LEAST_IN_BLOCK = 10
"""… and at least."""
LEAST_BLOCKS = 10
"""Fewer blocks have too few permutations that differ."""
EDGE, EDGE_SHARE = 3, 12
"""Blocks on either side of a cut, at least, and as one in so many of all: a peak in a block or two is no regime."""
PERMUTATIONS = 1_999
ALPHA = 0.004
"""Of each of the two questions at each look; a training run looks some six times, at nearly the same history."""
MOVED_ODDS = 0.25
"""Log-odds by which the base rate must move to be told: a quarter more or less odds."""
MOVED_SHARE = 0.05
"""By which a level's share of the leads must move."""
MOVED_MEAN = 0.25
"""Standard deviations by which a number's mean must move."""

What = Literal["base rate", "mix"]


@dataclass(frozen=True)
class Cohorts:
    """n lead cycles in the order of time; `columns` [n, k] say who they are, by `names`."""

    at: np.ndarray
    """Microseconds at which each cycle began, rising."""
    label: np.ndarray
    """NaN where it is not known yet."""
    matured_at: np.ndarray
    """Microseconds from which on the label is known."""
    columns: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    names: tuple[str, ...] = ()
    """Of the columns; a level's indicator is named `feature = level`."""

    def until(self, known: np.ndarray) -> Cohorts:
        """The cycles of a mask."""
        columns = self.columns[known] if self.names else self.columns
        return Cohorts(self.at[known], self.label[known], self.matured_at[known], columns, self.names)


@dataclass(frozen=True)
class Change:
    what: What
    name: str
    """Of the column that moved most; of the outcome's rate `outcome`."""
    at: int
    """Microseconds: the first block after the change begins here."""
    before: float
    """Rate, share or mean between the change before this one and this one …"""
    after: float
    """… and from it to the next one, or the end."""
    chance: float
    """Of so large a statistic where nothing changed."""


@dataclass(frozen=True)
class Look:
    """What could be seen at one time, from what was known then."""

    at: int
    """Microseconds."""
    cycles: int
    """Lead cycles whose outcome was known."""
    since: int
    """Microseconds: the newest regime of the base rate began here, or the history."""
    rate: Interval
    """Of outcomes since then, with its 95% interval by blocks of time."""
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Regimes:
    now: Look
    before_slices: tuple[Look, ...]
    """One look before each of the backtest's slices."""


def regimes(cohorts: Cohorts, folds: Sequence[Fold]) -> Regimes:
    """Looks at all that is known, and at what was known before each fold's slice began."""
    end = int(max(cohorts.at[-1], cohorts.matured_at[~np.isnan(cohorts.label)].max())) + 1
    return Regimes(look(cohorts, end), tuple(look(cohorts, f.begins) for f in folds))


def look(cohorts: Cohorts, at: int) -> Look:
    """Uses labels known before `at` and cycles that began before it."""
    judged = cohorts.until((cohorts.matured_at <= at) & ~np.isnan(cohorts.label))
    moved = base_rate_changes(judged)
    since = moved[-1].at if moved else int(judged.at[0]) if len(judged.at) else at
    newest = judged.label[judged.at >= since]
    return Look(at, len(judged.at), since, _rate(newest), (*moved, *mix_changes(cohorts.until(cohorts.at < at))))


def _rate(label: np.ndarray) -> Interval:
    """Mean and ± 1.96 standard errors of it, blocks of time being independent."""
    if not len(label):
        return Interval(float("nan"), float("nan"), float("nan"))
    mean, blocks = float(label.mean()), max(block_count(len(label)), 1)
    parts = np.array([part.mean() for part in np.array_split(label, blocks)])
    error = float(parts.std(ddof=1) / np.sqrt(blocks)) if blocks > 1 else float("nan")
    return Interval(mean, max(mean - 1.96 * error, 0.0), min(mean + 1.96 * error, 1.0))


def base_rate_changes(cohorts: Cohorts, *, alpha: float = ALPHA, seed: int = 0) -> tuple[Change, ...]:
    """Every change of the outcome's rate, oldest first; by halving at the clearest cut while chance explains it not."""
    known = cohorts.until(~np.isnan(cohorts.label))
    return _changes("base rate", known.at, known.label[:, None], ("outcome",), alpha, seed)


def mix_changes(cohorts: Cohorts, *, alpha: float = ALPHA, seed: int = 0) -> tuple[Change, ...]:
    """Likewise of who the leads are; each change names the column that moved most."""
    if not cohorts.names:
        return ()
    return _changes("mix", cohorts.at, cohorts.columns, cohorts.names, alpha, seed)


def _changes(
    what: What, at: np.ndarray, values: np.ndarray, names: Sequence[str], alpha: float, seed: int
) -> tuple[Change, ...]:
    cuts = sorted(_cuts(what, values, names, 0, len(at), alpha, seed))
    ends = [0, *(c[0] for c in cuts), len(at)]
    found = []
    for k, (cut, column, chance) in enumerate(cuts, 1):
        before, after = values[ends[k - 1] : cut, column].mean(), values[cut : ends[k + 1], column].mean()
        found.append(Change(what, names[column], int(at[cut]), float(before), float(after), chance))
    return tuple(found)


def _cuts(
    what: What, values: np.ndarray, names: Sequence[str], first: int, last: int, alpha: float, seed: int
) -> list[tuple[int, int, float]]:
    """(position, column, chance) of the cuts within rows first … last."""
    count = block_count(last - first)
    if count < LEAST_BLOCKS:
        return []
    edges = np.linspace(first, last, count + 1).astype(int)
    sums = np.add.reduceat(values[first:last], edges[:-1] - first, axis=0)
    place, column, chance = clearest_cut(sums / np.diff(edges)[:, None], seed=seed)
    cut = int(edges[place])
    if chance > alpha or not _matters(what, names[column], values[first:cut, column], values[cut:last, column]):
        return []
    found = [(cut, column, chance)]
    for low, high in ((first, cut), (cut, last)):
        found += _cuts(what, values, names, low, high, alpha / 2, seed)
    return found


def block_count(cycles: int) -> int:
    """Into how many blocks so many cycles are cut."""
    return min(max(cycles // IN_BLOCK, FEWEST_BLOCKS), MOST_BLOCKS, cycles // LEAST_IN_BLOCK)


def clearest_cut(means: np.ndarray, *, seed: int, permutations: int = PERMUTATIONS) -> tuple[int, int, float]:
    """(block before which to cut, column, chance of so clear a cut in any column by permuted blocks) of [blocks, k]."""
    spread = means.std(axis=0)
    z = (means - means.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    observed = _contrast(z[None])[0]
    place, column = np.unravel_index(int(np.argmax(observed)), observed.shape)
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(len(z)), (permutations, 1)), axis=1)
    top = np.concatenate([_contrast(z[part]).max(axis=(1, 2)) for part in np.array_split(orders, 10)])
    beyond = int((top >= observed[place, column] - 1e-9).sum())
    return int(place) + _edge(len(z)), int(column), (1 + beyond) / (1 + permutations)


def _contrast(z: np.ndarray) -> np.ndarray:
    """[draws, cuts, k]: |mean after − mean before| in standard errors of independent blocks, of [draws, blocks, k]."""
    blocks = z.shape[1]
    edge = _edge(blocks)
    ahead = np.cumsum(z, axis=1)[:, edge - 1 : blocks - edge]
    size = np.arange(edge, blocks - edge + 1)[None, :, None]
    return np.abs(ahead) * np.sqrt(blocks / (size * (blocks - size)))


def _edge(blocks: int) -> int:
    return max(EDGE, blocks // EDGE_SHARE)


def _matters(what: What, name: str, before: np.ndarray, after: np.ndarray) -> bool:
    if what == "base rate":
        return abs(_logit(after) - _logit(before)) >= MOVED_ODDS
    moved = abs(float(after.mean() - before.mean()))
    if " = " in name:
        return moved >= MOVED_SHARE
    spread = float(np.concatenate([before, after]).std())
    return moved >= MOVED_MEAN * spread


def _logit(label: np.ndarray) -> float:
    rate = (label.sum() + 0.5) / (len(label) + 1.0)
    return float(np.log(rate / (1.0 - rate)))
