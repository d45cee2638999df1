"""The training procedure: every choice by time-ordered backtest, then one fit on all matured rows.

priors, logistics, LightGBMs → backtest on slices → which of them, what size, what weights → fit on everything
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from data.errors import ModelRefused
from features.declaration import Declaration
from training.backtest import (
    HALF_LIVES,
    MOST_ROWS,
    PRIOR,
    RECENT,
    STRENGTHS,
    BoosterData,
    Candidate,
    Logistic,
    Prepared,
    Tested,
    best_logistic,
    candidate_name,
    fit_logistic,
    has_splits,
    prepare,
    prior_margins,
    rows_a_leaf,
    sampled,
    side_by_side,
    try_boosters,
    try_logistics,
)
from training.blend import Slice, blend_weights, pooled_loss, shrunk_loss
from training.boosters import SETTINGS, STEPS, Setting, booster_text, fit_booster, shape_of
from training.calibration import choose_calibration
from training.encoding import encode, fit_columns
from training.evidence import Proof, evidence_of
from training.linear import LinearFit, linear_part
from training.matrix import Matrix, usable
from training.parts import BoosterPart, Calibration, Scorer
from training.slices import Backtest, backtest_folds

TRIALS = 7
AVERAGED = 3
"""The best this many LightGBMs are averaged."""
PARSIMONY = 0.01
"""A smaller booster is taken when it keeps all but this share of the best one's gain over the prior."""

GATE_OUTCOMES = 100
"""Persons or accounts with the outcome that the gate's cohort should have."""
GATE_SHARE = 0.25
"""The share of the rows that may be kept from the gated model for it."""

_AGED = tuple(f"logistic, half-life {half_life:g}" for half_life in HALF_LIVES)
COMPONENTS = (PRIOR, RECENT, "logistic", *_AGED, "LightGBM", "LightGBM on logistic")
USUAL = np.array([0.0, 0.05, 0.36, 0.10, 0.10, 0.08, 0.16, 0.15])
"""The mixture a blend is pulled towards while the history is short or at odds with itself.

Mostly linear: forward in time a regularised line loses least when the world moves. In several half-lives, because
how far back the present reaches is what a history cannot tell before it has changed.
"""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    trials: int = TRIALS
    seed: int = 0
    separate: bool = True
    """Fit and behaviour features in separate trees."""
    monotone: bool = True
    """Declared directions are kept."""


@dataclass(frozen=True)
class Choice:
    """What the backtest chose; `weights` belong to COMPONENTS, in their order."""

    logistic: Logistic
    recent: tuple[Logistic, ...]
    """One a half-life, in the order of HALF_LIVES."""
    plain: tuple[Candidate, ...]
    stacked: tuple[Candidate, ...]
    weights: tuple[float, ...]

    @property
    def logistics(self) -> tuple[Logistic, ...]:
        return (self.logistic, *self.recent)

    @property
    def boosters(self) -> tuple[Candidate, ...]:
        return (*self.plain, *self.stacked)

    def described(self) -> dict[str, Any]:
        """For the manifest, the registry and the model card."""
        return {
            "weights": {name: round(w, 6) for name, w in zip(COMPONENTS, self.weights, strict=True)},
            "logistic": self.logistic.name,
            "recent logistic": [lo.name for lo in self.recent],
            "LightGBM": [candidate_name(c) for c in self.plain],
            "LightGBM on logistic": [candidate_name(c) for c in self.stacked],
        }

    def components(self, tested: Tested) -> np.ndarray:
        """Margins [n, components] of COMPONENTS; a component without members is the prior again."""
        margins = tested.margins
        parts = [margins[PRIOR], margins[RECENT], *(margins[lo.name] for lo in self.logistics)]
        for members in (self.plain, self.stacked):
            names = [candidate_name(c) for c in members] or [PRIOR]
            parts.append(np.mean([margins[n] for n in names], axis=0))
        return np.column_stack(parts)

    def blend(self, tested: Tested) -> np.ndarray:
        return np.asarray(self.components(tested) @ np.array(self.weights))


@dataclass(frozen=True)
class Fitted:
    """The scorer with its schema; the rest is what the report tells."""

    scorer: Scorer
    declarations: tuple[Declaration, ...]
    """The scorer's schema: the features that were not constant."""
    choice: Choice
    backtest: Backtest
    slices: tuple[Tested, ...]
    honest: tuple[np.ndarray, ...]
    """The blend's margins on each slice, chosen without that slice."""
    proof: Proof


def fit_scorer(matrix: Matrix, options: Options, *, progress: Progress = lambda _: None) -> Fitted:
    """Backtests, chooses, fits on everything. `matrix` holds matured rows in any order.

    Raises ModelRefused where no feature varies, or all outcomes are alike.
    """
    with threadpool_limits(1):
        in_order = matrix.take(np.lexsort((matrix.as_of, matrix.cycle_start)))
        useful = usable(in_order, monotone=options.monotone)
        if not useful.declarations:
            raise ModelRefused("features", "one value each", expected="columns or touchpoints that tell leads apart")
        backtest = backtest_folds(useful, seed=options.seed)
        settings = SETTINGS[: options.trials] if has_splits(encode(useful, fit_columns(useful))) else ()
        slices = _tested(useful, backtest, settings, options, progress)
        choice = choose(slices, settings)
        honest = _honest_margins(slices, settings, choice)
        calibration = _calibration(backtest, slices, choice)
        progress("fitting on all matured rows")
        scorer = _final(useful, choice, calibration, options)
    return Fitted(
        scorer=scorer,
        declarations=useful.declarations,
        choice=choice,
        backtest=backtest,
        slices=slices,
        honest=honest,
        proof=Proof(evidence_of(slices, honest), evidence_of(slices, [choice.blend(s) for s in slices])),
    )


@dataclass(frozen=True)
class Twin:
    """The scorer as it would be had the newest cycles never been seen: choice, calibration and fit."""

    scorer: Scorer
    rows: Matrix
    """Matured rows of the cycles that started in [begins, ends), which it has not seen."""
    begins: int
    ends: int
    unchosen: bool
    """Whether the choice among the rungs had not seen these rows either."""
    logistic: np.ndarray
    """Margins [rows] of the logistic regression refitted on the same past."""
    prior: np.ndarray
    """Likewise of the constant rate."""


def fit_twin(matrix: Matrix, fitted: Fitted, options: Options) -> Twin | None:
    """For the gate. `matrix` is what `fit_scorer` was given; None where the backtest is not in the order of time."""
    if fitted.backtest.kind == "random by group":
        return None
    useful = matrix.take(np.lexsort((matrix.as_of, matrix.cycle_start)))
    useful = useful.keep_features([d.name for d in fitted.declarations])
    first = _gate_fold(useful, fitted.backtest)
    earlier, fold = fitted.slices[:first], fitted.backtest.folds[first]
    with threadpool_limits(1):
        settings = SETTINGS[: options.trials] if has_splits(encode(useful, fit_columns(useful))) else ()
        choice = choose(earlier, settings) if earlier else fitted.choice
        calibration = _calibration(fitted.backtest, earlier, choice) if earlier else Calibration()
        past = useful.take(fold.train)
        scorer = _final(past, choice, calibration, options)
        known = prepare(sampled(past, MOST_ROWS, seed=options.seed), seed=options.seed)
        rows = sampled(useful.take(useful.cycle_start >= fold.begins), MOST_ROWS, seed=options.seed)
        logistic = fit_logistic(known, choice.logistic, directed=options.monotone).margin(known.design.matrix(rows))
    prior = np.full(len(rows), prior_margins(known.matrix)[PRIOR])
    return Twin(scorer, rows, fold.begins, fitted.backtest.folds[-1].ends, bool(earlier), logistic, prior)


def _gate_fold(matrix: Matrix, backtest: Backtest) -> int:
    """The latest fold from whose beginning on there are outcomes enough to decide; no more than GATE_SHARE is kept."""
    starts = matrix.cycle_start
    allowed = [k for k, f in enumerate(backtest.folds) if np.mean(starts >= f.begins) <= GATE_SHARE]
    allowed = [k for k in allowed if k] or allowed or [len(backtest.folds) - 1]
    for k in reversed(allowed):
        won = (starts >= backtest.folds[k].begins) & (matrix.label == 1.0)
        if len(np.unique(matrix.group[won])) >= GATE_OUTCOMES:
            return k
    return allowed[0]


def prior_only(scorer: Scorer) -> Scorer:
    """The constant rate in the same schema."""
    return replace(scorer, boosters=(), prior_weight=1.0, linear_weight=0.0, calibration=Calibration())


def choose(slices: Sequence[Tested], settings: Sequence[Setting]) -> Choice:
    """Logistics, sizes and weights with the lowest pooled log loss on `slices`."""
    logistic = best_logistic(slices, _tried(slices, [Logistic(c) for c in STRENGTHS]))
    recent = tuple(best_logistic(slices, _tried(slices, [Logistic(c, h) for c in STRENGTHS])) for h in HALF_LIVES)
    plain = _best([s for s in settings if not s.on_linear], slices)[:AVERAGED]
    stacked = _best([s for s in settings if s.on_linear], slices)[:1]
    choice = Choice(logistic, recent, tuple(plain), tuple(stacked), ())
    parts = [Slice(choice.components(s), s.rows.label, s.rows.weight, s.fold.weight, s.rows.group) for s in slices]
    weights = blend_weights(parts, _usual(choice))
    return replace(choice, weights=tuple(float(w) for w in weights))


def _usual(choice: Choice) -> np.ndarray:
    """USUAL without the components that have no members."""
    there = np.ones(len(COMPONENTS))
    there[-2:] = bool(choice.plain), bool(choice.stacked)
    return USUAL * there / (USUAL * there).sum()


def _tried(slices: Sequence[Tested], logistics: Sequence[Logistic]) -> list[Logistic]:
    return [logistic for logistic in logistics if all(logistic.name in s.margins for s in slices)]


def _tested(
    matrix: Matrix, backtest: Backtest, settings: Sequence[Setting], options: Options, progress: Progress
) -> tuple[Tested, ...]:
    slices = [Tested(sampled(matrix.take(fold.test), MOST_ROWS, seed=options.seed), fold) for fold in backtest.folds]
    progress("preparing the slices")
    pasts = side_by_side(
        lambda f=fold: prepare(  # type: ignore[misc]
            sampled(matrix.take(f.train), MOST_ROWS, seed=options.seed), seed=options.seed
        )
        for fold in backtest.folds
    )
    _try_all_logistics(pasts, slices, options, progress)
    logistic = best_logistic(slices, [Logistic(c) for c in STRENGTHS])
    shape = shape_of(matrix.declarations, separate=options.separate, monotone=options.monotone)
    for number, (past, tested) in enumerate(zip(pasts, slices, strict=True), 1):
        progress(f"LightGBM, {len(settings)} trials on slice {number} of {len(slices)}")
        try_boosters(past, tested, settings, shape, logistic=logistic, directed=options.monotone, seed=options.seed)
    return tuple(slices)


def _try_all_logistics(
    pasts: Sequence[Prepared], slices: Sequence[Tested], options: Options, progress: Progress
) -> None:
    """All strengths with rows alike; then the best one with the newest rows weighing more, by each half-life."""

    def on_each_slice(logistics: Sequence[Logistic]) -> None:
        side_by_side(
            lambda p=past, t=tested: try_logistics(p, t, logistics, directed=options.monotone)  # type: ignore[misc]
            for past, tested in zip(pasts, slices, strict=True)
        )

    progress(f"logistic regression on {len(slices)} slices")
    alike = [Logistic(c) for c in STRENGTHS]
    on_each_slice(alike)
    strength = best_logistic(slices, alike).strength
    on_each_slice([Logistic(strength, h) for h in HALF_LIVES])


def _best(settings: Sequence[Setting], slices: Sequence[Tested]) -> list[Candidate]:
    """Each setting at its best size, the best setting first."""
    ranked = sorted(((*_sized(setting, slices), i) for i, setting in enumerate(settings)), key=lambda r: (r[0], r[2]))
    return [candidate for _, candidate, _ in ranked]


def _sized(setting: Setting, slices: Sequence[Tested]) -> tuple[float, Candidate]:
    losses = {
        trees: shrunk_loss([s.slice_of([candidate_name((setting, trees)), PRIOR]) for s in slices], 0, 1)
        for trees in STEPS
    }
    best, nothing = min(losses.values()), pooled_loss([s.slice_of([PRIOR]) for s in slices], np.ones(1))
    trees = min(t for t, loss in losses.items() if loss <= best + PARSIMONY * max(nothing - best, 0.0))
    return losses[trees], (setting, trees)


def _honest_margins(slices: Sequence[Tested], settings: Sequence[Setting], choice: Choice) -> tuple[np.ndarray, ...]:
    """Each slice's blend as the other slices would have chosen it; with one slice only, its own choice."""
    if len(slices) == 1:
        return (choice.blend(slices[0]),)
    rest = [[s for j, s in enumerate(slices) if j != k] for k in range(len(slices))]
    return tuple(choose(others, settings).blend(slices[k]) for k, others in enumerate(rest))


def _calibration(backtest: Backtest, slices: Sequence[Tested], choice: Choice) -> Calibration:
    if backtest.kind == "random by group":
        return Calibration()
    rows = [s.rows for s in slices]
    margins = [choice.blend(s) for s in slices]
    return choose_calibration(margins, [r.label for r in rows], [r.weight for r in rows], [r.group for r in rows])


def _final(matrix: Matrix, choice: Choice, calibration: Calibration, options: Options) -> Scorer:
    prepared = prepare(matrix, seed=options.seed)
    old, recent, *alone, plain, stacked = choice.weights
    priors = prior_margins(matrix)
    prior_weight = old + recent
    margin = (old * priors[PRIOR] + recent * priors[RECENT]) / prior_weight if prior_weight else priors[PRIOR]
    wanted = [(c, plain / len(choice.plain)) for c in choice.plain if plain]
    wanted += [(c, stacked / len(choice.stacked)) for c in choice.stacked if stacked]
    shares = dict(zip(choice.logistics, (alone[0] + stacked, *alone[1:]), strict=True))
    linear = _mixed(prepared, shares, options)
    return Scorer(
        columns=prepared.columns,
        linear=linear_part(linear, prepared.x, matrix.weight, len(matrix.declarations)),
        boosters=_final_boosters(prepared, wanted, choice.logistic, options),
        prior_margin=margin,
        prior_weight=prior_weight,
        linear_weight=sum(alone),
        calibration=calibration,
    )


def _mixed(prepared: Prepared, shares: dict[Logistic, float], options: Options) -> LinearFit:
    """Logistics of one design mixed in margin space are one linear function: their weighted mean."""
    used = {lo: share for lo, share in shares.items() if share} or dict.fromkeys(list(shares)[:1], 1.0)
    fits = side_by_side(
        lambda lo=logistic: fit_logistic(prepared, lo, directed=options.monotone)  # type: ignore[misc]
        for logistic in used
    )
    share = np.array(list(used.values())) / sum(used.values())
    return LinearFit(
        prepared.design,
        float(share @ [f.intercept for f in fits]),
        np.sum([s * f.coefficients for s, f in zip(share, fits, strict=True)], axis=0),
    )


def _final_boosters(
    prepared: Prepared, wanted: Sequence[tuple[Candidate, float]], logistic: Logistic, options: Options
) -> tuple[BoosterPart, ...]:
    if not wanted:
        return ()
    shape = shape_of(prepared.matrix.declarations, separate=options.separate, monotone=options.monotone)
    data = BoosterData(prepared, [c[0] for c, _ in wanted], logistic, directed=options.monotone)
    leaf = rows_a_leaf(prepared.matrix)

    def part(candidate: Candidate, weight: float) -> BoosterPart:
        setting, trees = candidate
        booster = fit_booster(data.of(setting), setting, shape, trees=trees, rows_a_leaf=leaf, seed=options.seed)
        return BoosterPart(booster_text(booster), weight, setting.on_linear)

    return tuple(side_by_side(lambda c=c, w=w: part(c, w) for c, w in wanted))  # type: ignore[misc]
