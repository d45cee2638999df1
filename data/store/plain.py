"""History from elsewhere: a snapshot's folder, plain Parquet tables of the same shape, or such tables by a connection.

    DIR/company.json           what the company declares (docs/contracts.md), or mapping.toml, an import's mapping
    DIR/<table>.parquet        or DIR/<table>/*.parquet, with a snapshot's columns

    an Ibis connection or its URL    tables of the same names and columns (data.store.elsewhere)

A plain folder, or what a connection gave, is checked and kept as a snapshot of its own under the home, so
that what was read from it can be repeated when the folder has changed. The
same history has the same hash, whichever way it comes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.company import Company
from data.errors import DataRefused, LeadscoreError, NotFound, UsageError
from data.home import Home
from data.people.consent import refusing_leads
from data.store.elsewhere import connected, is_address, shown_address, spooled
from data.store.files import file_refusals
from data.store.gate import PURPOSE, Gate
from data.store.operational import Store
from data.store.parts import time_ranges, write_part
from data.store.permitted import permitted
from data.store.rows import BATCH, checked
from data.store.snapshots import Snapshot, one_at_a_time, open_snapshot, take_snapshot, write_snapshot
from data.tables import BY_NAME, CONSENTS, LEAD_CYCLES, LEADS, MERGES, STAGE_CHANGES, TABLES, Table

if TYPE_CHECKING:
    import duckdb
    import ibis

HistorySource: TypeAlias = "Path | str | ibis.BaseBackend"
"""A folder, an Ibis URL, or an Ibis connection."""
_UNIQUE = {LEADS.name: "lead_id", LEAD_CYCLES.name: "cycle_id"}


def chosen_history(store: Store, home: Home, history: HistorySource | None, *, now: int) -> Snapshot:
    """The history a run reads: the store's present state, or what it was told to read.

    Whoever refuses by what the store holds now is in neither.
    """
    if history is None:
        return take_snapshot(store, home, now=now)
    return permitted(store, home, open_history(history, home, now=now, company=store.company()))


def open_history(history: HistorySource, home: Home, *, now: int, company: Company | None = None) -> Snapshot:
    """The snapshot in a folder, or that of plain tables in a folder or behind a connection.

    `company` counts where a connection declares none. Raises UsageError or
    NotFound where there is nothing of the kind, DataRefused naming file or
    table and column where the tables are not as docs/contracts.md says,
    StoreUnavailable where a connection fails.
    """
    if not isinstance(history, (str, Path)):
        return _of_connection(history, f"history by {history.name}", home, company, now)
    if is_address(history):
        backend = connected(str(history))
        try:
            called = f"history {shown_address(str(history))}"
            return _of_connection(backend, called, home, company, now, address=str(history))
        finally:
            backend.disconnect()
    folder = Path(history)
    if not folder.is_dir():
        expected = "a folder (a snapshot's, or one of Parquet tables), or an Ibis URL such as duckdb://FILE"
        raise UsageError("--history", folder, expected=expected)
    if (folder / "manifest.json").exists():
        return open_snapshot(folder)
    with file_refusals(f"snapshots {home.snapshots}"), one_at_a_time(home.snapshots):
        return _kept(_Plain(folder, _files(folder)), home, now)


def _of_connection(
    backend: ibis.BaseBackend, called: str, home: Home, company: Company | None, now: int, *, address: str = ""
) -> Snapshot:
    with (
        file_refusals(f"snapshots {home.snapshots}"),
        one_at_a_time(home.snapshots),
        spooled(backend, home.snapshots, company, called, address) as (folder, names),
    ):
        return _kept(_Plain(folder, _files(folder), names), home, now)


def _kept(plain: _Plain, home: Home, now: int) -> Snapshot:
    """The checked and gated tables as a snapshot of this home."""
    company = _company(plain)
    gate = Gate(plain.refusing())

    def tables(engine: duckdb.DuckDBPyConnection, unfinished: Path) -> dict[str, Any]:
        return {t.name: _entry(plain, gate, t, engine, unfinished) for t in TABLES if t.in_snapshot}

    return write_snapshot(home.snapshots, tables, json.loads(company.to_json()), gate.told(), now=now)


@dataclass(frozen=True)
class _Plain:
    folder: Path
    files: dict[str, list[Path]]
    """By table; none for a table that is not there."""
    names: Mapping[Path, str] = field(default_factory=dict)
    """What files are called in messages, where not by their path."""

    def name_of(self, path: Path) -> str:
        return self.names.get(path, str(path))

    def rows(self, table: Table) -> Iterator[pa.RecordBatch]:
        """Checked rows, a block at a time; lead cycles are derived where nobody wrote them."""
        if table == LEAD_CYCLES and not self.files[table.name]:
            yield from self._derived_cycles()
        for path in self.files[table.name]:
            for rows in _blocks(path, table, self.name_of(path)):
                yield from rows.cast(table.snapshot_schema()).to_batches()

    def refusing(self) -> frozenset[str]:
        leads, consents, merges = (self._whole(table) for table in (LEADS, CONSENTS, MERGES))
        return refusing_leads(leads, consents, merges, purpose=PURPOSE)

    def _whole(self, table: Table) -> pa.Table:
        return pa.Table.from_batches(self.rows(table), table.snapshot_schema())

    def _derived_cycles(self) -> Iterator[pa.RecordBatch]:
        """As the store derives them: `data.store.cycles`."""
        for table, word in ((LEADS, "created"), (STAGE_CHANGES, "recycled")):
            for batch in self.rows(table):
                rows = batch.filter(pc.equal(batch.column("stage"), word)) if table == STAGE_CHANGES else batch
                yield _cycles(rows, word)


def _cycles(rows: pa.RecordBatch, word: str) -> pa.RecordBatch:
    leads, names = rows.column("lead_id"), rows.column("source_id")
    columns = {
        "cycle_id": leads if word == "created" else pc.binary_join_element_wise(leads, names, "~"),
        "opened_by": pa.repeat(pa.scalar(word), len(rows)),
        "source_id": pc.binary_join_element_wise(word, names, ":"),
    }
    schema = LEAD_CYCLES.snapshot_schema()
    return pa.RecordBatch.from_arrays([columns.get(n, _column(rows, n)) for n in schema.names], schema=schema)


def _column(rows: pa.RecordBatch, name: str) -> pa.Array | None:
    return rows.column(name) if name in rows.schema.names else None


def _files(folder: Path) -> dict[str, list[Path]]:
    """Parquet files by table. Raises where a name is no table's, or there are no leads."""
    found: dict[str, list[Path]] = {t.name: [] for t in TABLES if t.in_snapshot}
    for path in sorted(folder.iterdir()):
        inside = sorted(p for p in path.glob("*.parquet") if p.name[0] not in "_.") if path.is_dir() else []
        files = [path] if path.suffix == ".parquet" and path.is_file() else inside
        name = path.stem if path.suffix == ".parquet" else path.name
        if not files:
            continue
        if name not in BY_NAME:
            raise DataRefused(f"{path}", f"a table called {name}", expected=f"one of {', '.join(found)}")
        if found.get(name):
            raise DataRefused(f"{path}", f"the table {name} twice", expected=f"either {name}.parquet or {name}/")
        if BY_NAME[name].in_snapshot:
            found[name] = files
    if not found[LEADS.name]:
        remedy = "name the folder of a snapshot, or write the tables as docs/history.md says"
        raise NotFound(f"history {folder}", "neither manifest.json nor leads.parquet", remedy=remedy)
    return found


def _company(plain: _Plain) -> Company:
    folder = plain.folder
    declared, mapping = folder / "company.json", folder / "mapping.toml"
    if declared.exists():
        try:
            return Company.from_json(declared.read_text(encoding="utf-8"))
        except (ValueError, KeyError, TypeError, AttributeError, LeadscoreError) as error:
            expected = "what docs/contracts.md says a company declares, such as `company` in a snapshot's manifest"
            raise DataRefused(plain.name_of(declared), f"unreadable: {error!r}", expected=expected) from None
    if mapping.exists():
        from data.sources.mapping import read_mapping

        return read_mapping(mapping).company_declared()
    raise NotFound(
        f"history {folder}",
        "no declaration of the company",
        expected="company.json or mapping.toml beside the tables",
        remedy="copy `company` out of a snapshot's manifest.json, or the mapping of an import",
    )


def _blocks(path: Path, table: Table, called: str) -> Iterator[pa.Table]:
    """The rows of a file, checked."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataRefused(called, str(error).splitlines()[0], expected="a Parquet file") from None
    left = {"loaded_at", *(c.name for c in table.columns if c.contact)}
    wanted = [name for name in file.schema_arrow.names if name not in left]
    before = 0
    for batch in file.iter_batches(BATCH, columns=wanted):
        yield _checked(called, table, pa.Table.from_batches([batch]), before)
        before += batch.num_rows
    if not before:
        _checked(called, table, file.schema_arrow.empty_table().select(wanted), 0)


def _checked(called: str, table: Table, rows: pa.Table, before: int) -> pa.Table:
    try:
        return checked(table, rows)
    except DataRefused as error:
        place = called if not before else f"{called}, counting rows from {before + 1}"
        subject = error.subject.replace(f"table {table.name}", place, 1)
        remedy = error.remedy or "write the table as docs/contracts.md says"
        raise DataRefused(subject, error.received, expected=error.expected, remedy=remedy) from None


def _entry(
    plain: _Plain, gate: Gate, table: Table, engine: duckdb.DuckDBPyConnection, unfinished: Path
) -> dict[str, Any]:
    (unfinished / table.name).mkdir()
    name = f"{table.name}/part-000.parquet"
    part = write_part(engine, gate.passed(table, plain.rows(table)), table, unfinished, name)
    _refuse_repeated(engine, unfinished / name, plain, table)
    return {"rows": part["rows"], **time_ranges([part]), "parts": [part]}


def _refuse_repeated(engine: duckdb.DuckDBPyConnection, written: Path, plain: _Plain, table: Table) -> None:
    """Joins rely on it that a record, a lead and a cycle are there once."""
    for key in ("source, source_id", _UNIQUE.get(table.name, "")):
        sql = f"SELECT {key} FROM read_parquet(?) GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
        found = engine.execute(sql, [str(written)]).fetchall() if key else []
        if found:
            files = (
                ", ".join(plain.name_of(path) for path in plain.files[table.name]) or f"{plain.folder}, {table.name}"
            )
            received = f"more than one row of {key} = {', '.join(map(str, found[0]))}"
            raise DataRefused(files, received, expected="each once", remedy="remove the repetitions")
