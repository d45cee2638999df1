"""The front door: one command, `leadscore`, mounting each room's commands.

Only here are the clock's stand-ins, exit codes and the home folder decided:
exit 0 done, 1 the data or the model was refused, 2 wrong usage.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import traceback
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table
from typer._click.exceptions import ClickException

from data.commands import app as data_commands
from data.errors import DataRefused, LeadscoreError, StoreUnavailable, UsageError
from data.home import Home
from data.settings import Settings
from features.commands import app as feature_commands
from monitoring.commands import app as monitoring_commands
from serving.commands import app as serving_commands
from training.commands import app as training_commands

VERSION = "0.1.0"
DONE, REFUSED, MISUSED = 0, 1, 2
WITHOUT_HOME = ("mapping", "simulate", "bench-quality")
"""Commands that read and write elsewhere: they leave no empty home behind."""
TELEMETRY_OFF = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "True"}

console = Console(highlight=False)

app = typer.Typer(
    name="leadscore",
    help="Predictive lead scoring a company runs itself. Start with `leadscore demo`; each command has its own --help.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for room in (data_commands, feature_commands, training_commands, serving_commands, monitoring_commands):
    app.add_typer(room)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"leadscore {VERSION}")
        raise typer.Exit


@app.callback()
def enter(
    ctx: typer.Context,
    home: Annotated[
        Path | None, typer.Option("--home", help="Home folder of one company; else LEADSCORE_HOME, else .leadscore")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    settings = Settings()
    place = Path(home or settings.home)
    needed = ctx.invoked_subcommand not in WITHOUT_HOME
    ctx.obj = Home.at(place, settings.database_url) if needed else Home(place.expanduser().absolute())


@app.command()
def demo(
    ctx: typer.Context,
    leads: Annotated[int, typer.Option(help="Leads to simulate.", min=2_000)] = 12_000,
    seed: Annotated[int, typer.Option(help="Seed of the simulated company.")] = 1,
) -> None:
    """The whole job on a simulated company: import, check, train, score, serve, watch. At most three minutes."""
    started = time.monotonic()
    history = ctx.obj.path / "history"
    os.environ["LEADSCORE_NOW"] = _end_of_demo_history(history)
    if not (history / "mapping.toml").exists():
        _step(ctx.obj, f"simulate --leads {leads} --seed {seed} --end {os.environ['LEADSCORE_NOW']} --out {history}")
    _step(ctx.obj, f"import {history / 'mapping.toml'}")
    for line in _demo_commands(ctx.obj):
        _step(ctx.obj, line)
    with _serving(ctx.obj) as url:
        answers = _ask_for_the_best(url, ctx.obj.path / "scores.csv")
    _show_demo_result(ctx.obj, answers)
    console.print(f"\nDone in {time.monotonic() - started:.0f} s.")


def _end_of_demo_history(history: Path) -> str:
    """The instant up to which the demo's company was simulated: last midnight in Tokyo when it first ran."""
    noted = history / "end.txt"
    if not noted.exists():
        history.mkdir(parents=True, exist_ok=True)
        today = datetime.now(ZoneInfo("Asia/Tokyo")).replace(hour=0, minute=0, second=0, microsecond=0)
        noted.write_text(today.isoformat())
    return noted.read_text().strip()


def _demo_commands(home: Home) -> list[str]:
    """What is still to be done after the import, as the command lines a user would type."""
    lines = ["check", f"features --as-of {os.environ['LEADSCORE_NOW']}"]
    lines[-1] += f" --out {home.path / 'features.parquet'}"
    if not _is_deployed(home):
        lines.append("train")
    return [*lines, f"score --out {home.path / 'scores.csv'}", "monitor"]


def _is_deployed(home: Home) -> bool:
    """Whether a model is in force; a training run that was interrupted leaves a bundle and no deployment."""
    from data.store.operational import Store

    with Store.open(home) as store:
        return store.deployment("won") is not None


def _step(home: Home, line: str) -> None:
    """Run one command line as a user would, showing it; the demo ends where a step is refused."""
    console.rule(f"[bold]leadscore {line}", align="left")
    started = time.monotonic()
    code = run(["--home", str(home.path), *shlex.split(line)])
    if code != DONE:
        raise typer.Exit(code)
    console.print(f"[dim]{time.monotonic() - started:.1f} s[/]")


@contextlib.contextmanager
def _serving(home: Home) -> Iterator[str]:
    """The real service on a free port of this machine, for as long as the block runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    console.rule(f"[bold]leadscore serve --open --port {port}", align="left")
    log = home.path / "service.log"
    with log.open("wb") as output:
        service = subprocess.Popen(
            [sys.executable, str(Path(__file__)), "--home", str(home.path), "serve", "--open", "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}", service, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        if service.poll() is None:
            os.killpg(service.pid, signal.SIGTERM)
            service.wait(timeout=30)


def _wait_until_ready(url: str, service: subprocess.Popen[bytes], log: Path, patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and service.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)  # polling a real condition against a deadline
    raise StoreUnavailable("the service", "no answer from /readyz", remedy=f"read {log}")


def _ask_for_the_best(url: str, scores: Path, how_many: int = 10) -> list[dict[str, Any]]:
    """Ask the endpoint, as an application would, for the leads the batch run put first."""
    with scores.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["target"] == "won" and row["probability"]]
    best = sorted(rows, key=lambda row: -float(row["probability"]))[:how_many]
    if not best:
        raise DataRefused("the demo", "no open lead with a probability", remedy="simulate more: --leads 12000")
    answers = [_ask(url, row["lead_id"], row["as_of"]) for row in best]
    request = json.dumps({"lead_id": best[0]["lead_id"]})
    console.print(f"curl -s {url}/v1/score -H 'content-type: application/json' -d '{request}'", highlight=False)
    console.print_json(json.dumps(answers[0], ensure_ascii=False))
    return answers


def _ask(url: str, lead_id: str, as_of: str) -> dict[str, Any]:
    body = json.dumps({"lead_id": lead_id, "as_of": as_of}).encode()
    request = urllib.request.Request(f"{url}/v1/score", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def _show_demo_result(home: Home, answers: list[dict[str, Any]]) -> None:
    table = Table(title="The ten best leads today  本日の優先リード", show_lines=True)
    for heading in ("", "lead", "grade", "probability", "two top reasons"):
        table.add_column(heading, justify="right" if heading == "probability" else "left")
    for rank, answer in enumerate(answers, start=1):
        won = next(target for target in answer["targets"] if target["target"] == "won")
        top = [reason for reason in won["reasons"] if reason["direction"] == "up"][:2]
        words = [f"{reason['text_ja']}\n[dim]{reason['text_en']}[/]" for reason in top]
        table.add_row(str(rank), answer["lead_id"], won["grade"], f"{won['probability']:.1%}", "\n".join(words))
    console.print(table)
    console.print("Files:", *[f"  {_shown(path)}" for path in _demo_files(home)], sep="\n", soft_wrap=True)
    command = f"{_shown(Path(sys.argv[0]))} --home {shlex.quote(_shown(home.path))}"
    best = answers[0]["lead_id"]
    tries = [f"explain {best}", f"explain {best} --lang en", "models", "serve --open", "tracking", "retune --help"]
    console.print("Try next:", *[f"  {command} {line}" for line in tries], sep="\n", soft_wrap=True)


def _shown(path: Path) -> str:
    """As a user would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else str(path)


def _demo_files(home: Home) -> list[Path]:
    """What the demo wrote for people to read."""
    reports = sorted(path for path in home.reports.rglob("*") if path.suffix in {".html", ".md", ".json"})
    return [home.path / "scores.csv", home.path / "features.parquet", *reports]


def arguments_with_home_first(arguments: list[str]) -> list[str]:
    """`--home DIR` may stand anywhere on the line; the parser wants it before the command."""
    rest: list[str] = []
    found: list[str] = []
    pending = iter(arguments)
    for argument in pending:
        if argument == "--home":
            found += ["--home", next(pending, "")]
        elif argument.startswith("--home="):
            found.append(argument)
        elif argument == "--":
            rest += [argument, *pending]
        else:
            rest.append(argument)
    return found + rest


def run(arguments: list[str]) -> int:
    """Carry out one command line and give its exit code; every refusal is one message on stderr."""
    complain = Console(stderr=True, highlight=False, soft_wrap=True)
    for switch, off in TELEMETRY_OFF.items():
        os.environ.setdefault(switch, off)  # a user's own setting stands; commands import such packages later
    try:
        code = app(args=arguments_with_home_first(arguments), standalone_mode=False)
        return code if isinstance(code, int) else DONE
    except typer.Exit as leave:
        return leave.exit_code
    except UsageError as error:
        complain.print(f"[bold red]wrong usage:[/] {_plain(error)}")
        return MISUSED
    except LeadscoreError as error:
        complain.print(f"[bold red]refused:[/] {_plain(error)}")
        return REFUSED
    except ClickException as error:
        error.show()  # the parser's own words: unknown command, missing or malformed option
        return MISUSED
    except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        complain.print(f"[bold red]wrong usage:[/] {_plain(error)}: a file or folder that can be used was expected")
        return MISUSED
    except (KeyboardInterrupt, typer.Abort):
        complain.print("stopped by you; what was committed stays, nothing else was changed")
        return 130
    except Exception as error:
        complain.print(f"[bold red]a fault in leadscore itself:[/] {type(error).__name__}: {_plain(error)}")
        complain.print("Set LEADSCORE_DEBUG=1 to see where, and please report it.")
        if os.environ.get("LEADSCORE_DEBUG"):
            traceback.print_exc()
        return REFUSED


def _plain(error: Exception) -> str:
    """The message with rich's markup brackets disarmed."""
    return str(error).replace("[", "\\[")


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
