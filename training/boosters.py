"""Small LightGBM boosters over encoded features, fit and behaviour in separate trees, directions kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from features.declaration import Declaration
from training.matrix import Matrix

STEPS = (15, 30, 50, 75, 100, 150, 225, 300)
"""Numbers of trees among which the backtest chooses."""
BINS = 127
FEATURES = 0.4
"""Share of the features that a tree may use: trees that differ err less together."""


@dataclass(frozen=True)
class Setting:
    """What a trial tries."""

    leaves: int
    extra_trees: bool = False
    on_linear: bool = False
    """Starts from the logistic's out-of-fold margin."""
    half_life: float | None = None
    """Weights of rows halve for each such share of the cycles that came later; None: all weigh alike."""

    ridge: float = 5.0
    """λ₂: a leaf of so much weight × p·(1 − p) goes half the way that its rows alone would send it."""

    @property
    def name(self) -> str:
        kind = "lightgbm on logistic" if self.on_linear else "lightgbm"
        extra = ", extra trees" if self.extra_trees else ""
        held = f", ridge {self.ridge:g}" if self.ridge != 5.0 else ""
        aged = f", half-life {self.half_life:g}" if self.half_life else ""
        return f"{kind}, {self.leaves} leaves{extra}{held}{aged}"


SETTINGS = (
    Setting(8, ridge=50.0),
    Setting(4, on_linear=True, ridge=50.0),
    Setting(8, extra_trees=True),
    Setting(4, ridge=50.0),
    Setting(2, ridge=20.0),
    Setting(8, half_life=0.3),
    Setting(8, half_life=0.1),
    Setting(8),
    Setting(4, on_linear=True),
    Setting(4, extra_trees=True),
    Setting(16),
    Setting(16, extra_trees=True),
    Setting(16, half_life=0.3),
)
"""In the order in which a number of trials takes them; up to eight leaves first, whose reasons cost next to nothing
(training.shapley)."""


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


def dataset(
    table: np.ndarray,
    matrix: Matrix,
    *,
    init_score: np.ndarray | None = None,
    like: lightgbm.Dataset | None = None,
) -> lightgbm.Dataset:
    """`table` is the encoded [n, k]; binned once (`like` shares its bins), used by every trial."""
    made = lightgbm.Dataset(
        table,
        matrix.label,
        weight=matrix.weight,
        init_score=init_score,
        reference=like,
        params={"max_bin": BINS, "feature_pre_filter": False, "verbose": -1, "num_threads": 1},
    )
    return made.construct()


def fit_booster(
    data: lightgbm.Dataset, setting: Setting, shape: Shape, *, trees: int, rows_a_leaf: int, seed: int
) -> lightgbm.Booster:
    """LightGBM as field practice found it best forward in time: few leaves, strong smoothing; deterministic.

    One thread: trials run side by side instead, which wastes nothing at barriers.
    """
    return lightgbm.train(_parameters(setting, shape, rows_a_leaf, seed), data, num_boost_round=trees)


def staged_margins(booster: lightgbm.Booster, table: np.ndarray, steps: Sequence[int] = STEPS) -> dict[int, np.ndarray]:
    """Raw margins [n] after each number of trees in `steps`, added up piece by piece."""
    margins, total, done = {}, np.zeros(len(table)), 0
    for step in steps:
        more = booster.predict(table, start_iteration=done, num_iteration=step - done, raw_score=True, num_threads=1)
        total, done = total + np.asarray(more), step
        margins[step] = total
    return margins


def booster_text(booster: lightgbm.Booster) -> str:
    """Native text without the training parameters: nobody reads them back, and they name the thread count."""
    text = booster.model_to_string()
    return text[: text.index("\nparameters:")] + "\n\npandas_categorical:null\n" if "\nparameters:" in text else text


def _parameters(setting: Setting, shape: Shape, rows_a_leaf: int, seed: int) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "objective": "binary",
        "num_leaves": setting.leaves,
        "learning_rate": 0.06,
        "extra_trees": setting.extra_trees,
        "min_data_in_leaf": rows_a_leaf,
        "lambda_l2": setting.ridge,
        "feature_fraction": 1.0 if setting.extra_trees else FEATURES,
        "path_smooth": 5.0,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,
        "max_bin": BINS,
        "num_threads": 1,
        "seed": seed,
        "verbose": -1,
    }
    if any(shape.directions):
        parameters["monotone_constraints"] = list(shape.directions)
    if shape.groups:
        parameters["interaction_constraints"] = [list(g) for g in shape.groups]
    return parameters
