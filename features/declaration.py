"""What a feature is, said once; batch and online interpret it, nothing else defines one.

A declaration selects records of one lead (or of its account) that are visible
as of *t* — `occurred_at < t` and `recorded_at < t` — and reduces them to one
number or one category. `Kind` is the whole vocabulary.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from data.errors import UsageError

Kind = Literal[
    # over touchpoints of the lead
    "count",  # how many in the window
    "distinct_count",  # how many different values of `of` (kind | channel | campaign | detail | day)
    "days_since_last",  # whole and part days since the newest
    "days_since_first",  # since the oldest
    "decayed_sum",  # Σ 2^(−age/half_life), age in whole hours, each weight in whole millionths, added as integers
    "trend",  # count in the newest third of the window × 3 against the whole, as a difference
    "ratio",  # count(touchpoints) / count(denominator, by any actor); null where the denominator is 0
    "active_weeks",  # calendar weeks in a row with a touchpoint, up to the week of t or the one before
    "first_touch",  # category: `of` (channel | campaign | kind | detail) of the oldest that has one
    "last_touch",  # category: of the newest that has one
    # over the cycle and its stages
    "lead_age",  # days since the cycle's start
    "stage",  # category: newest visible stage of the cycle
    "stage_age",  # days since it was entered
    "times_recycled",  # cycles before this one
    "return_reason",  # category: the newest reason given for returning, losing or disqualifying the lead, in any cycle
    # over the account's other leads; null where no account is known
    "account_count",  # their touchpoints in the window
    "account_leads",  # how many other leads
    "account_distinct",  # different values of `attribute` among all leads of the account with touchpoints in the window
    "account_seen",  # 1 if any lead of the account has `attribute` in `values`, else 0
    # over the calendar, in the company's time zone
    "calendar",  # `of`: creation_hour | creation_weekday (Monday 0) | creation_month | days_to_quarter_end
    # over attributes: the value that is newest by (occurred_at, recorded_at, value)
    "number",  # its number
    "category",  # its text
    "days_since_date",  # t minus a date attribute
    "text_length",  # characters of a text attribute (or the number, where only a length was kept)
    "missing",  # 1 where the attribute has no visible value, else 0
]

Group = Literal["fit", "behaviour"]

Ageing = Literal["still", "falls", "rises", "free"]

CATEGORY_KINDS = frozenset({"first_touch", "last_touch", "stage", "return_reason", "category"})

TOUCHPOINT_KINDS_OF_FEATURE = frozenset(
    {
        "count",
        "distinct_count",
        "days_since_last",
        "days_since_first",
        "decayed_sum",
        "trend",
        "ratio",
        "active_weeks",
        "first_touch",
        "last_touch",
    }
)
ATTRIBUTE_KINDS = frozenset({"number", "category", "days_since_date", "text_length", "missing"})
ACCOUNT_KINDS = frozenset({"account_count", "account_leads", "account_distinct", "account_seen"})

OF: dict[str, tuple[str, ...]] = {
    "distinct_count": ("kind", "channel", "campaign", "detail", "day"),
    "first_touch": ("channel", "campaign", "kind", "detail"),
    "last_touch": ("channel", "campaign", "kind", "detail"),
    "calendar": ("creation_hour", "creation_weekday", "creation_month", "days_to_quarter_end"),
}
"""What `of` may be, by kind; `day` is the calendar day in the company's time zone."""

LISTS = ("touchpoints", "except_touchpoints", "denominator", "values")
"""The fields that are lists of texts."""

_NEEDS: dict[str, tuple[str, ...]] = {
    "distinct_count": ("of",),
    "decayed_sum": ("half_life_days",),
    "trend": ("window_days",),
    "ratio": ("denominator",),
    "active_weeks": ("window_days",),
    "first_touch": ("of",),
    "last_touch": ("of",),
    "account_distinct": ("attribute",),
    "account_seen": ("attribute", "values"),
    "calendar": ("of",),
    **dict.fromkeys(ATTRIBUTE_KINDS, ("attribute",)),
}

LONGEST_RUN_OF_WEEKS = 60
"""`active_weeks` is a set of weeks in one 64-bit integer."""
LONGEST_WINDOW_DAYS = 36_500
LONGEST_HALF_LIFE_DAYS = 1_000


@dataclass(frozen=True)
class Declaration:
    name: str
    """snake_case, with its window: `touchpoints_30d_count`."""
    kind: Kind
    """What the selected records are reduced to."""
    group: Group
    """Fit (who they are) or behaviour (what they do)."""
    reason: str
    """Reason code; several features may share one, their contributions are added."""
    wording_ja: str
    """The observed fact with its window; {value} and {window} are filled in. Ends in a noun."""
    wording_en: str
    """The same in English."""
    unit: str = ""
    """Of the value: touchpoints, days, weeks, 1 or 0; empty for categories."""
    null: str = ""
    """What null means, in words; null itself is what the model is given."""
    direction: Literal[-1, 0, 1] = 0
    """+1: more never lowers the margin; −1: never raises it; 0: unconstrained."""
    touchpoints: tuple[str, ...] = ()
    """Kinds of touchpoint selected; empty selects all."""
    except_touchpoints: tuple[str, ...] = ()
    """Kinds left out of that: who unsubscribes does not show interest."""
    actor: str = "lead"
    """lead | company | machine; empty selects all."""
    denominator: tuple[str, ...] = ()
    """Kinds a ratio is divided by, whoever acted."""
    window_days: int | None = None
    """Touchpoints with t − window ≤ occurred_at < t; None: ever."""
    half_life_days: float | None = None
    """Days after which a touchpoint weighs half, for `decayed_sum`."""
    of: str = ""
    """What is counted or taken, for the kinds that need it."""
    subject: Literal["lead", "account"] = "lead"
    """Whose attribute is read."""
    attribute: str = ""
    """Name of the attribute read."""
    values: tuple[str, ...] = ()
    """Values that count, for `account_seen`."""
    absent_ja: str = ""
    """The fact in words where the value is null or 0; empty where there is nothing to say."""
    absent_en: str = ""
    """The same in English."""

    @property
    def is_category(self) -> bool:
        """Value is text or null; otherwise a float or null."""
        return self.kind in CATEGORY_KINDS

    @property
    def ageing(self) -> Ageing:
        """How the value moves while time passes and nothing new is recorded.

        `free` may move either way: a ratio can lose the one side before the
        other. Days and weeks are the calendar's, not counted back from t:
        moving edges could tell two touchpoints apart that were one day.
        """
        if self.kind == "trend" or (self.kind == "calendar" and self.of == "days_to_quarter_end"):
            return "free"
        if self.kind in {"days_since_last", "days_since_first", "lead_age", "stage_age", "days_since_date"}:
            return "rises" if self.window_days is None else "free"
        if self.kind in {"decayed_sum", "active_weeks"}:
            return "falls"
        if self.window_days is None:
            return "still"
        return "falls" if self.kind in {"count", "distinct_count", "account_count", "account_distinct"} else "free"

    @property
    def keeps_decay_guarantee(self) -> bool:
        """Whether this feature, its direction enforced, can never raise the behaviour part by waiting alone.

        Fit features always do: the guarantee speaks of the behaviour part.
        """
        if self.group == "fit" or self.ageing == "still":
            return True
        return (self.ageing == "falls" and self.direction == 1) or (self.ageing == "rises" and self.direction == -1)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(raw: dict[str, Any]) -> Declaration:
        """The declaration in a mapping of its fields; UsageError names the field that is wrong."""
        known = {field.name for field in fields(Declaration)}
        if unknown := sorted(set(raw) - known):
            raise UsageError(
                f"feature declaration {raw.get('name', '(without a name)')}",
                f"the unknown field {unknown[0]}",
                expected=f"only: {', '.join(sorted(known))}",
            )
        try:
            lists: dict[str, Any] = {k: tuple(raw[k]) for k in LISTS if k in raw}
            return Declaration(**{**raw, **lists})
        except TypeError as error:
            raise UsageError("feature declaration", raw.get("name"), expected=str(error)) from None


def check(declaration: Declaration) -> None:
    """Refuses a declaration that no interpreter could compute; UsageError names the feature and the field."""
    _check_choice(declaration, "kind", get_args(Kind))
    _check_choice(declaration, "group", get_args(Group))
    _check_choice(declaration, "direction", (-1, 0, 1))
    _check_choice(declaration, "actor", ("lead", "company", "machine", ""))
    _check_choice(declaration, "subject", ("lead", "account"))
    if not isinstance(declaration.name, str) or not re.fullmatch(r"\w+", declaration.name):
        raise _wrong(declaration, "name", declaration.name, "letters, digits and underscores")
    for field in ("reason", "wording_ja", "wording_en", *_NEEDS.get(declaration.kind, ())):
        if not getattr(declaration, field):
            raise _wrong(declaration, field, "nothing", f"a value, which kind {declaration.kind} needs")
    if declaration.kind in OF:
        _check_choice(declaration, "of", OF[declaration.kind])
    _check_lists(declaration)
    _check_spans(declaration)


def _check_choice(declaration: Declaration, field: str, allowed: tuple[Any, ...]) -> None:
    if getattr(declaration, field) not in allowed:
        choices = ", ".join(str(choice) or "(empty)" for choice in allowed)
        raise _wrong(declaration, field, repr(getattr(declaration, field)), f"one of: {choices}")


def _check_lists(declaration: Declaration) -> None:
    for field in LISTS:
        if not all(isinstance(item, str) for item in getattr(declaration, field)):
            raise _wrong(declaration, field, getattr(declaration, field), "a list of texts")


def _check_spans(declaration: Declaration) -> None:
    window, half_life = declaration.window_days, declaration.half_life_days
    if window is not None and not (type(window) is int and 1 <= window <= LONGEST_WINDOW_DAYS):
        raise _wrong(declaration, "window_days", window, f"whole days from 1 to {LONGEST_WINDOW_DAYS}")
    if declaration.kind == "active_weeks" and window and not 7 <= window <= 7 * LONGEST_RUN_OF_WEEKS:
        raise _wrong(declaration, "window_days", window, f"7 to {7 * LONGEST_RUN_OF_WEEKS} for active_weeks")
    if half_life is None:
        return
    hours = half_life * 24 if isinstance(half_life, int | float) else 0
    if not 1 <= hours <= 24 * LONGEST_HALF_LIFE_DAYS or hours != int(hours):
        raise _wrong(declaration, "half_life_days", half_life, f"whole hours, 1 hour to {LONGEST_HALF_LIFE_DAYS} days")


def _wrong(declaration: Declaration, field: str, received: object, expected: str) -> UsageError:
    return UsageError(f"feature declaration {declaration.name}, {field}", received, expected=expected)
