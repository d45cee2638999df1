"""Reads every file a mapping names into rows of tables, block by block."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Mapping_
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa

from data.errors import DataRefused
from data.sources import rejects
from data.sources.building import parts_of
from data.sources.called import Called
from data.sources.parts import CALLED, Origin, Part, schema_of
from data.sources.reading import Source, blocks, sources
from data.sources.used import columns_used
from data.sources.values import Frame
from data.tables import Table

if TYPE_CHECKING:
    from data.sources.mapping import Mapping

Progress = Callable[[str, int], None]
"""Told the name of what is being done and how many rows of it are done."""
Aside = Mapping_[Table, Callable[[pa.Table], None]]
"""Where rows of some tables go that are too many to be gathered."""


def quiet(what: str, rows: int) -> None:
    """Progress for nobody."""


@dataclass
class Gathered:
    """Rows by table, dated and flat apart, and the rejections; rows carry PROVENANCE."""

    dated: dict[Table, pa.Table] = field(default_factory=dict)
    flat: dict[Table, pa.Table] = field(default_factory=dict)
    rejects: pa.Table = field(default_factory=rejects.SCHEMA.empty_table)
    called: list[Called] = field(default_factory=list)
    """What the rows' columns are called in their files; the rows say which by its place."""
    undeclared: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """File → columns that the mapping says nothing about."""
    rows_read: dict[str, int] = field(default_factory=dict)
    """File → rows."""


@dataclass
class _Collector:
    aside: Aside
    parts: dict[tuple[Table, bool], list[pa.Table]] = field(default_factory=dict)
    rejects: list[pa.Table] = field(default_factory=list)
    called: dict[Called, int] = field(default_factory=dict)

    def add(self, part: Part, timezone: str, id_prefix: str) -> None:
        called = Called(tuple(part.named.items()), part.instants, timezone, id_prefix)
        number = pa.scalar(self.called.setdefault(called, len(self.called)), pa.int16())
        place = part.rows.schema.get_field_index(CALLED)
        rows = part.rows.set_column(place, CALLED, pa.repeat(number, part.rows.num_rows))
        if put := self.aside.get(part.table):
            put(rows)
        else:
            self.parts.setdefault((part.table, part.flat), []).append(rows)
        if part.rejects.num_rows:
            self.rejects.append(part.rejects)

    def tables(self, *, flat: bool) -> dict[Table, pa.Table]:
        return {
            table: pa.concat_tables([schema_of(table).empty_table(), *rows])
            for (table, is_flat), rows in self.parts.items()
            if is_flat == flat
        }


def gather(mapping: Mapping, now: int, progress: Progress = quiet, *, aside: Aside = MappingProxyType({})) -> Gathered:
    """All rows the mapping finds in its files; those of tables in `aside` are put there block by block, not gathered.

    Raises DataRefused for files that cannot be read as declared.
    """
    found = [source for section in mapping.files for source in sources(section, mapping.folder)]
    for source in found:
        _check_columns(source)
    collector, gathered = _Collector(aside), Gathered()
    for source in found:
        used = columns_used(source.section)
        gathered.undeclared[source.name] = tuple(
            c for c in source.header if c not in used and c not in source.section.ignore
        )
        gathered.rows_read[source.name] = _read(source, mapping, now, collector, progress)
    gathered.dated, gathered.flat = collector.tables(flat=False), collector.tables(flat=True)
    gathered.rejects = rejects.together(collector.rejects)
    gathered.called = list(collector.called)
    return gathered


def _read(source: Source, mapping: Mapping, now: int, collector: _Collector, progress: Progress) -> int:
    origin = Origin(mapping.source, source.name, now, mapping.by_row, mapping.id_prefix)
    done = 0
    for block in blocks(source, columns_used(source.section)):
        frame = Frame(block.rows, block.numbers, source.section, mapping.company.timezone, mapping.missing)
        for part in parts_of(frame, mapping, origin):
            collector.add(part, source.section.timezone or mapping.company.timezone, mapping.id_prefix)
        done += len(frame)
        progress(source.name, done)
    for row, reason in source.broken:
        one = pa.array([row]), pa.array([None], pa.string())
        collector.rejects.append(rejects.rejected(source.name, one[0], "", "", one[1], reason))
    return done + len(source.broken)


def _check_columns(source: Source) -> None:
    missing = sorted(columns_used(source.section) - set(source.header))
    if missing:
        hint = (
            f"is the separator really {source.section.separator!r}? If a constant is meant, write {{ value = … }}"
            if len(source.header) == 1
            else "correct the names in the mapping; a constant is written { value = … }"
        )
        raise DataRefused(
            f"{source.name}, header",
            ", ".join(map(repr, source.header)),
            expected=f"also {', '.join(map(repr, missing))}, which the mapping names",
            remedy=hint,
        )
