"""`leadscore import`: files to store, with what was rejected and why."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data import tables
from data.company import Company
from data.home import Home
from data.sources import rejects
from data.sources.bulk import THERE, Spool, append_in_bulk, worth_bulk
from data.sources.changes import KEYS
from data.sources.companies import Declared, merged_company
from data.sources.derived import with_derived
from data.sources.gathering import Gathered, Progress, gather, quiet
from data.sources.mapping import Mapping
from data.sources.parts import stored_form
from data.sources.profile import Outcomes, profiles, rows_of, write_profiles
from data.sources.settling import Known, Settled, settle
from data.store.bulk import intake
from data.store.operational import Appended, Store
from data.times import render_instant

KIND = "import"
"""Under which the store keeps a record of each import."""


@dataclass(frozen=True)
class Counts:
    accepted: int = 0
    rejected: int = 0
    unchanged: int = 0
    conflicts: int = 0


@dataclass(frozen=True)
class ImportResult:
    """What an import did, for printing."""

    counts: dict[str, Counts]
    """By table name."""
    rejected_file: Path | None
    """CSV of file, row, table, column, value, reason; None when nothing was rejected."""
    undeclared: dict[str, tuple[str, ...]]
    kept_out: dict[str, tuple[str, ...]]
    """File → columns known only after the outcome, which are never stored."""
    rows_read: dict[str, int] = field(default_factory=dict)
    company: Company = field(default_factory=Company)
    bulk: bool = False
    """Touchpoints became a partition instead of rows of the store."""

    @property
    def changed(self) -> bool:
        return any(c.accepted for c in self.counts.values())


def import_mapping(
    mapping: Mapping, store: Store, home: Home, *, now: int, progress: Progress = quiet, bulk: bool | None = None
) -> ImportResult:
    """Loads the files as the mapping says; all accepted rows are committed together.

    With `bulk` touchpoints become a partition (`data.store.partitions`), by
    default where the files are large; all else goes to the store either way.
    Importing the same again changes nothing. Raises DataRefused for files that
    cannot be read as declared, or a company that contradicts another mapping.
    """
    company, folder = merged_company(store, mapping), import_folder(home, now)
    in_bulk = any(f.touchpoints for f in mapping.files) and (worth_bulk(mapping, home) if bulk is None else bulk)
    with intake(store) if in_bulk else nullcontext() as into:
        spool = Spool(into.work / "spool.parquet") if into else None
        gathered = with_derived(gather(mapping, now, progress, aside=spool.aside if spool else {}))
        known = known_to(store, mapping.source)
        settled = settle(gathered, known, source=mapping.source, now=now, by_row=mapping.by_row)
        rows = {t: stored_form(t, found) for t, found in settled.rows.items()}
        if into and spool:
            appended = append_in_bulk(store, rows, settled, into, spool, now=now, progress=progress)
        else:
            progress("store", 0)
            appended = store.append_all(rows, now=now)
    store.save_company(company, now=now)
    Declared.by(mapping).keep(store, now)
    if any(done.accepted for done in appended.values()):
        progress("columns", 0)
        write_profiles(profiles(mapping, _outcomes(company, known, settled)), mapping, folder)
    refused = rejects.together([gathered.rejects, *settled.rejects, *_conflicts(settled, appended)])
    path = _written(refused, folder)
    return replace(_result(mapping, company, gathered, settled, appended, refused, path), bulk=in_bulk)


def known_to(store: Store, source: str) -> Known:
    """What an import must know of the store before it begins."""
    leads = store.read(tables.LEADS)
    if not leads.num_rows:
        return Known()
    flat = {table: store.read(table) for table in KEYS}
    return Known(leads, {t: rows.filter(pc.equal(rows.column("source"), source)) for t, rows in flat.items()})


def _outcomes(company: Company, known: Known, settled: Settled) -> Outcomes:
    """Which leads reached the first target, in this import or before."""
    leads = rows_of(tables.LEADS, known.leads, settled.rows.get(tables.LEADS))
    changes = rows_of(
        tables.STAGE_CHANGES, known.flat.get(tables.STAGE_CHANGES), settled.rows.get(tables.STAGE_CHANGES)
    )
    return Outcomes.of(leads, changes, company.targets[0].stage)


def _conflicts(settled: Settled, appended: dict[str, Appended]) -> list[pa.Table]:
    told = Settled(called=settled.called)
    for table, rows in settled.rows.items():
        conflicts = appended[table.name].conflicts.column("source_id")
        mine = rows.filter(pc.is_in(rows.column("source_id"), value_set=conflicts.combine_chunks()))
        told.reject(table, mine, "source_id", THERE)
    return told.rejects


def import_folder(home: Home, now: int) -> Path:
    """Where this import keeps what it found: a name of its own, also within one instant; not made yet."""
    name = render_instant(now).replace(":", "").replace("+0000", "Z")
    taken = len(list(home.imports.glob(f"{name}*")))
    return home.imports / (f"{name}-{taken + 1:03d}" if taken else name)


def _written(refused: pa.Table, folder: Path) -> Path | None:
    if not refused.num_rows:
        return None
    folder.mkdir(exist_ok=True)
    path = folder / "rejected.csv"
    rejects.write(refused, path)
    return path


def _result(
    mapping: Mapping,
    company: Company,
    gathered: Gathered,
    settled: Settled,
    appended: dict[str, Appended],
    refused: pa.Table,
    path: Path | None,
) -> ImportResult:
    rejected = refused.group_by("table").aggregate([([], "count_all")]).to_pydict()
    by_table = dict(zip(rejected["table"], rejected["count_all"], strict=True))
    counts = {}
    for table in (t for t in tables.TABLES if t.name in appended or t.name in by_table):
        done = appended.get(table.name)
        conflicts = done.conflicts.num_rows if done else 0
        unchanged = (done.unchanged if done else 0) + settled.unchanged.get(table, 0)
        refusals = by_table.get(table.name, 0) - conflicts
        counts[table.name] = Counts(done.accepted if done else 0, refusals, unchanged, conflicts)
    if by_table.get(""):
        counts["(no row)"] = Counts(rejected=by_table[""])
    return ImportResult(counts, path, _some(gathered.undeclared), _kept_out(mapping), gathered.rows_read, company)


def _some(by_file: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {name: columns for name, columns in by_file.items() if columns}


def _kept_out(mapping: Mapping) -> dict[str, tuple[str, ...]]:
    return _some({f.path: tuple(n for n, c in f.columns.items() if c.known == "outcome") for f in mapping.files})
