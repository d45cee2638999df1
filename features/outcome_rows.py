"""What the leak firewall looks at: sampled rows with their outcomes.

Outcomes here are what is known of them at `as_of`; labels for training are
made in the training room. Who has which attribute is `features/filling.py`.
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
from features.as_of import ROW_COLUMNS, Tables, creation_rows, open_rows, training_rows
from features.declaration import Declaration
from features.engine import feature_values, kept

CYCLES = 20_000
"""Lead cycles sampled at most, each at its creation and at one later instant."""
_ASCENT = STAGES[: STAGES.index("won") + 1]


def labelled_sample(
    connection: Backend, tables: Tables, company: Company, wanted: Sequence[Declaration], target: Target, *, as_of: int
) -> pd.DataFrame:
    """Matured rows that had not reached the target, with `label` (1.0 when they did within the horizon) and features.

    `later` marks those that are not their cycle's first. Leads that ended
    before outcomes were recorded at all are left out.
    """
    rows = sampled_rows(connection, tables, company, target, as_of=as_of)
    asked = ibis.memtable(rows[list(ROW_COLUMNS)])
    values = feature_values(connection, tables, asked, wanted, company).to_pandas()
    return rows.merge(values, on=list(ROW_COLUMNS), validate="one_to_one")


def sampled_rows(
    connection: Backend, tables: Tables, company: Company, target: Target, *, as_of: int, cycles: int = CYCLES
) -> pd.DataFrame:
    """The rows of `labelled_sample`, of at most so many cycles, without features; in order of time."""
    with kept(connection, training_rows(tables, company, as_of=as_of)) as standing:
        return _two_a_cycle(connection.to_pandas(_matured(standing, tables, target, as_of)), cycles)


def _matured(rows: Table, tables: Tables, target: Target, as_of: int) -> Table:
    """Rows with `label`, their outcome window over and its outcomes recorded."""
    reached = reaching(tables, target, as_of).select("lead_id", reached="occurred_at")
    until = as_of - target.horizon - target.recording_lag
    rows = rows.filter((rows.as_of <= until) & (rows.as_of >= first_outcome(reached, target)))
    # Of this cycle, or of a later one: what came before the cycle was an earlier chance.
    after = rows.join(reached, "lead_id").filter(lambda t: t.reached >= t.cycle_start)
    first = after.group_by("lead_id", "as_of").aggregate(reached=after.reached.min())
    joined = rows.left_join(first, ["lead_id", "as_of"]).drop("lead_id_right", "as_of_right")
    joined = joined.filter(joined.reached.isnull() | (joined.reached >= joined.as_of))
    label = (joined.reached < joined.as_of + target.horizon).fill_null(False).cast("float64")
    return joined.select(*ROW_COLUMNS, label=label)


def reaching(tables: Tables, target: Target, as_of: int) -> Table:
    """Visible stage changes that reach the target: its stage or a later one of the ascent."""
    stages = _ASCENT[_ASCENT.index(target.stage) :] if target.stage in _ASCENT else (target.stage,)
    changes = tables["stage_changes"]
    return changes.filter(changes.stage.isin(stages) & (changes.occurred_at < as_of) & (changes.recorded_at < as_of))


def first_outcome(reached: Table, target: Target) -> ibis.expr.types.Scalar:
    """Rows whose window ended before any outcome was recorded say nothing."""
    return (reached.reached.min() - target.horizon).as_scalar()


def _two_a_cycle(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """The creation row and one later row of each of at most so many cycles; which ones is drawn once and for all."""
    rows = rows.sort_values(["cycle_id", "as_of"], ignore_index=True)
    rng = np.random.default_rng(0)
    cycles = rows["cycle_id"].unique()
    if len(cycles) > most:
        rows = rows[rows["cycle_id"].isin(set(rng.choice(cycles, most, replace=False)))].reset_index(drop=True)
    first = ~rows.duplicated("cycle_id")
    later = rows[~first].sample(frac=1.0, random_state=0).drop_duplicates("cycle_id")
    both = pd.concat([rows[first].assign(later=False), later.assign(later=True)])
    return both.sort_values(["as_of", "lead_id"], ignore_index=True)


def rows_of_today(
    connection: Backend, tables: Tables, company: Company, wanted: Sequence[Declaration], *, since: int, as_of: int
) -> pd.DataFrame:
    """Leads that are open at `as_of` and too young to have matured (created after `since`), as they were at creation.

    A sample of at most CYCLES rows with the features `wanted`; what a model would be asked about today.
    """
    still_open = open_rows(tables, as_of=as_of).select("lead_id").distinct()
    rows = connection.to_pandas(creation_rows(tables, as_of=as_of).semi_join(still_open, "lead_id"))
    rows = rows[rows["as_of"] > since].sort_values(["as_of", "lead_id"], ignore_index=True)
    if len(rows) > CYCLES:
        rows = rows.sample(CYCLES, random_state=0)
    if rows.empty or not wanted:
        return rows
    asked = ibis.memtable(rows[list(ROW_COLUMNS)])
    return feature_values(connection, tables, asked, wanted, company).to_pandas()
