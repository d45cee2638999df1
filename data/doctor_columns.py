"""Examines columns by the profiles that imports leave: leaks, ways to say missing, codes, columns nobody declared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from data.company import Company
from data.doctor import Finding, percent
from data.sources.profile import ColumnProfile, Told

STRONG = 0.75
"""AUC forward in time above which one column alone is too good to be believed unseen."""
FEW = 20
"""Leads with the outcome below which nothing is said of a column."""
KEPT_OUT = "known only after the outcome; rightly kept out of features"


def findings(company: Company, profiles: Sequence[ColumnProfile]) -> list[Finding]:
    allowed = {c.name for c in company.columns if c.allowed_because}
    return [
        *_exclusive(profiles, allowed),
        *_strong(profiles, allowed),
        *_missing(profiles),
        *_codes(profiles),
        *_undeclared(profiles),
    ]


def place(profile: ColumnProfile) -> str:
    return f"{profile.file}: {profile.column}"


def exists_for_winners_only(p: ColumnProfile) -> bool:
    return p.won >= FEW and p.filled > 0 and p.filled_of_others == 0 and bool(p.filled_of_won)


def _exclusive(profiles: Sequence[ColumnProfile], allowed: set[str]) -> Iterator[Finding]:
    """Columns that hold something for leads with the outcome and for no others: existing gives the outcome away."""
    kept_out: dict[str, list[str]] = {}
    for p in filter(exists_for_winners_only, profiles):
        share = f"filled for {percent(p.filled_of_won or 0)} of the {p.won} leads with the outcome and for none without"
        if p.role == "outcome":
            kept_out.setdefault(p.file, []).append(p.column)
        elif p.role == "undeclared":
            yield Finding(
                "warn", place(p), "exists only for leads with the outcome", share, 'declare known = "outcome"'
            )
        elif p.attribute not in allowed:
            next_step = 'declare known = "outcome", or say in allowed_because why it may be used'
            yield Finding(
                "refuse", place(p), "exists only for leads with the outcome: a perfect leak", share, next_step
            )
    for file, columns in kept_out.items():
        what = "exist only for leads with the outcome; rightly kept out of features"
        yield Finding(
            "ok", f"{file}: {', '.join(columns)}", what, f"filled for none of the other leads ({len(columns)} columns)"
        )


def _strong(profiles: Sequence[ColumnProfile], allowed: set[str]) -> Iterator[Finding]:
    for p in profiles:
        if p.alone is None or exists_for_winners_only(p):
            continue
        evidence = f"alone, forward in time, it ranks later leads with AUC {p.alone:.2f}"
        if p.role == "outcome":
            grave = ", which no honest column should" if p.alone >= STRONG else ""
            if p.filled:
                yield Finding("ok", place(p), KEPT_OUT, evidence + grave)
        elif p.alone >= STRONG and p.attribute not in allowed:
            what = "predicts suspiciously well alone: is it filled in after the outcome, or worked out from it?"
            step = 'find out when it is filled; if after the outcome: known = "outcome", else say so in allowed_because'
            yield Finding("warn", place(p), what, evidence, step)


def _missing(profiles: Sequence[ColumnProfile]) -> Iterator[Finding]:
    for p in profiles:
        if p.role == "attribute":
            yield from _words(p)
            yield from _spikes(p)
    yield from _declared_words(profiles)


def _declared_words(profiles: Sequence[ColumnProfile]) -> Iterator[Finding]:
    """One line a file and word: which columns say missing in it, as declared."""
    found: dict[tuple[str, str], list[str]] = {}
    for p in profiles:
        if p.role == "attribute" and not any(not t.word and t.rows for t in p.missing):
            for told in p.missing:
                if told.word and told.word in p.declared_missing:
                    found.setdefault((p.file, told.word), []).append(f"{p.column} ({told.rows:,})")
    for (file, word), columns in found.items():
        yield Finding(
            "ok", f"{file}: {', '.join(columns)}", f"the word {word!r} means missing, as the mapping declares"
        )


def _words(p: ColumnProfile) -> Iterator[Finding]:
    words = [t for t in p.missing if t.word]
    empty = next((t for t in p.missing if not t.word), None)
    undeclared = [t for t in words if t.word not in p.declared_missing]
    if words and empty and empty.rows:
        what = f"says missing in two ways: empty, and {_quoted(words)}"
        step = "keep them apart if their outcomes differ (as now), else declare the word missing" if undeclared else ""
        yield Finding("warn", place(p), what, _rates([empty, *words]), step)
    elif undeclared:
        what = f"holds {_quoted(undeclared)}, which looks like missing but is kept as a value"
        yield Finding("warn", place(p), what, _rates(undeclared), "declare it in missing if that is what it means")


def _quoted(words: Iterable[Told]) -> str:
    return ", ".join(f"the word {t.word!r}" for t in words)


def _rates(told: Iterable[Told]) -> str:
    return "; ".join(
        f"{t.word or 'empty'}: {t.rows:,} leads" + ("" if t.won is None else f", {percent(t.won)} with the outcome")
        for t in told
    )


def _spikes(p: ColumnProfile) -> Iterator[Finding]:
    for spike in p.spikes:
        if spike in p.declared_missing:
            yield Finding("ok", place(p), f"{spike} means missing, as the mapping declares", _share_missing(p))
        else:
            what = f"{spike} stands far from all other values: does it mean missing?"
            yield Finding("warn", place(p), what, "", f"declare missing = [{spike}] for this column if so")


def _share_missing(p: ColumnProfile) -> str:
    return f"{percent(1 - p.filled / max(p.rows, 1))} of rows"


def _codes(profiles: Sequence[ColumnProfile]) -> Iterator[Finding]:
    """Whole numbers with few values: codes, which have no order."""
    right: list[ColumnProfile] = []
    for p in profiles:
        if p.whole_numbers and p.role == "attribute" and p.type == "number":
            what = f"whole numbers with only {p.distinct} different values, declared as a number: are they codes?"
            yield Finding(
                "warn", place(p), what, "values: " + ", ".join(p.top), 'declare type = "category" if they are'
            )
        elif p.whole_numbers and p.role == "attribute" and p.type == "category":
            right.append(p)
    if right:
        names = ", ".join(f"{p.column} ({p.distinct})" for p in right)
        yield Finding("ok", f"{right[0].file}: {names}", "whole numbers that are codes; rightly declared as categories")


def _undeclared(profiles: Sequence[ColumnProfile]) -> Iterator[Finding]:
    by_file: dict[str, list[str]] = {}
    for p in profiles:
        if p.role == "undeclared":
            by_file.setdefault(p.file, []).append(p.column)
    for file, columns in by_file.items():
        step = "declare what is known in time under [files.columns]; name the rest in ignore"
        yield Finding("ok", f"{file}: {', '.join(columns)}", "not declared by the mapping, so not used", "", step)
