"""What others would have fitted on the same features: the peers that `leadscore bench-quality` measures ours against.

Each takes the training rows with their weights and gives probabilities of the
test rows. Settings are the libraries' own or fixed here, never tuned on a test
part. Categories reach each library in the form in which it does best: one-hot
for the line, native for the trees.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from training.encoding import smoothed_rate
from training.matrix import Matrix
from training.naive_bayes import naive_bayes_margins

THREADS = 1
"""Of each: methods run side by side instead, which wastes nothing at barriers."""
NULL = "(null)"
REGULARISED = {"n_estimators": 200, "learning_rate": 0.03, "num_leaves": 15, "min_child_samples": 40}
MOST_LEVELS = 250
"""HistGradientBoosting takes no more than 255 levels of a category; rarer ones are missing values to it."""

Peer = Callable[[Matrix, Matrix], np.ndarray]


def prior(train: Matrix, test: Matrix) -> np.ndarray:
    """The rate of all training rows."""
    return np.full(len(test), smoothed_rate(train))


def naive_bayes(train: Matrix, test: Matrix) -> np.ndarray:
    """Frequency naive Bayes as open-source CRMs ship it."""
    return np.asarray(expit(naive_bayes_margins(train, test)))


def logistic(train: Matrix, test: Matrix) -> np.ndarray:
    """scikit-learn's logistic regression, C = 1: one-hot categories, numbers standardised and imputed by median."""
    from sklearn.linear_model import LogisticRegression

    design = _one_hot(train)
    model = LogisticRegression(max_iter=2_000)
    model.fit(design.fit_transform(_frame(train)), train.label, sample_weight=train.weight)
    return np.asarray(model.predict_proba(design.transform(_frame(test)))[:, 1])


def lightgbm(train: Matrix, test: Matrix) -> np.ndarray:
    """LightGBM as the library ships it, categories native."""
    return _lightgbm(train, test, {})


def regularised_lightgbm(train: Matrix, test: Matrix) -> np.ndarray:
    """LightGBM with 200 trees of 15 leaves, learning rate .03, at least 40 rows a leaf."""
    return _lightgbm(train, test, REGULARISED)


def hist_gradient_boosting(train: Matrix, test: Matrix) -> np.ndarray:
    """scikit-learn's HistGradientBoosting as it is shipped, categories native."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    before, after = _coded(train, test, most=MOST_LEVELS)
    names = [str(d.name) for d in train.declarations if d.is_category]
    model = HistGradientBoostingClassifier(categorical_features=names or None, random_state=0)
    with threadpool_limits(THREADS):
        model.fit(before, train.label, sample_weight=train.weight)
        return np.asarray(model.predict_proba(after)[:, 1])


def catboost(train: Matrix, test: Matrix) -> np.ndarray:
    """CatBoost as it is shipped, categories native. Needs the package, which only the bench has."""
    from catboost import CatBoostClassifier, Pool

    categories = [i for i, d in enumerate(train.declarations) if d.is_category]
    pools = [
        Pool(
            _frame(m), m.label if m is train else None, weight=m.weight if m is train else None, cat_features=categories
        )
        for m in (train, test)
    ]
    model = CatBoostClassifier(thread_count=THREADS, random_seed=0, verbose=False, allow_writing_files=False)
    return np.asarray(model.fit(pools[0]).predict_proba(pools[1])[:, 1])


def peers() -> dict[str, Peer]:
    """By name, those that can be run here; CatBoost is left out where its package is absent."""
    found: dict[str, Peer] = {
        "prior": prior,
        "naive Bayes": naive_bayes,
        "logistic": logistic,
        "LightGBM": lightgbm,
        "LightGBM, regularised": regularised_lightgbm,
        "HistGradientBoosting": hist_gradient_boosting,
    }
    return found | ({"CatBoost": catboost} if catboost_is_here() else {})


def catboost_is_here() -> bool:
    return importlib.util.find_spec("catboost") is not None


def _lightgbm(train: Matrix, test: Matrix, settings: dict[str, Any]) -> np.ndarray:
    from lightgbm import LGBMClassifier

    before, after = _coded(train, test)
    categories = [i for i, d in enumerate(train.declarations) if d.is_category]
    model = LGBMClassifier(
        **settings, n_jobs=THREADS, deterministic=True, force_row_wise=True, random_state=0, verbose=-1
    )
    model.fit(before.to_numpy(), train.label, sample_weight=train.weight, categorical_feature=categories or "auto")
    return np.asarray(model.predict_proba(after.to_numpy())[:, 1])


def _one_hot(train: Matrix) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    categories = [d.name for d in train.declarations if d.is_category]
    numbers = [d.name for d in train.declarations if not d.is_category]
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), categories),
            ("numbers", make_pipeline(imputer, StandardScaler()), numbers),
        ]
    )


def _frame(matrix: Matrix) -> pd.DataFrame:
    """Text and float columns by name; a null category is a word of its own."""
    columns = {
        d.name: np.array([NULL if v is None else str(v) for v in c], dtype=object) if d.is_category else c
        for d, c in zip(matrix.declarations, matrix.columns, strict=True)
    }
    return pd.DataFrame(columns)


def _coded(train: Matrix, test: Matrix, most: int | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Float columns; categories as whole numbers, the commonest first; null and unseen levels are missing."""
    before, after = {}, {}
    for i, declaration in enumerate(train.declarations):
        seen, asked = train.columns[i], test.columns[i]
        if declaration.is_category:
            levels = pd.Index(pd.Series(seen, dtype=object).value_counts().index[:most])
            seen, asked = (levels.get_indexer(pd.Index(v, dtype=object)).astype(np.float64) for v in (seen, asked))
            seen, asked = np.where(seen < 0, np.nan, seen), np.where(asked < 0, np.nan, asked)
        before[declaration.name], after[declaration.name] = seen, asked
    return pd.DataFrame(before), pd.DataFrame(after)
