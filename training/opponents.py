"""Who a challenger is held against, on which rows, and which model stands for whom: the I/O around training.gate.

A model must not be judged on leads it has learned from. So a bundle itself is
asked only about rows whose outcome was not known when it was trained; where
those decide nothing, its twin is asked, which was trained without the newest
slice of its time and is kept beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data.home import Home
from data.store.deployments import Deployment
from data.store.snapshots import Snapshot
from training.bundle import Bundle
from training.gate import Agreement, Comparison, Gate, Judged, compared, undecided
from training.matrix import Matrix
from training.rows import History, cohort, read_history

MOST_ROWS = 16_000
"""Rows of the slice that are looked at, by whole cycles."""


@dataclass(frozen=True)
class Contender:
    """A bundle and its twin; `name` is what people call it."""

    name: str
    bundle: Bundle
    twin: Bundle | None

    @property
    def slice_begins(self) -> int | None:
        gate = self.bundle.manifest.get("gate")
        return int(gate["begins"]) if gate else None


@dataclass
class Slice:
    """The cohort that both sides are judged on; features are worked out once a schema."""

    history: History
    begins: int
    ends: int
    seed: int = 0
    _by_schema: dict[str, Matrix] = field(default_factory=dict)

    def rows_for(self, bundle: Bundle) -> Matrix:
        key = str(bundle.manifest["schema_hash"])
        if key not in self._by_schema:
            self._by_schema[key] = cohort(
                self.history, bundle.declarations, begins=self.begins, ends=self.ends, most=MOST_ROWS, seed=self.seed
            )
        return self._by_schema[key]

    def margins(self, bundle: Bundle) -> np.ndarray:
        return np.asarray(bundle.scorer.margins(self.rows_for(bundle).columns, threads=2))


def contender(home: Home, name: str, bundle_hash: str) -> Contender:
    """Raises NotFound, ModelRefused where its folder is not there or not whole."""
    bundle = Bundle.load(home.bundles / bundle_hash)
    gate = bundle.manifest.get("gate")
    return Contender(name, bundle, Bundle.load(home.bundles / str(gate["twin"])) if gate else None)


def promoted_before(stack: Sequence[Deployment], challenger: str) -> list[tuple[str, str]]:
    """(name, bundle hash) of each bundle that was promoted and not taken back, the champion first.

    `stack` in the order of promotion; the challenger's own bundle is left out.
    """
    if not stack:
        return []
    champion, first = stack[-1], stack[0]
    names = {d.bundle_hash: f"an earlier champion (version {d.model_version})" for d in reversed(stack)}
    names[first.bundle_hash] = f"the first promoted (version {first.model_version})"
    names[champion.bundle_hash] = f"the champion (version {champion.model_version})"
    return [(name, bundle_hash) for bundle_hash, name in names.items() if bundle_hash != challenger]


def judged_slice(
    snapshot: Snapshot, challenger: Contender, champion: Contender, home: Home | None = None
) -> Slice | None:
    """The newer of the two slices that were kept from them; None where neither has one."""
    with_slice = [c for c in (challenger, champion) if c.slice_begins is not None]
    if not with_slice:
        return None
    chosen = max(with_slice, key=lambda c: c.slice_begins or 0).bundle
    history = read_history(snapshot, chosen.target_definition, as_of=chosen.as_of, home=home)
    gate = chosen.manifest["gate"]
    return Slice(history, int(gate["begins"]), int(gate["ends"]))


def held_against(slice_: Slice, challenger: Contender, opponent: Contender) -> Comparison:
    """One comparison on the rows that neither side has learned from."""
    if not opponent.bundle.proven:
        return undecided(opponent.name, "it gives no probability")
    rows = slice_.rows_for(challenger.bundle)
    judged = Judged(rows.label, rows.weight, rows.group)
    mine = _stand_in(challenger, slice_.begins, rows.matured_at, judged)
    other = _stand_in(opponent, slice_.begins, rows.matured_at, judged)
    if mine is None or other is None:
        late = challenger if mine is None else opponent
        return undecided(opponent.name, f"{late.name} has learned from these outcomes")
    fair = mine.rows & other.rows
    if not fair.any():
        return undecided(opponent.name, "no outcome is new to both")
    margin = [slice_.margins(side.bundle)[fair] for side in (mine, other)]
    return compared(opponent.name, other.how, margin[0], margin[1], judged.take(fair))


@dataclass(frozen=True)
class _StandIn:
    bundle: Bundle
    rows: np.ndarray
    how: str


def _stand_in(side: Contender, begins: int, matured_at: np.ndarray, judged: Judged) -> _StandIn | None:
    unseen = matured_at > side.bundle.as_of
    itself = _StandIn(side.bundle, unseen, "itself, on newer outcomes")
    if unseen.any() and judged.take(unseen).decides:
        return itself
    if side.twin is not None and side.slice_begins is not None and side.slice_begins <= begins:
        return _StandIn(side.twin, np.ones(len(unseen), dtype=bool), "its twin")
    return itself if unseen.any() else None


def recorded_gate(bundle: Bundle) -> Gate:
    """What the training run found against the refitted prior and logistic, and how far the refit moved."""
    raw: dict[str, Any] | None = bundle.manifest.get("gate")
    if raw is None:
        why = "it gives no probability" if not bundle.proven else "no slice was kept from it at training"
        return Gate((), None, (f"not compared with the prior and the logistic: {why}",))
    notes = () if raw["unchosen"] else ("with so little history, the choice among the rungs had seen the slice",)
    return Gate(tuple(Comparison(**c) for c in raw["references"]), Agreement(**raw["agreement"]), notes)
