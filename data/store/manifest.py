"""A snapshot's manifest: what it says of the files beside it, and whether they are still so."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from data.errors import DataRefused, NotFound
from data.store.files import file_sha256
from data.tables import TABLES

FORMAT = 1
"""Rises when an older leadscore could no longer read what a newer one writes."""
TABLE_SCHEMAS: dict[str, list[list[str]]] = {
    table.name: [[column.name, column.type] for column in table.snapshot_columns()]
    for table in TABLES
    if table.in_snapshot
}
SCHEMA_VERSION = hashlib.sha256(json.dumps(TABLE_SCHEMAS).encode()).hexdigest()[:16]
Sound = set[tuple[int, int, int, str]]
"""Device, inode, time of change and hash of files that were read moments ago and are what they should be."""
_AGAIN = "delete the folder and take the snapshot again"


def content_hash(tables: dict[str, Any], company: dict[str, Any]) -> str:
    """Hash (40 hex digits) of the rows as sets and of the declaration.

    A table's hash adds up its parts' row hashes modulo 2^64, twice, so neither
    order nor the cut into parts matters. It tells contents apart; it is no
    defence against someone who wants two to collide.
    """
    summed = {name: [entry["rows"], *_row_hash_sums(entry["parts"])] for name, entry in tables.items()}
    told = {"schema": TABLE_SCHEMAS, "tables": summed, "company": company}
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:40]


def _row_hash_sums(parts: list[dict[str, Any]]) -> list[str]:
    sums = [sum(int(part["row_hash"][side], 16) for part in parts) % 2**64 for side in (0, 1)]
    return [f"{value:016x}" for value in sums]


def read_manifest(path: Path, sound: Sound | None = None) -> dict[str, Any]:
    """The manifest of the snapshot at `path`, checked against its files, byte for byte.

    Files in `sound` are not read again, and those found sound are put there.
    Raises NotFound, or DataRefused naming what differs.
    """
    sound = set() if sound is None else sound
    file = path / "manifest.json"
    if not file.exists():
        raise NotFound(f"snapshot {path}", "no manifest.json there", expected="the folder of a snapshot")
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        _refuse_other_format(path, manifest)
        computed = content_hash(manifest["tables"], manifest["company"])
        if computed != manifest["hash"]:
            raise _damaged(path, f"a manifest of hash {manifest['hash']}", f"{computed}, by its content")
        for entry in manifest["tables"].values():
            for part in entry["parts"]:
                _refuse_damaged_part(path, part, sound)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"an unreadable manifest ({error})", "a whole one") from None
    return manifest


def _refuse_other_format(path: Path, manifest: dict[str, Any]) -> None:
    if manifest["format"] != FORMAT:
        raise DataRefused(f"snapshot {path}", f"format {manifest['format']}", expected=f"format {FORMAT}")
    if manifest["schema_version"] != SCHEMA_VERSION:
        raise DataRefused(
            f"snapshot {path}",
            f"tables of schema {manifest['schema_version']}",
            expected=f"schema {SCHEMA_VERSION}",
            remedy="use the leadscore that took it, or take a new one",
        )


def _refuse_damaged_part(path: Path, part: dict[str, Any], sound: Sound) -> None:
    file = path / part["file"]
    if not file.is_file():
        raise _damaged(path, f"no file {part['file']}", "every file of the manifest")
    found = file.stat()
    if found.st_size != part["bytes"]:
        raise _damaged(path, f"{found.st_size} bytes in {part['file']}", f"{part['bytes']}")
    same = (found.st_dev, found.st_ino, found.st_mtime_ns, part["sha256"])
    if same not in sound and file_sha256(file) != part["sha256"]:
        raise _damaged(path, f"changed bytes in {part['file']}", "the file as it was written")
    sound.add(same)


def _damaged(path: Path, received: str, expected: str) -> DataRefused:
    return DataRefused(f"snapshot {path}", received, expected=expected, remedy=_AGAIN)
