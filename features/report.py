"""Findings and verdicts as tables on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from features.suspicion import NEVER_FILLED

if TYPE_CHECKING:
    from data.doctor import Finding
    from features.firewall import Verdict
    from features.items import Items

_COLOURS = {"refuse": "red", "warn": "yellow", "ok": "green", "block": "red", "flag": "yellow", "allow": "green"}


def show_findings(screen: Console, findings: Sequence[Finding]) -> None:
    table = Table("level", "subject", "what", "evidence", "next", title="Data doctor", title_justify="left")
    for finding in findings:
        cells = (finding.subject, finding.what, finding.evidence, finding.next_step)
        table.add_row(_coloured(finding.level), *(escape(cell) for cell in cells))
    screen.print(table)


def show_verdicts(screen: Console, verdicts: Sequence[Verdict]) -> None:
    """What is blocked or flagged, one line each; what is allowed only as a count."""
    table = Table("verdict", "target", "column or feature", "evidence", title="Leak firewall", title_justify="left")
    for verdict in verdicts:
        if verdict.level != "allow":
            evidence = "\n".join(verdict.evidence)
            if verdict.allowed_because:
                evidence += f"\nallowed by the mapping: {verdict.allowed_because}"
            table.add_row(_coloured(verdict.level), verdict.target, escape(verdict.subject), escape(evidence))
    if table.row_count:
        screen.print(table)
    for verdict in verdicts:
        for note in verdict.notes:
            if note != NEVER_FILLED:
                screen.print(f"{escape(verdict.subject)} ({verdict.target}) {escape(note)}")
    counts: Counter[str] = Counter(verdict.level for verdict in verdicts)
    screen.print(", ".join(f"{counts[level]} {word}" for level, word in _WORDS.items()))


_WORDS = {"block": "columns blocked", "flag": "flagged", "allow": "allowed"}


def _coloured(level: str) -> str:
    return f"[{_COLOURS[level]}]{level}[/]"


_WORDS_FOR_ITEMS = {
    "stop": ("収集をやめられる", "could stop", "green"),
    "undecided": ("まだ言えない", "cannot tell", "yellow"),
    "keep": ("役立っている", "helps", "default"),
}


def show_items(screen: Console, items: Items) -> None:
    """Collected fields by how much they help; those that could be given up first."""
    targets = list(items.findings[0].gains) if items.findings else []
    title = "Fields that never helped forward in time  収集をやめられる項目"
    table = Table(
        "", "field 項目", "what", "filled", *(f"gain ({t})" for t in targets), title=title, title_justify="left"
    )
    order = list(_WORDS_FOR_ITEMS)
    for found in sorted(items.findings, key=lambda f: (order.index(f.word), f.item.sort, f.item.name)):
        ja, en, colour = _WORDS_FOR_ITEMS[found.word]
        gains = [_interval(found.shares[t]) for t in targets]
        filled = f"{100 * found.item.filled:.1f}%"
        table.add_row(f"[{colour}]{ja} {en}[/]", escape(found.item.name), found.item.sort, filled, *gains)
    screen.print(table)
    screen.print(
        "gain: what later outcomes cost more without the field, in % of what all fields together save; "
        "two standard errors either side"
    )
    if items.to_stop:
        names = ", ".join(f.item.name for f in items.to_stop)
        cost = "; ".join(f"{t}: {_interval(items.together[t])}" for t in targets)
        screen.print(f"収集をやめられる項目 could stop: {escape(names)} (all of them together cost {cost})")
    else:
        screen.print("収集をやめられると言える項目はありません。 No field can be said to be of no use.")


def _interval(share: tuple[float, float]) -> str:
    low, high = (100 * s for s in share)
    return f"{low:+.1f} … {high:+.1f}%"
