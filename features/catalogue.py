"""Which features a company has: the default ones, its own columns, its own declarations.

`python -m features.catalogue > docs/features.md` writes the default catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from data.company import Company
from data.errors import UsageError
from features.behaviour import behaviour
from features.columns import column_declarations
from features.declaration import Declaration, check
from features.fit import calendar, fit
from features.journey import journey
from features.own import EXAMPLE, own_declarations


def declarations(company: Company, own: Path | None = None) -> tuple[Declaration, ...]:
    """All features of a company in schema order, names unique (letter case apart).

    The default catalogue, less what the company declares itself; one or two
    for each of its columns; those of the TOML files in the folder `own`. Data
    without dates has attributes only. Raises UsageError on a declaration that
    cannot be computed, a name that is taken, or one that reads a column that
    must never be a feature: protected, or known only after the outcome.
    """
    columns = frozenset(column.name for column in company.columns)
    default = (*behaviour(), *journey(), *fit(columns), *calendar()) if company.time == "dates" else fit(columns)
    barred = {c.name: c.protected for c in company.columns if c.protected or c.known == "outcome"}
    default = tuple(d for d in default if d.attribute not in barred)
    taken = frozenset(d.name.lower() for d in default)
    found = (*default, *column_declarations(company, taken), *(own_declarations(own) if own else ()))
    for declaration in found:
        check(declaration)
        if declaration.attribute in barred:
            raise _barred(declaration, protected=barred[declaration.attribute])
    _check_unique(found)
    return found


def _barred(declaration: Declaration, *, protected: bool) -> UsageError:
    """The mapping's word on a column also holds for what the company declares itself."""
    why = "protected" if protected else "known only after the outcome"
    return UsageError(
        f"feature declaration {declaration.name}",
        f"attribute {declaration.attribute}, which the mapping says is {why}",
        expected="an attribute that may be a feature",
        remedy="remove the declaration, or change the column in the mapping",
    )


def _check_unique(found: Iterable[Declaration]) -> None:
    seen: set[str] = set()
    for declaration in found:
        if declaration.name.lower() in seen:
            raise UsageError(
                "feature declaration",
                f"the name {declaration.name} twice",
                expected="one declaration a name",
                remedy="rename it in its declaration file",
            )
        seen.add(declaration.name.lower())


def render_catalogue(found: Sequence[Declaration]) -> str:
    """The catalogue as Markdown: one table a group, one row a feature."""
    lines = [_HEAD.format(count=len(found))]
    for group, title in (("behaviour", "Behaviour"), ("fit", "Fit")):
        of_group = [d for d in found if d.group == group]
        lines += [f"## {title} ({len(of_group)})\n", _COLUMNS, "|---|---|---|---|---|---|---|---|---|"]
        lines += [_line(d) for d in of_group]
        lines.append("")
    return "\n".join([*lines, _TAIL])


_HEAD = """# Features

Generated from the declarations by `python -m features.catalogue > docs/features.md`; do not edit.

{count} features are listed here. To the default ones a company's columns and its own declarations are added;
`leadscore features --describe` lists them with those. A feature as of *t* uses records with
`occurred_at < t` and `recorded_at < t`, nothing else. Direction: + more never lowers the
margin, − more never raises it, · free. Ageing says how the value moves while nothing
happens. Touchpoints are the lead's own deeds unless another actor is named.
"""
_TAIL = f"""## A company's own

Its columns become features as its mapping declares them: a number, a category, the days since a date, the
length of a text, and for all but categories whether it is missing. Columns known only after the outcome and
protected ones never do, and an own declaration that reads one is refused.

Other features of its own are declared in `*.toml` files in the `features/` folder of its home, with the
fields of `Declaration` (see `contracts.md`); a wrong one is refused with its file, name and field:

```toml
{EXAMPLE}```

`leadscore check` judges every column and feature: what is filled at or after the outcome, or exists for one
outcome only, is blocked; what alone ranks later outcomes strongly, or whose gaps do, is flagged. A blocked
column is allowed by `allowed_because = "…"` in the mapping.
"""
_COLUMNS = "| name | kind | of | window | direction | ageing | reason code | wording (ja / en) | null means |"
_SIGNS = {1: "+", -1: "−", 0: "·"}


def _line(d: Declaration) -> str:
    wording = f"{d.wording_ja} / {d.wording_en}"
    cells = (f"`{d.name}`", d.kind, _of(d), _window(d), _SIGNS[d.direction], d.ageing, f"`{d.reason}`", wording, d.null)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _of(d: Declaration) -> str:
    parts = [d.of, ", ".join(d.touchpoints), f"{d.subject}: {d.attribute}" if d.attribute else ""]
    if d.except_touchpoints and not d.touchpoints:
        parts.append("all but " + ", ".join(d.except_touchpoints))
    if d.denominator:
        parts.append("by " + ", ".join(d.denominator))
    if d.actor != "lead":
        parts.append(f"by {d.actor or 'anyone'}")
    return "; ".join(part for part in parts if part)


def _window(d: Declaration) -> str:
    if d.half_life_days:
        return f"half-life {d.half_life_days:g} d"
    return f"{d.window_days} d" if d.window_days else ""


if __name__ == "__main__":
    print(render_catalogue(declarations(Company())), end="")
