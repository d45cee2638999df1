"""What a mapping may say about one value: which column it is in, or which constant it is.

A plain string names a column. `{ column = …, words = {…} }` translates what
the source says; `{ value = … }` is a constant.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from data.errors import UsageError
from data.times import parse_duration

Scalar = str | int | float | bool


class Section(BaseModel):
    """A table of the mapping file; a key it does not know is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def as_tokens(value: Any) -> Any:
    """Tokens may be written as text or number; files hold text."""
    return tuple(token_text(v) for v in value) if isinstance(value, list | tuple) else value


def token_text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


Tokens = Annotated[tuple[str, ...], BeforeValidator(as_tokens)]


class Cell(Section):
    """Where one value of a record comes from."""

    column: str = ""
    value: Scalar | None = None
    """A constant, instead of a column."""
    words: dict[str, Scalar] = Field(default_factory=dict)
    """The source's words → ours; a word that is not listed stays as it is."""
    others: Literal["keep", "skip"] = "keep"
    """What becomes of rows whose word is not listed: kept as they are, or passed over."""
    prefix: str = ""
    """Put before every value, where ids of several files would else be the same."""
    format: str = ""
    """Of a time: strptime codes (`%d/%m/%Y`), `epoch_s` or `epoch_ms`; empty: ISO and Japanese forms."""
    timezone: str = ""
    decimal: Literal[".", ","] | None = None
    missing: Tokens | None = None
    """Tokens that mean missing here, instead of the file's."""

    @model_validator(mode="after")
    def _column_or_value(self) -> Cell:
        if bool(self.column) == (self.value is not None):
            raise ValueError("needs either a column (a string, or column = …) or a constant (value = …)")
        return self

    @property
    def name(self) -> str:
        return self.column or f"constant {self.value!r}"


def _cell(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


CellOf = Annotated[Cell, BeforeValidator(_cell)]


def constant(value: Scalar) -> Cell:
    return Cell(value=value)


def _where(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: as_tokens(v if isinstance(v, list) else [v]) for k, v in value.items()}


Where = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_where)]


class Timed(Section):
    """What every section of dated records may say about when its source knew them."""

    recorded: CellOf | None = None
    """Column with the time the source knew it."""
    recording_lag: str = ""
    """Else: how long after it happened the source knew it, such as "2h" or "1d"."""
    where: Where = Field(default_factory=dict)

    @field_validator("recording_lag")
    @classmethod
    def _lag(cls, text: str) -> str:
        return checked_duration(text)


def checked_duration(text: str) -> str:
    """The duration itself, refused in pydantic's way when it cannot be read."""
    try:
        if text:
            parse_duration(text)
    except UsageError as error:
        raise ValueError(f"{error.received} is not {error.expected}") from None
    return text


def microseconds(text: str) -> int:
    """Length of a duration of the mapping; an empty one is none."""
    return parse_duration(text) if text else 0
