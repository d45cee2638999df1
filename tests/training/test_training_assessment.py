"""What a property costs where the truth breaks it, how models age, and who is treated how."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from data.company import Company, CompanyColumn
from data.times import DAY
from features.catalogue import declarations
from tests.training.worlds import DECLARATIONS, HORIZON, QUICK, Model, world
from training.costs import Aged, ageing, ageing_of, property_costs
from training.fairness import fairness, grouped, protected_declarations
from training.fitting import Options, fit_scorer
from training.intervals import Judged
from training.matrix import Matrix
from training.regimes_rows import cohorts_of


def column(name: str) -> int:
    return [d.name for d in DECLARATIONS].index(name)


def relabelled(matrix: Matrix, truth: np.ndarray, seed: int = 0) -> Matrix:
    return replace(matrix, label=(np.random.default_rng(seed).random(len(matrix)) < expit(truth)).astype(float))


def test_a_truth_that_mixes_fit_and_behaviour_makes_additive_cost_and_one_that_falls_makes_monotone_cost() -> None:
    matrix = world(4_000, seed=1)
    visits, large = matrix.columns[column("visits_30d_count")], matrix.columns[column("employees")] > 60
    mixed = relabelled(matrix, -1.5 + 2.4 * np.where(large, 1, -1) * (visits >= 2))
    found = {c.name: c for c in property_costs(mixed, fit_scorer(mixed, QUICK), QUICK)}
    assert found["additive"].beyond_noise
    assert found["additive"].difference > 0.005
    against = relabelled(matrix, -0.5 - 0.6 * visits)
    found = {c.name: c for c in property_costs(against, fit_scorer(against, QUICK), QUICK)}
    assert found["monotone"].beyond_noise
    assert not found["additive"].beyond_noise


def test_what_a_switched_off_property_would_cost_is_told_too(model: Model) -> None:
    off = Options(trials=QUICK.trials, separate=False)
    fitted = fit_scorer(model.matrix, off)
    costs = {c.name: c for c in property_costs(model.matrix, fitted, off)}
    assert (costs["additive"].on, costs["monotone"].on) == (False, True)
    assert abs(costs["additive"].difference) < 0.02
    kept = {c.name: c for c in property_costs(model.matrix, model.fitted, QUICK)}
    assert kept["additive"].low < 0.004, "the world's truth is additive"


def test_sums_hold_without_the_properties_as_well(tmp_path, model: Model) -> None:
    from tests.training.worlds import bundle_of
    from training.bundle import Bundle

    fitted = fit_scorer(model.matrix, Options(trials=4, separate=False, monotone=False))
    bundle = Bundle.load(bundle_of(tmp_path, model.matrix, fitted))
    rows = model.matrix.keep_features([d.name for d in bundle.declarations])
    for row in range(0, 3_000, 300):
        scored = bundle.explain(rows.row(row))
        assert scored.base + scored.fit + scored.behaviour == pytest.approx(scored.margin, abs=1e-9)
        assert scored.base + sum(scored.contributions) == pytest.approx(scored.margin, abs=1e-9)


def test_the_retraining_interval_is_when_the_tolerance_is_used_up() -> None:
    ages = [10 * DAY, 20 * DAY, 40 * DAY, 80 * DAY]
    decaying = ageing_of([Aged(a, 0.001 * a / (10 * DAY), 0.0001, 500) for a in ages], tolerance=0.003)
    assert decaying.seen
    assert decaying.every / DAY == pytest.approx(30)
    steady = ageing_of([Aged(a, 0.0002 * (-1) ** k, 0.001, 500) for k, a in enumerate(ages)], tolerance=0.003)
    assert not steady.seen
    assert steady.every == 80 * DAY


def test_models_age_where_the_truth_turns_and_not_where_it_stays() -> None:
    matrix = world(4_000, seed=2)
    visits = np.minimum(matrix.columns[column("visits_30d_count")], 4)
    turning = np.linspace(2.5, 0.2, len(matrix))
    moved = relabelled(matrix, -2 + turning * visits - turning)
    found = ageing(moved, fit_scorer(moved, QUICK), QUICK)
    assert found is not None
    assert found.seen
    still = ageing(matrix, fit_scorer(matrix, QUICK), QUICK)
    assert still is not None
    assert not still.seen
    assert found.every < still.every


def test_the_watch_over_the_mix_leaves_out_the_recycled_and_what_grows_with_history(model: Model) -> None:
    found = cohorts_of(model.matrix)
    assert len(found.at) == model.matrix.creation.sum()
    assert (np.diff(found.at) >= 0).all()
    assert not [n for n in found.names if "visits" in n or "campaign" in n]
    assert any(n.startswith("industry = ") for n in found.names)
    assert (found.matured_at >= found.at + HORIZON).all()
    assert found.columns.shape == (len(found.at), len(found.names))


COMPANY = Company(
    columns=(
        CompanyColumn("age", type="number", protected=True),
        CompanyColumn("sex", type="category", protected=True),
        CompanyColumn("diagnosis", type="category", protected=True, known="outcome"),
        CompanyColumn("size", type="number"),
    )
)


def test_protected_columns_are_read_for_fairness_and_are_never_features() -> None:
    assert {d.attribute for d in protected_declarations(COMPANY)} == {"age", "sex"}
    assert not {"age", "sex", "diagnosis"} & {d.attribute for d in declarations(COMPANY)}


def test_rates_by_group_are_those_counted_by_hand() -> None:
    rng = np.random.default_rng(3)
    sex = rng.choice(np.array(["a", "b", None], dtype=object), 4_000, p=[0.5, 0.49, 0.01])
    margin = rng.normal(-1, 1, 4_000) + 0.8 * (sex == "a")
    label, weight = (rng.random(4_000) < expit(margin)).astype(float), rng.uniform(0.5, 1, 4_000)
    ids = np.arange(4_000)
    watched = {d.attribute: d for d in protected_declarations(COMPANY)}
    found, by_age = fairness(
        Judged(margin, label, weight, ids, ids),
        [watched["sex"], watched["age"]],
        [sex, np.where(ids % 7 == 0, np.nan, ids % 60 + 20.0)],
        threshold=0.4,
    )
    chosen = expit(margin) >= 0.4
    rates = {}
    for group in found.groups[:2]:
        inside = sex == group.cell.name
        rates[group.cell.name] = np.average(chosen[inside], weights=weight[inside])
        won = inside & (label == 1)
        assert group.selection_rate == pytest.approx(rates[group.cell.name])
        assert group.true_positive_rate == pytest.approx(np.average(chosen[won], weights=weight[won]))
        assert group.cell.came.value == pytest.approx(np.average(label[inside], weights=weight[inside]))
        assert not group.too_small
    assert found.selection_ratio.value == pytest.approx(rates["b"] / rates["a"])
    assert found.uneven
    assert found.groups[2].too_small, "forty rows of unknown sex are told and not judged"
    assert len(by_age.groups) == 5
    assert by_age.groups[-1].cell.name == "not known"
    assert not by_age.uneven, "age was drawn by lot"
    assert by_age.selection_ratio.low < by_age.selection_ratio.value < by_age.selection_ratio.high


def test_numbers_are_banded_at_their_quartiles() -> None:
    named = grouped(np.array([18.0, 25, 30, 41, 60, 77, 80, np.nan]), is_category=False)
    assert named[0] == "18 to 27.5"
    assert len(set(named.tolist())) == 5
    assert set(grouped(np.array([1.0, 1.0, np.nan]), is_category=False)) == {"1", "not known"}
