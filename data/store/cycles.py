"""Lead cycles, derived from the records that open them, in the same write.

A lead opens its first cycle, a stage change to `recycled` each later one. A
cycle keeps the times of its opening record and is named after it, so deriving
twice changes nothing.
"""

from __future__ import annotations

from sqlalchemy import Connection

from data.store.engine import execute

OPENING_TABLES = ("leads", "stage_changes")

_COLUMNS = "cycle_id, lead_id, opened_by, source, source_id, occurred_at, recorded_at, loaded_at"
_DERIVED = {
    "leads": (
        "lead_id, lead_id, 'created', source, 'created:' || source_id, occurred_at, recorded_at, loaded_at"
        " FROM leads WHERE seq > ?"
    ),
    "stage_changes": (
        "lead_id || '~' || source_id, lead_id, 'recycled', source, 'recycled:' || source_id,"
        " occurred_at, recorded_at, loaded_at FROM stage_changes WHERE seq > ? AND stage = 'recycled'"
    ),
}


def open_cycles(connection: Connection, table: str, after: int) -> int:
    """Writes the cycles opened by rows of `table` with `seq` > after; returns how many are new."""
    sql = f"INSERT INTO lead_cycles ({_COLUMNS}) SELECT {_DERIVED[table]} ORDER BY seq ON CONFLICT DO NOTHING"
    return execute(connection, sql, (after,))
