"""The training matrix: feature columns, labels and the times and groups that rule how rows may be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from features.declaration import Declaration


@dataclass(frozen=True)
class Matrix:
    """n rows, one a (lead, cycle, as_of); every array is [n]; all labels are matured.

    `columns[i]` belongs to `declarations[i]`: float64 with NaN for null, or
    objects that are text or None.
    """

    declarations: tuple[Declaration, ...]
    columns: tuple[np.ndarray, ...]
    label: np.ndarray
    """0.0 or 1.0: the outcome came in [as_of, as_of + horizon)."""
    weight: np.ndarray
    cycle_start: np.ndarray
    """Microseconds; cohorts are cut by it."""
    as_of: np.ndarray
    matured_at: np.ndarray
    """as_of + horizon + recording lag: when the label was known."""
    group: np.ndarray
    """Whole number per person or account: rows of one group never lie on both sides of a random split."""
    cycle: np.ndarray
    """Whole number per lead cycle."""
    creation: np.ndarray
    """True on the row that stands right after its cycle began."""
    days: np.ndarray = field(default_factory=lambda: np.empty(0))
    """Days from as_of to the outcome; NaN where it did not come, in row time, and where it was left out."""
    amount: np.ndarray = field(default_factory=lambda: np.empty(0))
    """What the deal came to; NaN where it was not won or its amount is not recorded, or where it was left out."""

    def __post_init__(self) -> None:
        for name in ("days", "amount"):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.full(len(self.label), np.nan))

    def __len__(self) -> int:
        return len(self.label)

    def take(self, index: np.ndarray) -> Matrix:
        """The rows of a boolean mask or of positions, in that order."""
        return replace(
            self,
            columns=tuple(c[index] for c in self.columns),
            **{name: getattr(self, name)[index] for name in _ROW_ARRAYS},
        )

    def keep_features(self, names: Sequence[str]) -> Matrix:
        """The same rows with only the named features, in their declared order."""
        kept = [i for i, d in enumerate(self.declarations) if d.name in set(names)]
        return replace(
            self,
            declarations=tuple(self.declarations[i] for i in kept),
            columns=tuple(self.columns[i] for i in kept),
        )

    def row(self, position: int) -> list[Any]:
        """Feature values of one row as the online side has them: float, text or None."""
        values = [column[position] for column in self.columns]
        return [
            v if d.is_category else (None if np.isnan(v) else float(v))
            for d, v in zip(self.declarations, values, strict=True)
        ]


_ROW_ARRAYS = ("label", "weight", "cycle_start", "as_of", "matured_at", "group", "cycle", "creation", "days", "amount")


def joined(parts: Sequence[Matrix]) -> Matrix:
    """The rows of matrices with the same features, one part after another."""
    columns = tuple(np.concatenate(c) for c in zip(*(p.columns for p in parts), strict=True))
    return replace(
        parts[0],
        columns=columns,
        **{name: np.concatenate([getattr(p, name) for p in parts]) for name in _ROW_ARRAYS},  # type: ignore[arg-type]
    )


def informative(matrix: Matrix) -> Matrix:
    """Without the features that have one value only (null counts as a value): they say nothing."""
    names = [d.name for d, c in zip(matrix.declarations, matrix.columns, strict=True) if _varies(c)]
    return matrix.keep_features(names)


def usable(matrix: Matrix, *, monotone: bool) -> Matrix:
    """The informative features; where directions are kept, without those that could raise behaviour by waiting alone.

    A trend or a ratio comes back from a low by itself (`Declaration.keeps_decay_guarantee`).
    """
    found = informative(matrix)
    return found.keep_features([d.name for d in found.declarations if d.keeps_decay_guarantee or not monotone])


def _varies(column: np.ndarray) -> bool:
    if len(column) == 0:
        return False
    if column.dtype == object:
        return len(set(column.tolist())) > 1
    empty = np.isnan(column)
    if empty.all():
        return False
    return bool(empty.any() or np.ptp(column) > 0)
