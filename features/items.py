"""Fields that a company collects, and which of them never helped forward in time (収集をやめられる項目).

Each field is taken away as if it had never been collected: the features that
read an attribute go, those over touchpoints are computed anew without the
kind or channel. What later outcomes then cost more is the field's gain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import ibis
import numpy as np
import pandas as pd
from ibis.backends.duckdb import Backend

from data.company import Company, Target
from data.errors import DataRefused
from data.home import Home
from data.store.snapshots import Snapshot
from features.as_of import ROW_COLUMNS, Tables
from features.catalogue import declarations
from features.declaration import ACCOUNT_KINDS, TOUCHPOINT_KINDS_OF_FEATURE, Declaration
from features.engine import batch_engine, feature_values
from features.firewall import blocking, verdicts
from features.forward_gain import Columns, Gain, Rows, forward_losses, gain, prior_losses
from features.leaks import LEAST_OUTCOMES
from features.outcome_rows import sampled_rows
from features.suspicion import column_values

CYCLES = 5_000
"""Lead cycles looked at, each at its creation and at one later instant."""
NEXT_TO_NOTHING = 0.01
"""Of what all fields together gain over the constant rate: a field that is listed gained no more than this."""
MATERIAL = 0.05
"""And surely less than this."""
COMES_WITH = {"job_title_band": "job_title", "employee_band": "employees"}
"""Attributes that an import works out → the field that is really collected."""
FEWEST = 100
"""Records of a kind or channel below which it is not listed."""

Word = Literal["stop", "keep", "undecided"]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Item:
    """Something a company collects."""

    sort: Literal["lead attribute", "account attribute", "touchpoint kind", "touchpoint channel"]
    name: str
    filled: float
    """Share of sampled rows with a value; of touchpoints, the share of all that are of this kind or channel."""


@dataclass(frozen=True)
class ItemFinding:
    item: Item
    word: Word
    gains: dict[str, Gain]
    """By target."""
    shares: dict[str, tuple[float, float]]
    """Interval of the gain by target, in shares of what all fields together gain."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Items:
    findings: tuple[ItemFinding, ...]
    together: dict[str, tuple[float, float]]
    """By target: interval of what giving up all listed fields at once costs, as shares; empty where none is listed."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def to_stop(self) -> tuple[ItemFinding, ...]:
        return tuple(f for f in self.findings if f.word == "stop")


@dataclass(frozen=True)
class Bench:
    """One target's rows with their features, and what all fields together gain."""

    target: Target
    frame: pd.DataFrame
    rows: Rows
    columns: Columns
    losses: np.ndarray
    whole: float
    """Log loss a row that all features together save against the rate known by then."""


def examine_items(
    home: Home, snapshot: Snapshot, *, as_of: int, target: str | None = None, progress: Progress = lambda _: None
) -> Items:
    """Every collected field with what it gained. Raises DataRefused where too few outcomes came for a backtest."""
    company = snapshot.company
    wanted = declarations(company, home.own_features)
    targets = [company.target(target)] if target else list(company.targets)
    with batch_engine(home) as connection:
        tables = snapshot.tables(connection)
        # A leak would make everything else look useless.
        leaks = {
            name
            for t in targets
            for v in blocking(verdicts(connection, tables, company, wanted, t, as_of=as_of, strengths=False))
            for name in v.features
        }
        wanted = tuple(d for d in wanted if d.name not in leaks)
        return items_of(connection, tables, company, wanted, targets, as_of=as_of, progress=progress)


def items_of(
    connection: Backend,
    tables: Tables,
    company: Company,
    wanted: Sequence[Declaration],
    targets: Sequence[Target],
    *,
    as_of: int,
    progress: Progress = lambda _: None,
) -> Items:
    benches = [b for t in targets if (b := _bench(connection, tables, company, wanted, t, as_of=as_of))]
    if not benches:
        raise DataRefused(
            "check --items",
            "too few outcomes, or no feature that says anything of later ones",
            expected=f"{LEAST_OUTCOMES} outcomes in a later stretch of time, and features better than a constant rate",
            remedy="import more history, or ask again when more outcomes have come",
        )

    def cost(items: Sequence[Item]) -> ItemFinding:
        progress(", ".join(item.name for item in items))
        columns = [_without(connection, tables, company, wanted, bench, items) for bench in benches]
        return _finding(items[0], benches, columns)

    findings = [cost([i]) for i in collected(connection, tables, company, wanted, benches[0].frame, as_of=as_of)]
    return _agreed(findings, cost)


def _agreed(findings: list[ItemFinding], cost: Callable[[Sequence[Item]], ItemFinding]) -> Items:
    """Fields may stand in for one another: the listed are given up together, less the dearest until that is cheap."""
    together: dict[str, tuple[float, float]] = {}
    while listed := [f for f in findings if f.word == "stop"]:
        joint = cost([f.item for f in listed])
        together = joint.shares
        if joint.word != "keep":
            break
        listed.sort(key=lambda f: -max(high for _, high in f.shares.values()))
        dearest = listed[: 1 + len(listed) // 4]
        findings = [replace(f, word="undecided") if f in dearest else f for f in findings]
        together = {}
    return Items(tuple(findings), together)


def collected(
    connection: Backend,
    tables: Tables,
    company: Company,
    wanted: Sequence[Declaration],
    frame: pd.DataFrame,
    *,
    as_of: int,
) -> list[Item]:
    """The fields behind the features: attributes that are ever filled, kinds and channels of touchpoints."""
    found: dict[str, Item] = {}
    for d in wanted:
        name = COMES_WITH.get(d.attribute, d.attribute)
        if d.attribute and d.kind not in ("missing", *ACCOUNT_KINDS) and name not in found:
            filled = float(frame[d.name].notna().mean())
            if filled:
                found[name] = Item("account attribute" if d.subject == "account" else "lead attribute", name, filled)
    items = list(found.values())
    if not any(d.kind in TOUCHPOINT_KINDS_OF_FEATURE for d in wanted):
        return items
    touchpoints = tables["touchpoints"].filter(lambda t: (t.occurred_at < as_of) & (t.recorded_at < as_of))
    for sort, column in (("touchpoint kind", "kind"), ("touchpoint channel", "channel")):
        counts = connection.to_pandas(touchpoints.group_by(column).aggregate(n=touchpoints.count())).dropna()
        total = max(int(counts["n"].sum()), 1)
        counts = counts[counts["n"] >= FEWEST].sort_values(column)
        items += [
            Item(sort, str(name), n / total)  # type: ignore[arg-type]
            for name, n in zip(counts[column], counts["n"], strict=True)
        ]
    return items


def _bench(
    connection: Backend, tables: Tables, company: Company, wanted: Sequence[Declaration], target: Target, *, as_of: int
) -> Bench | None:
    rows = sampled_rows(connection, tables, company, target, as_of=as_of, cycles=CYCLES)
    frame = rows.merge(_values(connection, tables, company, wanted, rows), on=list(ROW_COLUMNS), validate="one_to_one")
    what = Rows(
        frame["label"].to_numpy(np.float64),
        frame["as_of"].to_numpy(np.int64),
        pd.factorize(frame["lead_id"])[0].astype(np.int64),
        target.horizon + target.recording_lag,
    )
    columns = {d.name: column_values(frame[d.name], d) for d in wanted}
    losses = forward_losses(what, columns)
    whole = float(np.nanmean(prior_losses(what) - losses)) if np.isfinite(losses).any() else 0.0
    return Bench(target, frame, what, columns, losses, whole) if whole > 0 else None


def _values(
    connection: Backend, tables: Tables, company: Company, wanted: Sequence[Declaration], rows: pd.DataFrame
) -> pd.DataFrame:
    asked = ibis.memtable(rows[list(ROW_COLUMNS)])
    return feature_values(connection, tables, asked, wanted, company).to_pandas()


def _without(
    connection: Backend,
    tables: Tables,
    company: Company,
    wanted: Sequence[Declaration],
    bench: Bench,
    items: Sequence[Item],
) -> Columns:
    """The bench's columns had the items never been collected."""
    names = {sort: [i.name for i in items if i.sort == sort] for sort in ("touchpoint kind", "touchpoint channel")}
    attributes = {i.name for i in items if i.sort.endswith("attribute")}
    gone = {d.name for d in wanted if COMES_WITH.get(d.attribute, d.attribute) in attributes}
    columns = bench.columns
    if any(names.values()):
        touched = [d for d in wanted if d.kind in TOUCHPOINT_KINDS_OF_FEATURE or d.kind in ACCOUNT_KINDS]
        touchpoints = tables["touchpoints"]
        for column, sort in (("kind", "touchpoint kind"), ("channel", "touchpoint channel")):
            if names[sort]:
                touchpoints = touchpoints.filter(touchpoints[column].isnull() | touchpoints[column].notin(names[sort]))
        anew = _values(connection, {**tables, "touchpoints": touchpoints}, company, touched, bench.frame)
        frame = bench.frame[list(ROW_COLUMNS)].merge(anew, on=list(ROW_COLUMNS), validate="one_to_one")
        columns = {**columns, **{d.name: column_values(frame[d.name], d) for d in touched}}
    return {name: values for name, values in columns.items() if name not in gone}


def _finding(item: Item, benches: Sequence[Bench], columns: Sequence[Columns]) -> ItemFinding:
    gains = {
        b.target.name: gain(forward_losses(b.rows, without), b.losses, b.rows.lead)
        for b, without in zip(benches, columns, strict=True)
    }
    shares = {b.target.name: _share(gains[b.target.name], b) for b in benches}
    return ItemFinding(item, _word(shares.values()), gains, shares)


def _share(found: Gain, bench: Bench) -> tuple[float, float]:
    return found.low / bench.whole, found.high / bench.whole


def _word(shares: Iterable[tuple[float, float]]) -> Word:
    """One target that a field surely helps is enough to keep it; to stop it, none may be helped more than a little."""
    intervals = list(shares)
    if any(low > 0 for low, _ in intervals):
        return "keep"
    little = all((low + high) / 2 < NEXT_TO_NOTHING and high < MATERIAL for low, high in intervals)
    return "stop" if little else "undecided"
