"""The simulated company and its market: every parameter of the simulator, frozen.

Nothing here draws a random number. `World` holds what can be varied; `Calendar`
is the world laid out over the days of the period. A scenario is a `World` with
other parameters or with `changes`, which take effect on a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.times import DAY, HOUR, parse_instant

Floats = NDArray[np.float32]

INDUSTRIES = (
    "製造業",
    "情報通信業",
    "卸売業,小売業",
    "建設業",
    "運輸業,郵便業",
    "学術研究,専門・技術サービス業",
    "医療,福祉",
    "金融業,保険業",
)
INDUSTRY_SHARE = (0.26, 0.20, 0.17, 0.10, 0.07, 0.10, 0.05, 0.05)
EMPLOYEE_BANDS = ("1–29", "30–99", "100–299", "300–999", "1,000–4,999", "5,000+")
EMPLOYEE_BAND_SHARE = (0.24, 0.25, 0.21, 0.15, 0.10, 0.05)
EMPLOYEE_BAND_EDGES = (1, 30, 100, 300, 1_000, 5_000, 40_000)
JOB_BANDS = ("一般", "係長", "課長", "部長", "役員")
JOB_BAND_SHARE = (0.38, 0.15, 0.21, 0.14, 0.12)
JOB_TITLES = (
    ("担当", "主任", "スタッフ", "Specialist"),
    ("係長", "リーダー", "チーフ", "Team Lead"),
    ("課長", "マネージャー", "課長代理", "Manager"),
    ("部長", "本部長", "次長", "Director"),
    ("代表取締役", "取締役", "執行役員", "CEO"),
)
DEPARTMENTS = ("情報システム", "営業", "マーケティング", "経営企画", "総務・人事", "製造・生産", "購買")
DEPARTMENT_SHARE = (0.22, 0.19, 0.13, 0.11, 0.14, 0.13, 0.08)
CURRENT_TOOLS = ("none", "spreadsheet", "in_house", "competitor")
CURRENT_TOOL_SHARE = (0.22, 0.38, 0.17, 0.23)
CHANNELS = (
    "paid_search",
    "organic_search",
    "social_ads",
    "comparison_site",
    "webinar",
    "trade_show",
    "referral",
    "partner",
)
CHANNEL_SHARE = (0.24, 0.20, 0.15, 0.10, 0.11, 0.10, 0.05, 0.05)
CHANNEL_COST = (9_000, 1_500, 6_000, 14_000, 11_000, 19_000, 3_000, 12_000)
"""Yen a lead, roughly."""
COUNTRIES = ("JP", "US", "SG", "TW", "TH", "DE", "GB", "VN")
COUNTRY_SHARE = (0.86, 0.035, 0.025, 0.025, 0.02, 0.01, 0.01, 0.015)
PREFECTURES = (
    ("東京都", 0.34),
    ("大阪府", 0.13),
    ("愛知県", 0.09),
    ("神奈川県", 0.08),
    ("福岡県", 0.05),
    ("埼玉県", 0.05),
    ("兵庫県", 0.045),
    ("北海道", 0.04),
    ("静岡県", 0.035),
    ("広島県", 0.03),
    ("京都府", 0.03),
    ("宮城県", 0.025),
    ("長野県", 0.02),
    ("石川県", 0.015),
    ("沖縄県", 0.02),
)
REGIONS = {"東京都": "関東", "神奈川県": "関東", "埼玉県": "関東", "大阪府": "関西", "兵庫県": "関西", "京都府": "関西"}
DUPLICATE = "重複"
RETURN_REASONS = ("時期尚早", "予算なし", "連絡がつかない", "その他")
DISQUALIFY_REASONS = ("対象外(業種・規模)", "学生・個人", "競合・同業", "連絡がつかない")
LOST_REASONS = ("価格", "競合を選択", "予算凍結", "導入見送り")

NEW, MQL, SQL, OPPORTUNITY, CLOSED = range(5)
"""Stages of an open cycle, and one for lanes whose cycle has ended."""
WON, LOST, DISQUALIFIED, RECYCLED = 4, 5, 6, 7
"""Further values of a stage change; 1–3 are the open stages."""
STAGE_NAMES = ("new", "mql", "sql", "opportunity", "won", "lost", "disqualified", "recycled")

MISSING = -1
"""Level number of an attribute that was never filled in."""

CONTINUATION_DAYS = 120
"""The calendar goes on this long after the end, so that windows begun before it can be simulated."""


@dataclass(frozen=True)
class Change:
    """One parameter that moves on `day` (counted from the start), at once or over `ramp_days`.

    `what` names a daily table of the calendar, `which` its column (a channel, a
    stage); `by` is added to a log factor.
    """

    what: Literal["arrivals", "channel_quality", "advance", "give_up", "sessions"]
    by: float
    day: int
    which: str = ""
    ramp_days: int = 0

    def over(self, days: int) -> Floats:
        """What is added on each day: nothing before `day`, all of `by` after the ramp."""
        passed = np.arange(days, dtype=np.float32) - self.day + 1
        return (self.by * np.clip(passed / max(self.ramp_days, 1), 0.0, 1.0)).astype(np.float32)


@dataclass(frozen=True)
class Behaviour:
    """How touchpoints arise; rates are a day."""

    sessions_base: float = 0.045
    sessions_per_interest: float = 0.0155
    interest_cap: float = 14.0
    """Interest above this brings no further sessions: the feedback cannot run away."""
    stage_sessions: tuple[float, ...] = (1.0, 1.35, 1.6, 1.5, 0.0)
    age_half_life: float = 120.0
    """Days in which the base rate of sessions halves."""
    pages: float = 0.54
    """Further page views in a session follow a geometric law with this continuation."""
    pricing: tuple[float, ...] = (0.13, 0.24, 0.30, 0.30, 0.0)
    download: float = 0.085
    ad_click: float = 0.05
    inquiry: tuple[float, ...] = (0.020, 0.05, 0.06, 0.06, 0.0)
    seminar: float = 0.035
    mail_sent: tuple[float, ...] = (0.28, 0.24, 0.16, 0.12, 0.0)
    """Chance of a mail on a business day, while the lead may be mailed."""
    mail_opened: float = 0.17
    mail_opened_interest: float = 0.025
    mail_clicked: float = 0.25
    mail_unsubscribed: float = 0.004
    machine_opened: float = 0.22
    company_contact: tuple[float, ...] = (0.0, 0.17, 0.16, 0.16, 0.0)
    """Chance of a call or meeting on a business day, by stage."""
    meeting: tuple[float, ...] = (0.0, 0.10, 0.42, 0.50, 0.0)
    inbound: float = 0.2
    """Share of calls that the lead makes."""
    interest_half_life: float = 7.0
    intent_half_life: float = 14.0
    late: float = 0.25
    """Share of seminars, calls and meetings typed in 1 to `late_days` days afterwards."""
    late_days: int = 5


@dataclass(frozen=True)
class Hazards:
    """Log hazards a business day, by stage (new, mql, sql, opportunity); see docs/simulator.md for the formula."""

    advance: tuple[float, ...] = (-3.85, -2.95, -2.85, -4.7)
    give_up: tuple[float, ...] = (-4.6, -3.4, -3.4, -2.95)
    fit: tuple[float, ...] = (0.42, 0.45, 0.40, 0.45)
    fit_give_up: tuple[float, ...] = (-0.35, -0.45, -0.25, -0.40)
    interest: tuple[float, ...] = (0.5, 0.6, 0.5, 0.3)
    """At full interest (10 or more)."""
    intent: tuple[float, ...] = (1.0, 0.9, 0.6, 0.4)
    """Above the threshold of recent intent."""
    intent_threshold: float = 1.5
    intent_width: float = 0.18
    silence: tuple[float, ...] = (-0.015, -0.02, -0.015, -0.01)
    """For each day since the last touchpoint by the lead, up to 30."""
    silence_give_up: tuple[float, ...] = (0.065, 0.05, 0.04, 0.03)
    silence_cap: float = 60.0
    later_cycle: float = -0.2
    """Added for a cycle that began by recycling."""
    ripening: tuple[tuple[float, ...], ...] = (
        (0.0, 0.0, -0.3, -0.5, -0.6),
        (-0.3, 0.2, 0.0, -0.5, -1.0),
        (-0.4, 0.2, 0.1, -0.4, -0.8),
        (-1.6, -0.1, 0.25, 0.0, -0.8),
    )
    """By stage: added at 0, 7, 25, 60 and 120 days in the stage, linear between (稟議 takes its weeks)."""
    give_up_returns: tuple[float, ...] = (0.0, 0.55, 0.60, 0.15)
    """Share of those given up who go back to nurture; the rest is disqualified, or lost from an opportunity."""


@dataclass(frozen=True)
class Fit:
    """What of its attributes makes a lead fit; summed. Department, country and prefecture do not matter."""

    scale: float = 1.0
    size: tuple[float, ...] = (-0.50, 0.0, 0.30, 0.30, 0.30, 0.30, 0.0)
    job: tuple[float, ...] = (-0.40, 0.0, 0.40, 0.40, 0.0)
    executive_small: float = 0.90
    """Added for executives (役員) of fewer than 100 employees, who decide themselves …"""
    executive_large: float = -0.80
    """… and of 300 or more, who only look."""
    channel: tuple[float, ...] = (0.0, 0.0, -0.70, 0.0, 0.30, 0.0, 0.70, 0.0)
    channel_small: tuple[float, ...] = (0.0, 0.0, 0.0, 0.60, 0.0, -0.60, 0.0, 0.0)
    """Added where the account has fewer than 100 employees."""
    channel_large: tuple[float, ...] = (0.0, 0.0, 0.0, -0.60, 0.0, 0.60, 0.0, 0.0)
    """Added where it has 300 or more."""
    industry: tuple[float, ...] = (0.35, 0.0, 0.0, -0.50, 0.0, 0.0, -0.50, 0.0, 0.0)
    tool: tuple[float, ...] = (0.0, 0.40, 0.0, -0.40, 0.0)
    free_mail: float = -0.90


@dataclass(frozen=True)
class World:
    """The simulated company; the default is the one the demo and the tests use."""

    end: str = "2026-10-01T00:00+09:00"
    """Nothing is recorded at or after this instant: the as-of time of the demo."""
    days: int = 730
    leads_per_account: float = 1.7
    free_mail_share: float = 0.11
    free_mail_without_account: float = 0.6
    missing_employee_band: float = 0.06
    missing_industry: float = 0.05
    missing_tool: float = 0.30
    marketing_consent: float = 0.84
    scoring_objection: float = 0.004
    duplicates: float = 0.015
    lost_recycled: float = 0.22
    late_cards: float = 0.35
    """Share of trade-show leads whose card is typed in 1 to 5 days afterwards."""
    late_outcomes: float = 0.18
    late_outcome_days: int = 7
    """Stage changes are backdated by at most this many days."""
    behaviour: Behaviour = field(default_factory=Behaviour)
    hazards: Hazards = field(default_factory=Hazards)
    fit: Fit = field(default_factory=Fit)
    changes: tuple[Change, ...] = ()

    @property
    def end_at(self) -> int:
        """Microseconds UTC."""
        return parse_instant(self.end)

    @property
    def start_at(self) -> int:
        """Midnight (Japan) of day 0, microseconds UTC."""
        return self.end_at - self.days * DAY

    @property
    def start_date(self) -> date:
        return date(1970, 1, 1) + timedelta(days=(self.start_at + 9 * HOUR) // DAY)


@dataclass(frozen=True)
class Calendar:
    """The world by day; arrays have `World.days + CONTINUATION_DAYS` entries."""

    weekday: NDArray[np.int8]
    business: NDArray[np.bool_]
    sessions: Floats
    """Factor on the leads' own activity."""
    arrivals: NDArray[np.float64]
    """[day, channel] weights of new leads; only the days of the period."""
    channel_quality: Floats
    """[day, channel] added to a lead's fit."""
    advance: Floats
    """[day, stage] added to the log hazard of going on, −inf on days without business."""
    give_up: Floats
    """[day, stage] added to the log hazard of giving up, −inf on days without business."""


@lru_cache(maxsize=4)
def calendar_of(world: World) -> Calendar:
    days = world.days + CONTINUATION_DAYS
    dates = [world.start_date + timedelta(days=d) for d in range(days)]
    weekday = np.array([d.weekday() for d in dates], dtype=np.int8)
    business = ~_closed(dates)
    advance = np.repeat(np.where(business, 0.0, -np.inf)[:, None], CLOSED + 1, axis=1).astype(np.float32)
    advance[:, CLOSED] = -np.inf
    give_up = advance.copy()
    advance[:, OPPORTUNITY] += np.array([_fiscal_peak(d) for d in dates], dtype=np.float32)
    calendar = Calendar(
        weekday,
        business,
        _session_factor(dates, business),
        _arrival_weights(dates[: world.days], business),
        np.zeros((days, len(CHANNELS)), dtype=np.float32),
        advance,
        give_up,
    )
    for change in world.changes:
        _apply(change, calendar)
    return calendar


def _closed(dates: list[date]) -> NDArray[np.bool_]:
    import holidays

    national = holidays.country_holidays("JP", years=sorted({d.year for d in dates}))
    return np.array([d.weekday() >= 5 or d in national or _company_holiday(d) for d in dates])


def _company_holiday(day: date) -> bool:
    """年末年始 and お盆, when nobody answers though no law says so."""
    return (
        (day.month, day.day) >= (12, 29) or (day.month, day.day) <= (1, 3) or (day.month == 8 and 13 <= day.day <= 16)
    )


def _fiscal_peak(day: date) -> float:
    """Log factor on winning: budgets end with March (and the half-year with September), then the 稟議 start anew."""
    if day.month in (3, 9) and day.day >= 15:
        return 0.95 if day.month == 3 else 0.70
    if day.month in (4, 10) and day.day <= 14:
        return -0.45
    return -0.05


def _session_factor(dates: list[date], business: NDArray[np.bool_]) -> Floats:
    quiet = np.array([_company_holiday(d) or (d.month == 5 and 3 <= d.day <= 6) for d in dates])
    return np.where(quiet, 0.25, np.where(business, 1.25, 0.42)).astype(np.float32)


MONTH_ARRIVALS = (0.9, 1.0, 1.05, 1.15, 0.95, 1.1, 1.05, 0.8, 1.05, 1.15, 1.1, 0.75)
TRADE_SHOWS = ((4, 23), (6, 11), (9, 10), (10, 29), (2, 18))
"""First day (month, day) of shows of three days each."""


def _arrival_weights(dates: list[date], business: NDArray[np.bool_]) -> NDArray[np.float64]:
    by_day = np.array([MONTH_ARRIVALS[d.month - 1] for d in dates]) * np.where(business[: len(dates)], 1.3, 0.35)
    weights = by_day[:, None] * np.array(CHANNEL_SHARE)[None, :]
    show = np.array([any(0 <= (d - date(d.year, m, n)).days < 3 for m, n in TRADE_SHOWS) for d in dates])
    column = CHANNELS.index("trade_show")
    weights[:, column] = show * weights[:, column].sum() / max(show.sum(), 1)
    return weights


def _apply(change: Change, calendar: Calendar) -> None:
    columns: Mapping[str, tuple[str, ...]] = {
        "arrivals": CHANNELS,
        "channel_quality": CHANNELS,
        "advance": STAGE_NAMES[:4],
        "give_up": STAGE_NAMES[:4],
    }
    table = getattr(calendar, change.what)
    added = change.over(len(table))
    if change.what == "sessions":
        table *= np.exp(added)
        return
    column = slice(None) if not change.which else columns[change.what].index(change.which)
    block = table[:, column]
    if change.what == "arrivals":
        block *= np.exp(added) if change.which else np.exp(added)[:, None]
    else:
        block += added if change.which else added[:, None]
