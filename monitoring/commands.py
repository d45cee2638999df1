"""`leadscore monitor` and `leadscore retune`; the clock is read here and heavy packages are loaded inside."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from data.clock import now
from data.times import parse_instant

if TYPE_CHECKING:
    from data.home import Home
    from monitoring.action import Retuning

app = typer.Typer(no_args_is_help=True)
_screen = Console(highlight=False)
_messages = Console(stderr=True, highlight=False)


class Lang(StrEnum):
    ja = "ja"
    en = "en"


Target = Annotated[str | None, typer.Option(help="Outcome whose champion is meant; default won, or the only target.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", help="ISO time, or row:N for data without dates; default now. Windows end at its midnight."
    ),
]
Language = Annotated[Lang, typer.Option(help="Language of the report.")]


@app.command()
def monitor(
    ctx: typer.Context,
    window: Annotated[
        str | None,
        typer.Option(help="Whole weeks, such as 7d (default) or 28d; row:N (default row:2000) for data without dates."),
    ] = None,
    as_of: AsOf = None,
    target: Target = None,
    lang: Language = Lang.en,
    history: Annotated[
        str | None,
        typer.Option(
            help="What to read instead of the store: a snapshot's folder, one of Parquet tables, or an Ibis URL "
            "such as duckdb://FILE (docs/history.md)."
        ),
    ] = None,
) -> None:
    """Has the world changed? A window of recent leads against the champion's training slice, and what to do about it.

    Writes an Evidently page and a JSON report under the home folder's `reports`
    and keeps a row in the store. The same window and data give the same run.
    """
    from monitoring.report import table, three_lines
    from monitoring.run import monitored

    home: Home = ctx.obj
    with _messages.status("monitor") as status:
        found = monitored(
            home,
            target=target,
            window=window,
            as_of=_instant(home, as_of),
            now=now(),
            progress=lambda step: status.update(f"monitor: {step}"),
            history=history,
        )
    for line in three_lines(found, lang.value):
        _screen.print(line, markup=False, soft_wrap=True)
    _screen.print(table(found, lang.value))
    for reason in (*found["decision"]["noted"], *found["decision"]["silent"]):
        _screen.print(f"· {reason[lang.value]}", style="dim", markup=False)
    _screen.print(f"history: snapshot {found['snapshot']}", soft_wrap=True)
    if since := found.get("withdrawn_since"):
        _screen.print(f"{since:,} leads left out of it: consent withdrawn since it was taken")
    page = home.reports / found["page"]
    _screen.print(f"{page}\n{page.with_suffix('.json')}", markup=False, soft_wrap=True)


@app.command()
def retune(
    ctx: typer.Context,
    capacity: Annotated[
        float | None,
        typer.Option(help="Leads a week sales can take (in row time, of each hundred); default as in force."),
    ] = None,
    call_cost: Annotated[
        float | None, typer.Option(min=0, help="Threshold from profit: what following up one lead costs.")
    ] = None,
    deal_value: Annotated[
        float | None, typer.Option(min=0, help="With --call-cost: value of a won deal; default as in force.")
    ] = None,
    precision: Annotated[
        float | None, typer.Option(help="Threshold at which this share of the leads handed over has the outcome.")
    ] = None,
    as_of: AsOf = None,
    target: Target = None,
    by_schedule: Annotated[
        bool, typer.Option("--by-schedule", help="As a job runs it: nothing is put in force while frozen.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Put the new policy in force, or only show it.")
    ] = True,
    undo: Annotated[bool, typer.Option("--undo", help="Put the policy before the last retune in force again.")] = False,
    lang: Language = Lang.en,
) -> None:
    """Chooses the hand-over threshold anew on recent leads; needs no outcomes.

    Without options it aims at what the policy in force aims at: a capacity,
    profit, or a precision.

    Within a week the threshold's odds move by at most a factor of 2; `--undo`
    takes a retune back.
    """
    from monitoring.action import retuned, taken_back
    from training.aims import Aim, chosen_aim

    home: Home = ctx.obj
    if undo:
        _tell_retune(taken_back(home, target=target, now=now()), lang)
        return
    asked = chosen_aim(capacity, call_cost, deal_value, precision)
    with _messages.status("retune") as status:
        done = retuned(
            home,
            target=target,
            capacity=None,
            aim=None if asked == Aim() else asked,
            by_schedule=by_schedule,
            as_of=_instant(home, as_of),
            apply=apply,
            now=now(),
            progress=lambda step: status.update(f"retune: {step}"),
        )
    _tell_retune(done, lang)
    if done.deployment is not None:
        _note_freeze(home)


def _note_freeze(home: Home) -> None:
    """A freeze does not stop people, but they are told."""
    from data.store.freezing import frozen
    from data.store.operational import Store

    with Store.open(home) as store:
        freeze = frozen(store)
    if freeze is not None:
        _screen.print(f"note: {freeze.text()}", markup=False, soft_wrap=True)


def _instant(home: Home, text: str | None) -> int | None:
    if text is None:
        return None
    from data.store.operational import Store

    with Store.open(home) as store:
        company = store.company()
    return company.instant(text) if company else parse_instant(text)


def _tell_retune(done: Retuning, lang: Lang) -> None:
    for line in _retune_lines(done, lang):
        _screen.print(line, markup=False, soft_wrap=True)


def _retune_lines(done: Retuning, lang: Lang) -> list[str]:
    from monitoring.action import MOST_MOVE

    ja = lang is Lang.ja
    lines = [f"{'しきい値' if ja else 'threshold'}: {done.old.threshold:.4f} → {done.new.threshold:.4f}"]
    if done.handovers_old is not None and done.handovers_new is not None:
        words = "引き渡し(週あたり、直近の実績で試算)" if ja else "hand-overs a week, on recent weeks"
        lines.append(f"{words}: {done.handovers_old:.1f} → {done.handovers_new:.1f}")
    if done.capped:
        lines.append(
            f"変更幅の上限(1週間にオッズで{MOST_MOVE:g}倍)を適用。上限なしでは{done.asked:.4f}"
            if ja
            else f"capped at a factor of {MOST_MOVE:g} in odds a week; without the cap it would be {done.asked:.4f}"
        )
    return [*lines, _retune_end(done, ja=ja)]


def _retune_end(done: Retuning, *, ja: bool) -> str:
    if done.deployment is not None:
        undo = f"leadscore retune --undo --target {done.target}"
        row, policy = done.deployment.deployment_id, done.deployment.policy_id
        if ja:
            return f"適用しました(配備{row}、ポリシー{policy})。元に戻す: {undo}"
        return f"in force (deployment {row}, policy {policy}); to take it back: {undo}"
    if done.stopped_by is not None:
        text = done.stopped_by.text()
        return f"凍結中のため何も変更していません({text})" if ja else f"{text}; nothing was changed"
    if not done.changes:
        return "変更はありません" if ja else "nothing to change"
    return "試算のみ。何も変更していません" if ja else "dry run: nothing was changed"
