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
