"""Checks a bundle in a throwaway process: a corrupt LightGBM file ends the interpreter that reads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from data.errors import LeadscoreError, ModelRefused
from training.bundle import Bundle, read_verified

SECONDS = 60
READER = """
import sys
for unneeded in ("sklearn", "pandas", "matplotlib", "dask", "dask.array"):
    sys.modules[unneeded] = None  # LightGBM does without, and loads in a quarter of the time
from training.verify import main
sys.exit(main(sys.argv[1]))
"""
"""What the throwaway process runs."""


def verify_bundle(path: Path) -> None:
    """Raises ModelRefused (NotFound where there is none) unless the bundle's hashes, schema and golden rows hold.

    Hashes are compared here first; only a bundle whose bytes are all as
    written reaches the throwaway process that parses it.
    """
    read_verified(path)
    try:
        done = subprocess.run(
            [sys.executable, "-c", READER, str(path)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # a corrupt model's name may be in LightGBM's last words
            timeout=SECONDS,
            check=False,
            cwd=Path(__file__).resolve().parents[1],
        )
    except subprocess.TimeoutExpired:
        raise _refused(path, f"no answer in {SECONDS} s from the process that read it") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"the reading process ended with {done.returncode}"]
        raise _refused(path, lines[-1][:300])


def _refused(path: Path, received: str) -> ModelRefused:
    return ModelRefused(
        f"bundle {path.name[:12]}", received, expected="golden rows that give their margins", remedy="train again"
    )


def main(path: str) -> int:
    """Exit code 0 when the bundle loads and its golden rows hold; else 1 with the reason on stderr."""
    try:
        Bundle.load(Path(path)).check_golden()
    except LeadscoreError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
