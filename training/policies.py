"""From a history and a bundle to its operating policy: the I/O around training.choosing."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from training.aims import Aim, priced
from training.bundle import Bundle
from training.calibration import fit_calibration
from training.choosing import DEFAULT_SHARE, RECENT_WEEKS, choose_policy, choose_share, crossings
from training.fitting import Fitted
from training.matrix import Matrix
from training.policy import Policy
from training.rows import History, mean_amount, newest_rows, recent_panel

NEWEST_SHARE = 0.2
RECALIBRATIONS = 100
"""Draws of the backtest's groups behind the interval of a threshold that rests on probabilities."""


def chosen_policy(history: History, bundle: Bundle, aim: Aim, fitted: Fitted | None, *, seed: int) -> Policy:
    """The policy that `aim` asks for on recent leads. Raises UsageError, DataRefused where it cannot be met."""
    amount = mean_amount(history)
    aim = priced(aim, amount)
    drawn = recalibrations(fitted, bundle, seed=seed) if fitted and aim.method != "capacity" else ()
    if history.snapshot.company.time == "row":
        rows = newest_rows(history, bundle.declarations, share=NEWEST_SHARE)
        return choose_share(
            chances(bundle, rows),
            target=bundle.target,
            share=None if aim.capacity is None else min(aim.capacity / 100, 1.0),
            aim=aim,
            mean_amount=amount,
            as_of=history.as_of,
            proven=bundle.proven,
            seed=seed,
            recalibrations=drawn,
        )
    panel, scale = recent_panel(history, bundle.declarations, seed=seed)
    found = crossings(panel.cycle, panel.as_of, chances(bundle, panel), until=history.until, scale=scale)
    if aim == Aim():
        aim = Aim(capacity=default_capacity(found.before, scale))
    return choose_policy(
        found,
        target=bundle.target,
        aim=aim,
        mean_amount=amount,
        as_of=history.as_of,
        proven=bundle.proven,
        seed=seed,
        recalibrations=drawn,
    )


def recalibrations(fitted: Fitted, bundle: Bundle, *, seed: int) -> list[tuple[float, float]]:
    """Platt's line on draws of the backtest's groups: how far the probabilities may be off, as far as one can know."""
    calibration = bundle.scorer.scorer.calibration
    rows = [s.rows for s in fitted.slices]
    margin = calibration.shift + calibration.slope * np.concatenate(fitted.honest)
    label, weight, group = (np.concatenate([getattr(r, n) for r in rows]) for n in ("label", "weight", "group"))
    _, codes = np.unique(group, return_inverse=True)
    random, count = np.random.default_rng(seed), int(codes.max()) + 1
    drawn = []
    for _ in range(RECALIBRATIONS):
        times = np.bincount(random.integers(0, count, count), minlength=count)[codes]
        line = fit_calibration("platt", margin, label, weight * times)
        drawn.append((line.shift, line.slope))
    return drawn


def chances(bundle: Bundle, rows: Matrix) -> np.ndarray:
    """logistic(margin) of each row; for an unproven bundle the same map, without the claim of a probability."""
    kept = rows.keep_features([d.name for d in bundle.declarations])
    return np.asarray(expit(bundle.scorer.margins(kept.columns, threads=2)))


def default_capacity(before: np.ndarray, scale: float) -> float:
    """A fifth of the lead cycles that are new in an average recent week, at least one."""
    return max(1.0, float(np.ceil(DEFAULT_SHARE * (before < 0).sum() * scale / RECENT_WEEKS)))
