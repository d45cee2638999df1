"""The bench of quality: peers are what scikit-learn and LightGBM give by hand, no test row is learned from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from typer.testing import CliRunner

from data.home import Home
from leadscore import app
from tests.training.worlds import world
from training.matrix import Matrix, informative
from training.peers import naive_bayes, peers
from training.quality import OURS, Answers, Quality, Result, compared
from training.quality_cases import Case, Pair, converted_sample, cut, equal_row_folds, rolling, windows
from training.quality_telling import figure_rows, markdown, mean_ranks, verdict_rows

NUMBERS = ("noise", "visits_30d_count", "visits_ever_count")


@pytest.fixture(scope="module")
def split() -> tuple[Matrix, Matrix]:
    whole = informative(world(1_600, seed=40))
    return whole.take(np.arange(1_000)), whole.take(np.arange(1_000, 1_600))


def test_logistic_is_scikit_learn_s_by_hand(split: tuple[Matrix, Matrix]) -> None:
    train, test = (m.keep_features(NUMBERS) for m in split)
    x, new = (np.column_stack(m.columns) for m in (train, test))
    mean, spread = x.mean(axis=0), x.std(axis=0)
    model = LogisticRegression().fit((x - mean) / spread, train.label, sample_weight=train.weight)
    expected = model.predict_proba((new - mean) / spread)[:, 1]
    assert peers()["logistic"](train, test) == pytest.approx(expected, abs=1e-4)


def test_lightgbm_is_the_library_s_by_hand(split: tuple[Matrix, Matrix]) -> None:
    train, test = (m.keep_features(NUMBERS) for m in split)
    x, new = (np.column_stack(m.columns) for m in (train, test))
    for name, settings in (
        ("LightGBM", {}),
        (
            "LightGBM, regularised",
            {"n_estimators": 200, "learning_rate": 0.03, "num_leaves": 15, "min_child_samples": 40},
        ),
    ):
        model = LGBMClassifier(
            **settings, verbose=-1, n_jobs=1, deterministic=True, force_row_wise=True, random_state=0
        )
        model.fit(x, train.label, sample_weight=train.weight)
        assert peers()[name](train, test) == pytest.approx(model.predict_proba(new)[:, 1], abs=1e-9)


def test_naive_bayes_of_one_category_is_bayes_rule(split: tuple[Matrix, Matrix]) -> None:
    train, test = (m.keep_features(["industry"]) for m in split)
    found = naive_bayes(train, test)
    level = train.columns[0] == "業種1"
    assert found[test.columns[0] == "業種1"] == pytest.approx(train.label[level].mean(), abs=0.01)


def test_every_peer_gives_probabilities_where_levels_are_new_and_values_missing(split: tuple[Matrix, Matrix]) -> None:
    train, test = split
    odd = replace(
        test,
        columns=tuple(
            np.full(len(test), "never seen", dtype=object) if c.dtype == object else np.full(len(test), np.nan)
            for c in test.columns
        ),
    )
    for name, fit in peers().items():
        if name != "CatBoost":
            found = fit(train, odd)
            assert found.shape == (600,), name
            assert ((found >= 0) & (found <= 1)).all(), name


def pairs_of(matrix: Matrix) -> list[Pair]:
    return [
        *cut(matrix, 0.5, 0.8),
        *rolling(matrix, (0.6, 0.8, 1.0)),
        *windows(matrix, 40, 200),
        *equal_row_folds(matrix, 4, 2),
    ]


def test_no_test_row_is_learned_from_and_no_label_known_too_late() -> None:
    matrix = world(1_500, seed=41, rows_a_lead=2)
    kinds = pairs_of(matrix)
    assert len(kinds) > 10
    for pair in kinds:
        assert not set(pair.train.cycle) & set(pair.test.cycle)
        assert len(pair.row) == len(pair.test)
        assert np.array_equal(matrix.label[pair.row], pair.test.label)
    for pair in kinds[:-8]:
        assert pair.train.matured_at.max() <= pair.test.cycle_start.min()
    folds = kinds[-8:]
    for repeat in (0, 1):
        rows = np.concatenate([p.row for p in folds if p.repeat == repeat])
        assert np.array_equal(np.sort(rows), np.arange(len(matrix)))


def test_a_sample_holds_the_conversions_asked_for() -> None:
    matrix = world(3_000, seed=42, rows_a_lead=2)
    kept = converted_sample(matrix, 40, seed=3)
    assert len(np.unique(kept.cycle[kept.label == 1.0])) == 40
    assert len(np.unique(kept.cycle)) * 2 == len(kept)


def known_case(kind: str = "forward") -> tuple[Case, list[Pair], np.ndarray, np.ndarray]:
    test = world(2_000, seed=43)
    rng = np.random.default_rng(0)
    truth = rng.normal(-2, 1, 2_000)
    label = expit(truth) if kind == "truth" else (rng.random(2_000) < expit(truth)).astype(float)
    pair = Pair(test, replace(test, label=label), np.arange(2_000))
    return Case("known", kind, lambda: iter([pair])), [pair], truth, label  # type: ignore[arg-type]


def test_figures_are_scikit_learn_s_and_the_interval_holds_the_difference() -> None:
    case, pairs, truth, label = known_case()
    good, bad = expit(truth), expit(0.3 * truth - 1)
    found = compared(
        case,
        pairs,
        {"bad": Answers([bad], 1.0), "prior": Answers([np.full(2_000, 0.5)], 0.0), OURS: Answers([good], 2.0)},
    )
    assert found.best_peer == "bad"
    assert found.figures[OURS].log_loss == pytest.approx(log_loss(label, good))
    assert found.figures["bad"].auc == pytest.approx(roc_auc_score(label, bad))
    assert found.difference == pytest.approx(log_loss(label, good) - log_loss(label, bad))
    assert found.low < found.difference < found.high < 0
    assert found.verdict == "better"
    assert found.figures[OURS].ece <= found.ece_chance < 0.06


def test_what_is_worse_is_said_to_be_worse() -> None:
    case, pairs, truth, _ = known_case()
    found = compared(case, pairs, {"good": Answers([expit(truth)], 1.0), OURS: Answers([expit(0.3 * truth - 1)], 1.0)})
    assert found.verdict == "worse"
    assert found.low > 0
    assert mean_ranks([found]) == {"good": 1.0, OURS: 2.0}


def test_the_oracle_reaches_all_of_itself_and_the_rate_nothing() -> None:
    case, pairs, truth, label = known_case("truth")
    rate = np.full(2_000, label.mean())
    found = compared(case, pairs, {"prior": Answers([rate], 0.0), OURS: Answers([expit(truth)], 0.0)})
    assert found.part_of_oracle(OURS) == pytest.approx((1.0, 1.0))
    assert found.part_of_oracle("prior") == pytest.approx((0.0, 0.0), abs=1e-9)
    half = expit(logit(rate) + 0.5 * (truth - truth.mean()))
    part = compared(case, pairs, {"prior": Answers([rate], 0.0), OURS: Answers([half], 0.0)}).part_of_oracle(OURS)
    assert part is not None
    assert part[0] == pytest.approx(1.0)
    assert 0.3 < part[1] < 1.0


def test_repeats_of_a_row_are_one_piece_of_evidence() -> None:
    case, pairs, truth, _ = known_case()
    answers = {"bad": [expit(0.3 * truth - 1)], OURS: [expit(truth)]}
    again = [pairs[0], replace(pairs[0], repeat=1)]
    once = compared(case, pairs, {n: Answers(a, 0.0) for n, a in answers.items()})
    twice = compared(case, again, {n: Answers(a * 2, 0.0) for n, a in answers.items()})
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))
    assert twice.rows == 2_000


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict]]:
    out = tmp_path_factory.mktemp("quality") / "figures.json"
    answer = CliRunner().invoke(app, ["bench-quality", "--quick", "--out", str(out)])
    assert answer.exit_code == 0, answer.output
    return answer.output, json.loads(out.read_text())


def test_the_quick_run_measures_every_peer_on_every_case(quick: tuple[str, list[dict]]) -> None:
    output, found = quick
    assert {r["kind"] for r in found} == {"forward", "rolling", "truth"}
    names = {*peers(), OURS} - {"CatBoost"}
    for result in found:
        assert set(result["figures"]) - {"oracle"} == names
        assert all(np.isfinite(list(q.values())).all() for q in result["figures"].values())
        assert result["case"] in output
    oracle = next(r for r in found if r["kind"] == "truth")["figures"]
    assert all(q["log_loss"] >= oracle["oracle"]["log_loss"] for q in oracle.values())
    assert all(q["auc"] <= oracle["oracle"]["auc"] for q in oracle.values())


def test_tables_hold_every_case_and_method(quick: tuple[str, list[dict]]) -> None:
    results = [_again(r) for r in quick[1]]
    for figure in ("auc", "log_loss", "ece"):
        rows = figure_rows(results, figure)
        assert [row[0] for row in rows[1:]] == [r.case for r in results]
        assert len({len(row) for row in rows}) == 1
    assert markdown(verdict_rows(results)).count("\n") == len(results) + 1


def _again(found: dict) -> Result:
    kept = {k: v for k, v in found.items() if k not in ("verdict", "calibrated", "parts_of_oracle")}
    return Result(**(kept | {"figures": {n: Quality(**q) for n, q in found["figures"].items()}}))


def test_real_sets_that_are_absent_are_said_to_be(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["bench-quality", "--only", "olist", "--datasets", str(tmp_path)])
    assert answer.exit_code == 0
    assert "olist_funnel" in answer.output
    assert "absent" in answer.output


def test_a_case_that_does_not_exist_is_wrong_usage() -> None:
    answer = CliRunner().invoke(app, ["bench-quality", "--only", "nothing like it"], obj=Home(Path("unused")))
    assert "--only" in str(answer.exception)
