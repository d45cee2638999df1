"""Rows in pieces that fit into memory, each with all the records its features read, ids as numbers.

A piece holds the rows of some accounts (and of some leads without one), so
rows that share an account's features stay together. The history is read once
and divided among the pieces on disk: time grows with the history, memory does
not. Numbers join and group faster than texts, and no feature looks into an id.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from uuid import uuid4

import ibis
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from features.declaration import Declaration
from features.merged import Tables, span_of

ROWS_A_PIECE = 100_000
TOUCHPOINTS_A_PIECE = 2_000_000

_READ: dict[str, tuple[str, ...]] = {
    "leads": (),
    "lead_cycles": (),
    "stage_changes": ("stage",),
    "lead_attributes": ("name", "text", "number"),
    "account_attributes": ("name", "text", "number"),
    "touchpoints": ("kind", "actor", "channel", "campaign_id", "detail"),
}
"""What features read of each table beside ids and times."""
_READ_WHERE_ASKED = {"channel": "channel", "campaign": "campaign_id", "detail": "detail"}


class Pieces:
    """`rows` and `tables` show one piece at a time, which `show` chooses; numbers stand for ids.

    The same views show every piece, so that a query over them is compiled once.
    """

    def __init__(self, connection: Backend, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._prefix = f"piece_{uuid4().hex}"
        self._blank: dict[str, str] = {}

    def add(self, name: str, divided: Table, *, by: str = "") -> None:
        """Writes `divided`, whose column `piece` says where each row belongs, each piece ordered `by` a column."""
        (self._folder / name).mkdir()
        self._connection._run_pre_execute_hooks(divided)
        sql = self._connection.compile(divided.order_by("piece", by) if by else divided)
        self._connection.raw_sql(f"COPY ({sql}) TO {self._path(name)} (FORMAT parquet, PARTITION_BY (piece))")
        self._blank[name] = self._connection.compile(divided.drop("piece").limit(0))

    def numbers(self) -> list[int]:
        """The pieces that have rows."""
        return sorted(int(found.name.removeprefix("piece=")) for found in (self._folder / "rows").iterdir())

    def show(self, number: int) -> None:
        for name, blank in self._blank.items():
            files = f"{name}/piece={number}"
            there = (self._folder / files).is_dir()
            read = f"FROM read_parquet({self._path(files, '*.parquet')}, hive_partitioning = false)"
            view = f"CREATE OR REPLACE TEMP VIEW {self._prefix}_{name} AS "
            self._connection.raw_sql(view + (read if there else blank))

    @property
    def rows(self) -> Table:
        """`ROW_COLUMNS` as numbers, and `lead` and `cycle`, as they are called outside."""
        return self._connection.table(f"{self._prefix}_rows")

    @property
    def tables(self) -> Tables:
        return {name: self._connection.table(f"{self._prefix}_{name}") for name in _READ}

    def close(self) -> None:
        for name in self._blank:
            self._connection.raw_sql(f"DROP VIEW IF EXISTS {self._prefix}_{name}")

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
        pieces = Pieces(connection, Path(folder))
        try:
            _divide(pieces, tables, rows, declarations, count, made_once)
            yield pieces
        finally:
            pieces.close()
            for name in made:
                connection.raw_sql(f"DROP TABLE {name}")


def _divide(
    pieces: Pieces,
    tables: Tables,
    rows: Table,
    declarations: Sequence[Declaration],
    count: int,
    made_once: Callable[[Table], Table],
) -> None:
    leads, accounts = _placed(tables, rows, count, made_once)
    pieces.add("rows", _rows_numbered(rows, leads))
    until = int(rows.as_of.max().execute())
    asked = leads.filter(leads.asked)

    def numbered(name: str, placed: Table, key: str = "lead_id") -> Table:
        records = tables[name].filter(lambda t: (t.occurred_at < until) & (t.recorded_at < until))
        if name == "touchpoints":
            records = _without_what_nobody_reads(records, declarations)
        if name.endswith("_attributes"):
            records = records.filter(records.name.isin(sorted({d.attribute for d in declarations})))
        return _numbered(records, placed, key, _READ[name])

    pieces.add("leads", _with_account(numbered("leads", leads), accounts))
    for name, placed in {"lead_cycles": asked, "stage_changes": asked, "lead_attributes": leads}.items():
        pieces.add(name, numbered(name, placed))
    # In this order a lead's sums stay in the processor's cache while they grow.
    pieces.add("touchpoints", numbered("touchpoints", leads), by="lead_id")
    pieces.add("account_attributes", numbered("account_attributes", accounts, "account_id"))


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
    accounts = made_once(accounts.mutate(account_number=ibis.row_number()))
    others = known.join(accounts, "account_id").select("lead_id", "piece", asked=False)
    leads = (
        ibis.union(placed.mutate(asked=True), others).group_by("lead_id", "piece").aggregate(asked=ibis._.asked.any())
    )
    return made_once(leads.mutate(lead_number=ibis.row_number())), accounts


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


def _numbered(records: Table, placed: Table, key: str, columns: Sequence[str]) -> Table:
    number = {"lead_id": "lead_number", "account_id": "account_number"}[key]
    found = records.join(placed.select(key, number, "piece"), key)
    times = ("occurred_at", "recorded_at", *span_of(records))
    carried = ("account_id",) if key == "lead_id" and "account_id" in records.columns else ()
    return found.select(*columns, *times, *carried, "piece", **{key: found[number]})


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
