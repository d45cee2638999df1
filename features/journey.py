"""Default features over where a lead stands in the funnel, and over the other leads of its account."""

from __future__ import annotations

from features.declaration import Declaration
from features.touches import REFUSALS, behaviour_feature

DECISION_MAKERS = ("役員", "部長")


def journey() -> tuple[Declaration, ...]:
    """The default features over stages and the account, in catalogue order."""
    return (*_stages(), *_account_activity(), *_account_people())


def _stages() -> tuple[Declaration, ...]:
    return (
        Declaration(
            name="stage",
            kind="stage",
            group="behaviour",
            reason="stage",
            wording_ja="現在のステージ「{value}」",
            wording_en="Current stage: {value}",
            absent_ja="ステージの記録なし",
            absent_en="No stage recorded",
            null="no stage change of this cycle recorded",
        ),
        Declaration(
            name="stage_age",
            kind="stage_age",
            group="behaviour",
            reason="stage",
            wording_ja="現在のステージで{value}日経過",
            wording_en="Days in the current stage: {value}",
            unit="days",
            null="no stage change of this cycle recorded",
            direction=-1,
        ),
        Declaration(
            name="lead_age",
            kind="lead_age",
            group="behaviour",
            reason="lead_age",
            wording_ja="リード発生から{value}日経過",
            wording_en="Days since the lead came in: {value}",
            unit="days",
            null="the lead is not yet known",
            direction=-1,
        ),
        Declaration(
            name="times_recycled",
            kind="times_recycled",
            group="behaviour",
            reason="recycled",
            wording_ja="再育成{value}回",
            wording_en="Times returned to nurture: {value}",
            absent_ja="再育成の履歴なし",
            absent_en="Never returned to nurture",
            unit="times",
            null="the lead is not yet known",
        ),
        Declaration(
            name="return_reason",
            kind="return_reason",
            group="behaviour",
            reason="recycled",
            wording_ja="以前の差し戻し・失注の理由「{value}」",
            wording_en="Given when it was last returned or lost: {value}",
            absent_ja="差し戻し・失注の理由なし",
            absent_en="Never returned or lost with a reason",
            null="no reason was ever given",
        ),
    )


def _account_activity() -> tuple[Declaration, ...]:
    return tuple(
        behaviour_feature(
            f"account_touchpoints_{days}d_count",
            "account_count",
            "account_activity",
            (
                "直近{window}日間に同じ企業の他の方から{value}回の反応",
                "Responses by others of the company in {window} days: {value}",
            ),
            (
                "直近{window}日間の同じ企業の他の方の反応なし",
                "No responses by others of the company in {window} days",
            ),
            window_days=days,
            except_touchpoints=REFUSALS,
            unit="touchpoints",
            null="no account is known",
            direction=1,
        )
        for days in (30, 365)
    )


def _account_people() -> tuple[Declaration, ...]:
    return (
        behaviour_feature(
            "account_other_leads",
            "account_leads",
            "account_activity",
            ("同じ企業の他のリード{value}名", "Other leads of the company: {value}"),
            ("同じ企業の他のリードなし", "No other leads of the company"),
            unit="leads",
            null="no account is known",
            direction=1,
        ),
        behaviour_feature(
            "account_departments_365d",
            "account_distinct",
            "account_breadth",
            (
                "直近{window}日間に反応のあった部署{value}部署",
                "Departments of the company that responded in {window} days: {value}",
            ),
            (
                "直近{window}日間に反応のあった部署なし",
                "No department of the company responded in {window} days",
            ),
            attribute="department",
            window_days=365,
            except_touchpoints=REFUSALS,
            unit="departments",
            null="no account is known",
            direction=1,
        ),
        behaviour_feature(
            "account_decision_maker_seen",
            "account_seen",
            "decision_maker",
            ("同じ企業の部長・役員との接点", "A director or department head of the company is known"),
            ("部長・役員との接点なし", "No director or department head of the company is known"),
            attribute="job_title_band",
            values=DECISION_MAKERS,
            unit="1 or 0",
            null="no account is known",
            direction=1,
        ),
    )
