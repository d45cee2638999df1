"""What one company has declared about its history: targets, stages, own columns.

Written by `leadscore import` from the mapping files, kept in the store and in
every snapshot's manifest, read by everything downstream.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from data.errors import UsageError
from data.times import parse_instant, render_instant, render_row


@dataclass(frozen=True)
class Target:
    """An outcome worth predicting: reaching `stage` within `horizon` of the as-of time."""

    name: str
    """What commands, models and answers call it."""
    stage: str
    """Reaching this stage, or a later one of the funnel, is the outcome."""
    horizon: int
    """Microseconds; the outcome window is [as_of, as_of + horizon)."""
    recording_lag: int = 0
    """Microseconds by which outcomes reach the source late; a row matures at as_of + horizon + recording_lag."""


@dataclass(frozen=True)
class CompanyColumn:
    """A column of the company's own, and what may be done with it."""

    name: str
    """Attribute name: a word of the company's own or a standard one."""
    subject: Literal["lead", "account"] = "lead"
    """Whether it describes the lead or its company."""
    type: Literal["number", "category", "text", "date"] = "category"
    """A category becomes text features, a number or date a number, a text only its length."""
    group: Literal["fit", "behaviour"] = "fit"
    """Fit (who they are) or behaviour (what they do)."""
    direction: Literal[-1, 0, 1] = 0
    """+1: more never lowers the probability; −1: never raises it; 0: unknown."""
    known: Literal["creation", "later", "outcome"] = "creation"
    """`outcome` columns are never features; `later` ones count from their import."""
    protected: bool = False
    """Watched for fairness; never a feature."""
    allowed_because: str = ""
    """Why a column the leak firewall blocks is used all the same."""
    label_ja: str = ""
    """What reasons call it, in Japanese; empty: its name."""
    label_en: str = ""
    """What reasons call it, in English; empty: its name."""


@dataclass(frozen=True)
class Company:
    time: Literal["dates", "row"] = "dates"
    """Whether records have dates or only an order of rows."""
    timezone: str = "Asia/Tokyo"
    """IANA name; calendar days, weeks and fiscal quarters are counted in it."""
    fiscal_year_start: int = 4
    """Month (1–12)."""
    currency: str = "JPY"
    """ISO 4217 code of all amounts."""
    targets: tuple[Target, ...] = ()
    """The outcomes to predict, the primary one first."""
    columns: tuple[CompanyColumn, ...] = ()
    """The company's own columns."""
    extra_stages: tuple[str, ...] = ()
    """Stages of its own, beside STAGES."""
    history_from: dict[str, int] = field(default_factory=dict)
    """Declared start of recording by table, where a source kept nothing earlier."""

    def target(self, name: str) -> Target:
        for target in self.targets:
            if target.name == name:
                return target
        known = ", ".join(t.name for t in self.targets) or "none"
        raise UsageError("--target", repr(name), expected=f"one of: {known}")

    def instant(self, text: str) -> int:
        """Microseconds of a time a user gave: a date where the data have dates, "row:N" where they have none."""
        by_row = text.strip().startswith("row:")
        if by_row and self.time != "row":
            raise UsageError("time", repr(text), expected="an ISO date or time, since the data have dates")
        if not by_row and self.time == "row":
            raise UsageError("time", repr(text), expected='"row:N", since the data have no dates')
        return parse_instant(text, self.timezone)

    def told(self, at: int, timezone: str = "") -> str:
        """An instant for people: ISO in `timezone`, by default the company's; "row:N" where the data have no dates."""
        return render_row(at) if self.time == "row" else render_instant(at, timezone or self.timezone)

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Company:
        raw: dict[str, Any] = json.loads(text)
        raw["targets"] = tuple(Target(**t) for t in raw["targets"])
        raw["columns"] = tuple(CompanyColumn(**c) for c in raw["columns"])
        raw["extra_stages"] = tuple(raw["extra_stages"])
        return Company(**raw)
