"""The demo is the whole job: run for real on a smaller company, twice."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from data.home import Home
from data.store.ledger import Ledger
from data.store.operational import Store


@pytest.fixture(scope="module")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "home"


@pytest.fixture(scope="module")
def first_run(leadscore, demo_home: Path) -> str:
    return leadscore("demo", "--leads", 6000, "--home", demo_home).stdout


def test_the_demo_shows_every_step_as_the_command_a_user_would_type(first_run: str) -> None:
    for command in ("simulate", "import", "check", "features", "train", "score", "monitor", "serve"):
        assert f"leadscore {command}" in first_run


def test_the_demo_ends_with_ten_leads_in_both_languages(first_run: str, demo_home: Path) -> None:
    ending = first_run[first_run.rindex("leadscore serve") :]
    assert re.search(r"[ぁ-んァ-ン一-龥]", ending)
    scores = pd.read_csv(demo_home / "scores.csv")
    best = scores[scores["target"] == "won"].nlargest(10, "probability")["lead_id"]
    assert [lead for lead in best if lead not in ending] == []


def test_the_reports_it_names_are_there(first_run: str, demo_home: Path) -> None:
    named = [Path(p) for p in re.findall(r"\S+\.html", first_run)]
    assert named
    assert [path for path in named if not path.is_file()] == []


def test_the_feature_table_has_one_row_a_lead(first_run: str, demo_home: Path) -> None:
    table = pq.read_table(demo_home / "features.parquet")
    assert table.column_names[0] == "lead_id"
    leads = pd.read_csv(demo_home / "history" / "leads.csv")
    assert table.num_rows <= len(leads)
    assert len(set(table["lead_id"].to_pylist())) == table.num_rows > 0.95 * len(leads)


def test_the_scores_are_near_the_simulators_truth(first_run: str, demo_home: Path) -> None:
    """Calibrated on average over all open leads, where the truth is known on a sample."""
    truth = pd.read_parquet(demo_home / "history" / "truth" / "truth.parquet")
    base_rate = truth.loc[truth["target"] == "won", "probability"].mean()
    scores = pd.read_csv(demo_home / "scores.csv")
    predicted = scores.loc[scores["target"] == "won", "probability"].mean()
    assert 0.3 * base_rate < predicted < 3 * base_rate


def test_the_endpoint_and_the_batch_run_agree(first_run: str, demo_home: Path) -> None:
    ledger = Ledger.open(Home.at(demo_home)).read(target="won").to_pandas()
    online = ledger[ledger["channel"] == "online"].drop_duplicates("lead_id").set_index("lead_id")["margin"]
    batch = ledger[ledger["channel"] == "batch"].drop_duplicates("lead_id").set_index("lead_id")["margin"]
    assert len(online) == 10
    np.testing.assert_allclose(online, batch.loc[online.index], atol=1e-9)


def test_no_contact_data_leave_the_store(first_run: str, demo_home: Path) -> None:
    """Names, addresses and telephone numbers of the simulated people are in no derived file."""
    people = pd.read_csv(demo_home / "history" / "persons.csv", dtype=str)
    needles = [value.encode() for column in ("email", "phone") for value in people[column].dropna().head(200)]
    assert len(needles) > 100
    derived = [
        f for f in demo_home.rglob("*") if f.is_file() and f.suffix in {".html", ".json", ".csv", ".log", ".txt", ".md"}
    ]
    derived = [f for f in derived if "history" not in f.parts]
    assert derived
    found = {f.name for f in derived for needle in needles if needle in f.read_bytes()}
    assert found == set()


def test_a_second_run_reuses_what_is_there(leadscore, first_run: str, demo_home: Path) -> None:
    with Store.open(Home.at(demo_home)) as store:
        before = store.deployments("won")
    second = leadscore("demo", "--leads", 6000, "--home", demo_home).stdout
    with Store.open(Home.at(demo_home)) as store:
        assert store.deployments("won") == before
    assert "leadscore train" not in second.split("leadscore serve")[0]
    assert "leadscore simulate" not in second
