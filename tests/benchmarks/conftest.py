"""Measuring side by side: ours and a named reference in turn, in the same run; ratios, never bare times."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data.home import Home
from leadscore import DONE, run

LEADS = int(os.environ.get("BENCH_LEADS", "20000"))


@dataclass(frozen=True)
class Ratio:
    what: str
    reference: str
    better: str
    median: float
    low: float
    high: float


RATIOS: list[Ratio] = []
LINES: list[str] = []


@pytest.fixture
def side_by_side(benchmark: Any) -> Callable[..., Ratio]:
    """`side_by_side(what, ours, reference_name, reference)`: time the two in turn, keep ours ÷ reference by pair.

    Each pair runs the reference first and ours directly after it, so that a
    machine that slows down slows both. `work` is how many units of work the
    two calls do (ours, reference); the ratio is of time per unit.
    """

    def measure(
        what: str,
        ours: Callable[[], Any],
        reference_name: str,
        reference: Callable[[], Any],
        *,
        rounds: int = 7,
        work: tuple[int, int] = (1, 1),
    ) -> Ratio:
        ours(), reference()
        beside: list[float] = []

        def time_reference() -> None:
            started = time.perf_counter()
            reference()
            beside.append(time.perf_counter() - started)

        benchmark.pedantic(ours, setup=time_reference, rounds=rounds, iterations=1)
        own = benchmark.stats.stats.data
        pairs = [(a / work[0]) / (b / work[1]) for a, b in zip(own, beside, strict=True)]
        ratio = Ratio(what, reference_name, "lower", statistics.median(pairs), min(pairs), max(pairs))
        RATIOS.append(ratio)
        return ratio

    return measure


@pytest.fixture
def report_ratio() -> Callable[..., None]:
    """For ratios of something else than time, such as log loss."""

    def report(what: str, reference: str, value: float, low: float, high: float, better: str = "lower") -> None:
        RATIOS.append(Ratio(what, reference, better, value, low, high))

    return report


@pytest.fixture
def report_line() -> Callable[[str], None]:
    """For what stands beside the ratios, such as where time goes."""
    return LINES.append


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not RATIOS:
        return
    terminalreporter.section("ratios: ours ÷ reference, median of pairs [least, most]")
    for r in RATIOS:
        terminalreporter.write_line(
            f"{r.median:8.3f} [{r.low:.3f}, {r.high:.3f}]  {r.what} ÷ {r.reference} ({r.better} is better)"
        )
    for line in LINES:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def simulated_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A simulated company, imported and trained on, as the demo does it."""
    folder = tmp_path_factory.mktemp("bench")
    history, home = folder / "history", folder / "home"
    end = "2026-10-01T00:00:00+09:00"
    before = os.environ.get("LEADSCORE_NOW")
    os.environ["LEADSCORE_NOW"] = end
    for line in (
        ["simulate", "--leads", str(LEADS), "--seed", "1", "--end", end, "--out", str(history)],
        ["import", str(history / "mapping.toml")],
        ["train"],
    ):
        assert run(["--home", str(home), *line]) == DONE
    yield Home.at(home)
    if before is None:
        del os.environ["LEADSCORE_NOW"]
    else:
        os.environ["LEADSCORE_NOW"] = before


@pytest.fixture(scope="session")
def history_folder(simulated_home: Home) -> Path:
    return simulated_home.path.parent / "history"
