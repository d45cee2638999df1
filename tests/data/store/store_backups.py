"""A home with something in every table and folder, and its backup: what the tests of backups share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from data.company import Company, CompanyColumn
from data.home import Home
from data.store.backup import BackedUp, back_up
from data.store.deployments import Deployment
from data.store.ledger import LEDGER_SCHEMA, Ledger, LedgerRow
from data.store.operational import Store
from data.store.packing import pack_contributions, pack_values
from data.tables import LEAD_CYCLES, LEADS, STAGE_CHANGES, TABLES, TOUCHPOINTS, Table
from tests.data.partitioned import add_in_bulk

Rows = Callable[..., pa.Table]
NOW = 1_800_000_000_000_000
TRICKY = ["", "NULL", "\\N", "a\tb\\tc", '"quoted", \n', "髙﨑①㈱", "'; DROP TABLE leads; --"]
ROW = LedgerRow(
    *("r1", "L1", "won", 5, 6, "b", "p", 1, "online", "scored", -1.25, -2.0, 0.1, 1 / 3, 0.2227, 47, "B", True),
    features=pack_values([1.0, None, "広告", -0.0, 1e-300]),
    contributions=pack_contributions([0.5, 0.1 + 0.2]),
)


def quiet(what: str, done: int, of: int) -> None:
    pass


def fill(home: Home, rows: Rows) -> None:
    """Something in every table and folder, awkward values above all."""
    with Store.open(home) as store, Ledger.open(home) as ledger:
        store.save_company(Company(columns=(CompanyColumn("業種", label_ja="業種"),)), now=NOW)
        store.append_all({t: some_rows(rows, t) for t in TABLES if t is not LEAD_CYCLES}, now=NOW)
        store.append(STAGE_CHANGES, rows(STAGE_CHANGES, {"lead_id": "L1", "stage": "recycled", "source": "s"}), now=NOW)
        touchpoints = rows(TOUCHPOINTS, *({"source_id": f"p{i}", "lead_id": f"L{i % 3}"} for i in range(50)))
        add_in_bulk(store, touchpoints, now=NOW)
        store.save_policy("p", "won", '{"threshold": 0.1}', now=NOW)
        store.deploy(Deployment(0, "won", "champion", "b", "1", "p", "promote", NOW, "佐藤", "first"))
        store.record_run("monitor", '{"a": "é"}', now=NOW)
        ledger.append([ROW, without_figures("r2"), without_figures("r3")])
        ledger.append_batch(table_of([ROW] * 3), "run-1", NOW)
        ledger.append_batch(table_of([]), "run-2", NOW)
    write(home.bundles / "b" / "boosters" / "00.txt", b"tree")
    write(home.bundles / ".c.draft" / "manifest.json", b"half")
    write(home.own_features / "自社.toml", b"")
    write(home.imports / "1" / "rejected.csv", "理由".encode())
    write(home.reports / "card.md", b"# card")
    write(home.path / "settings.toml", b"x = 1")
    write(home.path / "store.log", b"not of a backup")
    write(home.tracking / "artifacts" / "1" / "plot.png", bytes(range(256)))


def some_rows(rows: Rows, table: Table) -> pa.Table:
    made = []
    for number, text in enumerate(TRICKY):
        values: dict[str, Any] = {"text": text, "number": (0.1, -5e-324, 1e300)[number % 3], "integer": -(2**62)}
        values |= {"boolean": bool(number % 2), "instant": NOW + number}
        row = {c.name: values[c.type] for c in table.columns if c.name != "loaded_at" and (c.required or number % 3)}
        row |= {"lead_id": f"L{number}"} if table is LEADS else {}
        made.append({**row, "source_id": str(number)})
    return rows(table, *made)


def without_figures(request_id: str) -> LedgerRow:
    nothing = (None,) * 8
    return LedgerRow(request_id, "L2", "won", 5, 6, "b", "p", 1, "online", "no_consent", *nothing, b"", b"")


def table_of(answers: list[LedgerRow]) -> pa.Table:
    return pa.table({n: [getattr(a, n) for a in answers] for n in LEDGER_SCHEMA.names}, schema=LEDGER_SCHEMA)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def backed_up(home: Home, path: Path) -> BackedUp:
    with Store.open(home) as store, Ledger.open(home) as ledger:
        return back_up(store, ledger, home, path, now=NOW, progress=quiet)


def vars_of(row: LedgerRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in LEDGER_SCHEMA.names}


def files_of(home: Home) -> list[str]:
    return sorted(str(f.relative_to(home.path)) for f in home.path.rglob("*") if not f.is_dir())
