"""History with every id read as it stands at the as-of time.

A lead merged into another stops being looked at; its touchpoints and
attributes count for the other from the instant the merge is visible, and not
before. The one that goes on keeps its own creation, cycles and stages: a
duplicate's "disqualified" closes nobody else. Merged accounts are one account.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import ibis
from ibis.expr.types import Table

from data.people.merges import FOREVER, Standing, merges_of, standings

Tables = dict[str, Table]

SPAN = ("after", "until")
"""Columns of a record that counts only while after < as_of ≤ until."""
LEAD_STANDING = "lead_standing"
"""Rows (lead_id, after, until): when each lead that was ever merged stands for itself. Absent without merges."""


def through_merges(tables: Tables) -> Tables:
    """The tables with ids as they are read, and SPAN where that changes; as given where nothing was ever merged.

    Merges are few: they are read here, once, and followed in memory.
    """
    if "merges" not in tables:
        return tables
    merges = tables["merges"].select("subject", "from_id", "into_id", "undone", "occurred_at", "recorded_at")
    known = merges.to_pyarrow()
    found = {name: table for name, table in tables.items() if name != "merges"}
    if leads := standings(merges_of(known, "lead")):
        own = [s for s in leads if s.id == s.read_as]
        found[LEAD_STANDING] = _named(own).select("after", "until", lead_id="id")
        found["leads"] = _reread(tables["leads"], "lead_id", own, leads)
        found["touchpoints"] = _reread(tables["touchpoints"], "lead_id", leads, leads)
        cut = _in_step(leads)
        found["lead_attributes"] = _reread(tables["lead_attributes"], "lead_id", cut, cut)
    if accounts := standings(merges_of(known, "account")):
        found["leads"] = _reread(found["leads"], "account_id", accounts, accounts)
        cut = _in_step(accounts)
        found["account_attributes"] = _reread(tables["account_attributes"], "account_id", cut, cut)
    return found


def _in_step(found: Sequence[Standing]) -> list[Standing]:
    """The same, cut so that the spans of what is read as one id are alike or apart; ids others are read as included."""
    known = {s.id for s in found}
    always = [Standing(one, one, -FOREVER, FOREVER) for one in sorted({s.read_as for s in found} - known)]
    bounds: dict[str, set[int]] = defaultdict(set)
    for s in (*found, *always):
        bounds[s.read_as] |= {s.after, s.until}
    return [
        s._replace(after=after, until=until)
        for s in (*found, *always)
        for after, until in pairwise(sorted(at for at in bounds[s.read_as] if s.after <= at <= s.until))
    ]


def followed_changes(tables: Tables, *, as_of: int) -> Table:
    """`stage_changes`, and from its merge on those of the lead that goes on under the merged one's id too: `followed`.

    Where outcomes are looked for, never features: a duplicate merged before
    the deal was won did not fail to win. Merges visible as of `as_of` count.
    """
    changes = tables["stage_changes"].mutate(followed=False)
    if "merges" not in tables:
        return changes
    merges = tables["merges"].filter(lambda t: (t.occurred_at < as_of) & (t.recorded_at < as_of)).to_pyarrow()
    ended = [s for s in standings(merges_of(merges, "lead")) if s.read_as != s.id]
    if not ended:
        return changes
    named = _named(ended)
    followed = changes.join(named, changes.lead_id == named.read_as)
    followed = followed.filter((followed.after < followed.occurred_at) & (followed.occurred_at <= followed.until))
    return ibis.union(changes, followed.mutate(lead_id=followed.id, followed=True).select(*changes.columns))


def span_of(records: Table) -> tuple[str, ...]:
    """SPAN where the records have it: what a selection of columns must carry on."""
    return SPAN if set(SPAN) <= set(records.columns) else ()


def _reread(records: Table, key: str, kept: Sequence[Standing], concerned: Sequence[Standing]) -> Table:
    """Records under the ids they are read as: those of `concerned` ids while `kept` holds, all others always."""
    before = {"after": -FOREVER, "until": FOREVER}
    if not span_of(records):
        records = records.mutate(**{name: ibis.literal(at, "int64") for name, at in before.items()})
    others = records.filter(records[key].isnull() | records[key].notin([s.id for s in concerned]))
    named = _named(kept).rename(named_after="after", named_until="until")
    read = records.join(named, records[key] == named.id)
    read = read.mutate(
        **{key: read.read_as},
        after=ibis.greatest(read.after, read.named_after),
        until=ibis.least(read.until, read.named_until),
    )
    return ibis.union(others, read.filter(read.after < read.until).select(*others.columns))


def _named(found: Sequence[Standing]) -> Table:
    schema = {"id": "string", "read_as": "string", "after": "int64", "until": "int64"}
    return ibis.memtable([tuple(standing) for standing in found], schema=schema)
