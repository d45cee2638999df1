"""What a user can get wrong at the front door: one clear message, the right exit code, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadscore import arguments_with_home_first

WRONG = [
    # what is typed, exit code, what the message must name
    (["frobnicate"], 2, "frobnicate"),
    (["train", "--no-such-option"], 2, "--no-such-option"),
    (["import"], 2, "MAPPING"),
    (["import", "nowhere.toml"], 2, "nowhere.toml"),
    (["score", "--out", "scores.xls"], 2, "scores.xls"),
    (["train", "--horizon", "soon"], 2, "soon"),
    (["train"], 1, "leadscore import"),
    (["check"], 1, "leadscore import"),
    (["score", "--out", "x.csv"], 1, "leadscore"),
    (["explain", "L1"], 1, "leadscore"),
    (["promote", "7"], 1, "leadscore import"),
    (["rollback"], 1, "leadscore import"),
    (["monitor"], 1, "leadscore"),
    (["retune"], 1, "leadscore"),
    (["serve", "--port", "99999"], 2, "--port"),
    (["serve", "--host", "0.0.0.0"], 2, "0.0.0.0"),
    (["simulate", "--leads", "-3", "--out", "x"], 2, "--leads"),
    (["mapping", "draft", "nowhere.csv"], 2, "nowhere.csv"),
    (["simulate", "--leads", "300", "--continuations", "2", "--out", "README.md/x"], 2, "README.md"),
    (["tracking", "--port", "99999"], 2, "--port"),
    (["models", "--home", "README.md"], 2, "README.md"),
]


@pytest.mark.parametrize(("typed", "code", "named"), WRONG, ids=lambda v: " ".join(v) if isinstance(v, list) else None)
def test_what_a_user_gets_wrong(leadscore, tmp_path: Path, typed: list[str], code: int, named: str) -> None:
    done = leadscore("--home", tmp_path / "home", *typed, code=code)
    assert named in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        (["train", "--home", "h"], ["--home", "h", "train"]),
        (["train", "--home=h", "--seed", "1"], ["--home=h", "train", "--seed", "1"]),
        (["--home", "h", "train"], ["--home", "h", "train"]),
        (["explain", "--", "--home"], ["explain", "--", "--home"]),
        (["train", "--home"], ["--home", "", "train"]),
    ],
)
def test_home_may_stand_anywhere(typed: list[str], understood: list[str]) -> None:
    assert arguments_with_home_first(typed) == understood


def test_home_is_readable_by_its_owner_only(leadscore, tmp_path: Path) -> None:
    leadscore("models", "--home", tmp_path / "home", code=0)
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


def test_help_is_the_manual(leadscore) -> None:
    shown = leadscore("--help").stdout
    assert "simulate" in shown
    assert "Traceback" not in shown
