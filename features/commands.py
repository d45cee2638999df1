"""Commands that show what the features see: `features`, `check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from data.clock import now
from data.errors import DataRefused, NotFound, UsageError
from data.home import Home

if TYPE_CHECKING:
    from data.store.snapshots import Snapshot

app = typer.Typer(no_args_is_help=True)
_screen = Console(highlight=False)
_messages = Console(stderr=True, highlight=False)

HistoryOption = Annotated[
    str | None,
    typer.Option(
        help="What to read instead of the store: a snapshot's folder, one of Parquet tables, or an Ibis URL "
        "such as duckdb://FILE (docs/history.md)."
    ),
]
AsOfOption = Annotated[str | None, typer.Option("--as-of", help="ISO date or time, or row:N; default: now.")]


@app.command()
def features(
    context: typer.Context,
    as_of: AsOfOption = None,
    out: Annotated[Path | None, typer.Option(help="File to write: .csv or .parquet.")] = None,
    describe: Annotated[bool, typer.Option("--describe", help="Print the catalogue of features instead.")] = False,
    history: HistoryOption = None,
) -> None:
    """Write the feature table of all leads known at a time, or describe the features."""
    from features.catalogue import declarations, render_catalogue

    home: Home = context.obj
    if describe:
        company = _described_company(home, history)
        _screen.print(render_catalogue(declarations(company, home.own_features)), markup=False, soft_wrap=True)
        return
    if out is None or out.suffix not in (".csv", ".parquet"):
        raise UsageError("--out", out, expected="a file name ending in .csv or .parquet")
    from features.export import write_features

    with _progress("reading history"):
        snapshot = _snapshot(home, history)
    at = snapshot.company.instant(as_of) if as_of else now()
    with _progress("computing features"):
        leads, columns = write_features(home, snapshot, out, as_of=at)
    _say_history(snapshot)
    _screen.print(f"{leads:,} leads, {columns} features: {out}")


@app.command()
def check(
    context: typer.Context,
    as_of: AsOfOption = None,
    target: Annotated[str | None, typer.Option(help="Only this target; default: all.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the findings here.")] = None,
    history: HistoryOption = None,
    items: Annotated[
        bool,
        typer.Option(
            "--items", help="Instead: which collected fields never helped forward in time (収集をやめられる項目)."
        ),
    ] = False,
) -> None:
    """Examine the history before trusting a model: the data doctor, then the leak firewall."""
    from data.doctor import examine
    from data.store.operational import Store
    from features.firewall import blocking, examine_leaks
    from features.report import show_findings, show_verdicts

    home: Home = context.obj
    snapshot = _snapshot(home, history)
    at = snapshot.company.instant(as_of) if as_of else now()
    if items:
        _check_items(home, snapshot, at, target, json_file)
        return
    with Store.open(home) as store, _progress("examining history"):
        findings = examine(store, snapshot, home, as_of=at, now=now())
    with _progress("looking for leaks"):
        verdicts = examine_leaks(home, snapshot, as_of=at, target=target)
    _say_history(snapshot)
    show_findings(_screen, findings)
    show_verdicts(_screen, verdicts)
    if json_file:
        found = {"findings": [vars(f) for f in findings], "verdicts": [v.to_dict() for v in verdicts]}
        _write_json(json_file, found)
    refused = [f.subject for f in findings if f.level == "refuse"] + [v.subject for v in blocking(verdicts)]
    if refused:
        raise DataRefused(
            "check",
            f"refused: {', '.join(dict.fromkeys(refused))}",
            expected="a history without what the tables above refuse or block",
            remedy="correct the mapping (known = …, allowed_because = …) and import again",
        )


def _check_items(home: Home, snapshot: Snapshot, at: int, target: str | None, json_file: Path | None) -> None:
    from features.items import examine_items
    from features.report import show_items

    with _progress("taking fields away, one by one") as bar:
        (task,) = bar.task_ids

        def told(what: str) -> None:
            bar.update(task, description=f"without {what[:60]}")

        found = examine_items(home, snapshot, as_of=at, target=target, progress=told)
    _say_history(snapshot)
    show_items(_screen, found)
    if json_file:
        _write_json(json_file, found.to_dict())


def _write_json(path: Path, found: dict[str, Any]) -> None:
    path.write_text(json.dumps(found, ensure_ascii=False, indent=2), encoding="utf-8")
    _screen.print(f"written to {path}")


def _say_history(snapshot: Snapshot) -> None:
    for line in snapshot.lines():
        _screen.print(line, soft_wrap=True)


def _snapshot(home: Home, history: str | None) -> Snapshot:
    """The state of the home's store, or of the history named."""
    from data.store.operational import Store
    from data.store.plain import chosen_history

    with Store.open(home) as store:
        return chosen_history(store, home, history, now=now())


def _described_company(home: Home, history: str | None):  # type: ignore[no-untyped-def]
    """The company whose features are described; the default one before the first import."""
    from data.company import Company

    try:
        return _snapshot(home, history).company
    except NotFound:
        if history is not None:
            raise
        return Company()


def _progress(what: str) -> Progress:
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=_messages, transient=True
    )
    bar.add_task(what, total=None)
    return bar
