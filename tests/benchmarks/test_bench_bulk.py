"""Imports in bulk: memory that does not grow with the touchpoints, and less work than row by row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.benchmark_suite

TOUCHPOINTS = int(os.environ.get("BENCH_BULK", "1000000"))
LEADS = 50_000
MORE_MIB = 150
"""Of peak memory that four times the touchpoints may take."""
MAPPING = """
source = "crm"
[targets.won]
stage = "won"
horizon = "90d"
[[files]]
path = "leads.parquet"
lead = { id = "id", created = "created" }
[[files]]
path = "touchpoints.parquet"
touchpoints = [{ lead = "lead", kind = "kind", at = "at", detail = "detail", id = "id" }]
"""
# In a process of its own, whose peak is the run's.
RUN = """
import json, resource, sys, time
from pathlib import Path
from data.home import Home
from data.sources.importing import import_mapping
from data.sources.mapping import read_mapping
from data.store import parts
from data.store.operational import Store
from data.store.snapshots import take_snapshot
parts._MEMORY = "300MB"  # so little that the smaller history needs all of it, and the larger the disk
folder, home = Path(sys.argv[1]), Home.at(sys.argv[2])
with Store.open(home) as store:
    import_mapping(read_mapping(folder / "mapping.toml"), store, home, now=2 * 10**15, bulk=sys.argv[3] == "bulk")
    found = take_snapshot(store, home, now=1)
usage = resource.getrusage(resource.RUSAGE_SELF)
rows = found.manifest["tables"]["touchpoints"]["rows"]
print(json.dumps([found.hash, rows, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""


@dataclass(frozen=True)
class Run:
    hash: str
    rows: int
    cpu: float
    """Seconds, import and first snapshot."""
    peak: float
    """MiB."""


def _written(folder: Path, touchpoints: int) -> Path:
    """A history of few leads with many touchpoints, as Parquet."""
    folder.mkdir()
    chance, at = np.random.default_rng(1), pa.timestamp("us", "UTC")
    leads = pa.array([f"00Q{n:09d}" for n in range(LEADS)])
    born = chance.integers(1_500_000_000, 1_700_000_000, LEADS) * 1_000_000
    pq.write_table(pa.table({"id": leads, "created": pa.array(born, at)}), folder / "leads.parquet")
    with pq.ParquetWriter(folder / "touchpoints.parquet", _block(0, 0, chance, leads, born).schema) as out:
        for start in range(0, touchpoints, 500_000):
            count = min(500_000, touchpoints - start)
            out.write_table(_block(start, count, chance, leads, born))
    (folder / "mapping.toml").write_text(MAPPING)
    return folder


def _block(start: int, count: int, chance: np.random.Generator, leads: pa.Array, born: np.ndarray) -> pa.Table:
    who = chance.integers(0, LEADS, count)
    at = born[who] + chance.integers(0, 300 * 86_400, count) * 1_000_000
    names = pc.binary_join_element_wise("tp-", pa.array(np.arange(start, start + count)).cast(pa.string()), "")
    columns = {"lead": leads.take(pa.array(who)), "at": pa.array(at, pa.timestamp("us", "UTC"))}
    words = {
        "kind": pa.array(["page_view", "email_clicked", "call"]),
        "detail": pa.array([f"/p/{n}" for n in range(500)]),
    }
    chosen = {name: every.take(pa.array(chance.integers(0, len(every), count))) for name, every in words.items()}
    return pa.table({"id": names, **columns, **chosen})


def _run(root: Path, folder: Path, home: Path, way: str) -> Run:
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), str(home), way], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Run(*json.loads(done.stdout))


def test_bulk_beside_rows(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few, many = (_written(tmp_path / f"x{n}", n * TOUCHPOINTS) for n in (1, 4))
    rows = _run(root, few, tmp_path / "rows", "rows")
    bulk = _run(root, few, tmp_path / "bulk", "bulk")
    more = _run(root, many, tmp_path / "more", "bulk")
    with capsys.disabled():
        for name, found in (("rows", rows), ("bulk", bulk), ("bulk, four times", more)):
            print(f"\n{name}: {found.rows:,} touchpoints, {found.cpu:.1f} s of CPU, peak {found.peak:.0f} MiB", end="")
    assert bulk.hash == rows.hash
    assert bulk.cpu < rows.cpu
    assert (bulk.rows, more.rows) == (TOUCHPOINTS, 4 * TOUCHPOINTS)
    assert more.peak < bulk.peak + MORE_MIB
