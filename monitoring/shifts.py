"""From Evidently's figures to shifts: each PSI held against what stationary weeks of its column give."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from monitoring.evidence import LEVEL, PROBABILITY, Shift
from monitoring.stability import Size, adjusted, bins_of, counted_by_week, null_psi, p_value, size_of

RESAMPLES = 10_000
"""Stationary windows drawn a column: enough for a p-value of LEVEL over a hundred features."""
METRIC = "Stability"


def figures_of(result: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Our figures by column, out of Evidently's result."""
    return {
        metric["config"]["column"]: dict(metric["value"])
        for metric in result["metrics"]
        if str(metric["config"].get("type", "")).endswith(f":{METRIC}")
    }


def stationary_psi(
    reference: pd.DataFrame,
    window: pd.DataFrame,
    categories: Sequence[str],
    columns: Sequence[str],
    *,
    weeks: int,
    resamples: int = RESAMPLES,
) -> dict[str, np.ndarray]:
    """For each column the PSI of stationary windows of this window's size, float64[resamples].

    Rows of one lead hang together, so that the size that matters is smaller
    than their number. Seeded by the column's name.
    """
    week = reference["week"].to_numpy(dtype=np.int64)
    week = week - week.min()
    sizes = size_of(window["lead_id"]), size_of(reference["lead_id"])
    return {c: _stationary(reference[c], week, sizes, c in categories, weeks, resamples) for c in columns}


def _stationary(
    reference: pd.Series, week: np.ndarray, sizes: tuple[Size, Size], category: bool, weeks: int, resamples: int
) -> np.ndarray:
    bins = bins_of(reference, category=category)
    by_week = counted_by_week(bins.place(reference), week, bins.size)
    generator = np.random.default_rng(zlib.crc32(str(reference.name).encode()))
    return null_psi(by_week, window=sizes[0], reference=sizes[1], weeks=weeks, resamples=resamples, generator=generator)


def shifts_of(
    result: Mapping[str, Any], stationary: Mapping[str, np.ndarray]
) -> tuple[tuple[Shift, ...], Shift | None]:
    """(features, score): p-values of the features are adjusted together, the score stands alone."""
    figures = figures_of(result)
    shifts = [_shift(name, figures[name], stationary[name]) for name in figures if name in stationary]
    features = [shift for shift in shifts if shift.column != PROBABILITY]
    together = adjusted([shift.p_value for shift in features])
    score = next((shift for shift in shifts if shift.column == PROBABILITY), None)
    return tuple(replace(s, p_adjusted=p) for s, p in zip(features, together, strict=True)), score


def _shift(column: str, figures: Mapping[str, float], stationary: np.ndarray) -> Shift:
    p = p_value(figures["psi"], stationary)
    return Shift(
        column=column,
        psi=figures["psi"],
        critical=float(np.quantile(stationary, 1 - LEVEL)),
        share_moved=figures["share_moved"],
        p_value=p,
        p_adjusted=p,
        missing=figures["missing"],
        missing_reference=figures["missing_reference"],
        unseen=figures["unseen"],
    )
