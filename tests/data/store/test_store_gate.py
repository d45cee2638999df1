"""Consent between store and snapshot: who refuses is in no new snapshot; who agrees again is back, to the row."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.company import Company, Target
from data.home import Home
from data.store.gate import GATED
from data.store.operational import Store
from data.store.partitions import registered
from data.store.snapshots import Snapshot, take_snapshot
from data.tables import CONSENTS, HANDOVERS, LEAD_ATTRIBUTES, LEADS, MERGES, STAGE_CHANGES, TABLES, TOUCHPOINTS, Table
from tests.data.partitioned import add_in_bulk

Rows = Callable[..., pa.Table]
COMPANY = Company(targets=(Target("won", "won", 30),))
LEADS_OF = {f"L{n}": f"P{n % 4}" if n < 10 else None for n in range(12)}
STEPS = 12


def _leads_in(snapshot: Snapshot) -> dict[str, set[str]]:
    read = lambda name: {v for f in snapshot.files(name) for v in pq.read_table(f)["lead_id"].to_pylist()}  # noqa: E731
    return {name: read(name) for name in GATED}


def _refusing(words: list[dict], merged: dict[str, str]) -> set[str]:
    """The oracle: the newest word of everybody who is the same person, a withdrawal before a grant of one instant."""

    def survivor(person: str) -> str:
        return survivor(merged[person]) if person in merged else person

    newest: dict[str, tuple[int, int, bool]] = {}
    for word in words:
        rank = (word["occurred_at"], word["recorded_at"], not word["granted"])
        newest[survivor(word["person_id"])] = max(newest.get(survivor(word["person_id"]), rank), rank)
    return {lead for lead, person in LEADS_OF.items() if person and newest.get(survivor(person), (0, 0, False))[2]}


def _fresh_hash(store: Store, folder: Path) -> str:
    """Of a new store that is given, at once, everything this one holds."""
    home = Home.at(folder)
    own = {t: store.read(t) for t in TABLES if t.name != "lead_cycles"}
    with Store.open(home) as other:
        other.save_company(COMPANY, now=1)
        other.append_all(own, now=1)
        return take_snapshot(other, home, now=1).hash


class _Story:
    """Random events in one store; source ids count up."""

    def __init__(self, store: Store, rows: Rows, seed: int) -> None:
        self.store, self.rows, self.chance = store, rows, random.Random(seed)
        self.words: list[dict] = []
        self.merged: dict[str, str] = {}
        self._count = 0

    def _named(self, **values: object) -> dict:
        self._count += 1
        return {"source_id": f"r{self._count}", "occurred_at": self._count, "recorded_at": self._count, **values}

    def _some(self, table: Table, **values: object) -> pa.Table:
        leads = self.chance.choices(list(LEADS_OF), k=5)
        return self.rows(table, *(self._named(lead_id=lead, **values) for lead in leads))

    def more(self) -> None:
        self.store.append_all({t: self._some(t) for t in (TOUCHPOINTS, LEAD_ATTRIBUTES, HANDOVERS)}, now=self._count)
        self.store.append(STAGE_CHANGES, self._some(STAGE_CHANGES, stage="recycled"), now=self._count)

    def in_bulk(self) -> None:
        add_in_bulk(self.store, self._some(TOUCHPOINTS), now=self._count)

    def word(self) -> None:
        person = f"P{self.chance.randrange(4)}"
        row = self._named(person_id=person, purpose="scoring", granted=self.chance.random() < 0.4)
        row["occurred_at"] -= self.chance.randrange(3)
        self.words.append(row)
        other = self._named(person_id=person, purpose="marketing", granted=False)
        self.store.append(CONSENTS, self.rows(CONSENTS, row, other), now=self._count)

    def merge(self) -> None:
        ends = [p for p in ("P1", "P2", "P3") if p not in self.merged]
        if ends:
            one = self.chance.choice(ends)
            self.merged[one] = f"P{int(one[1]) - 1}"
            row = self._named(subject="person", from_id=one, into_id=self.merged[one], undone=False)
            self.store.append(MERGES, self.rows(MERGES, row), now=self._count)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_snapshot_built_upon_another_is_that_of_a_fresh_store(tmp_path: Path, rows: Rows, seed: int) -> None:
    home = Home.at(tmp_path / "home")
    seen: dict[str, int] = defaultdict(int)
    with Store.open(home) as store:
        store.save_company(COMPANY, now=1)
        store.append(
            LEADS, rows(LEADS, *({"lead_id": k, "person_id": p, "source_id": k} for k, p in LEADS_OF.items())), now=1
        )
        story = _Story(store, rows, seed)
        story.more()
        story.in_bulk()
        take_snapshot(store, home, now=1)
        for step in range(STEPS):
            for event in story.chance.choices((story.more, story.in_bulk, story.word, story.merge), (2, 2, 4, 1), k=2):
                event()
            snapshot = take_snapshot(store, home, now=step)
            refusing = _refusing(story.words, story.merged)
            seen["refusing" if refusing else "none"] += 1
            found = _leads_in(snapshot)
            assert not refusing & set().union(*found.values())
            assert found["leads"] == set(LEADS_OF) - refusing
            assert snapshot.manifest["consent"] == {"purpose": "scoring", "leads_left_out": len(refusing)}
            if step % 4 == 3:
                assert snapshot.hash == _fresh_hash(store, tmp_path / f"fresh{step}")
    assert seen["refusing"] > 2


def test_only_the_parts_that_hold_a_refusing_lead_are_written_anew(
    sqlite_store: Store, sqlite_home: Home, rows: Rows
) -> None:
    store, home = sqlite_store, sqlite_home
    store.save_company(COMPANY, now=1)
    store.append(LEADS, rows(LEADS, *({"lead_id": k, "person_id": k, "source_id": k} for k in "AB")), now=1)
    for lead in "AB":
        store.append(TOUCHPOINTS, rows(TOUCHPOINTS, {"lead_id": lead, "source_id": lead}), now=1)
        add_in_bulk(store, rows(TOUCHPOINTS, {"lead_id": lead, "source_id": f"bulk {lead}"}), now=1)
        before = take_snapshot(store, home, now=1)
    store.append(CONSENTS, rows(CONSENTS, {"person_id": "A", "purpose": "scoring", "granted": False}), now=2)
    after = take_snapshot(store, home, now=2)

    shared = [a.samefile(b) for a, b in zip(before.files("touchpoints"), after.files("touchpoints"), strict=True)]
    counts = [pq.read_metadata(f).num_rows for f in after.files("touchpoints")]
    assert (sorted(shared), sorted(counts)) == ([False, False, True, True], [0, 0, 1, 1])
    assert _leads_in(after)["touchpoints"] == {"B"}
    assert _leads_in(before)["touchpoints"] == {"A", "B"}
    with store.reading() as connection:
        assert [p.rows for p in registered(connection)] == [1, 1]


def test_a_withdrawal_alone_makes_another_snapshot_and_a_grant_brings_the_rows_back(
    store: Store, home: Home, rows: Rows
) -> None:
    """On either engine; the words themselves stay."""
    store.save_company(COMPANY, now=1)
    store.append(LEADS, rows(LEADS, {"lead_id": "A", "person_id": "P", "source_id": "A"}, {"lead_id": "B"}), now=1)
    first = take_snapshot(store, home, now=1)
    found = []
    for nth, granted in enumerate((False, True), 2):
        word = {"person_id": "P", "purpose": "scoring", "granted": granted, "occurred_at": nth, "source_id": f"w{nth}"}
        store.append(CONSENTS, rows(CONSENTS, word), now=nth)
        snapshot = take_snapshot(store, home, now=nth)
        words = sum(pq.read_metadata(f).num_rows for f in snapshot.files("consents"))
        found.append((snapshot.hash != first.hash, _leads_in(snapshot)["leads"], words))
    assert found == [(True, {"B"}, 1), (True, {"A", "B"}, 2)]
