"""Figures part by part: over time, and by channel, industry, size and country, forward in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.company import Company
from data.times import row_number
from features.declaration import Declaration
from training.intervals import Cell, Judged, cells
from training.matrix import Matrix

STANDARD = ("channel", "industry", "employee_band", "country")
LEAST_OUTCOMES = 20
"""Lead cycles with the outcome, and without, that a segment must have; smaller ones are joined."""
LEAST_IN_MONTH = 10
"""Likewise for a stretch of time."""
MOST_LEVELS = 12
TENTHS = 10
OTHERS, UNKNOWN = "others", "not known"


@dataclass(frozen=True)
class Segmented:
    """One column, and the figures of each of its levels, most rows first; others joined, last."""

    column: str
    cells: tuple[Cell, ...]


def over_time(judged: Judged, cycle_start: np.ndarray, company: Company) -> tuple[Cell, ...]:
    """By calendar month in which the lead cycles began, in the company's time zone; in row time by tenth of the rows.

    Months too small for figures of their own are joined to the next one.
    """
    order = np.argsort(cycle_start, kind="stable")
    if company.time == "row":
        codes = np.empty(len(judged), dtype=int)
        for tenth, part in enumerate(np.array_split(order, TENTHS)):
            codes[part] = tenth
        labels = [f"rows {row_number(int(cycle_start[codes == k].min())) + 1:,}–" for k in range(TENTHS)]
        ends = [f"{row_number(int(cycle_start[codes == k].max())) + 1:,}" for k in range(TENTHS)]
    else:
        instants = pd.to_datetime(cycle_start, unit="us", utc=True).tz_convert(company.timezone)
        codes, months = pd.factorize(instants.strftime("%Y-%m"), sort=True)
        labels, ends = [str(m) for m in months], [str(m) for m in months]
    joined, names = _joined(judged, codes, labels, ends)
    return cells(judged, joined, names)


def _joined(
    judged: Judged, codes: np.ndarray, labels: Sequence[str], ends: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Neighbouring stretches joined until each has outcomes enough; the last goes to the one before it."""
    stretches: list[list[int]] = [[]]
    for k in range(len(labels)):
        stretches[-1].append(k)
        if k + 1 < len(labels) and _telling(judged, np.isin(codes, stretches[-1]), LEAST_IN_MONTH):
            stretches.append([])
    if len(stretches) > 1 and not _telling(judged, np.isin(codes, stretches[-1]), LEAST_IN_MONTH):
        last = stretches.pop()
        stretches[-1] += last
    place = {k: number for number, stretch in enumerate(stretches) for k in stretch}
    names = tuple(_span(labels[s[0]], ends[s[-1]]) for s in stretches)
    return np.array([place[k] for k in codes.tolist()]), names


def _span(first: str, last: str) -> str:
    if first.endswith("–"):
        return first + last
    return first if first == last else f"{first} to {last}"


def by_segment(judged: Judged, rows: Matrix, company: Company) -> tuple[Segmented, ...]:
    """`rows` are the judged ones. Columns of which fewer than two levels have outcomes enough are left out."""
    found = []
    for place in _columns(rows.declarations, company):
        codes, names = levels(judged, rows.columns[place])
        if len(names) > 1:
            column = rows.declarations[place].attribute or rows.declarations[place].name
            found.append(Segmented(column, cells(judged, codes, names)))
    return tuple(found)


def levels(judged: Judged, values: np.ndarray, least: int = LEAST_OUTCOMES) -> tuple[np.ndarray, tuple[str, ...]]:
    """(place in the names of each row's level, names): rare levels joined, and dropped (−1) where even that is rare."""
    texts = np.array([UNKNOWN if v is None else str(v) for v in values], dtype=object)
    codes, found = pd.factorize(texts)
    count = np.bincount(codes, judged.weight, minlength=len(found))
    often = [int(k) for k in np.argsort(-count, kind="stable") if _telling(judged, codes == k, least)][:MOST_LEVELS]
    rest = ~np.isin(codes, often)
    names = [str(found[k]) for k in often]
    place = np.full(len(codes), -1)
    for number, k in enumerate(often):
        place[codes == k] = number
    if rest.any() and _telling(judged, rest, least):
        place[rest] = len(names)
        names.append(OTHERS)
    return place, tuple(names)


def _telling(judged: Judged, inside: np.ndarray, least: int) -> bool:
    won = len(np.unique(judged.cycle[inside & (judged.label == 1.0)]))
    return min(won, len(np.unique(judged.cycle[inside])) - won) >= least


def _columns(declarations: Sequence[Declaration], company: Company) -> list[int]:
    """Places of the standard segment columns; where none is there, of the company's own categories."""
    plain = [i for i, d in enumerate(declarations) if d.kind == "category" and d.group == "fit"]
    standard = [i for name in STANDARD for i in plain if declarations[i].attribute == name]
    own = {c.name for c in company.columns}
    return standard or [i for i in plain if declarations[i].attribute in own][: len(STANDARD)]
