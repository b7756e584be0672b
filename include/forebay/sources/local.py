"""Files in folders of this machine, or of a disk that it has mounted."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from forebay.contracts import Settings, Source
from forebay.errors import ConfigError
from forebay.model import Snapshot, SourceFile
from forebay.sources import _pattern, _posix, _uri
from forebay.sources._copying import BLOCK, whole_file

_Listing = Iterator[SourceFile]


class LocalConfig(Settings):
    """A local folder needs no settings of its own."""

    connection: str | None = None
    """Not used: what the process may read, forebay may read."""


class Local(Source[LocalConfig]):
    """A drop folder. Only regular files count: links, FIFOs, sockets and devices below the pattern's fixed folder are
    passed over.

    The fixed folder itself is the operator's word: links on the way to it are followed, and uris name the real place.
    """

    Config = LocalConfig

    def list(self, pattern: str) -> _Listing:
        if "\0" in pattern:
            raise ConfigError(f"listing `{pattern!r}`: no path holds a NUL (correct `source.path`)")
        fixed, parts = _pattern.split(pattern.removeprefix("file://"))
        root = Path(os.path.realpath(self.project / fixed))
        with _posix.errors(_uri.of_path(root), "listing"):
            files = [
                file for entry in _walk(root, parts) if entry.is_file(follow_symlinks=False) and (file := _seen(entry))
            ]
        yield from sorted(files, key=lambda file: file.uri)

    def passed_over(self, pattern: str) -> Iterator[tuple[str, str]]:
        fixed, parts = _pattern.split(pattern.removeprefix("file://"))
        root = Path(os.path.realpath(self.project / fixed))
        with _posix.errors(_uri.of_path(root), "listing"):
            names = [
                (_uri.of_path(entry.path), what) for entry in _walk(root, parts) if (what := _no_file(entry, parts))
            ]
        yield from sorted(names)

    def matches(self, uri: str, pattern: str) -> bool:
        fixed, parts = _pattern.split(pattern.removeprefix("file://"))
        root, path = Path(os.path.realpath(self.project / fixed)), _uri.to_path(uri)
        below = path.is_relative_to(root) and _pattern.compiled("/".join(parts)).fullmatch(
            path.relative_to(root).as_posix()
        )
        return uri.startswith("file://") and bool(below)

    def fetch(self, file: SourceFile, into: Path) -> Snapshot:
        with whole_file(into, file.uri) as writer:
            fingerprint = _read(file, writer.write)
        return Snapshot(file, into, fingerprint, file.size)

    def fingerprint(self, file: SourceFile) -> str:
        return _read(file, lambda block: None)

    def same_version(self, a: SourceFile, b: SourceFile) -> bool:
        return False

    def move(self, file: SourceFile, to: str) -> str:
        with _posix.errors(file.uri, "moving"):
            folder = Path(os.path.realpath(self.project / to))
            return _uri.of_path(_posix.move_version(_uri.to_path(file.uri), folder, file))

    def delete(self, file: SourceFile) -> None:
        with _posix.errors(file.uri, "deleting"):
            _posix.unlink_version(_uri.to_path(file.uri), file)


def _seen(entry: os.DirEntry[str]) -> SourceFile | None:
    """A listed file; None if it vanished meanwhile."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return SourceFile(_uri.of_path(entry.path), status.st_size, status.st_mtime, version=_posix.version_of(status))


def _no_file(entry: os.DirEntry[str], parts: tuple[str, ...]) -> str | None:
    """What the entry is instead of a file. A pattern that ends with `*` means files, and is no word about the folders
    beside them."""
    if entry.is_file(follow_symlinks=False):
        return None
    if entry.is_symlink():
        return "a link"
    if entry.is_dir(follow_symlinks=False):
        return None if parts[-1] in {"*", "**"} else "a folder"
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    return next((words for is_so, words in _KINDS if is_so(mode)), "no file")


_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


def _walk(root: Path, parts: tuple[str, ...]) -> Iterator[os.DirEntry[str]]:
    """What lies below `root` and has a path that matches; only folders that can hold a match are entered."""
    whole = _pattern.compiled("/".join(parts))
    todo: list[tuple[Path, tuple[str, ...]]] = [(root, ())]
    while todo:
        folder, above = todo.pop()
        for entry in _entries(folder):
            names = (*above, entry.name)
            if entry.is_dir(follow_symlinks=False):
                todo += [(Path(entry.path), names)] if _may_hold(names, parts) else []
            if whole.fullmatch("/".join(names)):
                yield entry


def _may_hold(names: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Whether a match can lie below that folder: before the first `**` each folder answers to its own component."""
    steps = parts.index("**") if "**" in parts else len(parts) - 1
    if len(names) <= steps:
        return _pattern.compiled(parts[len(names) - 1]).fullmatch(names[-1]) is not None
    return "**" in parts and (
        not names[-1].startswith((".", "_")) or any(part[:1] in {".", "_"} for part in parts[steps:])
    )


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder; a folder that is not there, or vanishes, holds nothing."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return


def _read(file: SourceFile, write: Callable[[memoryview], None]) -> str:
    """Hand every block of the listed version to `write` and return the sha256; the version is looked at before and
    after.

    One buffer serves all blocks (a new one for each costs more than hashing them), so `write` must be done with it when
    it returns.
    """
    digest, path, count = hashlib.sha256(), _uri.to_path(file.uri), 0
    block = memoryview(bytearray(BLOCK))
    with _posix.errors(file.uri, "reading"), open(_posix.open_regular(path), "rb", buffering=0) as stream:  # noqa: PTH123 (a descriptor)
        _posix.require_version(os.fstat(stream.fileno()), file, "reading")
        while size := stream.readinto(block):
            digest.update(block[:size])
            write(block[:size])
            count += size
            if count > file.size:
                break
        _posix.require_version(
            path.lstat(), file, "reading"
        )  # by name, and by inode: so what the descriptor reads is unchanged too
        if count != file.size:
            raise _posix.changed(file, "reading", f"{count} bytes could be read, {file.size} were listed")
    return digest.hexdigest()
