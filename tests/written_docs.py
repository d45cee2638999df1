"""The pages of `docs/` that are written from the code, and their writer.

`make docs` writes them; a test compares them with what stands there. So the
contracts between the rooms cannot say one thing and be another.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from data import records, tables  # noqa: E402
from data.company import Company, CompanyColumn, Target  # noqa: E402
from data.settings import Settings  # noqa: E402
from data.store import partitions  # noqa: E402
from data.store.deployments import Deployment  # noqa: E402
from data.store.ledger import LedgerRow  # noqa: E402
from features import declaration  # noqa: E402
from serving.settings import ServingSettings  # noqa: E402
from training import bundle  # noqa: E402
from training.policy import Policy  # noqa: E402

CONTRACTS_INTRODUCTION = """# Contracts between the rooms

Written from the code by `make docs`; `tests/end_to_end/test_written_docs.py` fails when it is not current.
A wall moved later costs most: change one of these only together with everybody who reads it, and say why in
`docs/design.md`.

Instants are whole microseconds since 1970-01-01 UTC everywhere: in the store, in snapshots, bundles and the ledger.
A feature as of *t* uses records with `occurred_at < t` and `recorded_at < t`; an outcome window is `[t, t + horizon)`.
"""


def field_meanings(kind: type) -> dict[str, str]:
    """The string literal that follows a field in its class body, by field name."""
    body = ast.parse(inspect.getsource(kind).lstrip()).body[0]
    assert isinstance(body, ast.ClassDef)
    meanings: dict[str, str] = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            meanings[statement.target.id] = " ".join(str(following.value.value).split())
    return meanings


def dataclass_section(kind: type) -> str:
    meanings = field_meanings(kind)
    rows = "\n".join(
        f"| `{field.name}` | `{_type(kind, field).replace('|', chr(92) + '|')}` | {meanings.get(field.name, '')} |"
        for field in dataclasses.fields(kind)
    )
    said = inspect.getdoc(kind) or ""
    said = "" if said.startswith(f"{kind.__name__}(") else said + "\n\n"  # not what dataclass made up itself
    return f"### {kind.__name__}\n\n{said}| field | type | meaning |\n|---|---|---|\n{rows}\n"


def _type(kind: type, field: dataclasses.Field[Any]) -> str:
    """The annotation, short lists of allowed words spelt out."""
    alias = getattr(sys.modules[kind.__module__], str(field.type), None)
    words = get_args(alias) if get_origin(alias) is Literal else ()
    return " | ".join(repr(word) for word in words) if 0 < len(words) <= 8 else str(field.type)


def table_section(table: tables.Table) -> str:
    rows = "\n".join(
        f"| `{c.name}` | {c.type} | {_marks(c)} | {c.meaning} |"
        for c in table.columns
        if c not in tables.RECORD_COLUMNS
    )
    place = "store and snapshots" if table.in_snapshot else "store only, never in a snapshot"
    heading = f"### {table.name}\n\nOne row is {table.grain}. Kept in: {place}."
    return f"{heading}\n\n| column | type | | meaning |\n|---|---|---|---|\n{rows}\n"


def _marks(column: tables.Column) -> str:
    return " ".join([*([] if column.required else ["may be null"]), *(["contact"] if column.contact else [])])


def kinds_section() -> str:
    source = inspect.getsource(declaration).split("Kind = Literal[")[1].split("\n]")[0]
    rows = []
    for line in source.splitlines():
        if line.strip().startswith('"'):
            name, _, meaning = line.partition("#")
            rows.append(f"| `{name.strip(' ,')[1:-1]}` | {meaning.strip().replace('|', chr(92) + '|')} |")
    assert len(rows) == len(get_args(declaration.Kind))
    return "### Kinds of declaration\n\n| kind | reduces the visible records to |\n|---|---|\n" + "\n".join(rows) + "\n"


def contracts_page() -> str:
    record_columns = "\n".join(f"| `{c.name}` | {c.type} | {c.meaning} |" for c in tables.RECORD_COLUMNS)
    parts = [
        CONTRACTS_INTRODUCTION,
        "## Tables\n\nEvery table ends with the record columns:\n\n| column | type | meaning |\n|---|---|---|\n"
        + record_columns
        + "\n",
        *[table_section(table) for table in tables.TABLES],
        f"Stages in funnel order: {', '.join(f'`{s}`' for s in tables.STAGES)}. "
        f"Terminal: {', '.join(f'`{s}`' for s in tables.TERMINAL_STAGES)}.\n\n"
        f"Kinds of touchpoint: {', '.join(f'`{k}`' for k in tables.TOUCHPOINT_KINDS)}.\n",
        "## What a company declares\n",
        *[dataclass_section(kind) for kind in (Company, Target, CompanyColumn)],
        "## One lead, online\n",
        *[
            dataclass_section(kind)
            for kind in (
                records.LeadHistory,
                records.Touchpoint,
                records.StageChange,
                records.Attribute,
                records.AccountSummary,
                records.Sibling,
            )
        ],
        "## Features\n",
        dataclass_section(declaration.Declaration),
        kinds_section(),
        "## Bundle\n\n" + (inspect.getdoc(bundle) or "") + "\n",
        *[dataclass_section(kind) for kind in (bundle.Scored, bundle.ScoredTable)],
        "## Partitions\n\n" + (inspect.getdoc(partitions) or "") + "\n",
        dataclass_section(partitions.Partition),
        "## Policy, deployment, ledger\n",
        *[dataclass_section(kind) for kind in (Policy, Deployment, LedgerRow)],
    ]
    return "\n".join(parts)


def settings_page() -> str:
    rows = "\n".join(
        f"| `{kind.model_config['env_prefix']}{name.upper()}` | `{_shown(field.default)}` | {field.description} |"
        for kind in (Settings, ServingSettings)
        for name, field in sorted(kind.model_fields.items())
    )
    return (
        "# Settings\n\nWritten from the code by `make docs`. Settings are environment variables, read once at the "
        "front door;\n`--home` on the command line wins over `LEADSCORE_HOME`.\n\n"
        f"| variable | default | meaning |\n|---|---|---|\n{rows}\n\n"
        "`MLFLOW_TRACKING_URI` says where MLflow's runs and models are kept (a database, or a server); without it they "
        "lie in\nthe home folder. The registry and `leadscore tracking` follow it alike.\n\n"
        "Telemetry of the packages underneath is off: `DO_NOT_TRACK`, `MLFLOW_DISABLE_TELEMETRY` and "
        "`BENTOML_DO_NOT_TRACK`\nare set before they are imported, unless you have set them yourself.\n"
    )


def _shown(default: Any) -> str:
    return "(empty)" if default == "" else str(default)


PAGES: dict[str, Callable[[], str]] = {"contracts.md": contracts_page, "settings.md": settings_page}


def write_pages() -> None:
    for name, page in PAGES.items():
        (ROOT / "docs" / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write_pages()
