"""Checks bundles in a throwaway process: a corrupt LightGBM file ends the interpreter that reads it.

Hashes are compared first, here; only a bundle whose bytes are all as written
reaches the process that parses it and asks its golden rows. That process may
die: then this says how, and the next bundle gets another one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

from data.errors import LeadscoreError, ModelRefused
from training.bundle import Bundle, read_verified

SECONDS = 60
"""Longest wait for one answer."""
MEMORY = 8 * 2**30
"""Address space of the reading process: a size that a damaged file claims must not take the machine with it."""
READER = """
import sys
for unneeded in ("sklearn", "pandas", "matplotlib", "dask", "dask.array"):
    sys.modules[unneeded] = None  # LightGBM does without, and loads in a quarter of the time
from training.verify import answer
answer()
"""
"""What the throwaway process runs."""


def verify_bundle(path: Path) -> None:
    """Raises ModelRefused (NotFound where there is none) unless the bundle's hashes, schema and golden rows hold."""
    with Verifier() as verifier:
        verifier.verify(path)


class Verifier:
    """Verifies many bundles, in one process for as long as that survives what it reads."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._last_words: IO[str] | None = None

    def __enter__(self) -> Verifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def verify(self, path: Path) -> None:
        """As `verify_bundle`."""
        read_verified(path)
        process = self._running()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(str(path)) + "\n")
            process.stdin.flush()
        told = self._told(process)
        if told is None:
            raise _refused(path, self._death(process))
        if told:
            raise _refused(path, told)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._last_words = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
            self._process = subprocess.Popen(
                [sys.executable, "-c", READER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._last_words,
                encoding="utf-8",
                errors="replace",  # a corrupt model's name may be in what it says
                cwd=Path(__file__).resolve().parents[1],
            )
        return self._process

    def _told(self, process: subprocess.Popen[str]) -> str | None:
        """What is wrong, "" where nothing is; None where the process died, "no answer" where it hangs."""
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], SECONDS)
        if not ready:
            self._end()
            return f"no answer in {SECONDS} s from the process that read it"
        line = process.stdout.readline()
        return str(json.loads(line)) if line.endswith("\n") else None

    def _death(self, process: subprocess.Popen[str]) -> str:
        code = process.wait(timeout=SECONDS)
        assert self._last_words is not None
        self._last_words.seek(0)
        words = [line for line in self._last_words.read().splitlines() if line.strip()]
        self._end()
        how = f"with signal {_signal_name(-code)}" if code < 0 else f"with code {code}"
        return f"the process that read it ended {how}" + (f" ({words[-1][:200]})" if words else "")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        if self._last_words is not None:
            self._last_words.close()
        self._process = self._last_words = None


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return str(number)


def _refused(path: Path, received: str) -> ModelRefused:
    return ModelRefused(
        f"bundle {path.name[:12]}", received, expected="golden rows that give their margins", remedy="train again"
    )


def answer() -> None:
    """In the throwaway process: a path (JSON) a line in; what is wrong there ("" for nothing) a line out."""
    _limit()
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # LightGBM prints its warnings to standard output
    for line in sys.stdin:
        told.write(json.dumps(_wrong_with(Path(json.loads(line)))) + "\n")
        told.flush()


def _wrong_with(path: Path) -> str:
    try:
        Bundle.load(path).check_golden()
    except LeadscoreError as error:
        return str(error)[:300]
    except (ArithmeticError, ValueError, TypeError, LookupError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"[:300]
    return ""


def _limit() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
