"""PSI against a plain oracle, bins that lose nothing, critical values that do not cry wolf."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from monitoring.shifts import shifts_of, stationary_psi
from monitoring.stability import (
    SMOOTHING,
    Size,
    adjusted,
    bins_of,
    column_figures,
    counted,
    null_psi,
    p_value,
    psi,
    share_moved,
    size_of,
)


def plain_psi(window: list[int], reference: list[int]) -> float:
    """Siddiqi's sum, bin by bin, in plain Python."""
    total = 0.0
    for seen, known in zip(window, reference, strict=True):
        p = (seen + SMOOTHING) / (sum(window) + SMOOTHING * len(window))
        q = (known + SMOOTHING) / (sum(reference) + SMOOTHING * len(reference))
        total += (p - q) * math.log(p / q) if seen or known else 0.0
    return total


@pytest.mark.parametrize(
    ("window", "reference"),
    [
        ([10, 20, 30], [100, 200, 300]),
        ([0, 0, 30], [100, 200, 300]),
        ([1, 0, 0, 0], [0, 0, 0, 1]),
        ([7, 11, 13, 17, 19], [5, 50, 500, 5, 0]),
        ([7, 11, 0, 0], [50, 60, 0, 0]),
    ],
)
def test_psi_is_siddiqis_sum(window: list[int], reference: list[int]) -> None:
    assert psi(np.array(window), np.array(reference)) == pytest.approx(plain_psi(window, reference), abs=1e-12)


def test_psi_of_large_samples_is_the_textbook_figure() -> None:
    # Two bins, 50/50 against 40/60: .1·ln(.5/.4) − .1·ln(.5/.6) = .0405
    expected = 0.1 * math.log(0.5 / 0.4) - 0.1 * math.log(0.5 / 0.6)
    assert psi(np.array([500_000, 500_000]), np.array([400_000, 600_000])) == pytest.approx(expected, abs=1e-5)


def test_psi_is_zero_only_where_nothing_moved_and_never_negative() -> None:
    generator = np.random.default_rng(7)
    for _ in range(50):
        window, reference = generator.integers(0, 40, size=(2, 8))
        assert psi(window, reference) >= 0
        assert psi(reference * 3 + 1, reference * 3 + 1) == pytest.approx(0)


@pytest.mark.parametrize(
    ("window", "reference", "moved"),
    [([5, 5], [5, 5], 0.0), ([10, 0], [0, 10], 1.0), ([3, 1], [1, 3], 0.5), ([0, 0], [1, 3], 0.0)],
)
def test_share_moved_counts_the_rows_that_change_bins(window: list[int], reference: list[int], moved: float) -> None:
    assert share_moved(np.array(window), np.array(reference)) == pytest.approx(moved)


def oracle_bin(value: float | None, edges: np.ndarray) -> int:
    if value is None or math.isnan(value):
        return 0
    return 1 + sum(1 for edge in edges if value > edge)


def test_number_bins_agree_with_a_slow_oracle_and_lose_no_row() -> None:
    generator = np.random.default_rng(3)
    reference = pd.Series(generator.poisson(1.0, 500).astype(float))
    bins = bins_of(reference, category=False)
    values = pd.Series([*generator.normal(1, 4, 200), np.nan, -1e9, 1e9, 0.0])
    placed = bins.place(values)
    assert placed.tolist() == [oracle_bin(v, bins.edges) for v in values]  # type: ignore[union-attr]
    assert counted(placed, bins.size).sum() == len(values)


def test_the_reference_itself_is_never_unseen() -> None:
    reference = pd.Series([0.0] * 90 + list(np.linspace(0.1, 5, 10)))
    bins = bins_of(reference, category=False)
    counts = counted(bins.place(reference), bins.size)
    assert counts[list(bins.unseen)].sum() == 0
    assert bins.place(pd.Series([-0.1, 5.1])).tolist() == list(bins.unseen)


def test_a_spike_stands_alone() -> None:
    reference = pd.Series([0.0] * 900 + [float(i) for i in range(1, 101)])
    bins = bins_of(reference, category=False)
    assert counted(bins.place(reference), bins.size)[2] == 900


def test_categories_keep_missing_unseen_and_rare_apart() -> None:
    reference = pd.Series([f"level{i:02d}" for i in range(25) for _ in range(30 - i)])
    bins = bins_of(reference, category=True)
    placed = bins.place(pd.Series([None, "never", "level24", "level00"]))
    assert placed.tolist() == [0, 1, 2, 3]


def test_a_column_without_values_has_bins_too() -> None:
    for category in (False, True):
        empty = pd.Series([None, None], dtype=object)
        bins = bins_of(empty, category=category)
        assert counted(bins.place(empty), bins.size)[0] == 2


def oracle_adjusted(p_values: list[float]) -> list[float]:
    """Benjamini and Hochberg's definition: the least level at which each is rejected."""
    ordered = sorted(p_values)
    count = len(p_values)
    steps = [q * count / (k + 1) for k, q in enumerate(ordered)]
    return [min([1.0, *steps[ordered.index(p) :]]) for p in p_values]


def test_adjusted_p_values_follow_the_definition() -> None:
    generator = np.random.default_rng(5)
    for size in (1, 2, 17):
        p_values = generator.random(size).tolist()
        assert adjusted(p_values) == pytest.approx(oracle_adjusted(p_values))
    assert adjusted([]) == []


def test_p_value_is_never_zero() -> None:
    null = np.linspace(0, 1, 999)
    assert p_value(2.0, null) == pytest.approx(1 / 1000)
    assert p_value(-1.0, null) == 1.0


def _columns(generator: np.random.Generator, rows: int, weeks: int) -> pd.DataFrame:
    frame = pd.DataFrame(
        {f"x{i}": generator.exponential(size=rows) for i in range(10)}
        | {f"c{i}": generator.choice(list("abcdefgh"), rows) for i in range(10)}
    )
    frame["week"] = generator.integers(0, weeks, rows)
    frame["lead_id"] = [str(i) for i in range(rows)]
    return frame


def _result(window: pd.DataFrame, reference: pd.DataFrame, columns: list[str]) -> dict[str, object]:
    return {
        "metrics": [
            {
                "config": {"type": "evidently:metric_v2:Stability", "column": c},
                "value": column_figures(window[c], reference[c], category=c.startswith("c")),
            }
            for c in columns
        ]
    }


@pytest.mark.parametrize("rows", [100, 400])
def test_stationary_windows_do_not_alarm_however_small(rows: int) -> None:
    generator = np.random.default_rng(rows)
    reference = _columns(generator, 6_000, 26)
    columns = [c for c in reference if c[0] in "xc" and c != "week"]
    alarms, rule_of_thumb, low = 0, 0, 0
    for _ in range(10):
        window = _columns(generator, rows, 1)
        stationary = stationary_psi(
            reference, window, [c for c in columns if c[0] == "c"], columns, weeks=1, resamples=4_000
        )
        features, _ = shifts_of(_result(window, reference, columns), stationary)
        alarms += sum(s.alarmed for s in features)
        low += sum(s.p_value <= 0.05 for s in features)
        rule_of_thumb += sum(s.psi > 0.1 for s in features)
    tested = 10 * len(columns)
    assert alarms == 0
    assert low <= 0.10 * tested  # 5% expected; 200 tests, three standard errors
    if rows == 100:
        assert rule_of_thumb >= 0.15 * tested  # what the calibration is for


def test_swings_between_weeks_count_as_ordinary() -> None:
    generator = np.random.default_rng(11)
    swinging = np.array([[600, 400] if week % 2 else [400, 600] for week in range(20)])
    steady = np.array([[500, 500]] * 20)
    options = {"window": Size(1000, 1000), "reference": Size(19_000, 19_000), "weeks": 1, "resamples": 500}
    wide = np.quantile(null_psi(swinging, generator=generator, **options), 0.95)
    narrow = np.quantile(null_psi(steady, generator=generator, **options), 0.95)
    assert wide > 0.03
    assert narrow < 0.01


def test_a_real_shift_is_found_at_small_size() -> None:
    generator = np.random.default_rng(2)
    reference, window = _columns(generator, 6_000, 26), _columns(generator, 150, 1)
    window["x3"] = window["x3"] * 2.5
    columns = [c for c in reference if c[0] in "xc" and c != "week"]
    stationary = stationary_psi(
        reference, window, [c for c in columns if c[0] == "c"], columns, weeks=1, resamples=4_000
    )
    features, _ = shifts_of(_result(window, reference, columns), stationary)
    assert [s.column for s in features if s.alarmed] == ["x3"]


def test_a_lead_seen_many_times_counts_once() -> None:
    assert size_of(pd.Series(["a"] * 10 + ["b"] * 10)) == Size(rows=20, independent=2)
    assert size_of(pd.Series(list("abcdef"))) == Size(rows=6, independent=6)
    assert size_of(pd.Series(["a"] * 9 + ["b"])).independent == 1  # (9 + 1)² / (81 + 1)


def test_a_column_without_values_on_either_side_never_moves() -> None:
    reference, window = _columns(np.random.default_rng(0), 900, 26), _columns(np.random.default_rng(1), 60, 1)
    for frame in (reference, window):
        frame["x0"] = np.nan
    stationary = stationary_psi(reference, window, (), ("x0",), weeks=1, resamples=200)
    features, _ = shifts_of(_result(window, reference, ["x0"]), stationary)
    assert features[0].psi == pytest.approx(0, abs=1e-3)
    assert features[0].p_value == 1.0
