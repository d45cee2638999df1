"""The true probabilities: continuations of the funnel from sampled states.

Because the state of a lane is a function of what is on record at its midnight
and the process is Markov in it, the share of independent continuations that
reach a target within its window is an unbiased estimate of the probability of
reaching it given the observable history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.simulator.funnel import Engine, Lanes
from data.simulator.history import TRUTH
from data.simulator.population import generator
from data.simulator.world import CLOSED, WON, World, calendar_of
from data.simulator.world import SQL as SQL_STAGE
from data.times import DAY, MICROSECOND, SECOND

Probabilities = NDArray[np.float64]
ROWS_AT_ONCE = 200
"""States whose continuations run side by side: bounds the memory, and names the random stream."""
OFFICE_OPENS, OFFICE_HOURS = 9 * 3600, 9.5 * 3600
"""Stage changes fall evenly into these hours of their day."""


@dataclass(frozen=True)
class TruthTarget:
    name: str
    stage: int
    days: int
    """Horizon: the window is [as_of, as_of + days)."""


TARGETS = (TruthTarget("won", WON, 90), TruthTarget("sql", SQL_STAGE, 30))


@dataclass(frozen=True)
class States:
    """Sampled lanes and the second of the day before `lanes.day` at which they stand.

    A grid row stands at the midnight that opens `lanes.day` (`second` is 0 and
    `first_day` = `lanes.day`); a creation row stands within the day before.
    """

    lanes: Lanes
    first_day: NDArray[np.int32]
    second: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.lanes)

    def as_of(self, world: World) -> NDArray[np.int64]:
        """Microseconds UTC; one microsecond after the creation was recorded, or midnight in Japan."""
        within = np.where(self.second > 0, MICROSECOND, 0)
        return world.start_at + self.first_day.astype(np.int64) * DAY + self.second.astype(np.int64) * SECOND + within


def true_probabilities(
    world: World,
    states: States,
    *,
    continuations: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Probabilities]:
    """Probability per state of each target's stage within its horizon; NaN where the state is past the target.

    `progress` is told how many states are done.
    """
    engine = Engine(world, calendar_of(world))
    found = {target.name: np.full(len(states), np.nan) for target in TARGETS}
    for start in range(0, len(states), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(states)))
        part = States(states.lanes.take(rows), states.first_day[rows], states.second[rows])
        rng = generator(seed, start // ROWS_AT_ONCE, TRUTH)
        for name, hits in _hits(world, engine, part, continuations, rng).items():
            found[name][rows] = hits / continuations
        if progress:
            progress(int(rows[-1]) + 1)
    for target in TARGETS:
        found[target.name][states.lanes.stage >= target.stage] = np.nan
    return found


def _hits(
    world: World, engine: Engine, states: States, continuations: int, rng: np.random.Generator
) -> dict[str, Probabilities]:
    """Continuations of each state that reach each target; partial where a window ends within a day."""
    count = len(states)
    hits = {target.name: np.zeros(count) for target in TARGETS}
    lanes = states.lanes.take(np.repeat(np.arange(count), continuations))
    lanes.lead = np.repeat(np.arange(count, dtype=np.int32), continuations)
    last_part = np.clip((states.second - OFFICE_OPENS) / OFFICE_HOURS, 0, 1)
    for _ in range(max(t.days for t in TARGETS) + world.late_outcome_days + 1):
        moves = engine.step(lanes, rng).moves
        for target in TARGETS:
            at = moves.at[moves.to == target.stage]
            row = lanes.lead[at]
            # A stage change recorded now may have occurred before the window: then it was missed, not reached.
            passed = lanes.entered[at] - states.first_day[row]
            whole, partly = (passed >= 0) & (passed < target.days), passed == target.days
            hits[target.name] += np.bincount(row, whole + partly * last_part[row], minlength=count)
        going = lanes.stage != CLOSED
        if not going.any():
            break
        if going.mean() < 0.9:
            lanes = lanes.take(going)
    return hits


def oracle(probability: Probabilities, continuations: int) -> dict[str, float]:
    """What the best possible scorer reaches on these rows, in expectation over their outcomes.

    Expected log loss is the mean entropy; expected AUC is the chance that a
    random winner ranks above a random loser, ties counting half. A share of few
    continuations looks surer than it is; Miller and Madow's 1 / 2n makes up for it.
    """
    p = probability[np.isfinite(probability)]
    base = float(p.mean()) if len(p) else float("nan")
    return {
        "rows": float(len(p)),
        "base_rate": base,
        "auc": expected_auc(p, p),
        "log_loss": expected_log_loss(p, p) + float(((p > 0) & (p < 1)).mean()) / (2 * continuations),
        "log_loss_prior": expected_log_loss(np.full(len(p), base), p),
    }


def expected_log_loss(guess: Probabilities, truth: Probabilities) -> float:
    """Mean over rows of −p·ln q − (1−p)·ln(1−q)."""
    q = np.clip(guess, 1e-6, 1 - 1e-6)
    return float(np.mean(-truth * np.log(q) - (1 - truth) * np.log1p(-q)))


def expected_auc(guess: Probabilities, truth: Probabilities) -> float:
    """Σ over pairs of p_i(1−p_j)[g_i > g_j], ties half, over Σ p_i(1−p_j), i ≠ j being negligible."""
    order = np.argsort(guess, kind="stable")
    value, positive, negative = guess[order], truth[order], 1 - truth[order]
    _, start = np.unique(value, return_index=True)
    won, lost = np.add.reduceat(positive, start), np.add.reduceat(negative, start)
    below = np.cumsum(lost) - lost
    total = won.sum() * lost.sum()
    return float((won * (below + lost / 2)).sum() / total) if total else float("nan")


def truth_table(
    lead_id: pa.Array,
    cycle_id: pa.Array,
    row: list[str],
    as_of: NDArray[np.int64],
    probability: dict[str, Probabilities],
    outcome: dict[str, NDArray[np.float64]],
) -> pa.Table:
    """Long form: one entry a row and target that is still ahead of it."""
    parts = []
    for target in TARGETS:
        ahead = np.flatnonzero(np.isfinite(probability[target.name]))
        take = pa.array(ahead)
        came = outcome[target.name][ahead]
        parts.append(
            pa.table(
                {
                    "lead_id": lead_id.take(take),
                    "cycle_id": cycle_id.take(take),
                    "row": pa.array(row, pa.string()).take(take),
                    "as_of": pa.array(as_of[ahead]),
                    "target": pa.array([target.name] * len(ahead), pa.string()),
                    "probability": pa.array(probability[target.name][ahead]),
                    "outcome": pa.array(came, mask=np.isnan(came)),
                }
            )
        )
    return pa.concat_tables(parts)
