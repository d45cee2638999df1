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
    """Turns a disk that is full, failing or read-only into StoreUnavailable."""
    try:
        yield
    except OSError as error:
        found = _DISK_REFUSALS.get(error.errno or _errno_in_words(error))
        if found is None:
            raise
        expected, remedy = found
        raise StoreUnavailable(subject, error.strerror or str(error), expected=expected, remedy=remedy) from error


def _errno_in_words(error: OSError) -> int:
    # Arrow gives the number in its text alone.
    found = re.search(r"\[errno (\d+)\]", str(error), re.IGNORECASE)
    return int(found[1]) if found else 0


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
