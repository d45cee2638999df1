"""Freezing: while it lasts, nothing changes by itself. Kept as runs of the store, append-only.

People may still promote, roll back and retune by hand; what runs by schedule may not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from data.store.operational import Store
from data.times import render_instant

KIND = "freeze"


@dataclass(frozen=True)
class Freeze:
    since: int
    """Microseconds UTC."""
    by: str
    why: str

    def text(self) -> str:
        return f"frozen since {render_instant(self.since)[:16].replace('T', ' ')} UTC by {self.by}: {self.why}"


def frozen(store: Store) -> Freeze | None:
    """What holds now, or None."""
    runs = store.runs(KIND)
    if not runs:
        return None
    at, text = runs[-1]
    document = json.loads(text)
    return Freeze(at, document["by"], document["why"]) if document["on"] else None


def set_freeze(store: Store, *, on: bool, by: str, why: str, now: int) -> None:
    """Adds one entry; the newest one holds."""
    store.record_run(KIND, json.dumps({"on": on, "by": by, "why": why}, ensure_ascii=False, sort_keys=True), now=now)
