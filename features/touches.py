"""Groups of touchpoints that people speak of as one thing, with the words for them."""

from __future__ import annotations

from typing import Any, NamedTuple

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


def behaviour_feature(
    name: str, kind: str, reason: str, words: tuple[str, str], absent: tuple[str, str] = ("", ""), **more: Any
) -> Declaration:
    """A behaviour feature; `words` and `absent` are Japanese and English."""
    return Declaration.from_dict(
        {
            "name": name,
            "kind": kind,
            "group": "behaviour",
            "reason": reason,
            "wording_ja": words[0],
            "wording_en": words[1],
            "absent_ja": absent[0],
            "absent_en": absent[1],
            **more,
        }
    )
