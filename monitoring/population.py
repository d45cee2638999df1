"""Who is watched: rows of open leads at given instants, with features and probabilities.

Row ids come first, as a small frame; features are then built once for all of
them, however many parts of the evidence share them. Samples are fixed: the
same leads on every run and on every engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import numpy as np
import pandas as pd
from ibis.backends.duckdb import Backend as DuckDB
from ibis.expr.types import Table
from scipy.special import expit

from data.company import Target
from data.store.snapshots import Snapshot
from data.times import WEEK
from features.as_of import FOREVER, GRID_WEEKS, ROW_COLUMNS, Tables, creation_rows, cycle_spans, training_rows
from features.engine import feature_values
from features.merged import followed_changes
from monitoring.evidence import PROBABILITY
from monitoring.window import Window
from training.bundle import Bundle
from training.outcomes import reaching_stages

MOST_ROWS = 20_000
"""Rows of one part (window, reference, …) at most; beyond, a sample by week."""
KEYS = ["lead_id", "as_of"]


class Population:
    """The leads of one snapshot that a target's probability is asked of, as they stood.

    Their cycles are worked out once, on `connection`.
    """

    def __init__(self, snapshot: Snapshot, connection: DuckDB, window: Window, target: Target) -> None:
        self.connection = connection
        self.tables: Tables = snapshot.tables(connection)
        self.company = snapshot.company
        self._window = window
        self._spans = None
        if not window.row_time:
            spans = _short_of(target, cycle_spans(self.tables), self.tables["stage_changes"])
            self._spans = connection.create_table(f"spans_{snapshot.hash}", spans, temp=True)

    def begins(self) -> int | None:
        """Creation of the first lead, or None where there is none."""
        first = self.tables["leads"].occurred_at.min().execute()
        return None if first is None or pd.isna(first) else int(first)

    def rows(self, instants: Sequence[int], *, most: int = MOST_ROWS) -> pd.DataFrame:
        """ROW_COLUMNS and `week` (0 for the newest instant); a sample by lead and week where there are more."""
        if not instants:
            return _no_rows()
        rows = self._at(instants)
        order = (rows.lead_id + "@" + rows.as_of.cast("string")).hexdigest("md5")
        place = ibis.row_number().over(group_by=rows.week, order_by=order)
        kept = rows.mutate(place=place).filter(lambda t: t.place < max(1, most // len(instants))).drop("place")
        return _ordered(kept.to_pandas())

    def panel(self, since: int, until: int, *, most: int) -> tuple[pd.DataFrame, float]:
        """ROW_COLUMNS of a sample of leads at every instant the training grid has in [since, until); and their share.

        Hand-overs are counted on the grid the policy was chosen on. None in row time.
        """
        if self._spans is None:
            return _no_rows(), 1.0
        rows = training_rows(self.tables, self.company, as_of=until)
        # A merge taken back leaves a cycle with two spans, and `rows` knows already when it stands.
        ends = self._spans.group_by("cycle_id").aggregate(open_until=self._spans.open_until.max())
        rows = rows.filter(rows.as_of >= since).inner_join(ends, "cycle_id")
        rows = rows.filter(rows.as_of <= rows.open_until).select(*ROW_COLUMNS)
        total = int(rows.count().execute())
        share = min(1.0, most / total) if total else 1.0
        # The first 8 hexadecimal digits as a number in [0, 1): a lead is in at every instant or at none.
        limit = f"{int(share * 0xFFFFFFFF):08x}"
        return _ordered(rows.filter(rows.lead_id.hexdigest("md5").left(8) <= limit).to_pandas()), share

    def stage_changes(self, lead_ids: pd.Series, *, as_of: int) -> pd.DataFrame:
        """lead_id, stage, occurred_at, recorded_at of these leads, merged ones followed to whom they are by `as_of`."""
        changes = followed_changes(self.tables, as_of=as_of)
        wanted = ibis.memtable(pd.DataFrame({"lead_id": lead_ids.astype("object")}), schema={"lead_id": "string"})
        found = changes.semi_join(wanted, "lead_id").select("lead_id", "stage", "occurred_at", "recorded_at")
        return found.to_pandas()

    def _at(self, instants: Sequence[int]) -> Table:
        if self._spans is None:
            return self._blocks(instants)
        grid = ibis.memtable(
            [{"week": week, "as_of": at} for week, at in enumerate(instants)],
            schema={"week": "int64", "as_of": "int64"},
        )
        at = self._spans.cross_join(grid).filter(
            lambda t: (t.seen < t.as_of) & (t.open_until >= t.as_of) & (t.cycle_start >= t.as_of - GRID_WEEKS * WEEK)
        )
        return at.select(*ROW_COLUMNS, "week")

    def _blocks(self, instants: Sequence[int]) -> Table:
        """In row time: the rows of the blocks that end at the instants, each as of its creation."""
        newest, step = max(instants), self._window.step
        rows = creation_rows(self.tables, created_from=max(min(instants) - step, 0), as_of=newest - 1)
        return rows.mutate(week=((newest - 1 - rows.as_of) // step).cast("int64"))


def _short_of(target: Target, spans: Table, stages: Table) -> Table:
    """The spans, each ending when the cycle is seen to have reached the target."""
    reached = stages.filter(stages.stage.isin(reaching_stages(target)))
    reached = reached.select(
        "lead_id", at=reached.occurred_at, known=ibis.greatest(reached.occurred_at, reached.recorded_at)
    )
    pairs = spans.join(reached, "lead_id").filter(lambda t: t["at"] >= t.cycle_start)
    ends = pairs.group_by("cycle_id").aggregate(reached=pairs.known.min())
    joined = spans.left_join(ends, "cycle_id").drop("cycle_id_right")
    until = ibis.least(joined.open_until, joined.reached.fill_null(FOREVER))
    return joined.mutate(open_until=until).drop("reached")


def _no_rows() -> pd.DataFrame:
    types = {"lead_id": "str", "cycle_id": "str", "cycle_start": "int64", "as_of": "int64", "week": "int64"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values(KEYS, ignore_index=True)


def watched(population: Population, parts: Mapping[str, pd.DataFrame], bundle: Bundle) -> dict[str, pd.DataFrame]:
    """Each part's rows with the bundle's features and its probability, in the part's own order.

    Features are float64 or text; `probability` is what `scored` says.
    """
    together = pd.concat([rows[list(ROW_COLUMNS)] for rows in parts.values()]).drop_duplicates(KEYS)
    if together.empty:
        return {name: _without_features(rows, bundle) for name, rows in parts.items()}
    rows = ibis.memtable(together.astype({"lead_id": "object", "cycle_id": "object"}))
    features = feature_values(
        population.connection, population.tables, rows, bundle.declarations, population.company
    ).to_pandas()
    known = scored(features.drop(columns=["cycle_id", "cycle_start"]), bundle)
    return {name: rows.merge(known, on=KEYS, how="left", validate="1:1") for name, rows in parts.items()}


def _without_features(rows: pd.DataFrame, bundle: Bundle) -> pd.DataFrame:
    empty: dict[str, Any] = {d.name: pd.Series(dtype="object" if d.is_category else float) for d in bundle.declarations}
    return rows.assign(**empty, **{PROBABILITY: pd.Series(dtype=float)})


def scored(frame: pd.DataFrame, bundle: Bundle) -> pd.DataFrame:
    """The frame with the bundle's probability, replacing one that is there.

    While the scorer is unproven: the same map of its margin, on which its
    policy rests, without the claim of a probability.
    """
    if frame.empty:
        return frame.assign(**{PROBABILITY: pd.Series(dtype=float)})
    columns = {d.name: _values(frame[d.name], category=d.is_category) for d in bundle.declarations}
    return frame.assign(**{PROBABILITY: expit(bundle.score_columns(columns, threads=2).margin)})


def _values(column: pd.Series, *, category: bool) -> np.ndarray | list[float | str | None]:
    if not category:
        return column.to_numpy(dtype=float, na_value=np.nan)
    return [None if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
