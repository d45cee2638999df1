"""`leadscore mapping draft`: a first mapping to edit, with what was guessed and what could not be."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from data.errors import DataRefused
from data.sources.draft_columns import columns_text, time_line, words_text
from data.sources.draft_others import other_file
from data.sources.encodings import guessed_encoding_of, refuse_other_files, sample_of
from data.sources.reading import Source, blocks, first_lines, is_parquet, sources
from data.sources.roles import ACCOUNT, LOST_WORD, PERSON, WON_WORD, Looked, lead_file, reference
from data.sources.sections import FileSection

SAMPLE_ROWS = 100_000
SEPARATORS = ",;\t|"


def draft_mapping(files: Sequence[Path], relative_to: Path) -> str:
    """TOML of a first mapping for `files`. Raises DataRefused for files that cannot be read at all."""
    looked = [look_at(path) for path in files]
    leads = lead_file(looked)
    by_row = not leads.created
    others = [f for f in looked if f is not leads]
    parts = [
        _head(leads, by_row),
        _lead_file(leads, by_row, relative_to, dated_elsewhere=_has_outcomes(others, leads)),
        *(other_file(f, leads, list(file_lines(f, relative_to))) for f in others),
    ]
    return "\n".join(parts)


def look_at(path: Path) -> Looked:
    """A sample of one file, its encoding and separator found out."""
    if not path.is_file():
        raise DataRefused(f"file {path}", "no such file", expected="a CSV or Parquet file")
    encoding, separator = "utf-8", ","
    if not is_parquet(path):
        encoding = guessed_encoding_of(path)
        refuse_other_files(path, sample_of(path))
        if not encoding:
            raise DataRefused(path.name, "bytes in no usual encoding", expected="UTF-8 or cp932 text")
        separator = _separator(path, encoding)
    section = FileSection(path=path.name, encoding=encoding, separator=separator)
    source = sources(section, path.parent)[0]
    rows, whole = _sample(source)
    return Looked(path, encoding, separator, rows, whole)


def _sample(source: Source) -> tuple[pa.Table, bool]:
    parts: list[pa.Table] = []
    for block in blocks(source):
        parts.append(block.rows)
        if sum(p.num_rows for p in parts) >= SAMPLE_ROWS:
            return pa.concat_tables(parts).slice(0, SAMPLE_ROWS), False
    if not parts:
        return pa.table({name: pa.array([], pa.string()) for name in source.header}), True
    return pa.concat_tables(parts), True


def _separator(path: Path, encoding: str) -> str:
    """The one that splits the first lines into most fields, the same number in each."""
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as handle:
        lines = [line for _, line in zip(range(20), first_lines(handle, path), strict=False)]
    widths = {s: [len(row) for row in csv.reader(lines, delimiter=s) if row] for s in SEPARATORS}
    steady = {s: w[0] for s, w in widths.items() if w and len(set(w[:-1] or w)) == 1}
    return max(steady or {",": 1}, key=lambda s: (steady or {",": 1})[s])


def _head(leads: Looked, by_row: bool) -> str:
    name = re.sub(r"\W+", "_", leads.path.stem.lower()).strip("_") or "source"
    lines = [
        "# A first mapping, written by `leadscore mapping draft`. Lines marked CHECK are guesses",
        "# that a person should look at; docs/mapping.md explains every key.",
        "",
        f"source = {json.dumps(name)}           # name of the system the files come from",
        "",
        "[company]",
        'time = "row"                 # no creation date was found: file order is time' if by_row else 'time = "dates"',
        'timezone = "Asia/Tokyo"      # CHECK: zone of times that carry none',
        'currency = "JPY"             # CHECK',
        "fiscal_year_start = 4        # CHECK: month",
        "",
        "[targets.won]",
        'stage = "won"',
        *([] if by_row else ['horizon = "90d"              # CHECK: won within how long?']),
        "",
    ]
    return "\n".join(lines)


def file_lines(file: Looked, relative_to: Path) -> Iterator[str]:
    path = file.path.resolve()
    inside = path.is_relative_to(relative_to.resolve())
    yield "[[files]]"
    yield f"path = {json.dumps(str(path.relative_to(relative_to.resolve()) if inside else path), ensure_ascii=False)}"
    if file.encoding not in {"utf-8", "utf-8-sig"}:
        yield f'encoding = "{file.encoding}"'
    if file.separator != ",":
        yield f"separator = {json.dumps(file.separator)}"
    missing = sorted({token for g in file.guesses.values() for token in g.missing if not re.fullmatch(r"-?\d+", token)})
    if missing:
        yield f"missing = {json.dumps(missing, ensure_ascii=False)}    # CHECK: words found that seem to mean missing"
    if not file.whole:
        yield f"# only the first {SAMPLE_ROWS:,} rows were looked at"
    yield ""


def _lead_file(file: Looked, by_row: bool, relative_to: Path, *, dated_elsewhere: bool) -> str:
    lines = [*file_lines(file, relative_to), "[files.lead]"]
    used = set()
    if file.id:
        lines.append(f"id = {json.dumps(file.id, ensure_ascii=False)}")
        used.add(file.id)
    elif not by_row:
        lines.append("# no column has a different value in every row; name the id here:")
        lines.append('id = "CHECK"')
    else:
        lines.append("# no id was found: leads are named by their row number, from 1")
    if not by_row:
        lines.append(time_line("created", file, file.created))
        used.add(file.created)
    used |= _references(file, used, lines)
    lines.append("")
    used |= _contacts(file, lines)
    outcome, won = _outcome_lines(file, by_row, lines, dated_elsewhere=dated_elsewhere)
    used |= outcome
    lines.extend(columns_text(file, used, outcome_column=next(iter(outcome), "") if won else "", won=won))
    return "\n".join(lines)


def _references(file: Looked, used: set[str], lines: list[str]) -> set[str]:
    """Ids of persons and accounts, by their names."""
    found = set()
    for name, pattern in (("person", PERSON), ("account", ACCOUNT)):
        ids = [
            g.name for g in file.looking("text", "category", "number") if pattern.search(g.name) and g.name not in used
        ]
        named = [n for n in ids if re.search(r"id$|番号$|コード$", n, re.I)]
        if named:
            lines.append(f"{name} = {json.dumps(named[0], ensure_ascii=False)}    # CHECK")
            found.add(named[0])
    return found


def _contacts(file: Looked, lines: list[str]) -> set[str]:
    """Contact data go to the persons table and nowhere else."""
    mails, phones = file.looking("mail"), file.looking("phone")
    names = file.looking("name")
    kana = next((g for g in names if re.search(r"カナ|かな|kana", g.name, re.I)), None)
    name = next((g for g in names if g is not kana), None)
    parts = {"name": name, "name_kana": kana, "email": next(iter(mails), None), "phone": next(iter(phones), None)}
    if any(parts.values()):
        lines.append("[files.person]               # contact data: kept apart, never a feature")
        lines.extend(f"{k} = {json.dumps(g.name, ensure_ascii=False)}" for k, g in parts.items() if g)
        lines.append("")
    return {g.name for g in (*mails, *phones, *names)}


def _outcome_lines(file: Looked, by_row: bool, lines: list[str], *, dated_elsewhere: bool) -> tuple[set[str], str]:
    """({outcome column}, the word for won); without a guess, lines to fill in."""
    if file.won_date and not by_row:
        lines.append("[[files.stages]]             # CHECK: a date that is there for won leads only")
        lines.extend(['stage = { value = "won" }', time_line("at", file, file.won_date), ""])
        return {file.won_date}, ""
    if not file.outcome:
        lines.extend([] if dated_elsewhere else _outcome_to_name(by_row))
        return set(), ""
    words = file.guesses[file.outcome].words
    won = next(w for w in words if WON_WORD.match(w))
    lost = [w for w in words if LOST_WORD.match(w)]
    lines.append("[[files.stages]]             # CHECK: is this the outcome?")
    lines.append(
        words_text(file.outcome, {won: "won", **dict.fromkeys(lost, "lost")}, others=len(words) > 1 + len(lost))
    )
    if not by_row:
        lines.append('known_after = "90d"          # CHECK: its date was not found; known how long after creation?')
    lines.append("")
    return {file.outcome}, won


def _outcome_to_name(by_row: bool) -> list[str]:
    dated = [] if by_row else ['# known_after = "90d"        # or at = "…", a column with its date']
    return [
        "# CHECK: no outcome was recognised. Name it, for example:",
        "# [[files.stages]]",
        '# stage = { column = "…", words = { yes = "won", no = "lost" } }',
        *dated,
        "",
    ]


def _has_outcomes(others: Sequence[Looked], leads: Looked) -> bool:
    """Whether another file looks like dated deals: at most one row a lead, with a date."""
    found = [(f, reference(f, leads)) for f in others]
    return any(lead and f.guesses[lead].unique and f.looking("date") for f, lead in found)
