"""The tables of `leadscore bench-quality`: for the screen, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.table import Table

from training.quality import ORACLE, OURS, POINTS, PRIOR, Quality, Result, tally

OTHERS = (OURS, POINTS, ORACLE)


def methods(results: Sequence[Result]) -> list[str]:
    """Peers in their order, then ours; what stands beside (points, the oracle) is not among them."""
    names = dict.fromkeys(n for r in results for n in r.figures if n not in OTHERS)
    return [*names, OURS]


def figure_rows(results: Sequence[Result], figure: str) -> list[list[str]]:
    """A heading and one row a case: `figure` (auc, log_loss, ece) of every method."""
    names = methods(results)
    rows = [["case", "n", "rate", *names]]
    for r in results:
        cells = [_cell(getattr(r.figures[n], figure)) if n in r.figures else "–" for n in names]
        rows.append([r.case, f"{r.rows:,}", f"{r.base_rate:.1%}", *cells])
    return rows


def verdict_rows(results: Sequence[Result]) -> list[list[str]]:
    """A heading and one row a case: ours against the best peer, calibration, the oracle's parts, the points rung."""
    rows = [
        [
            "case",
            "fits",
            "best peer",
            "ours − it, log loss",
            "95% interval",
            "",
            "ECE",
            "at most",
            "of oracle",
            "− points",
        ]
    ]
    for r in results:
        part = r.part_of_oracle(OURS)
        rows.append(
            [
                r.case,
                str(r.fits),
                r.best_peer,
                f"{r.difference:+.4f}",
                f"{r.low:+.4f} … {r.high:+.4f}",
                r.verdict,
                f"{r.figures[OURS].ece:.3f}",
                f"{max(0.03, r.ece_chance):.3f}" if r.one_regime else "–",
                f"AUC {part[0]:.1%}, gain {part[1]:.1%}" if part else "",
                f"{r.of_points:+.4f}" if r.of_points is not None else "",
            ]
        )
    return rows


def summary_lines(results: Sequence[Result]) -> list[str]:
    count = tally(results)
    lines = [
        f"against the best peer of each of {len(results)} cases, chosen in hindsight: better in {count['better']}, "
        f"not worse beyond the interval in {count['not worse']}, worse in {count['worse']}"
    ]
    names = methods(results)
    ranks = mean_ranks(results)
    lines.append(
        "mean rank by log loss: " + ", ".join(f"{n} {ranks[n]:.2f}" for n in sorted(names, key=ranks.__getitem__))
    )
    asked = [r for r in results if r.calibrated is not None]
    if asked:
        lines.append(f"calibrated in {sum(bool(r.calibrated) for r in asked)} of {len(asked)} cases of one regime")
    return lines


def mean_ranks(results: Sequence[Result]) -> dict[str, float]:
    """1 is best."""
    names = methods(results)
    losses = np.array([[_loss(r.figures.get(n)) for n in names] for r in results])
    ranks = 1 + (losses[:, :, None] > losses[:, None, :]).sum(axis=2)
    return dict(zip(names, ranks.mean(axis=0).tolist(), strict=True))


def screen_table(title: str, rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*rows[0], title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows[1:]:
        table.add_row(*row)
    return table


def markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *map(list, rows[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: float) -> str:
    return f"{value:.4f}" if value < 10 else f"{value:.1f}"


def _loss(quality: Quality | None) -> float:
    return quality.log_loss if quality else float("inf")


assert PRIOR not in OTHERS
