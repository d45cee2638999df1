"""What the procedure promises of any model it makes: decay, honesty about noise, points while outcomes are few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from data.records import Attribute, LeadHistory, Touchpoint
from data.times import DAY, HOUR
from features.online import OnlineFeatures
from tests.training.worlds import COMPANY, QUICK, Model, world
from training.blend import Slice, blend_weights, overdispersion
from training.boosters import Setting, booster_text, dataset, fit_booster, shape_of
from training.calibration import choose_calibration, fit_calibration
from training.compiled import CompiledScorer
from training.encoding import encode, encode_out_of_fold, fit_columns, group_folds
from training.evaluation import calibration_error, evaluate, figures
from training.evidence import tells_apart
from training.fitting import Options, fit_scorer, prior_only
from training.matrix import informative
from training.points import points_scorer

START = 20_000 * DAY


def visitor(seed: int) -> LeadHistory:
    """One lead with visits in its first weeks and nothing after."""
    rng = np.random.default_rng(seed)
    visits = [START + int(d * DAY) for d in np.sort(rng.uniform(0, 40, rng.integers(0, 12)))]
    profile = (Attribute("industry", START, START, text="業種1"), Attribute("employees", START, START, number=120.0))
    touchpoints = tuple(Touchpoint("page_view", "lead", at, at) for at in visits)
    return LeadHistory("x", START, START, touchpoints=touchpoints, attributes=profile)


@pytest.mark.parametrize("seed", range(8))
def test_behaviour_never_rises_by_waiting_over_a_year(model: Model, seed: int) -> None:
    history = visitor(seed)
    online = OnlineFeatures(model.bundle.declarations, COMPANY)
    days = [START + 41 * DAY + day * DAY + (day * 7 % 24) * HOUR for day in range(365)]
    behaviour = [model.bundle.explain(online.row(history, at)).behaviour for at in days]
    assert (np.diff(behaviour) <= 1e-9).all()
    fit = [model.bundle.explain(online.row(history, at)).fit for at in days]
    assert np.ptp(fit) <= 1e-9


def test_every_tree_keeps_to_one_group_of_features() -> None:
    matrix = informative(world(1_500, seed=4))
    groups = [{i for i, d in enumerate(matrix.declarations) if d.group == g} for g in ("fit", "behaviour")]
    table = encode(matrix, fit_columns(matrix))
    booster = fit_booster(
        dataset(table, matrix), Setting(8), shape_of(matrix.declarations), trees=60, rows_a_leaf=20, seed=0
    )
    for info in booster.dump_model()["tree_info"]:
        used = split_features(info["tree_structure"])
        assert any(used <= group for group in groups)


def split_features(node: dict) -> set[int]:
    if "leaf_value" in node:
        return set()
    return {node["split_feature"]} | split_features(node["left_child"]) | split_features(node["right_child"])


def test_a_booster_s_text_scores_as_the_booster_does() -> None:
    import lightgbm

    matrix = informative(world(800, seed=5))
    table = encode(matrix, fit_columns(matrix))
    booster = fit_booster(
        dataset(table, matrix), Setting(8), shape_of(matrix.declarations), trees=30, rows_a_leaf=20, seed=0
    )
    again = lightgbm.Booster(model_str=booster_text(booster))
    assert again.predict(table, raw_score=True) == pytest.approx(booster.predict(table, raw_score=True), abs=0)


@pytest.mark.parametrize("seed", range(3))
def test_pure_noise_is_found_to_be_noise(seed: int) -> None:
    matrix = world(1_500, seed=10 + seed, signal=0.0)
    fitted = fit_scorer(matrix, QUICK)
    assert not fitted.proof.forward
    assert not tells_apart(evaluate(matrix, fitted, QUICK).random_evidence)


def test_signal_is_found_and_the_blend_is_near_the_truth(model: Model) -> None:
    """The world's truth is a logistic model, so its own log loss is the best that can be reached."""
    fresh = world(6_000, seed=77)
    kept = fresh.keep_features([d.name for d in model.bundle.declarations])
    margin = model.bundle.scorer.margins(kept.columns)
    ours = figures(margin, fresh.label, fresh.weight)
    constant = figures(np.full(len(margin), logit(model.matrix.label.mean())), fresh.label, fresh.weight)
    assert model.fitted.proof.forward
    assert ours.auc > 0.62
    assert ours.log_loss < constant.log_loss - 0.01
    assert ours.ece < 0.03


def test_weekly_rows_of_a_lead_do_not_multiply_the_evidence() -> None:
    once = fit_scorer(world(700, seed=6, signal=0.6), QUICK).proof.honest
    often = fit_scorer(world(700, seed=6, signal=0.6, rows_a_lead=4), QUICK).proof.honest
    assert often.order_error > 0.6 * once.order_error


def test_constant_features_are_dropped_and_all_missing_ones_do_no_harm() -> None:
    matrix = world(900, seed=8)
    empty = replace(matrix, columns=(*matrix.columns[:3], np.full(900, np.nan), *matrix.columns[4:]))
    names = [d.name for d in fit_scorer(empty, QUICK).declarations]
    assert "constant" not in names
    assert "noise" not in names


def test_out_of_fold_encoding_does_not_see_its_own_group() -> None:
    """A category of one level a group, labels at random: in-sample it would give the label away."""
    matrix = world(2_000, seed=9, signal=0.0)
    rng = np.random.default_rng(0)
    level = np.array([f"account{i // 20}" for i in range(2_000)], dtype=object)
    label = (rng.random(100) < 0.5).astype(float)[np.arange(2_000) // 20]
    known = replace(matrix, columns=(level, *matrix.columns[1:]), label=label, group=np.arange(2_000) // 20)
    columns = fit_columns(known)
    inside = encode(known, columns)[:, 0]
    outside = encode_out_of_fold(known, columns, group_folds(known.group, 5, 0))[:, 0]
    assert np.corrcoef(inside, label)[0, 1] > 0.9
    assert abs(np.corrcoef(outside, label)[0, 1]) < 0.5


def test_points_need_no_outcome_and_follow_the_declared_directions() -> None:
    matrix = informative(replace(world(300, seed=12), label=np.zeros(300)))
    scorer = CompiledScorer(points_scorer(matrix), matrix.declarations)
    margins = scorer.margins(matrix.columns)
    visits = matrix.columns[[d.name for d in matrix.declarations].index("visits_30d_count")]
    assert np.isfinite(margins).all()
    assert margins[visits >= 5].mean() > margins[visits == 0].mean()


def test_the_kept_prior_says_the_base_rate_to_everyone() -> None:
    fitted = fit_scorer(world(800, seed=13), QUICK)
    margins = CompiledScorer(prior_only(fitted.scorer), fitted.declarations).margins(
        world(800, seed=13).keep_features([d.name for d in fitted.declarations]).columns
    )
    assert np.ptp(margins) == 0.0


def slices_of(margins: np.ndarray, label: np.ndarray, count: int = 4) -> list[Slice]:
    return [
        Slice(m, y, np.ones(len(y)), 1.0)
        for m, y in zip(np.array_split(margins, count), np.array_split(label, count), strict=True)
    ]


def test_the_blend_finds_the_part_that_is_true() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(-1, 1, 20_000)
    label = (rng.random(20_000) < expit(truth)).astype(float)
    margins = np.column_stack([np.full(20_000, -1.0), truth, rng.normal(-1, 1, 20_000)])
    weights = blend_weights(slices_of(margins, label), np.full(3, 1 / 3))
    assert weights[1] > 0.9
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()


def test_few_rows_keep_the_usual_mixture() -> None:
    rng = np.random.default_rng(1)
    margins = rng.normal(-1, 1, (60, 3))
    label = (rng.random(60) < 0.3).astype(float)
    usual = np.array([0.2, 0.5, 0.3])
    assert np.abs(blend_weights(slices_of(margins, label, 2), usual) - usual).max() < 0.25


def test_overdispersion_is_one_without_regimes_and_more_with_them() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(-1, 1, 8_000)
    label = (rng.random(8_000) < expit(truth)).astype(float)
    flipped = np.where(np.arange(8_000) % 2_000 < 1_000, truth, -truth)
    calm = np.column_stack([truth, 0.5 * truth])
    stormy = np.column_stack([truth, flipped])
    usual = np.array([0.5, 0.5])
    assert overdispersion(slices_of(calm, label), usual) < 3
    assert overdispersion(slices_of(stormy, label), usual) > 10


def test_calibration_finds_a_known_shift_and_slope() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(-1, 1.5, 50_000)
    label = (rng.random(50_000) < expit(truth)).astype(float)
    found = fit_calibration("platt", (truth + 0.7) / 1.4, label, np.ones(50_000))
    assert found.slope == pytest.approx(1.4, abs=0.06)
    assert found.shift == pytest.approx(-0.7, abs=0.06)


@pytest.mark.parametrize(("off", "expected"), [(0.0, "none"), (1.5, "intercept")])
def test_calibration_is_accepted_only_where_the_slices_ask_for_it(off: float, expected: str) -> None:
    rng = np.random.default_rng(4)
    truth = rng.normal(-1, 1, 6_000)
    label = (rng.random(6_000) < expit(truth)).astype(float)
    parts = [np.array_split(a, 4) for a in (truth + off, label, np.ones(6_000), np.arange(6_000))]
    chosen = choose_calibration(*parts)
    assert chosen.method in ({expected, "platt"} if off else {expected})
    if off:
        assert chosen.slope * off + chosen.shift == pytest.approx(0.0, abs=0.25)


def test_calibration_error_of_a_known_bias() -> None:
    probability = np.full(1_000, 0.3)
    label = np.zeros(1_000)
    label[:200] = 1.0
    assert calibration_error(probability, np.random.default_rng(0).permutation(label), np.ones(1_000)) < 0.2
    assert figures(np.full(1_000, logit(0.3)), label, np.ones(1_000)).brier == pytest.approx(0.2 * 0.49 + 0.8 * 0.09)


@pytest.mark.parametrize("leads", [150, 400])
def test_tiny_histories_train(leads: int) -> None:
    fitted = fit_scorer(world(leads, seed=20), Options(trials=3))
    assert np.isfinite(fitted.proof.honest.gain)
