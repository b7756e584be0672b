"""Files that are trusted because they are there: whole on disk before they get their name, and the name on disk too,
whatever power cut comes."""

from __future__ import annotations

import os
from pathlib import Path


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
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, "utf-8")
    return put(draft, path)


def on_disk(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
