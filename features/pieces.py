"""Rows in pieces that fit into memory, each with all the records its features read, ids as numbers.

A piece holds the rows of some accounts (and of some leads without one), so
rows that share an account's features stay together. The history is read once
and divided among the pieces on disk: time grows with the history, memory does
not. Numbers join and group faster than texts, and no feature looks into an id.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import ibis
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table, Value

from features.batch_touchpoints import takes
from features.declaration import ACCOUNT_KINDS, Declaration
from features.merged import Tables, span_of
from features.selection import selections

ROWS_A_PIECE = 100_000
TOUCHPOINTS_A_PIECE = 2_000_000
SPARSE = 1_000_003
"""Numbers lie this far apart: DuckDB 2.0 joins dense ones in a way that can end in an internal error."""

_READ: dict[str, tuple[str, ...]] = {
    "leads": (),
    "lead_cycles": (),
    "stage_changes": ("stage", "reason"),
    "lead_attributes": ("name", "text", "number"),
    "account_attributes": ("name", "text", "number"),
    "touchpoints": ("kind", "actor", "channel", "campaign_id", "detail"),
}
"""What features read of each table beside ids and times."""
_READ_WHERE_ASKED = {"channel": "channel", "campaign": "campaign_id", "detail": "detail"}


class Divided(NamedTuple):
    """A table whose column `piece` says where each row belongs; in each piece ordered `by` a column."""

    name: str
    table: Table
    by: str = ""


class Pieces:
    """`rows` and `tables` show one piece at a time, which `show` chooses; numbers stand for ids.

    The same views show every piece, so that a query over them is compiled
    once; it can be while the pieces are still being written.
    """

    def __init__(self, connection: Backend, folder: Path, divided: Sequence[Divided]) -> None:
        self._connection = connection
        self._folder = folder
        self._prefix = f"piece_{uuid4().hex}"
        self._schemas = {d.name: d.table.drop("piece").schema() for d in divided}
        self._blank = {d.name: connection.compile(d.table.drop("piece").limit(0)) for d in divided}
        copies = [self._copy(d) for d in divided]
        self._writer = ThreadPoolExecutor(1)
        self._written = self._writer.submit(lambda: [connection.raw_sql(copy) for copy in copies])

    def _copy(self, divided: Divided) -> str:
        (self._folder / divided.name).mkdir()
        ordered = divided.table.order_by("piece", divided.by) if divided.by else divided.table
        self._connection._run_pre_execute_hooks(ordered)
        sql = self._connection.compile(ordered)
        return f"COPY ({sql}) TO {self._path(divided.name)} (FORMAT parquet, PARTITION_BY (piece))"

    def numbers(self) -> list[int]:
        """The pieces that have rows; waits until they are written."""
        self._written.result()
        return sorted(int(found.name.removeprefix("piece=")) for found in (self._folder / "rows").iterdir())

    def show(self, number: int) -> None:
        for name, blank in self._blank.items():
            files = f"{name}/piece={number}"
            there = (self._folder / files).is_dir()
            read = f"FROM read_parquet({self._path(files, '*.parquet')}, hive_partitioning = false)"
            view = f"CREATE OR REPLACE TEMP VIEW {self._view(name)} AS "
            self._connection.raw_sql(view + (read if there else blank))

    @property
    def rows(self) -> Table:
        """`ROW_COLUMNS` as numbers, and `lead` and `cycle`, as they are called outside."""
        return self._table("rows")

    @property
    def tables(self) -> Tables:
        return {name: self._table(name) for name in _READ}

    def close(self) -> None:
        self._writer.shutdown()
        for name in self._blank:
            self._connection.raw_sql(f"DROP VIEW IF EXISTS {self._view(name)}")

    def _table(self, name: str) -> Table:
        return ibis.table(self._schemas[name], name=self._view(name))

    def _view(self, name: str) -> str:
        return f"{self._prefix}_{name}"

    def _path(self, *parts: str) -> str:
        return "'" + str(self._folder.joinpath(*parts)).replace("'", "''") + "'"


@contextmanager
def divided(
    connection: Backend, tables: Tables, rows: Table, declarations: Sequence[Declaration], count: int
) -> Iterator[Pieces]:
    """The kept `rows` and what their features read of `tables` (merges resolved) in at most `count` pieces."""
    made: list[str] = []

    def made_once(table: Table) -> Table:
        made.append(f"pieces_{uuid4().hex}")
        return connection.create_table(made[-1], table, temp=True)

    with tempfile.TemporaryDirectory(prefix="pieces-", dir=_spill_folder(connection)) as folder:
        try:
            pieces = Pieces(connection, Path(folder), _divisions(tables, rows, declarations, count, made_once))
            try:
                yield pieces
            finally:
                pieces.close()
        finally:
            for name in made:
                connection.raw_sql(f"DROP TABLE {name}")


def _divisions(
    tables: Tables,
    rows: Table,
    declarations: Sequence[Declaration],
    count: int,
    made_once: Callable[[Table], Table],
) -> list[Divided]:
    leads, accounts = _placed(tables, rows, count, made_once)
    until = int(rows.as_of.max().execute())
    asked = leads.filter(leads.asked).drop("asked")

    def numbered(name: str, placed: Table, key: str = "lead_id") -> Table:
        records = tables[name].filter(lambda t: (t.occurred_at < until) & (t.recorded_at < until))
        if name == "touchpoints":
            records = _without_what_nobody_reads(records, declarations)
        if name.endswith("_attributes"):
            records = records.filter(records.name.isin(sorted({d.attribute for d in declarations})))
        found = records.join(placed, key)
        if "asked" in placed.columns and name in _READ_OF_OTHERS:
            found = found.filter(found.asked | _READ_OF_OTHERS[name](found, declarations))
        return _numbered(found, key, _READ[name])

    return [
        Divided("rows", _rows_numbered(rows, leads)),
        Divided("leads", _with_account(numbered("leads", leads), accounts)),
        *(Divided(name, numbered(name, asked)) for name in ("lead_cycles", "stage_changes")),
        Divided("lead_attributes", numbered("lead_attributes", leads)),
        Divided("account_attributes", numbered("account_attributes", accounts, "account_id")),
        # In this order a lead's sums stay in the processor's cache while they grow.
        Divided("touchpoints", numbered("touchpoints", leads), by="lead_id"),
    ]


def _placed(tables: Tables, rows: Table, count: int, made_once: Callable[[Table], Table]) -> tuple[Table, Table]:
    """Which leads and which accounts each piece needs, numbered.

    (lead_id, piece, asked, lead_number) and (account_id, piece, account_number);
    numbers mean something within a piece only. `asked` leads have rows.
    """
    known = tables["leads"].select("lead_id", "account_id")
    asked = rows.select("lead_id").distinct()
    asked = made_once(asked.mutate(place=ibis.row_number()))
    theirs = known.filter(known.account_id.notnull()).join(asked, "lead_id")
    homes = theirs.group_by("lead_id").aggregate(home=theirs.account_id.min())
    first = theirs.group_by("account_id").aggregate(home_place=theirs.place.min())
    homed = asked.left_join(homes, "lead_id").drop("lead_id_right")
    homed = homed.left_join(first, homed.home == first.account_id)
    piece = ibis.coalesce(homed.home_place, homed.place) % count
    placed = made_once(homed.select("lead_id", piece=piece))
    accounts = theirs.join(placed, "lead_id").select("account_id", "piece").distinct()
    accounts = made_once(accounts.mutate(account_number=ibis.row_number() * SPARSE))
    others = known.join(accounts, "account_id").select("lead_id", "piece", asked=False)
    leads = (
        ibis.union(placed.mutate(asked=True), others).group_by("lead_id", "piece").aggregate(asked=ibis._.asked.any())
    )
    return made_once(leads.mutate(lead_number=ibis.row_number() * SPARSE)), accounts


def how_many(tables: Tables, rows: Table) -> int:
    """Pieces so that few have more than ROWS_A_PIECE rows, or TOUCHPOINTS_A_PIECE touchpoints of leads asked for."""
    asked = _count(rows)
    share = min(1.0, _count(rows.select("lead_id").distinct()) / max(1, _count(tables["leads"])))
    return max(1, ceil(asked / ROWS_A_PIECE), ceil(share * _count(tables["touchpoints"]) / TOUCHPOINTS_A_PIECE))


def _count(table: Table) -> int:
    return int(table.count().execute())


def _rows_numbered(rows: Table, leads: Table) -> Table:
    """A cycle's number only says whether it is the lead's first: no feature asks more of it."""
    asked = leads.filter(leads.asked)
    found = rows.join(asked, "lead_id")
    cycle = ibis.cases(
        (found.cycle_id == found.lead_id, found.lead_number),
        (found.cycle_id != found.lead_id, -1 - found.lead_number),
    )
    return found.select(
        "cycle_start", "as_of", "piece", lead="lead_id", cycle="cycle_id", lead_id="lead_number", cycle_id=cycle
    )


def _numbered(found: Table, key: str, columns: Sequence[str]) -> Table:
    number = {"lead_id": "lead_number", "account_id": "account_number"}[key]
    times = ("occurred_at", "recorded_at", *span_of(found))
    carried = ("account_id",) if key == "lead_id" and "account_id" in found.columns else ()
    return found.select(*columns, *times, *carried, "piece", **{key: found[number]})


def _touchpoints_of_others(touchpoints: Table, declarations: Sequence[Declaration]) -> Value:
    """Of leads without rows only what is counted over their account."""
    counted = selections([d for d in declarations if d.kind in ACCOUNT_KINDS])
    return ibis.or_(*(takes(touchpoints, chosen) for chosen in counted)) if counted else ibis.literal(False)


def _attributes_of_others(attributes: Table, declarations: Sequence[Declaration]) -> Value:
    return attributes.name.isin(sorted({d.attribute for d in declarations if d.kind in ACCOUNT_KINDS}))


_READ_OF_OTHERS: dict[str, Callable[[Table, Sequence[Declaration]], Value]] = {
    "touchpoints": _touchpoints_of_others,
    "lead_attributes": _attributes_of_others,
}


def _with_account(leads: Table, accounts: Table) -> Table:
    """Accounts that no row asks for are none."""
    found = leads.left_join(
        accounts.rename(account="account_id", of_piece="piece"), [("account_id", "account"), ("piece", "of_piece")]
    )
    return found.mutate(account_id=found.account_number).drop("account", "of_piece", "account_number")


def _without_what_nobody_reads(touchpoints: Table, declarations: Sequence[Declaration]) -> Table:
    read = {_READ_WHERE_ASKED[d.of] for d in declarations if d.of in _READ_WHERE_ASKED}
    unread = [column for column in _READ_WHERE_ASKED.values() if column not in read]
    return touchpoints.mutate(**{column: ibis.null("string") for column in unread})


def _spill_folder(connection: Backend) -> str | None:
    """Where the engine spills to, if there is such a folder."""
    [(folder,)] = connection.raw_sql("SELECT current_setting('temp_directory')").fetchall()
    return folder if folder and Path(folder).is_dir() else None
