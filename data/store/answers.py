"""Answers as rows: their columns, which of them a reader wants, and a batch run's file of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.errors import DataRefused, StoreUnavailable, UsageError
from data.store.packing import Value, unpack_contributions, unpack_values

Status = Literal["scored", "unproven", "past_target", "no_consent"]


@dataclass(frozen=True)
class LedgerRow:
    request_id: str
    """Of the request or batch run that was answered."""
    lead_id: str
    """The lead answered for; empty where it was sent without an id."""
    target: str
    """Target asked about."""
    as_of: int
    """Microseconds UTC: what was known before this instant was used."""
    scored_at: int
    """Microseconds UTC; when the answer was given."""
    bundle_hash: str
    """The model that answered."""
    policy_id: str
    """The operating policy that judged."""
    deployment_id: int
    """The deployment then in force."""
    channel: Literal["online", "batch", "shadow"]
    """Given online, in a batch, or only recorded (a challenger)."""
    status: Status
    """Scored, or why there is no score."""
    margin: float | None
    """Calibrated log-odds."""
    base: float | None
    """What every lead starts from, in log-odds."""
    fit: float | None
    """Sum of the contributions of fit features."""
    behaviour: float | None
    """Sum of the contributions of behaviour features."""
    probability: float | None
    """Logistic of the margin; null while unproven."""
    score: int | None
    """0–100, for display."""
    grade: str | None
    """A to D."""
    threshold_met: bool | None
    """Whether the policy would hand it over."""
    features: bytes
    """The feature values in the bundle's schema order, packed (data.store.packing); empty without figures."""
    contributions: bytes
    """The contributions in the same order, packed alike; base + Σ = margin."""

    def values(self) -> list[Value]:
        """The feature values. Raises DataRefused where the bytes are damaged."""
        return unpack_values(self.features)

    def parts(self) -> tuple[float, ...]:
        """The contributions. Raises DataRefused where the bytes are damaged."""
        return unpack_contributions(self.contributions)


_TEXT, _WHOLE, _NUMBER, _PACKED = pa.string(), pa.int64(), pa.float64(), pa.binary()
LEDGER_SCHEMA = pa.schema(
    [
        pa.field("request_id", _TEXT, nullable=False),
        pa.field("lead_id", _TEXT, nullable=False),
        pa.field("target", _TEXT, nullable=False),
        pa.field("as_of", _WHOLE, nullable=False),
        pa.field("scored_at", _WHOLE, nullable=False),
        pa.field("bundle_hash", _TEXT, nullable=False),
        pa.field("policy_id", _TEXT, nullable=False),
        pa.field("deployment_id", _WHOLE, nullable=False),
        pa.field("channel", _TEXT, nullable=False),
        pa.field("status", _TEXT, nullable=False),
        pa.field("margin", _NUMBER),
        pa.field("base", _NUMBER),
        pa.field("fit", _NUMBER),
        pa.field("behaviour", _NUMBER),
        pa.field("probability", _NUMBER),
        pa.field("score", _WHOLE),
        pa.field("grade", _TEXT),
        pa.field("threshold_met", pa.bool_()),
        pa.field("features", _PACKED, nullable=False),
        pa.field("contributions", _PACKED, nullable=False),
    ]
)
"""The columns of LedgerRow, in its order."""

_ROW_GROUP = 65_536
_JSON_TEXTS = {"sqlite": "value FROM json_each(?)", "postgresql": "json_array_elements_text(CAST(? AS json))"}


@dataclass(frozen=True)
class Wanted:
    """Answers with since ≤ scored_at < until, of one target, of some leads; None: of all."""

    target: str | None
    since: int | None
    until: int | None
    lead_ids: tuple[str, ...] | None

    def statement(self, dialect: str) -> tuple[str, tuple[Any, ...]]:
        """A WHERE clause with its parameters for `sqlite` or `postgresql`."""
        clauses: list[str] = []
        parameters: list[Any] = []
        for clause, value in (
            ("target = ?", self.target),
            ("scored_at >= ?", self.since),
            ("scored_at < ?", self.until),
        ):
            if value is not None:
                clauses.append(clause)
                parameters.append(value)
        if self.lead_ids is not None:
            clauses.append(f"lead_id IN (SELECT {_JSON_TEXTS[dialect]})")
            parameters.append(json.dumps(self.lead_ids))
        return (" WHERE " + " AND ".join(clauses) if clauses else ""), tuple(parameters)

    def expression(self) -> pc.Expression | None:
        tests = [
            pc.field("target") == self.target if self.target is not None else None,
            pc.field("scored_at") >= self.since if self.since is not None else None,
            pc.field("scored_at") < self.until if self.until is not None else None,
            pc.field("lead_id").isin(pa.array(self.lead_ids, pa.string())) if self.lead_ids is not None else None,
        ]
        whole = None
        for test in tests:
            if test is not None:
                whole = test if whole is None else whole & test
        return whole


@dataclass(frozen=True)
class Written:
    """What one file of answers holds; `oldest` and `newest` are its range of scored_at, None without rows."""

    rows: int
    oldest: int | None
    newest: int | None

    def with_batch(self, batch: pa.RecordBatch) -> Written:
        if not len(batch):
            return self
        low, high = pc.min_max(batch["scored_at"]).as_py().values()
        oldest = low if self.oldest is None else min(low, self.oldest)
        return Written(self.rows + len(batch), oldest, high if self.newest is None else max(high, self.newest))


def write_answers(table: pa.Table | pa.RecordBatchReader, path: Path) -> Written:
    """Writes answers as Parquet, durably."""
    given = table.schema.names
    if sorted(given) != sorted(LEDGER_SCHEMA.names):
        differing = sorted(set(given) ^ set(LEDGER_SCHEMA.names))
        raise DataRefused("batch answers", f"columns that differ: {', '.join(differing)}", expected="LEDGER_SCHEMA")
    written = Written(0, None, None)
    with path.open("wb") as file:
        with pq.ParquetWriter(file, LEDGER_SCHEMA, compression="zstd") as writer:
            for batch in table.to_batches(_ROW_GROUP) if isinstance(table, pa.Table) else table:
                answers = _as_answers(batch)
                writer.write_batch(answers, row_group_size=_ROW_GROUP)
                written = written.with_batch(answers)
        file.flush()
        os.fsync(file.fileno())
    return written


def _as_answers(batch: pa.RecordBatch) -> pa.RecordBatch:
    try:
        whole = batch.select(LEDGER_SCHEMA.names).cast(LEDGER_SCHEMA)
        whole.validate()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataRefused("batch answers", str(error), expected="the types of LEDGER_SCHEMA") from None
    for field in LEDGER_SCHEMA:
        if not field.nullable and whole[field.name].null_count:
            raise DataRefused(f"batch answers, column {field.name}", "null", expected="a value in every row")
    return whole


def read_answers(path: Path, schema: pa.Schema, wanted: Wanted) -> Iterator[pa.RecordBatch]:
    """The wanted answers in one batch run's file, in its order. Raises StoreUnavailable where it is damaged."""
    import pyarrow.dataset as ds  # brings pandas, which the online side must not carry

    try:
        scanner = ds.dataset(path, schema=LEDGER_SCHEMA, format="parquet")
        for batch in scanner.to_batches(columns=schema.names, filter=wanted.expression()):
            if len(batch):
                yield batch.cast(schema)
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreUnavailable(
            f"ledger file {path}", str(error), expected="the answers of a batch run", remedy="restore a backup"
        ) from None


def selected_schema(columns: Sequence[str] | None) -> pa.Schema:
    """LEDGER_SCHEMA, or some of its columns. Raises UsageError for one it does not have."""
    if columns is None:
        return LEDGER_SCHEMA
    unknown = [name for name in columns if name not in LEDGER_SCHEMA.names]
    if unknown:
        raise UsageError("ledger column", unknown[0], expected=f"one of {', '.join(LEDGER_SCHEMA.names)}")
    return pa.schema([LEDGER_SCHEMA.field(name) for name in columns])
