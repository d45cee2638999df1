"""The registry of models: MLflow, and nothing else in the project imports it.

Tracking lives in `tracking/mlflow.db` (SQLite) of the home folder with the
artefacts beside it, or wherever MLFLOW_TRACKING_URI says. One experiment and
one registered model `leadscore-<target>` a target; a version's tags name its
bundle. Serving never asks it: a deployment names the bundle folder.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import NotFound, StoreUnavailable
from data.home import Home
from training.tracking import shown_uri, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "1")

LONGEST_PARAMETER = 500


@dataclass(frozen=True)
class Version:
    """One registered model. `tags` hold bundle_hash, policy_id, snapshot, as_of, proven."""

    target: str
    number: str
    run_id: str
    registered_at: int
    """Microseconds UTC."""
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def bundle_hash(self) -> str:
        return self.tags["bundle_hash"]


def model_name(target: str) -> str:
    return f"leadscore-{target}"


class Registry:
    """Opening it imports mlflow and, the first time, makes its database: some ten seconds."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._client = _client(tracking_uri(home))

    def register(
        self,
        target: str,
        *,
        now: int,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        folders: Mapping[str, Path],
        files: Mapping[str, Sequence[Path]],
    ) -> Version:
        """One run with its artefacts, and one new version of the target's model, tagged alike.

        `folders` and `files` are logged under their names as artefact paths;
        the folder `bundle` is the version's source.
        """
        experiment = self._experiment(target)
        run = self._client.create_run(
            experiment, start_time=now // 1000, tags=dict(tags), run_name=tags["bundle_hash"][:12]
        )
        run_id = run.info.run_id
        self._log_figures(run_id, parameters, metrics, now)
        for place, folder in folders.items():
            self._client.log_artifacts(run_id, str(folder), place)
        for place, paths in files.items():
            for path in paths:
                self._client.log_artifact(run_id, str(path), place)
        self._client.set_terminated(run_id, end_time=now // 1000)
        self._ensure_model(target)
        made = self._client.create_model_version(
            model_name(target), source=f"{run.info.artifact_uri}/bundle", run_id=run_id, tags=dict(tags)
        )
        return self.version(target, str(made.version))

    def versions(self, target: str) -> list[Version]:
        """All versions of a target, oldest first, with their runs' metrics."""
        found = self._client.search_model_versions(f"name='{model_name(target)}'", max_results=1000)
        return sorted((self._described(target, v) for v in found), key=lambda v: int(v.number))

    def targets(self) -> list[str]:
        """Targets that have a registered model."""
        prefix = model_name("")
        names = [m.name for m in self._client.search_registered_models(max_results=1000)]
        return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))

    def version(self, target: str, number: str) -> Version:
        """Raises NotFound, naming the versions there are."""
        for version in self.versions(target):
            if version.number == number:
                return version
        known = ", ".join(v.number for v in self.versions(target)) or "none"
        raise NotFound(
            f"version {number} of the model for {target}", expected=f"one of: {known}", remedy="see `leadscore models`"
        )

    def version_of_bundle(self, target: str, bundle_hash: str) -> Version | None:
        """The newest version with this bundle."""
        found = [v for v in self.versions(target) if v.bundle_hash == bundle_hash]
        return found[-1] if found else None

    def mirror(self, target: str, role: str, number: str) -> None:
        """Points the alias (champion, challenger) at a version: the store's deployments decide, MLflow shows it."""
        self._client.set_registered_model_alias(model_name(target), role, number)

    def _described(self, target: str, raw: Any) -> Version:
        aliases = self._client.get_registered_model(model_name(target)).aliases
        run = self._client.get_run(raw.run_id)
        return Version(
            target=target,
            number=str(raw.version),
            run_id=raw.run_id,
            registered_at=int(run.info.start_time) * 1000,
            tags=dict(raw.tags),
            aliases=tuple(sorted(name for name, version in aliases.items() if str(version) == str(raw.version))),
            metrics=dict(run.data.metrics),
        )

    def _experiment(self, target: str) -> str:
        found = self._client.get_experiment_by_name(model_name(target))
        if found is not None:
            return str(found.experiment_id)
        # A server has a place of its own; beside a bare database MLflow would write into the working directory.
        by_server = tracking_uri(self._home).startswith(("http://", "https://", "databricks"))
        place = None if by_server else f"file://{self._home.tracking / 'artifacts'}"
        return str(self._client.create_experiment(model_name(target), artifact_location=place))

    def _ensure_model(self, target: str) -> None:
        if target not in self.targets():
            self._client.create_registered_model(model_name(target))

    def _log_figures(self, run_id: str, parameters: Mapping[str, Any], metrics: Mapping[str, float], now: int) -> None:
        from mlflow.entities import Metric, Param

        at = now // 1000
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, value, at, 0) for name, value in sorted(metrics.items())],
            params=[Param(name, str(value)[:LONGEST_PARAMETER]) for name, value in sorted(parameters.items())],
        )


def _client(uri: str) -> MlflowClient:
    _quieten()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    _quieten()
    try:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    except MlflowException as error:
        raise StoreUnavailable(
            "MLflow tracking store", str(error).splitlines()[0][:200], expected=f"an answer from {shown_uri(uri)}"
        ) from None
    return client


def _quieten() -> None:
    """Migrations and set-up are no news to a person at the terminal. Set again after import, which resets it."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    for name in ("mlflow", "alembic", "mlflow.store.db.utils", "alembic.runtime.migration"):
        logging.getLogger(name).setLevel(logging.WARNING)
