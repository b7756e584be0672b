"""Two ways in which one task could run beside itself, and what keeps them apart before the broker's fencing has to."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forebay import events
from forebay.support.files import take
from forebay.support.folders import private

_PR_SET_PDEATHSIG = 1
_PROGRESS = frozenset({events.CHUNK_COMMITTED, events.CHUNK_SKIPPED, events.CHUNK_RETRIED, events.FILE_PUBLISHED})
_log = logging.getLogger(__name__)


def die_with_parent() -> bool:
    """Let the kernel kill this process when the thread that forked it (the task's supervisor) ends; False where there
    is no such call.

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
def only_one(folder: Path, name: str, patience: float, poll: float = 0.1) -> Iterator[float]:
    """Wait while another process of this machine holds `name` and works; gives the seconds waited. The kernel frees it
    when the holder dies.

    Two publishers of one lane would fence each other in turn; waiting costs less. But a holder may stand still
    (stopped, or its machine's disk away): when it has committed nothing for `patience` seconds, longer than the broker
    waits for any transaction, it is not waited for any more, and the broker's fencing stands alone, as it does across
    machines.
    """
    private(folder)
    began = time.monotonic()
    path = folder / f"{name}.lock"
    with path.open("a") as handle:
        while not (mine := take(handle.fileno())) and max(began, _seen(path)) + patience > time.monotonic():
            time.sleep(poll)
        if not mine:
            _log.warning(
                "`%s` is held by a process that has committed nothing for %g s: going on beside it", name, patience
            )
        with _seen_at_work(path):
            yield time.monotonic() - began


def _seen(path: Path) -> float:
    """When its holder was last seen at work, by this process's monotonic clock."""
    return time.monotonic() - (time.time() - path.stat().st_mtime)


@contextmanager
def _seen_at_work(path: Path) -> Iterator[None]:
    """Touch the file now and after each chunk that this process commits."""
    path.touch()
    stop = events.listen(lambda name, _: path.touch() if name in _PROGRESS else None)
    try:
        yield
    finally:
        stop()
