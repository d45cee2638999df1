"""The same seed gives the same bytes, however the work is cut."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest

from data.simulator.block_tables import tables_of_block
from data.simulator.history import SampleShares, block_sizes
from data.simulator.world import World
from data.simulator.write import simulate_to


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_same_seed_gives_the_same_bytes(tmp_path, ending):
    for name, seed in (("a", 9), ("b", 9), ("c", 10)):
        simulate_to(tmp_path / name, leads=300, seed=seed, format=ending, continuations=10, truth_rows=20)
    assert _digests(tmp_path / "a") == _digests(tmp_path / "b")
    differing = {n for n, d in _digests(tmp_path / "a").items() if d != _digests(tmp_path / "c")[n]}
    assert differing >= {f"touchpoints.{ending}", f"leads.{ending}", "truth/truth.parquet"}


def test_one_process_or_two_give_the_same_bytes(tmp_path):
    for name, processes in (("one", 1), ("two", 2)):
        simulate_to(tmp_path / name, leads=20_400, seed=2, continuations=2, truth_rows=8, processes=processes)
    assert _digests(tmp_path / "one") == _digests(tmp_path / "two")


def test_a_block_does_not_depend_on_the_others():
    """Blocks made in any order are the same, and no id is in two of them."""
    second = tables_of_block(World(), 3, 1, 500, SampleShares())
    first = tables_of_block(World(), 3, 0, 500, SampleShares())
    again = tables_of_block(World(), 3, 1, 500, SampleShares())
    for name, table in second.tables.items():
        assert table.equals(again.tables[name])
        together = pa.concat_tables([first.tables[name], table])
        assert len(set(together["source_id"].to_pylist())) == len(together)


def test_sampling_for_the_truth_changes_no_history():
    few, many = (tables_of_block(World(), 3, 0, 400, SampleShares(share, share, share)) for share in (0.0, 0.5))
    assert all(few.tables[name].equals(many.tables[name]) for name in few.tables)


@pytest.mark.parametrize(("leads", "sizes"), [(1, [1]), (10_000, [10_000]), (20_400, [10_000, 10_000, 400])])
def test_blocks_have_fixed_sizes(leads, sizes):
    assert block_sizes(leads) == sizes
