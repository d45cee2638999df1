"""The deployments in force, followed without a restart.

One thread looks at the store's deployment rows. A new row's bundle is
verified in a throwaway process, loaded, and swapped in whole; whatever goes
wrong, the deployment that was in force goes on answering.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from data.errors import LeadscoreError, NotFound, UsageError
from data.home import Home
from data.store.deployments import Deployment
from data.store.operational import Store
from serving.answer import InForce
from training.bundle import Bundle
from training.policy import Policy
from training.verify import verify_bundle

_log = logging.getLogger("leadscore.serving")


def load_deployment(store: Store, home: Home, deployment: Deployment, *, verified: Iterable[str] = ()) -> InForce:
    """The bundle and policy a deployment names, verified. Raises NotFound, ModelRefused, StoreUnavailable."""
    path = home.bundles / deployment.bundle_hash
    if deployment.bundle_hash not in verified:
        verify_bundle(path)
    return InForce.of(deployment, Bundle.load(path), Policy.from_json(store.policy(deployment.policy_id)))


def champions(store: Store, home: Home, wanted: Sequence[str] = ()) -> dict[str, InForce]:
    """The champion of every target, or of those wanted, the primary target's first.

    Raises NotFound when there is none, UsageError for a target without one.
    """
    newest = {target: store.deployment(target) for target in _targets(store)}
    there = {target: deployment for target, deployment in newest.items() if deployment}
    if not there:
        raise NotFound("champion", "no deployment", expected="a promoted model", remedy="run `leadscore train`")
    for target in wanted:
        if target not in there:
            raise UsageError("--target", repr(target), expected="one of: " + ", ".join(there))
    in_force = [deployment for target, deployment in there.items() if not wanted or target in wanted]
    with ThreadPoolExecutor(2) as pool:
        loaded = pool.map(lambda deployment: load_deployment(store, home, deployment), in_force)
        return {force.bundle.target: force for force in loaded}


PRIMARY = "won"
"""The target that is answered first where it is deployed."""


def _targets(store: Store) -> tuple[str, ...]:
    """The company's targets, the primary one first, the others as declared."""
    company = store.company()
    return tuple(sorted((t.name for t in company.targets), key=lambda name: name != PRIMARY)) if company else ()


class Champions:
    """`current` is the mapping target → what is in force; it is replaced whole, never changed."""

    def __init__(
        self,
        store: Store,
        home: Home,
        *,
        poll_seconds: float,
        retry_seconds: float,
        swapped: Callable[[Mapping[str, InForce]], None] = lambda current: None,
        refused: Callable[[str], None] = lambda target: None,
    ) -> None:
        self.current: Mapping[str, InForce] = {}
        self._store, self._home = store, home
        self._poll_seconds = poll_seconds
        self._polls_between_tries = max(1, round(retry_seconds / poll_seconds))
        self._swapped, self._refused = swapped, refused
        self._patience: dict[int, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champion", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()

    def refresh(self) -> bool:
        """Look once at the deployment rows; whether anything was swapped."""
        newest = (self._store.deployment(target) for target in _targets(self._store))
        new = [deployment for deployment in newest if deployment and self._is_due(deployment)]
        if not new:
            return False
        # Verifying is mostly waiting for another process: one for each core at a time.
        with ThreadPoolExecutor(2) as pool:
            taken = [force for force in pool.map(self._taken, new) if force]
        if taken:
            found = {**self.current, **{force.bundle.target: force for force in taken}}
            self.current = {target: found[target] for target in _targets(self._store) if target in found}
            _settle_memory()
            self._swapped(self.current)
        return bool(taken)

    def _is_due(self, deployment: Deployment) -> bool:
        """Whether a deployment is neither in force nor refused a short while ago."""
        before = self.current.get(deployment.target)
        if before and before.deployment == deployment:
            return False
        patience = self._patience.get(deployment.deployment_id, 0)
        self._patience[deployment.deployment_id] = max(0, patience - 1)
        return patience == 0

    def _taken(self, deployment: Deployment) -> InForce | None:
        before = self.current.get(deployment.target)
        try:
            force = load_deployment(
                self._store, self._home, deployment, verified=[before.bundle.hash] if before else []
            )
        except Exception as error:
            self._patience[deployment.deployment_id] = self._polls_between_tries
            self._refused(deployment.target)
            _log.error(
                "deployment %d of %s is refused (%s); %s",
                deployment.deployment_id,
                deployment.target,
                error if isinstance(error, LeadscoreError) else type(error).__name__,
                f"deployment {before.deployment.deployment_id} goes on" if before else "nothing is in force",
            )
            return None
        _log.info("deployment %d of %s is in force", deployment.deployment_id, deployment.target)
        return force

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self.refresh()
            except LeadscoreError as error:
                _log.warning("the deployments cannot be read: %s", error)
            except Exception as error:
                _log.error("the deployments cannot be followed: %s", type(error).__name__)
            self._ended.wait(self._poll_seconds)


def _settle_memory() -> None:
    """Take what a model keeps for good out of the garbage collector's sight: full collections stop every request."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
