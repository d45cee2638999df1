"""A run repeated from the snapshot it named, and from plain tables of the same content, to the bundle's hash."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.home import Home
from data.store.operational import Store
from data.store.plain import open_history
from data.store.snapshots import Snapshot, take_snapshot
from data.tables import LEADS, STAGE_CHANGES, TOUCHPOINTS
from data.times import DAY, render_instant
from features.export import write_features
from tests.end_to_end.conftest import Run
from tests.training.test_training_pipeline import NOW, arrow, fill, record, silent
from training.fitting import Options
from training.pipeline import Request, train
from training.registry import Registry

CLOCK = render_instant(NOW)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    found = Home.at(tmp_path_factory.mktemp("home"))
    with Store.open(found) as store:
        fill(store, 400, seed=1)
    return found


@pytest.fixture(scope="module")
def snapshot(home: Home) -> Snapshot:
    with Store.open(home) as store:
        return take_snapshot(store, home, now=NOW)


@pytest.fixture(scope="module")
def plain(snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file a table, as another tool might write it."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "company.json").write_text(json.dumps(snapshot.manifest["company"]), encoding="utf-8")
    for name in snapshot.manifest["tables"]:
        pq.write_table(pq.read_table(snapshot.files(name)[0]), folder / f"{name}.parquet")
    return folder


def _repeated(home: Home, folder: Path, register: Home) -> str:
    """The hash of the bundle that the same training gives in a home that knows nothing but a folder."""
    request = Request(target="won", options=Options(trials=2), history=folder)
    with Store.open(home) as store:
        return train(store, home, lambda: Registry(register), request, now=NOW, say=silent).bundle.hash


def _in_force(home: Home) -> str:
    with Store.open(home) as store:
        deployed = store.deployment("won")
    assert deployed is not None
    return deployed.bundle_hash


def test_a_run_is_repeated_from_the_snapshot_it_names(
    leadscore: Run, home: Home, snapshot: Snapshot, plain: Path, tmp_path: Path
) -> None:
    """Trained from the store; from the snapshot's folder and from plain tables elsewhere."""
    said = leadscore("train", "--home", home.path, "--target", "won", "--trials", 2, now=CLOCK).stdout
    first = next(line for line in said.splitlines() if line.startswith("history: snapshot ")).split()[-1]
    bundle = _in_force(home)
    assert first == snapshot.hash
    for name, folder in (("other", home.snapshots / first), ("third", plain)):
        assert _repeated(Home.at(tmp_path / name), folder, home) == bundle

    _add_later(home)
    files = []
    for name, more in (("now", ()), ("then", ("--history", home.snapshots / first))):
        arguments = ("score", "--home", home.path, "--out", tmp_path / f"{name}.csv", "--as-of", "creation")
        said = leadscore(*arguments, *more, now=CLOCK).stdout
        files.append((tmp_path / f"{name}.csv").read_text(encoding="utf-8").splitlines())
        assert (f"history: snapshot {first}" in said) == (name == "then")
    assert len(files[0]) == len(files[1]) + 1
    assert set(files[1]) <= set(files[0])

    said = leadscore("monitor", "--home", home.path, "--history", home.snapshots / first, now=CLOCK).stdout
    assert f"history: snapshot {first}" in said
    with Store.open(home) as store:
        assert [json.loads(text)["snapshot"] for _, text in store.runs("monitor")] == [first]


def _add_later(home: Home) -> None:
    """A lead of the last day, which the snapshot taken before does not know."""
    row = record({"lead_id": "late"}, "late", NOW - DAY)
    touch = record({"lead_id": "late", "kind": "call", "actor": "lead"}, "latecall", NOW - DAY)
    stage = record({"lead_id": "late", "stage": "mql"}, "latemql", NOW - DAY)
    with Store.open(home) as store:
        found = {LEADS: [row], TOUCHPOINTS: [touch], STAGE_CHANGES: [stage]}
        store.append_all({table: arrow(table, rows) for table, rows in found.items()}, now=NOW)


def test_the_feature_table_is_the_same(home: Home, snapshot: Snapshot, plain: Path, tmp_path: Path) -> None:
    other = Home.at(tmp_path / "other")
    outs = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    write_features(home, snapshot, outs[0], as_of=NOW)
    write_features(other, open_history(plain, other, now=NOW), outs[1], as_of=NOW)
    assert pq.read_table(outs[0]).equals(pq.read_table(outs[1]))
    assert pq.read_metadata(outs[0]).num_rows == 400


def test_check_and_features_read_the_folder(leadscore: Run, plain: Path, snapshot: Snapshot, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    out = tmp_path / "features.csv"
    said = leadscore("features", "--home", elsewhere, "--history", plain, "--out", out, now=CLOCK).stdout
    assert f"history: snapshot {snapshot.hash}" in said
    # Code 1: nobody in this history ever reached the target sql, which is refused.
    said = leadscore("check", "--home", elsewhere, "--history", plain, now=CLOCK, code=1).stdout
    assert f"history: snapshot {snapshot.hash}" in said
