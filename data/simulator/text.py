"""Arrow text columns built from numbers without a Python loop: ids, instants, picks from a list."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.times import DAY, SECOND

Bytes = NDArray[np.uint8]
Whole = NDArray[np.integer]


def identifiers(prefix: str, numbers: Whole, width: int = 7, *rest: tuple[str, Whole, int]) -> pa.Array:
    """`prefix` and the number in `width` digits, then each of `rest` (separator, numbers, width) likewise.

    >>> identifiers("S", np.array([12]), 4, ("-", np.array([3]), 1)).to_pylist()
    ['S0012-3']
    """
    parts = [_constant(prefix, len(numbers)), _digits(numbers, width)]
    for separator, more, digits in rest:
        parts += [_constant(separator, len(more)), _digits(more, digits)]
    return _fixed(parts)


def instants(at: NDArray[np.int64]) -> pa.Array:
    """ISO 8601 text in UTC of microseconds since 1970, to the second: 2026-10-01T00:00:00Z."""
    day, within = np.divmod(at, DAY)
    first = int(day.min()) if len(day) else 0
    span = int(day.max()) - first + 1 if len(day) else 1
    return _fixed([_dates(first, span)[day - first], _clock()[within // SECOND]])


def picked(values: Sequence[str | None], which: Whole) -> pa.Array:
    """values[which] as text; a negative place is missing."""
    places = pa.array(which, mask=which < 0) if len(which) and which.min() < 0 else pa.array(which)
    return pa.array(values, pa.string()).take(places)


def masked(column: pa.Array, missing: NDArray[np.bool_]) -> pa.Array:
    """The column with null where `missing`."""
    import pyarrow.compute as pc

    return pc.if_else(pa.array(~missing), column, pa.scalar(None, column.type))


def _fixed(parts: list[Bytes]) -> pa.Array:
    """Rows of equal length as text, sharing one buffer."""
    matrix = np.concatenate(parts, axis=1)
    count, width = matrix.shape
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(matrix)))


def _constant(text: str, count: int) -> Bytes:
    return np.broadcast_to(np.frombuffer(text.encode(), dtype=np.uint8), (count, len(text.encode())))


def _digits(numbers: Whole, width: int) -> Bytes:
    """Up to four digits at a time by table."""
    columns: list[Bytes] = []
    left = numbers.astype(np.int64)
    while width > 0:
        size = min(width, 4)
        left, low = np.divmod(left, 10**size)
        columns.insert(0, _table(size)[low])
        width -= size
    return np.concatenate(columns, axis=1)


@lru_cache
def _table(size: int) -> Bytes:
    text = "".join(f"{n:0{size}d}" for n in range(10**size))
    return np.frombuffer(text.encode(), dtype=np.uint8).reshape(-1, size)


@lru_cache
def _dates(first: int, count: int) -> Bytes:
    days = np.arange(first, first + count).astype("datetime64[D]").astype("S10")
    return np.frombuffer(days.tobytes(), dtype=np.uint8).reshape(-1, 10)


@lru_cache
def _clock() -> Bytes:
    seconds = "".join(f"T{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}Z" for s in range(86_400))
    return np.frombuffer(seconds.encode(), dtype=np.uint8).reshape(-1, 10)
