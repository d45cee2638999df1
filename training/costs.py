"""What two properties and the passing of time cost, in log loss, paired row by row on the backtest's slices.

- additive: fit and behaviour in separate trees, against trees that mix them;
- monotone: declared directions kept, and no feature that could rise by waiting, against neither;
- age: the model that an earlier slice's past gives, against the one trained just before the slice.

The chosen members are refitted and mixed with the chosen weights; nothing else
is chosen anew, so that the difference is the property's alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from training.backtest import MOST_ROWS, Prepared, Tested, prepare, sampled, try_boosters, try_logistics
from training.blend import log_loss, row_losses
from training.boosters import shape_of
from training.calibration import clustered_mean
from training.fitting import Choice, Fitted, Options
from training.matrix import Matrix, usable

NORMAL = 1.96
COST_SLICES = 2
"""The slices with the most rows tell most about a property's cost."""
DECAY = 0.01
"""The share of the constant rate's log loss by which a model may fall behind before it is retrained."""
BEYOND = 2.0
"""Standard errors from which a decay is taken for one."""


@dataclass(frozen=True)
class Cost:
    """Log loss with the property minus log loss without it: above zero it costs."""

    name: str
    """`additive` or `monotone`."""
    on: bool
    """Whether the shipped model has it."""
    difference: float
    error: float
    """Standard error, by account or lead."""
    rows: int

    @property
    def low(self) -> float:
        return self.difference - NORMAL * self.error

    @property
    def high(self) -> float:
        return self.difference + NORMAL * self.error

    @property
    def beyond_noise(self) -> bool:
        return self.low > 0


@dataclass(frozen=True)
class Aged:
    """One older model on one later slice."""

    age: int
    """Microseconds by which its training ended earlier than that of the slice's own model."""
    excess: float
    """Its log loss minus theirs."""
    error: float
    rows: int


@dataclass(frozen=True)
class Ageing:
    """How log loss grows with a model's age; `every` is the interval at which to retrain."""

    points: tuple[Aged, ...]
    slope: float
    """Log loss a microsecond of age."""
    error: float
    tolerance: float
    """Log loss by which a model may fall behind."""
    every: int
    """Microseconds; where no decay is seen, the greatest age that was tried."""

    @property
    def seen(self) -> bool:
        return self.slope > BEYOND * self.error


def property_costs(matrix: Matrix, fitted: Fitted, options: Options) -> tuple[Cost, ...]:
    """`matrix` is what `fit_scorer` was given. A property that asks nothing of these features is not among them."""
    asked = _asked(matrix, fitted, options)
    if not asked:
        return ()
    told = sorted(fitted.slices, key=lambda s: -len(s.rows))[:COST_SLICES]
    differences = {name: np.empty(0) for name in asked}
    with threadpool_limits(1):
        for tested in told:
            base = row_losses(fitted.choice.blend(tested), tested.rows.label)
            pasts: dict[int, Prepared] = {}
            for name, (other, useful) in asked.items():
                if id(useful) not in pasts:
                    pasts[id(useful)] = _prepared(useful, tested, options)
                margin = _margins(pasts[id(useful)], _rows_of(useful, [tested]), tested, fitted.choice, other)
                difference = base - row_losses(margin, tested.rows.label)
                on = getattr(options, _SWITCHES[name])
                differences[name] = np.append(differences[name], difference if on else -difference)
    weight, group = (np.concatenate([getattr(t.rows, n) for t in told]) for n in ("weight", "group"))
    return tuple(
        Cost(name, getattr(options, _SWITCHES[name]), *clustered_mean(found, weight, group), len(weight))
        for name, found in differences.items()
    )


_SWITCHES = {"additive": "separate", "monotone": "monotone"}


def _asked(matrix: Matrix, fitted: Fitted, options: Options) -> dict[str, tuple[Options, Matrix]]:
    """For each property that can make a difference here: options with it turned over, and the rows they would see."""
    declarations, useful = fitted.declarations, _in_order(matrix, fitted)
    other = replace(options, monotone=not options.monotone)
    free = usable(_sorted(matrix), monotone=other.monotone)
    asked = {}
    if fitted.choice.boosters and shape_of(declarations, separate=True).groups:
        asked["additive"] = (replace(options, separate=not options.separate), useful)
    if len(free.declarations) != len(declarations):
        asked["monotone"] = (other, free)
    elif any(shape_of(declarations, monotone=True).directions):
        asked["monotone"] = (other, useful)
    return asked


def ageing(matrix: Matrix, fitted: Fitted, options: Options) -> Ageing | None:
    """None where the backtest is not in the order of time or has one slice only.

    Asked are the models that the oldest past and the two newest but one give:
    far ages, and near ones close to the present.
    """
    slices = fitted.slices
    if fitted.backtest.kind == "random by group" or len(slices) < 2:
        return None
    useful = _in_order(matrix, fitted)
    points = []
    with threadpool_limits(1):
        for k in sorted({0, len(slices) - 3, len(slices) - 2} & set(range(len(slices) - 1))):
            later = slices[k + 1 :]
            past = _prepared(useful, slices[k], options)
            together = _rows_of(useful, later)
            margins = _margins(past, together, slices[k], fitted.choice, options)
            edges = np.cumsum([len(s.rows) for s in later])[:-1]
            for tested, margin in zip(later, np.split(margins, edges), strict=True):
                points.append(_aged(slices[k], tested, fitted.choice, margin))
    newest = slices[-1]
    tolerance = DECAY * log_loss(newest.margins["prior"], newest.rows.label, newest.rows.weight)
    return ageing_of(points, tolerance)


def ageing_of(points: Sequence[Aged], tolerance: float) -> Ageing:
    """The mean loss a unit of age, points weighted as by DerSimonian and Laird (1986): where they disagree, evenly."""
    age = np.array([p.age for p in points], dtype=float)
    slopes, errors = np.array([p.excess for p in points]) / age, (np.array([p.error for p in points]) + 1e-9) / age
    precision = 1.0 / errors**2
    mean = float(precision @ slopes / precision.sum())
    excess = float(precision @ (slopes - mean) ** 2) - (len(points) - 1)
    between = max(excess / (precision.sum() - (precision**2).sum() / precision.sum() + 1e-300), 0.0)
    share = 1.0 / (errors**2 + between)
    slope, error = float(share @ slopes / share.sum()), float(1.0 / np.sqrt(share.sum()))
    oldest = int(age.max())
    every = int(min(tolerance / slope, oldest)) if slope > BEYOND * error else oldest
    return Ageing(tuple(points), slope, error, tolerance, every)


def _aged(old: Tested, tested: Tested, choice: Choice, margin: np.ndarray) -> Aged:
    rows = tested.rows
    excess = row_losses(margin, rows.label) - row_losses(choice.blend(tested), rows.label)
    mean, error = clustered_mean(excess, rows.weight, rows.group)
    return Aged(tested.fold.begins - old.fold.begins, mean, error, len(rows))


def _in_order(matrix: Matrix, fitted: Fitted) -> Matrix:
    """The rows as `fit_scorer` ordered them: the folds hold places in that order."""
    return _sorted(matrix).keep_features([d.name for d in fitted.declarations])


def _sorted(matrix: Matrix) -> Matrix:
    return matrix.take(np.lexsort((matrix.as_of, matrix.cycle_start)))


def _prepared(matrix: Matrix, tested: Tested, options: Options) -> Prepared:
    past = sampled(matrix.take(tested.fold.train), MOST_ROWS, seed=options.seed)
    return prepare(past, seed=options.seed)


def _rows_of(matrix: Matrix, slices: Sequence[Tested]) -> Matrix:
    """The slices' own rows, one slice after another."""
    key = {pair: i for i, pair in enumerate(zip(matrix.cycle.tolist(), matrix.as_of.tolist(), strict=True))}
    places = [key[pair] for s in slices for pair in zip(s.rows.cycle.tolist(), s.rows.as_of.tolist(), strict=True)]
    return matrix.take(np.array(places))


def _margins(past: Prepared, rows: Matrix, like: Tested, choice: Choice, options: Options) -> np.ndarray:
    """The chosen blend's margins [rows], its members fitted on `past` under `options`."""
    tested = Tested(rows, like.fold)
    try_logistics(past, tested, choice.logistics, directed=options.monotone)
    if choice.boosters:
        try_boosters(
            past,
            tested,
            [setting for setting, _ in choice.boosters],
            shape_of(past.matrix.declarations, separate=options.separate, monotone=options.monotone),
            logistic=choice.logistic,
            directed=options.monotone,
            seed=options.seed,
        )
    return choice.blend(tested)
