"""Fixtures every room's tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "datasets"

# Telemetry stays off in tests whichever way a test starts a process.
os.environ.update({"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "True"})


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_datasets() -> Path:
    """Real data beside the checkout. Absent on a stranger's machine, which the test then says."""
    if not SHARED.is_dir():
        pytest.skip("real data is not beside this checkout (../shared/datasets): real-data tests not run")
    return SHARED
