"""What each candidate would have said of each slice: margins by part, from the past of that slice only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import lightgbm
import numpy as np

from training.blend import Slice, shrunk_loss
from training.boosters import STEPS, Setting, Shape, dataset, fit_booster, staged_margins
from training.encoding import Column, encode, encode_out_of_fold, fit_columns, group_folds, logit, smoothed_rate
from training.linear import Design, LinearFit, fit_design, fit_linear
from training.matrix import Matrix
from training.slices import Fold

STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
PRIOR, RECENT = "prior", "recent prior"
NEWEST = 0.2
"""Share of the cycles, newest first, whose rate is the recent prior."""

Candidate = tuple[Setting, int]
"""A booster's setting and its number of trees."""


@dataclass(frozen=True)
class Prepared:
    """One training set with what every candidate needs of it, worked out once."""

    matrix: Matrix
    columns: tuple[Column, ...]
    table: np.ndarray
    """Encoded features for the trees, categories out of fold."""
    design: Design
    x: np.ndarray
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
        return Slice(margins, self.rows.label, self.rows.weight, self.fold.weight)


def prepare(matrix: Matrix, *, seed: int) -> Prepared:
    columns = fit_columns(matrix)
    folds = group_folds(matrix.group, 3 if len(matrix) > 20_000 else 5, seed)
    design = fit_design(matrix, columns)
    return Prepared(matrix, columns, encode_out_of_fold(matrix, columns, folds), design, design.matrix(matrix), folds)


def prior_margins(matrix: Matrix) -> dict[str, float]:
    """Log-odds of the outcome: over all rows, and over the newest fifth of the cycles."""
    starts = np.sort(matrix.cycle_start)
    newest = matrix.take(matrix.cycle_start >= starts[int(len(starts) * (1 - NEWEST))])
    return {PRIOR: logit(smoothed_rate(matrix)), RECENT: logit(smoothed_rate(newest))}


def linear_name(strength: float) -> str:
    return f"logistic, C {strength:g}"


def candidate_name(candidate: Candidate) -> str:
    setting, trees = candidate
    return f"{setting.name}, {trees} trees"


def try_linear(prepared: Prepared, tested: Tested, *, directed: bool) -> None:
    """Adds the priors' and each strength's margins to the slice."""
    for name, margin in prior_margins(prepared.matrix).items():
        tested.margins[name] = np.full(len(tested.rows), margin)
    x = prepared.design.matrix(tested.rows)
    for strength in STRENGTHS:
        fit = fit_linear(prepared.design, prepared.x, prepared.matrix, strength=strength, directed=directed)
        tested.margins[linear_name(strength)] = fit.margin(x)


def best_strength(slices: Sequence[Tested]) -> float:
    """The C whose logistic, mixed with the prior, has the lowest pooled loss."""
    losses = {c: shrunk_loss([s.slice_of([linear_name(c), PRIOR]) for s in slices], 0, 1) for c in STRENGTHS}
    return min(losses, key=lambda c: losses[c])


def linear_out_of_fold(prepared: Prepared, *, strength: float, directed: bool) -> np.ndarray:
    """The logistic's margin [n] of each training row, fitted without that row's group."""
    margin = np.zeros(len(prepared.matrix))
    for fold in np.unique(prepared.folds):
        inside = prepared.folds == fold
        others = prepared.matrix.take(~inside)
        fit = fit_linear(prepared.design, prepared.x[~inside], others, strength=strength, directed=directed)
        margin[inside] = fit.margin(prepared.x[inside])
    return margin


def try_boosters(
    prepared: Prepared,
    tested: Tested,
    settings: Sequence[Setting],
    shape: Shape,
    *,
    strength: float,
    directed: bool,
    seed: int,
    step: Callable[[], None],
) -> None:
    """Adds each setting's margins after each number of trees to the slice; `step` is called after each setting."""
    table = encode(tested.rows, prepared.columns)
    data = booster_data(prepared, settings, strength=strength, directed=directed)
    beneath = {True: tested.margins[linear_name(strength)], False: np.zeros(len(tested.rows))}
    for setting in settings:
        booster = fit_booster(
            data[setting.on_linear],
            setting,
            shape,
            trees=max(STEPS),
            rows_a_leaf=rows_a_leaf(prepared.matrix),
            seed=seed,
        )
        for trees, margin in staged_margins(booster, table).items():
            tested.margins[candidate_name((setting, trees))] = beneath[setting.on_linear] + margin
        step()


def booster_data(
    prepared: Prepared, settings: Sequence[Setting], *, strength: float, directed: bool
) -> Mapping[bool, lightgbm.Dataset]:
    """The binned training set, alone and (where a setting asks) on the logistic's out-of-fold margin."""
    data = {False: dataset(prepared.table, prepared.matrix)}
    if any(s.on_linear for s in settings):
        margin = linear_out_of_fold(prepared, strength=strength, directed=directed)
        data[True] = dataset(prepared.table, prepared.matrix, init_score=margin)
    return data


def rows_a_leaf(matrix: Matrix) -> int:
    """Thirty cycles' worth of rows: weekly rows of one lead are no further evidence."""
    return int(np.ceil(30 * len(matrix) / len(np.unique(matrix.cycle))))


def final_linear(prepared: Prepared, *, strength: float, directed: bool) -> LinearFit:
    return fit_linear(prepared.design, prepared.x, prepared.matrix, strength=strength, directed=directed)
