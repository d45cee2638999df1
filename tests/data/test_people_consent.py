"""Who may be scored, as of a time and now."""

from __future__ import annotations

from dataclasses import dataclass
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.home import Home
from data.people.consent import Consents, Word, allowed, allowed_then_and_now, refusing_leads
from data.people.merges import Merge, survivors
from data.store.operational import Store
from data.tables import CONSENTS, LEADS, MERGES, Table

GRANTED, WITHDRAWN = Word(10, 11, True), Word(20, 21, False)


@pytest.mark.parametrize(
    ("words", "as_of", "expected"),
    [
        ((), 100, True),
        ((GRANTED,), 100, True),
        ((WITHDRAWN,), 100, False),
        ((GRANTED, WITHDRAWN), 100, False),
        ((WITHDRAWN, GRANTED), 100, False),
        ((GRANTED, WITHDRAWN), 21, True),  # recorded at 21: not visible before 22
        ((GRANTED, WITHDRAWN), 22, False),
        ((WITHDRAWN, Word(30, 31, True)), 100, True),
        ((WITHDRAWN, Word(20, 21, True)), 100, False),  # at one instant the withdrawal counts
    ],
)
def test_the_newest_visible_word_counts(words: tuple[Word, ...], as_of: int, expected: bool) -> None:
    assert allowed(words, as_of=as_of) is expected


words = st.lists(st.builds(Word, st.integers(0, 30), st.integers(0, 30), st.booleans()), max_size=6)


@given(words, st.integers(0, 40), st.integers(0, 40))
def test_looking_back_needs_both_the_word_then_and_the_word_now(told: list[Word], then: int, now: int) -> None:
    both = allowed(told, as_of=then) and allowed(told, as_of=now)
    assert allowed_then_and_now(told, as_of=then, now=now) is both


@given(words, st.integers(0, 40))
def test_what_is_not_yet_known_changes_nothing(told: list[Word], as_of: int) -> None:
    visible = [w for w in told if w.occurred_at < as_of and w.recorded_at < as_of]
    assert allowed(told, as_of=as_of) is allowed(visible, as_of=as_of)


PEOPLE, LEAD_IDS = ("P0", "P1", "P2", None), ("L0", "L1", "L2", "L3")
ids_to_merge = st.sampled_from([("person", p) for p in ("P0", "P1", "P2")] + [("lead", one) for one in LEAD_IDS])
instants = st.integers(0, 8)


@dataclass
class Company:
    """Who stands behind which lead, what they said, which ids were found to be the same."""

    persons: dict[str, str | None]
    said: list[tuple[str, str, Word]]
    merged: list[tuple[str, Merge]]

    @staticmethod
    @st.composite
    def drawn(draw: st.DrawFn) -> Company:
        persons = {one: draw(st.sampled_from(PEOPLE)) for one in LEAD_IDS}
        word = st.builds(Word, instants, instants, st.booleans())
        spoken = st.tuples(st.sampled_from(PEOPLE[:3]), st.sampled_from(["scoring", "scoring", "marketing"]), word)
        merged = []
        for subject, from_id in draw(st.lists(ids_to_merge, max_size=4)):
            into = draw(st.sampled_from(LEAD_IDS if subject == "lead" else PEOPLE[:3]))
            merged.append(
                (subject, draw(st.builds(Merge, st.just(from_id), st.just(into), st.booleans(), instants, instants)))
            )
        return Company(persons, draw(st.lists(spoken, max_size=6)), merged)

    def rows(self, table: Table, *records: dict[str, object]) -> pa.Table:
        named = [
            {"source": "t", "source_id": f"{table.name}{n}", "occurred_at": 0, "recorded_at": 0} | r
            for n, r in enumerate(records)
        ]
        schema = table.arrow_schema()
        return pa.Table.from_pylist([{name: r.get(name) for name in schema.names} for r in named], schema)

    def tables(self) -> dict[Table, pa.Table]:
        def at(record: Word | Merge) -> dict[str, object]:
            return {"occurred_at": record.occurred_at, "recorded_at": record.recorded_at}

        return {
            LEADS: self.rows(LEADS, *({"lead_id": one, "person_id": p} for one, p in self.persons.items())),
            CONSENTS: self.rows(
                CONSENTS, *({"person_id": p, "purpose": of, "granted": w.granted, **at(w)} for p, of, w in self.said)
            ),
            MERGES: self.rows(
                MERGES,
                *(
                    {"subject": s, "from_id": m.from_id, "into_id": m.into_id, "undone": m.undone, **at(m)}
                    for s, m in self.merged
                ),
            ),
        }

    def allows(self, lead: str, t: int, purpose: str = "scoring") -> bool:
        """Slow and plain: asks of every lead and every word whether they are the same by then."""

        def same(subject: str, one: str, other: str) -> bool:
            named = survivors([m for s, m in self.merged if s == subject], as_of=t)
            return named.get(one, one) == named.get(other, other)

        persons = [p for other, p in self.persons.items() if p is not None and same("lead", lead, other)]
        return all(
            allowed([w for q, of, w in self.said if of == purpose and same("person", p, q)], as_of=t) for p in persons
        )


@settings(deadline=None)
@given(Company.drawn())
def test_the_persons_behind_a_lead_speak_as_of_the_time(company: Company) -> None:
    leads, consents, merges = company.tables().values()
    known = Consents.of_tables(leads, consents, merges)
    for lead in LEAD_IDS:
        for then in (0, 3, 9):
            both = company.allows(lead, then) and company.allows(lead, 9)
            assert known.allow_then_and_now(lead, as_of=then, now=9) is both
    refusing = {lead for lead in LEAD_IDS if not company.allows(lead, 100)}
    assert refusing_leads(leads, consents, merges) == refusing
    marketing = {lead for lead in LEAD_IDS if not company.allows(lead, 100, "marketing")}
    assert refusing_leads(leads, consents, merges, purpose="marketing") == marketing


@settings(max_examples=25, deadline=None)
@given(Company.drawn())
def test_the_store_is_heard_as_its_tables_are(company: Company) -> None:
    with TemporaryDirectory() as folder, Store.open(Home.at(folder)) as store:
        store.append_all(company.tables(), now=1)
        for lead in LEAD_IDS:
            known = Consents.of_lead(store, lead)
            for t in range(10):
                assert known.allow(lead, as_of=t) is company.allows(lead, t)
