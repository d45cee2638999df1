"""The leak firewall: one verdict a column or feature, with its evidence.

Columns that are filled because of the outcome make a model look perfect and
useless. Timing and outcome-exclusive existence block; strength alone and
telling gaps flag. Training refuses what is blocked unless the mapping says
why it is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
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
from features.leaks import (
    Filled,
    Strength,
    filled_late,
    forward_strength,
    is_missing,
    only_with_outcome,
    only_without_outcome,
)
from features.outcome_rows import attribute_filling, labelled_sample

Level = Literal["allow", "flag", "block"]

STRONG_ALONE = 0.76
"""Median forward AUC of one column from which it is flagged."""
TELLING_GAP = 0.70
"""Likewise of whether it is missing."""


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
    sample = labelled_sample(connection, tables, company, wanted, target, as_of=as_of) if strengths else None
    filling, matured = (
        attribute_filling(connection, tables, target, as_of=as_of, matured=matured) for matured in (False, True)
    )
    found = [
        _verdict(subject, of_subject, company, target, sample, filling.get(subject), matured.get(subject))
        for subject, of_subject in _by_subject(wanted).items()
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
    filled: Filled | None,
    matured: Filled | None,
) -> Verdict:
    reads_attribute = features[0].kind in ATTRIBUTE_KINDS
    later = any(c.name == subject and c.known == "later" for c in company.columns)
    blocks = _existence_evidence(filled, matured, later) if reads_attribute and filled else []
    strength, gap = _strengths(features, target, sample) if sample is not None else (None, None)
    flags = _strength_evidence(strength, gap)
    figures = {name: s.auc for name, s in (("forward_auc", strength), ("missing_auc", gap)) if s}
    if reads_attribute and filled:
        figures |= {name: float(count) for name, count in vars(filled).items()}
    level: Level = "block" if blocks else ("flag" if flags else "allow")
    allowed = next((c.allowed_because for c in company.columns if c.name == subject), "")
    names = tuple(d.name for d in features)
    return Verdict(subject, target.name, level, (*blocks, *flags), names, figures, allowed)


def _existence_evidence(filled: Filled, matured: Filled | None, later: bool) -> list[str]:
    found = []
    if only_with_outcome(filled):
        found.append(
            f"exists only with the outcome: {filled.outcomes_with_value:,} of {filled.with_value:,} leads that have it "
            f"reached it, against {filled.outcomes:,} of {filled.leads:,} leads in all"
        )
    if matured and only_without_outcome(matured):
        found.append(
            f"exists only without the outcome: {matured.outcomes_with_value:,} of {matured.with_value:,} leads that "
            f"have it reached the outcome, against {matured.outcomes:,} of {matured.leads:,} in all"
        )
    # A column known from its import on is later than every outcome before the import, and harmless.
    if filled_late(filled) and not later:
        found.append(
            f"first filled at or after the outcome for {filled.after:,} of {filled.outcomes_with_value:,} leads that "
            "have both"
        )
    return found


def _strengths(
    features: list[Declaration], target: Target, sample: pd.DataFrame
) -> tuple[Strength | None, Strength | None]:
    """The strongest of the features that read one column, and of their gaps."""
    label, at = sample["label"].to_numpy(np.float64), sample["as_of"].to_numpy(np.int64)
    known_after = target.horizon + target.recording_lag
    values = [_values(sample[d.name], d) for d in features if d.kind != "missing"]
    strengths = [forward_strength(v, label, at, known_after) for v in values]
    gaps = [forward_strength(is_missing(v), label, at, known_after) for v in values]
    return _strongest(strengths), _strongest(gaps)


def _strongest(found: list[Strength | None]) -> Strength | None:
    return max((s for s in found if s), key=lambda s: s.auc, default=None)


def _strength_evidence(strength: Strength | None, gap: Strength | None) -> list[str]:
    found = []
    if strength and strength.auc >= STRONG_ALONE:
        found.append(f"alone ranks later outcomes with AUC {strength.auc:.2f} ({strength.outcomes:,} outcomes)")
    if gap and gap.auc >= TELLING_GAP:
        found.append(f"whether it is missing ranks later outcomes with AUC {gap.auc:.2f} ({gap.outcomes:,} outcomes)")
    return found


def _values(column: pd.Series, d: Declaration) -> np.ndarray:
    if d.is_category:
        return column.astype(object).where(column.notna(), None).to_numpy(dtype=object)
    return column.to_numpy(dtype=np.float64, na_value=np.nan)
