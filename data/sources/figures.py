"""Numbers as sources write them: 1,234  １２３  ¥1,200,000  120万円  1億2,000万円  △5  12.5%."""

from __future__ import annotations

import math
import re
import unicodedata
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

PLAIN = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$"
UNITS = {"億": 10**8, "万": 10**4, "千": 10**3, "百": 10**2}
_SIGNS = re.compile(r"^[△▲▼−‐-]")
_DRESS = re.compile(r"[¥$€£\\\s]|円|JPY|USD|EUR|名|人|社$")
_GROUPED_WRONG = re.compile(r",(?!\d{3}(?!\d))|^,|\d{4},|\..*,")
"""A comma that does not part three digits, as in a European "1,5": not guessed at."""
_SPACED_WRONG = re.compile(r"\d\s(?=\d)(?!\d{3}(?!\d))")
"""A space between digits that does not part three: a telephone number, not a figure."""
_PART = re.compile(r"(\d+(?:\.\d+)?)(億|万|千|百)?")
EXPECTED = "a number such as 1234.5, 1,234, ¥1,200,000 or 120万円"


def numbers(values: pa.Array, *, decimal: str = ".") -> pa.Array:
    """float64, null where `values` is null or cannot be read; a comma groups digits unless `decimal` is ",".

    Percentages keep their figure: "12.5%" is 12.5.
    """
    if not pa.types.is_string(values.type):
        return _typed(values)
    if decimal == ",":
        values = pc.replace_substring(pc.replace_substring(values, ".", ""), ",", ".")
    plain = pc.match_substring_regex(values, PLAIN)
    found = pc.cast(pc.if_else(plain, pc.replace_substring(values, "+", "", max_replacements=1), None), pa.float64())
    rest = pc.and_(pc.invert(pc.fill_null(plain, False)), pc.is_valid(values))
    return pc.coalesce(found, _dressed(values, rest)) if pc.any(rest).as_py() else found


def _typed(values: pa.Array) -> pa.Array:
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type)):
        return pa.nulls(len(values), pa.float64())
    found = values.cast(pa.float64())
    return pc.if_else(pc.is_finite(found), found, pa.scalar(None, pa.float64()))


def _dressed(values: pa.Array, rest: pa.Array) -> pa.Array:
    codes = pc.if_else(rest, values, pa.scalar(None, pa.string())).dictionary_encode()
    read = pa.array([dressed_number(text) for text in codes.dictionary.to_pylist()], pa.float64())
    return read.take(codes.indices)


def dressed_number(text: str) -> float | None:
    """One number in its Sunday clothes, or None.

    >>> dressed_number("1億2,000万円"), dressed_number("（１２３）"), dressed_number("約百")
    (120000000.0, -123.0, None)
    """
    given = unicodedata.normalize("NFKC", text).strip()
    bare = _DRESS.sub("", given).removesuffix("%")
    if _GROUPED_WRONG.search(bare) or _SPACED_WRONG.search(given):
        return None
    bare = bare.replace(",", "")
    negative = bool(_SIGNS.match(bare)) or (bare.startswith("(") and bare.endswith(")"))
    bare = _SIGNS.sub("", bare).strip("()+")
    parts = _PART.findall(bare)
    if not parts or "".join(figure + unit for figure, unit in parts) != bare or not _falling(parts):
        return None
    total = sum(float(figure) * UNITS.get(unit, 1) for figure, unit in parts)
    return None if math.isinf(total) else -total if negative else total


def _falling(parts: list[tuple[str, str]]) -> bool:
    """億 before 万 before the rest, each at most once."""
    sizes = [UNITS.get(unit, 1) for _, unit in parts]
    return all(a > b for a, b in pairwise(sizes))
