"""From a home folder to the evidence of one window: the I/O between the stores and the pure parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from data.company import Company
from data.errors import DataRefused, NotFound
from data.home import Home
from data.store.deployments import Deployment
from data.store.freezing import frozen
from data.store.operational import Store
from data.store.permitted import permitted
from data.store.snapshots import Snapshot, open_snapshot
from features.engine import local_engine
from monitoring.evidence import PROBABILITY, Evidence, Matured, OperatingPoint, Shift, VersionChange
from monitoring.feeds import feeds_of, freshness_of
from monitoring.operating import PANEL_ROWS, PANEL_SPAN, operating_point, panel_crossings
from monitoring.performance import matured_performance
from monitoring.population import Population, scored, watched
from monitoring.shifts import shifts_of, stationary_psi
from monitoring.window import Window
from training.bundle import Bundle
from training.outcomes import label_rows
from training.policy import Policy

Progress = Callable[[str], None]

SEASONAL = ("creation_month", "days_to_quarter_end")
"""Calendar values that move because time passes; half a year of reference cannot tell what is usual for them."""


@dataclass(frozen=True)
class Watch:
    """What is in force and what it is looked at with."""

    home: Home
    deployment: Deployment
    previous: Deployment | None
    """The row in force before, if any."""
    bundle: Bundle
    policy: Policy
    snapshot: Snapshot
    frozen: bool = False
    """Nothing may change by itself now."""


def target_name(company: Company, asked: str | None) -> str:
    """The target asked for, else won, else the company's only one. Raises UsageError."""
    names = [target.name for target in company.targets]
    return company.target(asked or ("won" if "won" in names or len(names) != 1 else names[0])).name


def open_watch(home: Home, store: Store, snapshot: Snapshot, target: str) -> Watch:
    """The champion of a target with its policy. Raises NotFound, ModelRefused, DataRefused (another schema)."""
    history = [row for row in store.deployments(target) if row.role == "champion"]
    if not history:
        raise NotFound(
            f"champion for target {target}",
            "no deployment",
            expected="a promoted model",
            remedy="run `leadscore train`, then `leadscore promote VERSION`",
        )
    deployment = history[-1]
    bundle = Bundle.load(home.bundles / deployment.bundle_hash)
    check_same_schema(bundle, snapshot.company)
    return Watch(
        home=home,
        deployment=deployment,
        previous=history[-2] if len(history) > 1 else None,
        bundle=bundle,
        policy=Policy.from_json(store.policy(deployment.policy_id)),
        snapshot=snapshot,
        frozen=frozen(store) is not None,
    )


def check_same_schema(bundle: Bundle, company: Company) -> None:
    """Raises DataRefused where today's declaration is not the one the champion was trained with."""
    differences = []
    if bundle.company.time != company.time:
        differences.append(f"time {company.time}, trained with {bundle.company.time}")
    now = {column.name: column for column in company.columns}
    used = {d.attribute for d in bundle.declarations}
    for column in bundle.company.columns:
        if column.name not in used:
            continue
        if column.name not in now:
            differences.append(f"column {column.name} is gone")
        elif (now[column.name].type, now[column.name].subject) != (column.type, column.subject):
            differences.append(
                f"column {column.name} is now a {now[column.name].type} of the {now[column.name].subject}"
            )
    if bundle.target not in {t.name for t in company.targets}:
        differences.append(f"target {bundle.target} is gone")
    if differences:
        raise DataRefused(
            "reference of another schema",
            "; ".join(differences),
            expected="the columns and the target the champion was trained with",
            remedy="import with the mapping it was trained with, or train again; nothing was changed",
        )


def gather(watch: Watch, window: Window, *, page: Path | None, progress: Progress) -> tuple[Evidence, dict[str, Any]]:
    """The evidence of one window, and Evidently's result that it was read from.

    Raises DataRefused where the window or the reference is empty.
    """
    connection = local_engine(watch.home, threads=2)
    progress("rows of the window")
    now = Population(watch.snapshot, connection, window, watch.bundle.target_definition)
    then = _reference_population(watch, connection, now, window)
    parts, share = _rows(watch, window, now)
    progress("features and scores")
    frames = watched(now, parts, watch.bundle)
    reference = watched(then, {"reference": _reference_rows(watch, window, then)}, watch.bundle)["reference"]
    _refuse_empty(frames["window"], reference, window, watch)
    progress("drift, with Evidently")
    features, score, result = _drift(watch, window, frames["window"], reference, page)
    progress("hand-overs and outcomes")
    matured, worse = _performance(watch, frames, now, window)
    evidence = Evidence(
        rows=len(frames["window"]),
        reference_rows=len(reference),
        features=features,
        score=score,
        recent=_moved(frames["window"], frames["earlier"], reference, window),
        feeds=feeds_of(now.tables, window),
        freshness=freshness_of(now.tables, window, now.company.timezone),
        change=_change(watch, window, frames, reference),
        operating=_operating(watch, window, frames["panel"], share),
        matured=matured,
        worse_windows=worse,
        frozen=watch.frozen,
    )
    return evidence, result


def _reference_population(watch: Watch, connection: Any, now: Population, window: Window) -> Population:
    """The history the champion was trained on, while its snapshot is kept; else the newest, which contains it."""
    trained_on = str(watch.bundle.manifest["snapshot"])
    if trained_on == watch.snapshot.hash or not (watch.home.snapshots / trained_on / "manifest.json").exists():
        return now
    with Store.open(watch.home) as store:
        snapshot = permitted(store, watch.home, open_snapshot(watch.home.snapshots / trained_on))
    if snapshot.hash == watch.snapshot.hash:
        return now
    return Population(snapshot, connection, window, watch.bundle.target_definition)


def _reference_rows(watch: Watch, window: Window, then: Population) -> pd.DataFrame:
    begins = then.begins()
    instants = window.reference_instants(watch.bundle.as_of)
    return then.rows([at for at in instants if begins is not None and at > begins])


def _rows(watch: Watch, window: Window, now: Population) -> tuple[dict[str, pd.DataFrame], float]:
    """Row ids by part, and the share of leads in the panel."""
    matured = matured_instants(watch, window)
    parts = {
        "window": now.rows(window.instants()),
        "earlier": now.rows(window.earlier().instants()),
        "matured": _since_training(now.rows(matured[: window.weeks]), watch),
        "matured_before": _since_training(now.rows(matured[window.weeks :]), watch),
    }
    parts["panel"], share = now.panel(window.end - PANEL_SPAN, window.end, most=PANEL_ROWS)
    return parts, share


def _since_training(rows: pd.DataFrame, watch: Watch) -> pd.DataFrame:
    """Rows the champion has not learned from."""
    return rows[rows["as_of"] >= watch.bundle.as_of].reset_index(drop=True)


def matured_instants(watch: Watch, window: Window) -> list[int]:
    """Ends of the newest weeks whose outcomes are all known at the window's end, newest first, for two windows."""
    target = watch.bundle.target_definition
    wait = 0 if window.row_time else -(-(target.horizon + target.recording_lag) // window.step)
    return [window.end - (wait + k) * window.step for k in range(2 * window.weeks)]


def _refuse_empty(window_rows: pd.DataFrame, reference: pd.DataFrame, window: Window, watch: Watch) -> None:
    timezone = watch.snapshot.company.timezone
    if window_rows.empty:
        raise DataRefused(
            f"window {window.text(timezone)}",
            "no open lead",
            expected="at least one",
            remedy="import newer history, or give a longer --window or another --as-of; nothing was changed",
        )
    if reference.empty:
        raise DataRefused(
            "reference",
            "no open lead in the weeks before training and before the window",
            expected="history before the window",
            remedy="give a later --as-of or a shorter --window; nothing was changed",
        )


def _drift(
    watch: Watch, window: Window, frame: pd.DataFrame, reference: pd.DataFrame, page: Path | None
) -> tuple[tuple[Shift, ...], Shift | None, dict[str, Any]]:
    from monitoring.drift import Columns, drift_result

    compared = [d for d in watch.bundle.declarations if d.of not in SEASONAL]
    numbers = [d.name for d in compared if not d.is_category]
    categories = [d.name for d in compared if d.is_category]
    columns = Columns((*numbers, PROBABILITY), tuple(categories))
    result = drift_result(frame, reference, columns, as_of=window.end, page=page)
    stationary = stationary_psi(reference, frame, categories, columns.all, weeks=window.weeks)
    return *shifts_of(result, stationary), result


def _operating(watch: Watch, window: Window, panel: pd.DataFrame, share: float) -> OperatingPoint | None:
    """None in row time, which has no weeks, and where the weeks hold no lead."""
    if panel.empty:
        return None
    found = panel_crossings(panel, until=window.end, share=share)
    return operating_point(found, watch.policy, weeks=window.weeks)


def _moved(frame: pd.DataFrame, other: pd.DataFrame, reference: pd.DataFrame, window: Window) -> Shift | None:
    """The probabilities of two small frames against each other; ordinary weeks are those of the reference."""
    from monitoring.drift import Columns, drift_result

    if frame.empty or other.empty:
        return None
    result = drift_result(frame, other, Columns((PROBABILITY,), ()), as_of=window.end)
    stationary = stationary_psi(reference, frame, (), (PROBABILITY,), weeks=window.weeks)
    return shifts_of(result, stationary)[1]


def _change(
    watch: Watch, window: Window, frames: dict[str, pd.DataFrame], reference: pd.DataFrame
) -> VersionChange | None:
    """The deployment that came into force inside the window, if one did."""
    row, before = watch.deployment, watch.previous
    if not window.start < row.occurred_at <= window.end or before is None:
        return None
    if row.bundle_hash == before.bundle_hash:
        return VersionChange("policy", row.action, row.occurred_at, row.by, can_be_undone=True)
    earlier = _scored_by(watch, before, frames["earlier"])
    score = _moved(frames["window"], earlier, reference, window) if earlier is not None else None
    return VersionChange("model", row.action, row.occurred_at, row.by, can_be_undone=True, score=score)


def _scored_by(watch: Watch, deployment: Deployment, frame: pd.DataFrame) -> pd.DataFrame | None:
    """The frame with another bundle's probability; None where that one asks for other features."""
    bundle = Bundle.load(watch.home.bundles / deployment.bundle_hash)
    if {d.name for d in bundle.declarations} - set(frame.columns):
        return None
    return scored(frame, bundle)


def _performance(
    watch: Watch, frames: dict[str, pd.DataFrame], now: Population, window: Window
) -> tuple[Matured | None, int]:
    """The newest matured cohort, and in how many consecutive ones (at most two) the champion was worse."""
    if not watch.bundle.proven:
        return None, 0
    matured = _judged(watch, frames["matured"], now, window)
    before = _judged(watch, frames["matured_before"], now, window)
    if matured is None or not matured.worse:
        return matured, 0
    return matured, 2 if before is not None and before.worse else 1


def _judged(watch: Watch, frame: pd.DataFrame, now: Population, window: Window) -> Matured | None:
    """One row a lead, its oldest; those without a matured label are left out."""
    rows = frame.drop_duplicates("lead_id", keep="first")
    stages = now.stage_changes(rows["lead_id"], as_of=window.end)
    target, company = watch.bundle.target_definition, watch.snapshot.company
    labelled = label_rows(rows, stages, target, company, as_of=window.end).rows
    return matured_performance(labelled[PROBABILITY].to_numpy(), labelled["label"].to_numpy() == 1)
