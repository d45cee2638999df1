"""Importing touchpoints in bulk: read, checked and compared in blocks, kept as a partition and not as store rows.

The same checks as row by row, by the same functions, and the same words for
what is rejected. Everything that is not a touchpoint goes to the store, in the
transaction that registers the partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data import tables
from data.errors import StoreUnavailable
from data.home import Home
from data.sources.gathering import Progress
from data.sources.mapping import Mapping
from data.sources.naming import content_marks
from data.sources.parts import CALLED as FROM_CALLED
from data.sources.parts import FILE as FROM_FILE
from data.sources.parts import ROW as FROM_ROW
from data.sources.parts import schema_of
from data.sources.reading import is_parquet, sources
from data.sources.settling import TWICE, Settled
from data.sources.values import true_in
from data.store.bulk import CALLED, FILE, MARK, PLACED_SCHEMA, POSITION, ROW, SOUND_SCHEMA, Intake, Outcome
from data.store.operational import Appended, Store
from data.store.partitions import Overtaken
from data.tables import Table

FROM_CSV, FROM_PARQUET = 200_000_000, 50_000_000
"""Bytes of files with touchpoints from which an import is in bulk by itself."""
THERE = "the store has this record with other content; nothing is overwritten"
_TRIES = 5
_BLOCK = 1 << 17


def worth_bulk(mapping: Mapping, home: Home) -> bool:
    """Whether the files are large enough; never by itself on a shared server, whose other machines see no partition."""
    if home.database_url and not home.database_url.startswith("sqlite"):
        return False
    sections = (section for section in mapping.files if section.touchpoints)
    found = [source.path for section in sections for source in sources(section, mapping.folder)]
    sizes = {path: path.stat().st_size / (FROM_PARQUET if is_parquet(path) else FROM_CSV) for path in found}
    return sum(sizes.values()) >= 1


class Spool:
    """Touchpoints as they were read, on disk until all leads are known."""

    def __init__(self, path: Path) -> None:
        self.path, self.used = path, False
        self._writer = pq.ParquetWriter(path, schema_of(tables.TOUCHPOINTS), compression="lz4")

    @property
    def aside(self) -> dict[Table, Callable[[pa.Table], None]]:
        """What `gather` puts here."""
        return {tables.TOUCHPOINTS: self._put}

    def _put(self, rows: pa.Table) -> None:
        self.used = True
        self._writer.write_table(rows)

    def close(self) -> None:
        self._writer.close()

    def blocks(self) -> Iterator[pa.Table]:
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(_BLOCK):
                yield pa.Table.from_batches([batch])


def append_in_bulk(
    store: Store,
    rows: dict[Table, pa.Table],
    settled: Settled,
    into: Intake,
    spool: Spool,
    *,
    now: int,
    progress: Progress,
) -> dict[str, Appended]:
    """Accepts everything in one transaction, by table name; what is rejected on the way is told in `settled`."""
    spool.close()
    if not spool.used:
        return store.append_all(rows, now=now)
    sound = _settle(spool, settled, into, progress)
    appended, outcome = _accept(store, rows, into, sound, now=now, progress=progress)
    for reason, found in ((TWICE, outcome.twice), (THERE, outcome.conflicts)):
        for placed in found:
            told = placed.rename_columns({FILE: FROM_FILE, ROW: FROM_ROW, CALLED: FROM_CALLED})
            settled.reject(tables.TOUCHPOINTS, told, "source_id", reason)
    conflicts = pa.concat_tables([PLACED_SCHEMA.empty_table(), *outcome.conflicts])
    return {**appended, tables.TOUCHPOINTS.name: Appended(outcome.accepted, outcome.unchanged, conflicts)}


def _settle(spool: Spool, settled: Settled, into: Intake, progress: Progress) -> int:
    """Writes the sound rows of `spool` for the intake; rejects the others in `settled`; returns how many are sound."""
    check, done = settled.check, 0
    assert check is not None
    with pq.ParquetWriter(into.sound_file, SOUND_SCHEMA, compression="lz4") as out:
        for block in spool.blocks():
            sound = check.sound(tables.TOUCHPOINTS, block, settled)
            out.write_table(_placed(sound, done))
            done += sound.num_rows
            progress("touchpoints", done)
    return done


def _accept(
    store: Store, rows: dict[Table, pa.Table], into: Intake, sound: int, *, now: int, progress: Progress
) -> tuple[dict[str, Appended], Outcome]:
    """Compares, then commits; anew where others added touchpoints meanwhile."""
    for _ in range(_TRIES):
        progress("duplicates", sound)
        outcome = into.prepare(sound)
        try:
            appended = store.append_all(rows, now=now, prepared=outcome.prepared)
        except Overtaken:
            continue
        into.keep()
        return appended, outcome
    raise _overtaken(store)


def _overtaken(store: Store) -> StoreUnavailable:
    return StoreUnavailable(
        store.subject,
        f"touchpoints added by others during each of {_TRIES} attempts",
        expected="time to compare this import with what is stored",
        remedy="repeat the import when less is written; nothing of it was kept",
    )


def _placed(rows: pa.Table, before: int) -> pa.Table:
    """The rows with their place in the import and, where they have no name, what stands in for it."""
    nameless = pc.is_null(rows.column("source_id")).combine_chunks()
    marks = pa.nulls(rows.num_rows, pa.string())
    if true_in(nameless).any():
        marks = pc.replace_with_mask(marks, nameless, content_marks(rows.filter(nameless)))
    positions = np.arange(before, before + rows.num_rows)
    columns = {new: rows.column(old) for new, old in ((FILE, FROM_FILE), (ROW, FROM_ROW), (CALLED, FROM_CALLED))}
    columns |= {MARK: marks, POSITION: pa.array(positions)}
    filled = [columns[name] if name in columns else rows.column(name) for name in SOUND_SCHEMA.names]
    return pa.Table.from_arrays(filled, schema=SOUND_SCHEMA)
