"""One small simulated company, written once and read by many tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from data.simulator.block_tables import SampledRows, tables_of_block
from data.simulator.history import SampleShares
from data.simulator.world import World
from data.simulator.write import SimulationSummary, simulate_to

TIMES = ("occurred_at", "recorded_at")


@dataclass(frozen=True)
class Written:
    folder: Path
    summary: SimulationSummary
    tables: dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Sampled:
    """A block with the states that were sampled from it, tables as frames with times as instants."""

    tables: dict[str, pd.DataFrame]
    rows: SampledRows


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("simulated")
    summary = simulate_to(folder, leads=2_500, seed=5, continuations=40, truth_rows=200)
    tables = {path.stem: pd.read_csv(path, dtype={"text": str}) for path in folder.glob("*.csv")}
    return Written(folder, summary, {name: _timed(table) for name, table in tables.items()})


@pytest.fixture(scope="session")
def sampled() -> Sampled:
    block = tables_of_block(World(), 21, 0, 4_000, SampleShares(monday=0.02, created=0.05, at_end=0.3))
    return Sampled({name: _timed(table.to_pandas()) for name, table in block.tables.items()}, block.sampled)


def _timed(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{column: pd.to_datetime(table[column], utc=True) for column in TIMES if column in table})
