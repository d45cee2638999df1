"""The decision as a table: evidence in, one action out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from monitoring.decision import RULES, decide
from monitoring.evidence import Evidence, Feed, Freshness, Guardrail, Matured, OperatingPoint, Shift, VersionChange
from monitoring.shifts import shifts_of

STILL = Shift("x", psi=0.01, critical=0.05, share_moved=0.02, p_value=0.6, p_adjusted=0.9)
MOVED = Shift("x", psi=0.9, critical=0.05, share_moved=0.3, p_value=1e-4, p_adjusted=1e-3)
SURE_BUT_SLIGHT = replace(MOVED, share_moved=0.01)
EMPTIED = replace(MOVED, column="industry", missing=0.9, missing_reference=0.1)
UNSEEN = replace(MOVED, column="channel", unseen=0.4)

INSIDE = OperatingPoint(handovers_per_week=41, low=30, high=50, capacity_per_week=40)
OUTSIDE = replace(INSIDE, handovers_per_week=12)

RIGHT = Matured(
    rows=5_000, conversions=300, base_rate=0.06, predicted=0.061, auc=0.78, auc_bound=0.74,
    log_loss=0.21, log_loss_bound=0.23, ece=0.004, ece_bound=0.012, lift=3.0,
)  # fmt: skip
MISCALIBRATED = replace(RIGHT, base_rate=0.12, ece=0.06)
WORSE = replace(RIGHT, auc=0.6, log_loss=0.3)
TOO_FEW = replace(WORSE, rows=120, conversions=7)

MODEL = VersionChange("model", "promote", at=1, by="someone", can_be_undone=True, score=MOVED)
MODEL_LIKE_BEFORE = replace(MODEL, score=STILL)
POLICY = VersionChange("policy", "retune", at=1, by="someone", can_be_undone=True)
FIRST = replace(MODEL, can_be_undone=False)

QUIET = Evidence(
    rows=1_000, reference_rows=10_000, features=(STILL,), score=STILL, guardrails=(), operating=INSIDE,
    moved=(), matured=RIGHT,
)  # fmt: skip

BROKEN = (Guardrail("skew", value=0.2, limit=1e-6),)


@pytest.mark.parametrize(
    ("change", "action", "rule"),
    [
        ({}, "nothing", "quiet"),
        # covariate drift alone: tell, nothing else
        ({"features": (MOVED,)}, "tell", "covariate"),
        ({"features": (EMPTIED,)}, "tell", "emptied"),
        ({"features": (UNSEEN,)}, "tell", "unseen"),
        ({"features": (SURE_BUT_SLIGHT,)}, "nothing", "quiet"),
        ({"features": (MOVED,), "rows": 20}, "nothing", "quiet"),
        ({"feeds": (Feed("page_view", count=3, low=100, high=200),)}, "tell", "feed"),
        ({"feeds": (Feed("page_view", count=2_000, low=100, high=200),)}, "tell", "feed"),
        ({"feeds": (Feed("page_view", count=150, low=100, high=200),)}, "nothing", "quiet"),
        ({"freshness": Freshness(6.0, 1.5, "2026-05-01T00:00:00+09:00")}, "tell", "stale"),
        ({"freshness": Freshness(2.0, 1.5, "2026-05-01T00:00:00+09:00")}, "nothing", "quiet"),
        # scores move: harmless inside the capacity interval, a retune outside
        ({"score": MOVED}, "tell", "scores"),
        ({"score": MOVED, "operating": OUTSIDE}, "retune", "handovers"),
        ({"score": MOVED, "operating": OUTSIDE, "matured": None}, "retune", "handovers"),
        ({"score": MOVED, "operating": OUTSIDE, "rows": 20}, "tell", "operating_point"),
        ({"operating": OUTSIDE}, "tell", "operating_point"),
        # a term of the policy moved
        ({"moved": ("capacity",)}, "retune", "policy_term"),
        ({"moved": ("cost",), "matured": TOO_FEW}, "retune", "policy_term"),
        ({"moved": ("base_rate",), "matured": MISCALIBRATED}, "recalibrate", "calibration"),
        # matured outcomes
        ({"matured": MISCALIBRATED}, "recalibrate", "calibration"),
        ({"matured": WORSE, "worse_windows": 1}, "tell", "worse_once"),
        ({"matured": WORSE, "worse_windows": 2}, "retrain", "worse_than_own_bound"),
        ({"matured": replace(MISCALIBRATED, log_loss=0.3), "worse_windows": 2}, "recalibrate", "calibration"),
        ({"matured": replace(RIGHT, log_loss=0.3), "worse_windows": 2}, "retrain", "worse_than_own_bound"),
        ({"matured": TOO_FEW, "worse_windows": 2}, "nothing", "quiet"),
        ({"matured": None}, "nothing", "quiet"),
        # what begins at a version change is undone
        ({"change": MODEL}, "roll_back", "version_change"),
        ({"change": MODEL_LIKE_BEFORE}, "nothing", "quiet"),
        ({"change": POLICY, "operating": OUTSIDE}, "roll_back", "version_change"),
        ({"change": POLICY, "operating": INSIDE}, "nothing", "quiet"),
        ({"guardrails": BROKEN}, "roll_back", "guardrail"),
        ({"guardrails": BROKEN, "change": FIRST}, "tell", "guardrail"),
        # the world moved, not the version: the same model gives other scores
        ({"change": MODEL, "score": MOVED}, "tell", "scores"),
        ({"change": FIRST}, "nothing", "quiet"),
        # the most urgent action wins
        ({"guardrails": BROKEN, "matured": WORSE, "worse_windows": 3}, "roll_back", "guardrail"),
        ({"matured": WORSE, "worse_windows": 2, "score": MOVED, "operating": OUTSIDE}, "retrain",
         "worse_than_own_bound"),
        ({"matured": MISCALIBRATED, "score": MOVED, "operating": OUTSIDE}, "recalibrate", "calibration"),
    ],
)  # fmt: skip
def test_decision_table(change: dict[str, Any], action: str, rule: str) -> None:
    decision = decide(replace(QUIET, **change))
    assert (decision.action, decision.reasons[0].rule) == (action, rule)


@pytest.mark.parametrize(
    ("action", "level"),
    [("nothing", "OK"), ("tell", "watch"), ("retune", "act"), ("roll_back", "act")],
)
def test_each_action_has_its_level(action: str, level: str) -> None:
    evidence = {
        "nothing": QUIET,
        "tell": replace(QUIET, features=(MOVED,)),
        "retune": replace(QUIET, moved=("cost",)),
        "roll_back": replace(QUIET, guardrails=BROKEN),
    }
    assert decide(evidence[action]).level == level


def test_outranked_findings_are_noted() -> None:
    decision = decide(replace(QUIET, features=(EMPTIED,), score=MOVED, operating=OUTSIDE))
    assert decision.action == "retune"
    assert "emptied" in {reason.rule for reason in decision.noted}


def test_rules_without_evidence_say_so() -> None:
    decision = decide(Evidence(rows=10, reference_rows=100))
    assert {r.rule for r in decision.silent} == {"guardrail", "operating_point", "policy_term", "matured", "drift"}
    assert decide(QUIET).silent == ()


def test_frozen_still_says_what_it_would_do_and_does_nothing() -> None:
    decision = decide(replace(QUIET, guardrails=BROKEN, frozen=True))
    assert (decision.action, decision.automatic) == ("roll_back", False)


def test_every_reason_is_written_in_both_languages_and_names_its_subject() -> None:
    everything = replace(
        QUIET, features=(MOVED, EMPTIED, UNSEEN), score=MOVED, operating=OUTSIDE, moved=("cost",), guardrails=BROKEN,
        change=POLICY, matured=replace(MISCALIBRATED, log_loss=0.3), worse_windows=2,
        feeds=(Feed("page_view", count=0, low=100, high=200),),
    )  # fmt: skip
    reasons = [r for _, rule in RULES for r in rule(everything)] + [r for _, rule in RULES for r in rule(QUIET)]
    assert len({r.rule for r in reasons}) >= 8
    for reason in reasons:
        assert reason.text("ja") != reason.text("en")
        assert reason.text("en").isascii() or "→" in reason.en
    assert "industry" in " ".join(r.ja for r in reasons)


def test_a_decision_is_plain_json() -> None:
    document = json.loads(json.dumps(decide(replace(QUIET, features=(EMPTIED,))).to_dict(), ensure_ascii=False))
    assert document["action"] == "tell"
    assert "industry" in document["reasons"][0]["en"]


def test_a_changed_evidently_result_changes_the_decision() -> None:
    """The decision reads the figure in Evidently's result and not one of its own."""
    stationary = {"x": np.linspace(0.0, 0.04, 5_000), "probability": np.linspace(0.0, 0.04, 5_000)}

    def decided(psi: float, moved: float) -> str:
        value = {"psi": psi, "share_moved": moved, "missing": 0.0, "missing_reference": 0.0, "unseen": 0.0}
        other = value | {"psi": 0.01, "share_moved": 0.02}
        result = {
            "metrics": [
                {"config": {"type": "evidently:metric_v2:Stability", "column": "x"}, "value": other},
                {"config": {"type": "evidently:metric_v2:Stability", "column": "probability"}, "value": value},
                {"config": {"type": "evidently:metric_v2:ValueDrift", "column": "probability"}, "value": 9.9},
            ]
        }
        features, score = shifts_of(result, stationary)
        return decide(replace(QUIET, features=features, score=score, operating=OUTSIDE)).action

    assert decided(psi=0.01, moved=0.02) == "tell"
    assert decided(psi=0.80, moved=0.30) == "retune"
