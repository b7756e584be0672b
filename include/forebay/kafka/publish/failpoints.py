"""Named places where a test can make the publisher die, stop, sleep or fail; nothing at all unless `FOREBAY_FAILPOINT`
is set.

`FOREBAY_FAILPOINT=after_flush@2:kill9` kills the process with SIGKILL after the flush of chunk 2; without `@2`, of
whatever chunk comes first. Several are separated by commas. Actions: `kill9`, `stop` (SIGSTOP, a zombie once
continued), `sleep=SECONDS`, `raise`, `exit`. Each fires once a process.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass

NAMES = (
    "before_init",
    "after_init",
    "after_barrier",
    "mid_produce",
    "after_flush",
    "after_ledger",
    "during_commit",  # a moment after commit was called, from another thread
    "after_commit",
)
VARIABLE = "FOREBAY_FAILPOINT"


class InjectedError(Exception):
    """Raised by the action `raise`."""


@dataclass(frozen=True, slots=True)
class _Armed:
    name: str
    chunk: int | None
    action: str


def _parse(text: str) -> list[_Armed]:
    armed = []
    for part in filter(None, text.split(",")):
        place, _, action = part.partition(":")
        name, _, chunk = place.partition("@")
        if name not in NAMES or not action:
            raise ValueError(f"reading {VARIABLE}: `{part}` is not NAME[@CHUNK]:ACTION (names: {', '.join(NAMES)})")
        armed.append(_Armed(name, int(chunk) if chunk else None, action))
    return armed


_armed = _parse(os.environ.get(VARIABLE, ""))


def armed(name: str, chunk: int | None = None) -> bool:
    """Whether `hit` would act here."""
    return any(a.name == name and a.chunk in {None, chunk} for a in _armed)


def hit(name: str, chunk: int | None = None) -> None:
    """Act if this place is armed."""
    if _armed and (failpoint := _take(name, chunk)):
        _act(failpoint.action)


def soon(name: str, chunk: int | None = None, delay: float = 0.001) -> None:
    """Act `delay` seconds from now in another thread, while the caller goes on into a blocking call."""
    if _armed and (failpoint := _take(name, chunk)):
        timer = threading.Timer(delay, _act, [failpoint.action])
        timer.daemon = True
        timer.start()


def _take(name: str, chunk: int | None) -> _Armed | None:
    failpoint = next((a for a in _armed if a.name == name and a.chunk in {None, chunk}), None)
    if failpoint:
        _armed.remove(failpoint)
    return failpoint


def _act(action: str) -> None:
    match action.partition("="):
        case ("kill9", _, _):
            os.kill(os.getpid(), signal.SIGKILL)
        case ("stop", _, _):
            os.kill(os.getpid(), signal.SIGSTOP)
        case ("sleep", _, seconds):
            time.sleep(float(seconds))
        case ("exit", _, _):
            os._exit(70)
        case ("raise", _, _):
            raise InjectedError
        case _:
            raise ValueError(f"reading {VARIABLE}: `{action}` is no action (kill9, stop, sleep=SECONDS, raise, exit)")
