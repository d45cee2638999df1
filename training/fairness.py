"""Whether groups that the mapping names as protected are treated alike: metrics by group, by fairlearn.

The columns are never features. They are read here only, as of each row, and
leave the run as counts and rates by group.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from data.company import Company
from features.columns import column_declarations
from features.declaration import Declaration
from training.intervals import Cell, Interval, Judged, cells, ratio_of
from training.segments import LEAST_OUTCOMES, MOST_LEVELS, OTHERS, UNKNOWN

BANDS = 4
"""Numbers are cut at their quartiles."""
KINDS = ("number", "category", "days_since_date")
FOUR_FIFTHS = 0.8
"""A group chosen less than so often as the most chosen one: the rule of thumb of US employment law (29 CFR 1607.4)."""


@dataclass(frozen=True)
class FairGroup:
    """One group; `cell` has its calibration with intervals."""

    cell: Cell
    selection_rate: float
    """Share of the rows at or above the threshold."""
    true_positive_rate: float
    """The same among rows with the outcome (equal opportunity)."""
    too_small: bool
    """Too few lead cycles with or without the outcome to judge."""


@dataclass(frozen=True)
class FairColumn:
    column: str
    groups: tuple[FairGroup, ...]
    selection_ratio: Interval
    """Lowest over highest selection rate among groups that are large enough; NaN where fewer than two are."""
    opportunity_ratio: Interval
    """Likewise of the true positive rates."""

    @property
    def comparable(self) -> bool:
        """Whether two groups at least are large enough."""
        return bool(np.isfinite(self.selection_ratio.value))

    @property
    def uneven(self) -> bool:
        """Whether the selection ratio is below four fifths beyond noise."""
        return bool(self.selection_ratio.high < FOUR_FIFTHS)


def protected_declarations(company: Company) -> tuple[Declaration, ...]:
    """How the protected columns are read as of a row. They are declared here alone, never in the catalogue."""
    watched = tuple(replace(c, protected=False) for c in company.columns if c.protected and c.known != "outcome")
    found = column_declarations(replace(company, columns=watched), frozenset())
    return tuple(d for d in found if d.kind in KINDS)


def fairness(
    judged: Judged, declarations: Sequence[Declaration], columns: Sequence[np.ndarray], threshold: float
) -> tuple[FairColumn, ...]:
    """`columns[i]` [n] are the values of `declarations[i]` as of the judged rows; `threshold` is the policy's."""
    return tuple(_column(judged, d, c, threshold) for d, c in zip(declarations, columns, strict=True))


def _column(judged: Judged, declaration: Declaration, values: np.ndarray, threshold: float) -> FairColumn:
    named = grouped(values, is_category=declaration.is_category)
    names = tuple(sorted(set(named.tolist()), key=lambda n: (n in (OTHERS, UNKNOWN), *_band_order(n))))
    codes = pd.Categorical(named, categories=list(names)).codes.astype(int)
    frame = _metrics(judged, named, threshold)
    groups = tuple(
        FairGroup(
            cell=cell,
            selection_rate=float(frame.by_group.loc[cell.name, "selection rate"]),
            true_positive_rate=float(frame.by_group.loc[cell.name, "true positive rate"]),
            too_small=_too_small(judged, codes == k),
        )
        for k, cell in enumerate(cells(judged, codes, names))
    )
    large = [k for k, g in enumerate(groups) if not g.too_small]
    chosen = (judged.probability >= threshold).astype(float)
    return FairColumn(
        declaration.attribute,
        groups,
        _lowest_over_highest(judged, codes, large, [g.selection_rate for g in groups], chosen, np.ones(len(judged))),
        _lowest_over_highest(judged, codes, large, [g.true_positive_rate for g in groups], chosen, judged.label),
    )


def grouped(values: np.ndarray, *, is_category: bool) -> np.ndarray:
    """[n] group names: levels, the rarest joined; bands of numbers between their quartiles."""
    if is_category:
        texts = np.array([UNKNOWN if v is None else str(v) for v in values], dtype=object)
        often = pd.Series(texts).value_counts().index[:MOST_LEVELS]
        return np.where(np.isin(texts, often), texts, OTHERS)
    known = np.isfinite(values)
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, BANDS + 1))) if known.any() else np.empty(0)
    names = np.full(len(values), UNKNOWN, dtype=object)
    if len(edges) < 3:
        names[known] = [f"{v:g}" for v in values[known]]
        return names
    bands = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(edges)]
    place = np.clip(np.searchsorted(edges, values[known], side="left") - 1, 0, len(bands) - 1)
    names[known] = np.array(bands, dtype=object)[place]
    return names


def _band_order(name: str) -> tuple[float, str]:
    try:
        return float(name.split(" to ", maxsplit=1)[0]), name
    except ValueError:
        return float("inf"), name


def _metrics(judged: Judged, named: np.ndarray, threshold: float):  # type: ignore[no-untyped-def]
    from fairlearn.metrics import MetricFrame, selection_rate, true_positive_rate

    metrics = {"selection rate": selection_rate, "true positive rate": true_positive_rate}
    return MetricFrame(
        metrics=metrics,
        y_true=judged.label,
        y_pred=(judged.probability >= threshold).astype(float),
        sensitive_features=pd.Series(named, name="group"),
        sample_params={name: {"sample_weight": judged.weight} for name in metrics},
    )


def _too_small(judged: Judged, inside: np.ndarray) -> bool:
    won = len(np.unique(judged.cycle[inside & (judged.label == 1.0)]))
    return min(won, len(np.unique(judged.cycle[inside])) - won) < LEAST_OUTCOMES


def _lowest_over_highest(
    judged: Judged, codes: np.ndarray, large: Sequence[int], rates: Sequence[float], chosen: np.ndarray, of: np.ndarray
) -> Interval:
    """The lowest group's rate over the highest group's, with its interval; rates are of the rows that `of` counts."""
    if len(large) < 2 or max(rates[k] for k in large) <= 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    lowest, highest = (pick(large, key=lambda k: rates[k]) for pick in (min, max))
    low, high = (judged.weight * of * (codes == k) for k in (lowest, highest))
    return ratio_of(judged, (chosen * low, low), (chosen * high, high))
