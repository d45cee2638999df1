"""Whether the blend beats a constant beyond noise, forward in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from training.backtest import PRIOR, RECENT, Tested
from training.blend import blend_weights, row_losses
from training.calibration import clustered_mean

NOISE = 1.645
"""Standard errors by which the gain in log loss must exceed nothing: a one-sided 5% test."""
NOISE_OF_ORDER = 2.326
"""Standard errors by which the AUC must exceed one half: a one-sided 1% test."""
NOISE_AFTER_CHOICE = 3.0
"""Both, where the blend was chosen on the very slices it is tested on: the best of some ten tries is flattered."""

NO_ORDER = 1e3
"""Standard error of an AUC where only one kind of outcome is there."""


@dataclass(frozen=True)
class Evidence:
    """Errors are standard errors; rows of one person or account count together."""

    gain: float
    """Mean log loss of the best constant (older and newer rates mixed) minus the blend's."""
    gain_error: float
    order: float
    """AUC within slices, averaged; one half where leads cannot be told apart."""
    order_error: float
    """If leads could not be told apart (Mann and Whitney 1947)."""

    def exceeds(self, noise: float, noise_of_order: float) -> bool:
        return self.gain > noise * self.gain_error or self.order - 0.5 > noise_of_order * self.order_error


@dataclass(frozen=True)
class Proof:
    honest: Evidence
    """Of blends chosen without the slice they are tested on."""
    chosen: Evidence
    """Of the one blend chosen on all slices."""

    @property
    def forward(self) -> bool:
        """Either the procedure held on slices it had not seen, or its choice stands out far beyond choosing by luck.

        The second is for signal that only the newest slice shows.
        """
        return self.honest.exceeds(NOISE, NOISE_OF_ORDER) or self.chosen.exceeds(NOISE_AFTER_CHOICE, NOISE_AFTER_CHOICE)


def tells_apart(found: Evidence) -> bool:
    """In a random split: leads of one time can be told apart, which forward in time may yet fail."""
    return found.exceeds(np.inf, NOISE_AFTER_CHOICE)


def evidence_of(slices: Sequence[Tested], margins: Sequence[np.ndarray]) -> Evidence:
    """`margins` [rows] of a blend on each slice."""
    say = np.array([s.fold.weight for s in slices]) / sum(s.fold.weight for s in slices)
    constants = [s.slice_of([PRIOR, RECENT]) for s in slices]
    mixture = blend_weights(constants)
    gains = [_gain(s, c.margins @ mixture, m) for s, c, m in zip(slices, constants, margins, strict=True)]
    orders = [_order(s, margin) for s, margin in zip(slices, margins, strict=True)]
    pairs = np.array([1.0 / error**2 for _, error in orders])
    share = pairs / pairs.sum()
    return Evidence(
        gain=float(say @ [g for g, _ in gains]),
        gain_error=float(np.sqrt(say**2 @ np.square([e for _, e in gains]))),
        order=float(share @ [o for o, _ in orders]),
        order_error=float(1.0 / np.sqrt(pairs.sum())),
    )


def _gain(tested: Tested, constant: np.ndarray, margin: np.ndarray) -> tuple[float, float]:
    rows = tested.rows
    difference = row_losses(constant, rows.label) - row_losses(margin, rows.label)
    return clustered_mean(difference, rows.weight, rows.group)


def _order(tested: Tested, margin: np.ndarray) -> tuple[float, float]:
    rows = tested.rows
    won = len(np.unique(rows.group[rows.label == 1.0]))
    lost = max(len(np.unique(rows.group)) - won, 1)
    if not 0 < rows.label.sum() < len(rows):
        return 0.5, NO_ORDER
    auc = float(roc_auc_score(rows.label, margin, sample_weight=rows.weight))
    return auc, float(np.sqrt((won + lost + 1) / (12.0 * won * lost)))
