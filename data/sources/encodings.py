"""Finds out early, and says plainly, when a file is not in the encoding its mapping declares."""

from __future__ import annotations

import codecs
from pathlib import Path

from data.errors import DataRefused

SAMPLE = 4 << 20
"""Bytes looked at; what lies behind is decoded strictly while it is read."""
BOMS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig"))
TRIED = ("utf-8", "cp932", "euc_jp", "iso2022_jp", "cp1252")


def checked_encoding(path: Path, declared: str) -> str:
    """The encoding to read with, a BOM taken away; DataRefused when the bytes say otherwise."""
    sample = _sample(path)
    if _is_packed(sample):
        raise DataRefused(path.name, "a compressed file", expected="plain CSV or Parquet", remedy="unpack it first")
    marked = _marked(sample)
    if marked == "utf-16" and not _same(declared, "utf-16"):
        raise _wrong(path, declared, "utf-16", "its first bytes say so")
    if _same(declared, "utf-8") or _same(declared, "utf-8-sig"):
        return _utf8(path, sample)
    if not sample.isascii() and _same(declared, "utf-16") is False and decodes(sample, "utf-8"):
        raise _wrong(path, declared, "utf-8", "its bytes are valid UTF-8")
    if not decodes(sample, declared):
        raise _wrong(path, declared, guessed_encoding(sample), _first_wrong(sample, declared))
    return declared


def _utf8(path: Path, sample: bytes) -> str:
    if not decodes(sample, "utf-8"):
        raise _wrong(path, "utf-8", guessed_encoding(sample), _first_wrong(sample, "utf-8"))
    return "utf-8-sig"


def guessed_encoding(sample: bytes) -> str:
    """The first usual encoding all bytes are valid in; empty when there is none."""
    return _marked(sample) or next((name for name in TRIED if decodes(sample, name)), "")


def guessed_encoding_of(path: Path) -> str:
    return guessed_encoding(_sample(path))


def decodes(sample: bytes, encoding: str) -> bool:
    """Whether the sample is valid; a character cut off at its end does not count."""
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(sample, final=len(sample) < SAMPLE)
    except (UnicodeDecodeError, UnicodeError):
        return False
    return True


def _sample(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(SAMPLE)


def _is_packed(sample: bytes) -> bool:
    return sample.startswith((b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ"))


def _marked(sample: bytes) -> str:
    return next((name for bom, name in BOMS if sample.startswith(bom)), "")


def _same(a: str, b: str) -> bool:
    return codecs.lookup(a).name == codecs.lookup(b).name


def _first_wrong(sample: bytes, encoding: str) -> str:
    try:
        sample.decode(encoding)
    except UnicodeDecodeError as error:
        line = sample.count(b"\n", 0, error.start) + 1
        return f"line {line}, byte {error.start} cannot be read"
    return "it cannot be read"


def _wrong(path: Path, declared: str, likely: str, why: str) -> DataRefused:
    remedy = f'set encoding = "{likely}" for this file in the mapping' if likely else "find out the file's encoding"
    return DataRefused(
        f"{path.name}, encoding", f"text that is not {declared} ({why})", expected=declared, remedy=remedy
    )
