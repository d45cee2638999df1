"""Where the bench of quality gets its rows: simulated companies with known truth, real files of a folder given.

Everything goes the way a company's data go: mapping, store, snapshot, as-of
rows, the default catalogue of features.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from data.home import Home
from data.simulator.write import simulate_to
from data.sources.importing import import_mapping
from data.sources.mapping import read_mapping
from data.store.operational import Store
from data.store.snapshots import Snapshot, take_snapshot
from data.times import parse_instant
from features.catalogue import declarations as catalogue
from training.matrix import Matrix
from training.rows import History, labelled_matrix, read_history, training_matrix

TARGET = "won"
MAPPINGS = Path(__file__).parents[1] / "data" / "sources" / "mappings"
FOLDERS = {
    "bank": "bank_marketing",
    "olist": "olist_funnel",
    "shoppers": "online_shoppers",
    "salvirt": "salvirt_b2b",
}
"""By mapping: the folder of the real files it reads."""
NOW = parse_instant("2026-11-01T00:00:00+00:00", "UTC")
"""When the bench imports: after all that happened in any of its histories."""


class Sources:
    """Histories and matrices, each made once; homes are kept in `place`."""

    def __init__(self, place: Path, datasets: Path | None, *, tell: Callable[[str], None] = lambda _: None) -> None:
        self.place, self.datasets, self.tell = place, datasets, tell
        self._snapshots: dict[str, Snapshot] = {}
        self._matrices: dict[str, Matrix] = {}

    def has(self, name: str) -> bool:
        """Whether the real files of a mapping are there."""
        return self.datasets is not None and (self.datasets / FOLDERS[name]).is_dir()

    def real(self, name: str) -> Matrix:
        """All matured rows of a real set."""
        return self._made(name, lambda: _trainable(self.real_history(name, None)))

    def real_history(self, name: str, as_of: str | None) -> History:
        """As known at `as_of` (as the company writes instants); None: all that is in the files."""
        if name not in self._snapshots:
            self.tell(f"importing {name}")
            assert self.datasets is not None
            mapping = read_mapping(MAPPINGS / f"{name}.toml", self.datasets / FOLDERS[name])
            self._snapshots[name] = _imported(Home.at(self.place / name), mapping)
        snapshot = self._snapshots[name]
        return read_history(
            snapshot, snapshot.company.target(TARGET), as_of=snapshot.company.instant(as_of) if as_of else NOW
        )

    def simulated(self, leads: int, seed: int) -> Matrix:
        """All matured rows of a simulated company."""
        return self._made(f"simulated {leads} {seed}", lambda: _trainable(self._company(leads, seed, 8)[0]))

    def truth(self, leads: int, seed: int, rows: int) -> Matrix:
        """Rows of a simulated company at creations and on Mondays; `label` is the true probability."""

        def made() -> Matrix:
            history, folder = self._company(leads, seed, rows)
            return _truth_matrix(history, folder)

        return self._made(f"truth {leads} {seed} {rows}", made)

    def _company(self, leads: int, seed: int, truth_rows: int) -> tuple[History, Path]:
        name = f"simulated-{leads}-{seed}-{truth_rows}"
        folder = self.place / name
        if name not in self._snapshots:
            self.tell(f"simulating {leads:,} leads, seed {seed}")
            simulate_to(folder, leads=leads, seed=seed, format="parquet", truth_rows=truth_rows, processes=1)
            self.tell(f"importing {leads:,} simulated leads")
            self._snapshots[name] = _imported(Home.at(folder / "home"), read_mapping(folder / "mapping.toml"))
        end = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["end"]
        snapshot = self._snapshots[name]
        as_of = parse_instant(end, "Asia/Tokyo")
        return read_history(snapshot, snapshot.company.target(TARGET), as_of=as_of), folder

    def _made(self, name: str, make: Callable[[], Matrix]) -> Matrix:
        if name not in self._matrices:
            self.tell(f"features of {name}")
            self._matrices[name] = make()
        return self._matrices[name]


def at_creation(history: History, *, begins: int, ends: int) -> Matrix:
    """The rows right after their cycle began, of cycles that started in [begins, ends), each weighing 1."""
    rows = history.labelled.rows
    rows = rows[rows["creation"] & rows["cycle_start"].between(begins, ends, inclusive="left")]
    return labelled_matrix(history, rows.assign(weight=1.0), catalogue(history.snapshot.company))


def trainable(history: History) -> Matrix:
    """What `leadscore train` would learn from."""
    return _trainable(history)


def _trainable(history: History) -> Matrix:
    return training_matrix(history, catalogue(history.snapshot.company), seed=0)


def _imported(home: Home, mapping: object) -> Snapshot:
    with Store.open(home) as store:
        import_mapping(mapping, store, home, now=NOW)  # type: ignore[arg-type]
        return take_snapshot(store, home, now=NOW)


def _truth_matrix(history: History, folder: Path) -> Matrix:
    truth: pd.DataFrame = pq.read_table(folder / "truth" / "truth.parquet").to_pandas()
    truth = truth[(truth["target"] == TARGET) & truth["row"].isin(("creation", "grid"))]
    keys = ["lead_id", "cycle_id", "as_of"]
    rows = history.rows.merge(truth[[*keys, "probability"]], on=keys, validate="one_to_one")
    rows = rows.assign(label=0.0, weight=1.0, matured_at=rows["as_of"])
    matrix = labelled_matrix(history, rows, catalogue(history.snapshot.company))
    return replace(matrix, label=rows["probability"].to_numpy(dtype=np.float64))
