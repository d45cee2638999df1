"""A trained bundle: sums that add up, one row and many alike, the same bytes again, no damage served."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from data.errors import DataRefused, ModelRefused, NotFound
from tests.training.worlds import QUICK, Model, bundle_of, columns_of, copied, files_of, resealed, values_of
from training.bundle import Bundle, logistic
from training.fitting import fit_scorer
from training.verify import verify_bundle

ROWS = range(0, 3_000, 150)


def test_parts_and_contributions_sum_to_the_margin(model: Model) -> None:
    groups = np.array([d.group == "fit" for d in model.bundle.declarations])
    for row in ROWS:
        scored = model.bundle.explain(values_of(model, row))
        each = np.array(scored.contributions)
        assert scored.base + scored.fit + scored.behaviour == scored.margin
        assert scored.base + each.sum() == pytest.approx(scored.margin, abs=1e-9)
        assert each[groups].sum() == pytest.approx(scored.fit, abs=1e-9)
        assert scored.probability == logistic(scored.margin)


def test_one_row_and_many_agree_to_the_last_bit(model: Model) -> None:
    table = model.bundle.score_columns(columns_of(model))
    for row in ROWS:
        scored = model.bundle.explain(values_of(model, row))
        assert scored.margin == table.margin[row]
        assert scored.probability == table.probability[row]
        assert scored.contributions == tuple(table.contributions[row])


def test_the_bundle_scores_as_the_fitted_parts_do(model: Model) -> None:
    """The margin rebuilt from the written parts: linear terms by hand, trees by LightGBM's own raw scores."""
    scorer = model.fitted.scorer
    table = model.bundle.score_columns(columns_of(model))
    encoded = model.bundle.scorer.encoded([columns_of(model)[d.name] for d in model.bundle.declarations])
    for row in ROWS:
        raw = sum(
            part.weight * lightgbm.Booster(model_str=part.text).predict(encoded[row : row + 1], raw_score=True)[0]
            for part in scorer.boosters
        )
        linear = scorer.linear.intercept + sum(
            linear_term(t, v) for t, v in zip(scorer.linear.terms, filled(model, row), strict=True)
        )
        margin = scorer.prior_weight * scorer.prior_margin + scorer.linear_share * linear + raw
        assert scorer.calibration.shift + scorer.calibration.slope * margin == pytest.approx(
            table.margin[row], abs=1e-9
        )


def filled(model: Model, row: int) -> list[object]:
    """The row's values with recency nulls as the oldest age, as the linear part is given them."""
    values = []
    for column, value in zip(model.fitted.scorer.columns, values_of(model, row), strict=True):
        oldest = getattr(column, "cap", None)
        missing = value is None and oldest is not None
        values.append(column.null if missing else min(value, oldest) if oldest is not None else value)
    return values


def linear_term(term: object, value: object) -> float:
    if hasattr(term, "levels"):
        return term.null if value is None else term.levels.get(value, term.other)
    if value is None:
        return term.null
    f = np.sign(value) * np.log1p(abs(value)) if term.logarithm else value
    return float(term.slope * np.clip(f, term.low, term.high) + term.offset)


@pytest.mark.parametrize("damage", ["unseen level", "null everywhere", "huge numbers"])
def test_rows_like_none_before_get_a_finite_answer(model: Model, damage: str) -> None:
    values = []
    for declaration, value in zip(model.bundle.declarations, values_of(model, 0), strict=True):
        odd = {"unseen level": "never seen", "null everywhere": None, "huge numbers": value}[damage]
        large = {"unseen level": value, "null everywhere": None, "huge numbers": 1e300}[damage]
        values.append(odd if declaration.is_category else large)
    scored = model.bundle.explain(values)
    assert np.isfinite(scored.margin)
    assert 0 < scored.probability < 1


def test_a_table_without_a_declared_feature_is_refused_by_name(model: Model) -> None:
    columns = columns_of(model)
    del columns["visits_30d_count"]
    with pytest.raises(DataRefused, match="visits_30d_count"):
        model.bundle.score_columns(columns)


def test_a_row_of_another_length_is_refused(model: Model) -> None:
    with pytest.raises(DataRefused, match="values"):
        model.bundle.explain([1.0])


def test_training_again_gives_the_same_bytes(model: Model, tmp_path: Path) -> None:
    again = bundle_of(tmp_path, model.matrix, fit_scorer(model.matrix, QUICK))
    assert again.name == model.bundle.hash
    assert {p.name: p.read_bytes() for p in again.rglob("*") if p.is_file()} == {
        p.name: p.read_bytes() for p in model.bundle.path.rglob("*") if p.is_file()
    }


def test_verification_passes_a_sound_bundle(model: Model) -> None:
    verify_bundle(model.bundle.path)


def test_a_missing_file_is_refused(model: Model, tmp_path: Path) -> None:
    for name in files_of(model.bundle.path):
        damaged = copied(model.bundle.path, tmp_path)
        (damaged / name).unlink()
        with pytest.raises((ModelRefused, NotFound)):
            verify_bundle(damaged)


def test_declarations_of_another_schema_hash_are_refused(model: Model, tmp_path: Path) -> None:
    damaged = copied(model.bundle.path, tmp_path)
    schema = json.loads((damaged / "schema.json").read_text())
    schema["declarations"][0]["name"] = "other"
    (damaged / "schema.json").write_text(json.dumps(schema))
    with pytest.raises(ModelRefused, match="schema"):
        Bundle.load(resealed(damaged))


def test_scoring_imports_no_training_library(root: Path) -> None:
    """lightgbm brings scikit-learn and pandas where they are installed; the rest must not come."""
    code = (
        "import sys, training.bundle, training.policy;"
        "print([m for m in ('mlflow', 'shap', 'ibis', 'duckdb', 'evidently', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"
