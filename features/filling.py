"""Who has which attribute, counted beside the outcome, the end and the time of creation."""

from __future__ import annotations

import ibis
import pandas as pd
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from data.company import Target
from data.tables import TERMINAL_STAGES
from features.as_of import Tables
from features.existence import Filled
from features.outcome_rows import first_outcome, reaching

COHORTS = 20
"""Leads are compared with those created in the same twentieth of the history."""
OUTCOME, OVER, OPEN = "outcome", "over", "open"
UNSAID, AT_CREATION, BEFORE, AFTER = "unsaid", "at creation", "before the end", "at or after the end"


def attribute_filling(
    connection: Backend, tables: Tables, target: Target, *, as_of: int
) -> tuple[dict[str, Filled], dict[str, Filled]]:
    """By attribute name, who has it: of all leads, and of those old enough for a missing outcome to mean none."""
    leads = _leads(tables, target, as_of)
    totals = connection.to_pandas(leads.group_by("cohort", "fate", "matured").aggregate(leads=leads.count()))
    counts = connection.to_pandas(_by_fate(tables, leads, as_of))
    return _filled(counts, totals), _filled(counts[counts["matured"]], totals[totals["matured"]])


def _filled(counts: pd.DataFrame, totals: pd.DataFrame) -> dict[str, Filled]:
    return {str(name): _of_attribute(found, totals) for name, found in counts.groupby("name", sort=True)}


def _of_attribute(found: pd.DataFrame, totals: pd.DataFrame) -> Filled:
    has = found[found["came"] != UNSAID]
    won, over, late = has["fate"] == OUTCOME, has["fate"] != OPEN, has["came"] == AFTER
    dated_at_creation = has[has["came"] == AT_CREATION]
    expected, least = _expected(dated_at_creation, totals)
    return Filled(
        leads=int(totals["leads"].sum()),
        outcomes=int(totals.loc[totals["fate"] == OUTCOME, "leads"].sum()),
        with_value=int(has["leads"].sum()),
        outcomes_with_value=int(has.loc[won, "leads"].sum()),
        after=int(has.loc[won & late, "leads"].sum()),
        at_creation=int(dated_at_creation["leads"].sum()),
        stated=int(found["leads"].sum()),
        outcomes_stated=int(found.loc[found["fate"] == OUTCOME, "leads"].sum()),
        ended_with_value=int(has.loc[over, "leads"].sum()),
        after_end=int(has.loc[over & late, "leads"].sum()),
        open_with_value=int(dated_at_creation.loc[dated_at_creation["fate"] == OPEN, "leads"].sum()),
        open_expected=expected,
        open_expected_least=least,
    )


def _expected(has: pd.DataFrame, totals: pd.DataFrame) -> tuple[float, float]:
    """Open leads that would have a value by the shares of leads of their cohort that are over; the least by outcome."""
    grid = totals.pivot_table(index="cohort", columns="fate", values="leads", aggfunc="sum", fill_value=0)
    some = has.pivot_table(index="cohort", columns="fate", values="leads", aggfunc="sum", fill_value=0)
    some = some.reindex(index=grid.index, columns=grid.columns, fill_value=0)
    if OPEN not in grid or OUTCOME not in grid:
        return 0.0, 0.0
    by_outcome = [_share(some[fate], grid[fate]) for fate in (OUTCOME, OVER) if fate in grid and grid[fate].sum() > 0]
    ended = [fate for fate in (OUTCOME, OVER) if fate in grid]
    expected = _share(some[ended].sum(axis=1), grid[ended].sum(axis=1)) * grid[OPEN]
    least = pd.concat(by_outcome, axis=1).min(axis=1) * grid[OPEN] if len(by_outcome) > 1 else pd.Series([0.0])
    return float(expected.sum()), float(least.sum())


def _share(some: pd.Series, of: pd.Series) -> pd.Series:
    """Nobody to compare with means nothing is expected."""
    return (some / of.where(of > 0)).fillna(0.0)


def _leads(tables: Tables, target: Target, as_of: int) -> Table:
    """Leads known at `as_of`, less those from before outcomes were recorded.

    lead_id, account_id, created, `ended` (null while open), `fate`, `matured` and `cohort`.
    """
    changes = reaching(tables, target, as_of)
    reached = changes.group_by("lead_id").aggregate(reached=changes.occurred_at.min())
    leads = tables["leads"].select("lead_id", "account_id", created="occurred_at", known="recorded_at")
    leads = leads.filter((leads.known < as_of) & (leads.created < as_of))
    leads = leads.filter(leads.created >= first_outcome(reached, target))
    joined = leads.left_join(reached, "lead_id").drop("lead_id_right")
    joined = joined.left_join(_terminal(tables, as_of), "lead_id").drop("lead_id_right")
    span = (joined.created.max() - joined.created.min() + 1).as_scalar()
    fate = ibis.cases((joined.reached.notnull(), OUTCOME), (joined.terminal.notnull(), OVER), else_=OPEN)
    return joined.select(
        "lead_id",
        "account_id",
        "created",
        ended=ibis.coalesce(joined.reached, joined.terminal),
        fate=fate,
        matured=joined.created <= as_of - target.horizon - target.recording_lag,
        cohort=(COHORTS * (joined.created - joined.created.min().as_scalar()).cast("float64") / span)
        .floor()
        .cast("int64"),
    )


def _terminal(tables: Tables, as_of: int) -> Table:
    changes = tables["stage_changes"].filter(
        lambda t: t.stage.isin(TERMINAL_STAGES) & (t.occurred_at < as_of) & (t.recorded_at < as_of)
    )
    return changes.group_by("lead_id").aggregate(terminal=changes.occurred_at.min())


def _by_fate(tables: Tables, leads: Table, as_of: int) -> Table:
    """Leads by attribute, cohort, fate, maturity and when their first value came."""
    first = ibis.union(
        _first_values(tables["lead_attributes"], leads, "lead_id", as_of),
        _first_values(tables["account_attributes"], leads.filter(leads.account_id.notnull()), "account_id", as_of),
    )
    came = ibis.cases(
        (first.first_at.isnull(), UNSAID),
        (first.first_at <= first.created, AT_CREATION),
        (first.first_at >= first.ended, AFTER),
        else_=BEFORE,
    )
    first = first.mutate(came=came)
    return first.group_by("name", "cohort", "fate", "matured", "came").aggregate(leads=first.count())


def _first_values(attributes: Table, leads: Table, key: str, as_of: int) -> Table:
    """When each lead's first value of each attribute came, null where only its lack is stated."""
    seen = attributes.filter(lambda t: (t.occurred_at < as_of) & (t.recorded_at < as_of))
    seen = seen.select(
        key, "name", at=ibis.ifelse(seen.text.notnull() | seen.number.notnull(), seen.occurred_at, ibis.null("int64"))
    )
    pairs = leads.join(seen, key)
    return pairs.group_by("lead_id", "name", "created", "ended", "fate", "matured", "cohort").aggregate(
        first_at=pairs.at.min()
    )
