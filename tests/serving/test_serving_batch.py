"""Score files: the promised columns and order, and for every lead exactly what the endpoint would answer."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import typer
from serving_worlds import COMPANY, LEADS, NOW, NOW_TEXT, ROW_COMPANY, ROWS, SQL, WON, World, make_row_world, make_world

from data.company import Company
from data.errors import DataRefused, NotFound, UsageError
from data.home import Home
from data.store.history import lead_history
from data.store.ledger import Ledger
from data.store.operational import Store
from data.store.snapshots import take_snapshot
from data.tables import CONSENTS
from data.times import DAY, ROW_STEP, parse_instant, render_instant
from serving import withdrawals
from serving.answer import Asked, InForce, answer_lead
from serving.champion import load_deployment
from serving.commands import app
from serving.contract import TargetAnswer
from serving.population import When
from serving.withdrawals import ASKED_AGAIN

COLUMNS = [
    *("lead_id", "target", "probability", "score", "grade", "margin", "base", "fit", "behaviour", "expected_value"),
    *("expected_value_low", "expected_value_high", "days_to_outcome"),
    *("threshold_met", "reason_1", "reason_2", "reason_3", "reason_4", "reason_5"),
    *("model_version", "policy_version", "as_of"),
]
FIGURES = ["probability", "score", "margin", "base", "fit", "behaviour", "expected_value"]
DEAL = ["expected_value_low", "expected_value_high", "days_to_outcome"]
REFUSING = {"L0001", "L0041"}
"""Withdrew, and did not come back as L0021 did."""
Score = Callable[..., pd.DataFrame]


def run(home: Home, *arguments: object) -> None:
    """A command of this room, as the front door would run it."""
    root = typer.Typer()

    @root.callback()
    def enter(ctx: typer.Context) -> None:
        ctx.obj = home

    root.add_typer(app)
    root(args=[str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADSCORE_NOW", NOW_TEXT)


@pytest.fixture(scope="module")
def rows_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_row_world(tmp_path_factory.mktemp("rows") / "home").home


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One of its own: the tests of the service go on writing into theirs."""
    return make_world(tmp_path_factory.mktemp("batch") / "home")


@pytest.fixture(scope="module")
def score(world: World, tmp_path_factory: pytest.TempPathFactory) -> Score:
    """What one score command writes; the same command is run once."""
    folder, known = tmp_path_factory.mktemp("scores"), {}

    def scored(*arguments: object, home: Home = world.home, suffix: str = ".csv") -> pd.DataFrame:
        key = (*arguments, home.path, suffix)
        if key not in known:
            out = folder / f"{len(known)}{suffix}"
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("LEADSCORE_NOW", NOW_TEXT)
                run(home, "score", "--out", out, *arguments)
            known[key] = out
        return read(known[key])

    return scored


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, dtype={"lead_id": str, "model_version": str}, float_precision="round_trip")


@functools.cache
def in_force(home: Home) -> dict[str, InForce]:
    with Store.open(home) as store:
        newest = [store.deployment(target.name) for target in store.company().targets]
        return {d.target: load_deployment(store, home, d, verified=[d.bundle_hash]) for d in newest if d}


def online(home: Home, target: str, lead_id: str, as_of: int) -> TargetAnswer:
    with Store.open(home) as store:
        return answer_lead(
            in_force(home)[target], lead_history(store, lead_id, as_of=as_of), Asked("test", as_of, NOW)
        )[0]


def assert_equal(row: Any, answer: TargetAnswer) -> None:
    for name in FIGURES:
        assert getattr(row, name) == pytest.approx(getattr(answer, name), abs=1e-9), name
    for name in DEAL:
        said = getattr(answer, name)
        assert math.isnan(getattr(row, name)) if said is None else getattr(row, name) == said, name
    assert (row.grade, row.threshold_met) == (answer.grade, answer.threshold_met)
    told = [getattr(row, f"reason_{n}") for n in range(1, 6)]
    told = [text for text in told if isinstance(text, str)]
    marks = {"up": "↑ ", "down": "↓ "}
    assert told == [marks[r.direction] + str(r.text_ja) for r in answer.reasons]


def test_the_columns_are_those_promised_in_both_formats(score: Score) -> None:
    assert list(score().columns) == COLUMNS
    assert list(score(suffix=".parquet").columns) == COLUMNS


def test_csv_and_parquet_hold_the_same(score: Score) -> None:
    csv, parquet = score(), score(suffix=".parquet")
    for name in FIGURES:
        np.testing.assert_array_equal(csv[name].to_numpy(float), parquet[name].to_numpy(float))
    pd.testing.assert_series_equal(csv["reason_1"], parquet["reason_1"], check_dtype=False)


def test_every_open_lead_is_there_once_a_target_in_the_order_of_creation(score: Score, world: World) -> None:
    found = score()
    with Store.open(world.home) as store:
        histories = [lead_history(store, lead_id, as_of=NOW) for lead_id in store.lead_ids()]
    out = REFUSING | {h.lead_id for h in histories if h.stages and h.stages[-1].stage == "lost"}
    expected = [h.lead_id for h in sorted(histories, key=lambda h: (h.occurred_at, h.lead_id)) if h.lead_id not in out]
    for target in ("won", "sql"):
        assert found.loc[found["target"] == target, "lead_id"].tolist() == expected
    assert found["target"].drop_duplicates().tolist() == ["won", "sql"]


def test_each_lead_gets_what_the_endpoint_would_answer(score: Score, world: World) -> None:
    found = score()
    sample = found[found["margin"].notna()].groupby("target").head(8)
    assert len(sample) == 16
    assert (sample[DEAL].notna().all(axis=1) == (sample["target"] == "won")).all()
    for row in sample.itertuples():
        assert_equal(row, online(world.home, row.target, row.lead_id, NOW))


def test_at_creation_each_lead_gets_what_the_endpoint_would_have_answered_then(score: Score, world: World) -> None:
    found = score("--as-of", "creation", "--target", "won")
    assert len(found) == LEADS - len(REFUSING)
    for row in found[found["margin"].notna()].head(8).itertuples():
        born = parse_instant(row.as_of)
        with Store.open(world.home) as store:
            history = lead_history(store, row.lead_id, as_of=NOW)
        assert born == history.recorded_at + 1
        assert_equal(row, online(world.home, "won", row.lead_id, born))


def test_only_leads_created_from_then_on(score: Score, world: World) -> None:
    since = "2026-03-01"
    found = score("--as-of", "creation", "--created-from", since, "--target", "won")
    with Store.open(world.home) as store:
        histories = [lead_history(store, lead_id, as_of=NOW) for lead_id in store.lead_ids()]
    at = parse_instant(since, "Asia/Tokyo")
    assert set(found["lead_id"]) == {h.lead_id for h in histories if h.occurred_at >= at} - REFUSING


def test_leads_past_a_target_and_without_consent_have_no_figures(score: Score, world: World) -> None:
    found = score().set_index(["target", "lead_id"])
    with Store.open(world.home) as store:
        reached = {
            i for i in store.lead_ids() if any(s.stage == "sql" for s in lead_history(store, i, as_of=NOW).stages)
        }
    for lead_id in reached & set(found.loc["sql"].index):
        again = lead_id in ("L0000", "L0024", "L0048")  # recycled: a new cycle
        assert np.isnan(found.loc[("sql", lead_id), "margin"]) != again
        assert not np.isnan(found.loc[("won", lead_id), "margin"])


def test_who_refuses_is_not_in_the_file_and_who_refused_then_has_no_figures(score: Score, world: World) -> None:
    found = score().set_index(["target", "lead_id"]).loc["won"]
    assert not REFUSING & set(found.index)
    assert not np.isnan(found.loc["L0021", "margin"])
    with Store.open(world.home) as store:
        born = lead_history(store, "L0021", as_of=NOW).occurred_at
    then = score("--as-of", render_instant(born + 10 * DAY)).set_index(["target", "lead_id"]).loc["won"]
    assert then.loc["L0021", [*FIGURES, "reason_1"]].isna().all()
    assert not REFUSING & set(then.index)


def test_history_from_elsewhere_does_not_bring_back_who_has_withdrawn_here(tmp_path: Path) -> None:
    world = make_world(tmp_path / "home")
    with Store.open(world.home) as store:
        before = take_snapshot(store, world.home, now=NOW).path
        consents = store.read(CONSENTS)
        said = {"person_id": "P5", "purpose": "scoring", "granted": False, "occurred_at": NOW - DAY}
        record = {"source": "test", "source_id": "later", "recorded_at": NOW - DAY, **said}
        full = {name: record.get(name) for name in consents.schema.names}
        store.append(CONSENTS, pa.Table.from_pylist([full], consents.schema), now=NOW)
    out = tmp_path / "scores.csv"
    run(world.home, "score", "--out", out, "--target", "won", "--history", before)
    found = read(out).set_index("lead_id")
    assert "L0005" not in found.index
    assert not np.isnan(found.loc["L0006", "margin"])


def test_a_long_run_hears_a_withdrawal_within_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(tmp_path / "home")
    clock = [0.0]
    monkeypatch.setattr(withdrawals, "monotonic", lambda: clock[-1])
    with Store.open(world.home) as store:
        heard = withdrawals.Withdrawals(store, history_from_store=True)
        consents = store.read(CONSENTS)
        record = {"source": "test", "source_id": "now", "person_id": "P5", "purpose": "scoring", "granted": False}
        full = {name: {**record, "occurred_at": 1, "recorded_at": 1}.get(name) for name in consents.schema.names}
        store.append(CONSENTS, pa.Table.from_pylist([full], consents.schema), now=NOW)
        clock.append(ASKED_AGAIN - 1)
        heard.listen()
        assert heard.allows("L0005", as_of=NOW)
        clock.append(ASKED_AGAIN)
        heard.listen()
        assert not heard.allows("L0005", as_of=NOW)
        assert heard.allows("L0006", as_of=NOW)
    assert ASKED_AGAIN <= 60


def test_the_ledger_keeps_the_run(score: Score, world: World) -> None:
    found = score()
    with Ledger.open(world.home) as ledger:
        runs = {run_id: rows for run_id, rows, _ in ledger.runs()}
        kept = ledger.read(target="sql").to_pandas()
    told = found[found["target"] == "sql"].set_index("lead_id")
    for run_id in kept["request_id"].unique():
        of_run = kept[kept["request_id"] == run_id].set_index("lead_id")
        if len(of_run) == len(told):
            np.testing.assert_array_equal(of_run.loc[told.index, "margin"], told["margin"])
            assert set(of_run["status"]) == {"scored", "past_target"}
            assert (of_run["channel"] == "batch").all()
    assert len(told) in runs.values()


def test_the_best_come_first_when_only_some_are_wanted_here_in_english(score: Score) -> None:
    everyone, best = score(), score("--target", "won", "--top", 5, "--lang", "en")
    assert (
        best["lead_id"].tolist() == everyone[everyone["target"] == "won"].nlargest(5, "probability")["lead_id"].tolist()
    )
    assert best["reason_1"].dropna().str.match(r"^[↑↓] [A-Z0-9]").all()


def test_an_unproven_model_gives_scores_without_probability(tmp_path: Path) -> None:
    from serving_worlds import deploy, make_world

    home = make_world(tmp_path / "home").home
    with Store.open(home) as store:
        deploy(store, home, WON, 11, proven=False)
    run(home, "score", "--out", tmp_path / "s.parquet", "--target", "won")
    found = pd.read_parquet(tmp_path / "s.parquet").dropna(subset=["margin"])
    assert found["probability"].isna().all()
    assert found["expected_value"].isna().all()
    assert found["score"].between(0, 100).all()


def test_rows_after_n_come_in_file_order(score: Score, rows_home: Home) -> None:
    found = score("--as-of", "row:30", home=rows_home)
    assert found["lead_id"].tolist() == [str(n) for n in range(31, ROWS + 1)]
    for row in found.itertuples():
        at = int(row.lead_id) * ROW_STEP + 1
        assert row.as_of == f"row:{row.lead_id}"
        assert_equal(row, online(rows_home, "won", row.lead_id, at))


@pytest.mark.parametrize(
    ("company", "as_of", "created_from", "expected"),
    [
        (COMPANY, None, None, When(NOW, False, None)),
        (COMPANY, "2026-03-01", None, When(parse_instant("2026-03-01T00:00:00+09:00"), False, None)),
        (COMPANY, "creation", None, When(NOW, True, None)),
        (COMPANY, "creation", "2026-03-01", When(NOW, True, parse_instant("2026-03-01T00:00:00+09:00"))),
        (ROW_COMPANY, None, None, When(NOW, True, None)),
        (ROW_COMPANY, "row:30", None, When(NOW, True, 31 * ROW_STEP)),
        (ROW_COMPANY, "creation", "row:30", When(NOW, True, 31 * ROW_STEP)),
    ],
)
def test_which_time_is_meant(company: Company, as_of: str | None, created_from: str | None, expected: When) -> None:
    assert When.asked(as_of, created_from, company, NOW) == expected


def test_without_dates_and_without_a_time_the_rows_without_outcome_are_scored(score: Score, rows_home: Home) -> None:
    assert score(home=rows_home)["lead_id"].tolist() == [str(n) for n in range(ROWS - 4, ROWS + 1)]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--out", "scores.txt"), UsageError),
        (("--out", "nowhere/scores.csv"), UsageError),
        (("--out", "s.csv", "--as-of", "then"), UsageError),
        (("--out", "s.csv", "--as-of", "row:5"), UsageError),
        (("--out", "s.csv", "--lang", "de"), UsageError),
        (("--out", "s.csv", "--target", "sold"), UsageError),
        (("--out", "s.csv", "--as-of", "2001-01-01"), DataRefused),
    ],
)
def test_what_cannot_be_done_is_refused_and_leaves_no_file(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], error: type[Exception]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error):
        run(world.home, "score", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_without_a_model_the_remedy_is_named(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    with pytest.raises(NotFound, match="train"):
        run(home, "score", "--out", tmp_path / "s.csv")


@pytest.mark.parametrize("time", ["banana", "row:x", "2026-13-01"])
def test_a_time_that_is_none_is_wrong_usage_though_there_is_no_model(tmp_path: Path, time: str) -> None:
    home = Home.at(tmp_path / "home")
    for arguments in (("score", "--out", tmp_path / "s.csv", "--as-of", time), ("explain", "L1", "--as-of", time)):
        with pytest.raises(UsageError, match=time):
            run(home, *arguments)


def test_explain_tells_rows_and_no_dates_where_there_are_none(rows_home: Home) -> None:
    with pytest.raises(UsageError, match=r"received row:3; expected row:5 or later"):
        run(rows_home, "explain", "5", "--as-of", "row:3")


def test_explain_says_one_lead_in_words(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run(world.home, "explain", "L0005", "--target", "won")
    told = capsys.readouterr().out
    for part in ("グレード", "スコア", "企業との適合度", "関心・行動", "件", "過去の実績に基づく予測であり"):
        assert part in told
    run(world.home, "explain", "test:leads-5", "--lang", "en", "--all")
    told = capsys.readouterr().out
    for part in ("L0005", "Grade", "Of leads like this", "Speaks for it", "neither causes nor outcomes"):
        assert part in told


def test_explain_refuses_what_it_cannot_know(world: World) -> None:
    with pytest.raises(NotFound):
        run(world.home, "explain", "nobody")
    with pytest.raises(UsageError):
        run(world.home, "explain", "L0005", "--as-of", "2001-01-01")
    assert SQL.stage == "sql"
