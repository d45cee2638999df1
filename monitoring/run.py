"""One monitor run from front door to stored row; the same window and data are the same run."""

from __future__ import annotations

import json
from typing import Any

from data.errors import DataRefused
from data.home import Home
from data.store.operational import Store
from data.store.plain import HistorySource, chosen_history
from data.store.snapshots import Snapshot
from data.times import ROW_STEP
from features.engine import local_engine
from monitoring.decision import decide
from monitoring.gathering import Progress, Watch, gather, open_watch, target_name
from monitoring.report import document, run_id, write_document
from monitoring.window import Window, window_at

KIND = "monitor"


def monitored(
    home: Home,
    *,
    target: str | None,
    window: str | None,
    as_of: int | None,
    now: int,
    progress: Progress,
    history: HistorySource | None = None,
) -> dict[str, Any]:
    """The report's document, new or as it was found before. Raises what `open_watch`, `window_at`, `gather` raise."""
    with Store.open(home) as store:
        progress("snapshot of the history")
        snapshot = chosen_history(store, home, history, now=now)
        watch = open_watch(home, store, snapshot, target_name(snapshot.company, target))
        at = as_of if as_of is not None else latest_instant(home, snapshot, now)
        asked = window_at(window, as_of=at, trained_as_of=watch.bundle.as_of, company=snapshot.company)
        there = _found_before(store, watch, asked)
        if there is not None:
            return there
        found = _run(watch, asked, progress)
        store.record_run(KIND, json.dumps(found, ensure_ascii=False, sort_keys=True), now=now)
        return found


def latest_instant(home: Home, snapshot: Snapshot, now: int) -> int:
    """`now`; in row time the instant at which all rows are known."""
    if snapshot.company.time != "row":
        return now
    leads = snapshot.tables(local_engine(home))["leads"]
    last = leads.occurred_at.max().execute()
    if last is None:
        raise DataRefused("leads", "none", expected="at least one row", remedy="run `leadscore import MAPPING`")
    return int(last) + ROW_STEP


def _found_before(store: Store, watch: Watch, window: Window) -> dict[str, Any] | None:
    """The document of the same run, while its page is still there."""
    wanted = run_id(watch, window)
    for _, text in reversed(store.runs(KIND)):
        found: dict[str, Any] = json.loads(text)
        if found["run_id"] == wanted and (watch.home.reports / found["page"]).exists():
            return found
    return None


def _run(watch: Watch, window: Window, progress: Progress) -> dict[str, Any]:
    name = f"monitor-{watch.bundle.target}-{run_id(watch, window)}"
    page = watch.home.reports / f"{name}.html"
    evidence, result = gather(watch, window, page=page, progress=progress)
    # Through JSON, so that a run just made and one read back from the store are the same thing.
    found: dict[str, Any] = json.loads(json.dumps(document(watch, window, evidence, decide(evidence), page)))
    write_document({**found, "evidently": result}, watch.home.reports / f"{name}.json")
    return found
