"""Files that are trusted because they are there: whole on disk before they get their name, and the name on disk too,
whatever power cut comes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

_drafts = itertools.count()


def put(draft: Path, path: Path) -> Path:
    """Give a finished draft its name, in the same folder or another of the same file system; returns `path`.

    After a power cut there is the whole file, the one before, or none. A rename alone promises that for a killed
    process only: the name may reach the disk before the bytes do.
    """
    on_disk(draft)
    draft.replace(path)
    on_disk(path.parent)
    return path


def write(text: str, path: Path) -> Path:
    """Write a text file so; its folder must exist."""
    return put(_draft(text, path), path)


def swap(text: str, path: Path) -> Path:
    """Write a text file that can be made again: a reader never meets half of it, a power cut may take it.

    Lone surrogates, which the names of odd files have, are written as their escapes.
    """
    return _draft(text, path, "backslashreplace").replace(path)


def _draft(text: str, path: Path, errors: str = "strict") -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}-{next(_drafts)}")
    draft.write_text(text, "utf-8", errors)
    return draft


def on_disk(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path, shared: bool = False) -> Iterator[None]:
    """Hold a lock (flock) on a file, which is made if need be; waits for who holds it. It ends with the process that
    holds it, however that dies. `shared`: any number of holders at once, as long as nobody holds it alone."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Whether nobody else holds the lock; if so it is held within."""
    with path.open("a") as file:
        yield take(file.fileno())


def take(handle: int) -> bool:
    """Take the lock of an open file, if nobody else holds it. It is given back with the handle."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
