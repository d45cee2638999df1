"""What a training run was computed with: kept with the run, since other versions may give other bytes."""

from __future__ import annotations

import json
import platform
from importlib import metadata

PACKAGES = ("lightgbm", "numpy", "scipy", "scikit-learn", "pandas", "duckdb", "ibis-framework", "shap", "mlflow")


def environment() -> str:
    """JSON: Python, the platform, and the packages that a bundle's numbers come from."""
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }
    return json.dumps(found, indent=1, sort_keys=True)
