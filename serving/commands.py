"""Commands of this room: serve, score, replay, explain."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from data.clock import now
from data.errors import UsageError
from data.home import Home
from data.settings import Settings
from data.times import DAY, parse_instant

if TYPE_CHECKING:
    from data.company import Company
    from data.store.ledger import Ledger
    from data.store.snapshots import Snapshot
    from serving.scoring_run import Summary

app = typer.Typer()
console = Console(highlight=False)

Lang = Annotated[str, typer.Option("--lang", help="Words in Japanese (ja) or English (en).")]
Targets = Annotated[list[str] | None, typer.Option("--target", help="Target to score; else all that are deployed.")]


@app.command()
def serve(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65_535)] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    open_: Annotated[
        bool, typer.Option("--open", help="Let anyone who reaches the address ask, without a key: for demos.")
    ] = False,
) -> None:
    """Start the scoring service: POST /v1/score, /livez, /readyz, /metrics."""
    if not _is_loopback(host) and not open_:
        raise UsageError(
            "--host",
            host,
            expected="an address of this machine only, such as 127.0.0.1, while there are no API keys",
            remedy="put a proxy that checks who asks in front, or say --open if anyone on that network may",
        )
    home: Home = ctx.obj
    _pass_on(home)
    listening = _listening(host, port)
    _say_where(listening)
    _keep_out_what_serving_does_not_need()
    from serving.service import serve as serve_until_stopped

    serve_until_stopped(listening)


def _keep_out_what_serving_does_not_need() -> None:
    """This process only serves: LightGBM would load these where they are installed, for seconds and 100 MB."""
    for name in ("sklearn", "pandas", "matplotlib", "dask", "dask.array"):
        if name not in sys.modules:
            sys.modules[name] = None  # type: ignore[assignment]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        if host == "localhost":
            return True
        raise UsageError("--host", host, expected="an IP address, or localhost") from None


def _pass_on(home: Home) -> None:
    """The service reads its home from the environment, as it does when BentoML starts it."""
    os.environ["LEADSCORE_HOME"] = str(home.path)
    if home.database_url:
        os.environ["LEADSCORE_DATABASE_URL"] = home.database_url
    # BentoML keeps a folder of its own, by default in the user's home.
    os.environ.setdefault("BENTOML_HOME", str(home.path / "bentoml"))


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise UsageError(
            "--port",
            port,
            expected=f"a free port on {host} ({error.strerror})",
            remedy="choose another; 0 takes a free one",
        ) from None
    return listening


def _say_where(listening: socket.socket) -> None:
    address, port = listening.getsockname()[:2]
    url = f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
    console.print(f"leadscore serves at {url} (ready when {url}/readyz answers 200; Ctrl-C stops it)", soft_wrap=True)
    console.print(
        f"""ask: curl -s {url}/v1/score -H 'content-type: application/json' -d '{{"lead_id": "…"}}'""", soft_wrap=True
    )


@app.command()
def score(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="File to write, .csv or .parquet.")],
    as_of: Annotated[
        str | None,
        typer.Option(
            help='As of a time, else now; "creation": each lead right after its creation; "row:N" without dates.'
        ),
    ] = None,
    created_from: Annotated[
        str | None, typer.Option(help="Only leads created at or after this time (or row:N).")
    ] = None,
    target: Targets = None,
    lang: Lang = "ja",
    top: Annotated[
        int | None, typer.Option("--top", "--limit", help="Only the N most probable, best first.", min=1)
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(
            help="What to read instead of the store: a snapshot's folder, one of Parquet tables, or an Ibis URL "
            "such as duckdb://FILE (docs/history.md)."
        ),
    ] = None,
) -> None:
    """Score all open leads, or each lead as it was known right after its creation, to a file."""
    from data.store.ledger import Ledger
    from data.store.operational import Store
    from data.store.plain import chosen_history
    from serving.batch import Run
    from serving.champion import champions
    from serving.population import History, When
    from serving.score_file import ScoreFile
    from serving.scoring_run import Asked, run_champions
    from serving.withdrawals import Withdrawals

    started, words = now(), _language(lang)
    _refuse_unreadable(as_of, created_from)
    home: Home = ctx.obj
    with Store.open(home) as store, Ledger.open(home) as ledger, ScoreFile(out) as file, _progress() as progress:
        step = progress.add_task("loading models and history", total=None)
        in_force = list(champions(store, home, target or ()).values())
        heard = Withdrawals(store, history_from_store=history is None)
        snapshot = chosen_history(store, home, history, now=started)
        when = When.asked(as_of, created_from, snapshot.company, started)
        run = Run(f"score-{started}-{secrets.token_hex(4)}", started, words)
        only_open = snapshot.company.time == "row" and as_of is None and created_from is None
        asked = Asked(when, run, only_open, top)
        told = lambda doing, done, total: progress.update(step, description=doing, completed=done, total=total)  # noqa: E731
        read = History.of(snapshot, home)
        summaries = run_champions(in_force, read, snapshot.company, asked, file, ledger, told, heard)
        old = _prune(ledger, started)
    for line in (*snapshot.lines(), *_summary_lines(summaries, snapshot), f"{file.rows:,} rows in {out}", old):
        if line:
            console.print(line, soft_wrap=True)


def _summary_lines(summaries: Iterable[Summary], snapshot: Snapshot) -> Iterator[str]:
    for summary in summaries:
        unscored = f"; {summary.past_target} past the target, {summary.no_consent} without consent: no score"
        yield f"{summary.target}: {summary.rows:,} leads" + (
            unscored if summary.past_target + summary.no_consent else ""
        )
    if left_out := snapshot.manifest["consent"]["leads_left_out"]:
        yield f"{left_out:,} leads left out: no consent for scoring"


def _prune(ledger: Ledger, started: int) -> str:
    """Deletes answers that are older than they are to be kept, except in a rehearsal; says so where there were any."""
    settings = Settings()
    if settings.now or not settings.ledger_days:
        return ""
    gone = ledger.prune(before=started - settings.ledger_days * DAY)
    if not gone.answers + gone.runs:
        return ""
    return f"deleted {gone.answers:,} answers and {gone.runs:,} batch runs older than {settings.ledger_days} days"


class From(StrEnum):
    features = "features"
    history = "history"


@app.command()
def replay(
    ctx: typer.Context,
    from_: Annotated[
        From,
        typer.Option(
            "--from", help="The feature values stored with each answer (bit for bit), or the history (to 1e-9)."
        ),
    ] = From.features,
    target: Annotated[str | None, typer.Option("--target", help="Only answers for this target.")] = None,
    since: Annotated[str | None, typer.Option(help="Only answers given at or after this time.")] = None,
    until: Annotated[str | None, typer.Option(help="Only answers given before this time.")] = None,
    lead: Annotated[str | None, typer.Option(help="Only answers about this lead.")] = None,
) -> None:
    """Compute the ledger's answers again and compare; exit 1 where one does not come back."""
    from data.store.ledger import Ledger
    from data.store.operational import Store
    from serving.judges import Judges
    from serving.replay import replay_features, replay_history, rows_of
    from serving.show_replay import refuse_unless_same, show_report

    home: Home = ctx.obj
    with Store.open(home) as store, Ledger.open(home) as ledger, _progress() as progress:
        company = store.company()
        span = [None if at is None else _instant(at, company) for at in (since, until)]
        rows = rows_of(ledger, target=target, since=span[0], until=span[1], lead=lead)
        step = progress.add_task(f"replaying from {from_.value}", total=None)
        told = lambda done: progress.update(step, completed=done)  # noqa: E731
        judges = Judges(store, home)
        report = (
            replay_features(rows, judges, told) if from_ == From.features else replay_history(rows, store, judges, told)
        )
    show_report(console, report, from_.value)
    refuse_unless_same(report)


def _instant(text: str, company: Company | None) -> int:
    return parse_instant(text) if company is None or company.time == "row" else company.instant(text)


def _refuse_unreadable(*times: str | None) -> None:
    """What no company could mean by a time is wrong usage, also where there is no model yet."""
    for text in times:
        if text is not None and text != "creation":
            parse_instant(text)


def _language(text: str) -> Literal["ja", "en"]:
    if text == "ja":
        return "ja"
    if text == "en":
        return "en"
    raise UsageError("--lang", repr(text), expected="ja or en")


def _progress() -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


@app.command()
def explain(
    ctx: typer.Context,
    lead_id: Annotated[str, typer.Argument(help="Id of the lead, or source:external_id.")],
    target: Targets = None,
    lang: Lang = "ja",
    as_of: Annotated[
        str | None, typer.Option(help='As of a time, else now; "creation": right after its creation.')
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every reason, not only the most telling.")] = False,
) -> None:
    """One lead in words: grade, score, plain odds, what speaks for it and what against it."""
    from data.people.consent import Consents
    from data.store.history import lead_creation, lead_history
    from data.store.operational import Store
    from serving.answer import Asked, answer_lead
    from serving.champion import champions
    from serving.intake import right_after
    from serving.show import show_answer

    instant, words = now(), _language(lang)
    _refuse_unreadable(as_of)
    home: Home = ctx.obj
    with Store.open(home) as store, console.status("loading"):
        in_force = list(champions(store, home, target or ()).values())
        company = in_force[0].bundle.company
        if as_of == "creation" or (as_of is None and company.time == "row"):
            at = right_after(*lead_creation(store, lead_id))
        else:
            at = instant if as_of is None else company.instant(as_of)
        history = lead_history(store, lead_id, as_of=at)
        born = right_after(history.occurred_at, history.recorded_at)
        if at < born:
            expected = f"{company.told(born)} or later, when the lead was known"
            raise UsageError("--as-of", company.told(at), expected=expected)
        may_score = Consents.of_lead(store, history.lead_id).allow_then_and_now(history.lead_id, as_of=at, now=instant)
        asked = Asked("explain", at, instant, words, all_)
        answers = [answer_lead(force, history, asked, may_score=may_score)[0] for force in in_force]
    for answer in answers:
        show_answer(console, history.lead_id, answer, words)
        console.print()
