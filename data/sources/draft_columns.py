"""The `[files.columns]` part of a drafted mapping."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from data.sources.guesses import Guess
from data.sources.roles import Looked
from data.tables import STANDARD_ATTRIBUTES

STANDARD_WORDS = {
    "industry": r"^(industry|業種|業界)$",
    "channel": r"^(channel|(original_?)?(lead_?)?source|lead_?origin|utm_?source|"
    r"チャネル|流入元|流入経路|リードソース)$",
    "campaign": r"^(campaign_?(name|id)|キャンペーン)$",
    "employees": r"^((total_?)?employees|(number|no|num)_?of_?(employees|staff)|employee_?(count|number)|"
    r"head_?count|staff_?count|従業員数|社員数|従業員規模)$",
    "annual_revenue": r"^(annual_?revenue|年商|売上高)$",
    "prefecture": r"^(prefecture|都道府県)$",
    "country": r"^(country(_?code)?|国)$",
    "job_title": r"^(title|job_?title|役職)$",
    "department": r"^(department|部署)$",
    "owner": r"^(owner(_?id)?|担当者|営業担当)$",
    "region": r"^(sales_?region|営業地域)$",
}
"""Standard attribute → column names that surely mean it."""
AFTERWARDS = re.compile(r"duration|lost_?reason|closed?|won_|amount|失注|成約|受注|契約|売上$|convert", re.I)
_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def key(name: str) -> str:
    """A TOML key: bare where TOML allows it."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def words_text(column: str, words: dict[str, str], *, key_: str = "stage", others: bool = False) -> str:
    pairs = ", ".join(f"{key(k)} = {json.dumps(v, ensure_ascii=False)}" for k, v in words.items())
    rest = ', others = "skip"' if others else ""
    return f"{key_} = {{ column = {json.dumps(column, ensure_ascii=False)}, words = {{ {pairs} }}{rest} }}"


def columns_text(
    file: Looked, used: set[str], *, outcome_column: str = "", won: str = "", known: str = ""
) -> Iterator[str]:
    """A line a column that is not used otherwise; free text and ids stay undeclared, with a note."""
    rest = [g for g in file.guesses.values() if g.name not in used]
    if not rest:
        return
    yield "# CHECK each: is it known when the lead is created (the default), later, or only after the outcome?"
    yield "[files.columns]"
    taken: set[str] = set()
    for guess in rest:
        leaking = bool(won) and file.filled_only_where(guess.name, outcome_column, won)
        yield _column_line(guess, taken, known="outcome" if leaking else known, leaking=leaking)
    yield ""


def _column_line(guess: Guess, taken: set[str], *, known: str, leaking: bool) -> str:
    if guess.look in {"empty", "text"} and not leaking:
        return f"# {key(guess.name)}: left out, {guess.doubt}"
    notes = [guess.doubt] if guess.doubt else []
    if leaking:
        return f'{key(guess.name)} = {{ known = "outcome" }}    # filled for one outcome only: a leak'
    if AFTERWARDS.search(guess.name):
        notes.append("is this known when the lead is created?")
    parts = _parts(guess, taken)
    if known:
        parts["known"] = known
    text = ", ".join(f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in parts.items())
    return f"{key(guess.name)} = {{ {text} }}" + (f"    # CHECK: {'; '.join(notes)}" if notes else "")


def _parts(guess: Guess, taken: set[str]) -> dict[str, object]:
    standard = _standard(guess, taken)
    if standard:
        taken.add(standard)
        return {"as": standard}
    types = {"number": "number", "date": "date"}
    parts: dict[str, object] = {"type": types.get(guess.look, "category")}
    if guess.name in STANDARD_ATTRIBUTES:
        parts["as"] = f"own_{guess.name}"
    elif not re.fullmatch(r"[A-Za-z0-9_]+", guess.name) and not _JAPANESE.search(guess.name):
        parts["as"] = re.sub(r"\W+", "_", guess.name).strip("_").lower()
    figures = [int(t) for t in guess.missing if re.fullmatch(r"-?\d+", t)]
    if figures:
        parts["missing"] = [*(t for t in guess.missing if not re.fullmatch(r"-?\d+", t)), *figures]
    if guess.format:
        parts["format"] = guess.format
    if _JAPANESE.search(guess.name):
        parts["label_ja"] = guess.name
    return parts


def _standard(guess: Guess, taken: set[str]) -> str:
    """The standard attribute a column surely is; numbers only where the values are numbers."""
    for name, pattern in STANDARD_WORDS.items():
        fits = (STANDARD_ATTRIBUTES[name][1] == "number") == (guess.look == "number")
        if fits and name not in taken and re.match(pattern, re.sub(r"[\s.-]+", "_", guess.name.strip()), re.I):
            return name
    return ""


def time_line(name: str, file: Looked, column: str) -> str:
    """A key that names a time column, with the format that reads it."""
    guess = file.guesses[column]
    quoted = json.dumps(column, ensure_ascii=False)
    if not guess.format:
        return f"{name} = {quoted}"
    doubt = f"    # CHECK: {guess.doubt}" if guess.doubt else ""
    return f"{name} = {{ column = {quoted}, format = {json.dumps(guess.format)} }}{doubt}"
