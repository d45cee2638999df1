"""What a mapping may say about one column that describes a lead or an account."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from data.company import CompanyColumn
from data.sources.cells import Cell, Section, Tokens
from data.tables import STANDARD_ATTRIBUTES

ColumnType = Literal["number", "category", "text", "date"]
Subject = Literal["lead", "account"]


class ColumnSection(Section):
    """One column of the source, as `[files.columns.NAME]`."""

    as_: str = Field(default="", alias="as")
    """Name of the attribute; empty: the column's own name. A standard attribute is mapped by its name."""
    type: ColumnType | None = None
    subject: Subject | None = None
    group: Literal["fit", "behaviour"] = "fit"
    direction: Literal[-1, 0, 1] = 0
    known: Literal["creation", "later", "outcome"] = "creation"
    protected: bool = False
    allowed_because: str = ""
    missing: Tokens | None = None
    """Tokens that mean missing in this column, instead of the file's."""
    words: dict[str, str] = Field(default_factory=dict)
    format: str = ""
    decimal: Literal[".", ","] | None = None
    label_ja: str = ""
    label_en: str = ""

    @model_validator(mode="after")
    def _typed(self) -> ColumnSection:
        standard = STANDARD_ATTRIBUTES.get(self.as_)
        if standard is None and self.type is None and self.known != "outcome":
            raise ValueError(
                'needs type = "number", "category", "text" or "date", or as = a standard attribute '
                f"({', '.join(STANDARD_ATTRIBUTES)})"
            )
        if standard and self.type not in {None, standard[1]}:
            raise ValueError(f"the standard attribute {self.as_} has type {standard[1]}, not {self.type}")
        return self

    def cell(self, column: str) -> Cell:
        """The column as a cell with this section's words and tokens."""
        return Cell(column=column, words=dict(self.words), missing=self.missing)

    def company_column(self, attribute: str, subject: Subject) -> CompanyColumn:
        return CompanyColumn(
            name=attribute,
            subject=subject,
            type=self.type or "category",
            group=self.group,
            direction=self.direction,
            known=self.known,
            protected=self.protected,
            allowed_because=self.allowed_because,
            label_ja=self.label_ja,
            label_en=self.label_en or attribute,
        )


def attribute_of(column: str, section: ColumnSection) -> str:
    """Name under which the column's values are kept."""
    return section.as_ or column


def subject_of(column: str, section: ColumnSection, default: Subject) -> Subject:
    standard = STANDARD_ATTRIBUTES.get(attribute_of(column, section))
    if section.subject:
        return section.subject
    if standard:
        return "account" if standard[0] == "account" else "lead"
    return default


def type_of(column: str, section: ColumnSection) -> ColumnType:
    standard = STANDARD_ATTRIBUTES.get(attribute_of(column, section))
    if section.type is None and standard and standard[1] == "number":
        return "number"
    return section.type or "category"
