"""What one answer costs beside what the library underneath charges for it."""

from __future__ import annotations

import random

import lightgbm
import numpy as np
import pytest
import shap

from data.clock import now
from data.home import Home
from data.store.history import lead_history
from data.store.operational import Store
from features.online import OnlineFeatures
from training.bundle import Bundle

pytestmark = pytest.mark.benchmark_suite


@pytest.fixture(scope="module")
def bundle(simulated_home: Home) -> Bundle:
    with Store.open(simulated_home) as store:
        deployment = store.deployment("won")
    assert deployment
    return Bundle.load(simulated_home.bundles / deployment.bundle_hash)


@pytest.fixture(scope="module")
def histories(simulated_home: Home) -> list:
    """Two hundred leads of the simulated company with 15 touchpoints or more."""
    with Store.open(simulated_home) as store:
        drawn = random.Random(3).sample(sorted(store.lead_ids()), 800)
        read = (lead_history(store, lead_id, as_of=now()) for lead_id in drawn)
        return [history for history in read if len(history.touchpoints) >= 15][:200]


@pytest.fixture(scope="module")
def rows(bundle: Bundle, histories: list) -> list:
    features = OnlineFeatures(bundle.declarations, bundle.company)
    return [features.row(history, now()) for history in histories]


def booster_texts(bundle: Bundle) -> list[str]:
    return [path.read_text() for path in sorted((bundle.path / "boosters").glob("*.txt"))]


def test_one_row_with_all_contributions_beside_lightgbms_own(side_by_side, bundle: Bundle, rows: list) -> None:
    boosters = [lightgbm.Booster(model_str=text) for text in booster_texts(bundle)]
    widths = [booster.num_feature() for booster in boosters]
    inputs = [np.zeros((1, width)) for width in widths]

    def theirs() -> None:
        for _ in rows:
            for booster, values in zip(boosters, inputs, strict=True):
                booster.predict(values, pred_contrib=True, num_threads=1)

    ratio = side_by_side(
        "one row: margin and all contributions, encodings and linear part included",
        lambda: [bundle.explain(row) for row in rows],
        "Booster.predict(pred_contrib=True) of the same boosters, one thread",
        theirs,
    )
    assert ratio.median < 3


def test_one_row_with_all_contributions_beside_shap(side_by_side, bundle: Bundle, rows: list) -> None:
    boosters = [lightgbm.Booster(model_str=text) for text in booster_texts(bundle)]
    explainers = [(shap.TreeExplainer(booster), np.zeros((1, booster.num_feature()))) for booster in boosters]

    def theirs() -> None:
        for _ in rows:
            for explainer, values in explainers:
                explainer.shap_values(values)

    side_by_side(
        "one row: margin and all contributions",
        lambda: [bundle.explain(row) for row in rows],
        "shap.TreeExplainer of the same boosters",
        theirs,
        rounds=5,
    )


def test_online_features_beside_one_pass_in_pandas(side_by_side, bundle: Bundle, histories: list) -> None:
    """A pandas user's first try: a frame a lead, a mask a window, six counts and a recency."""
    import pandas as pd

    features = OnlineFeatures(bundle.declarations, bundle.company)
    frames = [
        pd.DataFrame([(t.kind, t.occurred_at, t.recorded_at) for t in h.touchpoints], columns=["kind", "at", "known"])
        for h in histories
    ]
    as_of = now()
    day = 86_400_000_000

    def theirs() -> None:
        for frame in frames:
            visible = frame[(frame["at"] < as_of) & (frame["known"] < as_of)]
            for days in (1, 7, 30, 90, 365, 10_000):
                len(visible[visible["at"] >= as_of - days * day])
            visible["at"].max()

    side_by_side(
        f"one lead: all {len(bundle.declarations)} features online",
        lambda: [features.row(history, as_of) for history in histories],
        "seven of them in pandas",
        theirs,
    )
