"""The one file that imports Evidently: two frames in, its result and its page out.

Import it inside the function that needs it: Evidently takes seconds to load.
The page shows Evidently's own drift preset (PSI for every column, thresholds
given) below a table of our `Stability` metrics. The preset drops missing
values and cuts numbers into bins of equal width, so a field that stopped
being filled leaves no trace in it; `Stability` counts missing and unseen
values as bins of their own and uses the bins the critical values were
calibrated with. The decision reads `Stability` out of this result.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

os.environ.setdefault("DO_NOT_TRACK", "1")

from evidently import DataDefinition, Dataset, Report
from evidently.core.container import MetricContainer, MetricOrContainer
from evidently.core.metric_types import ByLabelCalculation, ByLabelMetric, ByLabelValue, Label
from evidently.core.report import Context
from evidently.legacy.renderers.html_widgets import table_data
from evidently.metrics.column_statistics import ColumnMetric
from evidently.presets import DataDriftPreset

from monitoring.stability import column_figures

PRESET_THRESHOLD = 0.1
"""Evidently's usual PSI threshold, for its own pictures; no decision reads it."""
MOST_PICTURES = 30
"""Columns drawn, the most moved first; drawing takes most of the time. The table holds them all."""


@dataclass(frozen=True)
class Columns:
    """Which columns are compared and how: numbers and categories apart."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        return self.numbers + self.categories


def drift_result(
    window: pd.DataFrame, reference: pd.DataFrame, columns: Columns, *, as_of: int, page: Path | None = None
) -> dict[str, Any]:
    """Evidently's result as plain JSON; a page, with pictures, is written to `page` and loads nothing from anywhere.

    Frames: one row per lead and week, the named columns as float64 or text.
    Raises ValueError where a frame is empty: the caller says so better.
    """
    if window.empty or reference.empty:
        raise ValueError("nothing to compare")
    table = StabilityTable(numbers=columns.numbers, categories=columns.categories)
    report = Report([table, *_pictures(window, reference, columns)] if page is not None else [table])
    run = report.run(
        _dataset(window, columns),
        _dataset(reference, columns),
        timestamp=datetime.fromtimestamp(as_of / 1e6, tz=UTC),
    )
    if page is not None:
        run.save_html(str(page))
    return json.loads(json.dumps(run.dict(), default=_plain))


def _pictures(window: pd.DataFrame, reference: pd.DataFrame, columns: Columns) -> list[MetricOrContainer]:
    filled = [c for c in columns.all if window[c].notna().any() and reference[c].notna().any()]
    moved = {c: column_figures(window[c], reference[c], category=c in columns.categories)["psi"] for c in filled}
    drawn = sorted(filled, key=lambda c: (-moved[c], c))[:MOST_PICTURES]
    if not drawn:
        return []
    preset = DataDriftPreset(
        columns=drawn,
        per_column_method=dict.fromkeys(drawn, "psi"),
        per_column_threshold=dict.fromkeys(drawn, PRESET_THRESHOLD),
        include_tests=False,
    )
    return [preset]


def _dataset(frame: pd.DataFrame, columns: Columns) -> Dataset:
    kept = frame.loc[:, list(columns.all)].astype(dict.fromkeys(columns.numbers, float))
    definition = DataDefinition(numerical_columns=list(columns.numbers), categorical_columns=list(columns.categories))
    with np.errstate(all="ignore"):  # Evidently divides by the count of a column without values
        return Dataset.from_pandas(kept, definition)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


class Stability(ColumnMetric, ByLabelMetric):
    """Of one column: psi, share_moved, and the shares missing and unseen on both sides."""

    category: bool = False


class StabilityCalculation(ByLabelCalculation[Stability]):
    def calculate(
        self, context: Context, current_data: Dataset, reference_data: Dataset | None
    ) -> tuple[ByLabelValue, None]:
        if reference_data is None:
            raise ValueError("a reference is needed")
        name = self.metric.column
        values = column_figures(
            current_data.column(name).data, reference_data.column(name).data, category=self.metric.category
        )
        result = self.result(dict(values))
        result.widget = []
        return result, None

    def display_name(self) -> str:
        return f"Stability of {self.metric.column}"

    def label_display_name(self, label: Label) -> str:
        return f"{label} of {self.metric.column}"


class StabilityTable(MetricContainer):
    """`Stability` of every column, shown as one table, the most moved first."""

    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    def generate_metrics(self, context: Context) -> Sequence[MetricOrContainer]:
        return [Stability(column=c) for c in self.numbers] + [
            Stability(column=c, category=True) for c in self.categories
        ]

    def render(self, context: Context, child_widgets: Any = None) -> list[Any]:
        results = [(m, context.get_metric_result(m).to_simple_dict()) for m in self.metrics(context)]
        rows = [[m.column, *(f"{values[k]:.3f}" for k in _SHOWN)] for m, values in results]
        rows.sort(key=lambda row: -float(row[1]))
        return [table_data(title="Stability by column", column_names=["column", *_SHOWN], data=rows)]


_SHOWN = ("psi", "share_moved", "missing", "missing_reference", "unseen")
