"""A restored home answers as the first one does, to the last bit, on either engine."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from serving_server import wait_until
from serving_worlds import LEADS, NOW, NOW_TEXT, make_world

from data.commands import app as data_app
from data.home import Home
from data.store.ledger import Ledger
from data.store.operational import Store
from data.store.snapshots import take_snapshot
from serving.commands import app
from serving.desk import Desk
from serving.settings import ServingSettings


def run(home: Home, *arguments: object) -> None:
    root = typer.Typer()

    @root.callback()
    def enter(ctx: typer.Context) -> None:
        ctx.obj = home

    root.add_typer(app)
    root.add_typer(data_app)
    root(args=[str(argument) for argument in arguments], standalone_mode=False)


def online_answers(home: Home) -> list[bytes]:
    """What the endpoint says of every lead at the same moment."""
    desk = Desk(home, ServingSettings())
    desk.open()
    wait_until(lambda: desk.is_ready, "the models in force")
    try:
        asked = [json.dumps({"lead_id": f"L{number:04d}", "reasons": "all"}).encode() for number in range(LEADS)]
        return [desk.answer_by_id(desk.read(body), f"r{number}", NOW) for number, body in enumerate(asked)]
    finally:
        desk.close()


def batch_answers(home: Home, file: Path) -> bytes:
    run(home, "score", "--out", file)
    return file.read_bytes()


def test_a_restored_home_answers_bit_identically_on_sqlite_and_on_postgresql(
    tmp_path: Path, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite to PostgreSQL, and from there back to SQLite."""
    monkeypatch.setenv("LEADSCORE_NOW", NOW_TEXT)
    first = make_world(tmp_path / "first").home
    said, scores = online_answers(first), batch_answers(first, tmp_path / "first.csv")
    homes = [first, Home.at(tmp_path / "server", new_database()), Home.at(tmp_path / "back")]
    for before, after in itertools.pairwise(homes):
        file = after.path.with_suffix(".tar")
        run(before, "backup", file)
        run(after, "restore", file)
        with Ledger.open(before) as kept, Ledger.open(after) as restored:
            assert kept.read().equals(restored.read())
            assert len(kept.read()) > 2 * LEADS
        with Store.open(before) as kept, Store.open(after) as restored:
            hashes = [take_snapshot(s, h, now=NOW).hash for s, h in ((kept, before), (restored, after))]
        assert hashes[0] == hashes[1]
        assert batch_answers(after, file.with_suffix(".csv")) == scores
        assert online_answers(after) == said
        run(after, "replay")
