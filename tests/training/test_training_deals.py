"""What a deal comes to and when: found where it is there, not said where it is not, the same by row and by column."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.training.worlds import COMPANY, TARGET, declared, world
from training.bundle import Bundle
from training.deal_fitting import LEAST_DEALS, fit_deals
from training.deals import COVERED, Deals, DealsOfBundle
from training.encoding import fit_columns
from training.fitting import Options, fit_scorer
from training.matrix import Matrix
from training.writing import write_bundle

STAGE = declared("stage", "stage", "behaviour")
FACTORS = {"業種1": 3.0, "業種2": 0.5}


def deals_world(leads: int, *, seed: int = 0, by_industry: bool = True, rows_a_lead: int = 2) -> Matrix:
    """Amounts of a million, three times that in one industry and half in another; days depend on the stage."""
    plain = world(leads, seed=seed, rows_a_lead=rows_a_lead)
    rng = np.random.default_rng(seed + 1)
    noise = np.exp(rng.normal(0, 0.3, leads) - 0.045)[plain.cycle]
    industries = plain.columns[0]
    factor = np.array([FACTORS.get(i, 1.0) if by_industry else 1.0 for i in industries])
    first = factor.reshape(leads, -1)[:, :1].repeat(rows_a_lead, axis=1).ravel()
    names = np.repeat(industries.reshape(leads, -1)[:, 0], rows_a_lead)
    stage = np.array(["mql", "sql"], dtype=object)[rng.integers(0, 2, leads)][plain.cycle]
    days = np.where(stage == "sql", 5.0, 15.0) + rng.uniform(-3, 3, len(plain))
    won = plain.label == 1.0
    return replace(
        plain,
        declarations=(*plain.declarations, STAGE),
        columns=(names, *plain.columns[1:], stage),
        amount=np.where(won, 1e6 * first * noise, np.nan),
        days=np.where(won, days, np.nan),
    )


def fitted_deals(matrix: Matrix) -> tuple[Deals, DealsOfBundle]:
    columns = fit_columns(matrix)
    deals = fit_deals(matrix, columns)
    assert deals is not None
    return deals, DealsOfBundle(deals, columns, matrix.declarations)


def test_amounts_that_depend_on_the_industry_are_found_within_a_tenth() -> None:
    matrix = deals_world(4_000)
    _, ready = fitted_deals(matrix)
    found = ready.expected_columns(matrix.columns)["amount"]
    for industry, factor in {"業種0": 1.0, **FACTORS}.items():
        here = matrix.columns[0] == industry
        assert found[here].mean() == pytest.approx(1e6 * factor, rel=0.1)


def test_the_interval_holds_the_share_of_later_deals_it_names() -> None:
    matrix = deals_world(4_000)
    _, ready = fitted_deals(matrix)
    later = deals_world(4_000, seed=9)
    won = ~np.isnan(later.amount)
    found = ready.expected_columns(later.columns)
    inside = (found["amount_low"] <= later.amount) & (later.amount <= found["amount_high"])
    assert inside[won].mean() == pytest.approx(COVERED, abs=0.05)


def test_amounts_that_depend_on_nothing_are_their_mean() -> None:
    """The mean of cycles, exactly, for every lead: noise is not taken for knowledge."""
    matrix = deals_world(3_000, by_industry=False)
    deals, ready = fitted_deals(matrix)
    won = ~np.isnan(matrix.amount)
    a_cycle = dict(zip(matrix.cycle[won], matrix.amount[won], strict=True))
    assert deals.amounts is not None
    assert not deals.amounts.by_profile
    assert ready.expected_columns(matrix.columns)["amount"] == pytest.approx(np.mean(list(a_cycle.values())))


def test_days_are_the_median_of_the_stage() -> None:
    matrix = deals_world(3_000)
    deals, ready = fitted_deals(matrix)
    assert deals.days is not None
    found = ready.expected_columns(matrix.columns)["days"]
    assert found[matrix.columns[-1] == "sql"] == pytest.approx(5.0, abs=0.3)
    assert found[matrix.columns[-1] == "mql"] == pytest.approx(15.0, abs=0.3)
    low, middle, high = deals.days.every
    assert low < middle < high


def test_one_row_is_as_many_to_the_last_bit() -> None:
    matrix = deals_world(600)
    _, ready = fitted_deals(matrix)
    table = ready.expected_columns(matrix.columns)
    for position in range(0, len(matrix), 37):
        one = ready.expected(matrix.row(position))
        assert (one.amount, one.amount_low, one.amount_high, one.days) == tuple(
            table[name][position] for name in ("amount", "amount_low", "amount_high", "days")
        )


def test_too_few_deals_say_nothing() -> None:
    matrix = deals_world(2_000)
    few = np.isin(matrix.cycle, np.unique(matrix.cycle[~np.isnan(matrix.amount)])[: LEAST_DEALS - 1])
    none = replace(matrix, amount=np.where(few, matrix.amount, np.nan), days=np.where(few, matrix.days, np.nan))
    assert fit_deals(none, fit_columns(none)) is None


def test_a_bundle_carries_them_and_refuses_what_is_none(tmp_path) -> None:
    matrix = deals_world(800)
    fitted = fit_scorer(matrix, Options(trials=1))
    kept = matrix.keep_features([d.name for d in fitted.declarations])
    deals = fit_deals(kept, fitted.scorer.columns)
    path = write_bundle(
        tmp_path,
        fitted.scorer,
        declarations=fitted.declarations,
        company=COMPANY,
        target=TARGET,
        as_of=1,
        snapshot="s",
        proven=True,
        deals=deals,
    )
    bundle = Bundle.load(path)
    assert bundle.deals is not None
    assert bundle.deals.deals == deals
    document = json.loads((path / "deals.json").read_text(encoding="utf-8"))
    for name, wrong in (("factor", 0.0), ("low", -1.0), ("high", None)):
        damaged = {**document, "amounts": {**document["amounts"], name: wrong}}
        with pytest.raises((TypeError, ValueError)):
            Deals.of_document(damaged)
