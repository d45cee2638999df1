"""Small training worlds: a matrix with a known truth, a model fitted on it, its bundle."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.company import Company, Target
from data.times import DAY, WEEK
from features.declaration import Declaration
from training.bundle import Bundle
from training.fitting import Fitted, Options
from training.golden import golden_rows
from training.matrix import Matrix
from training.writing import write_bundle

HORIZON = 30 * DAY
TARGET = Target("won", "won", HORIZON)
COMPANY = Company(targets=(TARGET,))


def declared(name: str, kind: str, group: str, direction: int = 0, **more: object) -> Declaration:
    return Declaration(name, kind, group, name, name, name, direction=direction, **more)  # type: ignore[arg-type]


DECLARATIONS = (
    declared("industry", "category", "fit", attribute="industry"),
    declared("campaign", "category", "fit", attribute="campaign"),
    declared("employees", "number", "fit", attribute="employees"),
    declared("noise", "number", "fit", attribute="noise"),
    declared("visits_30d_count", "count", "behaviour", 1, window_days=30),
    declared("visits_ever_count", "count", "behaviour", 1),
    declared("days_since_last_visit", "days_since_last", "behaviour", -1),
    declared("visits_decayed_7d", "decayed_sum", "behaviour", 1, half_life_days=7),
    declared("constant", "number", "fit", attribute="constant"),
)


def world(leads: int, *, seed: int = 0, signal: float = 1.0, rows_a_lead: int = 1) -> Matrix:
    """Leads a minute apart with a logistic truth of known strength; `signal` 0 is pure noise."""
    rng = np.random.default_rng(seed)
    n = leads * rows_a_lead
    cycle = np.repeat(np.arange(leads), rows_a_lead)
    step = np.tile(np.arange(rows_a_lead), leads)
    industry = rng.integers(0, 6, leads)[cycle]
    campaign = rng.zipf(1.6, leads).clip(max=400)[cycle]
    employees = np.exp(rng.normal(4, 2, leads))[cycle]
    visits = rng.poisson(2, n).astype(float)
    age = np.where(visits > 0, rng.exponential(20, n), np.nan)
    truth = -2.2 + signal * (
        0.9 * np.isin(industry, (1, 2))
        + 0.5 * np.log1p(visits)
        - 0.02 * np.nan_to_num(age, nan=90)
        + 0.3 * (employees > 90)
    )
    label = (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(float)
    start = (cycle.astype(np.int64) + 1) * 6 * 3_600 * 1_000_000
    as_of = start + 1 + step * WEEK
    names = np.array([f"業種{i}" for i in range(6)], dtype=object)[industry]
    names[rng.random(n) < 0.1] = None
    employees = np.where(rng.random(n) < 0.2, np.nan, employees)
    columns = (
        names,
        np.array([f"c{c}" for c in campaign], dtype=object),
        employees,
        rng.normal(size=n),
        visits,
        visits + rng.poisson(1, n),
        age,
        visits * np.exp(-np.nan_to_num(age, nan=0) / 10),
        np.ones(n),
    )
    return Matrix(
        DECLARATIONS,
        columns,
        label,
        np.full(n, 1.0 / rows_a_lead),
        start,
        as_of,
        as_of + HORIZON,
        cycle.copy(),
        cycle,
        step == 0,
    )


QUICK = Options(trials=4)


@dataclass(frozen=True)
class Model:
    matrix: Matrix
    fitted: Fitted
    bundle: Bundle


def bundle_of(folder: Path, matrix: Matrix, fitted: Fitted) -> Path:
    rows = matrix.keep_features([d.name for d in fitted.declarations])
    return write_bundle(
        folder,
        fitted.scorer,
        declarations=fitted.declarations,
        company=COMPANY,
        target=TARGET,
        as_of=int(matrix.matured_at.max()),
        snapshot="0" * 64,
        proven=True,
        golden=golden_rows(fitted.scorer, [rows.row(i) for i in range(12)]),
    )


def values_of(model: Model, position: int) -> list[object]:
    """One row's values in the bundle's schema order."""
    return model.matrix.keep_features([d.name for d in model.bundle.declarations]).row(position)


def columns_of(model: Model) -> dict[str, np.ndarray]:
    return dict(zip([d.name for d in model.matrix.declarations], model.matrix.columns, strict=True))


def files_of(bundle: Path) -> list[str]:
    return sorted(str(p.relative_to(bundle)) for p in bundle.rglob("*") if p.is_file())


def copied(bundle: Path, folder: Path) -> Path:
    """A copy of the bundle under its own name, in place of any damaged one."""
    place = folder / bundle.name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(bundle, place)
    return place


def resealed(bundle: Path) -> Path:
    """The folder with a manifest, and a name, that agree with its damaged files."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    text = json.dumps(manifest).encode()
    (bundle / "manifest.json").write_bytes(text)
    place = bundle.with_name(hashlib.sha256(text).hexdigest())
    shutil.rmtree(place, ignore_errors=True)
    return bundle.rename(place)
