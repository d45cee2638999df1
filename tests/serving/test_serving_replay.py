"""Answers computed again: every one comes back to the last bit, and one that was changed is found."""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from serving_server import wait_until
from serving_worlds import LEADS, NOW, NOW_TEXT, START, World, make_row_world, make_world

from data.errors import DataRefused, NotFound
from data.home import Home
from data.store.ledger import Ledger, LedgerRow
from data.store.operational import Store
from data.store.packing import pack_contributions, pack_values
from data.tables import TOUCHPOINTS
from data.times import DAY
from serving.commands import app
from serving.desk import Desk
from serving.judges import Judges
from serving.replay import Report, replay_features, replay_history, rows_of
from serving.settings import ServingSettings

ONLINE_LEADS = 20
WHOLE = {"lead": {"lead_id": "elsewhere", "created_at": "2026-05-01T00:00:00Z", "touchpoints": []}}


def run(home: Home, *arguments: object) -> None:
    root = typer.Typer()

    @root.callback()
    def enter(ctx: typer.Context) -> None:
        ctx.obj = home

    root.add_typer(app)
    root(args=[str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADSCORE_NOW", NOW_TEXT)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A home that answered online, by id and for a lead sent whole, and in two batch runs."""
    folder = tmp_path_factory.mktemp("replay")
    world = make_world(folder / "home")
    desk = Desk(world.home, ServingSettings())
    desk.open()
    wait_until(lambda: desk.is_ready, "the models in force")
    for number in range(ONLINE_LEADS):
        ask(desk, {"lead_id": f"L{number:04d}"}, NOW + number)
    ask(desk, WHOLE, NOW + 100)
    desk.close()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LEADSCORE_NOW", NOW_TEXT)
        run(world.home, "score", "--out", folder / "open.csv")
        run(world.home, "score", "--out", folder / "born.csv", "--as-of", "creation")
    return world


@pytest.fixture
def scored(first: World, tmp_path: Path) -> World:
    """A copy of it, for one test to change."""
    shutil.copytree(first.home.path, tmp_path / "home")
    return replace(first, home=Home.at(tmp_path / "home"))


def ask(desk: Desk, body: dict[str, Any], at: int) -> None:
    request = desk.read(json.dumps(body).encode())
    if request.lead is None:
        desk.answer_by_id(request, f"online-{at - NOW}", at)
    else:
        desk.answer_whole(request, request.lead, f"online-{at - NOW}", at)


def replayed(home: Home, source: str = "features") -> Report:
    with Store.open(home) as store, Ledger.open(home) as ledger:
        rows = list(rows_of(ledger, target=None, since=None, until=None, lead=None))
        assert {row.channel for row in rows} == {"online", "batch"}
        judges, quiet = Judges(store, home), lambda done: None
        return (
            replay_features(rows, judges, quiet) if source == "features" else replay_history(rows, store, judges, quiet)
        )


def online_where(home: Home, request_id: str, target: str = "won") -> LedgerRow:
    with Ledger.open(home) as ledger:
        return next(LedgerRow(**r) for r in ledger.read(target=target).to_pylist() if r["request_id"] == request_id)


def overwrite(home: Home, request_id: str, **values: object) -> None:
    with closing(sqlite3.connect(home.ledger_db)) as connection, connection:
        for name, value in values.items():
            sql = f"UPDATE answers SET \"{name}\" = ? WHERE request_id = ? AND target = 'won'"
            assert connection.execute(sql, (value, request_id)).rowcount == 1


def test_every_answer_comes_back_to_the_last_bit(scored: World) -> None:
    report = replayed(scored.home)
    assert report.wrong.first == []
    assert (report.greatest, report.rows) == (0.0, report.same + report.without_figures)
    assert report.same > 2 * LEADS
    assert report.without_figures > 0


def test_every_answer_comes_back_from_the_history(scored: World) -> None:
    report = replayed(scored.home, "history")
    assert (report.wrong.count, report.other_features.count, report.flipped_leaves) == (0, 0, 0)
    assert report.not_in_history == 2  # the lead sent whole, for two targets
    assert report.rows == report.same + report.without_figures + report.not_in_history
    assert report.greatest <= 1e-9
    assert report.trees > 0


def test_data_without_dates_come_back_too(tmp_path: Path) -> None:
    home = make_row_world(tmp_path / "rows").home
    run(home, "score", "--out", tmp_path / "s.csv")
    with Store.open(home) as store, Ledger.open(home) as ledger:
        rows = list(rows_of(ledger, target="won", since=None, until=None, lead=None))
        judges = Judges(store, home)
        for report in (replay_features(rows, judges, print), replay_history(rows, store, judges, print)):
            assert (report.same, report.wrong.count, report.other_features.count) == (len(rows), 0, 0)
    assert len(rows) > 0


def _one_bit(values: tuple[float, ...]) -> tuple[float, ...]:
    """The first value, one bit further."""
    return (
        struct.unpack("<d", struct.pack("<q", struct.unpack("<q", struct.pack("<d", values[0]))[0] ^ 1))[0],
        *values[1:],
    )


CORRUPTIONS: dict[str, Callable[[LedgerRow], dict[str, object]]] = {
    "another margin": lambda row: {"margin": _one_bit((row.margin,))[0]},
    "another contributions": lambda row: {"contributions": pack_contributions(_one_bit(row.parts()))},
    "contributions of a ledger row": lambda row: {"contributions": row.contributions[:-1]},
    "feature values of a ledger row": lambda row: {"features": row.features[:-1]},
    "values for": lambda row: {"features": pack_values(row.values()[:-1])},
    "a text as value of": lambda row: {"features": pack_values(["x"] * len(row.values()))},
    "another probability": lambda row: {"probability": None},
    "another score": lambda row: {"score": row.score + 1},
    "another grade": lambda row: {"grade": "E"},
    "another threshold_met": lambda row: {"threshold_met": not row.threshold_met},
    "another status": lambda row: {"status": "unproven"},
    "figures in a row that is no_consent": lambda row: {"status": "no_consent"},
    "no manifest.json": lambda row: {"bundle_hash": "f" * 64},
    "no such policy": lambda row: {"policy_id": "none"},
}


def test_every_changed_row_is_found_and_named(scored: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of damage in a row of its own: those are named, and no other."""
    answered = [n for n in range(ONLINE_LEADS) if online_where(scored.home, f"online-{n}").status == "scored"]
    changed = dict(zip(CORRUPTIONS, answered, strict=False))
    assert len(changed) == len(CORRUPTIONS)
    for said, number in changed.items():
        overwrite(scored.home, f"online-{number}", **CORRUPTIONS[said](online_where(scored.home, f"online-{number}")))
    with pytest.raises(DataRefused, match=rf"{len(changed)} of \d+ answers that do not come back"):
        run(scored.home, "replay")
    lines = [line for line in capsys.readouterr().out.splitlines() if "online-" in line]
    for said, number in changed.items():
        assert [said in line for line in lines if f"online-{number} lead L{number:04d} won" in line] == [True]
    assert len(lines) == len(changed)


def test_a_changed_feature_value_is_found(scored: World) -> None:
    row = online_where(scored.home, "online-5")
    values = [100.0 if v == 0.0 else v for v in row.values()]
    assert values != row.values()
    overwrite(scored.home, "online-5", features=pack_values(values))
    assert [f.row.request_id for f in replayed(scored.home).wrong.first] == ["online-5"]
    # And from the history, which has the right ones: a difference that is shown, not an answer gone wrong.
    report = replayed(scored.home, "history")
    assert [f.row.request_id for f in report.other_features.first] == ["online-5"]
    assert report.wrong.count == 0


def test_one_changed_row_of_a_batch_run_is_found(scored: World) -> None:
    file = max(scored.home.ledger.glob("*.parquet"))
    table = pq.read_table(file)
    place = table["margin"].is_valid().to_pylist().index(True)
    margins = table["margin"].to_pylist()
    margins[place] += 1e-12
    pq.write_table(
        table.set_column(table.column_names.index("margin"), "margin", pa.array(margins, pa.float64())), file
    )
    report = replayed(scored.home)
    assert [f.row.lead_id for f in report.wrong.first] == [table["lead_id"][place].as_py()]
    assert 0 < report.greatest < 1e-9


def test_history_that_changed_since_is_counted_with_its_flipped_leaves(scored: World) -> None:
    """A source that says afterwards what it had known before: not a fault of the ledger, but to be seen."""
    before = START - DAY
    late = {"lead_id": "L0005", "kind": "pricing_view", "actor": "lead", "source": "late"}
    times = [before + 101 * DAY + n for n in range(60)]
    rows = [{**late, "source_id": str(n), "occurred_at": at, "recorded_at": at} for n, at in enumerate(times)]
    with Store.open(scored.home) as store:
        store.append(TOUCHPOINTS, pa.Table.from_pylist(rows, TOUCHPOINTS.arrow_schema()), now=NOW)
    report = replayed(scored.home, "history")
    assert {f.row.lead_id for f in report.other_features.first} >= {"L0005"}
    assert report.features["strong_interest_decayed_14d"] > 0
    assert 0 < report.flipped_leaves < report.trees
    assert report.greatest > 1e-3
    assert report.wrong.count == 0
    assert replayed(scored.home).wrong.count == 0


def test_only_what_was_asked_for(scored: World, capsys: pytest.CaptureFixture[str]) -> None:
    def answers(*options: object) -> int:
        run(scored.home, "replay", *options)
        line = next(line for line in capsys.readouterr().out.splitlines() if "answers" in line)
        return int(line.split()[-2].replace(",", ""))

    with Ledger.open(scored.home) as ledger:
        of_lead = len(ledger.read(target="won", lead_ids=["L0003"]))
        sql = len(ledger.read(target="sql", since=NOW + 1))
    assert answers("--lead", "L0003", "--target", "won", "--from", "history") == of_lead == 3
    assert answers("--target", "sql", "--since", "2026-05-31T15:00:00.000001Z") == sql > 0
    for nothing in (("--until", "2026-05-31T15:00:00Z"), ("--lead", "nobody")):
        with pytest.raises(NotFound, match="answers to replay"):
            run(scored.home, "replay", *nothing)


def test_leaves_are_those_of_lightgbm(scored: World) -> None:
    row = online_where(scored.home, "online-5")
    with Store.open(scored.home) as store:
        judge = Judges(store, scored.home).of(row.bundle_hash, row.policy_id)
    assert not isinstance(judge, str)
    columns = list(judge.columns([row.values()] * 2).values())
    leaves = judge.bundle.scorer.leaves(columns)
    again = [b.predict(judge.bundle.scorer.encoded(columns), pred_leaf=True) for b in judge.bundle.scorer._boosters]
    np.testing.assert_array_equal(leaves, np.hstack(again))


def test_score_deletes_answers_that_are_old_enough_but_not_in_a_rehearsal(
    scored: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger.open(scored.home) as ledger:
        before = len(ledger.read())
        monkeypatch.setenv("LEADSCORE_LEDGER_DAYS", "1")
        monkeypatch.setenv("LEADSCORE_NOW", "2030-01-01T00:00:00Z")
        run(scored.home, "score", "--out", tmp_path / "later.csv")
        kept = len(ledger.read())
        assert kept > before
        # The clock itself, which is later than everything but the rehearsal's run.
        monkeypatch.delenv("LEADSCORE_NOW")
        run(scored.home, "score", "--out", tmp_path / "now.csv")
        assert "deleted" in capsys.readouterr().out
        left = ledger.read(columns=["scored_at"])["scored_at"].to_pylist()
        assert 0 < len(left) < kept
        assert min(left) > NOW
