"""Data without dates: windows are numbers of rows, outcomes are known at once, there are no weeks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data.errors import DataRefused, UsageError
from data.home import Home
from data.store.operational import Store
from data.times import ROW_STEP, parse_instant
from monitoring.action import retuned
from monitoring.run import monitored
from tests.monitoring.companies import NOW, ROWS, TRAINED_ROWS, World, build_row_world


def quiet(_: str) -> None:
    return None


def monitor(home: Home, **options: Any) -> dict[str, Any]:
    given = {"target": None, "window": "row:500", "as_of": None, "now": NOW, "progress": quiet}
    return monitored(home, **(given | options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_row_world(tmp_path_factory.mktemp("rows"))


def test_the_newest_rows_are_the_window_and_their_outcomes_are_known(world: World) -> None:
    found = monitor(world.home)
    assert found["window"]["text"] == f"rows {ROWS - 499}–{ROWS}"
    assert found["evidence"]["rows"] == found["evidence"]["matured"]["rows"] == 500
    assert found["evidence"]["reference_rows"] == TRAINED_ROWS
    assert found["evidence"]["operating"] is None
    assert found["decision"]["action"] == "nothing"


def test_rows_the_champion_learned_from_do_not_judge_it(world: World) -> None:
    found = monitor(world.home, as_of=parse_instant(f"row:{TRAINED_ROWS + 100}"))
    assert found["evidence"]["matured"]["rows"] == 100


def test_a_column_that_moved_is_named(tmp_path: Path) -> None:
    found = monitor(build_row_world(tmp_path, drift_from=ROWS - 300).home)
    named = json.dumps([found["decision"]["reasons"], found["decision"]["noted"]])
    assert found["decision"]["level"] != "OK"
    assert "job_title_band moved" in named


def test_a_retune_without_weeks_hands_over_a_share(world: World) -> None:
    options: dict[str, Any] = {"target": None, "as_of": None, "apply": False, "now": NOW, "progress": quiet}
    few = retuned(world.home, capacity=10, **options)
    many = retuned(world.home, capacity=30, **options)
    assert few.new.threshold > many.new.threshold
    assert (few.handovers_new, few.deployment) == (None, None)
    with Store.open(world.home) as store:
        assert len(store.deployments("won")) == 1
    with pytest.raises(UsageError, match="capacity"):
        retuned(world.home, capacity=0, **options)


@pytest.mark.parametrize("window", ["7d", "row:0", "500"])
def test_weeks_are_refused(world: World, window: str) -> None:
    with pytest.raises(UsageError, match="row:2000"):
        monitor(world.home, window=window)


def test_rows_before_training_are_refused(world: World) -> None:
    with pytest.raises(DataRefused, match="row:1999"):
        monitor(world.home, as_of=TRAINED_ROWS * ROW_STEP)
