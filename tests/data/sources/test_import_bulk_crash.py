"""Bulk imports killed with `kill -9` at random moments: wholly there or not there, and swept by the next."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from data.home import Home
from data.store.operational import Store
from data.store.partitions import registered
from data.store.snapshots import take_snapshot
from data.tables import LEADS, STAGE_CHANGES, TOUCHPOINTS

KILLS = 20
LEADS_EACH, TOUCHPOINTS_EACH = 7, 400
# Loaded once and never killed: it forks the imports and kills them.
NURSERY = """
import os, signal, sys, time
import alembic.command, duckdb, ibis, pandas
from pathlib import Path
from random import Random
from data.home import Home
from data.sources.importing import import_mapping
from data.sources.mapping import read_mapping
from data.store.operational import Store

home, folder, kills, leads, each = Home.at(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
MAPPING = '''source = "s{n}"
[targets.won]
stage = "won"
horizon = "90d"
[[files]]
path = "leads{n}.csv"
lead = {{ id = "id", created = "at" }}
stages = [{{ stage = {{ value = "mql" }}, at = "at" }}]
[[files]]
path = "touchpoints{n}.csv"
touchpoints = [{{ lead = "lead", kind = {{ value = "call" }}, at = "at", id = "id" }}]
'''

def mapping(n):
    (folder / f"leads{n}.csv").write_text("id,at\\n" + "".join(f"{n}-{i},2026-01-01\\n" for i in range(leads)))
    rows = "".join(f"{i},{n}-{i % leads},2026-01-02\\n" for i in range(each))
    (folder / f"touchpoints{n}.csv").write_text("id,lead,at\\n" + rows)
    (folder / f"mapping{n}.toml").write_text(MAPPING.format(n=n))
    return read_mapping(folder / f"mapping{n}.toml")

def run(n):
    with Store.open(home) as store:
        import_mapping(mapping(n), store, home, now=1_800_000_000_000_000 + n, bulk=True)

def in_child(n):
    pid = os.fork()
    if pid == 0:
        run(n)
        os._exit(0)
    return pid

for n in (0, kills + 1):
    started = time.monotonic()
    assert os.waitpid(in_child(n), 0)[1] == 0
longest, chance = 1.1 * (time.monotonic() - started), Random(3)
for n in range(1, kills + 1):
    child = in_child(n)
    time.sleep(chance.uniform(0.2, 1) * longest)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
assert os.waitpid(in_child(kills + 2), 0)[1] == 0
"""


def test_a_killed_bulk_import_is_there_wholly_or_not_at_all(tmp_path: Path, root: Path) -> None:
    home, files = Home.at(tmp_path / "home"), tmp_path / "files"
    files.mkdir()
    given = [str(home.path), str(files), *map(str, (KILLS, LEADS_EACH, TOUCHPOINTS_EACH))]
    done = subprocess.run(
        [sys.executable, "-c", NURSERY, *given], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    with Store.open(home) as store:
        counts = [Counter(store.read(table)["source"].to_pylist()) for table in (LEADS, STAGE_CHANGES, TOUCHPOINTS)]
        for found, each in zip(counts, (LEADS_EACH, LEADS_EACH, TOUCHPOINTS_EACH), strict=True):
            assert found == dict.fromkeys(counts[0], each)
        assert {"s0", f"s{KILLS + 1}", f"s{KILLS + 2}"} <= set(counts[0])
        assert 3 < len(counts[0]) < KILLS + 3, "some were killed before and some after they were accepted"
        with store.reading() as connection:
            kept = {partition.name for partition in registered(connection)}
        assert {path.name for path in store.partitions.iterdir() if path.is_dir()} == kept
        rows = take_snapshot(store, home, now=1).manifest["tables"]["touchpoints"]["rows"]
    assert rows == counts[2].total()
