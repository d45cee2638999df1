"""A leaking column from the file to the refusal of training, and the mapping's word that lets it pass."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from leadscore import run

MAPPING = """
source = "crm"
[company]
timezone = "UTC"
[targets.won]
stage = "won"
horizon = "30d"
[[files]]
path = "leads.csv"
[files.lead]
id = "id"
created = "created"
[files.columns]
size = { type = "number" }
contract = { type = "category"CONTRACT }
[[files.stages]]
stage = { column = "status", words = { won = "won", lost = "lost" }, others = "skip" }
at = "closed"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four hundred leads, bigger ones winning more often; a contract number only where one was signed."""
    monkeypatch.setenv("LEADSCORE_NOW", "2026-06-01T00:00:00Z")
    rng = np.random.default_rng(1)
    days = np.datetime64("2025-01-01") + np.sort(rng.integers(0, 450, 400))
    size = rng.normal(size=400)
    won = rng.random(400) < 1 / (1 + np.exp(1.2 - 1.5 * size))
    lines = [
        f"L{n},{day},{s:.3f},{'won' if w else 'lost'},{day + 12},{f'C{n % 7}' if w else ''}"
        for n, (day, s, w) in enumerate(zip(days, size, won, strict=True))
    ]
    (tmp_path / "leads.csv").write_text("id,created,size,status,closed,contract\n" + "\n".join(lines) + "\n")
    return tmp_path


def typed(place: Path, *arguments: str) -> int:
    return run(["--home", str(place / "home"), *arguments])


def imported(place: Path, contract: str) -> None:
    (place / "mapping.toml").write_text(MAPPING.replace("CONTRACT", contract), encoding="utf-8")
    assert typed(place, "import", str(place / "mapping.toml")) == 0


def test_training_refuses_a_leak_until_the_mapping_says_why_it_is_allowed(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(place, "")
    assert typed(place, "check", "--json", str(place / "check.json")) == 1
    verdicts = {v["subject"]: v for v in json.loads((place / "check.json").read_text(encoding="utf-8"))["verdicts"]}
    assert verdicts["contract"]["level"] == "block"
    assert "exists only with the outcome" in verdicts["contract"]["evidence"][0]
    assert verdicts["size"]["level"] == "allow"
    capsys.readouterr()
    assert typed(place, "train", "--trials", "1") == 1
    said = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert re.search(r"refused: .*contract: exists only with the outcome.*allowed_because", said), said
    imported(place, ', allowed_because = "the pre-contract, signed before the first call"')
    assert typed(place, "check", "--json", str(place / "check.json")) in (0, 1)
    verdicts = {v["subject"]: v for v in json.loads((place / "check.json").read_text(encoding="utf-8"))["verdicts"]}
    assert verdicts["contract"]["allowed_because"] == "the pre-contract, signed before the first call"
    assert verdicts["contract"]["level"] == "block"
    assert typed(place, "train", "--trials", "1") == 0


def test_declared_as_known_after_the_outcome_it_is_no_feature(place: Path) -> None:
    imported(place, ', known = "outcome"')
    assert typed(place, "check", "--json", str(place / "check.json")) == 0
    verdicts = json.loads((place / "check.json").read_text(encoding="utf-8"))["verdicts"]
    assert "contract" not in {v["subject"] for v in verdicts}


def test_fields_are_taken_away_one_by_one_a_leak_left_out(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(place, "")
    assert typed(place, "check", "--items", "--json", str(place / "items.json")) == 0
    found = json.loads((place / "items.json").read_text(encoding="utf-8"))["findings"]
    assert [(f["item"]["name"], f["word"]) for f in found] == [("size", "keep")]
    said = capsys.readouterr().out
    assert "収集をやめられると言える項目はありません" in said
    assert "役立っている helps" in said
