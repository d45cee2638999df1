"""Real data through the worked mappings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from data.doctor import Finding, examine
from data.home import Home
from data.sources.importing import ImportResult, import_mapping
from data.sources.mapping import WORKED, read_mapping
from data.store.operational import Store
from data.store.snapshots import take_snapshot
from data.tables import LEAD_ATTRIBUTES, LEADS, STAGE_CHANGES
from data.times import ROW_STEP, parse_instant

pytestmark = pytest.mark.real_data

SETS = {
    "olist": ("olist_funnel", "2018-04-05"),
    "bank": ("bank_marketing", "row:41188"),
    "shoppers": ("online_shoppers", "row:12330"),
    "salvirt": ("salvirt_b2b", "row:448"),
}
NOW = parse_instant("2026-06-01")


@dataclass
class Imported:
    home: Home
    store: Store
    first: ImportResult
    findings: list[Finding]

    def frame(self, table) -> pd.DataFrame:  # type: ignore[no-untyped-def]
        return self.store.read(table).to_pandas()


@pytest.fixture(scope="module", params=SETS)
def imported(request, shared_datasets: Path, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """(name, what was imported, folder of the files)."""
    folder, as_of = SETS[request.param]
    home = Home.at(tmp_path_factory.mktemp(request.param))
    mapping = read_mapping(WORKED / f"{request.param}.toml", shared_datasets / folder)
    with Store.open(home) as store:
        first = import_mapping(mapping, store, home, now=NOW)
        snapshot = take_snapshot(store, home, now=NOW)
        findings = examine(store, snapshot, home, as_of=parse_instant(as_of), now=NOW)
        yield request.param, Imported(home, store, first, findings), shared_datasets / folder


COUNTS = {"olist": (5_563, 353), "bank": (41_188, 4_640), "shoppers": (12_330, 1_908), "salvirt": (448, 227)}


def test_all_rows_and_all_wins_arrive(imported) -> None:
    name, found, _ = imported
    stages = found.frame(STAGE_CHANGES)
    assert (len(found.frame(LEADS)), int((stages["stage"] == "won").sum())) == COUNTS[name]
    assert {t: c.rejected + c.conflicts for t, c in found.first.counts.items() if c.rejected + c.conflicts} == {}
    assert found.first.undeclared == {}


@pytest.mark.parametrize("name", SETS)
def test_the_same_again_changes_nothing(name: str, shared_datasets: Path, tmp_path: Path) -> None:
    """The first 3,000 rows of each, imported twice."""
    files, home = tmp_path / "files", Home.at(tmp_path / "home")
    files.mkdir()
    for path in (shared_datasets / SETS[name][0]).glob("*.csv"):
        kept = 5_600 if name == "olist" else 3_000
        (files / path.name).write_text("".join(path.read_text().splitlines(keepends=True)[: kept + 1]))
    mapping = read_mapping(WORKED / f"{name}.toml", files)
    with Store.open(home) as store:
        assert import_mapping(mapping, store, home, now=NOW).changed
        before = take_snapshot(store, home, now=NOW).hash
        assert not import_mapping(mapping, store, home, now=NOW + 1).changed
        assert take_snapshot(store, home, now=NOW + 2).hash == before


def test_rows_without_dates_are_numbered_in_file_order(imported) -> None:
    name, found, _ = imported
    leads = found.frame(LEADS)
    if name == "olist":
        assert leads["lead_id"].str.fullmatch(r"[0-9a-f]{32}").all()
        return
    assert leads["lead_id"].tolist() == [str(i) for i in range(1, len(leads) + 1)]
    assert (leads["occurred_at"] == leads["lead_id"].astype(int) * ROW_STEP).all()


def test_no_column_that_knows_the_outcome_is_stored(imported) -> None:
    name, found, folder = imported
    kept_out = {"olist": "business_segment", "bank": "duration", "shoppers": "PageValues", "salvirt": "Status"}[name]
    some = found.frame(LEADS)["lead_id"].iloc[:5].tolist()
    names = set(found.store.read(LEAD_ATTRIBUTES, lead_ids=some).column("name").to_pylist())
    assert not {n for n in names if n.lower() == kept_out.lower()}
    header = pd.concat([pd.read_csv(p, sep=None, engine="python", nrows=1) for p in folder.glob("*.csv")]).columns
    assert kept_out in header


TRAPS = [
    ("olist", "left truncation", "2017-12-05"),
    ("olist", "right censoring", "still to come"),
    ("olist", "labels have matured", "2,541 leads matured, 213 with the outcome within 30 days"),
    ("olist", "never seen before", "landing_page_id"),
    ("olist", "says missing in two ways", "origin"),
    ("olist", "exist only for leads with the outcome", "business_segment"),
    ("olist", "exist only for leads with the outcome", "lead_type"),
    ("bank", "known only after the outcome", "duration"),
    ("bank", "the base rate moves over time, from 2.8% in the first tenth to 45.9% in the last", "won"),
    ("bank", "999 means missing", "pdays"),
    ("bank", "the word 'unknown' means missing", "default"),
    ("shoppers", "known only after the outcome", "PageValues"),
    ("shoppers", "codes; rightly declared as categories", "Browser"),
    ("shoppers", "codes; rightly declared as categories", "Region"),
    ("shoppers", "codes; rightly declared as categories", "TrafficType"),
    ("salvirt", "duplicate leads", "83 of 448 leads repeat"),
    ("salvirt", "duplicate leads", "19 groups of equal leads contradict"),
]


def test_every_trap_is_named(imported) -> None:
    name, found, _ = imported
    told = [f"{f.subject} | {f.what} | {f.evidence}" for f in found.findings]
    missed = [(what, where) for data, what, where in TRAPS if data == name and not _said(told, what, where)]
    assert missed == [], "\n".join(told)


def _said(told: list[str], what: str, where: str) -> bool:
    return any(what in text and where in text for text in told)


def test_what_the_mappings_avoid_is_not_refused(imported) -> None:
    _, found, _ = imported
    assert [f for f in found.findings if f.level == "refuse"] == []
