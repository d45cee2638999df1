"""Reasons and odds in words: facts with their windows, in both languages, nothing a reader could misread."""

from __future__ import annotations

import re

import pytest

from data.company import Company, CompanyColumn
from data.times import DAY
from features.catalogue import declarations
from features.declaration import Declaration
from serving.odds import odds, share
from serving.words import ReasonWords, number

COMPANY = Company(
    columns=(
        CompanyColumn("budget", type="number", label_ja="予算", label_en="Budget"),
        CompanyColumn("renewal", type="date", label_ja="更新日", label_en="the renewal date"),
    )
)
CATALOGUE = declarations(COMPANY)
JAPANESE = re.compile(r"[ぁ-んァ-ヶ一-龥]")


def said(declaration: Declaration, value: float | str | None, lang: str) -> str:
    return ReasonWords([declaration]).text(0, value, lang)  # type: ignore[arg-type]


def named(name: str) -> Declaration:
    return next(d for d in CATALOGUE if d.name == name)


@pytest.mark.parametrize("declaration", CATALOGUE, ids=lambda d: d.name)
def test_every_declared_feature_has_a_reason_code_and_words_in_both_languages(declaration: Declaration) -> None:
    assert re.fullmatch(r"\w+", declaration.reason)
    assert JAPANESE.search(declaration.wording_ja)
    assert declaration.wording_en.strip()
    assert not JAPANESE.search(declaration.wording_en)
    assert bool(declaration.absent_ja) == bool(declaration.absent_en)


VALUES: tuple[float | str | None, ...] = (None, 0.0, 1.0, 3.0, 12.7, 1234.5)


@pytest.mark.parametrize("declaration", CATALOGUE, ids=lambda d: d.name)
def test_whatever_the_value_the_words_are_whole_and_name_no_feature(declaration: Declaration) -> None:
    for value in ("製造業", None) if declaration.is_category else VALUES:
        for lang in ("ja", "en"):
            text = said(declaration, value, lang)
            assert text
            assert not re.search(r"[{}_]|None|\bnan\b|because|ため、", text, re.IGNORECASE)


@pytest.mark.parametrize("declaration", CATALOGUE, ids=lambda d: d.name)
def test_japanese_reasons_end_in_a_noun(declaration: Declaration) -> None:
    ending = said(declaration, "製造業" if declaration.is_category else 3.0, "ja")
    assert not re.search(r"(です|ます|した|する|。)$", ending)


@pytest.mark.parametrize(
    ("name", "value", "ja", "en"),
    [
        ("pricing_views_7d_count", 3.0, "直近7日間に料金ページを3回閲覧", "Pricing page views in 7 days: 3"),
        ("pricing_views_7d_count", 0.0, "直近7日間の料金ページの閲覧なし", "No pricing page views in 7 days"),
        ("days_since_last_touchpoint", 45.9, "最後の反応から45日経過", "Days since the last response: 45"),
        ("days_since_last_touchpoint", None, "反応の記録なし", "No response on record"),
        ("employee_band", "300–999", "従業員規模「300–999」", "Employees: 300–999"),
        ("employee_band", None, "従業員規模が未登録", "Employees: not known"),
        ("free_mail", "yes", "フリーメールの利用「あり」", "Free mail address: yes"),
        (
            "email_clicks_per_sent",
            0.25,
            "送信メールに対するクリックの割合25%",
            "Share of mails sent that were clicked: 25%",
        ),
        ("stage", "opportunity", "現在のステージ「商談」", "Current stage: opportunity"),
        ("stage", "demo_given", "現在のステージ「demo_given」", "Current stage: demo_given"),
        ("strong_interest_decayed_14d", 0.03, "最近の検討につながる行動なし", "No recent buying signals"),
        (
            "touchpoints_90d_trend",
            -2.0,
            "直近90日間の反応の勢いの変化-2",
            "Change of pace of responses within 90 days: -2",
        ),
        ("employees", 1200.0, "従業員数1,200", "Number of employees: 1,200"),
        ("employees", None, "従業員数不明", "Number of employees: unknown"),
        ("account_touchpoints_30d_count", None, "企業が未登録", "The company is not known"),
    ],
)
def test_the_words_of_a_value(name: str, value: float | str | None, ja: str, en: str) -> None:
    assert said(named(name), value, "ja") == ja
    assert said(named(name), value, "en") == en


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-3.0, "-3"), (1200.0, "1,200"), (0.354, "0.35"), (2.5, "2.5"), (1e16, "10,000,000,000,000,000")],
)
def test_numbers_are_written_as_people_write_them(value: float, text: str) -> None:
    assert number(value) == text


def test_odds_in_words_are_never_far_from_the_probability() -> None:
    """Within five points above .225 and within 13% of it below."""
    for probability in (n / 1000 for n in range(1, 951)):
        k, n = share(probability)
        assert abs(k / n - probability) <= (0.05 + 1e-9 if probability >= 0.225 else 0.13 * probability), probability


@pytest.mark.parametrize(
    ("probability", "ja", "en"),
    [
        (1 / 3, "およそ3件に1件", "about 1 in 3"),
        (0.04, "およそ25件に1件", "about 1 in 25"),
        (0.0002, "1,000件に1件未満", "fewer than 1 in 1,000"),
        (0.71, "10件中およそ7件", "about 7 in 10"),
        (0.99, "10件中9件以上", "more than 9 in 10"),
    ],
)
def test_odds_in_words(probability: float, ja: str, en: str) -> None:
    spoken = odds(probability, "won", 90 * DAY, "ja")
    assert ja in spoken
    assert "90日以内に成約する" in spoken
    spoken = odds(probability, "won", 90 * DAY, "en")
    assert en in spoken
    assert "won within 90 days" in spoken


def test_without_dates_there_is_no_horizon_in_the_odds() -> None:
    assert "以内" not in odds(0.2, "won", None, "ja")
    assert "within" not in odds(0.2, "won", None, "en")
