"""The batch interpreter: one Ibis expression from history and rows to the feature table.

Runs unchanged on every engine Ibis speaks to. Engines differ, so: only whole
microseconds, only integer sums, no as-of join, no function one engine alone
has, ties broken by content. Touchpoints are read once for the lead's own
features and once for the account's.
"""

from __future__ import annotations

from collections.abc import Sequence

from ibis.expr.types import Table, Value

from data.company import Company
from features.as_of import ROW_COLUMNS, Tables
from features.batch_account import account_part, own_shares
from features.batch_calendar import calendar_part
from features.batch_profile import profile_part
from features.batch_stages import stages_part
from features.batch_touchpoints import touchpoints_part
from features.batch_visible import KEYS, with_lead
from features.declaration import Declaration
from features.merged import through_merges

_PARTS = (touchpoints_part, stages_part, profile_part, account_part, calendar_part)


def feature_table(tables: Tables, rows: Table, declarations: Sequence[Declaration], company: Company) -> Table:
    """One row a row of `rows`: lead_id, cycle_id, cycle_start, as_of, then one column a declaration in order.

    `rows` are unique by (lead_id, as_of). Columns are float64 or string, null
    as declared. Only records with `occurred_at < as_of` and
    `recorded_at < as_of` count, under the ids they are read as by then.
    """
    tables = through_merges(tables)
    rows = with_lead(rows.select(*ROW_COLUMNS), tables["leads"])
    joined = rows
    values: dict[str, Value] = {}
    shares = own_shares(declarations)
    for part in _PARTS:
        columns, of_part = part(tables, rows, (*declarations, *shares.values()), company)
        if columns is not None:
            joined = joined.left_join(columns, list(KEYS)).drop(*(f"{key}_right" for key in KEYS))
        values.update(of_part)
    values |= {name: values[name] - values[share.name] for name, share in shares.items()}
    return joined.select(*ROW_COLUMNS, **{d.name: values[d.name] for d in declarations})
