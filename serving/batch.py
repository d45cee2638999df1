"""Many leads at once: from a chunk of the feature table to the score file's rows and the ledger's.

Every figure is computed as for one lead online, only by column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from data.company import Company
from data.store.ledger import LedgerRow
from data.store.packing import pack_contributions, pack_values
from serving.answer import InForce
from serving.contract import Language
from serving.reasons import MOST_DOWN, MOST_UP, most_telling_table
from training.bundle import ScoredTable, logistic

REASONS = MOST_UP + MOST_DOWN
SCORE_SCHEMA = pa.schema(
    [
        ("lead_id", pa.string()),
        ("target", pa.string()),
        ("probability", pa.float64()),
        ("score", pa.int64()),
        ("grade", pa.string()),
        ("margin", pa.float64()),
        ("base", pa.float64()),
        ("fit", pa.float64()),
        ("behaviour", pa.float64()),
        ("expected_value", pa.float64()),
        ("expected_value_low", pa.float64()),
        ("expected_value_high", pa.float64()),
        ("days_to_outcome", pa.float64()),
        ("threshold_met", pa.bool_()),
        *((f"reason_{n}", pa.string()) for n in range(1, REASONS + 1)),
        ("model_version", pa.string()),
        ("policy_version", pa.string()),
        ("as_of", pa.string()),
    ]
)
UP, DOWN = "↑ ", "↓ "
"""Before a reason's words in the file: it raises or lowers the margin."""


@dataclass(frozen=True)
class Run:
    """What all chunks of one batch run share."""

    run_id: str
    scored_at: int
    lang: Language


@dataclass(frozen=True)
class Chunk:
    """One chunk's answers; `statuses` are None where the lead is scored."""

    scores: pa.Table
    ledger: pa.Table


def score_chunk(force: InForce, features: pa.Table, statuses: Sequence[str | None], run: Run) -> Chunk:
    """Rows in the order of `features`; leads with a status have null figures."""
    columns = {d.name: _column(features[d.name], d.is_category) for d in force.bundle.declarations}
    scored = force.bundle.score_columns(columns)
    silent = np.array([status is not None for status in statuses])
    figures = _figures(force, columns, scored, silent)
    reasons = _reasons(force, columns, scored.contributions, silent, run.lang)
    scores = _score_rows(force, features, figures, reasons)
    return Chunk(scores, _ledger_rows(force, features, figures, columns, scored, statuses, run))


def _column(values: pa.ChunkedArray, is_category: bool) -> list[str | None] | np.ndarray:
    if is_category:
        texts: list[str | None] = values.to_pylist()
        return texts
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def _deals(
    force: InForce, columns: dict[str, list[str | None] | np.ndarray], scored: ScoredTable
) -> dict[str, np.ndarray]:
    """As `expected_deal` for each row; NaN for None."""
    nothing = np.full(len(scored.margin), np.nan)
    found = dict.fromkeys(("amount", "amount_low", "amount_high", "days"), nothing)
    if force.bundle.deals is not None:
        found = force.bundle.deals.expected_columns([columns[d.name] for d in force.bundle.declarations])
    if force.policy.mean_amount is not None and np.isnan(found["amount"]).all():
        found = {**found, "amount": np.full(len(nothing), force.policy.mean_amount)}
    known = np.where(np.isnan(scored.probability), np.nan, 1.0)
    return {
        "expected_value": scored.probability * found["amount"],
        "expected_value_low": scored.probability * found["amount_low"],
        "expected_value_high": scored.probability * found["amount_high"],
        "days_to_outcome": known * found["days"],
    }


def _figures(
    force: InForce,
    columns: dict[str, list[str | None] | np.ndarray],
    scored: ScoredTable,
    silent: np.ndarray,
) -> dict[str, pa.Array]:
    """The numeric columns of the answer, null where a lead gets no score."""
    policy = force.policy
    margins = scored.margin.tolist()
    chance = scored.probability if force.bundle.proven else np.array([logistic(m) for m in margins], dtype=np.float64)
    grades = np.select([chance >= policy.cut_a, chance >= policy.cut_b, chance >= policy.cut_c], ["A", "B", "C"], "D")
    unproven = np.isnan(scored.probability)
    deals = {name: pa.array(f, mask=silent | np.isnan(f)) for name, f in _deals(force, columns, scored).items()}
    return {
        "probability": pa.array(scored.probability, mask=silent | unproven),
        "score": pa.array(np.floor(100 * np.sqrt(chance) + 0.5).astype(np.int64), mask=silent),
        "grade": pa.array(grades.astype(object), pa.string(), mask=silent),
        "margin": pa.array(scored.margin, mask=silent),
        "base": pa.array(np.full(len(margins), scored.base), mask=silent),
        "fit": pa.array(scored.fit, mask=silent),
        "behaviour": pa.array(scored.behaviour, mask=silent),
        **deals,
        "threshold_met": pa.array(chance >= policy.threshold, mask=silent),
    }


def _reasons(
    force: InForce,
    columns: dict[str, list[str | None] | np.ndarray],
    contributions: np.ndarray,
    silent: np.ndarray,
    lang: Language,
) -> list[pa.Array]:
    """reason_1 … reason_5 as words."""
    sums = force.reasons.sums(contributions)
    chosen = most_telling_table(sums)
    chosen[silent] = -1
    speakers = force.reasons.speakers(contributions, sums)
    told = [_values(columns[d.name]) for d in force.bundle.declarations]
    rows = range(len(sums))
    texts = []
    for slot in range(chosen.shape[1]):
        codes = chosen[:, slot]
        feature = speakers[rows, codes].tolist()
        marks = np.where(sums[rows, codes] > 0, UP, DOWN).tolist()
        texts.append(
            pa.array(
                [
                    marks[i] + force.words.text(feature[i], told[feature[i]][i], lang) if code >= 0 else None
                    for i, code in enumerate(codes.tolist())
                ],
                pa.string(),
            )
        )
    return texts


def _values(column: list[str | None] | np.ndarray) -> Sequence[float | str | None]:
    """A column as the online row holds it: null is None."""
    if isinstance(column, list):
        return column
    held: list[float | None] = np.where(np.isnan(column), None, column.astype(object)).tolist()  # type: ignore[call-overload]
    return held


def _score_rows(
    force: InForce, features: pa.Table, figures: dict[str, pa.Array], reasons: Sequence[pa.Array]
) -> pa.Table:
    n = features.num_rows
    named = {
        "lead_id": features["lead_id"],
        "target": pa.array([force.bundle.target] * n),
        **figures,
        **{f"reason_{number}": texts for number, texts in enumerate(reasons, start=1)},
        "model_version": pa.array([force.deployment.model_version] * n),
        "policy_version": pa.array([force.deployment.policy_id] * n),
        "as_of": pa.array(_told(features["as_of"].to_pylist(), force.bundle.company)),
    }
    return pa.table({name: named[name] for name in SCORE_SCHEMA.names}, schema=SCORE_SCHEMA)


def _told(values: Sequence[int], company: Company) -> list[str]:
    known = {value: company.told(value, "UTC") for value in set(values)}
    return [known[value] for value in values]


def _ledger_rows(
    force: InForce,
    features: pa.Table,
    figures: dict[str, pa.Array],
    columns: dict[str, list[str | None] | np.ndarray],
    scored: ScoredTable,
    statuses: Sequence[str | None],
    run: Run,
) -> pa.Table:
    n = features.num_rows
    usual = "scored" if force.bundle.proven else "unproven"
    values = zip(*(_values(columns[d.name]) for d in force.bundle.declarations), strict=True)
    kept = [status is None for status in statuses]
    named = {
        "request_id": pa.array([run.run_id] * n),
        "lead_id": features["lead_id"],
        "target": pa.array([force.bundle.target] * n),
        "as_of": features["as_of"],
        "scored_at": pa.array([run.scored_at] * n, pa.int64()),
        "bundle_hash": pa.array([force.bundle.hash] * n),
        "policy_id": pa.array([force.deployment.policy_id] * n),
        "deployment_id": pa.array([force.deployment.deployment_id] * n, pa.int64()),
        "channel": pa.array(["batch"] * n),
        "status": pa.array([status or usual for status in statuses]),
        **{name: figures[name] for name in ("margin", "base", "fit", "behaviour", "probability", "score", "grade")},
        "threshold_met": figures["threshold_met"],
        "features": pa.array([pack_values(v) if k else b"" for v, k in zip(values, kept, strict=True)], pa.binary()),
        "contributions": pa.array(
            [pack_contributions(c) if k else b"" for c, k in zip(scored.contributions.tolist(), kept, strict=True)],
            pa.binary(),
        ),
    }
    return pa.table({field.name: named[field.name] for field in fields(LedgerRow)})
