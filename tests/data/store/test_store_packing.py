"""Packed feature values and contributions: every value comes back as it was, damage is said."""

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataRefused
from data.store.packing import pack_contributions, pack_values, unpack_contributions, unpack_values

number = st.one_of(
    st.floats(), st.integers(-300, 300).map(float), st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324])
)
text = st.text(st.characters())  # lone surrogates, too
value = st.one_of(st.none(), number, text)


def bits(given_value: float | str | None) -> object:
    """What tells NaN from null and zero from minus zero."""
    return struct.pack("<d", given_value) if isinstance(given_value, float) else given_value


@given(st.lists(value, max_size=80))
def test_values_come_back_to_the_last_bit(values: list[float | str | None]) -> None:
    assert [bits(v) for v in unpack_values(pack_values(values))] == [bits(v) for v in values]


@given(st.lists(st.floats(), max_size=80))
def test_contributions_come_back_to_the_last_bit(parts: list[float]) -> None:
    assert [bits(v) for v in unpack_contributions(pack_contributions(parts))] == [bits(v) for v in parts]


def test_the_layout_is_the_one_described() -> None:
    """Spelt out byte by byte, so that another language can read a ledger."""
    packed = pack_values([7.0, None, 0.5, "広"])
    assert packed == b"\x01\x04\0\0\0" + bytes([7, 240, 241, 242]) + struct.pack("<d", 0.5) + b"\x03\0\0\0\xe5\xba\x83"
    assert pack_contributions([0.5, -1.0]) == struct.pack("<2d", 0.5, -1.0)


def test_whole_numbers_and_truth_come_back_as_floats() -> None:
    found = unpack_values(pack_values([3, True, -1]))
    assert found == [3.0, 1.0, -1.0]
    assert {type(v) for v in found} == {float}


def test_no_values_are_no_bytes() -> None:
    assert (pack_values([]), unpack_values(b"")) == (b"", [])
    assert (pack_contributions(()), unpack_contributions(b"")) == (b"", ())


@given(st.lists(value, min_size=1, max_size=20), st.data())
def test_bytes_cut_short_or_added_are_refused(values: list[float | str | None], data: st.DataObject) -> None:
    packed = pack_values(values)
    end = data.draw(st.integers(1, len(packed) - 1))
    for damaged in (packed[:end], packed + b"\0", b"\x02" + packed[1:]):
        with pytest.raises(DataRefused, match="ledger row"):
            unpack_values(damaged)


@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_are_values_or_refused(found: bytes) -> None:
    try:
        again = pack_values(unpack_values(found))
    except DataRefused:
        return
    assert unpack_values(again) is not None


def test_half_a_contribution_is_refused() -> None:
    with pytest.raises(DataRefused, match="contributions"):
        unpack_contributions(b"123456789")


def test_counts_are_shorter_than_as_text() -> None:
    counts: list[float | str | None] = [float(n % 40) for n in range(60)]
    assert len(pack_values(counts)) == 65 < len(json.dumps(counts)) / 4
