"""Small companies to watch."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from data.home import Home
from tests.monitoring.companies import Fault, World, build_world


@pytest.fixture(scope="session")
def steady(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Nothing changes."""
    return build_world(tmp_path_factory.mktemp("steady"))


@pytest.fixture
def own(steady: World, tmp_path: Path) -> World:
    """A copy of the steady company, to change."""
    shutil.copytree(steady.home.path, tmp_path / "home")
    return replace(steady, home=Home.at(tmp_path / "home"))


@pytest.fixture
def new_world(tmp_path: Path) -> Callable[..., World]:
    """Builds a world of one's own."""

    def build(fault: Fault = Fault(), **options: float) -> World:
        return build_world(tmp_path / "home", fault, **options)  # type: ignore[arg-type]

    return build
