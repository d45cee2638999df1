"""Rare levels of a category: fewer than ten lead cycles share one value, ten stand alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.worlds import declared, world
from training.backtest import prepare
from training.encoding import encode, encode_out_of_fold, encoded_column, fit_columns
from training.linear import CategoryBlock, fit_linear, linear_part
from training.matrix import Matrix
from training.parts import CategoryColumn, CategoryTerm

LEVELS = {"nine": 9, "ten": 10, "three": 3, None: 5}
"""How many lead cycles have each; all others have "common"."""
ROWS_A_CYCLE = 4
"""Rows do not make a level frequent, lead cycles do: nine of them have 36 rows."""


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    found = world(600, seed=4, rows_a_lead=ROWS_A_CYCLE)
    of_cycle = np.array(["common"] * 600, dtype=object)
    of_cycle[: sum(LEVELS.values())] = [level for level, count in LEVELS.items() for _ in range(count)]
    category = replace(found, declarations=(declared("level", "category", "fit", attribute="level"),))
    return replace(category, columns=(np.random.default_rng(9).permutation(of_cycle)[found.cycle],))


def log_odds(matrix: Matrix, rows: np.ndarray) -> float:
    """logit((Σw·y + 20·p) / (Σw + 20)), p the overall rate with half an outcome on each side."""
    weight, label = matrix.weight, matrix.label
    prior = ((weight * label).sum() + 0.5) / (weight.sum() + 1)
    rate = ((weight * label)[rows].sum() + 20 * prior) / (weight[rows].sum() + 20)
    return float(np.log(rate / (1 - rate)))


def test_nine_cycles_pool_and_ten_do_not_for_the_trees(matrix: Matrix) -> None:
    (column,) = fit_columns(matrix)
    assert isinstance(column, CategoryColumn)
    level = matrix.columns[0]
    assert column.levels == pytest.approx({name: log_odds(matrix, level == name) for name in ("common", "ten")})
    pooled = log_odds(matrix, (level == "nine") | (level == "three"))
    assert column.other == pytest.approx(pooled)
    assert column.null == pytest.approx(log_odds(matrix, level == None))  # noqa: E711
    asked = np.array(["nine", "three", "never seen", "ten"], dtype=object)
    nine, three, unseen, ten = encoded_column(column, asked)
    assert nine == three == unseen == column.other != ten


def test_what_stands_alone_is_settled_on_all_rows_not_fold_by_fold(matrix: Matrix) -> None:
    """Without one fold the ten cycles are nine or fewer: they stand alone all the same, as in the model shipped."""
    columns = fit_columns(matrix)
    folds = matrix.cycle % 5
    found = encode_out_of_fold(matrix, columns, folds)[:, 0]
    level = matrix.columns[0]
    for fold in range(5):
        inside, ten = folds == fold, level == "ten"
        if not (inside & ten).any():
            continue
        outside = replace(matrix.take(~inside), columns=(level[~inside],))
        assert found[inside & ten] == pytest.approx(log_odds(outside, outside.columns[0] == "ten"))
    assert not np.array_equal(found, encode(matrix, columns)[:, 0])


def test_nine_cycles_pool_and_ten_do_not_in_the_linear_part(matrix: Matrix) -> None:
    prepared = prepare(matrix, seed=0)
    (block,) = prepared.design.blocks
    assert isinstance(block, CategoryBlock)
    assert block.levels == ("common", "ten")
    fit = fit_linear(prepared.design, prepared.x, matrix, strength=1.0)
    (term,) = linear_part(fit, prepared.x, matrix.weight, 1).terms
    assert isinstance(term, CategoryTerm)
    assert set(term.levels) == {"common", "ten"}
    assert len({term.levels["ten"], term.other, term.null}) == 3
