"""What `/metrics` says of the service besides BentoML's own figures. No label ever holds a lead's data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import Counter, Gauge, Histogram

from serving.answer import InForce
from serving.contract import TargetAnswer

LATENCY = Histogram(
    "leadscore_score_seconds",
    "Time to answer one score request, by how the lead was given.",
    ["given"],
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
)
SCORES = Counter(
    "leadscore_scores",
    "Answers given.",
    ["target", "status", "grade", "model_version", "policy_version"],
)
REJECTED = Counter("leadscore_rejected", "Requests refused, by error code.", ["code"])
SWAPS = Counter("leadscore_swaps", "Deployments taken into force.", ["target"])
SWAPS_REFUSED = Counter("leadscore_swaps_refused", "Deployments that could not be taken into force.", ["target"])
WAITING = Gauge("leadscore_ledger_waiting", "Answers waiting for the ledger.", multiprocess_mode="livesum")
IN_FORCE = Gauge(
    "leadscore_in_force",
    "1 for the model and policy in force.",
    ["target", "model_version", "policy_version", "bundle"],
    multiprocess_mode="livemax",
)

WHOLE, BY_ID = LATENCY.labels("whole"), LATENCY.labels("by_id")


class AnswerCounts:
    """Counters of answers, each looked up once."""

    def __init__(self) -> None:
        self._children: dict[tuple[str, ...], Counter] = {}

    def count(self, answers: Iterable[TargetAnswer]) -> None:
        for a in answers:
            key = (a.target, a.status, a.grade or "", a.model_version, a.policy_version)
            child = self._children.get(key)
            if child is None:
                child = self._children[key] = SCORES.labels(*key)
            child.inc()


class InForceGauge:
    """Keeps `leadscore_in_force` at 1 for what is in force and at 0 for what was."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[str, ...]] = {}

    def show(self, current: Mapping[str, InForce]) -> None:
        for target, force in current.items():
            now = force.deployment
            labels = (target, now.model_version, now.policy_id, force.bundle.hash[:12])
            before = self._shown.get(target)
            if before == labels:
                continue
            if before:
                IN_FORCE.labels(*before).set(0)
            IN_FORCE.labels(*labels).set(1)
            SWAPS.labels(target).inc()
            self._shown[target] = labels
