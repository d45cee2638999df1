"""Times as sources write them → instants: ISO, 2026/4/1, 2026年4月1日, 令和8年4月1日, full-width digits, formats named.

A date without a time is midnight in its zone. A time that daylight saving
repeats is its first; one that it skips is read with the offset before it.
Day-first and month-first dates are never guessed: they need a format.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.times import SECOND, instant

ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?$"
ISO_WITH_ZONE = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?\s?(Z|UTC|[+-]\d{2}:?\d{2})$"
SLASHED = (
    (r"^\d{4}/\d{1,2}/\d{1,2}$", "%Y/%m/%d"),
    (r"^\d{4}/\d{1,2}/\d{1,2} \d{1,2}:\d{2}$", "%Y/%m/%d %H:%M"),
    (r"^\d{4}/\d{1,2}/\d{1,2} \d{1,2}:\d{2}:\d{2}$", "%Y/%m/%d %H:%M:%S"),
)
"""Common enough to be read at once, not one by one."""
ERAS = {"明治": 1867, "大正": 1911, "昭和": 1925, "平成": 1988, "令和": 2018}
ERA_LETTERS = {"M": "明治", "T": "大正", "S": "昭和", "H": "平成", "R": "令和"}
WORDED = re.compile(
    r"^(?:(?P<era>明治|大正|昭和|平成|令和|[MTSHR])\s?(?P<era_year>元|\d{1,2})|(?P<year>\d{4}))"
    r"\s?[年/.\-]\s?(?P<month>\d{1,2})\s?[月/.\-]\s?(?P<day>\d{1,2})\s?日?"
    r"(?:\s?\([月火水木金土日]\))?"
    r"(?:[\sT]*(?P<half>午前|午後)?\s?(?P<hour>\d{1,2})\s?[:時]\s?(?P<minute>\d{1,2})?\s?分?"
    r"(?::?\s?(?P<second>\d{1,2})(?:\.(?P<fraction>\d{1,6}))?\s?秒?)?)?$"
)
COMPACT = re.compile(r"^(\d{4})(\d{2})(\d{2})(?=$|[T ])")
EXPECTED = "a date such as 2026-04-01 09:30, 2026/4/1, 2026年4月1日 or 令和8年4月1日 (other orders need a format)"

FIRST_YEAR, LAST_YEAR = -62_135_596_800 * SECOND, 253_402_300_800 * SECOND
"""Microseconds of the years 1 and 10000: what lies outside is no date, such as milliseconds read as seconds."""


def instants(values: pa.Array, *, timezone: str, form: str = "") -> pa.Array:
    """int64 microseconds UTC, null where `values` is null or cannot be read.

    `values` is text, or a typed Parquet column; times without an offset are in
    `timezone`; `form` is strptime codes, `epoch_s` or `epoch_ms`.
    """
    if not pa.types.is_string(values.type):
        return _typed(values, timezone, form)
    if form.startswith("epoch_"):
        return _from_epoch(pc.cast(_only(values, r"^-?\d{1,18}$"), pa.int64()), form)
    if form:
        return _with_format(values, timezone, form)
    return _without_format(values, timezone)


def _typed(values: pa.Array, timezone: str, form: str) -> pa.Array:
    if pa.types.is_integer(values.type):
        return _from_epoch(values.cast(pa.int64()), form or "epoch_ms")
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("us"))
    if not pa.types.is_timestamp(values.type):
        return pa.nulls(len(values), pa.int64())
    if values.type.tz:
        return values.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64())
    return _localised(values.cast(pa.timestamp("us"), safe=False).to_pandas(), timezone)


def _from_epoch(values: pa.Array, form: str) -> pa.Array:
    unit = SECOND if form == "epoch_s" else SECOND // 1000
    known = pc.and_(pc.greater_equal(values, FIRST_YEAR // unit), pc.less(values, LAST_YEAR // unit))
    return pc.multiply(pc.if_else(known, values, pa.scalar(None, pa.int64())), unit)


def _only(values: pa.Array, pattern: str) -> pa.Array:
    """`values` with null where the pattern does not match."""
    return pc.if_else(pc.match_substring_regex(values, pattern), values, pa.scalar(None, values.type))


def _with_format(values: pa.Array, timezone: str, form: str) -> pa.Array:
    texts = values.to_pandas()
    if "%z" in form:
        return _micros(pd.to_datetime(texts, format=form, errors="coerce", utc=True))
    return _localised(pd.to_datetime(texts, format=form, errors="coerce"), timezone)


def _without_format(values: pa.Array, timezone: str) -> pa.Array:
    naive, zoned = _only(values, ISO), _only(values, ISO_WITH_ZONE)
    found = _localised(pd.to_datetime(naive.to_pandas(), format="ISO8601", errors="coerce"), timezone)
    if zoned.null_count < len(zoned):
        exact = pc.replace_substring_regex(zoned, r"\s?(Z|UTC)$", "+00:00")
        found = pc.coalesce(
            found, _micros(pd.to_datetime(exact.to_pandas(), format="ISO8601", errors="coerce", utc=True))
        )
    for pattern, form in SLASHED:
        some = _only(pc.if_else(pc.is_null(found), values, pa.scalar(None, pa.string())), pattern)
        if some.null_count < len(some):
            found = pc.coalesce(found, _with_format(some, timezone, form))
    rest = pc.and_(pc.is_null(found), pc.is_valid(values))
    return pc.coalesce(found, _worded(values, rest, timezone)) if pc.any(rest).as_py() else found


def _worded(values: pa.Array, rest: pa.Array, timezone: str) -> pa.Array:
    """The forms that need reading one by one; each different text is read once."""
    codes = pc.if_else(rest, values, pa.scalar(None, pa.string())).dictionary_encode()
    zone = ZoneInfo(timezone)
    read = pa.array([worded_instant(text, zone) for text in codes.dictionary.to_pylist()], pa.int64())
    return read.take(codes.indices)


def worded_instant(text: str, zone: ZoneInfo) -> int | None:
    """Instant of one date in words, or None.

    >>> worded_instant("令和8年4月1日", ZoneInfo("Asia/Tokyo")) == worded_instant("2026/4/1", ZoneInfo("Asia/Tokyo"))
    True
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    match = WORDED.match(COMPACT.sub(r"\1-\2-\3", plain))
    if not match:
        return None
    hour = int(match["hour"] or 0) % 12 + 12 * (match["half"] == "午後") if match["half"] else int(match["hour"] or 0)
    parts = (int(match["month"]), int(match["day"]), hour, int(match["minute"] or 0), int(match["second"] or 0))
    try:
        return instant(datetime(_year(match), *parts, int((match["fraction"] or "").ljust(6, "0")), tzinfo=zone))
    except ValueError:
        return None


def _year(match: re.Match[str]) -> int:
    if match["year"]:
        return int(match["year"])
    era = ERA_LETTERS.get(match["era"], match["era"])
    return ERAS[era] + (1 if match["era_year"] == "元" else int(match["era_year"]))


def _localised(moments: pd.Series, timezone: str) -> pa.Array:
    if moments.isna().all():
        return pa.nulls(len(moments), pa.int64())
    first = np.ones(len(moments), dtype=bool)
    return _micros(moments.dt.tz_localize(timezone, ambiguous=first, nonexistent="shift_forward"))


def _micros(moments: pd.Series) -> pa.Array:
    stamps = moments.dt.tz_convert("UTC").dt.as_unit("us")
    return pa.array(stamps.astype("int64").to_numpy(), pa.int64(), mask=stamps.isna().to_numpy())
