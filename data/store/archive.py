"""A backup's file: a plain tar of files, closed by a manifest that is named by its own SHA-256.

    store/<table>.parquet            the operational store's tables, whichever engine they came from
    ledger/<table>.parquet           the ledger's
    home/<path>                      files of the home folder
    manifest-<sha256>.json           format, and size and SHA-256 of every file before it

Whatever is cut off takes the manifest with it; whatever is changed no longer
has the hash that the manifest, or the manifest's name, tells. Reading trusts
nothing else: names and kinds of members are checked, and no code is in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from data.errors import DataRefused, StoreUnavailable, UsageError
from data.store.files import file_refusals, rename_durably

FORMAT = 1
"""Rises when an older leadscore could no longer restore what a newer one backs up."""
HOME_FOLDERS = ("bundles", "features", "imports", "ledger", "partitions", "reports", "tracking")
"""Folders of the home that a backup may hold; snapshots are derived from the store and taken anew."""
_MANIFEST = re.compile(r"manifest-([0-9a-f]{64})\.json")
_TABLE = re.compile(r"(store|ledger)/[a-z_]+\.parquet")
_LONGEST_MANIFEST = 256 << 20
_PIECE = 1 << 20

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much is done."""


class ArchiveWriter:
    """Files are added in any order; only `close` gives the archive its name and makes it count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(f".{path.name}.unfinished-{os.getpid()}")
        self._listed: dict[str, dict[str, Any]] = {}
        descriptor = os.open(self._unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        self._file = os.fdopen(descriptor, "w+b")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, name: str, source: Path, *, sha256: str = "") -> None:
        """Adds a file as it is now. Raises StoreUnavailable where it is not the one of `sha256`, or goes meanwhile."""
        try:
            with source.open("rb") as file:
                found = self._add(name, file, os.fstat(file.fileno()).st_size)
        except FileNotFoundError:
            raise _changed(source, "was deleted meanwhile") from None
        if sha256 and found != sha256:
            raise StoreUnavailable(
                f"file {source}",
                "changed bytes",
                expected="the file as it was written",
                remedy="restore it from an earlier backup: one made now would keep the damage",
            )

    def close(self, manifest: Mapping[str, Any]) -> None:
        """Writes the manifest, and the archive's name, durably."""
        text = json.dumps({**manifest, "format": FORMAT, "files": self._listed}, ensure_ascii=False, indent=1).encode()
        self._add(f"manifest-{hashlib.sha256(text).hexdigest()}.json", io.BytesIO(text), len(text))
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        rename_durably(self._unfinished, self._path)

    def discard(self) -> None:
        """Leaves nothing of an archive that was not closed."""
        self._unfinished.unlink(missing_ok=True)
        with suppress(OSError):  # what a full disk did not take is not wanted any more
            self._file.close()

    def _add(self, name: str, file: IO[bytes], size: int) -> str:
        hashed = _Hashed(file)
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, 0o600
        try:
            self._tar.addfile(member, hashed)
        except OSError as error:
            if "end of data" in str(error):
                raise _changed(Path(name), "became shorter meanwhile") from None
            raise
        digest = hashed.digest.hexdigest()
        self._listed[name] = {"bytes": size, "sha256": digest}
        return digest


class _Hashed:
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.digest.update(piece)
        return piece


@contextmanager
def writing_archive(path: Path) -> Iterator[ArchiveWriter]:
    """An archive to be closed inside the block; otherwise nothing of it stays. Raises UsageError, StoreUnavailable."""
    if path.exists():
        raise UsageError(f"backup {path}", "a file that is there", expected="a new name, or a folder")
    if not path.parent.is_dir():
        raise UsageError(f"backup {path}", "no such folder", expected="a file in a folder that is there")
    with file_refusals(f"backup {path}"):
        archive = ArchiveWriter(path)
        try:
            yield archive
        finally:
            archive.discard()


@dataclass(frozen=True)
class Archive:
    """An archive that was verified whole."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def files(self) -> Mapping[str, Mapping[str, Any]]:
        """`bytes` and `sha256` by name."""
        files: Mapping[str, Mapping[str, Any]] = self.manifest["files"]
        return files

    def extract(self, folder: Path, progress: Progress) -> None:
        """Writes every file below `folder`, each compared with its hash once more."""
        with _opened(self.path) as members:
            for done, (member, file) in enumerate(members):
                if member.name in self.files:
                    progress("unpacking", done, len(self.files))
                    self._unpack(file, member.name, folder / member.name)

    def _unpack(self, file: IO[bytes], name: str, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as out:
            if _copied(file, out) != self.files[name]["sha256"]:
                raise _damaged(self.path, f"{name} changed while it was read")


def read_archive(path: Path, progress: Progress) -> Archive:
    """Verifies every byte of an archive. Raises UsageError, or DataRefused for one damaged, foreign or newer."""
    if not path.is_file():
        raise UsageError(f"backup {path}", "no such file", expected="a file written by `leadscore backup`")
    found: dict[str, dict[str, Any]] = {}
    manifest, size = b"", path.stat().st_size
    with _opened(path) as members:
        for member, file in members:
            if manifest or member.name in found:
                raise _damaged(path, f"{member.name} {'after the manifest' if manifest else 'twice'}")
            if named := _MANIFEST.fullmatch(member.name):
                manifest = _read_manifest(path, member, file, named[1])
            else:
                found[member.name] = {"bytes": member.size, "sha256": _copied(file, None)}
            progress("verifying", min(member.offset_data + member.size, size), size)
    if not manifest:
        raise _damaged(path, "a file without its end")
    return Archive(path, _checked_manifest(path, manifest, found))


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes]]]]:
    """The members and their contents; whatever a damaged file does to the reader becomes DataRefused."""
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            yield ((member, tar.extractfile(member) or io.BytesIO()) for member in _files_only(path, tar))
    except (tarfile.TarError, EOFError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise _damaged(path, str(error)) from None


def _files_only(path: Path, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
            raise _damaged(path, f"{member.name}: a link or another thing that is no file")
        yield member


def _copied(file: IO[bytes], out: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
        if out is not None:
            out.write(piece)
    return digest.hexdigest()


def _read_manifest(path: Path, member: tarfile.TarInfo, file: IO[bytes], sha256: str) -> bytes:
    if member.size > _LONGEST_MANIFEST:
        raise _damaged(path, f"a manifest of {member.size} bytes")
    text = file.read()
    if hashlib.sha256(text).hexdigest() != sha256:
        raise _damaged(path, "a changed manifest")
    return text


def _checked_manifest(path: Path, text: bytes, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(text)
        number, files = int(manifest["format"]), dict(manifest["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"an unreadable manifest ({error})") from None
    if number > FORMAT:
        raise DataRefused(
            f"backup {path}",
            f"format {number}",
            expected=f"format {FORMAT} or older",
            remedy="install the leadscore that wrote it, or a newer one",
        )
    for name in [*files, *found]:
        if files.get(name) != found.get(name):
            raise _damaged(path, f"{name} {'is missing' if name not in found else 'is not as the manifest says'}")
        if not _is_known(name):
            raise _damaged(path, f"{name!r}, which no backup holds")
    return manifest


def _is_known(name: str) -> bool:
    """Whether a member has a place; everything else, and above all what leads out of the target, is refused."""
    if _TABLE.fullmatch(name):
        return True
    parts = name.split("/")
    if parts[0] != "home" or any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        return False
    if len(parts) == 2:
        return PurePosixPath(name).suffix == ".toml"
    return parts[1] in HOME_FOLDERS


def _changed(path: Path, how: str) -> StoreUnavailable:
    return StoreUnavailable(f"file {path}", how, expected="a file that stays as it is", remedy="repeat the backup")


def _damaged(path: Path, received: str) -> DataRefused:
    return DataRefused(
        f"backup {path}", received, expected="a whole backup, as `leadscore backup` wrote it", remedy="use another one"
    )
