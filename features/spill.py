"""Folders for what an engine's memory does not hold; one that a killed process left is swept by the next."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PREFIX = "leadscore-spill-"


@dataclass(frozen=True)
class SpillFolder:
    """A folder of this process alone: whoever holds its lock is alive."""

    path: Path
    _lock: int

    @staticmethod
    def inside(place: Path) -> SpillFolder:
        """A new one below `place`; those of processes that died there are gone afterwards."""
        for left in place.glob(f"{PREFIX}*"):
            _sweep(left)
        while True:
            path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            lock = _locked(path)
            if lock is not None and path.exists():
                return SpillFolder(path, lock)
            _let_go(lock)  # swept by another before it was locked

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        _let_go(self._lock)


def _sweep(folder: Path) -> None:
    lock = _locked(folder)
    if lock is not None:
        shutil.rmtree(folder, ignore_errors=True)
    _let_go(lock)


def _locked(folder: Path) -> int | None:
    """The folder's lock; None where somebody holds it, or the folder is another's or gone."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _let_go(lock: int | None) -> None:
    if lock is not None:
        with suppress(OSError):
            os.close(lock)
