"""Which model is in force: promotion through the gate and rollback, each one deployment row, mirrored to the registry.

A version is promoted where its bundle verifies in a throwaway process and the
gate (`training.gate`) does not refuse it. What nobody looks at (`automatic`)
is promoted only where nothing is frozen and every comparison was decided.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from data.errors import ModelRefused, NotFound
from data.home import Home
from data.store.deployments import Deployment
from data.store.freezing import frozen
from data.store.operational import Store
from data.store.permitted import permitted
from data.store.plain import HistorySource, chosen_history
from data.store.snapshots import Snapshot, open_snapshot
from training.bundle import Bundle
from training.gate import Comparison, Gate, undecided
from training.opponents import Contender, contender, held_against, judged_slice, promoted_before, recorded_gate
from training.policy import Policy
from training.registry import Registry, Version
from training.regrading import Regraded, regraded
from training.verify import verify_bundle

KIND = "promotion"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Weighed:
    """What is known of a challenger before it is promoted."""

    gate: Gate
    regraded: Regraded | None
    """None where there is no champion yet, or the history cannot be read."""


@dataclass(frozen=True)
class Promoted:
    deployment: Deployment
    weighed: Weighed


def weigh(
    store: Store,
    home: Home,
    version: Version,
    *,
    now: int,
    history: HistorySource | None = None,
    say: Say = lambda _: None,
) -> Weighed:
    """Verifies the bundle, holds it against everything promoted before, and tells whose grade would change.

    Raises NotFound, ModelRefused where the bundle does not verify.
    """
    say("verifying the bundle in a throwaway process")
    verify_bundle(home.bundles / version.bundle_hash)
    bundle = Bundle.load(home.bundles / version.bundle_hash)
    gate = recorded_gate(bundle)
    stack = promotions_in_force(store.deployments(version.target))
    if not stack or (len(stack) == 1 and stack[0].bundle_hash == bundle.hash):
        return Weighed(gate, None)
    say("reading the history")
    snapshot = _history(store, home, bundle, history, now)
    say("holding it against what was promoted before")
    comparisons = _comparisons(home, snapshot, bundle, stack, say)
    gate = replace(gate, comparisons=(*comparisons, *gate.comparisons))
    say("grades of the open leads")
    champion = store.deployment(version.target)
    assert champion is not None
    old, new = (Policy.from_json(store.policy(p)) for p in (champion.policy_id, version.tags["policy_id"]))
    pair = (Bundle.load(home.bundles / champion.bundle_hash), old), (bundle, new)
    return Weighed(gate, regraded(snapshot, *pair, as_of=now, home=home))


def promote(
    store: Store,
    home: Home,
    registry: Registry,
    version: Version,
    *,
    by: str,
    why: str,
    now: int,
    force: bool = False,
    automatic: bool = False,
    history: HistorySource | None = None,
    weighed: Weighed | None = None,
    say: Say = lambda _: None,
) -> Promoted:
    """Makes a version the champion of its target, model and policy in one row; keeps what the gate found as a run.

    Raises ModelRefused where the bundle does not verify, and, unless `force`,
    where the gate refuses, where it is unproven while a proven champion is in
    force, and, when `automatic`, while frozen or where the gate decided nothing.
    """
    found = weighed or weigh(store, home, version, now=now, history=history, say=say)
    if automatic:
        _refuse_unattended(store, version, found)
    if not force:
        _refuse_step_back(store, home, version)
        _refuse_lost(version, found.gate)
    deployment = store.deploy(
        Deployment(
            deployment_id=0,
            target=version.target,
            role="champion",
            bundle_hash=version.bundle_hash,
            model_version=version.number,
            policy_id=version.tags["policy_id"],
            action="force" if force else "promote",
            occurred_at=now,
            by=by,
            why=why,
        )
    )
    _keep(store, deployment, found, now)
    registry.mirror(version.target, "champion", version.number)
    return Promoted(deployment, found)


def promote_first(store: Store, home: Home, registry: Registry, version: Version, *, by: str, now: int) -> Promoted:
    """The first model of its target, also where the gate refuses it: then recorded as forced, with the figures.

    Without it there would be no answer at all, and nothing in use gets worse.
    """
    weighed = weigh(store, home, version, now=now)
    why, lost = "first model of its target", weighed.gate.refuses
    if lost:
        why += f", although the gate found {weighed.gate.reasons()}"
    return promote(store, home, registry, version, by=by, why=why, now=now, force=lost, weighed=weighed)


def rollback(store: Store, home: Home, registry: Registry, target: str, *, by: str, why: str, now: int) -> Deployment:
    """Takes the newest promotion or retune back: model and policy as they were before it.

    Raises NotFound where there was none, ModelRefused where its bundle no longer verifies.
    """
    earlier = previous_champion(store.deployments(target), target)
    verify_bundle(home.bundles / earlier.bundle_hash)
    deployment = store.deploy(
        Deployment(
            deployment_id=0,
            target=target,
            role="champion",
            bundle_hash=earlier.bundle_hash,
            model_version=earlier.model_version,
            policy_id=earlier.policy_id,
            action="rollback",
            occurred_at=now,
            by=by,
            why=why,
        )
    )
    registry.mirror(target, "champion", earlier.model_version)
    return deployment


def previous_champion(deployments: list[Deployment], target: str) -> Deployment:
    """The model and policy that a rollback returns to.

    Rollbacks are undone from the list first, so that a second one goes a step
    further back instead of returning to what the first one left.
    """
    stack = promotions_in_force(deployments)
    if len(stack) < 2:
        raise NotFound(
            f"an earlier champion for {target}",
            expected="a promotion or retune before the present one",
            remedy="see `leadscore models`",
        )
    return stack[-2]


def promotions_in_force(deployments: list[Deployment]) -> list[Deployment]:
    """What was put in force and not taken back, oldest first; the last one is in force."""
    stack: list[Deployment] = []
    for deployment in sorted((d for d in deployments if d.role == "champion"), key=lambda d: d.deployment_id):
        if deployment.action == "rollback":
            while stack and _in_force(stack[-1]) != _in_force(deployment):
                stack.pop()
        elif not stack or _in_force(stack[-1]) != _in_force(deployment):
            stack.append(deployment)
    return stack


def _in_force(deployment: Deployment) -> tuple[str, str]:
    return deployment.bundle_hash, deployment.policy_id


def _history(store: Store, home: Home, bundle: Bundle, history: HistorySource | None, now: int) -> Snapshot:
    """The newest history: the folder named, the store's, or where that was never filled what the bundle was taught."""
    kept = home.snapshots / str(bundle.manifest["snapshot"])
    if history is None and store.company() is None and (kept / "manifest.json").exists():
        return permitted(store, home, open_snapshot(kept))
    return chosen_history(store, home, history, now=now)


def _comparisons(home: Home, snapshot: Snapshot, bundle: Bundle, stack: list[Deployment], say: Say) -> list[Comparison]:
    if not bundle.proven:
        return []
    challenger = contender(home, "the challenger", bundle.hash)
    found: list[Comparison] = []
    opponents: list[Contender] = []
    for name, bundle_hash in promoted_before(stack, bundle.hash):
        try:
            opponents.append(contender(home, name, bundle_hash))
        except (NotFound, ModelRefused) as error:
            found.append(undecided(name, f"its bundle cannot be read: {error}"))
    slice_ = judged_slice(snapshot, challenger, opponents[0], home) if opponents else None
    for opponent in opponents:
        say(f"holding it against {opponent.name}")
        if slice_ is None:
            found.append(undecided(opponent.name, "no slice was kept at training that neither had learned from"))
        else:
            found.append(held_against(slice_, challenger, opponent))
    return found


def _keep(store: Store, deployment: Deployment, found: Weighed, now: int) -> None:
    document = {
        "deployment_id": deployment.deployment_id,
        "target": deployment.target,
        "model_version": deployment.model_version,
        "action": deployment.action,
        "by": deployment.by,
        "why": deployment.why,
        "gate": found.gate.to_dict(),
        "regraded": found.regraded.to_dict() if found.regraded else None,
    }
    store.record_run(KIND, json.dumps(document, ensure_ascii=False, sort_keys=True), now=now)


def _refuse_unattended(store: Store, version: Version, found: Weighed) -> None:
    freeze = frozen(store)
    if freeze is not None:
        raise ModelRefused(
            f"automatic promotion of version {version.number} for {version.target}",
            freeze.text(),
            expected="no freeze",
            remedy=f"promote it by hand (`leadscore promote {version.number}`), or `leadscore freeze --off --why TEXT`",
        )
    if found.regraded is not None and not found.gate.decided:
        open_questions = "; ".join(f"{c.opponent}: {c.note}" for c in found.gate.comparisons if c.note)
        raise ModelRefused(
            f"automatic promotion of version {version.number} for {version.target}",
            f"comparisons that decide nothing ({open_questions or 'none was made'})",
            expected="outcomes enough to decide",
            remedy=f"look at it and promote it by hand: `leadscore promote {version.number}`",
        )


def _refuse_lost(version: Version, gate: Gate) -> None:
    if gate.refuses:
        raise ModelRefused(
            f"version {version.number} for {version.target}",
            gate.reasons(),
            expected="no loss beyond the tolerance to anything promoted so far, to the refitted prior and logistic",
            remedy="train again when more outcomes are known, or promote with --force --why TEXT; nothing was changed",
        )


def _refuse_step_back(store: Store, home: Home, version: Version) -> None:
    champion = store.deployment(version.target)
    if champion is None or version.tags.get("proven") == "true":
        return
    if Bundle.load(home.bundles / champion.bundle_hash).proven:
        raise ModelRefused(
            f"version {version.number} for {version.target}",
            "an unproven points scorer",
            expected=f"a proven model, as the champion (version {champion.model_version}) is",
            remedy="train with more outcomes, or promote with --force --why",
        )
