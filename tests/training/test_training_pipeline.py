"""From a store to a model in force and back again, with the real registry."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from data.company import Company, CompanyColumn, Target
from data.errors import ModelRefused, NotFound, UsageError
from data.home import Home
from data.store.deployments import Deployment
from data.store.freezing import frozen, set_freeze
from data.store.history import lead_history
from data.store.operational import Store
from data.tables import LEAD_ATTRIBUTES, LEADS, STAGE_CHANGES, TOUCHPOINTS, Table
from data.times import DAY, HOUR, ROW_OUTCOME_DELAY, ROW_STEP
from features.online import OnlineFeatures
from training.aims import Aim
from training.bundle import Bundle
from training.commands import app
from training.fitting import Options
from training.golden import golden_rows
from training.parts import Calibration
from training.pipeline import Request, card_page, chosen_target, train
from training.policy import Policy
from training.promotion import promote, rollback, weigh
from training.registry import Registry, Version
from training.telling_gate import next_line
from training.tracking import configured_server, refuse_busy, server_command, shown_uri, tracking_uri
from training.writing import write_bundle

NOW = 20_500 * DAY
BEGIN = NOW - 500 * DAY
LEADS_OF_A_TEST = 600
COLUMNS = (CompanyColumn("source_kind", type="category"), CompanyColumn("size", type="number", direction=1))
COMPANY = Company(targets=(Target("won", "won", 30 * DAY), Target("sql", "sql", 30 * DAY)), columns=COLUMNS)


def arrow(table: Table, rows: list[dict[str, Any]]) -> pa.Table:
    schema = table.arrow_schema()
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


def record(row: dict[str, Any], source_id: str, at: int) -> dict[str, Any]:
    return {**row, "source": "test", "source_id": source_id, "occurred_at": at, "recorded_at": at}


def fill(store: Store, leads: int, *, seed: int, signal: float = 1.0) -> None:
    """Leads over 500 days whose chance to win within days depends on a category, a size and visits."""
    rng = np.random.default_rng(seed)
    tables: dict[Table, list[dict[str, Any]]] = {LEADS: [], LEAD_ATTRIBUTES: [], TOUCHPOINTS: [], STAGE_CHANGES: []}
    for number in range(leads):
        lead, at = f"L{number}", BEGIN + int(rng.uniform(0, 495) * DAY)
        kind, size, visits = rng.choice(["a", "b", "c"]), float(rng.lognormal(3, 1)), int(rng.poisson(1.5))
        tables[LEADS].append(record({"lead_id": lead, "account_id": f"A{number // 2}"}, lead, at))
        for name, value in (("source_kind", {"text": str(kind)}), ("size", {"number": size})):
            tables[LEAD_ATTRIBUTES].append(record({"lead_id": lead, "name": name, **value}, f"{lead}{name}", at))
        for visit in range(visits):
            seen = at - HOUR + visit * 60_000_000
            tables[TOUCHPOINTS].append(
                record({"lead_id": lead, "kind": "pricing_view", "actor": "lead"}, f"{lead}v{visit}", seen)
            )
        won, lost = fate(rng, signal * (1.2 * (kind == "a") + 0.5 * visits + 0.3 * np.log(size / 20)), signal)
        if won is not None and at + won < NOW:
            row = {"lead_id": lead, "stage": "won", "amount": 1_000.0}
            tables[STAGE_CHANGES].append(record(row, f"{lead}won", at + won))
        elif lost is not None and at + lost < NOW:
            tables[STAGE_CHANGES].append(record({"lead_id": lead, "stage": "lost"}, f"{lead}lost", at + lost))
    store.save_company(COMPANY, now=NOW)
    store.append_all({table: arrow(table, rows) for table, rows in tables.items()}, now=NOW)


def fate(rng: np.random.Generator, worth: float, signal: float) -> tuple[int | None, int | None]:
    """(microseconds to the win, to the loss). Without signal wins come without memory: age says nothing either."""
    if signal == 0:
        won, lost = int(rng.exponential(300) * DAY), int(rng.exponential(45) * DAY)
        return (won, None) if won < lost else (None, lost)
    if rng.random() < 1 / (1 + np.exp(2.6 - worth)):
        return int(rng.uniform(1, 20) * DAY), None
    return None, 25 * DAY


def fill_rows(store: Store, rows: int) -> None:
    """Data without dates: file order is time, every outcome follows its row."""
    rng = np.random.default_rng(3)
    company = Company(time="row", targets=(Target("bought", "won", ROW_STEP // 2),), columns=COLUMNS)
    leads, attributes, stages = [], [], []
    for number in range(1, rows + 1):
        at, kind = number * ROW_STEP, rng.choice(["a", "b"])
        leads.append(record({"lead_id": str(number)}, str(number), at))
        attributes.append(record({"lead_id": str(number), "name": "source_kind", "text": str(kind)}, f"{number}k", at))
        stage = "won" if rng.random() < (0.4 if kind == "a" else 0.1) else "lost"
        stages.append(record({"lead_id": str(number), "stage": stage}, f"{number}s", at + ROW_OUTCOME_DELAY))
    store.save_company(company, now=NOW)
    tables = {LEADS: leads, LEAD_ATTRIBUTES: attributes, STAGE_CHANGES: stages}
    store.append_all({table: arrow(table, found) for table, found in tables.items()}, now=NOW)


def silent(_: str) -> None:
    """Progress nobody looks at."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home.at(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def registry(home: Home) -> Registry:
    return Registry(home)


@pytest.fixture(scope="module")
def store(home: Home) -> Store:
    opened = Store.open(home)
    fill(opened, LEADS_OF_A_TEST, seed=1)
    return opened


def request_of(**changes: Any) -> Request:
    return Request(options=Options(trials=2), **changes)


@pytest.fixture(scope="module")
def first(store: Store, home: Home, registry: Registry):
    return train(store, home, lambda: registry, request_of(aim=Aim(capacity=5)), now=NOW, say=silent)


@pytest.fixture(scope="module")
def second(store: Store, home: Home, registry: Registry, first):
    asked = request_of(aim=Aim(capacity=5), as_of=NOW - 30 * DAY)
    return train(store, home, lambda: registry, asked, now=NOW, say=silent)


def test_a_run_registers_bundle_policy_and_figures(first, store: Store, home: Home, registry: Registry) -> None:
    version = registry.version("won", first.version.number)
    assert version.bundle_hash == first.bundle.hash
    assert version.metrics["blend.auc"] > 0.6
    assert Bundle.load(home.bundles / version.bundle_hash).target == "won"
    kept = Policy.from_json(store.policy(version.tags["policy_id"]))
    assert kept == first.policy
    assert kept.mean_amount == 1_000.0
    assert kept.handovers_per_week <= 5


def test_artefacts_hold_the_bundle_card_and_plots_and_no_contact_data(first, home: Home) -> None:
    names = {path.name for path in (home.tracking / "artifacts").rglob("*") if path.is_file()}
    assert {
        "manifest.json",
        "golden.json",
        "model_card.md",
        "report.json",
        "calibration.png",
        "over_time.png",
        "gain.png",
        "contributions.png",
    } <= names
    assert "blend.json" in names


def test_what_training_found_is_kept_in_the_registry_and_on_the_card(first, home: Home, registry: Registry) -> None:
    kept = registry.version("won", first.version.number).metrics
    pooled = first.assessment.pooled
    assert kept["blend.log_loss.low"] < kept["blend.log_loss"] < kept["blend.log_loss.high"]
    assert kept["blend.log_loss"] == pytest.approx(pooled.log_loss.value)
    assert {"time01.ece", "segment.source_kind01.brier", "capacity.captured", "cost.monotone"} <= kept.keys()
    (path,) = (home.tracking / "artifacts").rglob(f"{first.version.run_id}/artifacts/report.json")
    found = json.loads(path.read_text())["assessment"]
    assert [c["name"] for c in found["over_time"]] == [c.name for c in first.assessment.over_time]
    for lang, words in (("en", ("Regime", "hold only if", "monotone")), ("ja", ("局面", "成り立つのは", "単調性"))):
        page = card_page(home, first.bundle, lang).read_text()
        assert all(word in page for word in words)


def test_behaviour_never_rises_by_waiting_with_the_whole_catalogue(first, store: Store) -> None:
    """Leads of the store, day by day for a year in which nothing happens; parts and reasons sum at every step."""
    assert not [d.name for d in first.bundle.declarations if not d.keeps_decay_guarantee]
    online = OnlineFeatures(first.bundle.declarations, COMPANY)
    moved = 0
    for number in range(0, LEADS_OF_A_TEST, 60):
        history = lead_history(store, f"L{number}", as_of=NOW)
        # From its last record on: its windows still hold visits and run empty one after another.
        other = lead_history(store, f"L{number + 1}", as_of=NOW)  # of the same account
        records = [r for lead in (history, other) for r in (lead, *lead.touchpoints, *lead.stages)]
        since = max(r.recorded_at for r in records) + HOUR
        days = [since + day * DAY + (day * 7 % 24) * HOUR for day in range(365)]
        scored = [first.bundle.explain(online.row(history, at)) for at in days]
        behaviour = np.array([s.behaviour for s in scored])
        assert (np.diff(behaviour) <= 1e-9).all()
        moved += bool(behaviour[0] - behaviour[-1] > 1e-6)
        for one in scored[::90]:
            assert one.base + one.fit + one.behaviour == pytest.approx(one.margin, abs=1e-9)
            assert one.base + sum(one.contributions) == pytest.approx(one.margin, abs=1e-9)
    assert moved, "for some lead it does fall"


def test_the_same_snapshot_and_seed_give_the_same_bundle(first, store: Store, home: Home, registry: Registry) -> None:
    again = train(store, home, lambda: registry, request_of(aim=Aim(capacity=9)), now=NOW, say=silent)
    assert again.bundle.hash == first.bundle.hash
    assert again.policy.threshold < first.policy.threshold


def test_promotion_and_rollback_switch_model_and_policy_together(
    first, second, store: Store, home: Home, registry: Registry
) -> None:
    with pytest.raises(NotFound):
        rollback(store, home, registry, "won", by="me", why="nothing to go back to", now=NOW)
    promote(store, home, registry, first.version, by="me", why="first", now=NOW)
    promote(store, home, registry, second.version, by="me", why="newer", now=NOW + 1)
    champion = store.deployment("won")
    assert (champion.bundle_hash, champion.policy_id) == (second.bundle.hash, second.policy.policy_id)
    assert "champion" in registry.version("won", second.version.number).aliases
    rollback(store, home, registry, "won", by="me", why="worse", now=NOW + 2)
    champion = store.deployment("won")
    assert (champion.bundle_hash, champion.policy_id, champion.action) == (
        first.bundle.hash,
        first.policy.policy_id,
        "rollback",
    )
    with pytest.raises(NotFound):
        rollback(store, home, registry, "won", by="me", why="before the first there is none", now=NOW + 3)


def test_a_damaged_bundle_is_not_promoted(second, store: Store, home: Home, registry: Registry) -> None:
    path = home.bundles / second.bundle.hash / "blend.json"
    sound = path.read_bytes()
    try:
        path.write_bytes(sound.replace(b"0", b"1", 1))
        with pytest.raises(ModelRefused):
            promote(store, home, registry, second.version, by="me", why="", now=NOW)
    finally:
        path.write_bytes(sound)


def test_few_outcomes_give_points_without_a_probability(tmp_path: Path, registry: Registry) -> None:
    home = Home.at(tmp_path)
    with Store.open(home) as store:
        fill(store, 90, seed=2)
        trained = train(store, home, lambda: registry, request_of(), now=NOW, say=silent)
    assert trained.history.outcomes < 40
    assert not trained.bundle.proven
    assert trained.policy.method == "points"
    row = trained.matrix.keep_features([d.name for d in trained.bundle.declarations]).row(0)
    assert trained.bundle.explain(row).probability is None


def test_noise_registers_nothing_and_names_the_numbers(tmp_path: Path, registry: Registry) -> None:
    home = Home.at(tmp_path)
    before = len(registry.versions("won"))
    with Store.open(home) as store:
        fill(store, LEADS_OF_A_TEST, seed=5, signal=0.0)
        with pytest.raises(ModelRefused, match=r"not enough signal.*standard error.*outcomes"):
            train(store, home, lambda: registry, request_of(), now=NOW, say=silent)
        assert len(registry.versions("won")) == before
        kept = train(store, home, lambda: registry, request_of(keep_prior=True), now=NOW, say=silent)
    rows = kept.matrix.keep_features([d.name for d in kept.bundle.declarations])
    assert np.ptp(kept.bundle.scorer.margins(rows.columns)) == 0.0


def test_row_time_trains_on_the_first_rows_only(tmp_path: Path, registry: Registry) -> None:
    home = Home.at(tmp_path)
    with Store.open(home) as store:
        fill_rows(store, 1_500)
        trained = train(store, home, lambda: registry, request_of(as_of=1_001 * ROW_STEP), now=NOW, say=silent)
        assert len(trained.matrix) == 1_000
        assert trained.version.target == "bought"
        assert trained.policy.capacity_per_week is None
        with pytest.raises(UsageError, match="horizon"):
            train(store, home, lambda: registry, request_of(horizon=DAY), now=NOW, say=silent)


def test_the_target_is_won_or_the_only_one() -> None:
    only = Company(targets=(Target("trial", "trial", DAY),))
    assert chosen_target(only, Request()).name == "trial"
    assert chosen_target(COMPANY, Request()).name == "won"
    assert chosen_target(COMPANY, Request(target="sql", horizon=5 * DAY)).horizon == 5 * DAY
    with pytest.raises(UsageError, match="sql"):
        chosen_target(COMPANY, Request(target="mql"))


def test_commands_list_compare_and_promote(first, second, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    runner = CliRunner()
    listed = runner.invoke(app, ["models"], obj=home)
    assert first.bundle.hash[:12] in listed.output
    compared = runner.invoke(app, ["compare", first.version.number, second.version.number], obj=home)
    assert "ROC-AUC" in compared.output
    done = runner.invoke(app, ["promote", second.version.number], obj=home)
    assert done.exit_code == 0, done.output
    assert "in force" in done.output
    unknown = runner.invoke(app, ["promote", "99"], obj=home)
    assert isinstance(unknown.exception, NotFound)


def degraded(home: Home, bundle: Bundle, flatness: float) -> Bundle:
    """The bundle and its twin with all margins pulled towards their middle: they tell leads less apart."""

    def written(source: Bundle, facts: dict[str, Any]) -> Bundle:
        scorer = source.scorer.scorer
        middle, slope = source.scorer.base, 1.0 - flatness
        calibration = Calibration(
            "platt", slope * scorer.calibration.slope, slope * scorer.calibration.shift + (1 - slope) * middle
        )
        duller = replace(scorer, calibration=calibration)
        path = write_bundle(
            home.bundles,
            duller,
            declarations=source.declarations,
            company=source.company,
            target=source.target_definition,
            as_of=source.as_of,
            snapshot=str(source.manifest["snapshot"]),
            proven=True,
            golden=golden_rows(duller, [row["values"] for row in source.golden]),
            facts=facts,
        )
        return Bundle.load(path)

    twin = written(Bundle.load(home.bundles / bundle.manifest["gate"]["twin"]), {})
    return written(bundle, {"gate": bundle.manifest["gate"] | {"twin": twin.hash}})


def registered(registry: Registry, bundle: Bundle, policy: Policy) -> Version:
    tags = {"bundle_hash": bundle.hash, "policy_id": policy.policy_id, "proven": "true"}
    return registry.register(
        bundle.target, now=NOW, parameters={}, metrics={}, tags=tags, folders={"bundle": bundle.path}, files={}
    )


def test_a_chain_of_ever_duller_models_is_stopped_and_forced_only_with_a_reason(
    tmp_path: Path, registry: Registry
) -> None:
    home = Home.at(tmp_path)
    with Store.open(home) as store:
        fill(store, 1_500, seed=7)
        best = train(store, home, lambda: registry, request_of(), now=NOW, say=silent)
        promote(store, home, registry, best.version, by="me", why="first", now=NOW)
        refusal, steps = None, 0
        for steps in range(1, 12):
            duller = registered(registry, degraded(home, best.bundle, 0.085 * steps), best.policy)
            try:
                promote(store, home, registry, duller, by="me", why="a little duller", now=NOW + steps)
            except ModelRefused as refused:
                refusal = refused
                break
        assert steps > 1, "a single small step is within the tolerance"
        assert refusal is not None
        assert "an earlier champion" in str(refusal)
        assert "tolerance" in str(refusal)
        assert store.deployment("won").model_version != duller.number
        forced = promote(store, home, registry, duller, by="me", why="I know why", now=NOW + 20, force=True)
        assert (forced.deployment.action, forced.deployment.why) == ("force", "I know why")
        kept = json.loads(store.runs("promotion")[-1][1])
        assert (kept["action"], kept["by"], kept["why"]) == ("force", "me", "I know why")
        assert kept["gate"]["refuses"]
        assert all((home.bundles / d.bundle_hash).is_dir() for d in store.deployments("won")), "none is ever deleted"


def test_promotion_tells_whose_grade_changes(first, second, store: Store, home: Home, registry: Registry) -> None:
    promote(store, home, registry, first.version, by="me", why="", now=NOW + 50, force=True)
    found = weigh(store, home, second.version, now=NOW)
    before, after = first.bundle, second.bundle
    assert found.regraded is not None
    assert found.regraded.leads > 0
    for move in found.regraded.moves:
        assert move.grade_before != move.grade_after
        for example in move.examples:
            history = lead_history(store, example.lead_id, as_of=NOW)
            for bundle, policy, said, grade in (
                (before, first.policy, example.before, move.grade_before),
                (after, second.policy, example.after, move.grade_after),
            ):
                values = OnlineFeatures(bundle.declarations, bundle.company).row(history, NOW)
                assert bundle.explain(values).probability == pytest.approx(said, abs=1e-9)
                assert policy.grade(said) == grade


def test_while_frozen_nothing_is_promoted_by_itself(second, store: Store, home: Home, registry: Registry) -> None:
    set_freeze(store, on=True, by="ops", why="end of quarter", now=NOW)
    try:
        with pytest.raises(ModelRefused, match="end of quarter"):
            promote(store, home, registry, second.version, by="job", why="", now=NOW, automatic=True)
        promote(store, home, registry, second.version, by="me", why="by hand", now=NOW + 60, force=True)
    finally:
        set_freeze(store, on=False, by="ops", why="over", now=NOW)
    assert frozen(store) is None


def test_margins_of_what_is_shipped_agree_with_what_was_tested(first, home: Home) -> None:
    gate = first.bundle.manifest["gate"]
    twin = Bundle.load(home.bundles / gate["twin"])
    slice_ = first.matrix.take(
        (first.matrix.cycle_start >= gate["begins"]) & (first.matrix.cycle_start < gate["ends"])
    ).keep_features([d.name for d in twin.declarations])
    difference = first.bundle.scorer.margins(slice_.columns) - twin.scorer.margins(slice_.columns)
    assert gate["agreement"]["rows"] == len(slice_)
    assert gate["agreement"]["shift"] == pytest.approx(np.average(difference, weights=slice_.weight))
    assert not np.allclose(difference, 0), "the twin had not seen the slice"


def test_commands_on_an_empty_home_say_what_comes_first(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    runner = CliRunner()
    assert "leadscore import" in runner.invoke(app, ["models"], obj=home).output
    assert isinstance(runner.invoke(app, ["freeze"], obj=home).exception, UsageError)
    assert "frozen" in runner.invoke(app, ["freeze", "--why", "audit"], obj=home).output
    with Store.open(home) as store:
        assert frozen(store).why == "audit"
    runner.invoke(app, ["freeze", "--off", "--why", "done"], obj=home)
    assert "nothing is frozen" in runner.invoke(app, ["freeze", "--off", "--why", "x"], obj=home).output


def test_the_tracking_server_shows_what_the_registry_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.at(tmp_path)
    assert str(home.tracking / "mlflow.db") in " ".join(server_command(configured_server(), home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@db/mlflow")
    assert "postgresql://me:secret@db/mlflow" in server_command(configured_server(), home)
    assert shown_uri(tracking_uri(home)) == "postgresql://…@db/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example")
    with pytest.raises(UsageError) as refusal:
        server_command(configured_server(), home)
    assert "secret" not in str(refusal.value)


def test_a_busy_port_is_refused_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="--port"):
            refuse_busy(configured_server(taken.getsockname()[1]))


@pytest.mark.parametrize(
    ("proven", "champion", "expected"),
    [
        (False, None, "12 outcomes are known, 28 more"),
        (False, "1", "the champion \\(version 1\\) stays"),
        (True, None, "leadscore score"),
        (True, "1", "compare 1 2.*promote 2 --dry-run"),
    ],
)
def test_the_last_line_says_what_is_sensible(proven: bool, champion: str | None, expected: str) -> None:
    version = Version("won", "2", "", 0, {}, ())
    there = Deployment(1, "won", "champion", "b", champion, "p", "promote", 0, "", "") if champion else None
    assert re.search(expected, next_line(version, there, outcomes=12, proven=proven))
