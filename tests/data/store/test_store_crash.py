"""Writers killed with `kill -9` at random moments: what was acknowledged is there, and whole.

A score of kills in every run of the tests, thousands in `make soak`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from data.home import Home
from data.store.ledger import Ledger
from data.store.operational import Store
from data.tables import LEAD_CYCLES, LEADS, STAGE_CHANGES, TOUCHPOINTS

AT_ONCE = 4
LONGEST_LIFE = 0.2
"""Seconds from birth, so that some are killed while they create the store, or from their first write."""
SOAKED_SQLITE, SOAKED_POSTGRESQL = 2_400, 400
KILLS_A_HOME = 80
"""So that many homes are killed in their first moments, when the store is made."""
TOUCHPOINTS_A_LEAD, ANSWERS_A_LEAD = 5, 3

# One program that is loaded once and killed never: it forks the writers and kills them.
NURSERY = """
import os, signal, sys, time
import alembic.command, pandas, psycopg, pyarrow.dataset  # loaded when first needed: here, or in every child
import pyarrow as pa
from pathlib import Path
from random import Random
from data.home import Home
from data.store.ledger import LEDGER_SCHEMA, Ledger, LedgerRow
from data.store.operational import Store
from data.tables import LEADS, STAGE_CHANGES, TOUCHPOINTS

kills, at_once, longest, *homes = sys.argv[1:]

def write_for_ever(home, name, acknowledged):
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
        answers = [LedgerRow(*answer)] * 3
        ledger.append(answers)
        os.write(acknowledged, f"{lead} ".encode())
        if number % 4 == 1:
            columns = {n: [getattr(a, n) for a in answers] for n in LEDGER_SCHEMA.names}
            ledger.append_batch(pa.table(columns, LEDGER_SCHEMA), f"run-{lead}", number)
            os.write(acknowledged, f"run-{lead} ".encode())
        if number % 4 == 3:
            ledger.prune(before=0)  # sweeps away what killed runs left, under the eyes of those who write

def born(home, name):
    file = home.path / f"acknowledged-{name}"
    pid = os.fork()
    if pid == 0:
        write_for_ever(home, name, os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY))
    return pid, file

def kill(home, at_once, longest, chance):
    # Half are killed at a moment after birth, half at one after their first acknowledged write.
    name = f"{time.monotonic_ns()}x"
    ends = {born(home, f"{name}{i}"): chance.uniform(0, longest) + (0 if i % 2 else 1e6) for i in range(at_once)}
    start = time.monotonic()
    while ends:
        now = time.monotonic() - start
        for (writer, file), end in list(ends.items()):
            if end >= 1e6 and file.exists() and file.stat().st_size:
                ends[writer, file] = end - 1e6 + now
            elif end <= now:
                os.kill(writer, signal.SIGKILL)
                assert os.waitpid(writer, 0)[1] == signal.SIGKILL, "the writer ended by itself"
                del ends[writer, file]
            else:
                assert os.waitpid(writer, os.WNOHANG) == (0, 0), "the writer ended by itself"
        time.sleep(0.0005)

for number, (path, url) in enumerate(zip(homes[::2], homes[1::2])):
    home, chance = Home.at(path, url), Random(number)
    for _ in range(int(kills) // int(at_once)):
        kill(home, int(at_once), float(longest), chance)
"""


def test_kills_at_random_moments_while_others_write(sqlite_home: Home, root: Path) -> None:
    _kill([sqlite_home], root, kills=20)
    _assert_nothing_lost_and_nothing_half(sqlite_home)


def test_kills_of_clients_of_the_server(postgresql_url: str, tmp_path: Path, root: Path) -> None:
    home = Home.at(tmp_path / "home", postgresql_url)
    _kill([home], root, kills=8)
    _assert_nothing_lost_and_nothing_half(home)


@pytest.mark.soak
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(("engine", "kills"), [("sqlite", SOAKED_SQLITE), ("postgresql", SOAKED_POSTGRESQL)])
def test_thousands_of_kills(
    engine: str, kills: int, request: pytest.FixtureRequest, tmp_path: Path, root: Path
) -> None:
    started = time.monotonic()
    new = request.getfixturevalue("new_database") if engine == "postgresql" else str
    homes = [Home.at(tmp_path / f"home-{number}", new()) for number in range(kills // KILLS_A_HOME)]
    _kill(homes, root, kills=KILLS_A_HOME, longest=0.1)
    acknowledged = sum(_assert_nothing_lost_and_nothing_half(home) for home in homes)
    seconds = time.monotonic() - started
    print(f"\n{engine}: {kills:,} writers killed, {acknowledged:,} acknowledged writes, none lost; {seconds:.0f} s")


def _kill(homes: list[Home], root: Path, *, kills: int, longest: float = LONGEST_LIFE) -> None:
    """Kills so many writers of each home in turn."""
    places = [word for home in homes for word in (str(home.path), home.database_url)]
    given = [str(kills), str(AT_ONCE), str(longest), *places]
    done = subprocess.run(
        [sys.executable, "-c", NURSERY, *given], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _assert_nothing_lost_and_nothing_half(home: Home) -> int:
    """Returns how many writes were acknowledged."""
    # The file is written after a commit returned, so it never says more than was acknowledged.
    files = home.path.glob("acknowledged-*")
    acknowledged = {word for file in files for word in file.read_text().split(" ")[:-1]}
    runs = {word for word in acknowledged if word.startswith("run-")}
    with Store.open(home) as store, Ledger.open(home) as ledger:
        leads = store.lead_ids()
        assert len(acknowledged) > 0
        assert acknowledged - runs <= set(leads)
        for table, each in ((TOUCHPOINTS, TOUCHPOINTS_A_LEAD), (STAGE_CHANGES, 1), (LEAD_CYCLES, 2), (LEADS, 1)):
            assert Counter(store.read(table)["lead_id"].to_pylist()) == dict.fromkeys(leads, each)
        kept = ledger.runs()
        assert runs <= {run_id for run_id, _, _ in kept}
        answers = Counter(ledger.read(columns=["lead_id"])["lead_id"].to_pylist())
        in_runs = Counter({run_id.removeprefix("run-"): rows for run_id, rows, _ in kept})
        assert acknowledged - runs <= set(answers)
        assert set((answers - in_runs).values()) == set(in_runs.values()) | {ANSWERS_A_LEAD} == {ANSWERS_A_LEAD}
        ledger.sweep()
        assert len(list(home.ledger.iterdir())) == len(kept)
    return len(acknowledged)
