"""Opens the files a mapping names and gives their rows in blocks, as text (CSV) or typed (Parquet).

Blocks keep memory flat however large a file is. Rows that a reader cannot make
sense of are handed back with their number, never dropped unseen.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import pyarrow.csv as pacsv

from data.errors import DataRefused
from data.sources.encodings import checked_encoding
from data.sources.parquet import open_parquet, parquet_batches
from data.sources.sections import FileSection

BLOCK = 16 << 20
"""Bytes read at once; no single row may be larger."""
HEADER = 1 << 20
"""Characters of a header line, at most."""


@dataclass
class Source:
    """One file on disk, with the section that says what it holds."""

    path: Path
    section: FileSection
    header: tuple[str, ...]
    broken: list[tuple[int, str]] = field(default_factory=list)
    """(row number, reason) of rows that are no rows, known once all blocks were read."""

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(frozen=True)
class Block:
    """Some consecutive rows; `first` is the number of the first, counted from 1 below the header."""

    rows: pa.Table
    numbers: pa.Array


def sources(section: FileSection, folder: Path) -> list[Source]:
    """The files behind one section, sorted by name; DataRefused when there is none."""
    pattern = Path(section.path)
    named = [pattern] if pattern.is_absolute() else sorted(folder.glob(section.path))
    found = [path for path in named if path.is_file()]
    if not found:
        raise DataRefused(
            f"file {section.path}",
            "a folder" if any(path.is_dir() for path in named) else "no such file",
            expected=f"a file in {folder}",
            remedy="correct path in the mapping, or name the folder of the files with --data DIR",
        )
    return [Source(path, section, header_of(path, section)) for path in found]


def header_of(path: Path, section: FileSection) -> tuple[str, ...]:
    """Column names; refuses files that are empty, or name a column twice or not at all."""
    header = open_parquet(path).schema_arrow.names if is_parquet(path) else _csv_header(path, section)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataRefused(
            f"{path.name}, header", f"{', '.join(map(repr, twice))} more than once", expected="each name once"
        )
    return tuple(header)


def is_parquet(path: Path) -> bool:
    return path.suffix.lower() in {".parquet", ".pq"}


def _csv_header(path: Path, section: FileSection) -> list[str]:
    encoding = checked_encoding(path, section.encoding)
    if path.stat().st_size == 0:
        raise DataRefused(f"{path.name}", "an empty file", expected="a header line and rows")
    with path.open(encoding=encoding, newline="") as handle:
        try:
            return next(csv.reader(first_lines(handle, path), delimiter=section.separator))
        except StopIteration:
            raise DataRefused(f"{path.name}", "no header", expected="a header line and rows") from None
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataRefused(f"{path.name}, header", str(error), expected="a line of column names") from None


def first_lines(handle: TextIO, path: Path) -> Iterator[str]:
    """Lines one by one; DataRefused at one longer than HEADER, before it is read whole."""
    while line := handle.readline(HEADER):
        if len(line) >= HEADER and not line.endswith(("\n", "\r")):
            raise DataRefused(
                f"{path.name}, first lines",
                f"a line of more than {HEADER:,} characters",
                expected="lines that end (is it CSV, and not binary or one endless line?)",
            )
        yield line


def blocks(source: Source, columns: set[str] | None = None) -> Iterator[Block]:
    """All rows in file order; CSV columns as text, untouched; only `columns` where given."""
    wanted = [name for name in source.header if columns is None or name in columns]
    if not wanted:
        wanted = list(source.header[:1])
    if not is_parquet(source.path):
        return _csv_blocks(source, wanted)
    return (Block(rows, numbers) for rows, numbers in parquet_batches(source.path, wanted))


def _csv_blocks(source: Source, wanted: list[str]) -> Iterator[Block]:
    seen = 0
    try:
        for batch in _csv_reader(source, wanted):
            first = seen + 1
            numbers = _numbers(first, batch.num_rows, [row for row, _ in source.broken])
            yield Block(pa.Table.from_batches([batch]), pa.array(numbers, pa.int64()))
            seen = numbers[-1] if numbers else seen
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _unreadable(source, error, seen) from None


def _csv_reader(source: Source, wanted: list[str]) -> pacsv.CSVStreamingReader:
    def skip(row: pacsv.InvalidRow) -> str:
        number = (row.number or 0) - 1
        source.broken.append((number, f"{row.actual_columns} fields where the header has {row.expected_columns}"))
        return "skip"

    source.broken.clear()
    return pacsv.open_csv(
        # An open file, not its name: nothing is to be unpacked because of how a file is called.
        pa.OSFile(str(source.path)),
        read_options=pacsv.ReadOptions(
            use_threads=False, block_size=BLOCK, encoding=_reader_encoding(source.section.encoding)
        ),
        parse_options=pacsv.ParseOptions(
            delimiter=source.section.separator, newlines_in_values=True, invalid_row_handler=skip
        ),
        convert_options=pacsv.ConvertOptions(
            include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()), strings_can_be_null=False
        ),
    )


def _reader_encoding(name: str) -> str:
    return "utf8" if name.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"} else name


def _numbers(first: int, count: int, broken: list[int]) -> list[int]:
    """Numbers of `count` sound rows from `first` on, stepping over the broken ones."""
    out: list[int] = []
    number, gaps = first, set(broken)
    if not any(b >= first for b in gaps):
        return list(range(first, first + count))
    while len(out) < count:
        if number not in gaps:
            out.append(number)
        number += 1
    return out


def _unreadable(source: Source, error: Exception, seen: int) -> DataRefused:
    text = str(error).splitlines()[0]
    if "straddling" in text:
        text, expected = f"a row of more than {BLOCK >> 20} MB", 'rows of sensible size (an unclosed quote " makes one)'
    else:
        expected = f"CSV in {source.section.encoding} with separator {source.section.separator!r}"
    return DataRefused(
        f"{source.name}, after row {seen}", text, expected=expected, remedy="correct the file or the mapping"
    )


def whole(source: Source, columns: set[str] | None = None) -> Block:
    """The file at once, for files that fit."""
    parts = list(blocks(source, columns))
    if not parts:
        wanted = [n for n in source.header if columns is None or n in columns]
        return Block(pa.table({n: pa.array([], pa.string()) for n in wanted}), pa.array([], pa.int64()))
    return Block(
        pa.concat_tables([p.rows for p in parts], promote_options="permissive"),
        pa.chunked_array([p.numbers for p in parts]).combine_chunks(),
    )
