"""What each candidate would have said of each slice: margins by part, from the past of that slice only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

import lightgbm
import numpy as np
from scipy.sparse import csr_matrix

from training.blend import Slice, pull_towards, shrunk_loss
from training.boosters import STEPS, Setting, Shape, dataset, fit_booster, staged_margins
from training.encoding import Column, encode, encode_out_of_fold, fit_columns, group_folds, logit, smoothed_rate
from training.linear import Design, LinearFit, fit_design, fit_linear
from training.matrix import Matrix
from training.slices import Fold

STRENGTHS = (0.01, 0.05, 0.2, 1.0)
USUAL_STRENGTH = 0.2
"""Taken unless the slices agree on another."""
HALF_LIVES = (0.3, 0.1, 0.03)
"""Shares of the cycles after which a row weighs half, fitted beside rows that all weigh alike."""
PRIOR, RECENT = "prior", "recent prior"
RECENT_HALF_LIFE = 0.1
WORKERS = 2
MOST_ROWS = 16_000
"""A slice's training part is sampled to about this many rows, by whole cycles: the choices need no more."""

Candidate = tuple[Setting, int]
"""A booster's setting and its number of trees."""
T = TypeVar("T")


@dataclass(frozen=True)
class Logistic:
    strength: float
    half_life: float | None = None

    @property
    def name(self) -> str:
        return f"logistic, C {self.strength:g}" + (f", half-life {self.half_life:g}" if self.half_life else "")


@dataclass(frozen=True)
class Prepared:
    """One training set with what every candidate needs of it, worked out once."""

    matrix: Matrix
    columns: tuple[Column, ...]
    table: np.ndarray
    """Encoded features for the trees, categories out of fold."""
    design: Design
    x: csr_matrix
    """Design matrix of the linear part."""
    folds: np.ndarray


@dataclass(frozen=True)
class Tested:
    """One slice: its rows and the margins [rows] of every candidate, by name."""

    rows: Matrix
    fold: Fold
    margins: dict[str, np.ndarray] = field(default_factory=dict)

    def slice_of(self, parts: Sequence[str]) -> Slice:
        margins = np.column_stack([self.margins[p] for p in parts])
        return Slice(margins, self.rows.label, self.rows.weight, self.fold.weight, self.rows.group)


def side_by_side(tasks: Iterable[Callable[[], T]]) -> list[T]:
    """Results of independent tasks in their order, WORKERS at a time; each must be single-threaded itself."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda task: task(), tasks))


def prepare(matrix: Matrix, *, seed: int) -> Prepared:
    columns = fit_columns(matrix)
    folds = group_folds(matrix.group, 3 if len(matrix) > 20_000 else 5, seed)
    design = fit_design(matrix, columns)
    return Prepared(matrix, columns, encode_out_of_fold(matrix, columns, folds), design, design.matrix(matrix), folds)


def sampled(matrix: Matrix, most: int, *, seed: int) -> Matrix:
    """Whole cycles of `matrix`, drawn until about `most` rows are there."""
    if len(matrix) <= most:
        return matrix
    cycles = np.random.default_rng(seed).permutation(np.unique(matrix.cycle))
    kept = cycles[: int(np.ceil(len(cycles) * most / len(matrix)))]
    return matrix.take(np.isin(matrix.cycle, kept))


def aged(matrix: Matrix, half_life: float | None) -> Matrix:
    """The rows with weights that halve for each `half_life` of the cycles that started later.

    The sum of weights becomes the effective number of rows (Kish 1965), so
    that regularisation knows how little is left.
    """
    if half_life is None:
        return matrix
    starts = np.sort(matrix.cycle_start)
    age = 1.0 - np.searchsorted(starts, matrix.cycle_start, side="right") / len(starts)
    weight = matrix.weight * 0.5 ** (age / half_life)
    effective = weight.sum() ** 2 / (weight**2 / matrix.weight).sum()
    return replace(matrix, weight=weight * (effective / weight.sum()))


def prior_margins(matrix: Matrix) -> dict[str, float]:
    """Log-odds of the outcome: over all rows alike, and with the newest weighing most."""
    newest = aged(matrix, RECENT_HALF_LIFE)
    return {PRIOR: logit(smoothed_rate(matrix)), RECENT: logit(smoothed_rate(newest))}


def candidate_name(candidate: Candidate) -> str:
    setting, trees = candidate
    return f"{setting.name}, {trees} trees"


def fit_logistic(prepared: Prepared, logistic: Logistic, *, directed: bool) -> LinearFit:
    matrix = aged(prepared.matrix, logistic.half_life)
    return fit_linear(prepared.design, prepared.x, matrix, strength=logistic.strength, directed=directed)


def try_logistics(prepared: Prepared, tested: Tested, logistics: Sequence[Logistic], *, directed: bool) -> None:
    """Adds the priors' and each logistic's margins to the slice."""
    for name, margin in prior_margins(prepared.matrix).items():
        tested.margins[name] = np.full(len(tested.rows), margin)
    x = prepared.design.matrix(tested.rows)
    for logistic in logistics:
        tested.margins[logistic.name] = fit_logistic(prepared, logistic, directed=directed).margin(x)


def best_logistic(slices: Sequence[Tested], logistics: Sequence[Logistic]) -> Logistic:
    """The one which, mixed with the prior, has the lowest pooled loss, pulled towards the usual strength."""
    losses = {lo: shrunk_loss([s.slice_of([lo.name, PRIOR]) for s in slices], 0, 1) for lo in logistics}
    together = [s.slice_of([lo.name for lo in logistics]) for s in slices]
    pull = pull_towards(together, np.full(len(logistics), 1.0 / len(logistics)))
    steps = {lo: np.log(lo.strength / USUAL_STRENGTH) / np.log(STRENGTHS[-1] / STRENGTHS[-2]) for lo in logistics}
    return min(losses, key=lambda lo: losses[lo] + pull * steps[lo] ** 2)


def logistic_out_of_fold(prepared: Prepared, logistic: Logistic, *, directed: bool) -> np.ndarray:
    """The logistic's margin [n] of each training row, fitted without that row's group."""
    margin = np.zeros(len(prepared.matrix))
    matrix = aged(prepared.matrix, logistic.half_life)
    for fold in np.unique(prepared.folds):
        inside = prepared.folds == fold
        fit = fit_linear(
            prepared.design,
            prepared.x[~inside],
            matrix.take(~inside),
            strength=logistic.strength,
            directed=directed,
        )
        margin[inside] = fit.margin(prepared.x[inside])
    return margin


class BoosterData:
    """The binned training set in every guise the settings ask for, made once each."""

    def __init__(self, prepared: Prepared, settings: Sequence[Setting], logistic: Logistic, *, directed: bool) -> None:
        plain = dataset(prepared.table, prepared.matrix)
        self._made: dict[tuple[bool, float | None], lightgbm.Dataset] = {(False, None): plain}
        beneath = None
        for key in sorted({(s.on_linear, s.half_life) for s in settings} - {(False, None)}, key=str):
            on_linear, half_life = key
            if on_linear and beneath is None:
                beneath = logistic_out_of_fold(prepared, logistic, directed=directed)
            rows = aged(prepared.matrix, half_life)
            self._made[key] = dataset(prepared.table, rows, init_score=beneath if on_linear else None, like=plain)

    def of(self, setting: Setting) -> lightgbm.Dataset:
        return self._made[setting.on_linear, setting.half_life]


def try_boosters(
    prepared: Prepared,
    tested: Tested,
    settings: Sequence[Setting],
    shape: Shape,
    *,
    logistic: Logistic,
    directed: bool,
    seed: int,
) -> None:
    """Adds each setting's margins after each number of trees to the slice."""
    if not has_splits(prepared.table):
        for setting in settings:
            alone = tested.margins[logistic.name if setting.on_linear else PRIOR]
            tested.margins.update({candidate_name((setting, trees)): alone for trees in STEPS})
        return
    table = encode(tested.rows, prepared.columns)
    data = BoosterData(prepared, settings, logistic, directed=directed)
    leaf = rows_a_leaf(prepared.matrix)

    def margins_of(setting: Setting) -> dict[int, np.ndarray]:
        booster = fit_booster(data.of(setting), setting, shape, trees=max(STEPS), rows_a_leaf=leaf, seed=seed)
        return staged_margins(booster, table)

    found = side_by_side([lambda s=s: margins_of(s) for s in settings])  # type: ignore[misc]
    for setting, margins in zip(settings, found, strict=True):
        beneath = tested.margins[logistic.name] if setting.on_linear else 0.0
        for trees, margin in margins.items():
            tested.margins[candidate_name((setting, trees))] = beneath + margin


def has_splits(table: np.ndarray) -> bool:
    """Whether any encoded feature has two values; LightGBM refuses a table where none has."""
    known = ~np.isnan(table)
    low, high = np.where(known, table, np.inf).min(axis=0), np.where(known, table, -np.inf).max(axis=0)
    return bool(((low < high) | (known.any(axis=0) & ~known.all(axis=0))).any())


def rows_a_leaf(matrix: Matrix) -> int:
    """Thirty cycles' worth of rows: weekly rows of one lead are no further evidence."""
    return int(np.ceil(30 * len(matrix) / len(np.unique(matrix.cycle))))
