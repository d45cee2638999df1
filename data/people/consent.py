"""Who may be scored: the newest word of a person for one purpose, as of a time.

A person who never said anything may be scored (legitimate interest); one whose
newest visible word is a withdrawal or an objection may not. Persons merged
into one speak as one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from data.people.merges import FOREVER, Merge, Standing, families, merges_of, standings
from data.store.engine import select_all
from data.store.merges import related_merges, select_in

if TYPE_CHECKING:
    from sqlalchemy import Connection

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
    return max(visible, key=_rank).granted if visible else True


def allowed_then_and_now(words: Iterable[Word], *, as_of: int, now: int) -> bool:
    """Whether a score as of `as_of` may be computed now: a later objection also stops looking back."""
    kept = tuple(words)
    return allowed(kept, as_of=as_of) and allowed(kept, as_of=now)


def _rank(word: Word) -> tuple[int, int, bool]:
    return (word.occurred_at, word.recorded_at, not word.granted)


class Consents:
    """What the persons behind leads have said about one purpose.

    Behind a lead as of t stand the persons of every lead then read as the same
    one. Each person (with all merged into them by then) speaks by their newest
    word, and one who does not allow it is enough.
    """

    def __init__(
        self,
        persons: Mapping[str, str | None],
        words: Mapping[str, Sequence[Word]],
        lead_merges: Iterable[Merge] = (),
        person_merges: Iterable[Merge] = (),
    ) -> None:
        """`persons` by lead id and `words` by person id must hold all that the merges link with who is asked for."""
        self._persons, self._words = persons, words
        self._leads, self._people = _Kin(lead_merges), _Kin(person_merges)

    @staticmethod
    def of_tables(leads: pa.Table, consents: pa.Table, merges: pa.Table, *, purpose: str = SCORING) -> Consents:
        """From whole tables; keeps only what concerns leads with a word against it behind them, at any time."""
        lead_merges, person_merges = merges_of(merges, "lead"), merges_of(merges, "person")
        said = consents.filter(pc.equal(consents["purpose"], purpose))
        refusing = pc.unique(said.filter(pc.invert(said["granted"]))["person_id"]).to_pylist()
        heard = _with_kin(refusing, families(person_merges))
        asked = _with_kin(_leads_of(leads, heard), families(lead_merges))
        concerned = leads.filter(pc.is_in(leads["lead_id"], pa.array(sorted(asked), pa.string())))
        persons = dict(zip(*(concerned[name].to_pylist() for name in ("lead_id", "person_id")), strict=True))
        # Also who never refused: of two persons merged, the newest word of both counts.
        behind = (person for person in persons.values() if person is not None)
        heard |= _with_kin(behind, families(person_merges))
        return Consents(persons, _words_by_person(said, heard), lead_merges, person_merges)

    @staticmethod
    def of_lead(store: Store, lead_id: str, *, purpose: str = SCORING) -> Consents:
        """From the store, for one lead (and those it was ever merged with)."""
        with store.reading() as connection:
            return Consents.of_leads(connection, [lead_id], purpose=purpose)

    @staticmethod
    def of_leads(connection: Connection, lead_ids: Iterable[str], *, purpose: str = SCORING) -> Consents:
        """Likewise for some leads, in the view of a connection."""
        asked = list(lead_ids)
        lead_merges = related_merges(connection, "lead", asked)
        kin = _with_kin(asked, families(lead_merges))
        persons = dict(select_in(connection, "SELECT lead_id, person_id FROM leads WHERE lead_id IN", sorted(kin)))
        known = sorted({person for person in persons.values() if person is not None})
        person_merges = related_merges(connection, "person", known) if known else []
        heard = sorted(_with_kin(known, families(person_merges)))
        sql = "SELECT person_id, occurred_at, recorded_at, granted FROM consents WHERE purpose = ? AND person_id IN"
        words: dict[str, list[Word]] = defaultdict(list)
        for person, at, seen, granted in select_in(connection, sql, heard, (purpose,)):
            words[person].append(Word(at, seen, bool(granted)))
        return Consents(persons, words, lead_merges, person_merges)

    @property
    def concerned(self) -> Iterable[str]:
        """The leads this can say anything about; any other may be scored."""
        return self._persons

    def allow(self, lead_id: str, *, as_of: int) -> bool:
        """Whether nobody behind the lead as of `as_of` had then refused."""
        speakers = {
            self._people.read_as(person, as_of)
            for lead in self._leads.read_alike(lead_id, as_of)
            if (person := self._persons.get(lead)) is not None
        }
        return all(allowed(self._said(speaker, as_of), as_of=as_of) for speaker in speakers)

    def allow_then_and_now(self, lead_id: str, *, as_of: int, now: int) -> bool:
        """Whether a score as of `as_of` may be computed now: a later objection also stops looking back."""
        return lead_id not in self._persons or all(self.allow(lead_id, as_of=t) for t in {as_of, now})

    def _said(self, speaker: str, as_of: int) -> list[Word]:
        return [word for one in self._people.read_alike(speaker, as_of) for word in self._words.get(one, ())]


def refusing_leads(leads: pa.Table, consents: pa.Table, merges: pa.Table, *, purpose: str = SCORING) -> frozenset[str]:
    """Leads that may not be used for `purpose` by all that was ever recorded: no clock decides, only content."""
    known = Consents.of_tables(leads, consents, merges, purpose=purpose)
    return frozenset(lead for lead in known.concerned if not known.allow(lead, as_of=FOREVER))


def anybody_refuses(connection: Connection, *, purpose: str = SCORING) -> bool:
    """Whether there is any word against `purpose` in the store: in most stores no further look is needed."""
    sql = "SELECT 1 FROM consents WHERE purpose = ? AND granted = false LIMIT 1"
    return bool(select_all(connection, sql, (purpose,)))


def refusing_among(connection: Connection, leads: Iterable[str], *, purpose: str = SCORING) -> frozenset[str]:
    """Those of some stored leads that `refusing_leads` would name."""
    asked = list(leads)
    if not asked or not anybody_refuses(connection, purpose=purpose):
        return frozenset()
    known = Consents.of_leads(connection, asked, purpose=purpose)
    return frozenset(lead for lead in asked if not known.allow(lead, as_of=FOREVER))


class _Kin:
    """Who is read as whom, as of any time."""

    def __init__(self, merges: Iterable[Merge]) -> None:
        kept = tuple(merges)
        self._families = families(kept)
        self._standings: dict[str, list[Standing]] = defaultdict(list)
        for standing in standings(kept):
            self._standings[standing.id].append(standing)

    def read_as(self, one: str, as_of: int) -> str:
        return next((s.read_as for s in self._standings.get(one, ()) if s.holds(as_of)), one)

    def read_alike(self, one: str, as_of: int) -> list[str]:
        """All ids that stand for the same as `one`, itself too."""
        meant = self.read_as(one, as_of)
        return [other for other in self._families.get(one, {one}) if self.read_as(other, as_of) == meant]


def _with_kin(ids: Iterable[str], kin: Mapping[str, frozenset[str]]) -> set[str]:
    return {other for one in ids for other in kin.get(one, {one})}


def _leads_of(leads: pa.Table, persons: set[str]) -> list[str]:
    theirs = pc.is_in(leads["person_id"], pa.array(sorted(persons), pa.string()))
    found: list[str] = leads.filter(theirs)["lead_id"].to_pylist()
    return found


def _words_by_person(said: pa.Table, persons: set[str]) -> Mapping[str, list[Word]]:
    words: dict[str, list[Word]] = defaultdict(list)
    theirs = said.filter(pc.is_in(said["person_id"], pa.array(sorted(persons), pa.string())))
    for row in theirs.select(["person_id", "occurred_at", "recorded_at", "granted"]).to_pylist():
        words[row["person_id"]].append(Word(row["occurred_at"], row["recorded_at"], row["granted"]))
    return words
