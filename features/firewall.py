"""The leak firewall: one verdict a column or feature, with its evidence.

Columns that are filled because of the outcome make a model look perfect and
useless. Timing and outcome-exclusive existence block; strength alone and
telling gaps flag. Training refuses what is blocked unless the mapping says
why it is allowed. What is examined and why so: docs/leaks.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pandas as pd
from ibis.backends.duckdb import Backend

from data.company import Company, Target
from data.errors import DataRefused
from data.home import Home
from data.store.snapshots import Snapshot
from features.as_of import Tables
from features.catalogue import declarations
from features.declaration import ATTRIBUTE_KINDS, Declaration
from features.engine import batch_engine
from features.existence import Filled
from features.filling import attribute_filling
from features.outcome_rows import labelled_sample, rows_of_today
from features.shifts import Shift, shift
from features.suspicion import Looks, blocks_of, column_values, flags_of, looks_of, notes_of

Level = Literal["allow", "flag", "block"]


@dataclass(frozen=True)
class Verdict:
    subject: str
    """Column (attribute), or feature where it is read from no column."""
    target: str
    level: Level
    evidence: tuple[str, ...]
    """What was found, in words; empty where nothing was."""
    features: tuple[str, ...]
    """The features that read it."""
    figures: dict[str, float] = field(default_factory=dict)
    allowed_because: str = ""
    """Why the mapping allows it although it is blocked."""
    notes: tuple[str, ...] = ()
    """What is worth knowing of an honest column, too."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def verdicts(
    connection: Backend,
    tables: Tables,
    company: Company,
    wanted: Sequence[Declaration],
    target: Target,
    *,
    as_of: int,
    strengths: bool = True,
) -> list[Verdict]:
    """A verdict on each column and feature of `wanted` for `target`, on what is known at `as_of`; worst first.

    Without `strengths` only what can block is looked at, which is quick: nothing is flagged then.
    """
    everyone, matured = attribute_filling(connection, tables, target, as_of=as_of)
    subjects = _by_subject(wanted)
    sample = today = None
    if strengths:
        sample = labelled_sample(connection, tables, company, wanted, target, as_of=as_of)
        since = as_of - target.horizon - target.recording_lag
        columns = [d for d in wanted if d.kind in ATTRIBUTE_KINDS]
        today = rows_of_today(connection, tables, company, columns, since=since, as_of=as_of)
    found = [
        _verdict(subject, features, company, target, sample, today, everyone.get(subject), matured.get(subject))
        for subject, features in subjects.items()
    ]
    return sorted(found, key=lambda v: (("block", "flag", "allow").index(v.level), v.subject))


def blocking(found: Sequence[Verdict]) -> list[Verdict]:
    """The blocked ones that nobody has allowed."""
    return [v for v in found if v.level == "block" and not v.allowed_because]


def refuse_blocked(found: Sequence[Verdict]) -> None:
    """Raises DataRefused naming every blocked column that the mapping does not allow."""
    if blocked := blocking(found):
        told = "; ".join(f"{v.subject}: {v.evidence[0]}" for v in blocked)
        raise DataRefused(
            f"columns for target {blocked[0].target}",
            told,
            expected="columns that were known before the outcome",
            remedy='declare them known = "outcome" in the mapping, or say allowed_because = "…"; then import again',
        )


def examine_leaks(home: Home, snapshot: Snapshot, *, as_of: int, target: str | None = None) -> list[Verdict]:
    """Verdicts on every feature the home would train with, for one target or all."""
    company = snapshot.company
    wanted = declarations(company, home.own_features)
    targets = [company.target(target)] if target else list(company.targets)
    with batch_engine(home) as connection:
        tables = snapshot.tables(connection)
        return [v for t in targets for v in verdicts(connection, tables, company, wanted, t, as_of=as_of)]


def _by_subject(wanted: Sequence[Declaration]) -> dict[str, list[Declaration]]:
    """Features by the attribute they read, or by their own name."""
    subjects: dict[str, list[Declaration]] = {}
    for d in wanted:
        subjects.setdefault(d.attribute if d.kind in ATTRIBUTE_KINDS else d.name, []).append(d)
    return subjects


def _verdict(
    subject: str,
    features: list[Declaration],
    company: Company,
    target: Target,
    sample: pd.DataFrame | None,
    today: pd.DataFrame | None,
    filled: Filled | None,
    matured: Filled | None,
) -> Verdict:
    reads_attribute = features[0].kind in ATTRIBUTE_KINDS
    if not reads_attribute:
        filled = matured = None
    later = any(c.name == subject and c.known == "later" for c in company.columns)
    looks = looks_of(features, target, sample) if sample is not None else Looks()
    moved = _shift(features, sample, today) if reads_attribute and sample is not None and today is not None else None
    blocks, flags = blocks_of(filled, matured, known_later=later), flags_of(looks, filled)
    level: Level = "block" if blocks else ("flag" if flags else "allow")
    return Verdict(
        subject,
        target.name,
        level,
        (*blocks, *flags),
        tuple(d.name for d in features),
        _figures(looks, filled, moved),
        next((c.allowed_because for c in company.columns if c.name == subject), ""),
        notes_of(filled, moved),
    )


def _shift(features: list[Declaration], sample: pd.DataFrame, today: pd.DataFrame) -> Shift | None:
    """Of the first feature that reads the column's value, at creation then and now."""
    wanted = next((d for d in features if d.kind not in ("missing", "days_since_date")), None)
    if wanted is None or wanted.name not in today:
        return None
    at_creation = sample.loc[~sample["later"], wanted.name]
    return shift(column_values(at_creation, wanted), column_values(today[wanted.name], wanted))


def _figures(looks: Looks, filled: Filled | None, moved: Shift | None) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, strength in (("forward", looks.strength), ("missing", looks.gap)):
        if strength:
            figures |= {f"{name}_auc": strength.auc, f"{name}_auc_low": strength.low}
    if filled:
        figures |= {name: float(count) for name, count in vars(filled).items()}
    if moved:
        figures |= {f"psi_{name}": value for name, value in (("today", moved.today), ("past", moved.past))}
    return figures
