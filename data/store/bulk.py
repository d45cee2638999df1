"""From sound touchpoints of one import to a partition: duplicates out, the rest sorted, described, made durable.

Both sides, the import and what is stored already, are split by a hash of the
record's name into buckets on disk; a bucket at a time is joined, so that
memory does not grow with either. A record that is there with the same content
is left out, one with other content is a conflict and overwrites nothing: the
rules of the store's own append, and of `data.sources.naming` for records
without an id.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection

from data.store.engine import select_all
from data.store.files import file_refusals, file_sha256, rename_durably, sync
from data.store.keys import KEYS_SCHEMA, base_sql, content_sql, name_sql
from data.store.operational import Store
from data.store.partitions import (
    KEYS,
    UNFINISHED,
    Partition,
    Prepared,
    name_prefix,
    one_at_a_time,
    registered,
    state_of_touchpoints,
    sweep,
)
from data.store.parts import ROWS_ONLINE, sorted_part, sorting_engine
from data.store.rows import batches
from data.tables import TOUCHPOINTS

if TYPE_CHECKING:
    import duckdb

FILE, ROW, CALLED, MARK, POSITION = "__file", "__row", "__called", "__mark", "__position"
SOUND_SCHEMA = pa.schema(
    [
        *(f.with_nullable(True) for f in TOUCHPOINTS.snapshot_schema()),
        pa.field(FILE, pa.string()),
        pa.field(ROW, pa.int64()),
        pa.field(CALLED, pa.int16()),
        pa.field(MARK, pa.string()),
        pa.field(POSITION, pa.int64()),
    ]
)
"""A touchpoint, where it stands, and which form of its file it has (`data.sources.called`). Without a source id
`__mark` names its content, and equal ones of one file are counted in the order of `__position`."""
PLACED_SCHEMA = pa.schema(
    [
        pa.field(FILE, pa.string()),
        pa.field(ROW, pa.int64()),
        pa.field(CALLED, pa.int16()),
        pa.field("source_id", pa.string()),
    ]
)
"""Where a row came from that was not taken, and its name."""
_ROWS_A_BUCKET = 250_000
_MOST_BITS = 8
_SAME_LAST_BITS = 64


@dataclass
class Outcome:
    """What became of the rows: accepted ones are in `prepared`; equal repeats within the import are not counted."""

    accepted: int = 0
    unchanged: int = 0
    conflicts: list[pa.Table] = field(default_factory=list)
    """The store has the record with other content."""
    twice: list[pa.Table] = field(default_factory=list)
    """A row before it in this import has the name with other content."""
    prepared: Prepared | None = None
    """None where no row is new."""


class Intake:
    """One import's turn to add a partition; whatever it wrote is gone when it ends, unless it was registered."""

    def __init__(self, store: Store, folder: Path, work: Path) -> None:
        self._store, self._folder, self.work = store, folder, work
        self._placed: Path | None = None

    @property
    def sound_file(self) -> Path:
        """Where the caller writes all sound rows (SOUND_SCHEMA), in the order of the files."""
        return self.work / "sound.parquet"

    def prepare(self, rows: int) -> Outcome:
        """Joins the sound rows with what is stored now and writes the new ones as a partition."""
        self.discard()
        with sorting_engine(self.work) as engine, self._store.reading() as connection:
            outcome = Outcome()
            compared_with = state_of_touchpoints(connection)
            partition = self._joined(engine, connection, rows, outcome)
            if partition is not None:
                self._placed = self._in_place(partition)
                outcome.prepared = Prepared(partition, *compared_with)
        return outcome

    def keep(self) -> None:
        """The partition was registered: it stays."""
        self._placed = None

    def discard(self) -> None:
        if self._placed is not None:
            shutil.rmtree(self._placed, ignore_errors=True)
        self._placed = None

    def _joined(
        self, engine: duckdb.DuckDBPyConnection, connection: Connection, rows: int, outcome: Outcome
    ) -> Partition | None:
        bits = _bits(rows)
        sources = self._split_sound(engine, bits)
        stored = self._split_stored(engine, connection, sources, bits)
        earlier = [str(partition.keys_file(self._folder)) for partition in registered(connection)]
        fresh = self.work / "fresh"
        fresh.mkdir()
        accepted, keys = fresh / "unsorted.parquet", fresh / KEYS
        with (
            pq.ParquetWriter(accepted, TOUCHPOINTS.snapshot_schema(), compression="lz4") as rows_out,
            pq.ParquetWriter(keys, KEYS_SCHEMA, compression="none", use_dictionary=False) as keys_out,
        ):
            for bucket in range(2**bits):
                mine = sorted((self.work / f"sound/bucket={bucket}").glob("*.parquet"))
                if mine:
                    theirs = [str(f) for f in sorted((stored / f"bucket={bucket}").glob("*.parquet"))]
                    _join(engine, [str(f) for f in mine], theirs, earlier, (bucket, bits))
                    _tell(engine, outcome)
                    _write_fresh(engine, rows_out, keys_out)
        return self._finished(engine, connection, accepted, fresh) if outcome.accepted else None

    def _split_sound(self, engine: duckdb.DuckDBPyConnection, bits: int) -> list[str]:
        """The sound rows by bucket; returns the sources they are of."""
        target = _emptied(self.work / "sound")
        named = "coalesce(source_id, __mark)"
        engine.execute(
            f"COPY (SELECT *, {base_sql(name=named)} AS name_hi, {_bucket(base_sql(name=named), bits)} AS bucket"
            f" FROM read_parquet('{self.sound_file}')) TO '{target}' (FORMAT parquet, PARTITION_BY (bucket),"
            " COMPRESSION lz4)"
        )
        found = engine.execute(f"SELECT DISTINCT source FROM read_parquet('{self.sound_file}')").fetchall()
        return [source for (source,) in found]

    def _split_stored(
        self, engine: duckdb.DuckDBPyConnection, connection: Connection, sources: list[str], bits: int
    ) -> Path:
        """Keys of the store's own rows of the same sources, by bucket."""
        target, schema = _emptied(self.work / "stored"), TOUCHPOINTS.snapshot_schema()
        marks, columns = ", ".join("?" * len(sources)), ", ".join(f'"{name}"' for name in schema.names)
        sql = f"FROM touchpoints WHERE source IN ({marks})"
        if not sources or not select_all(connection, f"SELECT 1 {sql} LIMIT 1", sources):
            return target
        plain = self.work / "stored.parquet"
        with pq.ParquetWriter(plain, schema, compression="lz4") as out:
            for batch in batches(connection, schema, f"SELECT {columns} {sql}", sources):
                out.write_batch(batch)
        engine.execute(
            f"COPY (SELECT {base_sql()} AS name_hi, {name_sql()} AS name_lo, {content_sql(TOUCHPOINTS)} AS content,"
            f" {_bucket(base_sql(), bits)} AS bucket FROM read_parquet('{plain}')) TO '{target}'"
            " (FORMAT parquet, PARTITION_BY (bucket), COMPRESSION lz4)"
        )
        plain.unlink()
        return target

    def _finished(
        self, engine: duckdb.DuckDBPyConnection, connection: Connection, accepted: Path, fresh: Path
    ) -> Partition:
        file = f"{TOUCHPOINTS.name}.parquet"
        told = sorted_part(engine, accepted, TOUCHPOINTS, fresh, file, row_group=ROWS_ONLINE)
        accepted.unlink()
        sync(fresh / KEYS)
        name = name_prefix(connection) + told["sha256"][:20]
        return Partition(
            name=name,
            of_table=TOUCHPOINTS.name,
            file=f"{name}/{file}",
            rows=told["rows"],
            row_hash="-".join(told["row_hash"]),
            bytes=told["bytes"],
            sha256=told["sha256"],
            keys_sha256=file_sha256(fresh / KEYS),
            first_occurred_at=told["occurred_at"][0],
            last_occurred_at=told["occurred_at"][1],
            first_recorded_at=told["recorded_at"][0],
            last_recorded_at=told["recorded_at"][1],
        )

    def _in_place(self, partition: Partition) -> Path:
        place = self._folder / partition.name
        sync(self.work / "fresh")
        rename_durably(self.work / "fresh", place)
        return place


@contextmanager
def intake(store: Store) -> Iterator[Intake]:
    """This import's turn; sweeps what earlier ones left that were killed."""
    folder = store.partitions
    with file_refusals(f"partitions {folder}"), one_at_a_time(folder):
        with store.reading() as connection:
            sweep(folder, connection)
        work = folder / f"{UNFINISHED}{os.getpid()}"
        work.mkdir()
        mine = Intake(store, folder, work)
        try:
            yield mine
        finally:
            mine.discard()
            shutil.rmtree(work, ignore_errors=True)


def _join(
    engine: duckdb.DuckDBPyConnection, mine: list[str], stored: list[str], earlier: list[str], bucket: tuple[int, int]
) -> None:
    """The bucket's rows as the table `joined`: each with its name, how often it was named before, and what is stored.

    `nth` counts a name's rows from 1; `first` is the content of the first, `there` what is stored under it.
    """
    held = []
    if stored:
        held.append(f"SELECT name_hi, name_lo, content FROM read_parquet({stored})")
    if earlier:
        lowest, above = _range(*bucket)
        held.append(
            f"SELECT name_hi, name_lo, content FROM read_parquet({earlier})"
            f" WHERE name_hi BETWEEN {lowest}::UBIGINT AND {above}::UBIGINT"
        )
    known = " UNION ALL ".join(held) or (
        "SELECT 0::UBIGINT AS name_hi, 0::UBIGINT AS name_lo, 0::UBIGINT AS content WHERE false"
    )
    columns = ", ".join(f'"{name}"' for name in TOUCHPOINTS.snapshot_schema().names)
    engine.execute(
        "CREATE OR REPLACE TEMP TABLE joined AS"
        " WITH counted AS (SELECT *, row_number() OVER (PARTITION BY __file, __mark ORDER BY __position) - 1 AS count"
        f"   FROM read_parquet({mine}, hive_partitioning = false)),"
        " named AS (SELECT * REPLACE (coalesce(source_id, __mark || CASE WHEN count > 0 THEN '#' || count ELSE '' END)"
        "   AS source_id) FROM counted),"
        f" keyed AS (SELECT *, {name_sql()} AS name_lo, {content_sql(TOUCHPOINTS)} AS content FROM named)"
        f" SELECT {columns}, __file, __row, __called, k.name_hi, k.name_lo, k.content, h.content AS there,"
        " row_number() OVER again AS nth, first_value(k.content) OVER again AS first"
        f" FROM keyed k LEFT JOIN ({known}) h ON h.name_hi = k.name_hi AND h.name_lo = k.name_lo"
        " WINDOW again AS (PARTITION BY k.name_hi, k.name_lo ORDER BY __position)"
    )


def _tell(engine: duckdb.DuckDBPyConnection, outcome: Outcome) -> None:
    """Adds the bucket's counts and refusals."""
    accepted, unchanged = engine.execute(
        "SELECT count(*) FILTER (nth = 1 AND there IS NULL), count(*) FILTER (nth = 1 AND there = content) FROM joined"
    ).fetchall()[0]
    outcome.accepted += accepted
    outcome.unchanged += unchanged
    for told, which in (
        (outcome.conflicts, "nth = 1 AND there <> content"),
        (outcome.twice, "nth > 1 AND content <> first"),
    ):
        found = engine.sql(f"SELECT __file, __row, __called, source_id FROM joined WHERE {which}").to_arrow_table()
        if found.num_rows:
            told.append(found.cast(PLACED_SCHEMA))


def _write_fresh(engine: duckdb.DuckDBPyConnection, rows_out: pq.ParquetWriter, keys_out: pq.ParquetWriter) -> None:
    names, keys = TOUCHPOINTS.snapshot_schema().names, ", ".join(KEYS_SCHEMA.names)
    columns = ", ".join(f'"{name}"' for name in names)
    new = "FROM joined WHERE nth = 1 AND there IS NULL"
    rows = engine.sql(f"SELECT {columns} {new}").to_arrow_table()
    rows_out.write_table(rows.cast(TOUCHPOINTS.snapshot_schema()))
    ordered = engine.sql(f"SELECT {keys} {new} ORDER BY name_hi, name_lo").to_arrow_table()
    if ordered.num_rows:
        keys_out.write_table(ordered.cast(KEYS_SCHEMA), row_group_size=ROWS_ONLINE)


def _bits(rows: int) -> int:
    """Buckets are 2 to this power."""
    return min(max(rows // _ROWS_A_BUCKET, 0).bit_length(), _MOST_BITS)


def _bucket(base: str, bits: int) -> str:
    return f"({base} >> {_SAME_LAST_BITS - bits})::INTEGER" if bits else "0"


def _range(bucket: int, bits: int) -> tuple[int, int]:
    """The least and the greatest base of a bucket's names."""
    width = 2 ** (_SAME_LAST_BITS - bits)
    return bucket * width, (bucket + 1) * width - 1


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
