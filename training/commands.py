"""Commands that learn and decide: train, models, compare, promote, rollback, freeze, tracking."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from data.clock import now
from data.errors import NotFound, UsageError
from data.home import Home
from data.times import parse_duration, parse_instant
from training.quality_commands import app as quality_commands

if TYPE_CHECKING:
    from data.store.operational import Store
    from training.pipeline import Request, Trained
    from training.registry import Registry

app = typer.Typer(no_args_is_help=True)
app.add_typer(quality_commands)
_screen = Console(highlight=False)
_messages = Console(stderr=True, highlight=False)

HistoryOption = Annotated[
    str | None,
    typer.Option(
        help="What to read instead of the store: a snapshot's folder, one of Parquet tables, or an Ibis URL "
        "such as duckdb://FILE (docs/history.md)."
    ),
]
TargetOption = Annotated[str | None, typer.Option(help="Outcome; default won, or the company's only target.")]


@app.command()
def train(
    ctx: typer.Context,
    target: TargetOption = None,
    horizon: Annotated[str | None, typer.Option(help='Outcome window such as "90d"; default as declared.')] = None,
    as_of: Annotated[str | None, typer.Option(help='Train on what was known then: a date or "row:N".')] = None,
    capacity: Annotated[
        float | None, typer.Option(min=0, help="Hand-overs a week; in row time, of each hundred. Default: one in five.")
    ] = None,
    call_cost: Annotated[
        float | None, typer.Option(min=0, help="Threshold from profit: what following up one lead costs.")
    ] = None,
    deal_value: Annotated[
        float | None, typer.Option(min=0, help="With --call-cost: value of a won deal; default their mean amount.")
    ] = None,
    precision: Annotated[
        float | None, typer.Option(help="Threshold at which this share of the leads handed over has the outcome.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="How many LightGBM settings are tried.")] = 7,
    seed: Annotated[int, typer.Option(min=0, help="The same snapshot and seed give the same bundle.")] = 0,
    separate: Annotated[
        bool, typer.Option(help="Fit and behaviour in trees of their own, so that the margin is their sum.")
    ] = True,
    monotone: Annotated[
        bool, typer.Option(help="Keep declared directions, so that behaviour never rises by waiting.")
    ] = True,
    keep_prior: Annotated[bool, typer.Option(help="Register the constant rate where nothing beats it.")] = False,
    history: HistoryOption = None,
) -> None:
    """Train on what was known at a time, compare all rungs forward in time, and register the result."""
    from data.store.operational import Store
    from training.aims import chosen_aim
    from training.fitting import Options
    from training.pipeline import Request

    instant = now()
    with Store.open(ctx.obj) as store:
        request = Request(
            target=target,
            horizon=parse_duration(horizon) if horizon else None,
            as_of=_instant(store, as_of) if as_of else None,
            aim=chosen_aim(capacity, call_cost, deal_value, precision),
            options=Options(trials=trials, seed=seed, separate=separate, monotone=monotone),
            keep_prior=keep_prior,
            history=history,
        )
        _train_and_tell(store, ctx.obj, request, instant)


@app.command()
def models(ctx: typer.Context, target: TargetOption = None) -> None:
    """List the registered models and which is in force."""
    from data.store.operational import Store
    from training.registry import Registry
    from training.telling import versions_table

    with Store.open(ctx.obj) as store:
        if store.company() is None and not any(ctx.obj.bundles.iterdir()):
            _screen.print(
                "nothing is imported and no model is registered yet. Next: [bold]leadscore import MAPPING[/bold]"
            )
            return
        registry = Registry(ctx.obj)
        targets = [target] if target else registry.targets()
        champions = {t: found.bundle_hash for t in targets if (found := store.deployment(t))}
    versions = [v for t in targets for v in registry.versions(t)]
    if not versions:
        _screen.print("no model is registered yet. Next: [bold]leadscore train[/bold]")
        return
    _screen.print(versions_table(versions, champions))


@app.command()
def compare(
    ctx: typer.Context,
    a: Annotated[str, typer.Argument(help="A version number.")],
    b: Annotated[str, typer.Argument(help="Another.")],
    target: TargetOption = None,
) -> None:
    """Show what differs between two versions of a target's model."""
    from data.store.operational import Store
    from training.registry import Registry
    from training.telling import difference_table

    registry = Registry(ctx.obj)
    with Store.open(ctx.obj) as store:
        name = _target_name(store, target)
    _screen.print(difference_table(registry.version(name, a), registry.version(name, b)))


@app.command()
def promote(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(help="Version number, as `leadscore models` lists it.")],
    target: TargetOption = None,
    force: Annotated[bool, typer.Option(help="Promote although the gate refuses; needs --why.")] = False,
    why: Annotated[str, typer.Option(help="Recorded with the deployment.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the gate and whose grade would change; change nothing.")
    ] = False,
    history: HistoryOption = None,
) -> None:
    """Put a version in force, model and policy together, where the gate does not refuse it.

    Shows first what the gate found and which open leads would change grade.
    """
    from data.store.operational import Store
    from training.promotion import promote as put_in_force
    from training.promotion import weigh
    from training.telling_gate import gate_lines, gate_table, regraded_lines

    if force and not why:
        raise UsageError("--force", "no --why", expected="the reason, which is recorded")
    instant = now()
    with Store.open(ctx.obj) as store, ThreadPoolExecutor(1) as aside:
        name = _target_name(store, target)
        opened = aside.submit(_registry, ctx.obj)
        with _progress() as say:
            say("opening the registry")
            found = opened.result().version(name, version)
            weighed = weigh(store, ctx.obj, found, now=instant, history=history, say=say)
        _screen.print(gate_table(weighed.gate))
        for line in (*gate_lines(weighed.gate), *regraded_lines(weighed.regraded)):
            _screen.print(line, soft_wrap=True)
        if dry_run:
            _screen.print("dry run: nothing was changed")
            return
        _note_freeze(store)
        put_in_force(
            store,
            ctx.obj,
            opened.result(),
            found,
            by=_user(),
            why=why or "promoted",
            now=instant,
            force=force,
            weighed=weighed,
        )
    _screen.print(f"version {version} for {found.target} is in force; `leadscore rollback` takes it back")


@app.command()
def rollback(
    ctx: typer.Context,
    target: TargetOption = None,
    why: Annotated[str, typer.Option(help="Recorded with the deployment.")] = "",
) -> None:
    """Put the champion before the present one back in force."""
    from data.store.operational import Store
    from training.promotion import rollback as put_back
    from training.registry import Registry

    instant, registry = now(), Registry(ctx.obj)
    with Store.open(ctx.obj) as store:
        name = _target_name(store, target)
        _note_freeze(store)
        made = put_back(store, ctx.obj, registry, name, by=_user(), why=why or "rolled back", now=instant)
    _screen.print(f"version {made.model_version} for {name} is in force again")


@app.command()
def freeze(
    ctx: typer.Context,
    why: Annotated[str, typer.Option(help="The reason, which is recorded.")] = "",
    off: Annotated[bool, typer.Option("--off", help="End the freeze.")] = False,
) -> None:
    """Stop every change that nobody makes by hand: automatic promotion, retuning by schedule. `--off` ends it."""
    from data.store.freezing import frozen, set_freeze
    from data.store.operational import Store

    if not why:
        raise UsageError("freeze", "no --why", expected="the reason, which is recorded")
    instant = now()
    with Store.open(ctx.obj) as store:
        before = frozen(store)
        if off and before is None:
            _screen.print("nothing is frozen; nothing was changed")
            return
        set_freeze(store, on=not off, by=_user(), why=why, now=instant)
    if off:
        _screen.print("the freeze is over: changes by schedule go on")
        return
    _screen.print("frozen: nothing is promoted or retuned by itself until `leadscore freeze --off --why TEXT`")
    _screen.print("by hand, `promote`, `rollback` and `retune` still work", style="dim")


@app.command()
def tracking(
    ctx: typer.Context,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Default: as mlflow/server.toml says.")] = None,
) -> None:
    """Start the MLflow server on the runs and models of this home, or of MLFLOW_TRACKING_URI where that is set."""
    from training.tracking import (
        configured_server,
        refuse_busy,
        run_server,
        server_command,
        shown_uri,
        tracking_uri,
    )

    server = configured_server(port)
    server_command(server, ctx.obj)
    refuse_busy(server)
    shown = shown_uri(tracking_uri(ctx.obj))
    _screen.print(f"MLflow at {server.url}, showing {shown} (Ctrl-C stops it)", soft_wrap=True)
    run_server(server, ctx.obj)


def _train_and_tell(store: Store, home: Home, request: Request, instant: int) -> None:
    from training import telling
    from training.card import LANGS
    from training.pipeline import card_page
    from training.pipeline import train as run_training
    from training.telling_assessment import assessment_lines

    with ThreadPoolExecutor(1) as aside, _progress() as say:
        # MLflow takes ten seconds to open: it does so while the rows are read.
        opened = aside.submit(_registry, home)
        trained = run_training(store, home, opened.result, request, now=instant, say=say)
    for line in telling.data_lines(trained):
        _screen.print(line)
    if trained.fitted is not None and trained.report is not None:
        for line in telling.slice_lines(trained):
            _screen.print(line)
        _screen.print(telling.comparison_table(trained.report))
        _screen.print(telling.weights_line(trained.fitted))
        for line in telling.gain_lines(trained):
            _screen.print(line)
        if trained.assessment is not None:
            for found in assessment_lines(trained.history, trained.assessment):
                _screen.print(found, soft_wrap=isinstance(found, str))
    else:
        _screen.print(
            f"[yellow]{trained.history.outcomes} outcomes are too few to learn from: points, unproven[/yellow]"
        )
    for line in (telling.policy_line(trained.policy), *telling.deal_lines(trained.bundle)):
        _screen.print(line)
    _screen.print(f"registered as version {trained.version.number} for {trained.version.target}")
    for lang, word in zip(LANGS, ("model card:", "モデルカード:"), strict=True):
        _screen.print(f"{word} {card_page(home, trained.bundle, lang)}", soft_wrap=True, markup=False)
    _promote_first(store, home, opened.result(), trained, instant)


def _promote_first(store: Store, home: Home, registry: Registry, trained: Trained, instant: int) -> None:
    """The first model of a target is put in force by itself; afterwards one line says what is sensible next."""
    from data.store.freezing import frozen
    from training.promotion import promote_first
    from training.telling_gate import next_line

    version, freeze = trained.version, frozen(store)
    champion = store.deployment(version.target)
    if champion is None and freeze is not None:
        _screen.print(f"[yellow]{escape(freeze.text())}: it is not put in force by itself[/yellow]")
        _screen.print(f"Next: [bold]leadscore promote {version.number}[/bold]")
        return
    if champion is None:
        made = promote_first(store, home, registry, version, by=_user(), now=instant)
        _screen.print(f"it is the first model for {version.target}, so it is in force now")
        if made.deployment.action == "force":
            _screen.print(f"[yellow]although the gate says: {escape(made.weighed.gate.reasons())}[/yellow]")
    _screen.print(next_line(version, champion, outcomes=trained.history.outcomes, proven=trained.bundle.proven))


def _note_freeze(store: Store) -> None:
    """A freeze does not stop people, but they are told."""
    from data.store.freezing import frozen

    freeze = frozen(store)
    if freeze is not None:
        _screen.print(f"[yellow]note: {escape(freeze.text())}; you act by hand, so it goes on[/yellow]")


def _registry(home: Home) -> Registry:
    from training.registry import Registry

    return Registry(home)


def _instant(store: Store, text: str) -> int:
    company = store.company()
    return company.instant(text) if company else parse_instant(text)


def _target_name(store: Store, asked: str | None) -> str:
    from training.pipeline import Request, chosen_target

    company = store.company()
    if company is None:
        raise NotFound("history", "nothing imported yet", remedy="run `leadscore import MAPPING` first")
    return chosen_target(company, Request(target=asked)).name


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A spinner with what is being done; each call names the next step."""
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=_messages, transient=True
    ) as bar:
        task = bar.add_task("")

        def say(text: str) -> None:
            if text:
                bar.update(task, description=text)

        yield say
