"""A home made by hand and the real BentoML server on it, started once a session."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from serving_server import Server, start_server, wait_until_ready
from serving_worlds import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("serving") / "home")


@pytest.fixture(scope="session")
def server(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start_server(world.home.path, tmp_path_factory.mktemp("server") / "server.log")
    try:
        wait_until_ready(running)
        yield running
    finally:
        running.stop()
