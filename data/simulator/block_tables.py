"""One block from seed to tables: what one process does for another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.simulator.event_records import event_tables, step_names, step_times
from data.simulator.funnel import Lanes, joined
from data.simulator.history import BlockHistory, SampleShares, simulate_block
from data.simulator.lead_records import Clock, LeadTimes, Micros, lead_ids, lead_tables, lead_times
from data.simulator.population import BLOCK_LEADS
from data.simulator.truth import TARGETS, States, TruthTarget
from data.simulator.world import RECYCLED, WON, World
from data.times import DAY


@dataclass(frozen=True)
class SampledRows:
    """States sampled for the truth, with the ids by which others know them."""

    lanes: Lanes
    first_day: NDArray[np.int32]
    second: NDArray[np.int32]
    sort: list[str]
    """creation | grid | end"""
    lead_id: pa.Array
    cycle_id: pa.Array
    outcomes: dict[str, NDArray[np.float64]]
    """By target, 1 or 0; NaN where the window had not passed at the end."""

    @staticmethod
    def joined(parts: list[SampledRows]) -> SampledRows:
        return SampledRows(
            joined([p.lanes for p in parts]),
            np.concatenate([p.first_day for p in parts]),
            np.concatenate([p.second for p in parts]),
            [sort for p in parts for sort in p.sort],
            pa.concat_arrays([p.lead_id for p in parts]),
            pa.concat_arrays([p.cycle_id for p in parts]),
            {t.name: np.concatenate([p.outcomes[t.name] for p in parts]) for t in TARGETS},
        )

    def take(self, places: NDArray[np.intp]) -> SampledRows:
        return SampledRows(
            self.lanes.take(places),
            self.first_day[places],
            self.second[places],
            [self.sort[p] for p in places],
            self.lead_id.take(pa.array(places)),
            self.cycle_id.take(pa.array(places)),
            {name: values[places] for name, values in self.outcomes.items()},
        )


@dataclass(frozen=True)
class BlockTables:
    leads: int
    wins: int
    tables: dict[str, pa.Table]
    sampled: SampledRows


def tables_of_block(world: World, seed: int, block: int, count: int, shares: SampleShares) -> BlockTables:
    """All tables of one block but the campaign costs, in the order of `data/tables.py`."""
    history = simulate_block(world, seed, block, count, shares)
    clock = Clock(world.start_at)
    times = lead_times(history, clock, seed)
    occurred, recorded = step_times(history, clock, seed)
    tables = lead_tables(history, times, world, seed)
    tables |= event_tables(history, times, occurred, recorded, world, seed)
    wins = int((history.steps.to == WON).sum())
    return BlockTables(count, wins, tables, _sampled(history, times, occurred, world))


def _sampled(history: BlockHistory, times: LeadTimes, occurred: Micros, world: World) -> SampledRows:
    groups = {"creation": history.created, "grid": history.sampled, "end": history.at_end}
    lanes = joined(list(groups.values()))
    sort = [name for name, part in groups.items() for _ in range(len(part))]
    created = np.array([name == "creation" for name in sort], dtype=bool)
    second = np.where(created, history.leads.time[lanes.lead], 0).astype(np.int32)
    first_day = (lanes.day - created).astype(np.int32)
    as_of = States(lanes, first_day, second).as_of(world)
    outcomes = {t.name: _outcome(history, occurred, lanes, as_of, t, world) for t in TARGETS}
    return SampledRows(
        lanes, first_day, second, sort, lead_ids(history, lanes.lead), _cycle_ids(history, lanes), outcomes
    )


def _cycle_ids(history: BlockHistory, lanes: Lanes) -> pa.Array:
    """The lead's id for its first cycle, with the id of the recycling stage change for later ones."""
    lead = lead_ids(history, lanes.lead)
    number = lanes.lead + np.int64(history.block * BLOCK_LEADS + 1)
    before = np.maximum(lanes.cycle.astype(np.int64) - 1, 0)
    later = pc.binary_join_element_wise(lead, step_names(number, before, np.full(len(lanes), RECYCLED)), "~")
    return pc.if_else(pa.array(lanes.cycle > 0), later, lead)


def _outcome(
    history: BlockHistory, occurred: Micros, lanes: Lanes, as_of: Micros, target: TruthTarget, world: World
) -> NDArray[np.float64]:
    """Whether the cycle reached the target in [as_of, as_of + horizon)."""
    s = history.steps
    when = {
        (int(lead), int(cycle)): int(at)
        for lead, cycle, at in zip(
            s.lead[s.to == target.stage], s.cycle[s.to == target.stage], occurred[s.to == target.stage], strict=True
        )
    }
    closes = as_of + target.days * DAY
    at = np.array(
        [when.get((int(n), int(c)), -1) for n, c in zip(lanes.lead, lanes.cycle, strict=True)], dtype=np.int64
    )
    came = ((at >= as_of) & (at < closes)).astype(np.float64)
    return np.where(closes + world.late_outcome_days * DAY <= world.end_at, came, np.nan)
