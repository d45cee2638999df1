"""The parts of a drafted mapping for files beside the one with the leads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from data.sources.draft_columns import columns_text, key, time_line, words_text
from data.sources.roles import KIND, Looked, reference
from data.tables import STANDARD_ATTRIBUTES, TOUCHPOINT_KINDS


def other_file(file: Looked, leads: Looked, head: list[str]) -> str:
    """The section of a file beside the leads': touchpoints, deals, values over time or more columns."""
    lines = [*head]
    lead, at = reference(file, leads), next((g.name for g in file.looking("date") if g.filled > 0.9), "")
    if not lead:
        lines += ["# CHECK: no column holds ids of the lead file, so nothing is read from this one yet.", ""]
        return "\n".join(lines)
    rest = [n for n in file.guesses if n not in {lead, at}]
    once = file.guesses[lead].unique
    if at and not once and _property_columns(file):
        lines += _history_lines(file, lead, at, *_property_columns(file))
    elif at and not once:
        lines += _touchpoint_lines(file, lead, at, rest)
    elif at:
        lines += _deal_lines(file, lead, at, rest)
    else:
        lines += ["[files.join]", f"lead = {json.dumps(lead, ensure_ascii=False)}", ""]
        lines += columns_text(file, {lead}, known="later")
    return "\n".join(lines)


def _touchpoint_lines(file: Looked, lead: str, at: str, rest: list[str]) -> Iterator[str]:
    kind = next((n for n in rest if KIND.search(n) and file.guesses[n].words), "")
    yield "[[files.touchpoints]]        # CHECK: many rows a lead, each with a time"
    yield f"lead = {json.dumps(lead, ensure_ascii=False)}"
    yield time_line("at", file, at)
    if file.id:
        yield f"id = {json.dumps(file.id, ensure_ascii=False)}"
    if kind:
        words = {w: w if w in TOUCHPOINT_KINDS else "page_view" for w in file.guesses[kind].words}
        yield f"# CHECK: translate each word to one of {', '.join(TOUCHPOINT_KINDS)}"
        yield words_text(kind, words, key_="kind")
    else:
        yield 'kind = { value = "page_view" }    # CHECK'
    yield ""


def _deal_lines(file: Looked, lead: str, at: str, rest: list[str]) -> Iterator[str]:
    yield "[[files.stages]]             # CHECK: at most one row a lead, with a date: deals won?"
    yield f"lead = {json.dumps(lead, ensure_ascii=False)}"
    yield 'stage = { value = "won" }'
    yield time_line("at", file, at)
    yield ""
    if rest:
        yield "# These exist only for leads that are in this file: known after the outcome, never features."
        yield "[files.columns]"
        yield from (f'{key(name)} = {{ known = "outcome" }}' for name in rest)
        yield ""


def _property_columns(file: Looked) -> tuple[str, ...]:
    """(column of names, column of values) of a property history, or nothing."""
    name = next((n for n in file.guesses if re.fullmatch(r"name|field|property|attribute|項目", n, re.I)), "")
    value = next((n for n in file.guesses if re.fullmatch(r"value|new_?value|変更後", n, re.I)), "")
    return (name, value) if name and value and file.guesses[name].words else ()


def _history_lines(file: Looked, lead: str, at: str, name: str, value: str) -> Iterator[str]:
    yield "[[files.history]]            # CHECK: each row seems to say which value one property took, when"
    yield f"lead = {json.dumps(lead, ensure_ascii=False)}"
    yield time_line("at", file, at)
    yield f"name = {json.dumps(name, ensure_ascii=False)}"
    yield f"value = {json.dumps(value, ensure_ascii=False)}"
    yield "# CHECK: keep what was known in time; a property that holds stages belongs in [[files.stages]] with where"
    for word in file.guesses[name].words:
        renamed = f', as = "own_{word}"' if word in STANDARD_ATTRIBUTES else ""
        yield f'columns.{key(word)} = {{ type = "category"{renamed} }}'
    yield ""
