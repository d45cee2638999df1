"""Feature values and contributions of an answer as bytes: exact, short, readable from any language.

Contributions are float64, little-endian, one after the other.

Feature values are one byte of format (1), their number in 4 bytes, one byte a
value, then what those bytes could not hold, in the order of the values:

    0 … 239   the number itself
    240       null
    241       a number: 8 bytes, float64
    242       a text: 4 bytes of length, then UTF-8

All little-endian. So null, NaN, zero and minus zero are four values, and a
count costs one byte. No values are no bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from math import copysign

from data.errors import DataRefused

Value = float | str | None

_FORMAT = 1
_NULL, _NUMBER, _TEXT = 240, 241, 242
_ONE_BYTE: dict[Value, int] = {float(number): number for number in range(_NULL)}
_ONE_BYTE[None] = _NULL
_HEAD, _FLOAT, _LENGTH = struct.Struct("<BI"), struct.Struct("<d"), struct.Struct("<I")


def pack_values(values: Iterable[Value]) -> bytes:
    """Feature values in declaration order; whole numbers come back as floats."""
    codes, rest = bytearray(), bytearray()
    for value in values:
        code = _ONE_BYTE.get(value)
        if code is None or (code == 0 and copysign(1.0, value) < 0):  # type: ignore[arg-type]
            code = _append_long(rest, value)
        codes.append(code)
    return _HEAD.pack(_FORMAT, len(codes)) + codes + rest if codes else b""


def _append_long(rest: bytearray, value: Value) -> int:
    if isinstance(value, str):
        # What a client sent may hold half a surrogate pair, and must come back as it was.
        text = value.encode("utf-8", "surrogatepass")
        rest += _LENGTH.pack(len(text)) + text
        return _TEXT
    rest += _FLOAT.pack(value)
    return _NUMBER


def unpack_values(packed: bytes) -> list[Value]:
    """What `pack_values` was given. Raises DataRefused for bytes it did not write."""
    if not packed:
        return []
    try:
        return _unpacked(packed)
    except (struct.error, UnicodeDecodeError, IndexError, ValueError) as error:
        raise _damaged("feature values", packed, str(error)) from None


def _unpacked(packed: bytes) -> list[Value]:
    kind, count = _HEAD.unpack_from(packed)
    position = _HEAD.size + count
    codes = packed[_HEAD.size : position]
    if kind != _FORMAT or len(codes) != count:
        raise ValueError("another format or an early end")
    values: list[Value] = []
    for code in codes:
        if code < _NULL:
            values.append(float(code))
        elif code == _NULL:
            values.append(None)
        elif code == _NUMBER:
            values.append(_FLOAT.unpack_from(packed, position)[0])
            position += _FLOAT.size
        elif code == _TEXT:
            length = _LENGTH.unpack_from(packed, position)[0]
            position += _LENGTH.size + length
            values.append(_text(packed[position - length : position], length))
        else:
            raise ValueError(f"code {code}")
    if position != len(packed):
        raise ValueError("bytes left over")
    return values


def _text(found: bytes, length: int) -> str:
    if len(found) != length:
        raise ValueError("an early end")
    return found.decode("utf-8", "surrogatepass")


def pack_contributions(contributions: Sequence[float]) -> bytes:
    """Contributions in declaration order."""
    return struct.pack(f"<{len(contributions)}d", *contributions)


def unpack_contributions(packed: bytes) -> tuple[float, ...]:
    """What `pack_contributions` was given. Raises DataRefused for bytes it did not write."""
    if len(packed) % _FLOAT.size:
        raise _damaged("contributions", packed, "not a whole number of values")
    return struct.unpack(f"<{len(packed) // _FLOAT.size}d", packed)


def _damaged(what: str, packed: bytes, why: str) -> DataRefused:
    return DataRefused(
        f"{what} of a ledger row",
        f"{len(packed)} bytes that cannot be read ({why})",
        expected="bytes as they were packed",
    )
