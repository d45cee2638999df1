"""How sure the figures are: log loss, Brier and ECE with 95% intervals, in as many cells as one likes.

Accounts (else leads) are drawn again with all their rows, which is what makes
rows of one lead no further evidence. All cells share the draws, and every
figure is a function of sums over rows, so that a draw costs one product with a
sparse matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import expit

from training.blend import row_losses

DRAWS = 200
ECE_BINS = 10
ENDS = (0.025, 0.975)
PIECE = 64
"""Draws held in memory at once."""


@dataclass(frozen=True)
class Interval:
    """A figure and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """n rows that a model had not seen; `margin` is what it said of them."""

    margin: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    """Whole number per account, else lead."""
    cycle: np.ndarray
    """Whole number per lead cycle, within the group."""

    def __len__(self) -> int:
        return len(self.label)

    @cached_property
    def probability(self) -> np.ndarray:
        return np.asarray(expit(self.margin))

    @cached_property
    def times(self) -> np.ndarray:
        """[draws, groups]: how often each draw took each group."""
        count = int(self.groups.max()) + 1
        random = np.random.default_rng(0)
        drawn = (np.bincount(random.integers(0, count, count), minlength=count) for _ in range(DRAWS))
        return np.stack([d.astype(np.float32) for d in drawn])

    @cached_property
    def groups(self) -> np.ndarray:
        return np.unique(self.group, return_inverse=True)[1]


@dataclass(frozen=True)
class Cell:
    """Figures of one part of the rows; rates and means are weighted."""

    name: str
    rows: int
    outcomes: int
    """Lead cycles with the outcome."""
    said: float
    """Mean probability."""
    came: Interval
    """Rate of outcomes."""
    log_loss: Interval
    brier: Interval
    ece: Interval
    """Over ten equally filled bins of the cell."""
    ece_of_chance: float
    """The 95% value of the ECE that exactly these probabilities would show if they were true."""
    bias: Interval
    """Mean probability minus rate; above zero they were too high."""

    @property
    def off(self) -> bool:
        """Whether the probabilities are wrong on the whole, beyond noise."""
        return self.bias.low > 0 or self.bias.high < 0


def cells(judged: Judged, codes: np.ndarray, names: tuple[str, ...]) -> tuple[Cell, ...]:
    """Figures of each part; `codes` [n] is the place in `names` of each row's part, −1 for rows of none."""
    bins = _bins(judged.probability, codes, len(names))
    observed, drawn = _sums(judged, bins, len(names) * ECE_BINS)
    chance = _ece_of_chance(judged, bins, len(names))
    found = []
    for k, name in enumerate(names):
        here, part = codes == k, slice(k * ECE_BINS, (k + 1) * ECE_BINS)
        figures, draws = _figures(observed[:, None, part]), _figures(drawn[:, :, part])
        said, came, loss, brier, ece = (float(f[0]) for f in figures)
        won = judged.cycle[here & (judged.label == 1.0)]
        found.append(
            Cell(
                name=name,
                rows=int(here.sum()),
                outcomes=len(np.unique(won)),
                said=said,
                came=_interval(came, draws[1]),
                log_loss=_interval(loss, draws[2]),
                brier=_interval(brier, draws[3]),
                ece=_reflected(ece, draws[4], float(chance[k])),
                ece_of_chance=float(chance[k]),
                bias=_interval(said - came, draws[0] - draws[1]),
            )
        )
    return tuple(found)


def curve(judged: Judged) -> tuple[tuple[float, Interval], ...]:
    """(mean probability, rate of outcomes) of ten equally filled bins, by rising probability."""
    bins = _bins(judged.probability, np.zeros(len(judged), dtype=int), 1)
    observed, drawn = _sums(judged, bins, ECE_BINS)
    used = np.flatnonzero(observed[0] > 0)
    rates = drawn[2] / np.maximum(drawn[0], 1e-12)
    return tuple(
        (float(observed[1, b] / observed[0, b]), _interval(float(observed[2, b] / observed[0, b]), rates[:, b]))
        for b in used
    )


def gain_curve(judged: Judged) -> tuple[Interval, ...]:
    """Share of the outcomes among the best tenth, two tenths, … of the rows."""
    codes = np.empty(len(judged), dtype=int)
    for tenth, part in enumerate(np.array_split(np.argsort(-judged.margin, kind="stable"), 10)):
        codes[part] = tenth
    observed, drawn = _sums(judged, codes, 10)
    captured, draws = np.cumsum(observed[2]), np.cumsum(drawn[2], axis=1)
    share, shares = captured / max(captured[-1], 1e-12), draws / np.maximum(draws[:, -1:], 1e-12)
    return tuple(_interval(float(share[k]), shares[:, k]) for k in range(10))


def ratio(judged: Judged, upper: np.ndarray, lower: np.ndarray) -> Interval:
    """Σ upper / Σ lower over rows, with its interval."""
    both = [np.bincount(judged.groups, values, minlength=judged.times.shape[1]) for values in (upper, lower)]
    draws = [judged.times @ values for values in both]
    total = float(both[1].sum())
    if total <= 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    return _interval(float(both[0].sum()) / total, draws[0] / np.maximum(draws[1], 1e-12))


def ratio_of(judged: Judged, above: tuple[np.ndarray, np.ndarray], below: tuple[np.ndarray, np.ndarray]) -> Interval:
    """(Σ above[0] / Σ above[1]) / (Σ below[0] / Σ below[1]) over rows, with its interval."""
    sums = [np.bincount(judged.groups, values, minlength=judged.times.shape[1]) for values in (*above, *below)]
    totals, draws = [float(s.sum()) for s in sums], [np.maximum(judged.times @ s, 1e-12) for s in sums]
    return _interval(totals[0] / totals[1] / (totals[2] / totals[3]), draws[0] / draws[1] / (draws[2] / draws[3]))


def _bins(probability: np.ndarray, codes: np.ndarray, count: int) -> np.ndarray:
    """cell × ECE_BINS + bin of each row, equally filled within each cell; −1 for rows of no cell."""
    bins = np.full(len(codes), -1)
    for k in range(count):
        rows = np.flatnonzero(codes == k)
        ranked = rows[np.argsort(probability[rows], kind="stable")]
        for number, part in enumerate(np.array_split(ranked, ECE_BINS)):
            bins[part] = k * ECE_BINS + number
    return bins


def _sums(judged: Judged, codes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """[5, count] and [5, draws, count]: Σ weight × (1, probability, label, loss, squared error) of each code."""
    inside = codes >= 0
    weight, label, said = judged.weight[inside], judged.label[inside], judged.probability[inside]
    losses = row_losses(judged.margin[inside], label)
    place = (codes[inside], judged.groups[inside])
    shape = (count, judged.times.shape[1])
    observed, drawn = [], []
    for values in (np.ones(len(label)), said, label, losses, (said - label) ** 2):
        summed = csr_matrix((weight * values, place), shape=shape)
        observed.append(np.asarray(summed.sum(axis=1)).ravel())
        pieces = np.array_split(judged.times, int(np.ceil(DRAWS / PIECE)))
        drawn.append(np.concatenate([np.asarray(summed @ piece.T).T for piece in pieces]))
    return np.array(observed), np.array(drawn)


def _figures(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(mean probability, rate, log loss, Brier, ECE), each [draws], from [5, draws, bins]."""
    total = sums.sum(axis=2)
    mass = np.where(total[0] > 0, total[0], np.nan)
    ece = np.abs(sums[1] - sums[2]).sum(axis=1) / mass
    return total[1] / mass, total[2] / mass, total[3] / mass, total[4] / mass, ece


def _ece_of_chance(judged: Judged, bins: np.ndarray, count: int) -> np.ndarray:
    """[cells]: its 95% value where outcomes are drawn from the probabilities, one draw a lead cycle.

    The rows of a cycle rise and fall together, as overlapping windows do.
    """
    inside = bins >= 0
    cycle = np.unique(judged.cycle[inside], return_inverse=True)[1]
    place, weight, said = bins[inside], judged.weight[inside], judged.probability[inside]
    mass = np.bincount(place // ECE_BINS, weight, minlength=count)
    random, found = np.random.default_rng(1), np.empty((DRAWS, count))
    for draw in range(DRAWS):
        label = random.random(int(cycle.max(initial=-1)) + 1)[cycle] < said
        gap = np.bincount(place, weight * (said - label), minlength=count * ECE_BINS)
        found[draw] = np.abs(gap).reshape(count, ECE_BINS).sum(axis=1) / np.maximum(mass, 1e-12)
    return np.asarray(np.quantile(found, 0.95, axis=0))


def _interval(value: float, draws: np.ndarray) -> Interval:
    known = draws[np.isfinite(draws)]
    if not len(known) or not np.isfinite(value):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(known, ENDS)
    return Interval(value, min(float(low), value), max(float(high), value))


def _reflected(value: float, draws: np.ndarray, chance: float) -> Interval:
    """The basic interval (Davison and Hinkley 1997, 5.2): an ECE grows with noise, and draws have more of it.

    It begins at nought where perfect calibration would show as much.
    """
    mirrored = _interval(value, 2 * value - draws)
    low = 0.0 if value <= chance else max(mirrored.low, 0.0)
    return Interval(value, low, max(mirrored.high, 0.0))
