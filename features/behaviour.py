"""Default features over what a lead and its account did, and where it stands in the funnel."""

from __future__ import annotations

from typing import Literal, NamedTuple

from features.declaration import Declaration


class Touch(NamedTuple):
    """A group of touchpoints people speak of as one thing, and the words for it."""

    stem: str
    kinds: tuple[str, ...]
    """Empty: all but REFUSALS."""
    reason: str
    ja: str
    """The fact, with {value} for the number."""
    absent_ja: str
    en: str
    """What is counted, in the plural."""


REFUSALS = ("email_unsubscribed",)
"""The lead's own doing, yet no interest."""

ANY = Touch("touchpoints", (), "engagement", "接点{value}回", "反応なし", "responses")
PRICING = Touch(
    "pricing_views",
    ("pricing_view",),
    "pricing_interest",
    "料金ページを{value}回閲覧",
    "料金ページの閲覧なし",
    "pricing page views",
)
PAGES = Touch("page_views", ("page_view",), "web_visits", "ページを{value}回閲覧", "ページの閲覧なし", "page views")
DOWNLOADS = Touch(
    "downloads",
    ("download",),
    "downloads",
    "資料を{value}回ダウンロード",
    "資料のダウンロードなし",
    "downloads",
)
EVENTS = Touch(
    "events",
    ("seminar", "trade_show"),
    "events",
    "セミナー・展示会に{value}回参加",
    "セミナー・展示会への参加なし",
    "seminars and trade shows attended",
)
OPENS = Touch(
    "email_opens", ("email_opened",), "email_response", "メールを{value}回開封", "メールの開封なし", "mails opened"
)
CLICKS = Touch(
    "email_clicks",
    ("email_clicked",),
    "email_response",
    "メールのリンクを{value}回クリック",
    "メールのクリックなし",
    "mail links clicked",
)
INQUIRIES = Touch("inquiries", ("inquiry",), "inquiries", "問い合わせ{value}回", "問い合わせなし", "inquiries")
TALKS = Touch(
    "talks",
    ("call", "meeting"),
    "talks",
    "電話・商談での接触{value}回",
    "電話・商談での接触なし",
    "calls and meetings",
)
ADS = Touch(
    "ad_clicks", ("ad_click",), "ad_response", "広告を{value}回クリック", "広告のクリックなし", "advertisements clicked"
)
STRONG = Touch(
    "strong_interest",
    ("pricing_view", "download", "inquiry", "meeting", "seminar"),
    "strong_interest",
    "検討につながる行動",
    "検討につながる行動なし",
    "buying signals",
)


def behaviour() -> tuple[Declaration, ...]:
    """The default behaviour features, in catalogue order."""
    return (
        *_counts(),
        *_recency(),
        *_decayed(),
        *_rhythm(),
        *_company_side(),
        *_sources(),
        *_stages(),
        *_account(),
    )


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
    def rhythm(name: str, kind: str, ja: str, en: str, absent: tuple[str, str], **more: object) -> Declaration:
        return Declaration.from_dict(
            {
                "name": name,
                "kind": kind,
                "group": "behaviour",
                "reason": "rhythm",
                "wording_ja": ja,
                "wording_en": en,
                "absent_ja": absent[0],
                "absent_en": absent[1],
                "null": "never null",
                "except_touchpoints": REFUSALS,
                **more,
            }
        )

    return (
        rhythm(
            "touchpoints_90d_trend",
            "trend",
            "直近{window}日間での反応の増減(前半との差{value})",
            "Change of pace of responses within {window} days: {value}",
            ("直近{window}日間の反応に増減なし", "No change of pace of responses in {window} days"),
            window_days=90,
            unit="touchpoints",
        ),
        rhythm(
            "active_days_30d",
            "distinct_count",
            "直近{window}日間に反応のあった日数{value}日",
            "Days with a response in {window} days: {value}",
            ("直近{window}日間の反応なし", "No responses in {window} days"),
            of="day",
            window_days=30,
            direction=1,
            unit="days",
        ),
        rhythm(
            "touchpoint_kinds_90d",
            "distinct_count",
            "直近{window}日間の接点の種類{value}種",
            "Different kinds of response in {window} days: {value}",
            ("直近{window}日間の反応なし", "No responses in {window} days"),
            of="kind",
            window_days=90,
            direction=1,
            unit="kinds",
        ),
        rhythm(
            "active_weeks",
            "active_weeks",
            "{value}週連続の反応",
            "Weeks in a row with a response: {value}",
            ("今週・先週の反応なし", "No response this week or last"),
            window_days=182,
            direction=1,
            unit="weeks",
        ),
        rhythm(
            "email_clicks_per_sent",
            "ratio",
            "送信メールに対するクリックの割合{value}",
            "Share of mails sent that were clicked: {value}",
            ("送信メールへのクリックなし", "No mail sent was clicked"),
            touchpoints=["email_clicked"],
            denominator=["email_sent"],
            reason="email_response",
            null="no mail sent yet",
            unit="share",
        ),
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
    )


DECISION_MAKERS = ("役員", "部長")


def _account() -> tuple[Declaration, ...]:
    def of_account(name: str, kind: str, reason: str, words: tuple[str, str, str, str], **more: object) -> Declaration:
        ja, en, absent_ja, absent_en = words
        return Declaration.from_dict(
            {
                "name": name,
                "kind": kind,
                "group": "behaviour",
                "reason": reason,
                "wording_ja": ja,
                "wording_en": en,
                "absent_ja": absent_ja,
                "absent_en": absent_en,
                "null": "no account is known",
                "direction": 1,
                "except_touchpoints": REFUSALS,
                **more,
            }
        )

    activity = (
        "直近{window}日間に同じ企業の他の方から{value}回の反応",
        "Responses by others of the company in {window} days: {value}",
        "直近{window}日間の同じ企業の他の方の反応なし",
        "No responses by others of the company in {window} days",
    )
    return (
        of_account(
            "account_touchpoints_30d_count",
            "account_count",
            "account_activity",
            activity,
            window_days=30,
            unit="touchpoints",
        ),
        of_account(
            "account_touchpoints_365d_count",
            "account_count",
            "account_activity",
            activity,
            window_days=365,
            unit="touchpoints",
        ),
        of_account(
            "account_other_leads",
            "account_leads",
            "account_activity",
            (
                "同じ企業の他のリード{value}名",
                "Other leads of the company: {value}",
                "同じ企業の他のリードなし",
                "No other leads of the company",
            ),
            unit="leads",
        ),
        of_account(
            "account_departments_365d",
            "account_distinct",
            "account_breadth",
            (
                "直近{window}日間に反応のあった部署{value}部署",
                "Departments of the company that responded in {window} days: {value}",
                "直近{window}日間に反応のあった部署なし",
                "No department of the company responded in {window} days",
            ),
            attribute="department",
            window_days=365,
            unit="departments",
        ),
        of_account(
            "account_decision_maker_seen",
            "account_seen",
            "decision_maker",
            (
                "同じ企業の部長・役員との接点",
                "A director or department head of the company is known",
                "部長・役員との接点なし",
                "No director or department head of the company is known",
            ),
            attribute="job_title_band",
            values=list(DECISION_MAKERS),
            unit="1 or 0",
        ),
    )
