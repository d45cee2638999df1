"""The commands that bring history in, as a person calls them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from data.commands import app
from data.errors import DataRefused, UsageError
from data.home import Home
from data.store.operational import Store
from data.tables import LEADS, STAGE_CHANGES

CSV = "id,created,source,status\n" + "\n".join(
    f"L{n},2025-01-{n % 28 + 1:02d},{'web' if n % 3 else 'fair'},{'won' if n % 4 == 0 else 'lost'}" for n in range(60)
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("LEADSCORE_NOW", "2026-01-01T00:00:00Z")
    home = Home.at(tmp_path / "home")

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments], obj=home, catch_exceptions=True)

    return call


def test_draft_then_import_then_import_again(run, tmp_path: Path) -> None:
    (tmp_path / "leads.csv").write_text(CSV)
    drafted = run("mapping", "draft", tmp_path / "leads.csv")
    assert drafted.exit_code == 0, drafted.output
    first = run("import", tmp_path / "mapping.toml")
    assert first.exit_code == 0, first.output
    assert "60" in first.output
    with Store.open(Home.at(tmp_path / "home")) as store:
        assert (len(store.read(LEADS)), len(store.read(STAGE_CHANGES))) == (60, 60)
    assert run("import", tmp_path / "mapping.toml").exit_code == 0


def test_a_draft_never_overwrites(run, tmp_path: Path) -> None:
    (tmp_path / "leads.csv").write_text(CSV)
    (tmp_path / "mapping.toml").write_text("mine")
    refused = run("mapping", "draft", tmp_path / "leads.csv")
    assert isinstance(refused.exception, DataRefused)
    assert (tmp_path / "mapping.toml").read_text() == "mine"
    assert run("mapping", "draft", tmp_path / "leads.csv", "--out", tmp_path / "other.toml").exit_code == 0


def test_import_looks_for_files_in_another_folder_when_told(run, tmp_path: Path) -> None:
    (tmp_path / "leads.csv").write_text(CSV)
    run("mapping", "draft", tmp_path / "leads.csv")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "leads.csv").rename(tmp_path / "elsewhere" / "leads.csv")
    assert isinstance(run("import", tmp_path / "mapping.toml").exception, DataRefused)
    assert run("import", tmp_path / "mapping.toml", "--data", tmp_path / "elsewhere").exit_code == 0


def test_a_rejected_row_is_counted_and_its_reason_kept(run, tmp_path: Path) -> None:
    (tmp_path / "leads.csv").write_text(CSV + "\nX,2099-01-01,web,won\n")
    run("mapping", "draft", tmp_path / "leads.csv")
    done = run("import", tmp_path / "mapping.toml")
    assert done.exit_code == 0
    kept = next((tmp_path / "home" / "imports").glob("*/rejected.csv"))
    assert kept.name in done.output.replace("\n", "")
    assert "a time after this import" in kept.read_text()


def test_a_mapping_that_is_not_there_is_wrong_usage(run, tmp_path: Path) -> None:
    assert isinstance(run("import", tmp_path / "none.toml").exception, UsageError)


def test_what_simulate_writes_is_imported_whole(run, tmp_path: Path) -> None:
    out = tmp_path / "company"
    written = run("simulate", "--leads", 300, "--seed", 4, "--out", out, "--continuations", 1, "--format", "parquet")
    assert written.exit_code == 0, written.output
    monkey_now = "2026-12-01T00:00:00Z"
    done = CliRunner(env={"LEADSCORE_NOW": monkey_now}).invoke(
        app, ["import", str(out / "mapping.toml")], obj=Home.at(tmp_path / "home")
    )
    assert done.exit_code == 0, done.output
    assert list((tmp_path / "home" / "imports").glob("*/rejected.csv")) == []
    with Store.open(Home.at(tmp_path / "home")) as store:
        assert len(store.read(LEADS)) == 300
