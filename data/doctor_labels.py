"""Examines outcomes: how many have matured, from when and until when they were recorded, whether their rate moves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from data.company import Target
from data.doctor import Finding, Ward, percent
from data.tables import TERMINAL_STAGES
from data.times import DAY, WEEK, render_instant

FEWEST = 40
"""Outcomes below which only a points scorer is trained."""
MOVED = 2.0
"""Highest rate of a tenth against the lowest, from which the base rate is said to move."""


OPEN_FOR_EVER = 0.5
"""Share of old leads that never ended, from which it is said although some are given up."""
GIVEN_UP = ("lost", "disqualified")


def findings(ward: Ward) -> list[Finding]:
    found = [finding for target in ward.company.targets for finding in _of_target(ward, target)]
    return [*found, *(_never_ends(ward) if ward.company.targets and len(ward.stages) else ())]


def _of_target(ward: Ward, target: Target) -> Iterator[Finding]:
    reached = ward.reached(target).to_numpy()
    if not np.isfinite(reached).any():
        step = f"map the stage {target.stage!r}: which column or file says that it was reached?"
        yield Finding(
            "refuse", f"target {target.name}", "no lead has ever reached it", f"{len(ward.leads):,} leads", step
        )
        return
    yield _maturity(ward, target)
    if not ward.by_row:
        yield from _left_truncation(ward, target, reached)
        yield from _right_censoring(ward, target, reached)
        yield from _stops(ward, target, reached)
    yield from _moving_rate(ward, target)


def recorded_from(ward: Ward) -> int:
    """Declared start of the recording of outcomes; 0 where none is declared."""
    return ward.company.history_from.get("stage_changes", 0)


def _maturity(ward: Ward, target: Target) -> Finding:
    since = ward.leads["occurred_at"].to_numpy() >= recorded_from(ward)
    matured = ward.matured(target) & since
    won = int((matured & ward.won(target)).sum())
    horizon = "" if ward.by_row else f" within {target.horizon // DAY} days of creation"
    evidence = f"{int(matured.sum()):,} leads matured, {won:,} with the outcome{horizon}"
    if not since.all():
        evidence += f" (created since {_day(ward, recorded_from(ward))})"
    if won >= FEWEST:
        return Finding("ok", f"target {target.name}", "labels have matured", evidence)
    what = f"fewer than {FEWEST} matured outcomes: training falls back to a points scorer without probabilities"
    return Finding("warn", f"target {target.name}", what, evidence, "bring in older history, or shorten the horizon")


def _left_truncation(ward: Ward, target: Target, reached: NDArray[np.float64]) -> Iterator[Finding]:
    """Outcomes recorded only from a day long after the first leads."""
    created = ward.leads["occurred_at"].to_numpy()
    if not _begins_late(created, reached):
        return
    first = float(np.nanmin(reached))
    before, after = created < first, created >= first
    rates = [percent(float(np.isfinite(reached[part]).mean())) for part in (before, after)]
    evidence = (
        f"first outcome {_day(ward, first)}, first lead {_day(ward, created.min())}; of {int(before.sum()):,} leads "
        f"created before it {rates[0]} have the outcome, of later ones {rates[1]}"
    )
    declared = recorded_from(ward)
    what = (
        "outcomes were recorded only from a day long after the first leads (left truncation): "
        "earlier leads look worse than they were"
    )
    if declared:
        yield Finding("ok", f"target {target.name}", what + f"; declared from {_day(ward, declared)}", evidence)
    else:
        step = f'leave earlier cohorts out: company.history_from = {{ stage_changes = "{_day(ward, first)}" }}'
        yield Finding("warn", f"target {target.name}", what, evidence, step)


def _begins_late(created: NDArray[np.int64], reached: NDArray[np.float64]) -> bool:
    """Whether outcomes should have been there before the first one recorded: at least five of them."""
    first = float(np.nanmin(reached))
    after = created >= first
    rate = float(np.isfinite(reached[after]).mean()) if after.any() else 0.0
    # Leads so old that half of their outcomes should have come before the first one.
    expected = 0.5 * rate * float((created < first - np.nanmedian(reached - created)).sum())
    return expected >= 5 and first - created.min() >= 30 * DAY


def _right_censoring(ward: Ward, target: Target, reached: NDArray[np.float64]) -> Iterator[Finding]:
    immature = ~ward.matured(target)
    created = ward.leads["occurred_at"].to_numpy()
    # Delays of leads from before the recording began are seen only where they are long.
    whole = created >= max(recorded_from(ward), np.nanmin(reached) if _begins_late(created, reached) else 0)
    coming = outcomes_to_come(reached[whole], created[whole], ward.as_of)
    share = float(immature.mean())
    if share < 0.05 and coming < 0.1:
        return
    evidence = (
        f"{int(immature.sum()):,} of {len(immature):,} leads ({percent(share)}) are younger than horizon and lag: "
    )
    evidence += f"created after {_day(ward, ward.as_of - target.horizon - target.recording_lag)}"
    if coming >= 0.02:
        evidence += (
            f"; by the pace of earlier ones at least {percent(coming)} of the outcomes of all leads are still to come"
        )
    what = (
        "recent leads have not had their time (right censoring): they are left out of training, never counted as lost"
    )
    yield Finding("ok" if share < 0.5 else "warn", f"target {target.name}", what, evidence)


def outcomes_to_come(reached: NDArray[np.float64], created: NDArray[np.int64], as_of: int) -> float:
    """Estimated share of the leads' outcomes that lies after `as_of`; those slower than the oldest lead do not count.

    Delays are seen only when shorter than the lead's age (right truncation);
    their distribution is estimated by reverse-time hazards (Lynden-Bell 1971;
    Lagakos, Barraj and De Gruttola 1988), conditional on the longest age.
    """
    won = np.isfinite(reached)
    if won.sum() < 20:
        return 0.0
    days = np.maximum((reached[won] - created[won]) // DAY, 0).astype(int)
    ages = ((as_of - created[won]) // DAY).astype(int)
    cumulative = delay_distribution(days, ages)
    seen = cumulative[np.minimum(ages, len(cumulative) - 1)]
    total = float((1 / np.maximum(seen, 1e-3)).sum())
    return max(0.0, 1 - won.sum() / total)


def delay_distribution(days: NDArray[np.int64], ages: NDArray[np.int64]) -> NDArray[np.float64]:
    """F(d), the share of delays of at most d days, for d = 0 … the greatest age; 1 at its end."""
    longest = int(max(days.max(), ages.max()))
    events = np.bincount(days, minlength=longest + 1)
    begun = np.cumsum(events)
    ended = np.concatenate([[0], np.cumsum(np.bincount(np.maximum(ages, days), minlength=longest + 1))[:-1]])
    at_risk = begun - ended
    keeps = 1 - np.divide(events, at_risk, out=np.zeros(longest + 1), where=at_risk > 0)
    keeps[days.min()] = 1.0
    after = np.concatenate([np.cumprod(keeps[::-1])[::-1][1:], [1.0]])
    after[: int(days.min())] = 0.0
    return after


def _stops(ward: Ward, target: Target, reached: NDArray[np.float64]) -> Iterator[Finding]:
    times = np.sort(reached[np.isfinite(reached)])
    if len(times) < 20:
        return
    silence = ward.as_of - times[-1]
    usual = float(np.quantile(np.diff(times), 0.99))
    if silence > max(2 * WEEK, 3 * usual):
        last, here = _day(ward, times[-1]), _day(ward, ward.as_of)
        evidence = f"last outcome {last}, as of {here}: {silence / DAY:.0f} days without one"
        step = f"import newer outcomes, or work as of the day the data end (--as-of {_day(ward, times[-1] + DAY)})"
        yield Finding("warn", f"target {target.name}", "outcomes stop before the as-of time", evidence, step)


def _never_ends(ward: Ward) -> Iterator[Finding]:
    """Old leads that were neither won nor given up: a history that names no losses leaves leads open for ever."""
    longest = max(ward.company.targets, key=lambda t: t.horizon + t.recording_lag)
    old = ward.matured(longest)
    ends = ward.stages[ward.stages["stage"].isin(TERMINAL_STAGES)]
    over = ward.leads["lead_id"].isin(ends["lead_id"]).to_numpy()
    given_up = int(ends["stage"].isin(GIVEN_UP).sum())
    share = float((~over[old]).mean()) if old.any() else 0.0
    if old.sum() < FEWEST or share < (OPEN_FOR_EVER if given_up else 0.05):
        return
    what = (
        "most old leads never ended, neither won nor given up: they stay open, are scored and fill the lists"
        if given_up
        else "no lead is ever given up: all that were not won stay open for ever, are scored and fill the lists"
    )
    aged = "" if ward.by_row else f" created before {_day(ward, ward.as_of - longest.horizon - longest.recording_lag)}"
    evidence = (
        f"{int((~over[old]).sum()):,} of {int(old.sum()):,} leads{aged} ({percent(share)}) never ended; "
        f"{given_up:,} changes to {' or '.join(GIVEN_UP)} are recorded"
    )
    step = 'map what says that a lead was given up: [[files.stages]] with words = { "…" = "lost" } or "disqualified"'
    yield Finding("warn", "leads", what, evidence, step)


def _moving_rate(ward: Ward, target: Target) -> Iterator[Finding]:
    """The rate of matured leads by tenth, in order of creation."""
    since = ward.leads["occurred_at"].to_numpy() >= recorded_from(ward)
    won = ward.won(target)[ward.matured(target) & since]
    if won.sum() < FEWEST or len(won) < 200:
        return
    tenths = np.array_split(won, 10)
    rates, overall = np.array([t.mean() for t in tenths]), won.mean()
    noise = np.array([np.sqrt(overall * (1 - overall) / len(t)) for t in tenths])
    moved = rates.max() > MOVED * max(rates.min(), 1e-9) and np.abs((rates - overall) / noise).max() > 5
    evidence = f"by tenth of the leads in order of time: {', '.join(percent(r) for r in rates)}"
    if moved:
        what = (
            f"the base rate moves over time, from {percent(rates[0])} in the first tenth to {percent(rates[-1])} "
            "in the last: random splits flatter, and probabilities learnt from the past will be off"
        )
        yield Finding("warn", f"target {target.name}", what, evidence, "judge forward in time only; retrain often")
    else:
        yield Finding("ok", f"target {target.name}", "the base rate holds over time", evidence)


def _day(ward: Ward, at: float) -> str:
    return render_instant(int(at), ward.company.timezone)[:10]
