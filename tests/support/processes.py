"""Processes as tests hold them up: stopped at a failpoint, and seen to be."""

from __future__ import annotations

import time
from pathlib import Path


def wait_until_stopped(pid: int, timeout: float = 120) -> None:
    """Until the process has stopped itself (`FOREBAY_FAILPOINT=…:stop`). `SIGCONT` lets it go on."""
    deadline = time.monotonic() + timeout
    while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
        assert time.monotonic() < deadline, "never came to its failpoint"
        time.sleep(0.02)


def wait_until_gone(pid: int, timeout: float = 20) -> None:
    """Until no such process is there, or only what nobody has buried yet."""
    deadline = time.monotonic() + timeout
    while (found := Path(f"/proc/{pid}/stat")).exists() and found.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.02)
