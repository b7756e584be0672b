"""One file to publish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forebay.kafka import client
from forebay.kafka.ledger.guard import LedgerHome
from forebay.kafka.ledger.reader import Completion, Origin, lane_of
from forebay.kafka.publish.records import EncodedChunk, Headers
from forebay.kafka.topics import DEFAULT_MAX_MESSAGE_BYTES
from forebay.model import ChunkPlan, Identity, SourceFile

if TYPE_CHECKING:
    from forebay.config.pipeline import Pipeline
    from forebay.kafka.ledger.view import LedgerView


@dataclass(frozen=True, slots=True)
class PublishJob:
    """One file to publish, and all that its records and ledger entries say.

    `encode(chunk)` gives a chunk's records; it is called from one other thread, never twice at once, and must give the
    same rows for the same chunk in every attempt (rule C4). `config` are librdkafka settings; they may override the
    publisher's (`compression.type`, `linger.ms` …).
    """

    config: client.Config
    pipeline: Pipeline
    file: SourceFile
    fingerprint: str
    plan: ChunkPlan
    encode: Callable[[int], EncodedChunk]
    identity: Identity
    headers: Headers
    origin: Origin
    generation: int = 1
    completion: Completion = field(default_factory=Completion)
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
    follow_for: float = 900.0  # seconds a fenced attempt watches another owner before it gives up
    behind_barrier: Callable[[LedgerView, int], None] | None = None
    """Asked before each chunk, with the ledger and the chunk's number, once the lane is ours and all before us is
    settled; may raise to stop."""
    had: str | None = None
    """What the file's name had complete when its fate was told (`FileRun.had`); None: nobody asked, and rule C6 is not
    kept."""
    left: tuple[str, ...] = ()
    """Fingerprints of what was begun of this name and is not finished: whoever is at work on it still is fenced before
    the first chunk (rule C6)."""
    keep: LedgerHome | None = (
        None  # the ledger's local copy and what is remembered of it; without, it is read whole and believed
    )

    @property
    def lane(self) -> int:
        return lane_of(self.fingerprint)

    @property
    def transactional_id(self) -> str:
        return self.pipeline.transactional_id(self.lane)

    @property
    def doing(self) -> str:
        return f"publishing `{self.file.uri}`"
