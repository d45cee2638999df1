"""Intervals that hold what they promise on clustered rows; figures of parts against slow, obvious ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from data.company import Company
from data.times import DAY, ROW_STEP
from training.evaluation import calibration_error, deciles
from training.handovers import handovers
from training.intervals import Judged, cells, curve, gain_curve
from training.policy import Policy, handed_over
from training.segments import OTHERS, levels, over_time


def judged(groups: int, *, seed: int, rows: int = 4, shared: float = 1.0, off: float = 0.0) -> Judged:
    """Groups of rows of one cycle each that share their outcome; margins too low by `off`."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), rows)
    truth = np.repeat(rng.normal(-1.2, 1.0, groups), rows)
    draw = np.where(rng.random(groups * rows) < shared, np.repeat(rng.random(groups), rows), rng.random(groups * rows))
    label = (draw < expit(truth)).astype(float)
    return Judged(truth - off, label, rng.uniform(0.2, 1.0, groups * rows), group, group.copy())


def whole(found: Judged):
    return cells(found, np.zeros(len(found), dtype=int), ("all",))[0]


def test_a_part_s_figures_are_the_slow_ones() -> None:
    found = judged(300, seed=1)
    codes = np.random.default_rng(0).integers(-1, 3, len(found))
    for k, cell in enumerate(cells(found, codes, ("a", "b", "c"))):
        inside = codes == k
        p, y, w = expit(found.margin[inside]), found.label[inside], found.weight[inside]
        losses = [-(np.log(q) if one else np.log(1 - q)) for q, one in zip(p, y, strict=True)]
        assert cell.log_loss.value == pytest.approx(np.average(losses, weights=w))
        assert cell.brier.value == pytest.approx(np.average((p - y) ** 2, weights=w))
        assert cell.ece.value == pytest.approx(calibration_error(p, y, w))
        assert (cell.rows, cell.outcomes) == (inside.sum(), len(set(found.cycle[inside & (found.label == 1)])))


def test_the_interval_covers_the_truth_where_rows_of_a_lead_share_their_outcome() -> None:
    """Probabilities are true, so the mean bias is nought: 95 of 100 intervals should hold it."""
    biases = [whole(judged(150, seed=seed)).bias for seed in range(150)]
    held = np.mean([b.low <= 0 <= b.high for b in biases])
    assert 0.89 <= held <= 0.99
    rows = judged(150, seed=0)
    alone = Judged(rows.margin, rows.label, rows.weight, np.arange(len(rows)), rows.cycle)
    apart, together = whole(alone).bias, whole(rows).bias
    assert together.high - together.low > 1.5 * (apart.high - apart.low), "rows of one lead are no further evidence"


def test_what_true_probabilities_show_is_an_ece_below_the_value_of_chance() -> None:
    cells_ = [whole(judged(400, seed=seed)) for seed in range(60)]
    assert 0.85 <= np.mean([c.ece.value <= c.ece_of_chance for c in cells_]) <= 1.0
    assert np.mean([c.ece.low == 0.0 for c in cells_]) > 0.85, "the interval reaches down to no error at all"
    off = whole(judged(400, seed=3, off=1.0))
    assert off.ece.value > off.ece_of_chance
    assert off.off
    assert off.bias.high < 0, "they were too low"


def test_curve_and_gain_are_those_of_the_evaluation() -> None:
    found = judged(500, seed=4)
    gain = gain_curve(found)
    assert [g.value for g in gain] == pytest.approx(
        [d.captured for d in deciles(found.margin, found.label, found.weight)]
    )
    assert all(g.low <= g.value <= g.high for g in gain)
    said = [s for s, _ in curve(found)]
    assert said == sorted(said)
    assert sum(low.low <= s <= low.high for s, low in curve(found)) >= 7, "true probabilities lie in most intervals"


def test_hand_overs_are_those_of_the_policy_lead_by_lead() -> None:
    rng = np.random.default_rng(5)
    cycle = rng.permutation(np.repeat(np.arange(120), 5))
    as_of = rng.permutation(len(cycle)).astype(np.int64)
    probability, label = rng.beta(1, 6, len(cycle)), (rng.random(len(cycle)) < 0.1).astype(float)
    ones = np.ones(len(cycle))
    found = handovers(Judged(logit(probability), label, ones, cycle, cycle), as_of, 0.3)
    policy = Policy("won", 0.3, 0.3, 0.2, 0.1, "capacity", 5.0, 0.3, 0.3, 5.0, 0.4)
    handed, paid, won = 0, 0.0, 0
    for one in range(120):
        rows = sorted(np.flatnonzero(cycle == one), key=lambda r: as_of[r])
        instants = handed_over([(int(as_of[r]), float(probability[r])) for r in rows], policy)
        won += bool(label[rows].any())
        if instants:
            handed += 1
            paid += label[next(r for r in rows if as_of[r] == instants[0])]
    assert (found.cycles, found.handed_over, found.outcomes) == (120, handed, won)
    assert found.yielded.value == pytest.approx(paid / handed)
    assert found.captured.value == pytest.approx(paid / won)
    assert found.lift.value == pytest.approx(paid / handed / (won / 120))


def test_small_levels_are_joined_and_unknown_has_a_name() -> None:
    found = judged(600, seed=6)
    values = np.array(["big"] * 1_200 + ["other big"] * 1_000 + [f"rare {i % 40}" for i in range(190)] + [None] * 10)
    codes, names = levels(found, values.astype(object))
    assert names == ("big", "other big", OTHERS)
    assert (codes[-10:] == 2).all()
    assert (codes >= 0).all()


@pytest.mark.parametrize("time", ["dates", "row"])
def test_time_is_cut_by_month_or_by_tenth_and_thin_months_are_joined(time: str) -> None:
    found = judged(900, seed=7)
    company = Company(time=time, timezone="Asia/Tokyo")  # type: ignore[arg-type]
    if time == "row":
        names = [c.name for c in over_time(found, (found.cycle + 1) * ROW_STEP, company)]
        assert len(names) == 10
        assert (names[0], names[-1]) == ("rows 1–90", "rows 811–900")
        return
    # The first instant of February in Tokyo is still January in UTC.
    start = 20_485 * DAY - 9 * DAY // 24 + found.cycle * (DAY // 10)
    cells_ = over_time(found, start, company)
    assert [c.name for c in cells_][:2] == ["2026-02", "2026-03"]
    assert sum(c.rows for c in cells_) == len(found)
    thin = over_time(found, 20_485 * DAY + found.cycle * 2 * DAY, company)
    assert all(c.outcomes >= 10 for c in thin)
    assert " to " in thin[0].name
