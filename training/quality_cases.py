"""What the bench of quality measures on: pairs of training and test rows, forward in time wherever time exists.

| kind | training | test |
|---|---|---|
| forward | what was known at one instant | later rows |
| rolling | the same again at every 5% of the history | the next 5% |
| small | the rows before an instant that hold so many conversions, at several instants | rows after it |
| random | four fifths, groups of equal rows kept together | the fifth left out |
| truth | a simulated company | another one, whose true probabilities are known |
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from training.encoding import group_folds
from training.matrix import Matrix
from training.quality_sources import NOW, Sources, at_creation, trainable
from training.slices import equal_row_groups

Kind = Literal["forward", "rolling", "small", "random", "truth"]
ECONOMY = ("emp_var_rate", "cons_price_idx", "cons_conf_idx", "euribor3m", "nr_employed")
TRUTH = (20_000, 9_001, 6_000)
"""Leads, seed and sampled rows of the simulated company that judges."""
MOST_LEADS = 50_000


@dataclass(frozen=True)
class Pair:
    """One fit: `row` [test rows] names the test rows where a case meets them again (another repeat)."""

    train: Matrix
    test: Matrix
    row: np.ndarray
    repeat: int = 0
    flat: Matrix | None = None
    """What peers train on, where it differs: rows at creation only, for tests at creation."""


@dataclass(frozen=True)
class Case:
    name: str
    kind: Kind
    pairs: Callable[[], Iterator[Pair]]
    needs: str = ""
    """The real set it is made of; empty for the simulator."""

    @property
    def one_regime(self) -> bool:
        """Whether test rows follow the law of the training rows, so that calibration can be asked for."""
        return self.kind in ("random", "truth")


def cases(sources: Sources) -> list[Case]:
    """Settings of the real sets' own figures first, then pseudo-new ones of the same data, then the simulator."""
    bank = lambda: sources.real("bank")  # noqa: E731 - made when first asked for
    without = lambda: _without(bank(), ECONOMY)  # noqa: E731
    return [
        Case("bank, first 70% → last 30%", "forward", lambda: cut(bank(), 0.7, 1.0), "bank"),
        Case("bank, random 5-fold", "random", lambda: equal_row_folds(bank(), 5, 1), "bank"),
        Case(
            "salvirt, 5-fold × 4, equal rows grouped",
            "random",
            lambda: equal_row_folds(sources.real("salvirt"), 5, 4),
            "salvirt",
        ),
        Case("shoppers, random 5-fold", "random", lambda: equal_row_folds(sources.real("shoppers"), 5, 1), "shoppers"),
        *(_olist_case(sources, day) for day in ("2018-02-12", "2018-02-18", "2018-02-24")),
        Case("bank, first 40% → next 20%", "forward", lambda: cut(bank(), 0.4, 0.6), "bank"),
        Case("bank, first 60% → next 10%", "forward", lambda: cut(bank(), 0.6, 0.7), "bank"),
        Case("bank, first 85% → last 15%", "forward", lambda: cut(bank(), 0.85, 1.0), "bank"),
        Case("bank without economy, 70% → 30%", "forward", lambda: cut(without(), 0.7, 1.0), "bank"),
        Case("bank without economy, 50% → next 20%", "forward", lambda: cut(without(), 0.5, 0.7), "bank"),
        Case("bank, 60 conversions → next 1,000", "small", lambda: windows(bank(), 60, 1_000), "bank"),
        Case("bank, 200 conversions → next 2,000", "small", lambda: windows(bank(), 200, 2_000), "bank"),
        Case("bank without economy, 100 conversions → 1,000", "small", lambda: windows(without(), 100, 1_000), "bank"),
        Case(
            "shoppers in file order, 60% → 40%", "forward", lambda: cut(sources.real("shoppers"), 0.6, 1.0), "shoppers"
        ),
        Case(
            "shoppers, 80 conversions → next 1,000",
            "small",
            lambda: windows(sources.real("shoppers"), 80, 1_000),
            "shoppers",
        ),
        *(_truth_case(sources, leads, seeds) for leads, seeds in ((1_000, (1, 2, 3)), (5_000, (1, 2)), (20_000, (1,)))),
        _truth_case(sources, MOST_LEADS, (1,)),
        *(_converted_case(sources, wins) for wins in (40, 200, 1_000)),
        Case("bank, refitted every 5%", "rolling", lambda: rolling(bank()), "bank"),
        Case("bank without economy, refitted every 5%", "rolling", lambda: rolling(without()), "bank"),
        Case("simulator, refitted every 5%", "rolling", lambda: rolling(sources.simulated(10_000, 1))),
    ]


def quick_cases(sources: Sources) -> list[Case]:
    """Simulated alone, under a minute: a small company against the truth, and forward in time."""
    small = lambda: sources.simulated(800, 1)  # noqa: E731
    return [
        Case("simulator, 800 leads", "truth", lambda: _against(small(), sources.truth(600, 9_001, 400), 0)),
        Case("simulator, first 70% → last 30%", "forward", lambda: cut(small(), 0.7, 1.0)),
        Case("simulator, refitted twice", "rolling", lambda: rolling(small(), shares=(0.7, 0.85, 1.0))),
    ]


def _olist_case(sources: Sources, day: str) -> Case:
    name = f"olist, known at {day} → later, won within 30 days"
    return Case(name, "forward", lambda: _olist(sources, day), "olist")


def _truth_case(sources: Sources, leads: int, seeds: Sequence[int]) -> Case:
    def pairs() -> Iterator[Pair]:
        for repeat, seed in enumerate(seeds):
            yield from _against(sources.simulated(leads, seed), sources.truth(*TRUTH), repeat)

    return Case(f"simulator, {leads:,} leads" + (f" × {len(seeds)}" if len(seeds) > 1 else ""), "truth", pairs)


def _converted_case(sources: Sources, wins: int) -> Case:
    """Samples of whole persons and accounts, as many as hold `wins` converted cycles."""
    repeats = {40: 4, 200: 3}.get(wins, 1)

    def pairs() -> Iterator[Pair]:
        for repeat in range(repeats):
            whole = sources.simulated(5_000 if wins <= 200 else 20_000, 1 + repeat % 2)
            yield from _against(converted_sample(whole, wins, seed=repeat), sources.truth(*TRUTH), repeat)

    return Case(f"simulator, {wins:,} conversions" + (f" × {repeats}" if repeats > 1 else ""), "truth", pairs)


def converted_sample(matrix: Matrix, wins: int, *, seed: int) -> Matrix:
    """Whole groups in a seeded order until `wins` cycles with the outcome are there."""
    groups = np.unique(matrix.group)
    place = np.random.default_rng(seed).permutation(len(groups))[np.searchsorted(groups, matrix.group)]
    won = matrix.label == 1.0
    _, first = np.unique(matrix.cycle[won], return_index=True)
    places = np.sort(place[won][first])
    return matrix.take(place <= places[min(wins, len(places)) - 1])


def _against(train: Matrix, test: Matrix, repeat: int) -> Iterator[Pair]:
    yield Pair(train, test, np.arange(len(test)), repeat)


def cut(matrix: Matrix, low: float, high: float) -> Iterator[Pair]:
    """Known when the cycles' share `low` had begun → cycles begun from then up to the share `high`."""
    begins, ends = _instants(matrix, (low, high))
    yield _known_then(matrix, begins, ends)


def rolling(matrix: Matrix, shares: Sequence[float] = tuple(np.arange(0.25, 1.001, 0.05))) -> Iterator[Pair]:
    for begins, ends in itertools.pairwise(_instants(matrix, shares)):
        yield _known_then(matrix, begins, ends)


def _known_then(matrix: Matrix, begins: int, ends: int) -> Pair:
    later = np.flatnonzero((matrix.cycle_start >= begins) & (matrix.cycle_start < ends))
    return Pair(matrix.take(_known(matrix, begins)), matrix.take(later), later)


def _known(matrix: Matrix, at: int) -> np.ndarray:
    """Rows of cycles begun before, with the label known."""
    return (matrix.cycle_start < at) & (matrix.matured_at <= at)


def _instants(matrix: Matrix, shares: Sequence[float]) -> list[int]:
    """When these shares of the cycles had begun."""
    _, first = np.unique(matrix.cycle, return_index=True)
    starts = np.sort(matrix.cycle_start[first])
    return [
        int(starts[round(s * len(starts))]) if round(s * len(starts)) < len(starts) else int(starts[-1]) + 1
        for s in shares
    ]


def windows(
    matrix: Matrix, wins: int, ahead: int, shares: Sequence[float] = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
) -> Iterator[Pair]:
    """At several instants: the newest rows that hold `wins` conversions → the next `ahead` rows."""
    matrix = matrix.take(np.lexsort((matrix.as_of, matrix.cycle_start)))
    for at in _instants(matrix, shares):
        known = np.flatnonzero(_known(matrix, at))
        won = known[matrix.label[known] == 1.0]
        if len(won) < wins:
            continue
        later = np.flatnonzero(matrix.cycle_start >= at)[:ahead]
        yield Pair(matrix.take(known[known >= won[-wins]]), matrix.take(later), later)


def equal_row_folds(matrix: Matrix, count: int, repeats: int) -> Iterator[Pair]:
    groups = equal_row_groups(matrix)
    for repeat in range(repeats):
        fold = group_folds(groups, count, seed=100 + repeat)
        for k in range(count):
            out = np.flatnonzero(fold == k)
            yield Pair(matrix.take(fold != k), replace(matrix.take(out), group=groups[out]), out, repeat)


def _olist(sources: Sources, day: str) -> Iterator[Pair]:
    """Ours learns from all rows that had matured on `day`, peers from those at creation; tested at later creations."""
    history = sources.real_history("olist", day)
    train = trainable(history)
    test = at_creation(sources.real_history("olist", "2018-04-05"), begins=history.as_of, ends=NOW)
    flat = train.take(train.creation)
    yield Pair(train, test, np.arange(len(test)), flat=replace(flat, weight=np.ones(len(flat))))


def _without(matrix: Matrix, stems: Sequence[str]) -> Matrix:
    return matrix.keep_features([d.name for d in matrix.declarations if not d.name.startswith(tuple(stems))])
