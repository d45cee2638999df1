"""Touchpoints in bulk: the same snapshot, counts and rejections as row by row; a record is never stored twice."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.home import Home
from data.sources import bulk
from data.sources.importing import ImportResult, import_mapping
from data.sources.mapping import Mapping, read_mapping
from data.store import bulk as store_bulk
from data.store.operational import Store
from data.store.partitions import registered
from data.store.snapshots import Snapshot, take_snapshot
from data.tables import TOUCHPOINTS
from data.times import DAY, parse_instant

TODAY = parse_instant("2026-06-01")
MAPPING = """
source = "crm"
[company]
timezone = "UTC"
[targets.won]
stage = "won"
horizon = "90d"
[[files]]
path = "leads.csv"
[files.lead]
id = "id"
created = "created"
[[files]]
path = "{touchpoints}"
[[files.touchpoints]]
lead = "lead"
kind = "kind"
at = "at"
detail = "detail"
{name}
[[files]]
path = "stages.csv"
[[files.stages]]
lead = "lead"
stage = "stage"
at = "at"
"""
LEADS = [("L1", "2026-01-01"), ("L2", "2026-01-02"), ("L3", "2026-02-30")]
"""The last has no date that can be read: it is rejected, and touchpoints of it with it."""

record = st.tuples(
    st.sampled_from(["L1", "L2", "L3", "L9"]),
    st.sampled_from(["call", "call", "page_view", "no such kind"]),
    st.sampled_from(["2026-03-01", "2026-03-01", "2026-03-02 10:00", "2027-01-01", "soon"]),
    st.sampled_from(["", "a", "料金"]),
    st.sampled_from(["t1", "t2", "t3", "t4#1", "t4#2", "t4", ""]),
)
imports = st.lists(st.lists(record, max_size=12), min_size=1, max_size=3)


def _mapping(folder: Path, records: list[tuple[str, ...]], *, named: bool) -> Mapping:
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "leads.csv", ("id", "created"), LEADS)
    _write(folder / "stages.csv", ("lead", "stage", "at"), [("L1", "mql", "2026-03-05")])
    _write(folder / "touchpoints.csv", ("lead", "kind", "at", "detail", "name"), records)
    text = MAPPING.format(touchpoints="touchpoints.csv", name='id = "name"' if named else "")
    (folder / "mapping.toml").write_text(text, encoding="utf-8")
    return read_mapping(folder / "mapping.toml")


def _write(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _import(home: Home, mapping: Mapping, nth: int, *, in_bulk: bool) -> tuple[ImportResult, Counter[str]]:
    with Store.open(home) as store:
        result = import_mapping(mapping, store, home, now=TODAY + nth * DAY, bulk=in_bulk)
    told: Counter[str] = Counter()
    if result.rejected_file:
        told.update(result.rejected_file.read_text(encoding="utf-8").splitlines())
    return result, told


def _snapshot(home: Home) -> Snapshot:
    with Store.open(home) as store:
        return take_snapshot(store, home, now=TODAY)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=imports, named=st.booleans(), ways=st.lists(st.booleans(), min_size=4, max_size=4))
def test_bulk_and_rows_are_one_import(
    tmp_path_factory: pytest.TempPathFactory, history: list[list[tuple[str, ...]]], named: bool, ways: list[bool]
) -> None:
    """By rows, in bulk, and now this way now that: equal counts, equal rejections, equal hash, at every step."""
    folder = tmp_path_factory.mktemp("bulk")
    by_rows, in_bulk, mixed = (Home.at(folder / name) for name in ("rows", "bulk", "mixed"))
    for nth, records in enumerate(history):
        mapping = _mapping(folder / f"files{nth}", records, named=named)
        expected, told = _import(by_rows, mapping, nth, in_bulk=False)
        for home, way in ((in_bulk, True), (mixed, ways[nth])):
            result, also_told = _import(home, mapping, nth, in_bulk=way)
            assert result.counts == expected.counts
            assert also_told == told
        assert _snapshot(in_bulk).hash == _snapshot(by_rows).hash == _snapshot(mixed).hash


@pytest.mark.parametrize("bits", [0, 3])
def test_buckets_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    """Nameless records of equal content are counted over all buckets alike."""
    monkeypatch.setattr(store_bulk, "_bits", lambda rows: bits)
    monkeypatch.setattr(bulk, "_BLOCK", 7)
    records = [("L1", "call", "2026-03-01", detail, "") for detail in "abcab" * 8]
    mapping = _mapping(tmp_path / "files", records, named=False)
    home, rows_home = Home.at(tmp_path / "bulk"), Home.at(tmp_path / "rows")
    result, _ = _import(home, mapping, 0, in_bulk=True)
    again, _ = _import(home, mapping, 1, in_bulk=True)
    _import(rows_home, mapping, 0, in_bulk=False)
    assert (result.counts["touchpoints"].accepted, again.counts["touchpoints"].unchanged) == (40, 40)
    assert _snapshot(home).hash == _snapshot(rows_home).hash


def test_a_conflict_overwrites_nothing_and_is_named(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    first = _mapping(tmp_path / "a", [("L1", "call", "2026-03-01", "old", "t1")], named=True)
    second = _mapping(tmp_path / "b", [("L1", "call", "2026-03-01", "new", "t1")], named=True)
    _import(home, first, 0, in_bulk=True)
    result, told = _import(home, second, 1, in_bulk=True)
    assert result.counts["touchpoints"].conflicts == 1
    (row,) = csv.reader(line for line in told if bulk.THERE in line)
    assert row == ["touchpoints.csv", "1", "touchpoints", "name", "t1", bulk.THERE]
    with Store.open(home) as store:
        assert store.read(TOUCHPOINTS)["detail"].to_pylist() == ["old"]


def test_an_import_without_new_touchpoints_registers_no_partition(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    mapping = _mapping(tmp_path / "a", [("L1", "call", "2026-03-01", "", "t1")], named=True)
    for nth in range(3):
        _import(home, mapping, nth, in_bulk=True)
    with Store.open(home) as store, store.reading() as connection:
        assert [p.rows for p in registered(connection)] == [1]
        assert [p.name for p in store.partitions.iterdir() if p.is_dir()] == [registered(connection)[0].name]


def test_touchpoints_added_meanwhile_are_compared_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer adds the same record between the comparison and the commit."""
    home = Home.at(tmp_path / "home")
    mapping = _mapping(
        tmp_path / "a", [("L1", "call", "2026-03-01", "", "t1"), ("L2", "call", "2026-03-01", "", "t2")], named=True
    )
    other = _mapping(tmp_path / "b", [("L1", "call", "2026-03-01", "", "t1")], named=True)
    prepare, raced = store_bulk.Intake.prepare, []

    def overtaken(self: store_bulk.Intake, rows: int) -> store_bulk.Outcome:
        outcome = prepare(self, rows)
        if not raced:
            raced.append(_import(home, other, 0, in_bulk=False))
        return outcome

    monkeypatch.setattr(store_bulk.Intake, "prepare", overtaken)
    result, _ = _import(home, mapping, 1, in_bulk=True)
    assert (result.counts["touchpoints"].accepted, result.counts["touchpoints"].unchanged) == (1, 1)
    with Store.open(home) as store:
        assert sorted(store.read(TOUCHPOINTS)["source_id"].to_pylist()) == ["t1", "t2"]


def test_large_files_go_in_bulk_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = _mapping(tmp_path / "a", [("L1", "call", "2026-03-01", "", "t1")], named=True)
    found = []
    for least in (10_000, 10):
        monkeypatch.setattr(bulk, "FROM_CSV", least)
        home = Home.at(tmp_path / f"home{least}")
        with Store.open(home) as store:
            found.append(import_mapping(mapping, store, home, now=TODAY).bulk)
    assert found == [False, True]
    assert not bulk.worth_bulk(mapping, Home.at(tmp_path / "server", "postgresql://somewhere/db"))
