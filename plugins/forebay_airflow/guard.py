"""Two ways in which one task could run beside itself, and what keeps them apart before the broker's fencing has to."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> bool:
    """Let the kernel kill this process when the thread that forked it (the task's supervisor) ends; False where there is no such call.

    Without it a task whose supervisor was killed writes on beside its own retry (prctl(2), Linux only).
    """
    if not sys.platform.startswith("linux"):
        return False
    parent = os.getppid()
    done = ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0
    if os.getppid() != parent:  # it ended between the two calls: no signal will come
        os.kill(os.getpid(), signal.SIGKILL)
    return done


@contextmanager
def only_one(folder: Path, name: str, poll: float = 0.1) -> Iterator[float]:
    """Wait until no other process of this machine holds `name`; gives the seconds waited. The kernel frees it when the holder dies.

    Two publishers of one lane would fence each other in turn; waiting costs less. Across machines the broker's fencing stands alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with (folder / f"{name}.lock").open("w") as handle:
        while not _taken(handle.fileno()):
            time.sleep(poll)
        yield time.monotonic() - began


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
