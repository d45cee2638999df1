"""What `train` prints of an assessment: short tables; the model card has all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from training.assessment import Assessment
from training.card_assessment import cell_row, fair_heads, fair_rows, heads
from training.card_sentences import (
    change_sentence,
    cost_sentence,
    fair_sentence,
    handed,
    regime_sentences,
    sure,
)
from training.dates import day
from training.intervals import Cell
from training.rows import History

MOST_STRETCHES = 12
MOST_LEVELS = 3
COLUMNS = 6
"""Of `heads` that fit a terminal; the model card has the others."""
FAIR_COLUMNS = 7


def english(en: str, _: str) -> str:
    return en


def assessment_lines(history: History, found: Assessment) -> Iterator[str | Table]:
    yield escape(sure(found, english))
    yield escape(handed(found, english))
    yield _table(
        "over time, newest last; 95% intervals; ↑ ↓ predicted too high or low beyond noise",
        "began",
        found.over_time[-MOST_STRETCHES:],
    )
    if found.segments:
        yield _segment_table(found)
    for column in found.fairness:
        table = Table(title=f"protected: {escape(column.column)} (never a feature)", title_justify="left")
        _fill(
            table,
            fair_heads(column, english)[:FAIR_COLUMNS],
            [row[:FAIR_COLUMNS] for row in fair_rows(column, english)],
        )
        yield table
        sentence = escape(fair_sentence(column, english))
        yield f"[yellow]{sentence}[/yellow]" if column.uneven else sentence
    yield from (escape(cost_sentence(cost, english)) for cost in found.costs)
    yield from regime_lines(history, found)


def regime_lines(history: History, found: Assessment) -> Iterator[str]:
    """The newest change of each sort, what the probabilities rest on, when to retrain, and who could have known."""
    changes = found.regimes.now.changes
    newest = {c.what: c for c in changes}
    said = list(regime_sentences(history, found, english))[len(changes) :]
    lines = [*(change_sentence(history, c, english) for c in newest.values()), *said]
    warned = [k for k, seen in enumerate(found.regimes.before_slices, 1) if seen.changes]
    if warned:
        slices = ", ".join(f"{k} ({day(history, found.regimes.before_slices[k - 1].at)})" for k in warned)
        lines.append(
            f"a change of regime could be seen before slices {slices} from what was known then: see the model card"
        )
    if len(changes) > len(newest):
        lines.append(f"{len(changes)} changes in all: see the model card")
    colour = "yellow" if changes else ""
    yield from (f"[{colour}]{escape(line)}[/{colour}]" if colour else escape(line) for line in lines)


def _segment_table(found: Assessment) -> Table:
    """The largest levels of each column, and of the others the one that is furthest off beyond noise."""
    table = Table(title="by segment, the largest and the worst; all in the model card", title_justify="left")
    rows = []
    for segmented in found.segments:
        off = [cell for cell in segmented.cells[MOST_LEVELS:] if cell.off]
        worst = sorted(off, key=lambda cell: -abs(cell.bias.value))[:1]
        for cell in (*segmented.cells[:MOST_LEVELS], *worst):
            first, *rest = cell_row(cell, english)
            rows.append((f"{segmented.column}: {first}", *rest))
    _fill(table, heads("segment", english)[:COLUMNS], [row[:COLUMNS] for row in rows])
    return table


def _table(title: str, first: str, cells: Sequence[Cell]) -> Table:
    table = Table(title=title, title_justify="left")
    _fill(table, heads(first, english)[:COLUMNS], [cell_row(cell, english)[:COLUMNS] for cell in cells])
    return table


def _fill(table: Table, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for place, name in enumerate(names):
        table.add_column(escape(name), justify="right" if place else "left")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
