"""Files that are there whole or not at all, even after a power cut."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.errors import StoreUnavailable


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Replaces `path` by a JSON document, durably."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    rename_durably(beside, path)


def rename_durably(source: Path, target: Path) -> None:
    """Moves a finished file or folder to its name; the name outlives a power cut."""
    source.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Returns when the file's content, or the folder's names, would outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def folder_lock(folder: Path, *, alone: bool = False) -> Iterator[bool]:
    """Holds a folder together with others; `alone` only where nobody else does, else the block gets False."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
            held = True
        except BlockingIOError:
            held = False
        yield held
    finally:
        os.close(descriptor)


@contextmanager
def file_refusals(subject: str) -> Iterator[None]:
    """Turns a disk that is full, failing or read-only into StoreUnavailable, whoever was writing."""
    try:
        yield
    except Exception as error:
        found = _DISK_REFUSALS.get(_errno(error))
        if found is None:
            raise
        said = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
        raise StoreUnavailable(subject, said, expected=found[0], remedy=found[1]) from error


def _errno(error: Exception) -> int:
    """What the system said; 0 where it was not the system."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    # Arrow gives the number, and DuckDB the words, in its text alone.
    if isinstance(error, OSError) and (number := re.search(r"\[errno (\d+)\]", str(error), re.IGNORECASE)):
        return int(number[1])
    if type(error).__module__.endswith("duckdb"):
        return next((number for number in _DISK_REFUSALS if os.strerror(number) in str(error)), 0)
    return 0


_FULL = ("room on the disk", "make room and repeat; nothing of this was kept")
_READ_ONLY = ("a folder that may be written to", "check who owns the folder, and how its disk is mounted")
_DISK_REFUSALS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EIO: ("a disk that reads and writes", "look after the disk and repeat; nothing of this was kept"),
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _READ_ONLY,
}
