"""docs/api.md: complete, and its examples run against the real server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from serving_server import Server

from serving import contract
from serving.contract import Refusal, ScoreAnswer
from serving.refusals import RETRY_AFTER, STATUSES
from serving.settings import ServingSettings

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
MODELS = [m for m in vars(contract).values() if isinstance(m, type) and m.__module__ == contract.__name__]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def here(example: str, server: Server) -> str:
    """An example as written, for this server and a lead it knows."""
    return example.replace("http://127.0.0.1:3000", server.url).replace("L0000042", "L0005")


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_field_is_documented_in_the_contracts_words(model: type) -> None:
    for name, field in TypeAdapter(model).json_schema().get("properties", {}).items():
        assert f"| `{name}` | {field.get('description', '')} |" in TEXT


@pytest.mark.parametrize("code", STATUSES)
def test_every_error_code_has_its_status_cause_and_remedy(code: str) -> None:
    line = next(line for line in TEXT.splitlines() if line.startswith(f"| `{code}` |"))
    _, _, status, cause, remedy, _ = (cell.strip() for cell in line.split("|"))
    assert status == str(STATUSES[code])
    assert cause
    assert remedy


def test_codes_worth_a_second_try_are_named() -> None:
    assert all(f"`{code}`" in TEXT.split("come with `Retry-After`")[0].splitlines()[-1] for code in RETRY_AFTER)


@pytest.mark.parametrize("name", ServingSettings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    field = ServingSettings.model_fields[name]
    assert f"| `LEADSCORE_SERVE_{name.upper()}` | {field.default:g} | {field.description} |" in TEXT


@pytest.mark.parametrize("example", blocks("sh"), ids=["by id", "whole"])
def test_the_curl_examples_are_answered(server: Server, example: str) -> None:
    done = subprocess.run(["bash", "-c", here(example, server)], capture_output=True, text=True, check=True, timeout=30)
    assert ScoreAnswer.model_validate(json.loads(done.stdout)).targets


@pytest.mark.parametrize(
    ("example", "said"),
    zip(blocks("python"), ["Of leads like this", "invalid_value lead.touchpoints.0.occurred_at allowed:"], strict=True),
    ids=["by id", "refused"],
)
def test_the_python_examples_run(server: Server, example: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", here(example, server)], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_the_documents_shape_of_an_error_is_the_contracts() -> None:
    assert set(Refusal.model_fields) == {"code", "message", "field", "received", "allowed", "request_id"}
