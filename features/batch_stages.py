"""Features over the cycle and its stages."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
from ibis import _
from ibis.expr.types import Table, Value

from data.company import Company
from data.tables import GIVEN_UP_STAGES, TERMINAL_STAGES
from data.times import DAY
from features.as_of import Tables, belongs
from features.batch_visible import KEYS, visible
from features.declaration import Declaration
from features.selection import FUNNEL_RANKS, RANK_OF_OTHER_STAGES

KINDS = frozenset({"lead_age", "stage", "stage_age", "times_recycled", "return_reason"})


def stages_part(
    tables: Tables, rows: Table, declarations: Sequence[Declaration], company: Company
) -> tuple[Table | None, dict[str, Value]]:
    """The newest stage, the count of cycles and the newest return by row, and each feature over them."""
    wanted = [d for d in declarations if d.kind in KINDS]
    if not wanted:
        return None, {}
    stages = _newest_stage(tables["stage_changes"], rows)
    cycles = _cycles(tables["lead_cycles"], rows)
    columns = _joined(stages, cycles)
    if any(d.kind == "return_reason" for d in wanted):
        columns = _joined(columns, _newest_return(tables["stage_changes"], rows))
    values = {
        "lead_age": (_.as_of - _.cycle_start) / DAY,
        "stage": _.newest_stage["stage"],
        "stage_age": (_.as_of - _.newest_stage["occurred"]) / DAY,
        "times_recycled": (_.cycles - 1).cast("float64"),
        "return_reason": _.newest_return["reason"],
    }
    return columns, {d.name: values[d.kind] for d in wanted}


def _joined(one: Table, other: Table) -> Table:
    """All rows that either has, with the columns of both."""
    # A view, since Ibis would lengthen a join that `one` is and lose its columns.
    both = one.view().outer_join(other, list(KEYS))
    keys = {key: ibis.coalesce(both[key], both[f"{key}_right"]) for key in KEYS}
    return both.select(**keys, **{n: both[n] for n in (*one.columns, *other.columns) if n not in KEYS})


def _newest_return(changes: Table, rows: Table) -> Table:
    """Of any cycle: why a lead came back is known when it is taken up again."""
    said = changes.filter(changes.stage.isin(GIVEN_UP_STAGES) & changes.reason.notnull())
    pairs = visible(said.select("lead_id", "reason", "occurred_at", "recorded_at"), rows.select(*KEYS), "lead_id")
    moment = ibis.struct({"occurred": pairs.occurred_at, "recorded": pairs.recorded_at, "reason": pairs.reason})
    return pairs.group_by(*KEYS).aggregate(newest_return=moment.max())


def _newest_stage(changes: Table, rows: Table) -> Table:
    changes = changes.select("lead_id", "stage", "occurred_at", "recorded_at")
    pairs = visible(changes, rows.select(*KEYS, "cycle_id", "cycle_start"), "lead_id")
    terminal = pairs.stage.isin(TERMINAL_STAGES)
    recycled = pairs.cycle_id != pairs.lead_id
    pairs = pairs.filter(
        belongs(pairs.occurred_at, pairs.cycle_start, recycled) | (~terminal & (pairs.occurred_at == pairs.cycle_start))
    )
    rank = pairs.stage.cases(*FUNNEL_RANKS, else_=RANK_OF_OTHER_STAGES).cast("int64")
    moment = ibis.struct(
        {"occurred": pairs.occurred_at, "recorded": pairs.recorded_at, "rank": rank, "stage": pairs.stage}
    )
    return pairs.group_by(*KEYS).aggregate(newest_stage=moment.max())


def _cycles(cycles: Table, rows: Table) -> Table:
    pairs = visible(cycles.select("lead_id", "occurred_at", "recorded_at"), rows.select(*KEYS), "lead_id")
    return pairs.group_by(*KEYS).aggregate(cycles=pairs.count())
