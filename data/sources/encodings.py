"""Finds out early, and says plainly, when a file is not in the encoding its mapping declares."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from data.errors import DataRefused

SAMPLE = 4 << 20
"""Bytes looked at; what lies behind is decoded strictly while it is read."""
BOMS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig"))
PACKED = (
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
    b"7z\xbc\xaf",
    b"Rar!",
)
"""First bytes of gzip, zip, bzip2, xz, zstd, lz4, 7z and rar."""
OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
HEAD = 4_096
HEAD_FOR_LETTERS = 256 << 10
TRIED = ("utf-8", "cp932", "euc_jp", "iso2022_jp", "cp1252")


def checked_encoding(path: Path, declared: str) -> str:
    """The encoding to read with, a BOM taken away; DataRefused when the bytes say otherwise."""
    sample = sample_of(path)
    refuse_other_files(path, sample)
    marked = _marked(sample)
    if not marked and "utf-16" not in codecs.lookup(declared).name and _half_zero(sample[:HEAD]):
        likely = "utf-16-le" if sample[1:2] == b"\x00" else "utf-16-be"
        raise _wrong(path, declared, likely, "every other byte is zero")
    if marked == "utf-16" and not _same(declared, "utf-16"):
        raise _wrong(path, declared, "utf-16", "its first bytes say so")
    if _same(declared, "utf-8") or _same(declared, "utf-8-sig"):
        return _utf8(path, sample)
    if not sample.isascii() and _same(declared, "utf-16") is False and decodes(sample, "utf-8"):
        raise _wrong(path, declared, "utf-8", "its bytes are valid UTF-8")
    if not decodes(sample, declared):
        raise _wrong(path, declared, guessed_encoding(sample), _first_wrong(sample, declared))
    if _is_single_byte(declared) and _looks_japanese(sample):
        raise _wrong(path, declared, "cp932", "its bytes pair up as Japanese characters do")
    if _same(declared, "cp932") and _looks_latin(sample):
        raise _wrong(path, declared, "cp1252", "its bytes stand alone between letters, as accented letters do")
    return declared


def refuse_other_files(path: Path, sample: bytes) -> None:
    """Raises DataRefused for what is no text at all, whatever its name says."""
    if sample.startswith(b"PAR1"):
        remedy = "name it *.parquet, in the mapping as well"
        raise DataRefused(path.name, "a Parquet file", expected="CSV, as its name says", remedy=remedy)
    if sample.startswith(OLD_OFFICE) or (sample.startswith(b"PK") and b"[Content_Types].xml" in sample[:4096]):
        remedy = "open it in Excel and save it as CSV UTF-8"
        raise DataRefused(path.name, "an Excel workbook", expected="CSV or Parquet", remedy=remedy)
    if sample.startswith(PACKED):
        # Never unpacked here: a few bytes can hold more than any disk.
        raise DataRefused(path.name, "a compressed file", expected="plain CSV or Parquet", remedy="unpack it first")


def _utf8(path: Path, sample: bytes) -> str:
    if not decodes(sample, "utf-8"):
        raise _wrong(path, "utf-8", guessed_encoding(sample), _first_wrong(sample, "utf-8"))
    return "utf-8-sig"


def guessed_encoding(sample: bytes) -> str:
    """The first usual encoding all bytes are valid in; empty when there is none."""
    if marked := _marked(sample):
        return marked
    tried = ("cp1252",) if _looks_latin(sample) and not decodes(sample, "utf-8") else TRIED
    return next((name for name in tried if decodes(sample, name)), "")


def _looks_latin(sample: bytes) -> bool:
    """Bytes beyond ASCII stand alone and are letters: é, ü, ñ. Those of Japanese encodings stand in pairs."""
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", sample[:HEAD_FOR_LETTERS])]
    letters = len(re.findall(rb"[\xc0-\xff]", sample[:HEAD_FOR_LETTERS]))
    return bool(runs) and runs.count(1) >= 0.8 * len(runs) and letters >= 0.9 * sum(runs)


def _looks_japanese(sample: bytes) -> bool:
    """Valid cp932 with lead bytes that no single-byte text uses: control characters there, kana and kanji here."""
    high = re.findall(rb"[\x80-\xff]", sample[:HEAD_FOR_LETTERS])
    leads = sum(byte[0] < 0xA0 for byte in high)
    return decodes(sample, "cp932") and leads >= 2 and leads >= 0.2 * len(high)


def guessed_encoding_of(path: Path) -> str:
    return guessed_encoding(sample_of(path))


def decodes(sample: bytes, encoding: str) -> bool:
    """Whether the sample is valid; a character cut off at its end does not count."""
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(sample, final=len(sample) < SAMPLE)
    except (UnicodeDecodeError, UnicodeError):
        return False
    return True


def sample_of(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(SAMPLE)


def _half_zero(head: bytes) -> bool:
    """UTF-16 that does not say so."""
    return head.count(b"\x00") > len(head) / 4


def _is_single_byte(name: str) -> bool:
    return codecs.lookup(name).name in {"iso8859-1", "cp1252", "iso8859-15"}


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
