"""One batch run: every champion over its population, to the score file and the ledger.

I/O only; what a chunk becomes is `serving.batch`, who is in it `serving.population`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from data.company import Company
from data.errors import DataRefused
from data.store.ledger import LEDGER_SCHEMA, Ledger
from features.declaration import Declaration
from serving.answer import InForce
from serving.batch import Run, score_chunk
from serving.population import FeatureRows, History, Population, When, population, rows_to_score
from serving.score_file import Best, ScoreFile
from serving.withdrawals import Withdrawals

CHUNK = 20_000

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, rows done and rows in all."""


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


def run_champions(
    in_force: Sequence[InForce],
    history: History,
    company: Company,
    asked: Asked,
    out: ScoreFile,
    ledger: Ledger,
    progress: Progress,
    heard: Withdrawals,
) -> list[Summary]:
    """Score every target's population; features are computed once for all models that read the same ones."""
    rows = rows_to_score(history.tables, company, asked.when, only_open=asked.only_open)
    computed: dict[tuple[Declaration, ...], FeatureRows] = {}
    summaries = []
    for force in in_force:
        declared = force.bundle.declarations
        if declared not in computed:
            progress("computing features", 0, None)
            computed[declared] = FeatureRows(history, rows, declared, company)
        people = population(history.tables, rows, force.bundle.target_definition, company)
        summaries.append(_run_champion(force, computed[declared], people, asked, out, ledger, progress, heard))
    return summaries


def _run_champion(
    force: InForce,
    features: FeatureRows,
    people: Population,
    asked: Asked,
    out: ScoreFile,
    ledger: Ledger,
    progress: Progress,
    heard: Withdrawals,
) -> Summary:
    if features.count == 0:
        raise DataRefused(
            "leads to score",
            "none",
            expected="at least one lead open (or created) at the time asked for",
            remedy="choose another --as-of or --created-from",
        )
    counts = {"past_target": 0, "no_consent": 0}
    answers = _answers(force, features, people, asked, out, counts, progress, heard)
    reader = pa.RecordBatchReader.from_batches(LEDGER_SCHEMA, answers)
    ledger.append_batch(reader, f"{asked.run.run_id}-{force.deployment.deployment_id}", asked.run.scored_at)
    return Summary(force.bundle.target, features.count, **counts)


def _answers(
    force: InForce,
    features: FeatureRows,
    people: Population,
    asked: Asked,
    out: ScoreFile,
    counts: dict[str, int],
    progress: Progress,
    heard: Withdrawals,
) -> Iterator[pa.RecordBatch]:
    """Ledger rows chunk by chunk, each chunk's score rows written on the way, so that memory stays flat."""
    best = None if asked.top is None else Best(asked.top)
    done = 0
    progress(f"scoring {force.bundle.target}", 0, features.count)
    for rows in features.chunks(CHUNK):
        heard.listen()
        statuses = _statuses(rows, people, heard, asked.run.scored_at)
        chunk = score_chunk(force, rows, statuses, asked.run)
        if best:
            best.add(chunk.scores)
        else:
            out.write(chunk.scores)
        for status in counts:
            counts[status] += statuses.count(status)
        done += rows.num_rows
        progress(f"scoring {force.bundle.target}", done, features.count)
        yield from chunk.ledger.cast(LEDGER_SCHEMA).to_batches()
    if best:
        out.write(best.rows)


def _statuses(rows: pa.Table, people: Population, heard: Withdrawals, now: int) -> list[str | None]:
    leads, instants = rows["lead_id"].to_pylist(), rows["as_of"].to_pylist()
    return [
        people.status_of(lead, as_of, now) if heard.allows(lead, as_of=as_of) else "no_consent"
        for lead, as_of in zip(leads, instants, strict=True)
    ]
