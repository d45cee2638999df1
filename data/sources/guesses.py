"""What a column of an unknown file looks like: its type, its ways to say "missing", what it could be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.sources.figures import numbers
from data.sources.instants import instants
from data.sources.values import as_text

Look = Literal["empty", "date", "number", "code", "category", "text", "mail", "phone", "name"]

MISSING_WORDS = (
    "unknown", "Unknown", "UNKNOWN", "Select", "select", "n/a", "N/A", "NA", "#N/A", "null", "NULL", "NaN", "nan",
    "None", "-", "--", "?", "not set", "(not set)", "undefined", "不明", "未設定", "未入力", "選択してください",
    "該当なし", "未選択",
)  # fmt: skip
FORMATS = (
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d-%m-%Y",
    "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%Y%m%d%H%M%S",
)  # fmt: skip
CODES = 30
"""Whole numbers from 1 up with at most so many different values look like codes."""
LEVELS = 50
_MAIL, _PHONE = r"^[^\s@]+@[^\s@]+\.[^\s@]+$", r"^(\+|0)[\d\s()-]{8,}$"
_MAIL_NAME = re.compile(r"(^|_)(e-?mail|mail_?address)(_\d+)?$|メール(アドレス)?$", re.I)
_COUNTS = re.compile(r"count|number|num|qty|score|visits?|views?|page|回数|件数|人数|数$|age|年齢|amount|days", re.I)


@dataclass(frozen=True)
class Guess:
    """One column, as a sample of its rows shows it."""

    name: str
    look: Look
    filled: float
    """Share of rows that are not empty and not one of `missing`."""
    distinct: int
    unique: bool
    missing: tuple[str, ...] = ()
    """Tokens that seem to mean missing."""
    format: str = ""
    """Of a date that is not read without one."""
    doubt: str = ""
    """What a person should look at."""
    words: tuple[str, ...] = ()
    """The commonest values, of columns with few."""


def guessed(name: str, column: pa.Array) -> Guess:
    texts = pc.utf8_trim_whitespace(as_text(column))
    texts = texts.filter(pc.not_equal(pc.fill_null(texts, ""), ""))
    if not len(texts):
        return Guess(name, "empty", 0.0, 0, False, doubt="empty in the rows looked at")
    counts = texts.to_pandas().value_counts()
    missing = tuple(word for word in MISSING_WORDS if word in counts.index)
    said = counts.drop(list(missing))
    look, form, doubt = _look(name, said)
    spike = _spike(said) if look == "number" else ""
    filled = float(said.sum()) / max(len(column), 1)
    unique = len(said) == len(column) and not missing
    words = tuple(map(str, said.index[:LEVELS])) if len(said) <= LEVELS else ()
    found = Guess(name, look, filled, len(said), unique, missing, form, doubt, words)
    return found if not spike else _with_spike(found, spike)


def _with_spike(guess: Guess, spike: str) -> Guess:
    return Guess(
        **{
            **guess.__dict__,
            "missing": (*guess.missing, spike),
            "doubt": f"{spike} stands apart: does it mean missing?",
        }
    )


def _look(name: str, said: pd.Series) -> tuple[Look, str, str]:
    """(look, date format, doubt) of the different values, most frequent first."""
    if said.empty:
        return "empty", "", "nothing but words that mean missing"
    values = pa.array(said.index.astype(str), pa.string())
    weights = said.to_numpy()
    named = bool(_MAIL_NAME.search(name)) and not set(said.index.str.lower()) <= {"true", "false", "0", "1"}
    if named or _share(pc.match_substring_regex(values, _MAIL), weights) > 0.9:
        return "mail", "", ""
    if _share(pc.match_substring_regex(values, _PHONE), weights) > 0.9 and len(said) > 10:
        return "phone", "", ""
    date = _date_format(values, weights)
    if date is not None:
        return "date", date[0], date[1]
    if _share(pc.is_valid(numbers(values)), weights) > 0.95:
        return _number_or_code(name, numbers(values).drop_null().to_numpy(), said)
    return _words(name, said)


def _number_or_code(name: str, figures: np.ndarray, said: pd.Series) -> tuple[Look, str, str]:
    whole = bool((figures == np.round(figures)).all())
    if whole and len(said) == 2:
        return "category", "", "two values: yes and no?"
    plain = all(re.fullmatch(r"\d+", str(v)) for v in said.index[:100])
    if plain and any(str(v).startswith("0") and len(str(v)) > 1 for v in said.index[:100]):
        return "category", "", "digits with leading zeros: a code, not a number"
    if whole and plain and figures.min() >= 1 and len(said) <= CODES and not _COUNTS.search(name):
        return "code", "", "whole numbers with few values: taken for codes; make it a number if more means more"
    return "number", "", ""


def _words(name: str, said: pd.Series) -> tuple[Look, str, str]:
    length = said.index.astype(str).str.len().to_numpy()
    mean = float(np.average(length, weights=said.to_numpy()))
    repeated = float(said.sum()) / len(said)
    if (
        re.search(r"(^|_)(first|last|full)?_?name$|氏名|名前|お名前|フリガナ|カナ$|ふりがな", name, re.I)
        and repeated < 20
    ):
        return "name", "", ""
    if mean > 40 or (repeated < 2 and len(said) > LEVELS):
        return "text", "", "nearly every value differs: text or an id"
    doubt = f"{len(said)} levels; rare ones are pooled" if len(said) > LEVELS else ""
    return "category", "", doubt


def _date_format(values: pa.Array, weights: np.ndarray) -> tuple[str, str] | None:
    """("", "") for a date read without a format, (format, doubt) for another, None for no date."""
    some, weight = values.slice(0, 2_000), weights[:2_000]
    if not _share(pc.match_substring_regex(some, r"\d"), weight) > 0.9:
        return None
    if pc.all(pc.match_substring_regex(some, r"^\d{1,7}(\.\d+)?$")).as_py():
        return None
    compact = _share(pc.match_substring_regex(some, r"^(19|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])$"), weight) > 0.95
    figures = _share(pc.is_valid(numbers(some)), weight) > 0.95
    if (compact or not figures) and _share(pc.is_valid(instants(some, timezone="UTC")), weight) > 0.95:
        return "", ""
    fitting = (
        []
        if figures
        else [f for f in FORMATS if _share(pc.is_valid(instants(some, timezone="UTC", form=f)), weight) > 0.95]
    )
    if not fitting:
        return None
    return fitting[0], "" if len(fitting) == 1 else f"could also be {fitting[1]}: check the order of day and month"


def _spike(said: pd.Series) -> str:
    """A value of many nines (or −1) that lies far from all others."""
    found = numbers(pa.array(said.index.astype(str), pa.string())).to_pandas()
    for place in (found.idxmax(), found.idxmin()):
        text, value = str(said.index[place]), float(found[place])
        others = found.drop(place).dropna()
        if others.empty or said.iloc[place] < 2 or not re.fullmatch(r"9{2,}|-1|-9{1,}", text):
            continue
        apart = value > 3 * max(others.max(), 1) if value > 0 else others.min() >= 0
        if apart:
            return text
    return ""


def _share(mask: pa.Array, weights: np.ndarray) -> float:
    held = np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), dtype=bool)
    return float(weights[held].sum()) / max(float(weights.sum()), 1.0)
