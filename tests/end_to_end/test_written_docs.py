"""Documentation that cannot rot: what is written from code is current, what exists is documented."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import typer.main

import leadscore
from data.settings import Settings
from serving.settings import ServingSettings


@pytest.fixture(scope="session")
def written_docs(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("written_docs", root / "tests" / "written_docs.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["contracts.md", "settings.md"])
def test_pages_written_from_code_are_current(root: Path, written_docs: ModuleType, page: str) -> None:
    assert (root / "docs" / page).read_text(encoding="utf-8") == written_docs.PAGES[page](), "run `make docs`"


def test_every_field_of_a_contract_says_what_it_means(written_docs: ModuleType) -> None:
    rows = [line for line in written_docs.contracts_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    assert [row for row in rows if not row.rstrip(" |").strip() or row.endswith("|  |")] == []


def command_names() -> list[str]:
    command = typer.main.get_command(leadscore.app)
    names = []
    for name, sub in command.commands.items():
        names += [f"{name} {inner}" for inner in sub.commands] if hasattr(sub, "commands") else [name]
    return sorted(names)


def test_the_front_door_has_the_commands_users_were_promised() -> None:
    promised = {"simulate", "mapping draft", "import", "check", "features", "train", "models", "compare", "score"}
    promised |= {"explain", "promote", "rollback", "serve", "monitor", "retune", "tracking", "demo"}
    assert promised <= set(command_names())


@pytest.mark.parametrize("readme", ["README.md", "README.ja.md"])
def test_every_command_is_in_both_readmes(root: Path, readme: str) -> None:
    text = (root / readme).read_text(encoding="utf-8")
    assert [name for name in command_names() if f"leadscore {name}" not in text] == []


def test_every_option_has_help() -> None:
    command = typer.main.get_command(leadscore.app)
    leaves = [c for sub in command.commands.values() for c in getattr(sub, "commands", {"": sub}).values()]
    silent = [f"{c.name} {p.name}" for c in leaves for p in c.params if p.name != "help" and not getattr(p, "help", "")]
    arguments = [f"{c.name} {p.name}" for c in leaves for p in c.params if p.param_type_name == "argument"]
    assert [s for s in silent if s not in arguments] == []
    assert [c.name for c in leaves if not c.help] == []


def test_every_setting_is_documented(root: Path) -> None:
    page = (root / "docs" / "settings.md").read_text(encoding="utf-8")
    for kind in (Settings, ServingSettings):
        prefix = kind.model_config["env_prefix"]
        assert [name for name in kind.model_fields if f"{prefix}{name.upper()}" not in page] == []


def test_no_environment_variable_is_read_that_is_not_documented(root: Path) -> None:
    page = (root / "docs" / "settings.md").read_text(encoding="utf-8")
    rooms = ["data", "features", "training", "serving", "monitoring"]
    sources = [root / "leadscore.py", *(f for room in rooms for f in (root / room).rglob("*.py"))]
    named = {v for f in sources for v in re.findall(r"LEADSCORE_[A-Z_]+[A-Z]", f.read_text(encoding="utf-8"))}
    assert sorted(v for v in named if v not in page) == []


def test_endpoints_are_documented(root: Path) -> None:
    page = (root / "docs" / "api.md").read_text(encoding="utf-8")
    text = "\n".join(f.read_text(encoding="utf-8") for f in (root / "serving").rglob("*.py"))
    routes = set(re.findall(r"""["'](/v1/[a-z/{}_]+|/livez|/readyz|/metrics)["']""", text))
    assert "/v1/score" in routes
    assert sorted(route for route in routes if route not in page) == []


def test_links_inside_the_documentation_lead_somewhere(root: Path) -> None:
    pages = [*root.glob("*.md"), *(root / "docs").glob("*.md")]
    broken = []
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in link and not (page.parent / link).exists():
                broken.append(f"{page.name}: {link}")
    assert broken == []


def test_no_python_lies_under_mlflow(root: Path) -> None:
    assert list((root / "mlflow").rglob("*.py")) == [], "a Python file there could shadow the package mlflow"


def test_no_address_and_no_path_of_a_machine_is_in_the_lock(root: Path) -> None:
    lock = (root / "requirements.lock").read_text(encoding="utf-8")
    assert re.findall(r"https?://|file://|--index-url|--find-links|--extra-index-url", lock) == []
    pinned = re.findall(r"^[a-z0-9][^\s=]*==[^\s]+.*?(?=^\S|\Z)", lock, re.S | re.M)
    assert len(pinned) > 150
    assert [p.splitlines()[0] for p in pinned if "--hash=sha256:" not in p] == []


def test_nothing_loads_a_pickle(root: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=root, capture_output=True, text=True, check=True).stdout
    banned = re.compile(r"^\s*(import|from)\s+(pickle|cloudpickle|joblib|dill)\b", re.M)
    assert [f for f in listed.split() if banned.search((root / f).read_text(encoding="utf-8"))] == []
