"""`forebay` that kills itself (SIGKILL) in a step of `forebay run`: python -m tests.chaos.stepkill STEP:SECONDS run
PIPELINE …

SECONDS after the step began it dies: 0 means at once, more lands inside of the step, or in what follows if the step was
quicker.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import signal
import sys
import threading
from typing import Any

PLACES = {
    "discover": ("forebay.verbs.run", "discover"),
    "download": ("forebay.verbs.inspect", "fetch"),
    "validate": ("forebay.verbs.inspect", "_verdict"),
    "reconcile": ("forebay.verbs.run", "reconcile"),
    "settle": ("forebay.verbs.run", "settle"),
    "report": ("forebay.verbs.report", "report"),
}


def arm(step: str, seconds: float) -> None:
    """Make `step` deadly. `hash` dies with the first bytes hashed while a file is being fetched."""
    if step == "hash":
        _wrap("forebay.verbs.inspect", "fetch", lambda: _wrap_sha256(seconds))
    else:
        _wrap(*PLACES[step], lambda: _die_in(seconds))
    if step == "reconcile":  # what a killed run left unproved is proved by the next one
        _wrap("forebay.verbs.resume", "reconcile", lambda: _die_in(seconds))


def _wrap(module: str, name: str, before: Any) -> None:
    home = importlib.import_module(module)
    step = getattr(home, name)

    def deadly(*args: Any, **named: Any) -> Any:
        before()
        return step(*args, **named)

    setattr(home, name, deadly)


def _wrap_sha256(seconds: float) -> None:
    plain = hashlib.sha256

    def deadly(*args: Any, **named: Any) -> Any:
        _die_in(seconds)
        return plain(*args, **named)

    hashlib.sha256 = deadly


def _die_in(seconds: float) -> None:
    if not seconds:
        os.kill(os.getpid(), signal.SIGKILL)
    timer = threading.Timer(seconds, os.kill, [os.getpid(), signal.SIGKILL])
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    where, _, delay = sys.argv.pop(1).partition(":")
    arm(where, float(delay))
    from forebay.cli.main import main

    main()
