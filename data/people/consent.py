"""Who may be scored: the newest word of a person for one purpose, as of a time.

A person who never said anything may be scored (legitimate interest); one whose
newest visible word is a withdrawal or an objection may not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from data.store.engine import select_all

if TYPE_CHECKING:
    from data.store.operational import Store

SCORING = "scoring"


@dataclass(frozen=True, slots=True)
class Word:
    """One grant or withdrawal for one purpose."""

    occurred_at: int
    recorded_at: int
    granted: bool


def allowed(words: Iterable[Word], *, as_of: int) -> bool:
    """Whether the newest word visible as of `as_of` allows it; of two at one instant a withdrawal counts."""
    visible = [w for w in words if w.occurred_at < as_of and w.recorded_at < as_of]
    return max(visible, key=lambda w: (w.occurred_at, w.recorded_at, not w.granted)).granted if visible else True


def allowed_then_and_now(words: Iterable[Word], *, as_of: int, now: int) -> bool:
    """Whether a score as of `as_of` may be computed now: a later objection also stops looking back."""
    kept = tuple(words)
    return allowed(kept, as_of=as_of) and allowed(kept, as_of=now)


def scoring_words(store: Store, lead_id: str) -> tuple[Word, ...]:
    """What the person behind a lead has said about scoring; empty for a lead without a person."""
    sql = (
        "SELECT c.occurred_at, c.recorded_at, c.granted FROM leads l JOIN consents c ON c.person_id = l.person_id"
        " WHERE l.lead_id = ? AND c.purpose = ?"
    )
    with store.reading() as connection:
        rows = select_all(connection, sql, (lead_id, SCORING))
    return tuple(Word(at, seen, bool(granted)) for at, seen, granted in rows)


def words_of_objectors(consents: pa.Table, leads: pa.Table) -> Mapping[str, tuple[Word, ...]]:
    """lead_id → its person's words, for every lead whose person ever withdrew or objected."""
    scoring = consents.filter(pc.equal(consents["purpose"], SCORING))
    objectors = pc.unique(scoring.filter(pc.invert(scoring["granted"]))["person_id"])
    theirs = scoring.filter(pc.is_in(scoring["person_id"], objectors))
    words: dict[str, list[Word]] = defaultdict(list)
    for row in theirs.select(["person_id", "occurred_at", "recorded_at", "granted"]).to_pylist():
        words[row["person_id"]].append(Word(row["occurred_at"], row["recorded_at"], row["granted"]))
    affected = leads.filter(pc.is_in(leads["person_id"], objectors)).select(["lead_id", "person_id"])
    return {row["lead_id"]: tuple(words[row["person_id"]]) for row in affected.to_pylist()}
