"""Folders of forebay's own: what lies in them came from partners' files, so they are their owner's alone."""

from __future__ import annotations

import contextlib
from pathlib import Path

OWNER_ONLY = 0o700
OTHERS = 0o077
"""The mode bits by which anybody but the owner gets in."""


def private(folder: Path) -> Path:
    """The folder, there and returned. It and what is missing above it are made for their owner alone; one that is there
    stays as it is."""
    if not folder.is_dir():
        if not folder.parent.is_dir():
            private(folder.parent)
        folder.mkdir(mode=OWNER_ONLY, exist_ok=True)
    return folder


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; what vanishes meanwhile counts as nothing, and links are not
    followed."""
    total = 0
    for entry in (path, *path.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            total += 0 if entry.is_symlink() or not entry.is_file() else entry.stat().st_size
    return total
