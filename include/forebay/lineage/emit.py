"""Sending lineage: to a file of ours by default, or by any transport OpenLineage knows. A sink that is down never fails
a run."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.support.files import locked
from forebay.support.folders import private

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import RunEvent

MOST = 64 << 20
"""Bytes of a file of events: then it becomes `events.1.jsonl`, in place of the one before, and a new one begins."""

_log = logging.getLogger("forebay.lineage")


def send(events: list[RunEvent], file: Path, transport: dict[str, Any] | None = None) -> bool:
    """Append the events to `file` (JSON lines), and to the configured transport if there is one.

    `transport` is an OpenLineage transport configuration; without it the client's own environment (`OPENLINEAGE_URL`,
    `OPENLINEAGE__TRANSPORT__…`) is used if set. Events that could not be sent wait in `unsent.jsonl` beside `file` and
    go first next time. Returns whether all were sent.
    """
    lines = [_line(event) for event in events]
    _append(file, lines)
    client = _client(transport)
    return client is None or _deliver(client, lines, file.with_name("unsent.jsonl"))


def _line(event: RunEvent) -> str:
    from openlineage.client.serde import Serde

    return Serde.to_json(event)


def _append(file: Path, lines: list[str]) -> None:
    private(file.parent)
    with locked(file.parent / ".lock"):  # two that turn the page at once would lose the older one
        if file.exists() and file.stat().st_size >= MOST:
            file.replace(file.with_name(f"{file.stem}.1{file.suffix}"))
        with file.open("a", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in lines))


def _client(transport: dict[str, Any] | None) -> OpenLineageClient | None:
    named = any(key.startswith("OPENLINEAGE_") and key != "OPENLINEAGE_DISABLED" for key in os.environ)
    if not transport and not named:
        return None
    from openlineage.client import OpenLineageClient

    return OpenLineageClient(config={"transport": transport}) if transport else OpenLineageClient()


def _deliver(client: OpenLineageClient, lines: list[str], waiting: Path) -> bool:
    before = waiting.read_text("utf-8").splitlines() if waiting.exists() else []
    todo = before + lines
    for sent, line in enumerate(todo):
        try:
            client.transport.emit(_Raw(json.loads(line)))  # type: ignore[arg-type]
        except Exception as error:  # whatever a transport raises: lineage is an export, the ledger is the truth
            _log.warning("sending lineage: %s events wait in %s: %s", len(todo) - sent, waiting, error)
            waiting.write_text("".join(f"{rest}\n" for rest in _youngest(todo[sent:])), "utf-8")
            return False
    waiting.unlink(missing_ok=True)
    return True


def _youngest(lines: list[str]) -> list[str]:
    """The last of them, `MOST` bytes at most: a sink that never comes back must not fill the disk. All are in the file
    beside."""
    size, kept = 0, list[str]()
    for line in reversed(lines):
        size += len(line.encode()) + 1
        if size > MOST:
            _log.warning(
                "sending lineage: the oldest %s events that wait are given up, they are in the file of events",
                len(lines) - len(kept),
            )
            break
        kept.append(line)
    return kept[::-1]


class _Raw(dict[str, Any]):
    """An event that was serialised before: transports only serialise and send it."""
