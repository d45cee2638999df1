"""The data doctor's word on recording, on simulated companies: silent where all is well, with dates where it is not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from data import doctor_labels
from data.company import Company, Target
from data.doctor import Finding, Ward
from data.simulator.write import simulate_to
from data.times import DAY, parse_instant, render_instant

SEEDS = range(20)
LEADS = 1_500
WON = Target("won", "won", 90 * DAY, 7 * DAY)
SQL = Target("sql", "sql", 30 * DAY, 7 * DAY)
END = "2026-10-01T00:00+09:00"


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[pd.DataFrame, pd.DataFrame]]:
    """(leads, stage changes) of healthy simulated companies, by seed."""
    return {seed: simulated(seed, tmp_path_factory.mktemp("world")) for seed in SEEDS}


def simulated(seed: int, place: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    simulate_to(place, leads=LEADS, seed=seed, format="parquet", continuations=1, end=END)
    return frame(place / "leads.parquet"), frame(place / "stage_changes.parquet")


def frame(path: Path) -> pd.DataFrame:
    found = pq.read_table(path).to_pandas()
    for name in ("occurred_at", "recorded_at"):
        stamps = pd.to_datetime(found[name], utc=True, format="ISO8601").dt.as_unit("us")
        found[name] = stamps.astype("int64").to_numpy()
    return found


def findings(
    world: tuple[pd.DataFrame, pd.DataFrame], *, start: int = 0, stop: int = 2**62, but: tuple[str, ...] = ()
) -> list[Finding]:
    """What is found where outcomes were recorded from `start` to `stop` only."""
    leads, stages = world
    kept = stages["occurred_at"].between(start, stop, inclusive="left") & ~stages["stage"].isin(but)
    nothing = pd.DataFrame(columns=["lead_id", "name", "text", "number", "occurred_at", "actor", "recorded_at"])
    leads = leads.assign(person_id=None, account_id=None).sort_values("occurred_at", ignore_index=True)
    company = Company(timezone="Asia/Tokyo", targets=(WON, SQL))
    return doctor_labels.findings(Ward(company, parse_instant(END), leads, stages[kept], nothing, nothing))


def about_recording(found: list[Finding]) -> list[Finding]:
    told = ("left truncation", "stop before", "open for ever")
    return [f for f in found if f.level != "ok" and any(text in f.what for text in told)]


def test_a_healthy_company_raises_no_alarm(worlds: dict[int, tuple[pd.DataFrame, pd.DataFrame]]) -> None:
    alarms = {seed: found for seed, world in worlds.items() if (found := about_recording(findings(world)))}
    assert alarms == {}


@pytest.mark.parametrize("target", ["won", "sql"])
@pytest.mark.parametrize("day", ["2025-04-01", "2025-08-01"])
def test_recording_that_began_late_is_dated(
    worlds: dict[int, tuple[pd.DataFrame, pd.DataFrame]], target: str, day: str
) -> None:
    """History begins in October 2024; half a year and ten months of outcomes are gone."""
    since, right = parse_instant(f"{day}T00:00+09:00"), 0
    for leads, stages in worlds.values():
        reached = stages[(stages["stage"] == target) & (stages["occurred_at"] >= since)]["occurred_at"].min()
        told = [f for f in findings((leads, stages), start=since) if "left truncation" in f.what]
        told = [f for f in told if f.subject == f"target {target}"]
        first = render_instant(int(reached), "Asia/Tokyo")[:10]
        right += bool(told) and f"first outcome {first}" in told[0].evidence and first in told[0].next_step
    assert right >= 0.95 * len(worlds)


@pytest.mark.parametrize("target", ["won", "sql"])
def test_recording_that_stopped_is_dated(worlds: dict[int, tuple[pd.DataFrame, pd.DataFrame]], target: str) -> None:
    until, right = parse_instant("2026-06-01T00:00+09:00"), 0
    for leads, stages in worlds.values():
        reached = stages[(stages["stage"] == target) & (stages["occurred_at"] < until)]["occurred_at"].max()
        told = [f for f in findings((leads, stages), stop=until) if "stop before" in f.what]
        told = [f for f in told if f.subject == f"target {target}"]
        right += bool(told) and f"last outcome {render_instant(int(reached), 'Asia/Tokyo')[:10]}" in told[0].evidence
    assert right >= 0.95 * len(worlds)


def test_outcomes_not_yet_matured_are_dated(worlds: dict[int, tuple[pd.DataFrame, pd.DataFrame]]) -> None:
    for world in worlds.values():
        told = [f for f in findings(world) if "right censoring" in f.what and f.subject == "target won"]
        assert "created after 2026-06-26" in told[0].evidence  # 90 and 7 days before October


def test_a_history_that_names_no_losses_is_told_so(worlds: dict[int, tuple[pd.DataFrame, pd.DataFrame]]) -> None:
    for world in worlds.values():
        told = about_recording(findings(world, but=("lost", "disqualified")))
        assert ["no lead is ever given up" in f.what for f in told] == [True]
