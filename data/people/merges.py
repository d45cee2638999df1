"""Which id stands for which, and when: merges as of a time.

A merge counts from the instant after it both happened and was recorded; a
merge done later does not leak back. Of several merges of one id the newest
visible one by (occurred_at, recorded_at) holds, an undoing one before another
at the same instants, then the greater `into_id`. Merges are followed to the
end: a into b, b into c reads a as c. A ring of merges names nobody who goes
on, so the least of its ids does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Literal, NamedTuple

import pyarrow as pa

FOREVER = 2**62
"""Stands for "never" where an instant is asked for."""

Subject = Literal["person", "lead", "account"]


class Merge(NamedTuple):
    """One row of the merges table, of one subject."""

    from_id: str
    into_id: str
    undone: bool
    occurred_at: int
    recorded_at: int

    @property
    def seen(self) -> int:
        """Visible at every instant after this one."""
        return max(self.occurred_at, self.recorded_at)


class Standing(NamedTuple):
    """At every t with `after` < t ≤ `until`, `id` is read as `read_as`."""

    id: str
    read_as: str
    after: int
    until: int

    def holds(self, as_of: int) -> bool:
        return self.after < as_of <= self.until


def merges_of(table: pa.Table, subject: Subject) -> list[Merge]:
    """The merges of one subject in a `merges` table."""
    columns = ("from_id", "into_id", "undone", "occurred_at", "recorded_at")
    rows = table.select(["subject", *columns]).to_pylist()
    return [Merge(*(row[name] for name in columns)) for row in rows if row["subject"] == subject]


def standings(merges: Iterable[Merge]) -> list[Standing]:
    """Who every id that was ever merged away is read as: for each such id, all of time in order.

    Ids that are not in the answer always stand for themselves.
    """
    known = _Known()
    read_as: dict[str, str] = {}
    since: dict[str, int] = {}
    found: list[Standing] = []
    ordered = sorted(merges, key=lambda m: m.seen)
    for from_id in sorted({m.from_id for m in ordered}):
        read_as[from_id], since[from_id] = from_id, -FOREVER
    for seen, together in groupby(ordered, key=lambda m: m.seen):
        for changed in sorted(known.take(together) & read_as.keys()):
            survivor = known.survivor(changed)
            if survivor != read_as[changed]:
                found.append(Standing(changed, read_as[changed], since[changed], seen))
                read_as[changed], since[changed] = survivor, seen
    found += [Standing(one, read_as[one], since[one], FOREVER) for one in read_as]
    return sorted(found, key=lambda s: (s.id, s.after))


def survivors(merges: Iterable[Merge], *, as_of: int) -> Mapping[str, str]:
    """Every id that is read as another one as of `as_of`, and as which."""
    return {s.id: s.read_as for s in standings(merges) if s.holds(as_of) and s.read_as != s.id}


def in_the_end(merges: Iterable[Merge]) -> Mapping[str, str]:
    """As `survivors`, with everything recorded so far."""
    return survivors(merges, as_of=FOREVER)


def families(merges: Iterable[Merge]) -> Mapping[str, frozenset[str]]:
    """For every id in any merge, undone or not: all ids it was ever linked with, itself too."""
    linked: dict[str, set[str]] = {}
    for merge in merges:
        smaller, larger = sorted((linked.setdefault(one, {one}) for one in merge[:2]), key=len)
        if smaller is not larger:
            larger |= smaller
            linked.update(dict.fromkeys(smaller, larger))
    frozen = {id(family): frozenset(family) for family in linked.values()}
    return {one: frozen[id(family)] for one, family in linked.items()}


class _Known:
    """The merges seen so far, newest by id, and which ids hang below which."""

    def __init__(self) -> None:
        self._newest: dict[str, Merge] = {}
        self._below: dict[str, set[str]] = defaultdict(set)

    def take(self, together: Iterable[Merge]) -> set[str]:
        """Adds merges; returns every id that may be read otherwise now."""
        touched: set[str] = set()
        for merge in together:
            before = self._newest.get(merge.from_id)
            if before is not None and _rank(before) >= _rank(merge):
                continue
            touched |= self._tree(merge.from_id)
            if before is not None and not before.undone:
                self._below[before.into_id].discard(merge.from_id)
            self._newest[merge.from_id] = merge
            if not merge.undone:
                self._below[merge.into_id].add(merge.from_id)
            # Again: a merge that closes a ring puts others below.
            touched |= self._tree(merge.from_id)
        return touched

    def survivor(self, one: str) -> str:
        path = [one]
        while (merge := self._newest.get(path[-1])) is not None and not merge.undone:
            if merge.into_id in path:
                return min(path[path.index(merge.into_id) :])
            path.append(merge.into_id)
        return path[-1]

    def _tree(self, root: str) -> set[str]:
        found, waiting = {root}, [root]
        while waiting:
            new = self._below[waiting.pop()] - found
            found |= new
            waiting += new
        return found


def _rank(merge: Merge) -> tuple[int, int, bool, str]:
    return (merge.occurred_at, merge.recorded_at, merge.undone, merge.into_id)
