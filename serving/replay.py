"""Answers computed again: from the feature values stored with them, to the last bit, or from the history.

From stored values an answer must come back exactly: margin, parts,
contributions, probability, and what the policy made of them. From the history
a row may rightly differ, since people are erased and ids are merged; that is
counted and shown, with the trees in which the row fell into another leaf.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import inf, isnan

from data.errors import DataRefused, NotFound
from data.records import LeadHistory
from data.store.history import lead_history
from data.store.ledger import Ledger, LedgerRow
from data.store.operational import Store
from serving.judges import Judge, Judges, Value, figures
from training.bundle import ScoredTable

TOLERANCE = 1e-9
"""Greatest difference in log-odds, and in a feature's value, that still counts as the same from the history."""
_AT_ONCE = 2_000
_FIGURES = ("margin", "base", "fit", "behaviour", "probability", "score", "grade", "threshold_met")

_SHOWN = 20

Progress = Callable[[int], None]
"""Called with the rows done."""


@dataclass(frozen=True)
class Finding:
    """One row that does not come back."""

    row: LedgerRow
    what: str


@dataclass
class Findings:
    """How many rows, and the first of them."""

    count: int = 0
    first: list[Finding] = field(default_factory=list)

    def add(self, row: LedgerRow, what: str) -> None:
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append(Finding(row, what))


@dataclass
class Report:
    """What a replay found, over all rows so far."""

    rows: int = 0
    without_figures: int = 0
    """No consent or past the target: nothing was computed, and nothing is stored."""
    same: int = 0
    """Scored rows that came back: to the last bit, or from the history to TOLERANCE."""
    greatest: float = 0.0
    """Greatest difference of a margin or contribution, in log-odds, over rows that could be compared."""
    wrong: Findings = field(default_factory=Findings)
    """Rows that had to come back and did not."""
    not_in_history: int = 0
    """Leads sent whole, or erased since."""
    other_features: Findings = field(default_factory=Findings)
    """Rows for which the history now gives other values."""
    features: Counter[str] = field(default_factory=Counter)
    """How many rows differ in which feature."""
    flipped_leaves: int = 0
    trees: int = 0
    """Trees looked at for flipped leaves."""

    def compared(self, difference: float) -> None:
        self.greatest = max(self.greatest, difference)


def replay_features(rows: Iterable[LedgerRow], judges: Judges, progress: Progress) -> Report:
    """Every answer from the feature values stored with it, bit for bit."""
    report = Report()
    for judge, some in _judged(rows, judges, report, progress):
        fit = [(row, values) for row, values in _unpacked(some, judge, report) if values is not None]
        if fit:
            scored = judge.bundle.score_columns(judge.columns([values for _, values in fit]))
            for place, (row, _) in enumerate(fit):
                _compare_exactly(row, scored, place, judge, report)
    return report


def replay_history(rows: Iterable[LedgerRow], store: Store, judges: Judges, progress: Progress) -> Report:
    """Every answer from what is stored of the lead now, as of the same instant, to TOLERANCE."""
    report = Report()
    histories = _Histories(store)
    for judge, some in _judged(rows, judges, report, progress):
        pairs = []
        for row, values in _unpacked(some, judge, report):
            history = histories.of(row)
            if history is None:
                report.not_in_history += 1
            elif values is not None:
                pairs.append((row, values, judge.features.row(history, row.as_of)))
        if pairs:
            _compare_with_history(pairs, judge, report)
    return report


def rows_of(
    ledger: Ledger, *, target: str | None, since: int | None, until: int | None, lead: str | None
) -> Iterator[LedgerRow]:
    """The ledger's rows, read as they are asked for."""
    for batch in ledger.batches(target=target, since=since, until=until, lead_ids=None if lead is None else [lead]):
        for start in range(0, len(batch), _AT_ONCE):
            yield from (LedgerRow(**row) for row in batch.slice(start, _AT_ONCE).to_pylist())


def _judged(
    rows: Iterable[LedgerRow], judges: Judges, report: Report, progress: Progress
) -> Iterator[tuple[Judge, list[LedgerRow]]]:
    """Scored rows in groups that one bundle and policy answered; the others are counted."""
    for some in _in_pieces(rows):
        report.rows += len(some)
        scored = [row for row in some if not _is_silent(row, report)]
        ordered = sorted(scored, key=_names)
        for (bundle_hash, policy_id), group in groupby(ordered, key=_names):
            judge = judges.of(bundle_hash, policy_id)
            if isinstance(judge, str):
                for row in group:
                    report.wrong.add(row, judge)
            else:
                yield judge, list(group)
        progress(report.rows)


def _in_pieces(rows: Iterable[LedgerRow]) -> Iterator[list[LedgerRow]]:
    piece: list[LedgerRow] = []
    for row in rows:
        piece.append(row)
        if len(piece) == _AT_ONCE:
            yield piece
            piece = []
    if piece:
        yield piece


def _names(row: LedgerRow) -> tuple[str, str]:
    return row.bundle_hash, row.policy_id


def _is_silent(row: LedgerRow, report: Report) -> bool:
    if row.status in ("scored", "unproven"):
        return False
    if row.features or row.contributions or any(getattr(row, name) is not None for name in _FIGURES):
        report.wrong.add(row, f"figures in a row that is {row.status}")
    else:
        report.without_figures += 1
    return True


def _unpacked(
    rows: Iterable[LedgerRow], judge: Judge, report: Report
) -> Iterator[tuple[LedgerRow, list[Value] | None]]:
    """Rows with their stored values; None, and counted as wrong, where they cannot be read."""
    for row in rows:
        try:
            values = row.values()
            unfit = judge.unfit(values)
        except DataRefused as error:
            values, unfit = [], str(error)
        if unfit:
            report.wrong.add(row, unfit)
        yield row, None if unfit else values


def _compare_exactly(row: LedgerRow, scored: ScoredTable, place: int, judge: Judge, report: Report) -> None:
    try:
        parts = row.parts()
    except DataRefused as error:
        report.wrong.add(row, str(error))
        return
    again = figures(scored, place, judge.policy)
    differing = [name for name, value in again.items() if getattr(row, name) != value]
    computed = scored.contributions[place].tolist()
    if list(parts) != computed:
        differing.append("contributions")
    if (row.status == "scored") != judge.bundle.proven:
        differing.append("status")
    report.compared(_greatest([row.margin, *parts], [again["margin"], *computed]))
    if differing:
        report.wrong.add(row, "another " + ", ".join(differing))
    else:
        report.same += 1


def _greatest(stored: Sequence[float | None], computed: Sequence[object]) -> float:
    """Greatest difference; infinite where one has what the other lacks."""
    if len(stored) != len(computed):
        return inf
    pairs = zip(stored, computed, strict=True)
    found = [abs(a - b) if isinstance(a, float) and isinstance(b, float) else inf for a, b in pairs]
    return max((inf if isnan(d) else d for d in found), default=0.0)


class _Histories:
    """Leads' histories as of rows' instants; the rows of several targets ask for the same ones."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[tuple[str, int], LeadHistory | None] = {}

    def of(self, row: LedgerRow) -> LeadHistory | None:
        key = (row.lead_id, row.as_of)
        if key not in self._read:
            if len(self._read) >= _AT_ONCE:
                self._read.clear()
            try:
                self._read[key] = lead_history(self._store, row.lead_id, as_of=row.as_of)
            except NotFound:
                self._read[key] = None
        return self._read[key]


def _compare_with_history(
    pairs: Sequence[tuple[LedgerRow, list[Value], list[Value]]], judge: Judge, report: Report
) -> None:
    stored = judge.columns([values for _, values, _ in pairs])
    recomputed = judge.columns([values for _, _, values in pairs])
    scored = judge.bundle.score_columns(recomputed)
    scorer = judge.bundle.scorer
    flipped = scorer.leaves(list(stored.values())) != scorer.leaves(list(recomputed.values()))
    report.trees += flipped.size
    report.flipped_leaves += int(flipped.sum())
    for place, (row, before, now) in enumerate(pairs):
        difference = _greatest([row.margin], [float(scored.margin[place])])
        report.compared(difference)
        others = [d.name for d, a, b in zip(judge.bundle.declarations, before, now, strict=True) if not _alike(a, b)]
        if others:
            report.features.update(others)
            leaves = int(flipped[place].sum())
            said = f"{difference:.3g} in log-odds, {leaves} flipped leaves, by {', '.join(others[:3])}"
            report.other_features.add(row, said)
        elif difference <= TOLERANCE:
            report.same += 1
        else:
            report.wrong.add(row, f"{difference:.3g} in log-odds with the same feature values")


def _alike(stored: Value, now: Value) -> bool:
    if isinstance(stored, float) and isinstance(now, int | float):
        if isnan(stored) or isnan(now):
            return isnan(stored) and isnan(now)
        return stored == now or abs(stored - now) <= TOLERANCE * max(1.0, abs(stored))
    return stored == now
