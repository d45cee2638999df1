"""The installed command, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def leadscore(root: Path) -> Run:
    """`leadscore("train", "--home", home)` in a process of its own; output and exit code to look at."""

    def run(*arguments: object, code: int = 0, now: str = "") -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
        environment.pop("LEADSCORE_HOME", None)
        if now:
            environment["LEADSCORE_NOW"] = now
        done = subprocess.run(
            [str(Path(sys.executable).parent / "leadscore"), *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=root,
            env=environment,
            timeout=900,
            check=False,
        )
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert "Traceback" not in done.stderr + done.stdout
        return done

    return run
