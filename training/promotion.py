"""Which model is in force: promotion and rollback, each one deployment row, mirrored to the registry.

The gate here is thin: a bundle must verify (hashes, schema, golden rows in a
throwaway process) and have a policy. It does not yet compare with the
champion on fresh outcomes; the printed words say so.
"""

from __future__ import annotations

from data.errors import ModelRefused, NotFound
from data.home import Home
from data.store.deployments import Deployment
from data.store.operational import Store
from training.registry import Registry, Version
from training.verify import verify_bundle


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
) -> Deployment:
    """Makes a version the champion of its target, model and policy in one row.

    Raises ModelRefused where the bundle does not verify, and, unless `force`,
    where it is unproven while a proven champion is in force.
    """
    verify_bundle(home.bundles / version.bundle_hash)
    if not force:
        _refuse_step_back(store, registry, version)
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
    registry.mirror(version.target, "champion", version.number)
    return deployment


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
    stack: list[Deployment] = []
    for deployment in sorted((d for d in deployments if d.role == "champion"), key=lambda d: d.deployment_id):
        if deployment.action == "rollback":
            while stack and _in_force(stack[-1]) != _in_force(deployment):
                stack.pop()
        elif not stack or _in_force(stack[-1]) != _in_force(deployment):
            stack.append(deployment)
    if len(stack) < 2:
        raise NotFound(
            f"an earlier champion for {target}",
            expected="a promotion or retune before the present one",
            remedy="see `leadscore models`",
        )
    return stack[-2]


def _in_force(deployment: Deployment) -> tuple[str, str]:
    return deployment.bundle_hash, deployment.policy_id


def _refuse_step_back(store: Store, registry: Registry, version: Version) -> None:
    champion = store.deployment(version.target)
    if champion is None or version.tags.get("proven") == "true":
        return
    present = registry.version(version.target, champion.model_version)
    if present.tags.get("proven") == "true":
        raise ModelRefused(
            f"version {version.number} for {version.target}",
            "an unproven points scorer",
            expected=f"a proven model, as the champion (version {present.number}) is",
            remedy="train with more outcomes, or promote with --force --why",
        )
