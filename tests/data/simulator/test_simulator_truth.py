"""True probabilities: against arithmetic where it can be done, against what then happened, against brute force."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from data.simulator.block_tables import tables_of_block
from data.simulator.funnel import Lanes
from data.simulator.history import SampleShares
from data.simulator.truth import States, expected_auc, expected_log_loss, oracle, true_probabilities
from data.simulator.world import MQL, Hazards, World, calendar_of

NEVER = -50.0


def _plain(advance: float) -> World:
    """From MQL on at one constant hazard; nothing else matters, nobody gives up, nothing is late."""
    none = (0.0,) * 4
    hazards = Hazards(
        advance=(NEVER, advance, NEVER, NEVER), give_up=(NEVER,) * 4, fit=none, fit_give_up=none, interest=none,
        intent=none, silence=none, silence_give_up=none, later_cycle=0.0, ripening=((0.0,) * 5,) * 4,
    )  # fmt: skip
    return replace(World(), hazards=hazards, late_outcomes=0.0)


def _states(day: int, stage: int, second: int = 0) -> States:
    def whole(value: int, kind: type = np.int32) -> np.ndarray:
        return np.full(1, value, dtype=kind)

    first = day + (second > 0)
    lanes = Lanes(whole(0), whole(first), whole(stage, np.int8), whole(0, np.int8), whole(day - 9), whole(day - 9),
                  whole(day - 9), whole(day - 3), whole(2, np.float32), whole(1, np.float32), whole(0, np.float32),
                  whole(1, bool), whole(10**6))  # fmt: skip
    return States(lanes, whole(day), whole(second))


@pytest.mark.parametrize("day", [100, 205, 640])
def test_a_constant_hazard_gives_the_closed_form(day):
    """P(SQL within 30 days) = 1 − exp(−h × business days in the window)."""
    world, hazard = _plain(-4.0), np.exp(-4.0)
    open_days = int(calendar_of(world).business[day : day + 30].sum())
    found = true_probabilities(world, _states(day, MQL), continuations=40_000, seed=1)["sql"][0]
    assert found == pytest.approx(1 - np.exp(-hazard * open_days), abs=4 * 0.5 / np.sqrt(40_000))


def test_a_window_that_ends_within_a_day_counts_that_days_part():
    """From 13:45 on day d, the day d + 30 counts until 13:45: half of the office hours from 9:00 to 18:30."""
    world, hazard = _plain(-3.0), np.exp(-3.0)
    business = calendar_of(world).business
    day = next(d for d in range(300, 340) if business[d + 30])
    state = _states(day, MQL, second=13 * 3600 + 2700)
    whole = int(business[day + 1 : day + 30].sum())
    expected = 1 - np.exp(-hazard * whole) + 0.5 * np.exp(-hazard * whole) * (1 - np.exp(-hazard))
    found = true_probabilities(world, state, continuations=40_000, seed=2)["sql"][0]
    assert found == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(40_000))


def test_a_state_past_the_target_has_no_truth_for_it():
    found = true_probabilities(World(), _states(300, 2), continuations=20, seed=1)
    assert np.isnan(found["sql"][0])
    assert 0 <= found["won"][0] <= 1


def test_what_then_happened_agrees_with_the_truth():
    """Outcomes of thousands of sampled rows, in all and by third of the truth, within four standard errors."""
    rows = tables_of_block(World(), 31, 0, 10_000, SampleShares(monday=0.013, created=0.13)).sampled
    truth = true_probabilities(World(), States(rows.lanes, rows.first_day, rows.second), continuations=100, seed=4)
    for target in ("won", "sql"):
        seen = np.isfinite(truth[target]) & np.isfinite(rows.outcomes[target])
        p, came = truth[target][seen], rows.outcomes[target][seen]
        assert len(p) > 1_000
        for part in (np.ones(len(p), bool), *(_thirds(p))):
            error = np.sqrt((p[part] * (1 - p[part])).sum() * 1.3)
            assert abs(came[part].sum() - p[part].sum()) < 4 * error + 1


def _thirds(p: np.ndarray) -> list[np.ndarray]:
    edges = np.quantile(p, [1 / 3, 2 / 3])
    return [p <= edges[0], (p > edges[0]) & (p <= edges[1]), p > edges[1]]


def test_expected_auc_is_the_average_over_all_outcomes():
    """Brute force: every pattern of outcomes of six rows, pairs of a winner and a loser counted."""
    truth = np.array([0.05, 0.3, 0.3, 0.6, 0.2, 0.9])
    guess = np.array([0.1, 0.2, 0.2, 0.7, 0.3, 0.5])
    above = total = 0.0
    for i in range(6):
        for j in range(6):
            weight = truth[i] * (1 - truth[j])
            total += weight
            above += weight * ((guess[i] > guess[j]) + 0.5 * (guess[i] == guess[j]))
    assert expected_auc(guess, truth) == pytest.approx(above / total)


def test_expected_log_loss_is_least_for_the_truth_itself():
    rng = np.random.default_rng(1)
    truth = rng.beta(1, 12, 500)
    best = expected_log_loss(truth, truth)
    guesses = [np.clip(truth * np.exp(rng.normal(0, s, 500)), 0.001, 0.99) for s in (0.1, 0.5, 1.0)]
    losses = [expected_log_loss(guess, truth) for guess in guesses]
    assert best < losses[0] < losses[1] < losses[2]


def test_few_continuations_do_not_flatter_the_oracle():
    """The correction brings the log loss of estimated probabilities back to that of the true ones."""
    rng = np.random.default_rng(2)
    truth = rng.beta(2, 20, 40_000)
    estimated = rng.binomial(200, truth) / 200
    exact = expected_log_loss(truth, truth)
    assert expected_log_loss(estimated, estimated) < exact - 0.0015
    assert oracle(estimated, 200)["log_loss"] == pytest.approx(exact, abs=0.0009)


def test_the_folder_apart_holds_rows_and_their_summary(written):
    truth = pq.read_table(written.folder / "truth" / "truth.parquet").to_pandas()
    assert set(truth["row"]) == {"creation", "grid", "end"}
    assert set(truth["target"]) == {"won", "sql"}
    assert truth["probability"].between(0, 1).all()
    assert not truth.duplicated(["cycle_id", "as_of", "target"]).any()
    won = truth[truth["target"] == "won"]
    said = json.loads((written.folder / "truth" / "summary.json").read_text())
    assert said["horizons"] == {"won": "90d", "sql": "30d"}
    assert said["end"]["won"]["base_rate"] == pytest.approx(won[won["row"] == "end"]["probability"].mean())
    assert won[won["row"] == "end"]["outcome"].isna().all()
