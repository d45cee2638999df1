"""Everything that is found out about a trained model beyond its rungs: how sure, when, for whom, at what price.

The I/O around the pure parts: intervals, segments, fairness, handovers,
regimes, costs. Nothing here changes the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from training.costs import Ageing, Cost, ageing, property_costs
from training.evaluation import Report
from training.fairness import FairColumn, fairness, protected_declarations
from training.fitting import Fitted, Options
from training.handovers import Handovers, handovers
from training.intervals import Cell, Interval, Judged, cells, curve, gain_curve
from training.matrix import Matrix, joined
from training.policy import Policy
from training.regimes import Regimes, regimes
from training.regimes_rows import cohorts_of
from training.rows import History, recent_panel, training_matrix
from training.segments import Segmented, by_segment, over_time


@dataclass(frozen=True)
class Assessment:
    """All on the backtest's slices, forward in time where they are."""

    pooled: Cell
    curve: tuple[tuple[float, Interval], ...]
    """(mean probability, rate of outcomes) by tenth of the rows, rising."""
    gain: tuple[Interval, ...]
    """Share of the outcomes among the best tenth, two tenths, …"""
    over_time: tuple[Cell, ...]
    segments: tuple[Segmented, ...]
    fairness: tuple[FairColumn, ...]
    handovers: Handovers
    regimes: Regimes
    costs: tuple[Cost, ...]
    ageing: Ageing | None

    def to_dict(self) -> dict[str, Any]:
        """For report.json; null where there is no figure."""
        found: dict[str, Any] = _without_nan(asdict(self))
        return found

    def metrics(self) -> dict[str, float]:
        """name → value for the registry, beside `evaluation.flat_metrics`."""
        found = {f"blend.{n}.{end}": getattr(getattr(self.pooled, n), end) for n in _FIGURES for end in ("low", "high")}
        found["blend.ece.of_chance"] = self.pooled.ece_of_chance
        for prefix, cells_ in (("time", self.over_time), *((f"segment.{s.column}", s.cells) for s in self.segments)):
            for k, cell in enumerate(cells_, 1):
                found |= {f"{prefix}{k:02d}.{n}": getattr(cell, n).value for n in _FIGURES}
        for name in ("yielded", "captured", "lift"):
            found[f"capacity.{name}"] = getattr(self.handovers, name).value
        for column in self.fairness:
            found[f"fairness.{column.column}.selection_ratio"] = column.selection_ratio.value
        for cost in self.costs:
            found |= {f"cost.{cost.name}": cost.difference, f"cost.{cost.name}.error": cost.error}
        found["regime.changes"] = float(len(self.regimes.now.changes))
        return {_named(name): float(value) for name, value in found.items() if np.isfinite(value)}


_FIGURES = ("log_loss", "brier", "ece")


def assess(
    history: History,
    matrix: Matrix,
    fitted: Fitted,
    report: Report,
    policy: Policy,
    options: Options,
    say: Callable[[str], None],
) -> Assessment:
    """`matrix` is what `fit_scorer` was given, `report` what `evaluate` made of it."""
    company = history.snapshot.company
    say("intervals, months and segments")
    rows, judged = judged_rows(fitted, report)
    say("looking for changes of regime")
    found = regimes(cohorts_of(matrix, _newer(history, matrix, options)), fitted.backtest.folds)
    kept_prior = fitted.scorer.prior_weight == 1.0
    say("what the properties cost, how models age")
    costs = () if kept_prior else property_costs(matrix, fitted, options)
    aged = None if kept_prior else ageing(matrix, fitted, options)
    return Assessment(
        pooled=cells(judged, np.zeros(len(judged), dtype=int), ("all",))[0],
        curve=curve(judged),
        gain=gain_curve(judged),
        over_time=over_time(judged, rows.cycle_start, company),
        segments=by_segment(judged, rows, company),
        fairness=_fairness(history, rows, judged, policy, options),
        handovers=handovers(_calibrated(judged, fitted), rows.as_of, policy.threshold),
        regimes=found,
        costs=costs,
        ageing=aged,
    )


def judged_rows(fitted: Fitted, report: Report) -> tuple[Matrix, Judged]:
    """The slices' rows one after another, and what the blend said of them."""
    rows = joined([s.rows for s in fitted.slices])
    return rows, Judged(report.margins, rows.label, rows.weight, rows.group, rows.cycle)


def _calibrated(judged: Judged, fitted: Fitted) -> Judged:
    """As the shipped model says it: thresholds are in its probabilities."""
    calibration = fitted.scorer.calibration
    return replace(judged, margin=calibration.shift + calibration.slope * judged.margin)


def _newer(history: History, matrix: Matrix, options: Options) -> Matrix | None:
    """Lead cycles too young for an outcome: they tell of the mix already."""
    if history.snapshot.company.time == "row":
        return None
    panel, _ = recent_panel(history, matrix.declarations, seed=options.seed)
    return panel.take(panel.creation & (panel.cycle_start > matrix.cycle_start.max()))


def _fairness(
    history: History, rows: Matrix, judged: Judged, policy: Policy, options: Options
) -> tuple[FairColumn, ...]:
    watched = protected_declarations(history.snapshot.company)
    if not watched:
        return ()
    whole = training_matrix(history, watched, seed=options.seed)
    places = pd.MultiIndex.from_arrays([whole.cycle, whole.as_of]).get_indexer(
        pd.MultiIndex.from_arrays([rows.cycle, rows.as_of])
    )
    return fairness(judged, watched, whole.take(places).columns, policy.threshold)


def _without_nan(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _without_nan(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_without_nan(value) for value in found]
    return None if isinstance(found, float) and not np.isfinite(found) else found


def _named(name: str) -> str:
    """A name as MLflow takes it."""
    return "".join(c if c.isalnum() or c in "_.-/ " else "_" for c in name)
