"""From training rows to the lead cycles whose rate and mix are watched (training.regimes)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from features.declaration import Declaration
from training.matrix import Matrix
from training.regimes import Cohorts

KINDS = ("category", "number")
COME_AND_GO = ("campaign",)
"""Attributes whose levels begin and end by their nature."""
LEAST_SHARE = 0.02
"""Of the lead cycles that a level has, to be watched by itself."""
MOST_LEVELS = 12
NULL = "not known"


def cohorts_of(matrix: Matrix, newer: Matrix | None = None) -> Cohorts:
    """First rows of first cycles, by cycle start; `newer` ones have no outcome yet.

    Recycled leads are left out: there are none when a history begins, and ever
    more later, which is no change of regime. So are behaviour and the
    calendar: what was known of the past grows with the history.
    """
    parts = [_first_rows(matrix)]
    if newer is not None and len(newer):
        blank = _first_rows(newer)
        parts.append(replace(blank, label=np.full(len(blank), np.nan)))
    at, label, matured = (
        np.concatenate([getattr(p, n) for p in parts]) for n in ("cycle_start", "label", "matured_at")
    )
    order = np.argsort(at, kind="stable")
    found: dict[str, np.ndarray] = {}
    for i, declaration in enumerate(matrix.declarations):
        if _tells_who(declaration):
            values = np.concatenate([p.columns[i] for p in parts])[order]
            seen = (_indicators if declaration.is_category else _numbers)(declaration.name, values)
            found |= _where_known(seen, declaration.name) if declaration.subject == "account" else seen
    columns = np.column_stack(list(found.values())) if found else np.empty((len(at), 0))
    return Cohorts(at[order], label[order], matured[order], columns, tuple(found))


def _tells_who(declaration: Declaration) -> bool:
    return declaration.kind in KINDS and declaration.group == "fit" and declaration.attribute not in COME_AND_GO


def _first_rows(matrix: Matrix) -> Matrix:
    first = matrix.creation.copy()
    for declaration, column in zip(matrix.declarations, matrix.columns, strict=True):
        if declaration.kind == "times_recycled":
            first &= ~(column > 0)
    return matrix.take(first)


def _where_known(columns: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """Accounts become known as their leads come, so the unknown counts as the mean: it moves nothing."""
    empty = columns.pop(f"{name} = {NULL}", None)
    if empty is None or empty.all():
        return columns
    known = empty == 0.0
    return {key: np.where(known, values, values[known].mean()) for key, values in columns.items()}


def _indicators(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """One column a level that enough leads have, in order of frequency."""
    texts = np.array([NULL if v is None else str(v) for v in values], dtype=object)
    codes, levels = pd.factorize(texts)
    share = np.bincount(codes, minlength=len(levels)) / max(len(codes), 1)
    often = [k for k in np.argsort(-share, kind="stable")[:MOST_LEVELS] if LEAST_SHARE <= share[k] < 1]
    return {f"{name} = {levels[k]}": (codes == k).astype(float) for k in often}


def _numbers(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """Its rank between 0 and 1, which no outlier moves, the unknown in the middle; and whether it is known."""
    empty = np.isnan(values)
    rank = pd.Series(values).rank(pct=True).fillna(0.5).to_numpy()
    found = {name: rank} if np.ptp(rank) > 0 else {}
    return found | ({f"{name} = {NULL}": empty.astype(float)} if LEAST_SHARE <= empty.mean() < 1 else {})
