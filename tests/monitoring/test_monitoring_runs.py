"""The whole room on a small company: one run is one run, faults are named, a retune is one row and can be undone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data.company import Company
from data.errors import DataRefused, NotFound, UsageError
from data.home import Home
from data.store.freezing import frozen, set_freeze
from data.store.operational import Store
from data.store.snapshots import take_snapshot
from data.times import DAY, HOUR, WEEK, parse_instant, render_instant
from monitoring.action import MOST_MOVE, retuned, taken_back
from monitoring.commands import app
from monitoring.decision import decide
from monitoring.gathering import gather, open_watch
from monitoring.report import document, next_command, three_lines
from monitoring.run import monitored
from monitoring.window import Window, window_at
from tests.monitoring.companies import COMPANY, NOW, TRAINED, Fault, World, deploy, history
from training.aims import Aim
from training.policy import Policy


def quiet(_: str) -> None:
    return None


def monitor(world: World, **options: Any) -> dict[str, Any]:
    given = {"target": "won", "window": None, "as_of": NOW, "now": NOW, "progress": quiet} | options
    return monitored(world.home, **given)


def retune(world: World, **options: Any) -> Any:
    given = {"target": "won", "capacity": None, "as_of": NOW, "apply": True, "now": NOW, "progress": quiet} | options
    return retuned(world.home, **given)


def judged(world: World, *, as_of: int = NOW, window: str | None = None) -> dict[str, Any]:
    """As `monitor`, without pictures and without a stored row: what most tests need, in less time."""
    with Store.open(world.home) as store:
        watch = open_watch(world.home, store, take_snapshot(store, world.home, now=NOW), "won")
    asked = window_at(window, as_of=as_of, trained_as_of=watch.bundle.as_of, company=watch.snapshot.company)
    evidence, _ = gather(watch, asked, page=None, progress=quiet)
    return json.loads(json.dumps(document(watch, asked, evidence, decide(evidence), Path("no-page.html"))))


def columns_in(found: dict[str, Any], rule: str) -> str:
    decision = found["decision"]
    return " ".join(r["en"] for r in (*decision["reasons"], *decision["noted"]) if r["rule"] == rule)


def test_a_steady_company_is_left_alone_and_one_run_is_one(steady: World) -> None:
    first = monitor(steady)
    again = monitor(steady, now=NOW + 3 * DAY)
    assert (first["decision"]["action"], first["decision"]["level"]) == ("nothing", "OK")
    assert again == first
    with Store.open(steady.home) as store:
        assert [json.loads(text)["run_id"] for _, text in store.runs("monitor")].count(first["run_id"]) == 1


def test_any_hour_of_a_day_is_the_same_window_and_the_next_day_another() -> None:
    def window(at: int) -> Window:
        return window_at(None, as_of=at, trained_as_of=TRAINED, company=COMPANY)

    assert window(NOW) == window(NOW + 15 * HOUR) == window(NOW + DAY - 1)
    assert window(NOW - 1).end == NOW - DAY
    assert window(NOW).instants() == (NOW,)
    assert window(NOW).earlier().instants() == (NOW - WEEK,)


def test_the_reference_lies_before_training_and_before_the_window() -> None:
    late = window_at("14d", as_of=NOW, trained_as_of=TRAINED, company=COMPANY)
    assert max(late.reference_instants(TRAINED)) <= TRAINED < min(late.instants())
    fresh = window_at("14d", as_of=NOW, trained_as_of=NOW, company=COMPANY)
    assert max(fresh.reference_instants(NOW)) == fresh.start


def test_row_windows_are_numbers_of_rows() -> None:
    rows = Company(time="row", targets=COMPANY.targets)
    window = window_at("row:2000", as_of=parse_instant("row:10000"), trained_as_of=0, company=rows)
    assert window.text("UTC") == "rows 8001–10000"
    assert window.earlier().text("UTC") == "rows 6001–8000"


def test_the_champion_that_is_the_truth_holds_on_matured_outcomes(steady: World) -> None:
    matured = monitor(steady)["evidence"]["matured"]
    assert matured["rows"] > 100
    assert matured["auc"] >= matured["auc_bound"]
    assert abs(matured["base_rate"] - matured["predicted"]) < 0.05


def test_hand_overs_agree_with_the_population_they_were_drawn_from(steady: World) -> None:
    point = monitor(steady)["evidence"]["operating"]
    assert point["capacity_per_week"] == steady.policy.capacity_per_week
    assert point["low"] <= point["handovers_per_week"] <= point["high"]


def test_the_page_loads_nothing_from_anywhere(steady: World) -> None:
    text = (steady.home.reports / monitor(steady)["page"]).read_text(encoding="utf-8")
    tags = re.findall(r"<(?:script|link|img|iframe|source|object|embed)\b[^>]{0,500}", text)
    assert "<table" in text or "Stability by column" in text
    assert not [tag for tag in tags if re.search(r"""(?:src|href|data)\s*=\s*["']?\s*(?:https?:)?//""", tag)]
    assert not re.search(r"@import\s+(?:url\()?[\"']?https?:", text)


def test_the_json_report_holds_evidence_decision_and_evidentlys_result(steady: World) -> None:
    found = monitor(steady)
    report = json.loads((steady.home.reports / found["page"]).with_suffix(".json").read_text(encoding="utf-8"))
    stability = {
        m["config"]["column"]: m["value"] for m in report["evidently"]["metrics"] if "Stability" in m["config"]["type"]
    }
    for shift in found["evidence"]["features"]:
        assert stability[shift["column"]]["psi"] == shift["psi"]
    assert "L0" not in json.dumps(found)  # no lead is named


def test_three_lines_say_level_reason_and_next_command_in_both_languages(steady: World) -> None:
    found = monitor(steady)
    english, japanese = three_lines(found, "en"), three_lines(found, "ja")
    assert (english[0].split(":")[0], japanese[0].split(":")[0]) == ("OK", "正常")
    assert english[2].endswith(next_command(found))
    assert len(english) == len(japanese) == 3


def test_a_field_that_stops_being_filled_is_named_and_nothing_else_is_done(new_world: Callable[..., World]) -> None:
    world = new_world(Fault(since=NOW - 3 * WEEK, industry="missing"))
    found = judged(world)
    assert found["decision"]["action"] == "tell"
    assert "industry stopped being filled" in columns_in(found, "emptied")
    assert next_command(found) == "leadscore check"


def test_a_fault_that_moves_hand_overs_is_acted_on_and_still_named(new_world: Callable[..., World]) -> None:
    # Here a missing industry reads as the best there is: many more leads cross the threshold.
    world = new_world(Fault(since=NOW - 3 * WEEK, industry="missing"), null_industry=2.5, per_week=80)
    found = judged(world)
    assert (found["decision"]["action"], found["decision"]["level"]) == ("retune", "act")
    assert "industry" in columns_in(found, "emptied")
    assert next_command(found) == "leadscore retune --target won"


def test_page_tracking_that_breaks_is_named(new_world: Callable[..., World]) -> None:
    found = judged(new_world(Fault(since=NOW - 9 * DAY, page_views=False)))
    assert found["decision"]["action"] == "tell"
    assert found["decision"]["reasons"][0]["rule"] == "feed"
    assert "page_view: 0 records a week" in columns_in(found, "feed")
    assert "page_views_7d_count" in columns_in(found, "covariate")


def test_an_import_that_stopped_is_named(steady: World) -> None:
    found = judged(steady, as_of=NOW + WEEK)
    assert found["decision"]["reasons"][0]["rule"] == "stale"
    assert "no record for 7 days" in found["decision"]["reasons"][0]["en"]
    assert next_command(found) == "leadscore check"


def test_odds_that_triple_break_calibration_and_not_ranking(new_world: Callable[..., World]) -> None:
    found = judged(new_world(Fault(since=NOW - 16 * WEEK, win_factor=3.0), per_week=120))
    assert found["decision"]["action"] == "recalibrate"
    assert found["evidence"]["matured"]["base_rate"] > 1.5 * found["evidence"]["matured"]["predicted"]


def test_a_changed_evidently_result_changes_the_stored_decision(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not our own arithmetic but what Evidently's report says is decided on."""
    from monitoring import drift

    real = drift.drift_result

    def shaken(*arguments: Any, **options: Any) -> dict[str, Any]:
        result = real(*arguments, **options)
        for metric in result["metrics"]:
            if metric["config"].get("column") == "job_title_band" and "Stability" in metric["config"]["type"]:
                metric["value"] |= {"psi": 3.0, "share_moved": 0.6}
        return result

    monkeypatch.setattr(drift, "drift_result", shaken)
    found = judged(own)
    assert found["decision"]["action"] == "tell"
    assert "job_title_band moved" in columns_in(found, "covariate")


def test_a_retune_for_more_capacity_writes_one_row_with_the_same_bundle(own: World) -> None:
    dry = retune(own, capacity=6, apply=False)
    with Store.open(own.home) as store:
        assert len(store.deployments("won")) == 1
        done = retune(own, capacity=6)
        before, row = store.deployments("won")
        assert (row.action, row.bundle_hash) == ("retune", before.bundle_hash)
        assert row.policy_id == done.new.policy_id != before.policy_id
        policy = Policy.from_json(store.policy(row.policy_id))
        assert Policy.from_json(store.policy(before.policy_id)) == own.policy
        assert len(store.runs("retune")) == 1
    assert dry.new == done.new
    assert policy.threshold < own.policy.threshold
    assert done.handovers_old < done.handovers_new <= 6
    assert policy.cut_a == policy.threshold >= policy.cut_b >= policy.cut_c


def test_thresholds_move_no_further_than_the_cap_within_a_week(own: World) -> None:
    def odds(policy: Policy) -> float:
        return policy.threshold / (1 - policy.threshold)

    lowest = odds(own.policy) / MOST_MOVE
    for day in range(2):
        done = retune(own, capacity=1_000, now=NOW + day * DAY)
        assert done.capped
        assert odds(done.new) == pytest.approx(lowest)
    later = retune(own, capacity=1_000, now=NOW + 8 * DAY)
    assert odds(later.new) == pytest.approx(lowest / MOST_MOVE)


def test_the_same_capacity_again_changes_nothing(own: World) -> None:
    retune(own, capacity=4)
    again = retune(own, capacity=4, now=NOW + DAY)
    assert (again.changes, again.deployment) == (False, None)


def test_a_policy_change_that_floods_sales_is_rolled_back(new_world: Callable[..., World]) -> None:
    world = new_world(per_week=80)
    with Store.open(world.home) as store:
        flooding = replace(world.policy, threshold=0.02)
        deploy(store, world.bundle, flooding, at=NOW - 2 * DAY, action="retune")
    found = judged(world)
    assert found["decision"]["action"] == "roll_back"
    assert next_command(found) == "leadscore retune --undo --target won"


# Bad input: a clear message, no action


def test_no_champion_is_said_with_what_to_do(tmp_path: Any) -> None:
    home = Home.at(tmp_path)
    with Store.open(home) as store:
        store.save_company(COMPANY, now=NOW)
        store.append_all(history(Fault(), per_week=2, seed=1), now=NOW)  # type: ignore[arg-type]
    for command in (monitor, retune):
        with pytest.raises(NotFound, match="leadscore train"):
            command(World(home, None, ""))  # type: ignore[arg-type]


def test_a_clock_that_runs_backwards_is_refused(steady: World) -> None:
    for command in (monitor, retune):
        with pytest.raises(DataRefused, match="before the champion was trained"):
            command(steady, as_of=TRAINED - DAY)


def test_an_empty_window_is_refused_and_leaves_no_run(steady: World) -> None:
    with Store.open(steady.home) as store:
        before = len(store.runs("monitor"))
        with pytest.raises(DataRefused, match="no open lead"):
            monitor(steady, as_of=NOW + 200 * WEEK)
        assert len(store.runs("monitor")) == before


@pytest.mark.parametrize("window", ["5d", "0d", "a week", "row:100"])
def test_windows_are_whole_weeks(steady: World, window: str) -> None:
    with pytest.raises(UsageError):
        monitor(steady, window=window)


def test_no_outcomes_yet_is_said_and_not_guessed(steady: World) -> None:
    found = judged(steady, as_of=TRAINED + 2 * WEEK)
    assert found["evidence"]["matured"] is None
    assert "no outcomes yet" in " ".join(r["en"] for r in found["decision"]["silent"])


def test_a_reference_of_another_schema_is_refused(own: World) -> None:
    with Store.open(own.home) as store:
        store.save_company(replace(COMPANY, time="row"), now=NOW)
    with pytest.raises(DataRefused, match="time row, trained with dates"):
        monitor(own)
    with Store.open(own.home) as store:
        assert store.runs("retune") == []
        store.save_company(replace(COMPANY, targets=(replace(COMPANY.targets[0], name="sold"),)), now=NOW)
    with pytest.raises(UsageError, match="one of: sold"):
        monitor(own)


def test_a_four_week_window_has_four_rows_a_lead_at_most(steady: World) -> None:
    four, one = judged(steady, window="28d"), monitor(steady)
    assert four["run_id"] != one["run_id"]
    assert 3 * one["evidence"]["rows"] < four["evidence"]["rows"] < 5 * one["evidence"]["rows"]


# The commands


def command(home: Home, *arguments: str) -> list[str]:
    result = CliRunner().invoke(app, list(arguments), obj=home, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout.splitlines()


def test_monitor_prints_three_lines_a_table_and_where_the_reports_are(
    steady: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADSCORE_NOW", render_instant(NOW))
    found = monitor(steady)
    for lang in ("en", "ja"):
        printed = command(steady.home, "monitor", "--lang", lang)
        assert printed[:3] == three_lines(found, lang)  # type: ignore[arg-type]
        assert Path(printed[-1]).name == Path(found["page"]).with_suffix(".json").name
        assert Path(printed[-1]).exists()


def test_retune_shows_old_and_new_and_how_to_take_it_back(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADSCORE_NOW", render_instant(NOW))
    dry = command(own.home, "retune", "--capacity", "3", "--dry-run")
    done = command(own.home, "retune", "--capacity", "3")
    assert dry[0] == done[0]
    assert dry[0].startswith(f"threshold: {own.policy.threshold:.4f} → ")
    assert dry[-1] == "dry run: nothing was changed"
    assert "leadscore retune --undo" in done[-1]


def test_one_command_takes_a_retune_back(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADSCORE_NOW", render_instant(NOW))
    retune(own, capacity=6)
    command(own.home, "retune", "--undo")
    with Store.open(own.home) as store:
        first, changed, last = store.deployments("won")
        assert (last.bundle_hash, last.policy_id) == (first.bundle_hash, first.policy_id)
        assert changed.policy_id != first.policy_id
        assert Policy.from_json(store.policy(store.deployment("won").policy_id)) == own.policy  # type: ignore[union-attr]


def test_what_is_no_retune_is_not_taken_back(steady: World) -> None:
    with pytest.raises(NotFound, match="deployment by promote"):
        taken_back(steady.home, target="won", now=NOW)


def test_while_frozen_a_schedule_changes_nothing_and_people_may(own: World) -> None:
    with Store.open(own.home) as store:
        set_freeze(store, on=True, by="ops", why="campaign", now=NOW - DAY)
        assert frozen(store).why == "campaign"  # type: ignore[union-attr]
    stopped = retune(own, capacity=6, by_schedule=True)
    assert stopped.changes
    assert stopped.deployment is None
    assert stopped.stopped_by.by == "ops"
    assert not judged(own)["decision"]["automatic"]
    assert retune(own, capacity=6).deployment is not None
    with Store.open(own.home) as store:
        set_freeze(store, on=False, by="ops", why="over", now=NOW)
        assert frozen(store) is None
        assert len(store.runs("freeze")) == 2
    assert judged(own)["decision"]["automatic"]
    assert retune(own, capacity=4, by_schedule=True).deployment is not None


def test_a_retune_keeps_what_the_policy_aims_at(own: World) -> None:
    worth = retune(own, aim=Aim(call_cost=10, deal_value=100))
    assert (worth.new.method, worth.asked) == ("profit", 0.1)
    again = retune(own, now=NOW + DAY)
    assert (again.new.method, again.new.call_cost, again.new.deal_value) == ("profit", 10, 100)
    floor = retune(own, aim=Aim(precision=0.2), now=NOW + 2 * DAY)
    assert floor.new.method == "precision"
    assert retune(own, now=NOW + 3 * DAY).new.precision == 0.2
    assert retune(own, capacity=5, now=NOW + 4 * DAY).new.method == "capacity"
