"""Retuning: the threshold chosen anew on recent leads for what the policy aims at, written as one deployment row.

No outcome is needed. The same bundle stays in force with a new policy; the
row before stays in the store, so that `taken_back` can put its policy in force
again.
"""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from data.company import Company
from data.errors import DataRefused, NotFound, UsageError
from data.home import Home
from data.store.deployments import Deployment
from data.store.freezing import Freeze, frozen
from data.store.operational import Store
from data.store.snapshots import take_snapshot
from data.times import WEEK
from features.engine import local_engine
from monitoring.evidence import PROBABILITY
from monitoring.gathering import Progress, Watch, open_watch, target_name
from monitoring.operating import PANEL_ROWS, PANEL_SPAN, handovers_by_week, panel_crossings
from monitoring.population import Population, watched
from monitoring.run import latest_instant
from monitoring.window import DEFAULT_ROW_WINDOW, Window, window_at
from training.aims import Aim, priced
from training.choosing import Crossings, choose_policy, choose_share
from training.policy import Policy

KIND = "retune"
MOST_MOVE = 2.0
"""Factor by which a threshold's odds may move within a week, in either direction."""


@dataclass(frozen=True)
class Retuning:
    """A retune as asked for and as done; hand-overs are those of an average recent week."""

    target: str
    old: Policy
    new: Policy
    asked: float
    """The threshold that the aim alone would give, before the cap."""
    handovers_old: float | None
    handovers_new: float | None
    """None in row time, which has no weeks."""
    deployment: Deployment | None = None
    """The row written; None after a dry run or where nothing changes."""
    stopped_by: Freeze | None = None
    """The freeze that kept a scheduled retune from being applied."""

    @property
    def capped(self) -> bool:
        return self.asked != self.new.threshold

    @property
    def changes(self) -> bool:
        terms = ("threshold", "capacity_per_week", "call_cost", "deal_value", "precision")
        return any(getattr(self.new, term) != getattr(self.old, term) for term in terms)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"capped": self.capped, "policy_before": self.old.policy_id}


def retuned(
    home: Home,
    *,
    target: str | None,
    capacity: float | None,
    as_of: int | None,
    apply: bool,
    now: int,
    progress: Progress,
    aim: Aim | None = None,
    by_schedule: bool = False,
) -> Retuning:
    """Chooses the threshold anew; with `apply` puts it in force at `now` and keeps a row of the run.

    Without `aim` or `capacity` it aims at what the policy in force aims at.
    While frozen, nothing is applied `by_schedule`.

    Raises NotFound (no champion), DataRefused (no recent lead, clock backwards,
    another schema), UsageError.
    """
    if capacity is not None and not capacity > 0:
        raise UsageError(
            "--capacity", capacity, expected="a number above 0: leads a week; in row time, of each hundred"
        )
    with Store.open(home) as store:
        progress("snapshot of the history")
        snapshot = take_snapshot(store, home, now=now)
        watch = open_watch(home, store, snapshot, target_name(snapshot.company, target))
        at = as_of if as_of is not None else latest_instant(home, snapshot, now)
        window = window_at(None, as_of=at, trained_as_of=watch.bundle.as_of, company=snapshot.company)
        progress("recent leads, scored")
        anchor = threshold_a_week_ago(store.deployments(watch.bundle.target), store, watch.deployment, now)
        wanted = aim or (Aim(capacity=capacity) if capacity is not None else aim_in_force(watch.policy))
        wanted = priced(wanted, watch.policy.deal_value or watch.policy.mean_amount)
        retuning = _proposed(watch, window, wanted, anchor)
        freeze = frozen(store) if by_schedule and apply else None
        if freeze is not None:
            return replace(retuning, stopped_by=freeze)
        return _put_in_force(store, watch, retuning, now) if apply and retuning.changes else retuning


def aim_in_force(policy: Policy) -> Aim:
    """What the policy was chosen for; in row time a capacity is not kept, and the usual share stands in."""
    if policy.method == "profit":
        return Aim(call_cost=policy.call_cost, deal_value=policy.deal_value)
    return Aim(precision=policy.precision) if policy.method == "precision" else Aim(capacity=policy.capacity_per_week)


def _proposed(watch: Watch, window: Window, aim: Aim, anchor: float) -> Retuning:
    population = Population(watch.snapshot, local_engine(watch.home), window, watch.bundle.target_definition)
    if window.row_time:
        return _by_share(watch, population, window, aim, anchor)
    return _by_weeks(watch, population, window, aim, anchor)


def _by_weeks(watch: Watch, population: Population, window: Window, aim: Aim, anchor: float) -> Retuning:
    rows, share = population.panel(window.end - PANEL_SPAN, window.end, most=PANEL_ROWS)
    panel = watched(population, {"panel": rows}, watch.bundle)["panel"]
    found = panel_crossings(panel, until=window.end, share=share)
    if not len(found.probability):
        raise _nothing_recent(window, watch)
    chosen = choose_policy(
        found,
        target=watch.bundle.target,
        aim=aim if aim != Aim() else Aim(capacity=_usual_capacity(found)),
        mean_amount=watch.policy.mean_amount,
        as_of=window.end,
        proven=watch.bundle.proven,
    )
    chosen = _as_unsure(chosen, watch.policy)
    new = _at_threshold(chosen, capped(chosen.threshold, anchor), found)
    return Retuning(
        watch.bundle.target,
        watch.policy,
        replace(new, hysteresis=watch.policy.hysteresis),
        asked=chosen.threshold,
        handovers_old=_a_week(found, watch.policy.threshold),
        handovers_new=_a_week(found, new.threshold),
    )


def _by_share(watch: Watch, population: Population, window: Window, aim: Aim, anchor: float) -> Retuning:
    rows = watched(population, {"open": population.rows(window.instants())}, watch.bundle)["open"]
    if rows.empty:
        raise _nothing_recent(window, watch)
    chosen = choose_share(
        rows[PROBABILITY].to_numpy(dtype=float),
        target=watch.bundle.target,
        share=None if aim.capacity is None else min(aim.capacity / 100, 1.0),
        aim=aim,
        mean_amount=watch.policy.mean_amount,
        as_of=window.end,
        proven=watch.bundle.proven,
    )
    chosen = _as_unsure(chosen, watch.policy)
    threshold = capped(chosen.threshold, anchor)
    new = replace(chosen, threshold=threshold, cut_a=threshold, cut_b=min(chosen.cut_b, threshold))
    return Retuning(watch.bundle.target, watch.policy, new, chosen.threshold, None, None)


def _as_unsure(chosen: Policy, old: Policy) -> Policy:
    """Where probabilities decide, the interval of a policy of the same kind is kept, in odds: it needs outcomes."""
    if chosen.method not in ("profit", "precision") or chosen.method != old.method:
        return chosen
    moved = _odds(chosen.threshold) / _odds(old.threshold)
    ends = (moved * _odds(end) for end in (old.threshold_low, old.threshold_high))
    low, high = (odds / (1 + odds) for odds in ends)
    return replace(chosen, threshold_low=min(low, chosen.threshold), threshold_high=max(high, chosen.threshold))


def _nothing_recent(window: Window, watch: Watch) -> DataRefused:
    return DataRefused(
        f"retune {watch.bundle.target}",
        f"no lead in the recent weeks before {window.text(watch.snapshot.company.timezone)}",
        expected=f"recent leads ({DEFAULT_ROW_WINDOW} in data without dates)",
        remedy="import newer history, or give another --as-of; nothing was changed",
    )


def _usual_capacity(found: Crossings) -> float:
    from training.policies import default_capacity  # loads much, and a policy without a capacity is rare

    return default_capacity(found.before, found.scale)


def _a_week(found: Crossings, threshold: float) -> float:
    return float(handovers_by_week(found, threshold).mean() * found.scale)


def _at_threshold(chosen: Policy, threshold: float, found: Crossings) -> Policy:
    """The policy with another threshold; what follows from it is worked out anew."""
    if threshold == chosen.threshold:
        return chosen
    taken = (found.before < threshold) & (found.probability >= threshold)
    return replace(
        chosen,
        threshold=threshold,
        cut_a=threshold,
        cut_b=min(chosen.cut_b, threshold),
        cut_c=min(chosen.cut_c, chosen.cut_b, threshold),
        threshold_low=min(chosen.threshold_low, threshold),
        threshold_high=max(chosen.threshold_high, threshold),
        handovers_per_week=_a_week(found, threshold),
        expected_yield=float(found.probability[taken].mean()) if taken.any() else threshold,
    )


def capped(threshold: float, anchor: float) -> float:
    """The threshold, its odds kept within MOST_MOVE of the anchor's."""
    odds, middle = _odds(threshold), _odds(anchor)
    allowed = float(np.clip(odds, middle / MOST_MOVE, middle * MOST_MOVE))
    return threshold if allowed == odds else allowed / (1 + allowed)


def _odds(probability: float) -> float:
    inside = min(max(probability, 1e-9), 1 - 1e-9)
    return inside / (1 - inside)


def threshold_a_week_ago(history: list[Deployment], store: Store, current: Deployment, now: int) -> float:
    """The threshold in force a week before `now`, or the first one of the current bundle where that is younger.

    All moves within a week are held against it, so that many small ones do not
    add up to a large one.
    """
    champions = [row for row in history if row.role == "champion"]
    stretch: list[Deployment] = []
    for row in reversed(champions):
        if row.bundle_hash != current.bundle_hash:
            break
        stretch.append(row)
        if row.occurred_at <= now - WEEK:
            break
    return Policy.from_json(store.policy(stretch[-1].policy_id)).threshold


def _put_in_force(store: Store, watch: Watch, retuning: Retuning, now: int) -> Retuning:
    new = retuning.new
    store.save_policy(new.policy_id, new.target, new.to_json(), now=now)
    why = f"threshold {retuning.old.threshold:.4f} to {new.threshold:.4f}"
    why += f" for {new.capacity_per_week:g} a week" if new.capacity_per_week is not None else ""
    return _deployed(store, watch.deployment, retuning, why, now)


def _deployed(store: Store, present: Deployment, retuning: Retuning, why: str, now: int) -> Retuning:
    """One deployment row with the present bundle and the new policy, and the run that led to it."""
    policy_id = retuning.new.policy_id
    row = replace(present, deployment_id=0, policy_id=policy_id, action="retune", occurred_at=now, by=_who(), why=why)
    done = replace(retuning, deployment=store.deploy(row))
    store.record_run(KIND, json.dumps(done.to_dict(), ensure_ascii=False, sort_keys=True), now=now)
    return done


def taken_back(home: Home, *, target: str | None, now: int) -> Retuning:
    """Puts the policy before the last retune in force again, the same bundle with it, as one more row.

    Raises NotFound where what is in force was not put there by a retune.
    """
    with Store.open(home) as store:
        name = target_name(store.company() or Company(), target)
        rows = [row for row in store.deployments(name) if row.role == "champion"]
        if len(rows) < 2 or rows[-1].action != "retune":
            raise NotFound(
                f"retune of {name} to take back",
                f"a deployment by {rows[-1].action}" if rows else "no deployment",
                expected="a retune as the newest deployment",
                remedy="`leadscore rollback` returns to the model before",
            )
        old, new = (Policy.from_json(store.policy(row.policy_id)) for row in (rows[-1], rows[-2]))
        why = f"deployment {rows[-1].deployment_id} taken back"
        retuning = Retuning(name, old, new, new.threshold, old.handovers_per_week, new.handovers_per_week)
        return _deployed(store, rows[-1], retuning, why, now)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
