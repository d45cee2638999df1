"""Reading partitions: some leads' rows, all rows, and which records they already hold. Needs pyarrow only.

Row groups are sorted, by lead in the rows and by number in the keys, so that a
read touches only those groups that can hold what is asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection

from data.store.keys import keys_of
from data.store.partitions import Partition, registered
from data.tables import TOUCHPOINTS, Table

ONLINE_COLUMNS = ("lead_id", "kind", "actor", "occurred_at", "recorded_at", "channel", "campaign_id", "detail")
"""What the online side needs of a touchpoint."""
_REPETITIVE = ("kind", "actor", "channel", "campaign_id", "detail", "source")
"""Columns whose values are not spelt out for the rows of a group that nobody asked for."""
OnlineRow = tuple[str, str, str, int, int, str | None, str | None, str | None]
"""ONLINE_COLUMNS of one touchpoint."""


def partition_touchpoints(connection: Connection, folder: Path, lead_ids: Sequence[str]) -> list[OnlineRow]:
    """Touchpoints of some leads in all registered partitions, by lead and time; `folder` is `store.partitions`."""
    partitions = registered(connection)
    if not partitions or not lead_ids:
        return []
    found = [rows_of_leads(partition, folder, lead_ids, ONLINE_COLUMNS) for partition in partitions]
    columns = (pa.concat_tables(found).column(name).to_pylist() for name in ONLINE_COLUMNS)
    return list(zip(*columns, strict=True))


def rows_of_leads(
    partition: Partition, folder: Path, lead_ids: Sequence[str], columns: Sequence[str] | None = None
) -> pa.Table:
    """The rows of some leads in one partition, sorted by lead and time; all columns of a snapshot by default."""
    wanted, schema = sorted(set(lead_ids)), TOUCHPOINTS.snapshot_schema()
    names = list(columns or schema.names)
    with _sound(partition):
        path = partition.rows_file(folder)
        chosen = _groups_of(path, wanted)
        if not chosen:
            return pa.schema([schema.field(name) for name in names]).empty_table()
        read = _open(path, _REPETITIVE).read_row_groups(chosen, columns=names, use_threads=False)
        found = read.filter(pc.is_in(read.column("lead_id"), value_set=pa.array(wanted, pa.string())))
        return found.cast(pa.schema([schema.field(name) for name in names]))


def _groups_of(path: Path, wanted: Sequence[str]) -> list[int]:
    """The row groups that can hold one of these leads, which are sorted."""
    return [
        number
        for number, (least, greatest) in enumerate(_ranges(path, "lead_id"))
        if (place := bisect_left(wanted, least)) < len(wanted) and wanted[place] <= greatest
    ]


def batches_of(partition: Partition, folder: Path) -> Iterator[pa.RecordBatch]:
    """All rows of a partition, as a snapshot has them."""
    schema = TOUCHPOINTS.snapshot_schema()
    with _sound(partition):
        for batch in _open(partition.rows_file(folder)).iter_batches():
            yield batch.cast(schema)


def compared(table: Table, rows: pa.Table, partitions: Sequence[Partition], folder: Path) -> tuple[pa.Array, pa.Array]:
    """(which rows a partition holds as they are, which it holds with other content): two masks."""
    high, low, content = keys_of(table, rows)
    same, other = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    order = np.argsort(high, kind="stable")
    for partition in partitions:
        with _sound(partition):
            for row, held in _held(partition.keys_file(folder), high, low, order):
                same[row], other[row] = held == content[row], held != content[row]
    return pa.array(same), pa.array(other)


def _held(path: Path, high: np.ndarray, low: np.ndarray, order: np.ndarray) -> Iterator[tuple[int, np.uint64]]:
    """(row, content) for each row whose name is in a file of keys."""
    asked = high[order]
    for number, (least, greatest) in enumerate(_ranges(path, "name_hi")):
        begin = int(np.searchsorted(asked, np.uint64(least), "left"))
        end = int(np.searchsorted(asked, np.uint64(greatest), "right"))
        if begin == end:
            continue
        group = _open(path).read_row_group(number, use_threads=False)
        keys = {name: group.column(name).to_numpy() for name in group.column_names}
        starts = np.searchsorted(keys["name_hi"], asked[begin:end], "left")
        ends = np.searchsorted(keys["name_hi"], asked[begin:end], "right")
        for nth in np.flatnonzero(ends > starts):
            row, here = int(order[begin + nth]), slice(int(starts[nth]), int(ends[nth]))
            for place in np.flatnonzero(keys["name_lo"][here] == low[row]):
                yield row, keys["content"][here][place]


@contextmanager
def _sound(partition: Partition) -> Iterator[None]:
    """Names the partition whose file cannot be read."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise partition.damaged(str(error).splitlines()[0]) from error


def _open(path: Path, as_dictionary: Sequence[str] = ()) -> pq.ParquetFile:
    return pq.ParquetFile(path, metadata=_footer(path), read_dictionary=list(as_dictionary))


# Partitions never change, so that a footer read once holds.
@lru_cache(maxsize=256)
def _footer(path: Path) -> pq.FileMetaData:
    return pq.read_metadata(path)


@lru_cache(maxsize=256)
def _ranges(path: Path, column: str) -> tuple[tuple[Any, Any], ...]:
    """(least, greatest) value of a column in each row group."""
    footer = _footer(path)
    place = footer.schema.names.index(column)
    statistics = [footer.row_group(number).column(place).statistics for number in range(footer.num_row_groups)]
    return tuple((s.min, s.max) for s in statistics)
