"""Small LightGBM boosters over encoded features, fit and behaviour in separate trees, directions kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from features.declaration import Declaration
from training.matrix import Matrix

STEPS = (15, 30, 50, 75, 100, 150, 200)
"""Numbers of trees among which the backtest chooses."""
THREADS = 2


@dataclass(frozen=True)
class Setting:
    """What a trial tries. `on_linear`: starts from the linear part's out-of-fold margin."""

    leaves: int
    extra_trees: bool = False
    on_linear: bool = False
    learning_rate: float = 0.05

    @property
    def name(self) -> str:
        kind = "lightgbm on logistic" if self.on_linear else "lightgbm"
        return f"{kind}, {self.leaves} leaves" + (", extra trees" if self.extra_trees else "")


SETTINGS = (
    Setting(8),
    Setting(4, on_linear=True),
    Setting(4),
    Setting(8, extra_trees=True),
    Setting(8, on_linear=True),
    Setting(16),
    Setting(4, extra_trees=True),
    Setting(16, extra_trees=True),
)
"""In the order in which a small number of trials takes them."""


@dataclass(frozen=True)
class Shape:
    """What the declarations ask of every tree."""

    groups: tuple[tuple[int, ...], ...]
    """Features that may meet in one tree."""
    directions: tuple[int, ...]


def shape_of(declarations: Sequence[Declaration], *, separate: bool = True, monotone: bool = True) -> Shape:
    groups = [tuple(i for i, d in enumerate(declarations) if d.group == g) for g in ("fit", "behaviour")]
    full = tuple(g for g in groups if g)
    directions = tuple(0 if d.is_category or not monotone else int(d.direction) for d in declarations)
    return Shape(full if separate and len(full) > 1 else (), directions)


def dataset(table: np.ndarray, matrix: Matrix, init_score: np.ndarray | None = None) -> lightgbm.Dataset:
    """`table` is the encoded [n, k]; binned once and used by every trial."""
    return lightgbm.Dataset(
        table,
        matrix.label,
        weight=matrix.weight,
        init_score=init_score,
        params={"max_bin": 127, "feature_pre_filter": False, "verbose": -1, "num_threads": THREADS},
        free_raw_data=False,
    )


def fit_booster(
    data: lightgbm.Dataset, setting: Setting, shape: Shape, *, trees: int, rows_a_leaf: int, seed: int
) -> lightgbm.Booster:
    """LightGBM as field practice found it best forward in time: few leaves, strong smoothing; deterministic."""
    return lightgbm.train(_parameters(setting, shape, rows_a_leaf, seed), data, num_boost_round=trees)


def staged_margins(booster: lightgbm.Booster, table: np.ndarray, steps: Sequence[int] = STEPS) -> dict[int, np.ndarray]:
    """Raw margins [n] after each number of trees in `steps`, added up piece by piece."""
    margins, total, done = {}, np.zeros(len(table)), 0
    for step in steps:
        more = booster.predict(
            table, start_iteration=done, num_iteration=step - done, raw_score=True, num_threads=THREADS
        )
        total, done = total + np.asarray(more), step
        margins[step] = total
    return margins


def booster_text(booster: lightgbm.Booster) -> str:
    """Native text without the training parameters, which nobody reads back and which name thread counts."""
    text = booster.model_to_string()
    return text[: text.index("\nparameters:")] + "\n\npandas_categorical:null\n" if "\nparameters:" in text else text


def _parameters(setting: Setting, shape: Shape, rows_a_leaf: int, seed: int) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "objective": "binary",
        "num_leaves": setting.leaves,
        "learning_rate": setting.learning_rate,
        "extra_trees": setting.extra_trees,
        "min_data_in_leaf": rows_a_leaf,
        "lambda_l2": 5.0,
        "path_smooth": 5.0,
        "monotone_constraints": list(shape.directions) if any(shape.directions) else None,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,
        "max_bin": 127,
        "num_threads": THREADS,
        "seed": seed,
        "verbose": -1,
    }
    if shape.groups:
        parameters["interaction_constraints"] = [list(g) for g in shape.groups]
    return {k: v for k, v in parameters.items() if v is not None}
