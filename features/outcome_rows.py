"""What the leak firewall looks at: sampled rows with their outcomes, and who has which attribute.

Outcomes here are what is known of them at `as_of`; labels for training are
made in the training room.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import numpy as np
import pandas as pd
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from data.company import Company, Target
from data.tables import STAGES
from features.as_of import ROW_COLUMNS, Tables, training_rows
from features.declaration import Declaration
from features.engine import feature_values, kept
from features.leaks import Filled

CYCLES = 20_000
"""Lead cycles sampled at most, each at its creation and at one later instant."""
_ASCENT = STAGES[: STAGES.index("won") + 1]


def labelled_sample(
    connection: Backend, tables: Tables, company: Company, wanted: Sequence[Declaration], target: Target, *, as_of: int
) -> pd.DataFrame:
    """Matured rows that had not reached the target, with `label` (1.0 when they did within the horizon) and features.

    Leads that ended before outcomes were recorded at all are left out.
    """
    with kept(connection, training_rows(tables, company, as_of=as_of)) as standing:
        rows = connection.to_pandas(_matured(standing, tables, target, as_of))
    rows = _two_a_cycle(rows)
    asked = ibis.memtable(rows[list(ROW_COLUMNS)])
    values = feature_values(connection, tables, asked, wanted, company).to_pandas()
    return rows.merge(values, on=list(ROW_COLUMNS), validate="one_to_one")


def _matured(rows: Table, tables: Tables, target: Target, as_of: int) -> Table:
    """Rows with `label`, their outcome window over and its outcomes recorded."""
    reached = _reaching(tables, target, as_of).select("lead_id", reached="occurred_at")
    until = as_of - target.horizon - target.recording_lag
    rows = rows.filter((rows.as_of <= until) & (rows.as_of >= _first_outcome(reached, target)))
    # Of this cycle, or of a later one: what came before the cycle was an earlier chance.
    after = rows.join(reached, "lead_id").filter(lambda t: t.reached >= t.cycle_start)
    first = after.group_by("lead_id", "as_of").aggregate(reached=after.reached.min())
    joined = rows.left_join(first, ["lead_id", "as_of"]).drop("lead_id_right", "as_of_right")
    joined = joined.filter(joined.reached.isnull() | (joined.reached >= joined.as_of))
    label = (joined.reached < joined.as_of + target.horizon).fill_null(False).cast("float64")
    return joined.select(*ROW_COLUMNS, label=label)


def _reaching(tables: Tables, target: Target, as_of: int) -> Table:
    """Visible stage changes that reach the target: its stage or a later one of the ascent."""
    stages = _ASCENT[_ASCENT.index(target.stage) :] if target.stage in _ASCENT else (target.stage,)
    changes = tables["stage_changes"]
    return changes.filter(changes.stage.isin(stages) & (changes.occurred_at < as_of) & (changes.recorded_at < as_of))


def _first_outcome(reached: Table, target: Target) -> ibis.expr.types.Scalar:
    """Rows whose window ended before any outcome was recorded say nothing."""
    return (reached.reached.min() - target.horizon).as_scalar()


def _two_a_cycle(rows: pd.DataFrame) -> pd.DataFrame:
    """The creation row and one later row of each of at most CYCLES cycles; which ones is drawn once and for all."""
    rows = rows.sort_values(["cycle_id", "as_of"], ignore_index=True)
    rng = np.random.default_rng(0)
    cycles = rows["cycle_id"].unique()
    if len(cycles) > CYCLES:
        rows = rows[rows["cycle_id"].isin(set(rng.choice(cycles, CYCLES, replace=False)))].reset_index(drop=True)
    first = ~rows.duplicated("cycle_id")
    later = rows[~first].sample(frac=1.0, random_state=0).drop_duplicates("cycle_id")
    return pd.concat([rows[first], later]).sort_values(["as_of", "lead_id"], ignore_index=True)


def attribute_filling(
    connection: Backend, tables: Tables, target: Target, *, as_of: int, matured: bool
) -> dict[str, Filled]:
    """By attribute name: how many leads have a value, how many of those the outcome, and which came first.

    Of all leads, or with `matured` of those old enough for a missing outcome to mean none.
    """
    leads = _leads(tables, target, as_of, as_of - target.horizon - target.recording_lag if matured else as_of)
    totals = connection.to_pandas(leads.aggregate(leads=leads.count(), outcomes=leads.reached.count())).iloc[0]
    first = ibis.union(
        _first_values(tables["lead_attributes"], leads, "lead_id", as_of),
        _first_values(tables["account_attributes"], leads.filter(leads.account_id.notnull()), "account_id", as_of),
    )
    counts = first.group_by("name").aggregate(
        with_value=first.count(),
        outcomes_with_value=first.reached.count(),
        after=(first.first_at >= first.reached).sum().fill_null(0),
    )
    return {
        row["name"]: Filled(
            int(totals["leads"]),
            int(totals["outcomes"]),
            int(row["with_value"]),
            int(row["outcomes_with_value"]),
            int(row["after"]),
        )
        for row in connection.to_pandas(counts).to_dict("records")
    }


def _leads(tables: Tables, target: Target, as_of: int, born_until: int) -> Table:
    """Leads known at `as_of` and created by `born_until`: lead_id, account_id and `reached`, null without it."""
    changes = _reaching(tables, target, as_of)
    reached = changes.group_by("lead_id").aggregate(reached=changes.occurred_at.min())
    leads = tables["leads"].filter(
        lambda t: (
            (t.recorded_at < as_of)
            & (t.occurred_at < as_of)
            & (t.occurred_at <= born_until)
            & (t.occurred_at >= _first_outcome(reached, target))
        )
    )
    joined = leads.select("lead_id", "account_id").left_join(reached, "lead_id")
    return joined.select("lead_id", "account_id", "reached")


def _first_values(attributes: Table, leads: Table, key: str, as_of: int) -> Table:
    """When each lead's first value of each attribute came: name, reached, first_at."""
    present = attributes.filter(
        lambda t: (t.text.notnull() | t.number.notnull()) & (t.occurred_at < as_of) & (t.recorded_at < as_of)
    )
    pairs = leads.join(present.select(key, "name", "occurred_at"), key)
    first = pairs.group_by("lead_id", "name", "reached").aggregate(first_at=pairs.occurred_at.min())
    return first.select("name", "reached", "first_at")
