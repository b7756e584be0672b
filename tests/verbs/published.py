"""A ledger for tests of discovery: entries made by hand, of the ledger's own types."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from forebay.config.connections import EnvironmentConnections
from forebay.config.home import Project
from forebay.config.pipeline import Pipeline
from forebay.kafka.ledger.entries import ChunkEntry, Completion, FileEntry, Origin, dump
from forebay.kafka.ledger.memory import MemoryView
from forebay.model import Identity, OffsetRange, Receipt, SourceFile
from forebay.verbs.context import Context


def context(
    root: Path, path: str = "drops/{{ ds }}/*.csv", settle: dict[str, Any] | None = None, **source: Any
) -> Context:
    """A pipeline that reads a local folder below `root`."""
    pipeline = Pipeline.model_validate(
        {
            "pipeline": "flights",
            "owner": "tests",
            "source": {"type": "local", "path": path, **source},
            "format": {"type": "csv"},
            "record": {"key": "id"},
            "topic": {"name": "flights"},
            **({"settle": settle} if settle else {}),
        }
    )
    return Context.of(pipeline, Project(root, root / ".forebay"), EnvironmentConnections({}))


class Ledger:
    """Collects completion records; `view` is what discovery is given."""

    def __init__(self) -> None:
        self.view = MemoryView("flights", 1)
        self._files: set[tuple[str, int]] = set()
        self._begun: set[tuple[str, int]] = set()

    def publish(
        self, file: SourceFile, content: bytes, *, run: str = "run-1", generation: int = 1, rejected: bool = False
    ) -> str:
        """Say that these bytes were published from that file; returns their sha256."""
        fingerprint = hashlib.sha256(content).hexdigest()
        at = datetime(2013, 1, 3, 2, tzinfo=UTC) + timedelta(hours=len(self._files))
        entry = FileEntry(
            pipeline="flights",
            file=file,
            fingerprint=fingerprint,
            generation=generation,
            chunks=1,
            rows_in=1,
            published=0 if rejected else 1,
            quarantined=0,
            rejected=1 if rejected else 0,
            plan_hash="",
            origin=Origin(),
            completion=Completion(),
            identity=Identity(run, "00000000-0000-0000-0000-000000000000"),
            attempted=at,
        )
        self._files.add((fingerprint, generation))
        self._add(entry)
        self.begin(file, content, generation, run=run)
        return fingerprint

    def begin(self, file: SourceFile, content: bytes, generation: int = 1, *, run: str = "run-1") -> str:
        """Say that a chunk (its rows 1 to 5) of that generation is committed; returns the sha256."""
        fingerprint = hashlib.sha256(content).hexdigest()
        at = datetime(2013, 1, 3, 2, tzinfo=UTC) + timedelta(hours=len(self._files), minutes=len(self._begun) - 30)
        places = (OffsetRange("flights", 0, 3, 7, 5),)
        receipt = Receipt(fingerprint, generation, 0, 2, 1, 5, 5, 5, 0, places, (), "", "")
        identity = Identity(run, "00000000-0000-0000-0000-000000000000")
        entry = ChunkEntry("flights", file, receipt, Origin(ledger_partitions=1), identity, at, at)
        self._begun.add((fingerprint, generation))
        self._add(entry)
        return fingerprint

    def _add(self, entry: ChunkEntry | FileEntry) -> None:
        self.view.add([(entry.key, dump(entry.to_json()), 0, 0)])
