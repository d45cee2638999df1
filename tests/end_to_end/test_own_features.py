"""A company's own declarations, from the file in its home to every command that reads features."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from data.company import Company, Target
from data.home import Home
from data.store.history import lead_history
from data.store.ledger import Ledger
from data.store.operational import Store
from data.store.packing import unpack_values
from data.tables import LEAD_ATTRIBUTES, LEADS, STAGE_CHANGES, TOUCHPOINTS, Table
from data.times import DAY, HOUR, parse_instant, render_instant
from features.own import EXAMPLE
from leadscore import DONE, run
from training.bundle import Bundle

OWN = f"""{EXAMPLE}
[[feature]]
name = "webinar_minutes"
kind = "number"
group = "fit"
reason = "webinar_minutes"
wording_ja = "視聴時間{{value}}分"
wording_en = "Minutes of webinars: {{value}}"
attribute = "webinar_minutes"
direction = 1
"""
NAMES = ("webinar_replays_30d_count", "webinar_minutes")
BORN = parse_instant("2025-01-06T00:00:00+09:00")
COUNT = 500
TRAINED = BORN + 65 * DAY
"""Few outcomes have matured by then: enough for points, which are fitted in a moment."""
NOW = BORN + 255 * DAY


def minutes(number: int) -> float:
    return float(np.random.default_rng(number).normal(30, 10))


def replays(number: int) -> int:
    return number % 3 if number % 4 == 0 else 0


def records() -> dict[Table, pa.Table]:
    """A lead every twelve hours; who watched for longer wins more often. No mapping knows of webinars."""
    rows: dict[Table, list[dict[str, Any]]] = {t: [] for t in (LEADS, LEAD_ATTRIBUTES, TOUCHPOINTS, STAGE_CHANGES)}

    def add(table: Table, at: int, **row: Any) -> None:
        name = str(len(rows[table]))
        rows[table].append({"source": "test", "source_id": name, "occurred_at": at, "recorded_at": at, **row})

    for number in range(COUNT):
        lead, born = f"L{number:03d}", BORN + number * DAY // 2
        add(LEADS, born, lead_id=lead)
        add(LEAD_ATTRIBUTES, born, lead_id=lead, name="webinar_minutes", number=minutes(number))
        for time in range(replays(number)):
            add(TOUCHPOINTS, born + (time + 1) * HOUR, lead_id=lead, kind="webinar_replay", actor="lead")
        odds = (minutes(number) - 30) / 4
        won = np.random.default_rng((number, 1)).random() < 1 / (1 + np.exp(-odds))
        if born + 20 * DAY < NOW:
            add(STAGE_CHANGES, born + 20 * DAY, lead_id=lead, stage="won" if won else "lost")
    return {table: pa.Table.from_pylist(found, table.arrow_schema()) for table, found in rows.items()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """With the file in its place, and a model that knows of it in force."""
    home = Home.at(tmp_path_factory.mktemp("own") / "home")
    with Store.open(home) as store:
        store.save_company(Company(targets=(Target("won", "won", 30 * DAY),)), now=BORN)
        store.append_all(records(), now=NOW)
    home.own_features.mkdir(exist_ok=True)
    (home.own_features / "webinars.toml").write_text(OWN, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LEADSCORE_NOW", render_instant(NOW))
        typed(home, "train", "--as-of", render_instant(TRAINED))
        yield home


def typed(home: Home, *arguments: object) -> None:
    assert run(["--home", str(home.path), *map(str, arguments)]) == DONE


def test_the_feature_table_has_them(home: Home, tmp_path: Path) -> None:
    typed(home, "features", "--as-of", render_instant(BORN + 10 * DAY), "--out", tmp_path / "f.csv")
    with (tmp_path / "f.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    for row in rows:
        number = int(row["lead_id"][1:])
        assert float(row["webinar_replays_30d_count"]) == replays(number)
        assert float(row["webinar_minutes"]) == minutes(number)


def test_the_description_names_them(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    typed(home, "features", "--describe")
    told = capsys.readouterr().out
    assert "直近{window}日間に録画を{value}回視聴 / Webinar replays in {window} days: {value}" in told
    assert all(f"| `{name}` |" in told for name in NAMES)


def test_the_leak_firewall_judges_them(home: Home, tmp_path: Path) -> None:
    typed(home, "check", "--json", tmp_path / "check.json")
    verdicts = json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))["verdicts"]
    assert {name for v in verdicts for name in v["features"]} >= set(NAMES)


def test_the_fields_behind_them_are_fields_that_are_collected(home: Home, tmp_path: Path) -> None:
    typed(home, "check", "--items", "--json", tmp_path / "items.json")
    findings = json.loads((tmp_path / "items.json").read_text(encoding="utf-8"))["findings"]
    assert {f["item"]["name"]: f["word"] for f in findings}["webinar_minutes"] == "keep"


def test_a_model_is_trained_on_them_and_answers_by_them(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(home) as store:
        deployment = store.deployment("won")
        assert deployment
        bundle = Bundle.load(home.bundles / deployment.bundle_hash)
        lead = lead_history(store, "L484", as_of=NOW)  # open; a replay in its first hour
    names = [d.name for d in bundle.declarations]
    assert set(names) >= set(NAMES)
    typed(home, "score", "--out", tmp_path / "scores.csv", "--target", "won")
    with Ledger.open(home) as ledger:
        kept = {row["lead_id"]: row for row in ledger.read(target="won").to_pylist()}
    values = dict(zip(names, unpack_values(kept[lead.lead_id]["features"]), strict=True))
    assert values["webinar_minutes"] == minutes(484)
    assert values["webinar_replays_30d_count"] == replays(484)
    typed(home, "replay", "--from", "history")
    capsys.readouterr()
    typed(home, "explain", lead.lead_id, "--all", "--lang", "en")
    assert f"Minutes of webinars: {minutes(484):.0f}" in capsys.readouterr().out
