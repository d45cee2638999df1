"""Default features over what a lead did and what was done to it."""

from __future__ import annotations

from typing import Literal

from features.declaration import Declaration
from features.touches import (
    ADS,
    ANY,
    CLICKS,
    DOWNLOADS,
    EVENTS,
    INQUIRIES,
    OPENS,
    PAGES,
    PRICING,
    REFUSALS,
    STRONG,
    TALKS,
    Touch,
    behaviour_feature,
)


def behaviour() -> tuple[Declaration, ...]:
    """The default features over touchpoints of the lead, in catalogue order."""
    return (*_counts(), *_recency(), *_decayed(), *_rhythm(), _click_rate(), *_company_side(), *_sources())


def _counts() -> tuple[Declaration, ...]:
    windows: tuple[tuple[Touch, tuple[int | None, ...]], ...] = (
        (ANY, (1, 7, 30, 90, 365, None)),
        (PRICING, (7, 30)),
        (PAGES, (7, 30)),
        (DOWNLOADS, (90,)),
        (EVENTS, (365,)),
        (OPENS, (30,)),
        (CLICKS, (30,)),
        (INQUIRIES, (30, None)),
        (TALKS, (90,)),
        (ADS, (30,)),
    )
    return tuple(count(touch, days) for touch, spans in windows for days in spans)


def count(touch: Touch, days: int | None) -> Declaration:
    """How many touchpoints of the group in the window; more never lowers the margin."""
    return Declaration(
        name=f"{touch.stem}_{days}d_count" if days else f"{touch.stem}_ever_count",
        kind="count",
        group="behaviour",
        reason=touch.reason,
        wording_ja=("直近{window}日間に" if days else "これまでに") + touch.ja,
        wording_en=_capital(touch.en) + (" in {window} days: {value}" if days else " so far: {value}"),
        absent_ja=("直近{window}日間の" if days else "これまでの") + touch.absent_ja,
        absent_en=f"No {touch.en} " + ("in {window} days" if days else "so far"),
        unit="touchpoints",
        null="never null",
        direction=1,
        touchpoints=touch.kinds,
        except_touchpoints=() if touch.kinds else REFUSALS,
        window_days=days,
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _recency() -> tuple[Declaration, ...]:
    last = (
        (ANY, "touchpoint", "最後の反応", "last response", "反応の記録なし", "No response on record"),
        (PRICING, "pricing_view", "最後の料金ページ閲覧", "last pricing page view", "", ""),
        (DOWNLOADS, "download", "最後の資料ダウンロード", "last download", "", ""),
        (EVENTS, "event", "最後のセミナー・展示会参加", "last seminar or trade show", "", ""),
        (CLICKS, "email_click", "最後のメールクリック", "last mail link clicked", "", ""),
        (INQUIRIES, "inquiry", "最後の問い合わせ", "last inquiry", "", ""),
    )
    since_last = tuple(
        Declaration(
            name=f"days_since_last_{stem}",
            kind="days_since_last",
            group="behaviour",
            reason="recency" if touch is ANY else touch.reason,
            wording_ja=f"{ja}から{{value}}日経過",
            wording_en=f"Days since the {en}: {{value}}",
            absent_ja=absent_ja or touch.absent_ja,
            absent_en=absent_en or f"No {touch.en} on record",
            unit="days",
            null="no such touchpoint yet",
            direction=-1,
            touchpoints=touch.kinds,
            except_touchpoints=() if touch.kinds else REFUSALS,
        )
        for touch, stem, ja, en, absent_ja, absent_en in last
    )
    since_first = Declaration(
        name="days_since_first_touchpoint",
        kind="days_since_first",
        group="behaviour",
        reason="acquaintance",
        wording_ja="最初の接点から{value}日経過",
        wording_en="Days since the first response: {value}",
        absent_ja="接点の記録なし",
        absent_en="No response on record",
        unit="days",
        null="no touchpoint yet",
        direction=-1,
        except_touchpoints=REFUSALS,
    )
    return (*since_last, since_first)


def _decayed() -> tuple[Declaration, ...]:
    return tuple(
        Declaration(
            name=f"{touch.stem}_decayed_{half_life}d",
            kind="decayed_sum",
            group="behaviour",
            reason=touch.reason,
            wording_ja=ja,
            wording_en=en,
            absent_ja=f"最近の{touch.absent_ja}",
            absent_en=f"No recent {touch.en}",
            unit=f"touchpoints, halved every {half_life} days",
            null="never null",
            direction=1,
            touchpoints=touch.kinds,
            except_touchpoints=() if touch.kinds else REFUSALS,
            half_life_days=half_life,
        )
        for touch, half_life, ja, en in (
            (ANY, 7, "この1週間前後の反応の多さ(換算{value}回)", "Recent responses, newer ones counting more: {value}"),
            (
                ANY,
                30,
                "この1か月前後の反応の多さ(換算{value}回)",
                "Responses around the last month, newer ones counting more: {value}",
            ),
            (
                STRONG,
                14,
                "資料請求・料金閲覧など検討行動の多さ(換算{value}回)",
                "Recent buying signals, newer ones counting more: {value}",
            ),
        )
    )


def _rhythm() -> tuple[Declaration, ...]:
    of_responses = {"except_touchpoints": REFUSALS, "null": "never null"}
    none_in_window = ("直近{window}日間の反応なし", "No responses in {window} days")
    return (
        behaviour_feature(
            "touchpoints_90d_trend",
            "trend",
            "rhythm",
            (
                "直近{window}日間の反応の勢いの変化{value}",
                "Change of pace of responses within {window} days: {value}",
            ),
            ("直近{window}日間の反応の勢いに変化なし", "No change of pace of responses in {window} days"),
            window_days=90,
            unit="touchpoints",
            **of_responses,
        ),
        behaviour_feature(
            "active_days_30d",
            "distinct_count",
            "rhythm",
            ("直近{window}日間に反応のあった日数{value}日", "Days with a response in {window} days: {value}"),
            none_in_window,
            of="day",
            window_days=30,
            direction=1,
            unit="days",
            **of_responses,
        ),
        behaviour_feature(
            "touchpoint_kinds_90d",
            "distinct_count",
            "rhythm",
            ("直近{window}日間の接点の種類{value}種", "Different kinds of response in {window} days: {value}"),
            none_in_window,
            of="kind",
            window_days=90,
            direction=1,
            unit="kinds",
            **of_responses,
        ),
        behaviour_feature(
            "active_weeks",
            "active_weeks",
            "rhythm",
            ("{value}週連続の反応", "Weeks in a row with a response: {value}"),
            ("今週・先週の反応なし", "No response this week or last"),
            window_days=182,
            direction=1,
            unit="weeks",
            **of_responses,
        ),
    )


def _click_rate() -> Declaration:
    return behaviour_feature(
        "email_clicks_per_sent",
        "ratio",
        "email_response",
        ("送信メールに対するクリックの割合{value}", "Share of mails sent that were clicked: {value}"),
        ("送信メールへのクリックなし", "No mail sent was clicked"),
        touchpoints=CLICKS.kinds,
        denominator=("email_sent",),
        null="no mail sent yet",
        unit="share",
    )


def _company_side() -> tuple[Declaration, ...]:
    """Counted over all time: these are the company's deeds or refusals, and must not fade into good news."""
    return (
        Declaration(
            name="email_unsubscribes_ever_count",
            kind="count",
            group="behaviour",
            reason="unsubscribed",
            wording_ja="配信停止の手続き{value}回",
            wording_en="Unsubscribed from mails: {value}",
            absent_ja="配信停止の手続きなし",
            absent_en="Not unsubscribed",
            unit="touchpoints",
            null="never null",
            direction=-1,
            touchpoints=("email_unsubscribed",),
        ),
        Declaration(
            name="emails_sent_ever_count",
            kind="count",
            group="behaviour",
            reason="outreach",
            wording_ja="これまでに送信したメール{value}通",
            wording_en="Mails sent so far: {value}",
            absent_ja="メールの送信なし",
            absent_en="No mails sent so far",
            unit="touchpoints",
            null="never null",
            touchpoints=("email_sent",),
            actor="company",
        ),
        Declaration(
            name="contacts_by_company_ever_count",
            kind="count",
            group="behaviour",
            reason="outreach",
            wording_ja="これまでに当社からかけた電話・打ち合わせ{value}回",
            wording_en="Calls and meetings by us so far: {value}",
            absent_ja="当社からの電話・打ち合わせなし",
            absent_en="No calls or meetings by us so far",
            unit="touchpoints",
            null="never null",
            touchpoints=("call", "meeting"),
            actor="company",
        ),
    )


def _sources() -> tuple[Declaration, ...]:
    def source(kind: Literal["first_touch", "last_touch"], of: str, ja: str, en: str) -> Declaration:
        return Declaration(
            name=f"{kind}_{of}",
            kind=kind,
            group="behaviour",
            reason="source",
            wording_ja=f"{ja}「{{value}}」",
            wording_en=f"{en}: {{value}}",
            absent_ja=f"{ja}の記録なし",
            absent_en=f"{en}: not recorded",
            null=f"no touchpoint with a {of} yet",
            of=of,
            except_touchpoints=REFUSALS,
        )

    return (
        source("first_touch", "channel", "最初の接点のチャネル", "Channel of the first response"),
        source("first_touch", "campaign", "最初の接点のキャンペーン", "Campaign of the first response"),
        source("last_touch", "channel", "最新の接点のチャネル", "Channel of the latest response"),
        source("last_touch", "campaign", "最新の接点のキャンペーン", "Campaign of the latest response"),
    )
