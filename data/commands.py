"""Commands that bring history in: `simulate`, `mapping draft`, `import`; the store's own are mounted here."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

from data.clock import now
from data.errors import DataRefused, UsageError
from data.store.commands import app as store_commands

if TYPE_CHECKING:
    from data.sources.importing import ImportResult

app = typer.Typer(no_args_is_help=True)
mapping_app = typer.Typer(no_args_is_help=True, help="Write and check mapping files.")
app.add_typer(mapping_app, name="mapping")
app.add_typer(store_commands)
_screen = Console()
_messages = Console(stderr=True)


class Format(StrEnum):
    csv = "csv"
    parquet = "parquet"


@app.command()
def simulate(
    leads: Annotated[int, typer.Option(min=1, help="How many leads.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same history.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder to write; created when it is not there.")] = Path("simulated"),
    format_: Annotated[Format, typer.Option("--format", help="Of the files written.")] = Format.csv,
    continuations: Annotated[
        int, typer.Option(min=1, help="Continuations a sampled row, from which its true probability is counted.")
    ] = 1_000,
    end: Annotated[
        str, typer.Option(help="The midnight in Japan at which history ends; default: the simulator's own.")
    ] = "",
) -> None:
    """Write a company's simulated history, a mapping to import it, and the true probabilities in a folder apart."""
    from data.simulator.write import simulate_to

    with _bar() as bar:
        simulate_to(
            out,
            leads=leads,
            seed=seed,
            format=format_.value,
            continuations=continuations,
            end=end,
            progress=_told(bar),
        )
    _screen.print(f"written to {out}. Next: [bold]leadscore import {out / 'mapping.toml'}[/bold]")


@mapping_app.command("draft")
def mapping_draft(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of one source system.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write; default mapping.toml beside the first file.")
    ] = None,
) -> None:
    """Write a first mapping to edit, saying what was guessed and what could not be."""
    from data.sources.draft import draft_mapping

    if absent := [str(file) for file in files if not file.is_file()]:
        raise UsageError("FILE", ", ".join(absent), expected="CSV or Parquet files that are there")
    path = out or files[0].parent / "mapping.toml"
    if path.exists():
        raise DataRefused(
            f"{path}", "a file that is there", expected="a new name", remedy="remove it, or give --out FILE"
        )
    text = draft_mapping(files, relative_to=path.parent)
    path.write_text(text, encoding="utf-8")
    _screen.print(f"written to {path}. Read its comments, then: [bold]leadscore import {path}[/bold]")


@app.command("import")
def import_(
    context: typer.Context,
    mapping: Annotated[
        Path, typer.Argument(metavar="MAPPING", help="Mapping file (TOML); docs/mapping.md is its manual.")
    ],
    data: Annotated[Path | None, typer.Option(help="Folder of the data files; default: the mapping's own.")] = None,
    bulk: Annotated[
        bool | None,
        typer.Option(
            "--bulk/--no-bulk",
            help="Keep touchpoints as a Parquet partition beside the store, or as rows of it; "
            "default: a partition where their files are large. docs/history.md says more.",
        ),
    ] = None,
) -> None:
    """Load files as a mapping says; the same again changes nothing."""
    from data.sources.importing import import_mapping
    from data.sources.mapping import read_mapping
    from data.store.operational import Store

    read = read_mapping(mapping, data)
    with Store.open(context.obj) as store, _bar() as bar:
        result = import_mapping(read, store, context.obj, now=now(), progress=_told(bar), bulk=bulk)
    _show(result)


def _show(result: ImportResult) -> None:
    grid = Grid("table", "accepted", "unchanged", "rejected", "conflicts", title="Imported")
    for name, counts in result.counts.items():
        figures = (counts.accepted, counts.unchanged, counts.rejected, counts.conflicts)
        grid.add_row(name, *(f"{figure:,}" for figure in figures))
    for column in grid.columns[1:]:
        column.justify = "right"
    _screen.print(grid)
    if result.bulk:
        _screen.print("touchpoints went to a partition beside the store (--no-bulk keeps them as rows of it)")
    for file, columns in result.kept_out.items():
        _screen.print(f"kept out, known only after the outcome ({file}): {', '.join(columns)}", highlight=False)
    for file, columns in result.undeclared.items():
        _screen.print(f"not declared, not used ({file}): {', '.join(columns)}", highlight=False)
    if result.rejected_file:
        _screen.print(f"rejected rows and reasons: {result.rejected_file}", highlight=False)


def _bar() -> Bar:
    shown = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[so_far]}"),
        TimeElapsedColumn(),
    )
    return Bar(*shown, console=_messages, transient=True)


def _told(bar: Bar) -> Callable[..., None]:
    """A progress callback that shows one line a thing being done."""
    tasks: dict[str, TaskID] = {}

    def tell(what: str, done: int = 0, of: int = 0) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=of or None, so_far="")
        bar.update(tasks[what], completed=done, so_far=f"{done:,}" + (f" of {of:,}" if of else "") if done else "")

    return tell
