"""`leadscore bench-quality`: the whole procedure and its peers, measured where the truth is known and on real files."""

from __future__ import annotations

import json
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from data.errors import UsageError

app = typer.Typer()
_screen = Console(highlight=False)
_messages = Console(stderr=True, highlight=False)
WIDE = 200


@app.command("bench-quality")
def bench_quality(
    datasets: Annotated[
        Path | None, typer.Option(help="Folder of the real sets; without it, the simulator alone.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only cases whose name holds this; may be given several times.")
    ] = None,
    rolling: Annotated[bool, typer.Option(help="Also refit at every 5% of the history, all peers too.")] = False,
    quick: Annotated[bool, typer.Option(help="Three small simulated cases without CatBoost, under a minute.")] = False,
    out: Annotated[Path | None, typer.Option(help="File to write all figures to, as JSON.")] = None,
    place: Annotated[Path | None, typer.Option(help="Folder to work in and keep; default a temporary one.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the procedure.")] = 0,
) -> None:
    """Measure the procedure against its peers: forward in time, in random folds, against the simulator's truth."""
    from training.fitting import Options
    from training.peers import catboost_is_here, peers
    from training.quality import Result, measure
    from training.quality_cases import cases, quick_cases
    from training.quality_sources import Sources

    against = {name: fit for name, fit in peers().items() if not quick or name != "CatBoost"}
    if not catboost_is_here():
        _screen.print("CatBoost is absent here, so it is not among the peers")
    with nullcontext(str(place)) if place else tempfile.TemporaryDirectory() as folder, _bar() as bar:
        task = bar.add_task("")
        tell = lambda text: bar.update(task, description=text)  # noqa: E731
        sources = Sources(Path(folder), datasets, tell=tell)
        wanted = quick_cases(sources) if quick else cases(sources)
        wanted = [c for c in wanted if quick or rolling or only or c.kind != "rolling"]
        wanted = [c for c in wanted if not only or any(words in c.name for words in only)]
        if not wanted:
            raise UsageError(
                "--only", ", ".join(only or ()), expected="a word in the name of a case, such as bank or simulator"
            )
        for line in _absent(sources, {c.needs for c in wanted if c.needs}):
            _screen.print(line, soft_wrap=True)
        found: list[Result] = []
        for case in wanted:
            if case.needs and not sources.has(case.needs):
                continue
            found.append(measure(case, against, Options(seed=seed), tell=tell))
            bar.console.print(_line(found[-1]), soft_wrap=True)
            if out:
                out.write_text(json.dumps([r.to_dict() for r in found], indent=1) + "\n", encoding="utf-8")
    _show(found)


def _absent(sources: object, needed: set[str]) -> list[str]:
    from training.quality_sources import FOLDERS, Sources

    assert isinstance(sources, Sources)
    missing = sorted(FOLDERS[n] for n in needed if not sources.has(n))
    if not missing:
        return []
    where = f"in {sources.datasets}" if sources.datasets else "since no --datasets FOLDER is given"
    return [f"real sets absent {where}: {', '.join(missing)}; what needs them is left out"]


def _line(result: object) -> str:
    from training.quality import OURS, Result

    assert isinstance(result, Result)
    figures = result.figures[OURS]
    return (
        f"{result.case}: log loss {figures.log_loss:.4f}, {result.difference:+.4f} to {result.best_peer} "
        f"({result.low:+.4f} … {result.high:+.4f}), {result.verdict}; {figures.seconds:.0f} s"
    )


def _show(found: list) -> None:
    from training.quality_telling import figure_rows, screen_table, summary_lines, verdict_rows

    if not found:
        return
    screen = Console(highlight=False, width=max(WIDE, _screen.width)) if not _screen.is_terminal else _screen
    for name, title in (("log_loss", "Log loss"), ("auc", "AUC"), ("ece", "ECE (10 bins)")):
        screen.print(screen_table(title, figure_rows(found, name)))
    screen.print(screen_table("Ours against the best peer", verdict_rows(found)))
    for line in summary_lines(found):
        screen.print(line, soft_wrap=True)


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=_messages, transient=True
    )
