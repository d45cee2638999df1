"""What `train`, `models` and `compare` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from data.times import render_instant
from training.bundle import Bundle
from training.dates import when
from training.evaluation import Report
from training.fitting import COMPONENTS, Fitted
from training.pipeline import Trained
from training.policy import Policy
from training.registry import Version

BETTER_LOW = ("log_loss", "brier", "ece")
SHOWN = ("auc", "pr_auc", "log_loss", "brier", "ece")
HEADS = {"auc": "ROC-AUC", "pr_auc": "PR-AUC", "log_loss": "log loss", "brier": "Brier", "ece": "ECE(10)"}


def data_lines(trained: Trained) -> Iterator[str]:
    """What it was trained on and what was left out, one fact a line."""
    history, found = trained.history, trained.history.labelled
    yield from history.snapshot.lines()
    yield (
        f"known before {when(history, history.as_of)}: {len(found.rows):,} matured rows, "
        f"{history.outcomes:,} lead cycles reached {history.target.stage}"
    )
    if found.immature or found.past_target:
        yield f"left out: {found.immature:,} rows not matured, {found.past_target:,} past the target"
    if found.recorded_from is not None:
        how = "found in the data" if found.detected else "declared"
        yield (
            f"[yellow]outcomes are recorded only from {when(history, found.recorded_from)} ({how}): "
            f"{found.before_recording:,} rows before that are left out[/yellow]"
        )
    if len(trained.matrix) < len(found.rows):
        yield f"sampled {len(trained.matrix):,} of {len(found.rows):,} rows, every lead's first row kept (seeded)"
    left_out = set(trained.matrix.declarations) - set(trained.bundle.declarations)
    kept = trained.fitted is not None and trained.bundle.manifest["options"]["monotone"]
    rising = [d.name for d in left_out if kept and not d.keeps_decay_guarantee]
    if len(left_out) > len(rising):
        yield f"{len(left_out) - len(rising)} features have one value only and were dropped"
    if rising:
        names = ", ".join(sorted(rising))
        yield f"left out, so that behaviour never rises by waiting alone: {names} (--no-monotone takes them in)"


def slice_lines(trained: Trained) -> Iterator[str]:
    """The dates of each backtest slice."""
    assert trained.fitted is not None
    fitted, history = trained.fitted, trained.history
    if fitted.backtest.kind != "forward":
        yield (
            "[yellow]too little history for slices whose past has matured: "
            f"the backtest is {fitted.backtest.kind}[/yellow]"
        )
    if fitted.backtest.kind == "random by group":
        yield f"{len(fitted.slices)} random slices"
        return
    for number, fold in enumerate(fitted.backtest.folds, 1):
        yield (
            f"slice {number}: cycles from {when(history, fold.begins)} to {when(history, fold.ends)}, "
            f"{len(fold.test):,} rows; trained on {len(fold.train):,}"
        )


def comparison_table(report: Report) -> Table:
    """Every rung forward in time, best of each column in bold."""
    table = Table(title="forward in time, slices pooled", title_justify="left")
    for head in ("rung", *(HEADS[name] for name in SHOWN), "AUC at creation"):
        table.add_column(head, justify="left" if head == "rung" else "right")
    best = {name: _best(report.rungs.values(), name) for name in SHOWN}
    for rung, found in report.rungs.items():
        cells = [_cell(getattr(found, name), best[name]) for name in SHOWN]
        table.add_row(rung, *cells, f"{report.creation[rung].auc:.3f}")
    return table


def weights_line(fitted: Fitted) -> str:
    parts = [f"{name} {w:.2f}" for name, w in zip(COMPONENTS, fitted.choice.weights, strict=True) if w]
    return f"weights of the blend: {', '.join(parts)}; calibration: {fitted.scorer.calibration.method}"


def gain_lines(trained: Trained) -> Iterator[str]:
    assert trained.fitted is not None
    assert trained.report is not None
    report, found = trained.report, trained.fitted.proof.honest
    first = report.deciles[0]
    yield f"gain over the constant rate: {found.gain:.4f} ± {found.gain_error:.4f} in log loss (standard error)"
    if not trained.fitted.proof.forward:
        yield (
            "[yellow]not beyond noise forward in time: leads of one time can be told apart, but what told them apart "
            "did not hold later. These probabilities are little more than the recent rate; retrain often[/yellow]"
        )
    yield f"best tenth: {first.lift:.1f} times the mean rate, {first.captured:.0%} of the outcomes"
    yield (
        f"optimism gap: a random split would show AUC {report.random_split.auc:.3f} "
        f"instead of {report.rungs['blend'].auc:.3f}"
    )


def policy_line(policy: Policy) -> str:
    word = "points" if policy.method == "points" else "probability"
    return (
        f"threshold: {word} {policy.threshold:.4f} (interval {policy.threshold_low:.4f}–{policy.threshold_high:.4f}), "
        f"{_reach(policy)}; B from {policy.cut_b:.4f}, C from {policy.cut_c:.4f}"
    )


def _reach(policy: Policy) -> str:
    """What it hands over, and what it was chosen from."""
    if policy.capacity_per_week is not None:
        return f"hands over about {policy.handovers_per_week:.0f} a week (capacity {policy.capacity_per_week:g})"
    if policy.call_cost is not None:
        aim = f"a call costs {policy.call_cost:g}, a deal brings {policy.deal_value:g}"
    elif policy.precision is not None:
        aim = f"precision {policy.precision:g}"
    else:
        return "hands over the best share of the rows; there are no weeks"
    weekly = f"hands over about {policy.handovers_per_week:.0f} a week" if policy.handovers_per_week else "of all rows"
    return f"{weekly} ({aim})"


def deal_lines(bundle: Bundle) -> list[str]:
    """What an expected value rests on, and how long deals take."""
    if bundle.deals is None:
        return []
    amounts, days, lines = bundle.deals.deals.amounts, bundle.deals.deals.days, []
    if amounts is not None:
        how = "by who the lead is" if amounts.by_profile else "the mean: nothing known beforehand says more"
        lines.append(
            f"expected value: amounts of {amounts.deals:,} deals, {how}; "
            f"four in five lie between {amounts.low:.2f} and {amounts.high:.2f} times what is expected"
        )
    if days is not None:
        stages = "".join(f", {stage} {q[1]:.0f}" for stage, q in days.by_stage.items())
        low, middle, high = days.every
        lines.append(f"days to the outcome: median {middle:.0f} (quartiles {low:.0f}–{high:.0f}){stages}")
    return lines


def versions_table(versions: Sequence[Version], in_force: dict[str, str]) -> Table:
    """`in_force`: target → bundle hash of the champion."""
    table = Table()
    for head in ("target", "version", "registered", "bundle", "ROC-AUC", "log loss", ""):
        # The hash is what people copy: it is never cut, however narrow the terminal.
        table.add_column(head, no_wrap=head == "bundle", min_width=12 if head == "bundle" else None)
    for v in versions:
        marks = ["champion" if in_force.get(v.target) == v.bundle_hash else ""]
        marks += ["unproven"] if v.tags.get("proven") == "false" else []
        figures = [_metric(v, "blend.auc", 3), _metric(v, "blend.log_loss", 4)]
        at = render_instant(v.registered_at)[:16].replace("T", " ")
        table.add_row(v.target, v.number, at, v.bundle_hash[:12], *figures, ", ".join(m for m in marks if m))
    return table


def difference_table(a: Version, b: Version) -> Table:
    table = Table()
    for head in ("", f"version {a.number}", f"version {b.number}", "difference"):
        table.add_column(head)
    for name in ("bundle_hash", "snapshot", "as_of", "proven"):
        left, right = a.tags.get(name, "")[:16], b.tags.get(name, "")[:16]
        table.add_row(name.replace("_", " "), left, right, "" if left == right else "differs")
    for name in SHOWN:
        key = f"blend.{name}"
        if key in a.metrics and key in b.metrics:
            change = b.metrics[key] - a.metrics[key]
            table.add_row(HEADS[name], f"{a.metrics[key]:.4f}", f"{b.metrics[key]:.4f}", f"{change:+.4f}")
    return table


def _metric(version: Version, name: str, digits: int) -> str:
    return f"{version.metrics[name]:.{digits}f}" if name in version.metrics else "–"


def _best(found: object, name: str) -> float:
    values = [getattr(f, name) for f in found]  # type: ignore[attr-defined]
    return min(values) if name in BETTER_LOW else max(values)


def _cell(value: float, best: float) -> str:
    return f"[bold]{value:.4f}[/bold]" if value == best else f"{value:.4f}"
