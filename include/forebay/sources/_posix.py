"""Files of a local disk that others may touch at any time: opened without following links, moved and deleted only as
the version that was seen."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from forebay.errors import FileChangedError, ForebayError, NotAuthorizedError, SourceUnavailableError
from forebay.model import SourceFile
from forebay.sources import _uri
from forebay.support import files
from forebay.support.files import sha256

_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_DENIED = {errno.EACCES, errno.EPERM}
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES}


def version_of(status: os.stat_result) -> str:
    """Inode and mtime in nanoseconds: another file of that name, or the same one rewritten, has another version."""
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}"


def is_version(status: os.stat_result, file: SourceFile) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_size == file.size and file.version in {None, version_of(status)}


def require_version(status: os.stat_result, file: SourceFile, doing: str) -> None:
    """Raise `FileChangedError` if that is not the listed version."""
    if not is_version(status, file):
        raise changed(
            file, doing, f"size or time of change is not what was listed ({status.st_size} bytes now, {file.size} then)"
        )


def changed(file: SourceFile, doing: str, change: str) -> FileChangedError:
    return FileChangedError(
        f"{doing} `{file.uri}`: {change} "
        "(run again; set `ready_when: {quiet_for: 60s}` if it is still being written)",
        uri=file.uri,
    )


@contextmanager
def errors(uri: str, doing: str) -> Iterator[None]:
    """`OSError` as forebay's errors, by what to do about it. `uri` is what is worked on; of a listing, where it
    began."""
    try:
        yield
    except ForebayError:
        raise
    except OSError as error:
        words = f"{doing} `{uri}`: {(error.strerror or str(error)).lower()}"
        if error.errno in _GONE:
            raise FileChangedError(f"{words}; it was there when it was listed (run again)", uri=uri) from error
        if error.errno in _DENIED and doing == "listing":
            there = _uri.of_path(error.filename) if error.filename else uri
            raise NotAuthorizedError(
                f"{doing} `{there}`: permission denied, and what lies there may belong to the window "
                "(let the user that runs forebay read and enter the folder)",
                uri=uri,
            ) from error
        if error.errno in _DENIED:
            raise NotAuthorizedError(
                f"{words} (let the user that runs forebay read it, and write its folder to archive or delete)", uri=uri
            ) from error
        raise SourceUnavailableError(f"{words} (trying again may help)", uri=uri) from error


def open_regular(path: Path) -> int:
    """A descriptor for reading, opened folder by folder without following a link, so that a swapped link cannot lead
    elsewhere."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    folder = os.open("/", flags | os.O_DIRECTORY)
    try:
        for part in path.parts[1:-1]:
            deeper = os.open(part, flags | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = deeper
        return os.open(path.name, flags | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)


def lstat(path: Path) -> os.stat_result | None:
    """What lies there, a link as itself; None if nothing does."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def unlink_version(path: Path, file: SourceFile) -> None:
    """Delete the listed version, never a newer one: it is first moved under a name of its own, looked at, and put
    back if it is another.

    Idempotent: nothing there is done, and what an interrupted attempt moved away is deleted.
    """
    aside = path.with_name(f".{path.name[:150]}.{file.version}.settling")
    if lstat(path) is not None:
        require_version(path.lstat(), file, "deleting")
        path.rename(aside)
    status = lstat(aside)
    if status is None:
        return
    if not is_version(status, file):
        _put_back(aside, path, file)
    aside.unlink()


def _put_back(aside: Path, path: Path, file: SourceFile) -> None:
    with suppress(FileExistsError):
        _link(aside, path)
    raise changed(file, "deleting", "another file of that name came meanwhile, and was left in place")


def move_version(path: Path, folder: Path, file: SourceFile) -> Path:
    """Move the listed version into `folder`, never over other bytes, and say where it is. Idempotent."""
    if os.path.realpath(path.parent) == os.path.realpath(folder):
        return path
    done = _moved_before(path, folder, file)
    if done:
        return _finish(path, done, file)
    status = lstat(path)
    if status is None:
        raise FileChangedError(
            f"moving `{file.uri}` to `{folder}`: it is at neither place (look who else takes files from there)",
            uri=file.uri,
        )
    require_version(status, file, "moving")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{uuid4().hex}.part"
    try:
        _bring(path, part, file)
        target = _place(part, folder, path.name)
    finally:
        part.unlink(missing_ok=True)
    return _finish(path, target, file)


def _finish(path: Path, target: Path, file: SourceFile) -> Path:
    """Delete the source, unless what lies there by now is a later delivery. The other name is on disk by then, whatever
    power cut comes."""
    files.on_disk(target.parent)
    status = lstat(path)
    if status is None or is_version(status, file):
        unlink_version(path, file)
    return target


def _moved_before(path: Path, folder: Path, file: SourceFile) -> Path | None:
    """Where an earlier attempt put this version: same size and time of change, to the nanosecond (copies keep it).

    Size and time do not prove the same bytes: as long as the source is there, the bytes are compared before it may be
    deleted.
    """
    changed_at = (file.version or "").partition("-")[2]
    source = lstat(path)
    for candidate in names(folder, path.name):
        status = lstat(candidate)
        if status is None:
            return None
        alike = status.st_size == file.size and f"{status.st_mtime_ns:x}" == changed_at
        if alike and (source is None or not is_version(source, file) or _same_bytes(path, candidate)):
            return candidate
    return None


def names(folder: Path, name: str) -> Iterator[Path]:
    """The name, then numbered ones: `a.csv`, `a.csv.1`, `a.csv.2` …"""
    yield folder / name
    for number in range(1, 100_000):
        yield folder / f"{name}.{number}"


def _bring(path: Path, part: Path, file: SourceFile) -> None:
    """The version under a temporary name in the target folder: a link, or on another disk a copy that is compared."""
    try:
        os.link(path, part, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy(path, part, file)
        return
    require_version(part.lstat(), file, "moving")


def _copy(path: Path, part: Path, file: SourceFile) -> None:
    descriptor = open_regular(path)
    with open(descriptor, "rb") as source, part.open("xb") as target:  # noqa: PTH123 (a descriptor, not a path)
        before = os.fstat(descriptor)
        require_version(before, file, "moving")
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
        require_version(os.fstat(descriptor), file, "moving")
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
    if part.stat().st_size != file.size or sha256(part) != sha256(path):
        raise changed(file, "moving", "the copy is not what lies there")


def _place(part: Path, folder: Path, name: str) -> Path:
    """Give the file its name: the first that is free, or that holds the same bytes."""
    for target in names(folder, name):
        try:
            _link(part, target)
        except FileExistsError:
            if not _same_bytes(part, target):
                continue
            part.replace(target)
        return target
    raise SourceUnavailableError(f"moving `{name}` to `{folder}`: all numbered names are taken (empty the folder)")


def _link(part: Path, target: Path) -> None:
    """Rename without ever replacing: a hard link and an unlink. Where the file system has no links, a look and a
    rename."""
    try:
        os.link(part, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if lstat(target) is not None:
            raise FileExistsError(errno.EEXIST, "file exists", str(target)) from None
        part.rename(target)
    else:
        part.unlink()


def _same_bytes(a: Path, b: Path) -> bool:
    status = b.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_size == a.stat().st_size and sha256(a) == sha256(b)
