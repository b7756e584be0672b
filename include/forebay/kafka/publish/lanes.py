"""Who may publish in a lane: one file of this process at a time, and nobody of an earlier version any more.

Which lane a file has is a constant of the protocol (ledger/entries.py): two attempts at it meet in one
transactional.id, and the newer fences the older. Versions before that took the lane from `publish.lanes`; a publisher
of theirs that stands still would not be fenced by our ids, and could commit what we have published meanwhile. So their
ids are fenced too: all 64 of a pipeline, once for each ledger topic that a home has to do with, and again for a file
that such a version began. It costs a quarter of a second. Whom a version of theirs *begins* later is not fenced by it:
no two versions of forebay publish one pipeline at the same time (docs/operations.md).
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.kafka import client, failures
from forebay.kafka.failures import Action

if TYPE_CHECKING:
    from forebay.config.pipeline import Pipeline

AT_ONCE = 16  # producers that fence, beside one another
SHORT, SHORT_CALLS, LONG = 0.02, 25, 1.0  # seconds of a call of init_transactions: see driver.py, `_init`
PATIENCE = 30.0  # seconds for one id
_locks: dict[tuple[str, str], threading.Lock] = {}
_locks_lock = threading.Lock()


@contextlib.contextmanager
def alone(bootstrap: str, transactional_id: str) -> Iterator[None]:
    """Wait until no other thread of this process publishes in that lane: it would be fenced for nothing."""
    with _locks_lock:
        lock = _locks.setdefault((bootstrap, transactional_id), threading.Lock())
    with lock:
        yield


def fence_earlier(config: client.Config, pipeline: Pipeline, ledger: str, memory: Path | None, *, begun: bool) -> None:
    """Fence the ids of earlier versions, unless that was done for this ledger topic (its id) from the home that has the
    folder `memory`.

    `begun`: an earlier version has committed a part of the file at hand, so one may be at work even now. Raises
    `KafkaException`.
    """
    done = memory / f"{pipeline.pipeline}.{re.sub(r'[^A-Za-z0-9_-]', '_', ledger)}.fenced" if memory else None
    if not begun and (done is None or done.exists()):
        return
    timeout = int(pipeline.publish.transaction_timeout.total_seconds() * 1000)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="forebay-fence") as pool:
        list(pool.map(lambda id_: fence(config, id_, timeout), pipeline.earlier_transactional_ids))
    if done is not None:
        with contextlib.suppress(OSError):  # then it is done again next time
            done.touch()


def fence(config: client.Config, transactional_id: str, timeout: int) -> None:
    """Make whoever holds that id one that is fenced. Who may not use it (then no version of ours could) is passed
    over."""
    from confluent_kafka import KafkaException

    own: client.Config = {
        "transactional.id": transactional_id,
        "transaction.timeout.ms": timeout,
        "reconnect.backoff.ms": 10,
    }
    producer = client.producer(config, **own)
    deadline, calls = time.monotonic() + PATIENCE, 0
    try:
        while True:
            calls += 1
            try:
                return producer.init_transactions(SHORT if calls <= SHORT_CALLS else LONG)
            except KafkaException as error:
                failure = failures.classify(error.args[0], transactional=True)
                if failure.name == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED":
                    return None
                if failure.action is not Action.RETRY or time.monotonic() > deadline:
                    raise
    finally:
        producer.close()
