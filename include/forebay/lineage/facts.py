"""What lineage tells of a run: plain values, taken from the ledger's receipts after commit, never from counters of an
attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from forebay.model import Column, FileRun, Identity, Verdict, Window


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file of the run with what was learnt of it."""

    file: FileRun
    columns: tuple[Column, ...] = ()
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run, as told to lineage. `cluster` is the canonical `host:port` that names the Kafka namespace."""

    pipeline: str
    owner: str
    window: Window
    identity: Identity
    started: datetime
    cluster: str
    topic: str
    quarantine_topic: str
    files: tuple[FileFacts, ...] = ()
    error: str | None = None
