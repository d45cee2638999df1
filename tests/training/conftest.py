"""The training world most tests share, fitted once."""

from __future__ import annotations

import pytest

from tests.training.worlds import QUICK, Model, bundle_of, world
from training.bundle import Bundle
from training.fitting import fit_scorer


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model fitted on 3,000 leads with signal, as a bundle with golden rows."""
    matrix = world(3_000)
    fitted = fit_scorer(matrix, QUICK)
    path = bundle_of(tmp_path_factory.mktemp("bundles"), matrix, fitted)
    return Model(matrix, fitted, Bundle.load(path))
