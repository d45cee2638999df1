"""Writers killed with `kill -9` at random moments: what was acknowledged is there, and whole."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from data.home import Home
from data.store.ledger import Ledger
from data.store.operational import Store
from data.tables import LEAD_CYCLES, LEADS, STAGE_CHANGES, TOUCHPOINTS

AT_ONCE = 4
LONGEST_LIFE = 0.2
"""Seconds from birth, so that some are killed while they create the store, or from their first write."""

# One program that is loaded once and killed never: it forks the writers and kills them.
NURSERY = """
import os, signal, sys, time
import alembic.command, pandas, psycopg  # loaded when first needed: here, or in every child
import pyarrow as pa
from pathlib import Path
from random import Random
from data.home import Home
from data.store.ledger import Ledger, LedgerRow
from data.store.operational import Store
from data.tables import LEADS, STAGE_CHANGES, TOUCHPOINTS

home, kills, at_once, longest = Home.at(sys.argv[1], sys.argv[2]), *map(float, sys.argv[3:])

def write_for_ever(name, acknowledged):
    store, ledger = Store.open(home), Ledger.open(home)
    record = {"source": name, "occurred_at": 1, "recorded_at": 1}
    for number in range(1_000_000):
        lead = f"{name}-{number}"
        touchpoint = {"lead_id": lead, "kind": "call", "actor": "lead", **record}
        rows = {
            TOUCHPOINTS: [{**touchpoint, "source_id": f"{lead}-{i}"} for i in range(5)],
            STAGE_CHANGES: [{"lead_id": lead, "stage": "recycled", "source_id": lead, **record}],
            LEADS: [{"lead_id": lead, "source_id": lead, **record}],
        }
        store.append_all({t: pa.Table.from_pylist(r) for t, r in rows.items()}, now=number)
        answer = ("r", lead, "won", 1, 1, "b", "p", 1, "online", "scored", *[0.0] * 5, 1, "A", True, b"", b"")
        ledger.append([LedgerRow(*answer)])
        os.write(acknowledged, f"{lead} ".encode())

def born(name):
    file = home.path / f"acknowledged-{name}"
    pid = os.fork()
    if pid == 0:
        write_for_ever(name, os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY))
    return pid, file

chance = Random(20)
for number in range(int(kills / at_once)):
    for i, (writer, file) in enumerate([born(f"w{number}x{i}") for i in range(int(at_once))]):
        while i % 2 and not (file.exists() and file.stat().st_size):
            assert os.waitpid(writer, os.WNOHANG) == (0, 0), "the writer ended by itself"
            time.sleep(0.001)
        time.sleep(chance.uniform(0, longest))
        os.kill(writer, signal.SIGKILL)
        assert os.waitpid(writer, 0)[1] == signal.SIGKILL, "the writer ended by itself"
"""


def test_kills_at_random_moments_while_others_write(sqlite_home: Home, root: Path) -> None:
    _kill(sqlite_home, root, kills=20)
    _assert_nothing_lost_and_nothing_half(sqlite_home)


def test_kills_of_clients_of_the_server(postgresql_url: str, tmp_path: Path, root: Path) -> None:
    home = Home.at(tmp_path / "home", postgresql_url)
    _kill(home, root, kills=8)
    _assert_nothing_lost_and_nothing_half(home)


def _kill(home: Home, root: Path, kills: int) -> None:
    given = [str(home.path), home.database_url, str(kills), str(AT_ONCE), str(LONGEST_LIFE)]
    done = subprocess.run(
        [sys.executable, "-c", NURSERY, *given], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _assert_nothing_lost_and_nothing_half(home: Home) -> None:
    # The file is written after a commit returned, so it never says more than was acknowledged.
    files = home.path.glob("acknowledged-*")
    acknowledged = {lead for file in files for lead in file.read_text().split(" ")[:-1]}
    with Store.open(home) as store, Ledger.open(home) as ledger:
        leads = store.lead_ids()
        assert len(acknowledged) > 0
        assert acknowledged <= set(leads)
        for table, each in ((TOUCHPOINTS, 5), (STAGE_CHANGES, 1), (LEAD_CYCLES, 2), (LEADS, 1)):
            assert Counter(store.read(table)["lead_id"].to_pylist()) == dict.fromkeys(leads, each)
        assert acknowledged <= set(ledger.read(columns=["lead_id"])["lead_id"].to_pylist())
