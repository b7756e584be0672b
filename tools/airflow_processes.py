"""The processes of the local Airflow, as the system shows them."""

from __future__ import annotations

from contextlib import suppress

import psutil


def descendants(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def is_java(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.name() == "java"
    return True  # gone meanwhile


def same(pid: int, born: float) -> bool:
    """Whether the process of that id is the one that was started, and alive."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - born) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
