"""Merges as of a time, against an oracle that asks at every instant anew."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from data.people.merges import FOREVER, Merge, families, in_the_end, standings, survivors


def asked(merges: list[Merge], one: str, t: int) -> str:
    """Follows, from `one`, the newest merge visible before t."""
    path = [one]
    while True:
        visible = [m for m in merges if m.from_id == path[-1] and m.occurred_at < t and m.recorded_at < t]
        if not visible:
            return path[-1]
        newest = max(visible, key=lambda m: (m.occurred_at, m.recorded_at, m.undone, m.into_id))
        if newest.undone:
            return path[-1]
        if newest.into_id in path:
            return min(path[path.index(newest.into_id) :])
        path.append(newest.into_id)


names = st.sampled_from("abcde")
times = st.integers(0, 6)
drawn = st.lists(st.builds(Merge, names, names, st.booleans(), times, times), max_size=8)


@given(drawn)
def test_standings_answer_as_asking_at_every_instant(merges: list[Merge]) -> None:
    found = standings(merges)
    for t in range(9):
        by_id = {s.id: s.read_as for s in found if s.holds(t)}
        assert len(by_id) == sum(s.holds(t) for s in found), "one reading an id and instant"
        assert {one: by_id.get(one, one) for one in "abcde"} == {one: asked(merges, one, t) for one in "abcde"}
        differing = {one: asked(merges, one, t) for one in "abcde" if asked(merges, one, t) != one}
        assert survivors(merges, as_of=t) == differing


@given(drawn)
def test_standings_cover_all_of_time_without_overlap(merges: list[Merge]) -> None:
    by_id: dict[str, list] = {}
    for s in standings(merges):
        by_id.setdefault(s.id, []).append(s)
    assert set(by_id) == {m.from_id for m in merges}
    for spans in by_id.values():
        assert spans[0].after == -FOREVER
        assert spans[-1].until == FOREVER
        assert all(one.until == other.after for one, other in itertools.pairwise(spans))
        assert all(one.read_as != other.read_as for one, other in itertools.pairwise(spans))


@given(drawn)
def test_a_family_is_closed_under_every_merge_and_no_larger(merges: list[Merge]) -> None:
    found = families(merges)
    for m in merges:
        assert found[m.from_id] == found[m.into_id]
    for t in range(9):
        assert all(asked(merges, one, t) in found.get(one, {one}) for one in "abcde")
    for one, family in found.items():
        reached = {one}
        while more := {b for m in merges for a, b in ((m[0], m[1]), (m[1], m[0])) if a in reached} - reached:
            reached |= more
        assert family == reached


def test_a_merge_recorded_late_counts_from_then() -> None:
    merges = [Merge("old", "new", False, occurred_at=10, recorded_at=50)]
    assert survivors(merges, as_of=50) == {}
    assert survivors(merges, as_of=51) == {"old": "new"}


def test_a_merge_taken_back_counts_until_then() -> None:
    merges = [Merge("old", "new", False, 10, 10), Merge("old", "new", True, 20, 20)]
    assert [survivors(merges, as_of=t) for t in (10, 11, 20, 21)] == [{}, {"old": "new"}, {"old": "new"}, {}]


def test_many_into_one_take_time_in_proportion() -> None:
    """A quadratic walk would not end within the test's time limit."""
    merges = [Merge(f"x{number}", "one", False, number, number) for number in range(50_000)]
    assert len(in_the_end(merges)) == 50_000
