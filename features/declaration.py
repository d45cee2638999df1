"""What a feature is, said once; batch and online interpret it, nothing else defines one.

A declaration selects records of one lead (or of its account) that are visible
as of *t* — `occurred_at < t` and `recorded_at < t` — and reduces them to one
number or one category. `Kind` is the whole vocabulary.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from data.errors import UsageError

Kind = Literal[
    # over touchpoints of the lead
    "count",  # how many in the window
    "distinct_count",  # how many different values of `of` (kind | channel | campaign | detail | day)
    "days_since_last",  # whole and part days since the newest
    "days_since_first",  # since the oldest
    "decayed_sum",  # Σ 2^(−age/half_life), each weight in whole millionths, added as integers
    "trend",  # count in the newest third of the window × 3 against the whole, as a difference
    "ratio",  # count(touchpoints) / count(denominator); null where the denominator is 0
    "active_weeks",  # weeks without gap, counted back from t, with at least one touchpoint
    "first_touch",  # category: `of` (channel | campaign | kind) of the oldest
    "last_touch",  # category: of the newest
    # over the cycle and its stages
    "lead_age",  # days since the cycle's start
    "stage",  # category: newest visible stage of the cycle
    "stage_age",  # days since it was entered
    "times_recycled",  # cycles before this one
    # over the account's other leads
    "account_count",  # their touchpoints in the window
    "account_leads",  # how many other leads
    "account_distinct",  # different values of `attribute` among all leads of the account with touchpoints in the window
    "account_seen",  # 1 if any lead of the account has `attribute` in `values`, else 0
    # over the calendar, in the company's time zone
    "calendar",  # `of`: creation_hour | creation_weekday | creation_month | days_to_quarter_end
    # over attributes
    "number",
    "category",
    "days_since_date",  # t minus a date attribute
    "missing",  # 1 where the attribute has no visible value, else 0
]

Group = Literal["fit", "behaviour"]

CATEGORY_KINDS = frozenset({"first_touch", "last_touch", "stage", "category"})


@dataclass(frozen=True)
class Declaration:
    name: str
    """snake_case, with its window: `touchpoints_30d_count`."""
    kind: Kind
    group: Group
    reason: str
    """Reason code; several features may share one, their contributions are added."""
    wording_ja: str
    """The observed fact with its window; {value} and {window} are filled in. Ends in a noun."""
    wording_en: str
    unit: str = ""
    null: str = ""
    """What null means, in words; null itself is what the model is given."""
    direction: Literal[-1, 0, 1] = 0
    """+1: more never lowers the margin; −1: never raises it; 0: unconstrained."""
    touchpoints: tuple[str, ...] = ()
    """Kinds of touchpoint selected; empty selects all."""
    actor: str = "lead"
    """lead | company | machine; empty selects all."""
    denominator: tuple[str, ...] = ()
    window_days: int | None = None
    """Touchpoints with t − window ≤ occurred_at < t; None: ever."""
    half_life_days: float | None = None
    of: str = ""
    subject: Literal["lead", "account"] = "lead"
    attribute: str = ""
    values: tuple[str, ...] = ()

    @property
    def is_category(self) -> bool:
        """Value is text or null; otherwise a float or null."""
        return self.kind in CATEGORY_KINDS

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(raw: dict[str, Any]) -> Declaration:
        try:
            lists: dict[str, Any] = {k: tuple(raw[k]) for k in ("touchpoints", "denominator", "values") if k in raw}
            return Declaration(**{**raw, **lists})
        except TypeError as error:
            raise UsageError("feature declaration", raw.get("name"), expected=str(error)) from None
