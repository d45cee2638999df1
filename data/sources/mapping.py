"""The mapping file: which column of which file means what. `docs/mapping.md` is its manual.

`read_mapping` turns TOML into a frozen `Mapping`; everything that can be wrong
with the text alone is refused here, before a data file is opened.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, field_validator, model_validator

from data.company import Company, CompanyColumn, Target
from data.errors import LeadscoreError, UsageError
from data.sources.cells import Section, Tokens, checked_duration, microseconds
from data.sources.columns import attribute_of
from data.sources.complaints import complaints
from data.sources.sections import FileSection
from data.tables import BY_NAME, STAGES, STANDARD_ATTRIBUTES, TOUCHPOINT_KINDS
from data.times import ROW_HORIZON, parse_instant

WORKED = Path(__file__).parent / "mappings"
"""Mappings that ship with the project, as documentation and for its tests."""

DATA_FILES = {".csv", ".tsv", ".txt", ".parquet", ".pq", ".xlsx", ".xls", ".gz", ".zip", ".json", ".jsonl"}

TOML = "valid TOML (a key with other characters than A–Z a–z 0–9 _ - needs quotes)"

Month = Annotated[int, Field(ge=1, le=12)]


class CompanySection(Section):
    time: Literal["dates", "row"] = "dates"
    timezone: str = "Asia/Tokyo"
    currency: str = "JPY"
    fiscal_year_start: Month = 4
    extra_stages: tuple[str, ...] = ()
    extra_touchpoints: tuple[str, ...] = ()
    history_from: dict[str, str] = Field(default_factory=dict)
    """Table → day from which the source kept its records at all."""

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        return checked_zone(name)

    @field_validator("history_from", mode="before")
    @classmethod
    def _days(cls, days: Any) -> Any:
        for table in days if isinstance(days, dict) else ():
            if table not in BY_NAME:
                raise ValueError(f"{table!r} is no table; allowed: {', '.join(BY_NAME)}")
        return {k: str(v) for k, v in days.items()} if isinstance(days, dict) else days


class TargetSection(Section):
    stage: str
    horizon: str = ""
    """Outcome window, such as "90d"; not with time = "row"."""
    recording_lag: str = ""

    @field_validator("horizon", "recording_lag")
    @classmethod
    def _durations(cls, text: str) -> str:
        return checked_duration(text)


class Mapping(Section):
    """One source system's files and what they mean."""

    source: str = Field(min_length=1)
    """Name of the system; with the record's own id it names a record for good."""
    id_prefix: str = ""
    """Put before every lead id, where another source has the same ids."""
    missing: Tokens = ()
    company: CompanySection = CompanySection()
    targets: dict[str, TargetSection] = Field(default_factory=dict)
    files: tuple[FileSection, ...] = Field(min_length=1)
    place: Path = Field(default=Path("mapping.toml"), exclude=True)
    """The file this mapping was read from; data files are relative to its folder."""
    data: Path | None = Field(default=None, exclude=True)
    """Folder of the data files when they are not beside the mapping."""

    @property
    def folder(self) -> Path:
        return self.data or self.place.parent

    @property
    def by_row(self) -> bool:
        return self.company.time == "row"

    @property
    def stages(self) -> tuple[str, ...]:
        return (*STAGES, *self.company.extra_stages)

    @property
    def touchpoint_kinds(self) -> tuple[str, ...]:
        return (*TOUCHPOINT_KINDS, *self.company.extra_touchpoints)

    @model_validator(mode="after")
    def _consistent(self) -> Mapping:
        problems = complaints(self)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def company_declared(self) -> Company:
        """What this mapping says about the company, for the store."""
        c = self.company
        return Company(
            time=c.time,
            timezone=c.timezone,
            fiscal_year_start=c.fiscal_year_start,
            currency=c.currency,
            targets=tuple(self._target(name, t) for name, t in self.targets.items()),
            columns=self._own_columns(),
            extra_stages=c.extra_stages,
            history_from={table: parse_instant(day, c.timezone) for table, day in c.history_from.items()},
        )

    def _target(self, name: str, section: TargetSection) -> Target:
        horizon = ROW_HORIZON if self.by_row else microseconds(section.horizon)
        return Target(name, section.stage, horizon, microseconds(section.recording_lag))

    def _own_columns(self) -> tuple[CompanyColumn, ...]:
        """Columns of the company's own, one a name; standard attributes need no declaration."""
        own = {}
        for file in self.files:
            for name, section, subject in file.declared_columns():
                attribute = attribute_of(name, section)
                if attribute not in STANDARD_ATTRIBUTES or section.known == "outcome":
                    own[attribute] = section.company_column(attribute, subject)
        return tuple(own.values())


def checked_zone(name: str) -> str:
    try:
        if name:
            ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; use a name such as Asia/Tokyo or UTC") from None
    return name


def read_mapping(path: Path | str, data: Path | None = None) -> Mapping:
    """The mapping at `path`, its files sought beside it or in `data`.

    Raises UsageError naming each wrong place with what is allowed there.
    """
    place = Path(path)
    if place.suffix.lower() in DATA_FILES and place.is_file():
        expected = "a mapping file (TOML), which says what the columns of such files mean"
        raise UsageError(f"mapping {place}", "a file of data", expected=expected, remedy=_remedy(place))
    try:
        raw = tomllib.loads(place.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(
            f"mapping {place}",
            error.strerror or "unreadable",
            expected="a mapping file (TOML)",
            remedy="give its path, or write one with: leadscore mapping draft FILE…",
        ) from None
    except UnicodeDecodeError:
        expected = "a mapping file: TOML in UTF-8"
        raise UsageError(f"mapping {place}", "no text in UTF-8", expected=expected, remedy=_remedy(place)) from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"mapping {place}", str(error), expected=TOML, remedy=_remedy(place)) from None
    return mapping_of(raw, place, data)


def _remedy(place: Path) -> str:
    if place.suffix.lower() == ".toml":
        return "see docs/mapping.md"
    return f"write one with: leadscore mapping draft {place}"


def mapping_of(raw: dict[str, Any], place: Path, data: Path | None = None) -> Mapping:
    from data.sources.wrong_places import wrong_places

    try:
        return Mapping.model_validate({**raw, "place": place, "data": data})
    except ValidationError as error:
        raise UsageError(f"mapping {place}: " + wrong_places(error, raw), remedy="see docs/mapping.md") from None
    except LeadscoreError as error:
        raise UsageError(f"mapping {place}: {error}") from None
