"""One batch run: every champion over its population, to the score file and the ledger.

I/O only; what a chunk becomes is `serving.batch`, who is in it `serving.population`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
from ibis.expr.types import Table

from data.company import Company
from data.errors import DataRefused
from data.store.ledger import LEDGER_SCHEMA, Ledger
from serving.answer import InForce
from serving.batch import Run, score_chunk
from serving.population import Population, Tables, When, feature_chunks, population, rows_to_score
from serving.score_file import Best, ScoreFile

CHUNK = 20_000


@dataclass(frozen=True)
class Asked:
    """What one `leadscore score` wants."""

    when: When
    run: Run
    only_open: bool
    top: int | None


@dataclass(frozen=True)
class Summary:
    target: str
    rows: int
    past_target: int
    no_consent: int


def run_champion(
    force: InForce,
    tables: Tables,
    company: Company,
    asked: Asked,
    out: ScoreFile,
    ledger: Ledger,
    progress: Callable[[int, int], None],
) -> Summary:
    """Score one target's population. `progress` is called with (rows done, rows in all)."""
    rows = rows_to_score(tables, company, asked.when, only_open=asked.only_open)
    people = population(tables, rows, force.bundle.target_definition, company)
    if people.rows == 0:
        raise DataRefused(
            "leads to score",
            "none",
            expected="at least one lead open (or created) at the time asked for",
            remedy="choose another --as-of or --created-from",
        )
    counts = {"past_target": 0, "no_consent": 0}
    answers = _answers(force, tables, rows, company, people, asked, out, counts, progress)
    reader = pa.RecordBatchReader.from_batches(LEDGER_SCHEMA, answers)
    ledger.append_batch(reader, f"{asked.run.run_id}-{force.deployment.deployment_id}", asked.run.scored_at)
    return Summary(force.bundle.target, people.rows, **counts)


def _answers(
    force: InForce,
    tables: Tables,
    rows: Table,
    company: Company,
    people: Population,
    asked: Asked,
    out: ScoreFile,
    counts: dict[str, int],
    progress: Callable[[int, int], None],
) -> Iterator[pa.RecordBatch]:
    """Ledger rows chunk by chunk, each chunk's score rows written on the way, so that memory stays flat."""
    best = None if asked.top is None else Best(asked.top)
    done = 0
    for features in feature_chunks(tables, rows, force.bundle.declarations, company, size=CHUNK):
        statuses = _statuses(features, people, asked.run.scored_at)
        chunk = score_chunk(force, features, statuses, asked.run)
        best.add(chunk.scores) if best else out.write(chunk.scores)
        for status in counts:
            counts[status] += statuses.count(status)
        done += features.num_rows
        progress(done, people.rows)
        yield from chunk.ledger.cast(LEDGER_SCHEMA).to_batches()
    if best:
        out.write(best.rows)


def _statuses(features: pa.Table, people: Population, now: int) -> list[str | None]:
    leads, instants = features["lead_id"].to_pylist(), features["as_of"].to_pylist()
    return [people.status_of(lead, as_of, now) for lead, as_of in zip(leads, instants, strict=True)]
