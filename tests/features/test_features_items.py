"""Fields that help and fields that do not, of invented and simulated companies whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from data.company import Company, CompanyColumn, Target
from data.errors import DataRefused
from data.home import Home
from data.simulator.write import simulate_to
from data.sources.importing import import_mapping
from data.sources.mapping import read_mapping
from data.store.operational import Store
from data.store.snapshots import take_snapshot
from data.tables import BY_NAME
from data.times import DAY, HOUR, parse_instant
from features.catalogue import declarations
from features.declaration import ATTRIBUTE_KINDS
from features.engine import batch_engine
from features.forward_gain import Columns, Rows, forward_losses, gain, prior_losses
from features.items import Items, items_of
from features.report import show_items
from tests.features.leak_cases import arrow_rows

START = parse_instant("2025-01-01")
WON = Target("won", "won", 30 * DAY)


def company_of(seed: int, count: int = 2_400) -> tuple[Rows, Columns]:
    """Two columns that matter, one of them a category, and three that do not."""
    rng = np.random.default_rng(seed)
    size, branch = rng.normal(size=count), rng.choice(["a", "b", "c"], count).astype(object)
    odds = -1.5 + 0.9 * size + 1.2 * (branch == "b")
    label = (rng.random(count) < 1 / (1 + np.exp(-odds))).astype(float)
    columns: dict[str, np.ndarray] = {"size": size, "branch": branch}
    columns |= {"noise": rng.normal(size=count), "word": rng.choice(list("pqrstuvw"), count).astype(object)}
    columns["gappy"] = np.where(rng.random(count) < 0.5, np.nan, rng.normal(size=count))
    return Rows(label, np.arange(count, dtype=np.int64) * HOUR, np.arange(count, dtype=np.int64), DAY), columns


def test_what_matters_gains_and_what_does_not_seldom_does() -> None:
    helped = dict.fromkeys(("size", "branch", "noise", "word", "gappy"), 0)
    seeds = range(20)
    for seed in seeds:
        rows, columns = company_of(seed)
        losses = forward_losses(rows, columns)
        assert np.nanmean(losses) < np.nanmean(prior_losses(rows))
        for name in helped:
            without = forward_losses(rows, {n: v for n, v in columns.items() if n != name})
            helped[name] += gain(without, losses, rows.lead).low > 0
    assert min(helped["size"], helped["branch"]) == len(seeds), helped
    assert helped["noise"] + helped["word"] + helped["gappy"] <= 4, helped  # of sixty


def test_nothing_of_the_future_is_learned() -> None:
    rows, columns = company_of(3)
    first = slice(0, 1_600)
    part = Rows(rows.label[first], rows.at[first], rows.lead[first], rows.known_after)
    turned = np.where(np.arange(2_400) < 1_600, rows.label, 1 - rows.label)
    ahead = Rows(turned, rows.at, rows.lead, rows.known_after)
    whole = forward_losses(ahead, columns)[960:1_600]
    assert np.isfinite(whole).all()
    np.testing.assert_array_equal(whole, forward_losses(rows, columns)[960:1_600])
    assert np.isnan(forward_losses(part, columns)[: int(0.4 * 1_600)]).all()


@pytest.fixture(scope="module")
def made() -> Items:
    """A company where size matters and is collected twice, pricing views matter, and the rest does not."""
    rng = np.random.default_rng(5)
    count = 3_000
    born = START + np.sort(rng.integers(0, 500 * 24, count)) * HOUR
    size, priced = rng.normal(size=count), rng.random(count) < 0.35
    won = rng.random(count) < 1 / (1 + np.exp(-(-1.8 + 1.1 * size + 1.3 * priced)))
    ids = [f"L{n:05d}" for n in range(count)]
    leads = pd.DataFrame({"lead_id": ids, "at": born})
    attributes = {"size": size, "size_again": size + 0.01 * rng.normal(size=count), "shoe": rng.normal(size=count)}
    told = [leads.assign(name=name, number=values, text=None) for name, values in attributes.items()]
    told.append(leads.assign(name="colour", number=None, text=rng.choice(["red", "blue"], count)))
    pages = leads.loc[leads.index.repeat(rng.integers(1, 5, count))].assign(kind="page_view")
    touched = pd.concat([pages, leads[priced].assign(kind="pricing_view")])
    rows = {
        "leads": leads,
        "lead_cycles": leads.assign(cycle_id=ids, opened_by="created"),
        "stage_changes": leads.assign(stage=np.where(won, "won", "lost"), at=born + 9 * DAY),
        "lead_attributes": pd.concat(told),
        "touchpoints": touched.assign(at=touched["at"] - HOUR, actor="lead", channel="web"),
    }
    connection = ibis.duckdb.connect()
    for name in BY_NAME:
        connection.con.register(f"{name}_arrow", arrow_rows(name, rows.get(name)))
        connection.raw_sql(f"create table {name} as select * from {name}_arrow")
    columns = tuple(CompanyColumn(name, type="number") for name in attributes)
    company = Company(targets=(WON,), columns=(*columns, CompanyColumn("colour")))
    read = {"pricing_views_30d_count", "page_views_30d_count", "touchpoints_30d_count", "touchpoints_decayed_30d"}
    wanted = [d for d in declarations(company) if d.attribute in (*attributes, "colour") or d.name in read]
    tables = {name: connection.table(name) for name in BY_NAME}
    return items_of(connection, tables, company, wanted, [WON], as_of=START + 600 * DAY)


def words(items: Items) -> dict[str, str]:
    return {f.item.name: f.word for f in items.findings}


def test_fields_of_no_use_are_listed_and_useful_ones_are_not(made: Items) -> None:
    found = words(made)
    assert found["pricing_view"] == "keep"
    useless = [found[name] for name in ("shoe", "colour", "page_view")]
    assert useless.count("stop") >= 2
    assert "keep" not in useless


def test_two_fields_that_stand_in_for_each_other_are_not_both_given_up(made: Items) -> None:
    found = words(made)
    assert [found["size"], found["size_again"]].count("stop") <= 1
    low, high = made.together["won"]
    assert low <= 0 < 0.05 + high


def test_evidence_and_cost_are_told(made: Items) -> None:
    (colour,) = (f for f in made.findings if f.item.name == "colour")
    assert colour.item.sort == "lead attribute"
    assert colour.item.filled == 1.0
    assert colour.gains["won"].low < 0 < colour.gains["won"].high or colour.gains["won"].high < 0.01
    (page,) = (f for f in made.findings if f.item.name == "page_view")
    assert page.item.sort == "touchpoint kind"
    assert 0.85 < page.item.filled < 0.95
    assert made.to_dict()["findings"][0]["item"]["name"]


def shown(items: Items) -> str:
    screen = Console(file=StringIO(), width=250, highlight=False)
    show_items(screen, items)
    return screen.file.getvalue()  # type: ignore[attr-defined]


def test_fields_that_could_be_given_up_stand_first_and_are_named_under_their_heading(made: Items) -> None:
    told = shown(made)
    names = [f.item.name for f in made.to_stop]
    assert len(names) >= 2
    lines = told.splitlines()
    assert lines[0].strip() == "Fields that never helped forward in time  収集をやめられる項目"
    rows = [line for line in lines if any(f" {f.item.name} " in line and f.item.sort in line for f in made.findings)]
    assert len(rows) == len(made.findings)
    assert all("収集をやめられる could stop" in row for row in rows[: len(names)])
    assert not any("could stop" in row for row in rows[len(names) :])
    (line,) = (line for line in lines if line.startswith("収集をやめられる項目 could stop: "))
    assert line.startswith(f"収集をやめられる項目 could stop: {', '.join(names)} (all of them together cost won: ")


def test_where_no_field_could_be_given_up_it_says_so(made: Items) -> None:
    kept = replace(made, findings=tuple(f for f in made.findings if f.word != "stop"))
    assert "収集をやめられると言える項目はありません" in shown(kept)
    assert "could stop" not in shown(kept)


def test_too_few_outcomes_are_refused_in_words() -> None:
    connection = ibis.duckdb.connect()
    leads = pd.DataFrame({"lead_id": [f"L{n}" for n in range(50)], "at": START + np.arange(50) * DAY})
    rows = {"leads": leads, "lead_cycles": leads.assign(cycle_id=leads["lead_id"], opened_by="created")}
    rows["stage_changes"] = leads[:3].assign(stage="won", at=leads["at"] + DAY)
    for name in BY_NAME:
        connection.con.register(f"{name}_arrow", arrow_rows(name, rows.get(name)))
        connection.raw_sql(f"create table {name} as select * from {name}_arrow")
    company = Company(targets=(WON,), columns=(CompanyColumn("colour"),))
    wanted = [d for d in declarations(company) if d.attribute == "colour"]
    tables = {name: connection.table(name) for name in BY_NAME}
    with pytest.raises(DataRefused, match="too few outcomes"):
        items_of(connection, tables, company, wanted, [WON], as_of=START + 200 * DAY)


MATTERS = {"job_title", "channel", "industry", "current_tool", "employees"}
"""By the simulator's formula of fit; the head count stands for the size of the company."""
NOISE = {"department", "country", "prefecture"}
"""Which the simulator gives no effect at all."""


def test_the_simulators_truth(tmp_path: Path) -> None:
    end = "2026-10-01T00:00+09:00"
    simulate_to(tmp_path / "history", leads=6_000, seed=11, format="parquet", continuations=1, end=end)
    home, at = Home.at(tmp_path / "home"), parse_instant(end)
    with Store.open(home) as store:
        import_mapping(read_mapping(tmp_path / "history" / "mapping.toml"), store, home, now=at)
        snapshot = take_snapshot(store, home, now=at)
    wanted = [d for d in declarations(snapshot.company) if d.kind in ATTRIBUTE_KINDS]
    with batch_engine(home) as connection:
        sql = [snapshot.company.target("sql")]
        found = items_of(connection, snapshot.tables(connection), snapshot.company, wanted, sql, as_of=at)
    stop = {f.item.name for f in found.to_stop}
    keep = {name for name, word in words(found).items() if word == "keep"}
    shares = {f.item.name: f.shares for f in found.findings}
    assert not stop & MATTERS, shares
    assert len(keep & MATTERS) >= 3, shares
    assert not keep & NOISE, shares
    assert len(stop & NOISE) >= 1, shares
