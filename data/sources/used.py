"""Which columns of a file its section names."""

from __future__ import annotations

from collections.abc import Iterator

from data.sources.cells import Cell, Section
from data.sources.sections import FileSection


def columns_used(file: FileSection) -> set[str]:
    """Every column the file must have."""
    return set(file.columns) | set(_cells(file))


def _cells(section: Section) -> Iterator[str]:
    """Columns named by cells and by where, at any depth."""
    if isinstance(section, Cell):
        if section.column:
            yield section.column
        return
    yield from getattr(section, "where", {})
    for name in type(section).model_fields:
        value = getattr(section, name)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Section):
                yield from _cells(inner)
