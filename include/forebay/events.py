"""Events are data: one name from this module and fields, never a sentence; silence is normal.

ERROR means data is at risk, WARNING that we recovered, INFO comes once per file and step; nothing is logged per record.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

RUN_STARTED = "run.started"
RUN_ENDED = "run.ended"
FILE_SEEN = "file.seen"
FILE_FETCHED = "file.fetched"
FILE_STAGED = "file.staged"
FILE_CHECKED = "file.checked"
FILE_PUBLISHED = "file.published"
FILE_RECONCILED = "file.reconciled"
FILE_SETTLED = "file.settled"
FILE_FAILED = "file.failed"
CHUNK_COMMITTED = "chunk.committed"
CHUNK_SKIPPED = "chunk.skipped"
CHUNK_RETRIED = "chunk.retried"
PRODUCER_FENCED = "producer.fenced"
BROKER_FETCHING = "broker.fetching"
BROKER_STARTED = "broker.started"
LEDGER_READ = "ledger.read"
LEDGER_ADOPTED = "ledger.adopted"
QUARANTINE_SHORT = "quarantine.short"
PAGES_FAILED = "pages.failed"
WORK_PRUNED = "work.pruned"
PRUNE_FAILED = "prune.failed"
NOTICE_SENT = "notice.sent"
NOTICE_FAILED = "notice.failed"

Listener = Callable[[str, dict[str, Any]], None]

_log = logging.getLogger("forebay")
_listeners: list[Listener] = []


def emit(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Tell the log and every listener (the command line's progress, Airflow's task log) of one event."""
    _log.log(level, "%s %s", name, " ".join(f"{key}={value!r}" for key, value in fields.items()))
    for listener in tuple(_listeners):
        listener(name, fields)


def listen(listener: Listener) -> Callable[[], None]:
    """Call `listener(name, fields)` for every event from now on; returns the function that stops it."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)
