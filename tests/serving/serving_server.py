"""The real BentoML server in a process of its own, and how tests ask it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from serving_worlds import NOW_TEXT

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def ask(
        self, request: object, *, path: str = "/v1/score", method: str = "POST", kind: str = "application/json"
    ) -> Answered:
        """One request; anything but bytes is sent as JSON."""
        body = request if isinstance(request, bytes) else json.dumps(request, ensure_ascii=False).encode()
        sent = urllib.request.Request(
            self.url + path, body if method == "POST" else None, {"content-type": kind}, method=method
        )
        try:
            with urllib.request.urlopen(sent, timeout=10) as answer:
                return Answered(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answered(error.code, dict(error.headers), error.read())

    def stop(self, patience: float = 30) -> int:
        self.process.terminate()
        return self.process.wait(patience)


def start_server(home: Path, log: Path, **environment: str) -> Server:
    """`leadscore serve --open --port 0` in a process of its own, ready to answer."""
    command = [sys.executable, str(ROOT / "leadscore.py"), "--home", str(home), "serve", "--open", "--port", "0"]
    settings = {
        "LEADSCORE_NOW": NOW_TEXT,
        "LEADSCORE_SERVE_POLL_SECONDS": "0.2",
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Server(_announced(process, log), process, log)


def wait_until(done: Callable[[], object], what: str, log: Path | None = None, patience: float = START_SECONDS) -> None:
    """Poll a real condition against a deadline."""
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {patience} s for {what}\n" + (log.read_text() if log else ""))
        time.sleep(0.05)


def _announced(process: subprocess.Popen[bytes], log: Path) -> str:
    def lines() -> list[str]:
        if process.poll() is not None:
            pytest.fail(f"the server ended with {process.returncode}\n{log.read_text()}")
        return [word for word in log.read_text().split() if word.startswith("http://127.0.0.1:")]

    wait_until(lambda: lines(), "the server's address", log)
    return lines()[0]


def wait_until_ready(server: Server) -> None:
    def ready() -> bool:
        if server.process.poll() is not None:
            pytest.fail(f"the server ended with {server.process.returncode}\n{server.log.read_text()}")
        try:
            with urllib.request.urlopen(server.url + "/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    wait_until(ready, "readiness", server.log)
