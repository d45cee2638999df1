"""What each column of an import looks like beside the outcome: kept for `check`, also for what was not imported.

Written to `imports/<time>/columns.json`. Contact columns and free text leave
no values there, only counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data import tables
from data.home import Home
from data.sources.alone import forward_auc
from data.sources.columns import attribute_of, type_of
from data.sources.guesses import MISSING_WORDS
from data.sources.parts import Origin, lead_ids
from data.sources.reading import Source, blocks, sources
from data.sources.sections import FileSection
from data.sources.used import columns_used
from data.sources.values import Frame, as_text

if TYPE_CHECKING:
    from data.sources.mapping import Mapping

FILE_NAME = "columns.json"
ROWS = 300_000
"""Rows of a file that are looked at."""
TOP = 10
_CONTACT = r"@|^(?:\+|0)[\d\s()-]{8,}$"


@dataclass(frozen=True)
class Told:
    """One way in which a cell says that it is missing, and how its leads fared."""

    word: str
    """Empty for an empty cell."""
    rows: int
    won: float | None
    """Share of its leads with the outcome."""


@dataclass(frozen=True)
class ColumnProfile:
    file: str
    column: str
    role: str
    """attribute | outcome | undeclared"""
    attribute: str
    type: str
    rows: int
    filled: int
    distinct: int
    whole_numbers: bool
    """All values are whole numbers from 1 up, few of them: codes rather than counts."""
    filled_of_won: float | None
    """Share of leads with the outcome for which the column holds something, whether or not they are in the file."""
    filled_of_others: float | None
    won: int
    """Leads with the outcome."""
    declared_missing: tuple[str, ...]
    """Tokens that the mapping says mean missing in this column."""
    missing: tuple[Told, ...]
    spikes: tuple[str, ...]
    """Numbers of many nines, or −1, that lie far from all others."""
    top: tuple[str, ...]
    alone: float | None
    """AUC of the column alone on later leads; see `data/sources/alone.py`."""


@dataclass(frozen=True)
class Outcomes:
    """All leads in order of creation, and which of them reached the first target's stage."""

    lead_ids: pd.Index
    won: np.ndarray

    @staticmethod
    def of(leads: pa.Table, stage_changes: pa.Table, stage: str) -> Outcomes:
        order = leads.take(pc.sort_indices(leads, [("occurred_at", "ascending")]))
        won = stage_changes.filter(pc.equal(stage_changes.column("stage"), stage)).column("lead_id")
        ids = pd.Index(order.column("lead_id").to_pandas()).drop_duplicates()
        return Outcomes(ids, ids.isin(pd.Index(won.to_pandas().unique())))


def profiles(mapping: Mapping, outcomes: Outcomes) -> list[ColumnProfile]:
    """A profile for each column that describes leads, or would if it were declared."""
    found: list[ColumnProfile] = []
    for section in mapping.files:
        if section.lead or section.stages or (section.join and section.join.lead):
            for source in sources(section, mapping.folder):
                found.extend(_of_file(source, section, mapping, outcomes))
    return found


def _of_file(source: Source, section: FileSection, mapping: Mapping, outcomes: Outcomes) -> Iterator[ColumnProfile]:
    described = [c for c in source.header if _looked_at(c, section)]
    if not described:
        return
    frame = _frame(source, section, mapping, described)
    origin = Origin(mapping.source, source.name, 0, mapping.by_row, mapping.id_prefix)
    ids = lead_ids(frame, section.lead_cell, origin).to_pandas()
    once = (~ids.duplicated()).to_numpy()
    for column in described:
        texts = pc.utf8_trim_whitespace(as_text(frame.raw(column))).to_pandas()
        yield _profile(source, section, frame, column, texts, ids, once, outcomes)


def _looked_at(column: str, section: FileSection) -> bool:
    """Described columns, and those that nobody declared; not ids, dates, outcomes and contact data."""
    if column in section.columns:
        return True
    return column not in columns_used(section) and column not in section.ignore


def _frame(source: Source, section: FileSection, mapping: Mapping, described: list[str]) -> Frame:
    wanted = {*described, *([section.lead_cell.column] if section.lead_cell else [])}
    parts, numbers = [], []
    for block in blocks(source, wanted):
        parts.append(block.rows)
        numbers.append(block.numbers)
        if sum(p.num_rows for p in parts) >= ROWS:
            break
    if not parts:
        empty = pa.table({name: pa.array([], pa.string()) for name in source.header if name in wanted})
        return Frame(empty, pa.array([], pa.int64()), section, mapping.company.timezone, mapping.missing)
    rows = pa.concat_tables(parts).combine_chunks()
    return Frame(rows, pa.chunked_array(numbers).combine_chunks(), section, mapping.company.timezone, mapping.missing)


def _profile(
    source: Source, section: FileSection, frame: Frame, column: str, texts: pd.Series, ids: pd.Series,
    once: np.ndarray, outcomes: Outcomes,
) -> ColumnProfile:  # fmt: skip
    declared = section.columns.get(column)
    missing_words = declared.missing if declared else None
    present = as_text(frame.present(column, missing_words)).to_pandas()
    by_lead = pd.Series(present[once].to_numpy(), index=pd.Index(ids[once]))
    aligned = by_lead.reindex(outcomes.lead_ids)
    filled = aligned.notna().to_numpy()
    counts = present.value_counts()
    raw = pd.Series(texts[once].to_numpy(), index=pd.Index(ids[once])).reindex(outcomes.lead_ids)
    return ColumnProfile(
        file=source.name,
        column=column,
        role="undeclared" if declared is None else "outcome" if declared.known == "outcome" else "attribute",
        attribute=attribute_of(column, declared) if declared else column,
        type=type_of(column, declared) if declared else "",
        rows=len(texts),
        filled=int(present.notna().sum()),
        distinct=len(counts),
        whole_numbers=_codes(counts),
        filled_of_won=_mean(filled[outcomes.won]),
        filled_of_others=_mean(filled[~outcomes.won]),
        won=int(outcomes.won.sum()),
        declared_missing=_declared_missing(frame, missing_words),
        missing=_told(raw, outcomes),
        spikes=_spikes(texts.value_counts()),
        top=_top(counts),
        alone=forward_auc(aligned, outcomes.won),
    )


def _declared_missing(frame: Frame, own: tuple[str, ...] | None) -> tuple[str, ...]:
    return own if own is not None else frame.file.missing if frame.file.missing is not None else frame.missing


def _told(raw: pd.Series, outcomes: Outcomes) -> tuple[Told, ...]:
    """Empty cells and words that mean missing, where they are found."""
    won = pd.Series(outcomes.won, index=raw.index)
    words = [w for w in raw.dropna().unique() if w == "" or w in MISSING_WORDS]
    return tuple(Told(str(w), int((raw == w).sum()), _mean(won[raw == w].to_numpy())) for w in sorted(words))


def _spikes(said: pd.Series) -> tuple[str, ...]:
    """999 and its like: many rows hold it and no other value comes near; `said` counts texts."""
    figures = pd.to_numeric(pd.Series(said.index.astype(str)), errors="coerce").to_numpy()
    counts = pd.Series(said.to_numpy()).groupby(figures).sum()
    if counts.sum() < 0.9 * max(said.sum(), 1) or counts.empty:
        return ()
    out = []
    for value in (counts.index.max(), counts.index.min()):
        others = counts.index[counts.index != value]
        nines = value > 0 and set(f"{value:g}") == {"9"} and f"{value:g}" != "9"
        if (
            len(others)
            and counts[value] > 0.01 * said.sum()
            and ((nines and value > 3 * max(others.max(), 1)) or (value == -1 and others.min() >= 0))
        ):
            out.append(f"{value:g}")
    return tuple(out)


def _codes(counts: pd.Series) -> bool:
    figures = pd.to_numeric(pd.Series(counts.index.astype(str)), errors="coerce")
    if figures.empty or figures.isna().any() or not 3 <= len(figures) <= 30:
        return False
    return bool((figures == figures.round()).all() and figures.min() >= 1 and figures.max() <= 3 * len(figures))


def _top(counts: pd.Series) -> tuple[str, ...]:
    """The commonest values, unless they could say who somebody is."""
    words = counts.index.astype(str)
    if len(words) > 100 or words.str.contains(_CONTACT).any() or words.str.len().max() > 60:
        return ()
    return tuple(words[:TOP])


def _mean(flags: np.ndarray) -> float | None:
    return float(flags.mean()) if len(flags) else None


def write_profiles(found: list[ColumnProfile], mapping: Mapping, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / FILE_NAME
    document = {"source": mapping.source, "mapping": mapping.place.name, "columns": [asdict(p) for p in found]}
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
    return path


def latest_profiles(home: Home) -> list[ColumnProfile]:
    """The newest profiles of each mapping that was imported."""
    newest: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in sorted(home.imports.glob(f"*/{FILE_NAME}")):
        document = json.loads(path.read_text(encoding="utf-8"))
        newest[document["source"], document["mapping"]] = document["columns"]
    return [_read(raw) for columns in newest.values() for raw in columns]


def _read(raw: dict[str, Any]) -> ColumnProfile:
    told = tuple(Told(**t) for t in raw["missing"])
    lists = {k: tuple(raw[k]) for k in ("declared_missing", "spikes", "top")}
    return ColumnProfile(**{**raw, **lists, "missing": told})


def rows_of(table: tables.Table, *groups: pa.Table | None) -> pa.Table:
    """Rows of one table from several places, as the store has them."""
    schema = table.arrow_schema()
    return pa.concat_tables(
        [schema.empty_table(), *(g.select(schema.names).cast(schema) for g in groups if g is not None)]
    )
