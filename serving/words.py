"""Reasons in Japanese and English words.

A reason is an observed fact with its window, in the words its declaration
gives; never a cause, a feature's name or a figure of the model. Reasons end in
a noun.
"""

from __future__ import annotations

from collections.abc import Sequence

from features.declaration import ACCOUNT_KINDS, Declaration
from serving.contract import Language

FIXED_LINE_JA = "過去の実績に基づく予測であり、原因や結果を示すものではありません"
FIXED_LINE_EN = "A prediction from past results; it shows neither causes nor outcomes"

Value = float | str | None

_IN_DAYS = frozenset({"days_since_last", "days_since_first", "lead_age", "stage_age", "days_since_date"})
_UNKNOWN = {"ja": "不明", "en": "unknown"}
_NO_ACCOUNT = {"ja": "企業が未登録", "en": "The company is not known"}
_YES_NO = {"ja": {"yes": "あり", "no": "なし"}, "en": {"yes": "yes", "no": "no"}}
_YES_NO_ATTRIBUTES = frozenset({"free_mail", "mail_matches_account"})
_STAGES = {
    "ja": {
        "new": "新規",
        "mql": "MQL",
        "sql": "SQL",
        "opportunity": "商談",
        "won": "成約",
        "lost": "失注",
        "disqualified": "対象外",
        "recycled": "再育成",
    },
    "en": {"mql": "MQL", "sql": "SQL"},
}


class ReasonWords:
    """The words of each declaration of one bundle, cut up once so that saying a value is two joins."""

    def __init__(self, declarations: Sequence[Declaration]) -> None:
        self._ja = [_Speaker(d, d.wording_ja, d.absent_ja, "ja") for d in declarations]
        self._en = [_Speaker(d, d.wording_en, d.absent_en, "en") for d in declarations]

    def text(self, feature: int, value: Value, lang: Language) -> str:
        """The observed fact behind one feature's value, in words."""
        return (self._ja if lang == "ja" else self._en)[feature].say(value)


class _Speaker:
    """One declaration's wording in one language."""

    def __init__(self, declaration: Declaration, wording: str, absent: str, lang: Language) -> None:
        window = "" if declaration.window_days is None else f"{declaration.window_days:,}"
        self._before, *self._after = wording.replace("{window}", window).split("{value}", 1)
        self._absent = absent = absent.replace("{window}", window)
        self._null = _NO_ACCOUNT[lang] if declaration.kind in ACCOUNT_KINDS else absent
        self._unknown = _UNKNOWN[lang]
        self._named = _names(declaration, lang)
        self._in_days = declaration.kind in _IN_DAYS
        self._decayed = declaration.kind == "decayed_sum"
        # Days are never none; what has faded to a twentieth of a touchpoint is.
        self._as_good_as_none = 0.0 if self._in_days else 0.05 if self._decayed else 1e-12
        self._percent = declaration.kind == "ratio"

    def say(self, value: Value) -> str:
        if value is None and self._null:
            return self._null
        if isinstance(value, float) and abs(value) < self._as_good_as_none and self._absent:
            return self._absent
        if not self._after:
            return self._before
        return self._before + self._shown(value) + self._after[0]

    def _shown(self, value: Value) -> str:
        if value is None:
            return self._unknown
        if isinstance(value, str):
            return self._named.get(value, value)
        if self._percent:
            return f"{100 * value:.0f}%"
        if self._decayed:
            return f"{value:,.1f}"
        return f"{int(value):,}" if self._in_days else number(value)


def _names(declaration: Declaration, lang: Language) -> dict[str, str]:
    """How values that are codes of ours are called; a company's own values stand as they are."""
    if declaration.kind == "stage":
        return _STAGES[lang]
    return _YES_NO[lang] if declaration.attribute in _YES_NO_ATTRIBUTES else {}


def number(value: float) -> str:
    """A number as people write it: 1,200 or 0.35, never 1.2e+03.

    >>> number(1200.0), number(0.354), number(-3.0)
    ('1,200', '0.35', '-3')
    """
    if value == int(value) if abs(value) < 1e15 else True:
        return f"{value:,.0f}"
    return f"{value:,.2f}".rstrip("0").rstrip(".")
