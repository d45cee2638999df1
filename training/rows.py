"""From a snapshot to the training matrix, and to the recent rows a policy is chosen on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd
from ibis import _

from data.company import Target
from data.errors import DataRefused
from data.home import Home
from data.store.snapshots import Snapshot
from data.times import DAY, WEEK
from features.as_of import ROW_COLUMNS, training_rows
from features.declaration import Declaration
from features.engine import feature_values, local_engine
from features.merged import followed_changes
from training.choosing import LOOKBACK_WEEKS, RECENT_WEEKS
from training.matrix import Matrix
from training.outcomes import NEVER, Labelled, before_target, label_rows, matured_at, outcome_groups
from training.weighing import marked_creation, thinned, weighed

PANEL_ROWS = 30_000
"""About this many recent rows are scored to choose a policy; whole leads are sampled beyond it."""


@dataclass(frozen=True)
class History:
    """What the history known at `as_of` offers to train one target on."""

    snapshot: Snapshot
    target: Target
    as_of: int
    rows: pd.DataFrame
    """Every as-of row before `as_of`: ROW_COLUMNS and `creation`."""
    labelled: Labelled
    stage_changes: pd.DataFrame
    groups: pd.Series
    """A whole number per lead_id."""
    connection: Any

    @property
    def outcomes(self) -> int:
        """Lead cycles with the outcome in some matured row."""
        rows = self.labelled.rows
        return int(rows.loc[rows["label"] == 1.0, "cycle_id"].nunique())

    @property
    def until(self) -> int:
        """The end of the recent weeks: `as_of`, or a week after the newest lead where the import is older than that."""
        newest = self.rows.loc[self.rows["creation"], "as_of"].max()
        return min(self.as_of, int(newest) + WEEK)


def read_history(snapshot: Snapshot, target: Target, *, as_of: int, home: Home | None = None) -> History:
    """Rows and labels; no features yet. What memory does not hold lies in `home` meanwhile.

    Raises DataRefused where no row has matured.
    """
    connection = local_engine(home, threads=2)
    tables = snapshot.tables(connection)
    rows = training_rows(tables, snapshot.company, as_of=as_of).to_pandas()
    rows = marked_creation(rows.sort_values(["cycle_start", "lead_id", "as_of"], ignore_index=True))
    stage_changes = (
        followed_changes(tables, as_of=as_of)
        .select("lead_id", "stage", "amount", "occurred_at", "recorded_at", "followed")
        .to_pandas()
    )
    labelled = label_rows(rows, stage_changes, target, snapshot.company, as_of=as_of)
    if labelled.rows.empty:
        raise DataRefused(
            f"history for target {target.name}",
            f"{len(rows)} rows, none of them matured",
            expected="leads older than the horizon, with outcomes recorded",
            remedy="shorten --horizon, or import more history",
        )
    leads = tables["leads"].select("lead_id", "person_id", "account_id").to_pandas()
    groups = outcome_groups(leads, tables["merges"].filter(_.recorded_at < as_of).to_pyarrow())
    return History(snapshot, target, as_of, rows, labelled, stage_changes, groups, connection)


def training_matrix(history: History, declarations: Sequence[Declaration], *, seed: int) -> Matrix:
    """Matured rows with features, labels and weights; sampled where they are too many (training.weighing)."""
    rows = thinned(weighed(history.labelled.rows, history.target.horizon), seed=seed)
    return _matrix(history, rows, declarations)


def cohort(
    history: History, declarations: Sequence[Declaration], *, begins: int, ends: int, most: int, seed: int
) -> Matrix:
    """The matured rows of the cycles that started in [begins, ends), weighed as in training.

    Whole cycles are sampled where there are more than about `most` rows.
    """
    rows = weighed(history.labelled.rows, history.target.horizon)
    rows = rows[rows["cycle_start"].between(begins, ends, inclusive="left")]
    cycles = np.sort(rows["cycle_id"].unique())
    share = min(1.0, most / max(len(rows), 1))
    kept = np.random.default_rng(seed).permutation(len(cycles))[: int(np.ceil(share * len(cycles)))]
    return _matrix(history, rows[rows["cycle_id"].isin(set(cycles[kept]))].reset_index(drop=True), declarations)


def recent_panel(history: History, declarations: Sequence[Declaration], *, seed: int) -> tuple[Matrix, float]:
    """Rows of the weeks before `history.until`, not past the target, labels unknown; and leads in all per lead here."""
    since = history.until - (RECENT_WEEKS + LOOKBACK_WEEKS) * WEEK
    recent = history.rows[history.rows["as_of"].between(since, history.until, inclusive="left")]
    recent = before_target(recent, history.stage_changes, history.target, as_of=history.as_of)
    cycles = np.sort(recent["cycle_id"].unique())
    share = min(1.0, PANEL_ROWS / max(len(recent), 1))
    kept = np.random.default_rng(seed).permutation(len(cycles))[: int(np.ceil(share * len(cycles)))]
    chosen = recent[recent["cycle_id"].isin(set(cycles[kept]))]
    blank = chosen.assign(label=0.0, weight=1.0, matured_at=matured_at(chosen["as_of"].to_numpy(), history.target))
    return _matrix(history, blank, declarations), len(cycles) / max(len(kept), 1)


def newest_rows(history: History, declarations: Sequence[Declaration], *, share: float) -> Matrix:
    """In row time: the newest `share` of the rows, to choose a policy by share."""
    rows = history.rows.iloc[int(len(history.rows) * (1 - share)) :]
    blank = rows.assign(label=0.0, weight=1.0, matured_at=matured_at(rows["as_of"].to_numpy(), history.target))
    return _matrix(history, blank, declarations)


def mean_amount(history: History) -> float | None:
    """Mean amount of the won deals known at `as_of`; None where none is recorded or the target is another stage."""
    if history.target.stage != "won":
        return None
    changes = history.stage_changes
    won = changes[(changes["stage"] == "won") & (changes["recorded_at"] < history.as_of) & ~changes["followed"]]
    amounts = won["amount"].dropna()
    return float(amounts.mean()) if len(amounts) else None


def feature_columns(found: pd.DataFrame, declarations: Sequence[Declaration]) -> dict[str, np.ndarray]:
    """The columns of a feature table as a bundle scores them: float64 with NaN, or text and None."""
    return {d.name: _values(found[d.name], d) for d in declarations}


def labelled_matrix(history: History, rows: pd.DataFrame, declarations: Sequence[Declaration]) -> Matrix:
    """Features of any rows: ROW_COLUMNS with label, weight, matured_at and creation."""
    return _matrix(history, rows, declarations)


def _matrix(history: History, rows: pd.DataFrame, declarations: Sequence[Declaration]) -> Matrix:
    asked = ibis.memtable(rows[list(ROW_COLUMNS)])
    tables = history.snapshot.tables(history.connection)
    found = feature_values(history.connection, tables, asked, declarations, history.snapshot.company).to_pandas()
    whole = rows.merge(found, on=list(ROW_COLUMNS), how="left", validate="one_to_one")
    return Matrix(
        declarations=tuple(declarations),
        columns=tuple(_values(whole[d.name], d) for d in declarations),
        label=whole["label"].to_numpy(dtype=np.float64),
        weight=whole["weight"].to_numpy(dtype=np.float64),
        cycle_start=whole["cycle_start"].to_numpy(dtype=np.int64),
        as_of=whole["as_of"].to_numpy(dtype=np.int64),
        matured_at=whole["matured_at"].to_numpy(dtype=np.int64),
        group=history.groups.reindex(whole["lead_id"]).to_numpy(dtype=np.int64),
        cycle=pd.factorize(whole["cycle_id"])[0],
        creation=whole["creation"].to_numpy(dtype=bool),
        days=_days_to_outcome(history, whole),
        amount=_amounts(history, whole),
    )


def _days_to_outcome(history: History, rows: pd.DataFrame) -> np.ndarray:
    if "reached_at" not in rows or history.snapshot.company.time == "row":
        return np.full(len(rows), np.nan)
    reached = rows["reached_at"].to_numpy()
    return np.where(reached == NEVER, np.nan, (reached - rows["as_of"].to_numpy()) / DAY)


def _amounts(history: History, rows: pd.DataFrame) -> np.ndarray:
    """Amounts above zero, as the newest record of the deal that a row's lead went on to win says it."""
    if "reached_at" not in rows or history.target.stage != "won":
        return np.full(len(rows), np.nan)
    changes = history.stage_changes
    won = changes[(changes["stage"] == "won") & (changes["recorded_at"] < history.as_of)]
    won = won.sort_values("recorded_at").drop_duplicates(["lead_id", "occurred_at"], keep="last")
    won = won[won["amount"] > 0]
    found = rows[["lead_id", "reached_at"]].merge(
        won[["lead_id", "occurred_at", "amount"]],
        left_on=["lead_id", "reached_at"],
        right_on=["lead_id", "occurred_at"],
        how="left",
        validate="many_to_one",
    )
    return found["amount"].to_numpy(dtype=np.float64, na_value=np.nan)


def _values(column: pd.Series, declaration: Declaration) -> np.ndarray:
    if not declaration.is_category:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isfinite(values), values, np.nan)
    texts = column.astype(object)
    return texts.where(texts.notna(), None).to_numpy(dtype=object)
