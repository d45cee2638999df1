"""The training procedure: every choice by time-ordered backtest, then one fit on all matured rows.

prior, logistic, LightGBMs  →  backtest on slices  →  strength, sizes, weights, calibration  →  fit on everything
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from features.declaration import Declaration
from training.backtest import (
    PRIOR,
    RECENT,
    Candidate,
    Prepared,
    Tested,
    best_strength,
    booster_data,
    candidate_name,
    final_linear,
    linear_name,
    prepare,
    prior_margins,
    rows_a_leaf,
    try_boosters,
    try_linear,
)
from training.blend import Slice, blend_weights, row_losses, shrunk_loss
from training.boosters import SETTINGS, STEPS, Setting, booster_text, fit_booster, shape_of
from training.calibration import choose_calibration, clustered_mean
from training.linear import linear_part
from training.matrix import Matrix, informative
from training.parts import BoosterPart, Calibration, Scorer
from training.slices import Backtest, backtest_folds

AVERAGED = 3
"""The best this many LightGBMs are averaged."""
PARSIMONY = 0.01
"""A smaller booster is taken when it keeps all but this share of the best one's gain over the prior."""
NOISE = 1.645
"""Standard errors by which the blend's gain must exceed nothing: a one-sided 5% test."""


@dataclass(frozen=True)
class Options:
    trials: int = len(SETTINGS)
    seed: int = 0
    separate: bool = True
    """Fit and behaviour features in separate trees."""
    monotone: bool = True
    """Declared directions are kept."""


@dataclass(frozen=True)
class Choice:
    """What the backtest chose; `weights` belong to COMPONENTS, in their order."""

    strength: float
    plain: tuple[Candidate, ...]
    stacked: tuple[Candidate, ...]
    weights: tuple[float, ...]

    def described(self) -> dict[str, Any]:
        """For the manifest, the registry and the model card."""
        members = {"LightGBM": self.plain, "LightGBM on logistic": self.stacked}
        return {
            "logistic C": self.strength,
            "weights": {name: round(w, 6) for name, w in zip(COMPONENTS, self.weights, strict=True)},
            **{name: [candidate_name(c) for c in found] for name, found in members.items()},
        }

    def blend(self, tested: Tested) -> np.ndarray:
        return _components(tested, self.strength, self.plain, self.stacked) @ np.array(self.weights)


COMPONENTS = (PRIOR, RECENT, "logistic", "LightGBM", "LightGBM on logistic")


@dataclass(frozen=True)
class Fitted:
    """The scorer with its schema; the rest is what the report tells."""

    scorer: Scorer
    choice: Choice
    backtest: Backtest
    slices: tuple[Tested, ...]
    honest: tuple[np.ndarray, ...]
    """The blend's margins on each slice, chosen without that slice."""
    gain: float
    """Mean log loss of the prior minus the honest blend's, pooled over the slices."""
    gain_error: float
    declarations: tuple[Declaration, ...]
    """The scorer's schema: the features that were not constant."""

    @property
    def beats_prior(self) -> bool:
        return self.gain > NOISE * self.gain_error


def fit_scorer(matrix: Matrix, options: Options, *, progress: Callable[[str], None] = lambda _: None) -> Fitted:
    """Backtests, chooses, fits on everything. `matrix` holds matured rows in any order.

    Raises ValueError when no fold can be formed (fewer than two outcomes or
    two rows without): the caller has counted outcomes before.
    """
    useful = informative(matrix)
    backtest = backtest_folds(useful, seed=options.seed)
    slices = _tested(useful, backtest, options, progress)
    settings = SETTINGS[: options.trials]
    choice = choose(slices, settings)
    honest = _honest_margins(slices, settings, choice)
    gain, error = _gain(slices, honest)
    calibration = _calibration(backtest, slices, honest)
    progress("fitting on all matured rows")
    scorer = _final(useful, choice, calibration, options)
    return Fitted(
        scorer=scorer,
        choice=choice,
        backtest=backtest,
        slices=slices,
        honest=honest,
        gain=gain,
        gain_error=error,
        declarations=useful.declarations,
    )


def prior_only(scorer: Scorer) -> Scorer:
    """The constant rate in the same schema."""
    return replace(scorer, boosters=(), prior_weight=1.0, linear_weight=0.0, calibration=Calibration())


def choose(slices: Sequence[Tested], settings: Sequence[Setting]) -> Choice:
    """Strength, sizes and weights with the lowest pooled log loss on `slices`."""
    strength = best_strength(slices)
    plain = _best([s for s in settings if not s.on_linear], slices)[:AVERAGED]
    stacked = _best([s for s in settings if s.on_linear], slices)[:1]
    components = [_components(s, strength, plain, stacked) for s in slices]
    weights = blend_weights([_slice(s, c) for s, c in zip(slices, components, strict=True)])
    return Choice(strength, tuple(plain), tuple(stacked), tuple(float(w) for w in weights))


def _tested(
    matrix: Matrix, backtest: Backtest, options: Options, progress: Callable[[str], None]
) -> tuple[Tested, ...]:
    shape = shape_of(matrix.declarations, separate=options.separate, monotone=options.monotone)
    settings = SETTINGS[: options.trials]
    prepared, slices = [], []
    for number, fold in enumerate(backtest.folds, 1):
        progress(f"logistic, slice {number} of {len(backtest.folds)}")
        prepared.append(prepare(matrix.take(fold.train), seed=options.seed))
        slices.append(Tested(matrix.take(fold.test), fold))
        try_linear(prepared[-1], slices[-1], directed=options.monotone)
    strength = best_strength(slices)
    for number, (past, tested) in enumerate(zip(prepared, slices, strict=True), 1):
        progress(f"LightGBM, slice {number} of {len(slices)}")
        try_boosters(
            past,
            tested,
            settings,
            shape,
            strength=strength,
            directed=options.monotone,
            seed=options.seed,
            step=lambda: progress(""),
        )
    return tuple(slices)


def _best(settings: Sequence[Setting], slices: Sequence[Tested]) -> list[Candidate]:
    """Each setting at its best size, the best setting first."""
    ranked = sorted(((*_sized(setting, slices), i) for i, setting in enumerate(settings)), key=lambda r: (r[0], r[2]))
    return [candidate for _, candidate, _ in ranked]


def _sized(setting: Setting, slices: Sequence[Tested]) -> tuple[float, Candidate]:
    losses = {
        trees: shrunk_loss([s.slice_of([candidate_name((setting, trees)), PRIOR]) for s in slices], 0, 1)
        for trees in STEPS
    }
    best = min(losses.values())
    nothing = float(
        np.average(
            [np.average(row_losses(s.margins[PRIOR], s.rows.label), weights=s.rows.weight) for s in slices],
            weights=[s.fold.weight for s in slices],
        )
    )
    trees = min(t for t, loss in losses.items() if loss <= best + PARSIMONY * max(nothing - best, 0.0))
    return losses[trees], (setting, trees)


def _components(
    tested: Tested, strength: float, plain: Sequence[Candidate], stacked: Sequence[Candidate]
) -> np.ndarray:
    """Margins [n, 5] of COMPONENTS; a component without members is the prior again."""
    margins = tested.margins
    parts = [margins[PRIOR], margins[RECENT], margins[linear_name(strength)]]
    for members in (plain, stacked):
        names = [candidate_name(c) for c in members] or [PRIOR]
        parts.append(np.mean([margins[n] for n in names], axis=0))
    return np.column_stack(parts)


def _slice(tested: Tested, components: np.ndarray) -> Slice:
    return Slice(components, tested.rows.label, tested.rows.weight, tested.fold.weight)


def _honest_margins(slices: Sequence[Tested], settings: Sequence[Setting], choice: Choice) -> tuple[np.ndarray, ...]:
    """Each slice's blend as the other slices would have chosen it; with one slice only, its own choice."""
    if len(slices) == 1:
        return (choice.blend(slices[0]),)
    rest = [[s for j, s in enumerate(slices) if j != k] for k in range(len(slices))]
    return tuple(choose(others, settings).blend(slices[k]) for k, others in enumerate(rest))


def _gain(slices: Sequence[Tested], honest: Sequence[np.ndarray]) -> tuple[float, float]:
    """(mean loss of prior − blend, standard error), slices with their say, errors clustered by group."""
    means, errors, say = [], [], []
    for tested, margin in zip(slices, honest, strict=True):
        rows = tested.rows
        difference = row_losses(tested.margins[PRIOR], rows.label) - row_losses(margin, rows.label)
        mean, error = clustered_mean(difference, rows.weight, rows.group)
        means.append(mean)
        errors.append(error)
        say.append(tested.fold.weight)
    share = np.array(say) / sum(say)
    return float(share @ means), float(np.sqrt((share**2) @ np.square(errors)))


def _calibration(backtest: Backtest, slices: Sequence[Tested], honest: Sequence[np.ndarray]) -> Calibration:
    if backtest.kind == "random by group":
        return Calibration()
    rows = [s.rows for s in slices]
    return choose_calibration(honest, [r.label for r in rows], [r.weight for r in rows], [r.group for r in rows])


def _final(matrix: Matrix, choice: Choice, calibration: Calibration, options: Options) -> Scorer:
    prepared = prepare(matrix, seed=options.seed)
    fit = final_linear(prepared, strength=choice.strength, directed=options.monotone)
    linear = linear_part(fit, prepared.x, matrix.weight, len(matrix.declarations))
    old, recent, linear_weight, plain, stacked = choice.weights
    priors = prior_margins(matrix)
    prior_weight = old + recent
    margin = (old * priors[PRIOR] + recent * priors[RECENT]) / prior_weight if prior_weight else priors[PRIOR]
    wanted = [(c, plain / len(choice.plain)) for c in choice.plain if plain]
    wanted += [(c, stacked / len(choice.stacked)) for c in choice.stacked if stacked]
    boosters = _final_boosters(prepared, wanted, choice.strength, options)
    return Scorer(prepared.columns, linear, boosters, margin, prior_weight, linear_weight, calibration)


def _final_boosters(
    prepared: Prepared, wanted: Sequence[tuple[Candidate, float]], strength: float, options: Options
) -> tuple[BoosterPart, ...]:
    shape = shape_of(prepared.matrix.declarations, separate=options.separate, monotone=options.monotone)
    data = booster_data(prepared, [c[0] for c, _ in wanted], strength=strength, directed=options.monotone)
    leaf = rows_a_leaf(prepared.matrix)
    parts = []
    for (setting, trees), weight in wanted:
        booster = fit_booster(data[setting.on_linear], setting, shape, trees=trees, rows_a_leaf=leaf, seed=options.seed)
        parts.append(BoosterPart(booster_text(booster), weight, setting.on_linear))
    return tuple(parts)
