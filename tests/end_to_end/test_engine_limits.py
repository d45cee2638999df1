"""Every engine a command opens is limited, and what its memory does not hold lies under the home and goes again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import ibis
import pytest
from ibis.backends.duckdb import Backend

from data.home import Home
from data.store.operational import Store
from data.times import render_instant
from features.engine import MEMORY_LIMIT
from leadscore import run
from tests.end_to_end.conftest import Run
from tests.training.test_training_pipeline import NOW, fill

Setting = tuple[str, str]
_SETTINGS = "SELECT current_setting('memory_limit'), current_setting('temp_directory')"


class Watched:
    """Keeps every Ibis backend that is opened, and what is set on those that are closed."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.open: list[Backend] = []
        self.closed: list[Setting] = []
        connect, disconnect = ibis.duckdb.connect, Backend.disconnect

        def connected(*given: object, **options: object) -> Backend:
            self.open.append(connect(*given, **options))
            return self.open[-1]

        def disconnected(backend: Backend) -> None:
            self.closed.append(_settings(backend))
            self.open.remove(backend)
            disconnect(backend)

        patched.setattr(ibis.duckdb, "connect", connected)
        patched.setattr(Backend, "disconnect", disconnected)

    def settings(self) -> list[Setting]:
        return [*self.closed, *map(_settings, self.open)]


def _settings(backend: Backend) -> Setting:
    [(limit, folder)] = backend.raw_sql(_SETTINGS).fetchall()
    return limit, folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """With a champion."""
    found = Home.at(tmp_path_factory.mktemp("home"))
    with Store.open(found) as store:
        fill(store, 400, seed=1)
    return found


@pytest.fixture
def command(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Setting]]:
    """Runs a command and gives the settings of every engine that it opened."""
    monkeypatch.setenv("LEADSCORE_NOW", render_instant(NOW))

    def settings_of(*arguments: str) -> list[Setting]:
        with pytest.MonkeyPatch.context() as patched:
            watched = Watched(patched)
            assert run(["--home", str(home.path), *arguments]) == 0
            found = watched.settings()
            for _, folder in map(_settings, watched.open):
                assert Path(folder).is_dir()
        return found

    return settings_of


def test_commands_open_no_engine_without_limit(
    home: Home, command: Callable[..., list[Setting]], tmp_path: Path
) -> None:
    limited = duckdb.connect(config={"memory_limit": MEMORY_LIMIT}).execute(_SETTINGS).fetchone()
    assert limited is not None
    for arguments in (
        ("train", "--target", "won", "--trials", "2"),
        ("score", "--out", str(tmp_path / "all.csv")),
        ("monitor",),
        ("retune", "--target", "won"),
        ("features", "--out", str(tmp_path / "features.csv")),
    ):
        found = command(*arguments)
        assert found, arguments
        assert {limit for limit, _ in found} == {limited[0]}, arguments
        assert {Path(folder).parent for _, folder in found} == {home.path}, arguments


def test_a_command_that_ends_leaves_nothing(home: Home, leadscore: Run, tmp_path: Path) -> None:
    there = sorted(path.name for path in home.path.iterdir())
    leadscore("score", "--home", home.path, "--out", tmp_path / "all.csv", now=render_instant(NOW))
    assert sorted(path.name for path in home.path.iterdir()) == there
