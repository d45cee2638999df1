"""Default features over who the lead and its company are, and over the calendar."""

from __future__ import annotations

from data.tables import STANDARD_ATTRIBUTES
from features.declaration import Declaration

NEVER_FEATURES = frozenset({"owner", "region", "job_title"})
"""Who is in charge and where says how leads were shared out; the title as written is read through its band."""

_WORDS: dict[str, tuple[str, str, str, str]] = {
    # attribute: (reason code, ja, en, unit)
    "channel": ("acquisition", "流入チャネル", "Channel that brought the lead", ""),
    "campaign": ("acquisition", "流入キャンペーン", "Campaign that brought the lead", ""),
    "job_title_band": ("job_title", "役職", "Job title band", ""),
    "department": ("department", "部署", "Department", ""),
    "industry": ("industry", "業種", "Industry", ""),
    "employee_band": ("company_size", "従業員規模", "Employees", ""),
    "employees": ("company_size", "従業員数", "Number of employees", "people"),
    "prefecture": ("location", "所在地", "Prefecture", ""),
    "country": ("location", "国", "Country", ""),
    "annual_revenue": ("company_size", "年商", "Annual revenue", "currency"),
    "message_length": ("message", "問い合わせ文の文字数", "Characters in the inquiry", "characters"),
    "free_mail": ("mail_domain", "フリーメールの利用", "Free mail address", ""),
    "mail_matches_account": ("mail_domain", "メールと企業のドメイン一致", "Mail domain equals the company's", ""),
}

_MISSING = ("industry", "employee_band", "job_title_band", "message_length")


def fit(columns: frozenset[str] = frozenset()) -> tuple[Declaration, ...]:
    """The default fit features, without the attributes in `columns`, which the company declares itself."""
    attributes = [name for name in STANDARD_ATTRIBUTES if name not in NEVER_FEATURES | columns]
    values = tuple(_value(name) for name in attributes)
    gaps = tuple(
        missing(name, *_WORDS[name][1:3], subject=STANDARD_ATTRIBUTES[name][0])
        for name in attributes
        if name in _MISSING
    )
    return (*values, *gaps)


def _value(name: str) -> Declaration:
    subject, kind, _meaning = STANDARD_ATTRIBUTES[name]
    reason, ja, en, unit = _WORDS[name]
    return Declaration.from_dict(
        {
            "name": name,
            "kind": kind,
            "group": "fit",
            "reason": reason,
            **attribute_words(ja, en, kind),
            "unit": unit,
            "null": "not known",
            "subject": subject,
            "attribute": name,
        }
    )


def attribute_words(ja: str, en: str, kind: str) -> dict[str, str]:
    """Wording of a plain attribute: its label and its value."""
    return {
        "wording_ja": f"{ja}「{{value}}」" if kind == "category" else f"{ja}{{value}}",
        "wording_en": f"{en}: {{value}}",
        "absent_ja": f"{ja}が未登録" if kind == "category" else "",
        "absent_en": f"{en}: not known" if kind == "category" else "",
    }


def missing(name: str, ja: str, en: str, subject: str, group: str = "fit") -> Declaration:
    """Whether the attribute is not known."""
    return Declaration.from_dict(
        {
            "name": f"{name}_missing",
            "kind": "missing",
            "group": group,
            "reason": "profile_gaps",
            "wording_ja": f"{ja}が未登録",
            "wording_en": f"{en}: not known",
            "absent_ja": f"{ja}の登録あり",
            "absent_en": f"{en}: known",
            "unit": "1 or 0",
            "null": "never null",
            "subject": subject,
            "attribute": name,
        }
    )


_CALENDAR = (
    ("creation_hour", "リード発生の時間帯{value}時台", "Hour of day at which the lead came in: {value}", "hour"),
    (
        "creation_weekday",
        "リード発生の曜日(月曜0から数えて{value})",
        "Weekday on which the lead came in (Monday 0): {value}",
        "day of week",
    ),
    ("creation_month", "リード発生が{value}月", "Month in which the lead came in: {value}", "month"),
    ("days_to_quarter_end", "四半期末まで{value}日", "Days to the end of the fiscal quarter: {value}", "days"),
)


def calendar() -> tuple[Declaration, ...]:
    """When the lead came in and where in the fiscal quarter the company stands."""
    return tuple(
        Declaration(
            name=of,
            kind="calendar",
            group="fit",
            reason="timing",
            wording_ja=ja,
            wording_en=en,
            unit=unit,
            null="never null" if of == "days_to_quarter_end" else "the lead is not yet known",
            of=of,
        )
        for of, ja, en, unit in _CALENDAR
    )
