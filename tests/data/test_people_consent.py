"""Who may be scored, as of a time and now."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.home import Home
from data.people.consent import Word, allowed, allowed_then_and_now, scoring_words, words_of_objectors
from data.store.operational import Store
from data.tables import CONSENTS, LEADS

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


def test_batch_and_online_hear_the_same_words(tmp_path: Path) -> None:
    stamp = {"source": "t", "basis": None, "text_version": None, "place": None}
    said = [("P1", "scoring", True), ("P1", "scoring", False), ("P2", "marketing", False), ("P3", "scoring", True)]
    consents = [
        {**stamp, "source_id": f"c{n}", "person_id": p, "purpose": of, "granted": g, "occurred_at": n, "recorded_at": n}
        for n, (p, of, g) in enumerate(said)
    ]
    leads = [
        {"lead_id": f"L{n}", "person_id": p, "account_id": None, "source": "t", "source_id": f"l{n}"}
        | {"occurred_at": 0, "recorded_at": 0}
        for n, p in enumerate(["P1", "P1", "P2", "P3", None])
    ]
    with Store.open(Home.at(tmp_path)) as store:
        consent_rows = pa.Table.from_pylist(consents, CONSENTS.arrow_schema())
        store.append_all({LEADS: pa.Table.from_pylist(leads, LEADS.arrow_schema()), CONSENTS: consent_rows}, now=1)
        batch = words_of_objectors(store.read(CONSENTS), store.read(LEADS))
        assert set(batch) == {"L0", "L1"}
        for lead in leads:
            online = scoring_words(store, lead["lead_id"])
            assert batch.get(lead["lead_id"], online) == online
            assert allowed(online, as_of=100) is (lead["person_id"] != "P1")
