"""The model card: what a model is, was trained on, may be trusted for; Markdown kept with the version."""

from __future__ import annotations

from data.times import render_duration, render_instant, row_number
from training.bundle import Bundle
from training.evaluation import Report
from training.fitting import Fitted
from training.policy import Policy
from training.rows import History


def when(history: History, at: int) -> str:
    """An instant in the company's time zone; in row time the number of rows known then."""
    company = history.snapshot.company
    return f"row {row_number(at)}" if company.time == "row" else render_instant(at, company.timezone)


def model_card(history: History, bundle: Bundle, policy: Policy, fitted: Fitted | None, report: Report | None) -> str:
    """Markdown in English; figures are the procedure's, forward in time."""
    parts = [_what(history, bundle), _data(history)]
    if fitted is not None and report is not None:
        parts += [_composition(fitted), _figures(history, fitted, report)]
    parts += [_policy(policy), _limits(bundle)]
    return "\n\n".join(parts) + "\n"


def _what(history: History, bundle: Bundle) -> str:
    horizon = "with its row" if history.snapshot.company.time == "row" else f"within {render_duration(bundle.horizon)}"
    kind = "a calibrated probability" if bundle.proven else "points without a probability: too few outcomes so far"
    return (
        f"# Model card: {bundle.target}\n\n"
        f"Predicts whether a lead reaches the stage `{history.target.stage}` {horizon}; gives {kind}.\n"
        f"Bundle `{bundle.hash}`, schema `{bundle.manifest['schema_hash'][:16]}`, {len(bundle.declarations)} features."
    )


def _data(history: History) -> str:
    found = history.labelled
    lines = [
        "## Trained on",
        "",
        f"- what was recorded before {when(history, history.as_of)}, snapshot `{history.snapshot.hash}`",
        f"- {len(found.rows):,} matured rows, {history.outcomes:,} lead cycles with the outcome",
        f"- left out: {found.immature:,} rows not matured, {found.past_target:,} past the target, "
        f"{found.before_recording:,} from before outcomes were recorded",
    ]
    if found.recorded_from is not None:
        how = "found in the data" if found.detected else "declared"
        lines.append(f"- outcomes recorded from {when(history, found.recorded_from)} ({how})")
    return "\n".join(lines)


def _composition(fitted: Fitted) -> str:
    described = fitted.choice.described()
    rows = "\n".join(f"| {name} | {weight:.3f} |" for name, weight in described["weights"].items())
    members = ", ".join([*described["LightGBM"], *described["LightGBM on logistic"]]) or "none"
    calibration = fitted.scorer.calibration
    return (
        f"## Composition\n\n| part | weight in the margin |\n|---|---|\n{rows}\n\n"
        f"Members: {described['logistic']}; {described['recent logistic']}; {members}.\n"
        f"Calibration: {calibration.method} (slope {calibration.slope:.3f}, shift {calibration.shift:+.3f})."
    )


def _figures(history: History, fitted: Fitted, report: Report) -> str:
    slices = "\n".join(
        f"- {when(history, f.begins)} to {when(history, f.ends)}: {len(f.test):,} rows" for f in fitted.backtest.folds
    )
    rows = "\n".join(
        f"| {name} | {f.auc:.3f} | {f.pr_auc:.3f} | {f.log_loss:.4f} | {f.brier:.4f} | {f.ece:.3f} |"
        for name, f in report.rungs.items()
    )
    return (
        f"## Figures of the procedure ({fitted.backtest.kind})\n\n{slices}\n\n"
        f"| rung | ROC-AUC | PR-AUC | log loss | Brier | ECE |\n|---|---|---|---|---|---|\n{rows}\n\n"
        f"Gain over the constant rate {fitted.proof.honest.gain:.4f} ± {fitted.proof.honest.gain_error:.4f} "
        "(standard error, by account or lead). "
        f"A random split would have shown an AUC higher by {report.optimism_gap:+.3f}."
    )


def _policy(policy: Policy) -> str:
    capacity = "" if policy.capacity_per_week is None else f" for {policy.capacity_per_week:g} hand-overs a week"
    return (
        f"## Operating policy `{policy.policy_id}`\n\nThreshold {policy.threshold:.4f}{capacity} "
        f"(interval {policy.threshold_low:.4f} to {policy.threshold_high:.4f}); "
        f"expected yield {policy.expected_yield:.3f}. "
        f"Grades: A from {policy.cut_a:.4f}, B from {policy.cut_b:.4f}, C from {policy.cut_c:.4f}."
    )


def _limits(bundle: Bundle) -> str:
    return (
        "## Limits\n\nA prediction from past results, not a statement of cause. It holds while leads, their recording "
        "and the market stay as they were"
        + ("." if bundle.proven else "; unproven until at least 40 outcomes are known.")
    )
