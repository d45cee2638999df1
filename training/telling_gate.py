"""What `promote` prints before anything changes, and what `train` says is sensible next."""

from __future__ import annotations

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from data.store.deployments import Deployment
from training.gate import Gate
from training.pipeline import LEAST_OUTCOMES
from training.registry import Version
from training.regrading import Regraded

_COLOURS = {"holds": "green", "no loss shown": "green", "loses": "red", "undecided": "yellow"}


def gate_table(gate: Gate) -> Table:
    """One row an opponent; differences are challenger minus opponent, so that positive is worse."""
    table = Table(title="gate: log loss against each opponent, positive is worse", title_justify="left")
    for head in ("opponent", "scored by", "rows", "outcomes", "difference", "tolerance", "verdict"):
        table.add_column(head, justify="right" if head in ("rows", "outcomes", "difference", "tolerance") else "left")
    for c in gate.comparisons:
        figures = (f"{c.rows:,}", f"{c.outcomes:,}", f"{c.difference:+.4f} ± {c.error:.4f}", f"{c.tolerance:.4f}")
        colour = _COLOURS[c.verdict]
        verdict = f"[{colour}]{c.verdict}[/{colour}]" + (f": {escape(c.note)}" if c.note else "")
        table.add_row(c.opponent, c.stood_for_by, *(figures if c.rows else ("–",) * 4), verdict)
    return table


def gate_lines(gate: Gate) -> Iterator[str]:
    if gate.agreement is not None:
        colour = "green" if gate.agreement.within else "red"
        yield f"refitted on all matured rows, against what was tested: [{colour}]{gate.agreement.text()}[/{colour}]"
    for note in gate.notes:
        yield f"[yellow]{escape(note)}[/yellow]"
    undecided = [c.opponent for c in gate.comparisons if c.verdict == "undecided"]
    if undecided:
        yield (
            f"[yellow]not decided against {', '.join(undecided)}: no loss was shown, so you may promote it; "
            "nothing promotes it by itself[/yellow]"
        )


def regraded_lines(found: Regraded | None) -> Iterator[str | Table]:
    """Who changes grade, with examples."""
    if found is None:
        yield "no champion yet: no grade changes"
        return
    sample = f" (a sample of {found.of:,})" if found.of > found.leads else ""
    yield (
        f"grades: {found.changed:,} of {found.leads:,} {found.population}{sample} change; "
        f"{found.newly_handed_over:,} come above the threshold, {found.no_longer_handed_over:,} fall below it"
    )
    if not found.moves:
        return
    table = Table()
    for head in ("from", "to", "leads", "examples: lead, probability before → after"):
        table.add_column(head, justify="right" if head == "leads" else "left")
    for move in found.moves:
        shown = "\n".join(f"{escape(e.lead_id)}  {e.before:.3f} → {e.after:.3f}" for e in move.examples)
        table.add_row(move.grade_before, move.grade_after, f"{move.leads:,}", shown)
    yield table


def next_line(version: Version, champion: Deployment | None, *, outcomes: int, proven: bool) -> str:
    """What is sensible after a training run; `champion` is what was in force before it."""
    if not proven:
        missing = LEAST_OUTCOMES - outcomes
        head = f"unproven: {outcomes} outcomes are known, {missing} more are needed for a probability"
        if champion is None:
            return f"{head}. Next: [bold]leadscore train[/bold] again when they are there"
        return f"{head}; the champion (version {champion.model_version}) stays"
    if champion is None:
        return "Next: [bold]leadscore score --out scores.csv[/bold]"
    return (
        f"the champion (version {champion.model_version}) stays. Next: "
        f"[bold]leadscore compare {champion.model_version} {version.number}[/bold], then "
        f"[bold]leadscore promote {version.number} --dry-run[/bold], which shows the gate and whose grade would change"
    )
