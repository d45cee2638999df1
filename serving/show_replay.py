"""A replay on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data.errors import DataRefused, NotFound
from data.times import render_instant
from serving.replay import TOLERANCE, Findings, Report


def show_report(console: Console, report: Report, source: str) -> None:
    """Counts, the greatest difference, and the first rows that did not come back."""
    table = Table(title=f"Replayed from {source}", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for words, figure in _lines(report, source):
        table.add_row(words, figure)
    console.print(table)
    _show_findings(console, "did not come back", report.wrong)
    _show_findings(console, "have other feature values in the history now", report.other_features)
    if report.features:
        counted = ", ".join(f"{name} {count:,}" for name, count in report.features.most_common(5))
        console.print(f"features that differ most often: {counted}")


def refuse_unless_same(report: Report) -> None:
    """Raises NotFound where there was nothing to replay, DataRefused where a row did not come back."""
    if report.rows == 0:
        raise NotFound("answers to replay", "none", expected="at least one in the ledger for these options")
    if report.wrong.count:
        raise DataRefused(
            "replay",
            f"{report.wrong.count:,} of {report.rows:,} answers that do not come back",
            expected="every answer again",
            remedy="compare the rows named above with a restored backup of the ledger and the bundles",
        )


def _lines(report: Report, source: str) -> list[tuple[str, str]]:
    to = "to the last bit" if source == "features" else f"to {TOLERANCE:g}"
    lines = [
        ("answers", f"{report.rows:,}"),
        ("without figures (no consent, past the target)", f"{report.without_figures:,}"),
        (f"came back {to}", f"{report.same:,}"),
        ("did not come back", f"{report.wrong.count:,}"),
        ("greatest difference in log-odds", f"{report.greatest:.3g}"),
    ]
    if source == "history":
        lines += [
            ("lead not in the history (sent whole, or erased)", f"{report.not_in_history:,}"),
            ("other feature values in the history now", f"{report.other_features.count:,}"),
            ("flipped leaves", f"{report.flipped_leaves:,} of {report.trees:,}"),
        ]
    return lines


def _show_findings(console: Console, words: str, findings: Findings) -> None:
    if not findings.count:
        return
    console.print(f"answers that {words}" + (f" (the first {len(findings.first)})" if findings.count > 1 else "") + ":")
    for found in findings.first:
        row = found.row
        console.print(
            escape(
                f"  {render_instant(row.scored_at)} {row.channel} {row.request_id} lead {row.lead_id} "
                f"{row.target}: {found.what}"
            ),
            soft_wrap=True,
        )
