"""Writes a simulated company: one file a table, a mapping that imports them, the truth in a folder apart.

DIR/<table>.csv|.parquet   times as ISO 8601 text in UTC
DIR/mapping.toml           for `leadscore import`
DIR/summary.json           what was simulated; `end` is the as-of time of a demo
DIR/truth/                 true probabilities of sampled rows; nothing of it may be imported
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.errors import UsageError
from data.simulator.block_tables import BlockTables, SampledRows, tables_of_block
from data.simulator.history import SampleShares, block_sizes
from data.simulator.lead_records import campaign_costs
from data.simulator.population import generator
from data.simulator.truth import TARGETS, States, oracle, true_probabilities, truth_table
from data.simulator.world import World
from data.times import DAY, HOUR, parse_instant, render_instant

Progress = Callable[[str, int, int], None]
"""Told (what, done, of how many)."""
FORMATS = ("csv", "parquet")
BLOCKS_FOR_PROCESSES = 3
"""Fewer blocks than this are simulated in this process: starting others takes longer."""
MAPPING = Path(__file__).parents[1] / "sources" / "mappings" / "simulator.toml"


@dataclass(frozen=True)
class SimulationSummary:
    """What was written."""

    out: Path
    leads: int
    seed: int
    format: str
    end: str
    """ISO instant up to which history goes: the as-of time to train and score at."""
    rows: dict[str, int]
    """By table."""
    wins: int
    oracle: dict[str, dict[str, float]] = field(default_factory=dict)
    """By target: base rate, expected AUC and log loss of the truth on its creation and grid rows."""


def simulate_to(
    out: Path,
    *,
    leads: int,
    seed: int,
    format: str = "csv",  # noqa: A002 - the option is called so
    continuations: int = 1_000,
    truth_rows: int = 1_200,
    end: str = "",
    world: World | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
) -> SimulationSummary:
    """Simulate `leads` leads and write them to the folder `out`; the same arguments write the same bytes.

    History ends at `end`, a midnight in Japan (default: the world's own).
    `truth_rows` states (half on a weekly grid, a quarter each right after the
    creation and open at the end) get their true probabilities, each from
    `continuations` continuations. Raises UsageError on a nonsensical request.
    """
    _check(leads, seed, format)
    world = world or World()
    world = _ending(world, end) if end else world
    tell = progress or (lambda what, done, of: None)
    out.mkdir(parents=True, exist_ok=True)
    counts, samples = _write_history(out, world, leads, seed, format, _shares(leads, truth_rows), processes, tell)
    wins = counts.pop("won")
    rows = _chosen(samples, truth_rows, seed)
    facts = _write_truth(out / "truth", world, rows, seed, continuations, tell)
    shutil.copyfile(MAPPING, out / "mapping.toml") if format == "csv" else _parquet_mapping(out)
    summary = SimulationSummary(out, leads, seed, format, world.end, counts, wins, facts)
    _write_json(out / "summary.json", {**asdict(summary), "out": None, "oracle": None})
    return summary


def _check(leads: int, seed: int, ending: str) -> None:
    if not 1 <= leads <= 9_990_000:
        raise UsageError("--leads", leads, expected="a number from 1 to 9,990,000")
    if seed < 0:
        raise UsageError("--seed", seed, expected="a number from 0")
    if ending not in FORMATS:
        raise UsageError("--format", repr(ending), expected=" or ".join(FORMATS))


def _ending(world: World, end: str) -> World:
    if (parse_instant(end, "Asia/Tokyo") + 9 * HOUR) % DAY:
        raise UsageError("--end", end, expected="a midnight in Japan, such as 2026-10-01T00:00+09:00")
    return replace(world, end=render_instant(parse_instant(end, "Asia/Tokyo"), "Asia/Tokyo"))


def _shares(leads: int, truth_rows: int) -> SampleShares:
    """About twice the states wanted, so that the exact number can be chosen from them."""
    expected = {"monday": 11.0 * leads, "created": 1.0 * leads, "at_end": 0.1 * leads}
    wanted = {"monday": truth_rows, "created": truth_rows / 2, "at_end": truth_rows / 2}
    return SampleShares(**{name: min(1.0, wanted[name] / expected[name]) for name in expected})


def _write_history(
    out: Path,
    world: World,
    leads: int,
    seed: int,
    ending: str,
    shares: SampleShares,
    processes: int | None,
    tell: Progress,
) -> tuple[dict[str, int], list[SampledRows]]:
    writers = _Writers(out, ending)
    samples = []
    done, won = 0, 0
    for block in _blocks(world, leads, seed, shares, processes):
        for name, rows in block.tables.items():
            writers.write(name, rows)
        samples.append(block.sampled)
        done, won = done + block.leads, won + block.wins
        tell("leads", done, leads)
    writers.write("campaign_costs", campaign_costs(world, leads, seed))
    return {**writers.close(), "won": won}, samples


def _blocks(world: World, leads: int, seed: int, shares: SampleShares, processes: int | None) -> Iterator[BlockTables]:
    """The blocks in order, made in as many processes as there are processors; few are held at once."""
    sizes = block_sizes(leads)
    workers = processes or min(os.cpu_count() or 1, len(sizes))
    if workers == 1 or len(sizes) < BLOCKS_FOR_PROCESSES:
        for block, count in enumerate(sizes):
            yield tables_of_block(world, seed, block, count, shares)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: deque[Future[BlockTables]] = deque()
        for block, count in enumerate(sizes):
            waiting.append(pool.submit(tables_of_block, world, seed, block, count, shares))
            if len(waiting) > workers + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Writers:
    """One open file a table, appended to block by block."""

    def __init__(self, out: Path, ending: str) -> None:
        self.out, self.ending = out, ending
        self.counts: dict[str, int] = {}
        self.text: dict[str, io.BufferedWriter] = {}
        self.columns: dict[str, pq.ParquetWriter] = {}

    def write(self, name: str, rows: pa.Table) -> None:
        if self.ending == "csv":
            self._write_text(name, rows)
        else:
            if name not in self.columns:
                self.columns[name] = pq.ParquetWriter(self._path(name), rows.schema, compression="snappy")
            self.columns[name].write_table(rows)
        self.counts[name] = self.counts.get(name, 0) + rows.num_rows

    def _write_text(self, name: str, rows: pa.Table) -> None:
        first = name not in self.text
        if first:
            self.text[name] = self._path(name).open("wb")
        pyarrow.csv.write_csv(rows, self.text[name], pyarrow.csv.WriteOptions(include_header=first))

    def _path(self, name: str) -> Path:
        return self.out / f"{name}.{self.ending}"

    def close(self) -> dict[str, int]:
        for file in (*self.text.values(), *self.columns.values()):
            file.close()
        return dict(sorted(self.counts.items()))


def _parquet_mapping(out: Path) -> None:
    text = MAPPING.read_text(encoding="utf-8").replace('.csv"', '.parquet"')
    (out / "mapping.toml").write_text(text, encoding="utf-8")


def _chosen(samples: list[SampledRows], truth_rows: int, seed: int) -> SampledRows:
    """The wanted number of each sort of row, chosen at random from all blocks."""
    rows = SampledRows.joined(samples)
    rng = generator(seed, 0, 900)
    wanted = {"grid": truth_rows - 2 * (truth_rows // 4), "creation": truth_rows // 4, "end": truth_rows // 4}
    kept = []
    for sort, number in wanted.items():
        places = np.flatnonzero(np.array(rows.sort) == sort)
        kept.append(np.sort(rng.permutation(places)[:number]))
    return rows.take(np.concatenate(kept))


def _write_truth(
    folder: Path, world: World, rows: SampledRows, seed: int, continuations: int, tell: Progress
) -> dict[str, dict[str, float]]:
    folder.mkdir(exist_ok=True)
    states = States(rows.lanes, rows.first_day, rows.second)
    found = true_probabilities(
        world,
        states,
        continuations=continuations,
        seed=seed,
        progress=lambda done: tell("truth", done, len(states)),
    )
    table = truth_table(rows.lead_id, rows.cycle_id, rows.sort, states.as_of(world), found, rows.outcomes)
    pq.write_table(table, folder / "truth.parquet")
    sort = np.array(rows.sort)
    facts = _facts(found, np.isin(sort, ("creation", "grid")), continuations)
    by_sort = {name: _facts(found, sort == name, continuations) for name in ("creation", "grid", "end")}
    horizons = {t.name: f"{t.days}d" for t in TARGETS}
    _write_json(
        folder / "summary.json",
        {"continuations": continuations, "horizons": horizons, "creation_and_grid": facts, **by_sort},
    )
    return facts


def _facts(
    found: dict[str, NDArray[np.float64]], chosen: NDArray[np.bool_], continuations: int
) -> dict[str, dict[str, float]]:
    """Oracle figures by target over the chosen rows; none where there are no rows."""
    with_rows = {name: p[chosen] for name, p in found.items() if np.isfinite(p[chosen]).any()}
    return {name: oracle(p, continuations) for name, p in with_rows.items()}


def _write_json(path: Path, content: dict[str, object]) -> None:
    text = json.dumps({k: v for k, v in content.items() if v is not None}, ensure_ascii=False, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
