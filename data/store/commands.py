"""Commands that keep what is stored: `backup`, `restore`, `migrate`, `ledger prune`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from data.clock import now
from data.home import Home
from data.settings import Settings
from data.times import DAY, render_instant

app = typer.Typer(no_args_is_help=True)
ledger_app = typer.Typer(no_args_is_help=True, help="The record of every answer given.")
app.add_typer(ledger_app, name="ledger")
_screen = Console(highlight=False, soft_wrap=True)
_messages = Console(stderr=True)


@app.command()
def backup(
    context: typer.Context,
    place: Annotated[
        Path, typer.Argument(metavar="FILE_OR_FOLDER", help="File to write, or a folder for one named by the time.")
    ],
) -> None:
    """Write a backup of this home while others go on reading and writing; it holds contact data (mode 0600)."""
    from data.store.backup import back_up, backup_file
    from data.store.ledger import Ledger
    from data.store.operational import Store

    home, started = _home(context), now()
    path = backup_file(place, started)
    with Store.open(home) as store, Ledger.open(home) as ledger, _bar() as bar:
        done = back_up(store, ledger, home, path, now=started, progress=_told(bar))
    _screen.print(f"{sum(done.rows.values()):,} rows and {done.files:,} files in {done.path} ({done.bytes:,} bytes)")
    _screen.print(f"to restore it: leadscore --home EMPTY_FOLDER restore {done.path}")


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `leadscore backup` wrote.")],
) -> None:
    """Put a backup into an empty home, on SQLite or, with LEADSCORE_DATABASE_URL, on PostgreSQL."""
    from data.store.restore import restore as restored

    home = _home(context)
    with _bar() as bar:
        done = restored(file, home, progress=_told(bar))
    _screen.print(
        f"{sum(done.rows.values()):,} rows and {done.files:,} files, as of {render_instant(done.made_at)}, "
        f"restored to {home.path}"
    )


@app.command()
def migrate(context: typer.Context) -> None:
    """Bring an older store and ledger up to date with this release; up-to-date ones are left alone."""
    from data.store.ledger import migrate_ledger
    from data.store.operational import migrate as migrate_store

    home = _home(context)
    for name, (before, after) in (("store", migrate_store(home)), ("ledger", migrate_ledger(home))):
        changed = before != after and before
        _screen.print(f"the {name} went from {before} to {after}" if changed else f"the {name} is up to date")


@ledger_app.command()
def prune(
    context: typer.Context,
    days: Annotated[
        int | None, typer.Option(min=1, help="Keep answers of so many days; default: LEADSCORE_LEDGER_DAYS.")
    ] = None,
) -> None:
    """Delete answers, and whole batch runs, that are older than they are to be kept."""
    from data.store.ledger import Ledger

    kept = Settings().ledger_days if days is None else days
    if not kept:
        _screen.print("answers are kept for ever (LEADSCORE_LEDGER_DAYS is 0): nothing deleted")
        return
    with Ledger.open(_home(context)) as ledger, _messages.status("deleting old answers"):
        gone = ledger.prune(before=now() - kept * DAY)
    _screen.print(f"deleted {gone.answers:,} online answers and {gone.runs:,} batch runs older than {kept} days")


def _home(context: typer.Context) -> Home:
    home: Home = context.obj
    return home


def _bar() -> Progress:
    shown = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*shown, console=_messages, transient=True)


def _told(bar: Progress) -> Callable[[str, int, int], None]:
    tasks: dict[str, TaskID] = {}

    def tell(what: str, done: int, of: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=of)
        bar.update(tasks[what], completed=done, total=of)

    return tell
