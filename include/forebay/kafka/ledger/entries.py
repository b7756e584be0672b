"""What a ledger record says: keys, the entry of a chunk, and the entry that completes a file.

A record's key is JSON text `{"pipeline", "fp", "generation", "chunk"}`, chunk being a number from 0 or `"FILE"`. A
chunk's value says what it became, field by field in `ChunkEntry.to_json`; the `FILE` value, in the last chunk's
transaction, completes the file.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from forebay.model import (
    OPEN,
    Answer,
    Decision,
    Identity,
    Json,
    JsonDict,
    OffsetRange,
    Receipt,
    Replay,
    SourceFile,
    Window,
    replayed_uri,
)

VERSION = 1
FILE = "FILE"
LANES = 64
"""How many lanes a pipeline's files share. A constant of the protocol: two attempts at one file must meet in one
transactional.id, whatever was set in between. A broker keeps some hundred bytes for each id, and one entry for each
partition that it wrote to."""
TAKEN = "forebay:owner"
"""The uri of a completion record of no rows: a person took the ledger over (owner.py)."""

Record = tuple[bytes, bytes, int, int]
"""Key, value, partition and offset of a ledger record."""


def partition_of(fingerprint: str, partitions: int) -> int:
    """The ledger partition of a file: hexadecimal digits 8–15 of its fingerprint, modulo the partition count."""
    return int(fingerprint[8:16], 16) % partitions


def lane_of(fingerprint: str) -> int:
    """The lane (transactional.id) of a file: the first 8 hexadecimal digits of its fingerprint, modulo `LANES`. Nothing
    that can be set moves it."""
    return int(fingerprint[:8], 16) % LANES


def quarantine_partition_of(fingerprint: str, partitions: int) -> int:
    """The partition of the quarantine topic that gets a file's rows: hexadecimal digits 0–7 of its fingerprint, modulo
    the partition count."""
    return int(fingerprint[:8], 16) % partitions


def key(pipeline: str, fingerprint: str, generation: int, chunk: int | str) -> bytes:
    """A ledger record's key."""
    return dump({"pipeline": pipeline, "fp": fingerprint, "generation": generation, "chunk": chunk})


def dump(value: JsonDict) -> bytes:
    """JSON as it stands in the ledger: compact, UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class _Lenient(Json):
    """Reads what a later forebay has written: keys it does not know are ignored."""

    @classmethod
    def from_json(cls, data: JsonDict) -> Self:
        known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        return super().from_json({name: value for name, value in data.items() if name in known})


@dataclass(frozen=True, slots=True)
class Owner(_Lenient):
    """Which project a record is of: its data topic, and its source as `type:connection:path`. An empty `source`: an
    earlier version wrote none."""

    topic: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Origin(_Lenient):
    """What the rows went through: the part of a ledger record that is the same for all chunks of an attempt."""

    cluster_id: str = ""
    suite: str | None = None
    suite_hash: str = ""
    schema_id: str | None = None
    schema_hash: str = ""
    pins: str | None = None  # digest of the pinned columns that it was read with; None: an earlier version wrote none
    partitioner: str = ""
    partition_count: int = 0
    ledger_partitions: int = 1
    code_version: str = ""
    lanes: int = 0  # `LANES` of the protocol that wrote it; 0: of an earlier version, whose lanes were a setting
    owner: Owner | None = None
    plan: dict[str, str] = field(default_factory=dict)  # `ChunkPlan.prints`; empty: an earlier version wrote none
    topic_id: str = ""  # of the data topic (KIP-516); empty: an earlier version wrote none, or the brokers have none


@dataclass(frozen=True, slots=True)
class ChunkEntry(Json):
    """One committed chunk. `attempted` is when its commit was attempted; that it is in the ledger says that it
    succeeded."""

    pipeline: str
    file: SourceFile
    receipt: Receipt
    origin: Origin
    identity: Identity
    started: datetime
    attempted: datetime

    @property
    def key(self) -> bytes:
        return key(self.pipeline, self.receipt.fingerprint, self.receipt.generation, self.receipt.chunk)

    def to_json(self) -> JsonDict:
        """The record's value (docs/protocol.md)."""
        r, o = self.receipt, self.origin
        return {
            "v": VERSION,
            "cluster_id": o.cluster_id,
            "pipeline": self.pipeline,
            "file": {"fp": r.fingerprint, **self.file.to_json()},
            "generation": r.generation,
            "chunk": r.chunk,
            "of": r.of,
            "rows": {
                "first": r.first_row,
                "last": r.last_row,
                "in": r.rows_in,
                "published": r.published,
                "quarantined": r.quarantined,
                "rejected": 0,
            },
            "outputs": [x.to_json() for x in r.outputs],
            "quarantine": [x.to_json() for x in r.quarantine],
            "content_hash": r.content_hash,
            "plan_hash": r.plan_hash,
            "headers": r.headers,
            "suite": {"name": o.suite, "hash": o.suite_hash},
            "schema": {"id": o.schema_id, "hash": o.schema_hash, "pins": o.pins},
            "partitioner": o.partitioner,
            "partition_count": o.partition_count,
            "ledger_partitions": o.ledger_partitions,
            "run": self.identity.to_json(),
            "code_version": o.code_version,
            "lanes": o.lanes,
            "owner": o.owner.to_json() if o.owner else None,
            "plan": o.plan,
            "topic_id": o.topic_id,
            "started": self.started.isoformat(),
            "committed_attempt_at": self.attempted.isoformat(),
        }

    @classmethod
    def from_json(cls, data: JsonDict) -> Self:
        """The entry of a record's value; keys that a later version may add are ignored."""
        return cls(
            pipeline=data["pipeline"],
            file=_source_file(data["file"]),
            receipt=_receipt(data),
            origin=_origin(data),
            identity=_identity(data["run"]),
            started=datetime.fromisoformat(data["started"]),
            attempted=datetime.fromisoformat(data["committed_attempt_at"]),
        )


def _source_file(data: JsonDict) -> SourceFile:
    return SourceFile(data["uri"], data["size"], data["mtime"], data.get("etag"), data.get("version"))


def _receipt(data: JsonDict) -> Receipt:
    rows = data["rows"]
    return Receipt(
        fingerprint=data["file"]["fp"],
        generation=data["generation"],
        chunk=data["chunk"],
        of=data["of"],
        first_row=rows["first"],
        last_row=rows["last"],
        rows_in=rows["in"],
        published=rows["published"],
        quarantined=rows["quarantined"],
        outputs=tuple(OffsetRange.from_json(x) for x in data["outputs"]),
        quarantine=tuple(OffsetRange.from_json(x) for x in data["quarantine"]),
        content_hash=data["content_hash"],
        plan_hash=data["plan_hash"],
        headers=data.get("headers", ""),
    )


def _identity(data: JsonDict) -> Identity:
    known = {f.name for f in dataclasses.fields(Identity)}
    return Identity.from_json({name: value for name, value in data.items() if name in known})


def _origin(data: JsonDict) -> Origin:
    return Origin(
        data["cluster_id"],
        data["suite"]["name"],
        data["suite"]["hash"],
        data["schema"]["id"],
        data["schema"]["hash"],
        data["schema"].get("pins"),
        data["partitioner"],
        data["partition_count"],
        data["ledger_partitions"],
        data["code_version"],
        data.get("lanes", 0),
        Owner.from_json(data["owner"]) if data.get("owner") else None,
        data.get("plan", {}),
        data.get("topic_id", ""),
    )


@dataclass(frozen=True, slots=True)
class Completion(_Lenient):
    """What the completion record says of a file beyond its totals: why it was published, and by whose decision."""

    reason: str | None = None  # why there is a generation above 1
    supersedes: str | None = None
    duplicate_of: str | None = None
    decision: str | None = None
    decided_by: str | None = None
    decision_reason: str | None = None
    window: Window | None = None  # the data interval of the run
    replay: Replay | None = None  # repaired rows of another content: which
    decided_at: datetime | None = None  # when a person decided
    columns: dict[str, str] = field(
        default_factory=dict
    )  # name to type, in order; those of the latest file are pinned where none are declared
    open: tuple[str, ...] = ()  # those of them that no file had a value of so far: their type is not pinned

    @property
    def answer(self) -> Answer | None:
        """What was decided of the file; a replay is a person's decision to publish, which its record does not name."""
        decision = self.decision or (Decision.PUBLISH if self.replay else None)
        if decision is None:
            return None
        return Answer(Decision(decision), self.decided_by or "", self.decision_reason or "", self.decided_at)

    @property
    def pins(self) -> dict[str, str]:
        """What later files are held against: name to type, `OPEN` where none is pinned."""
        return self.columns | dict.fromkeys(self.open, OPEN)

    def settled(self, pinned: Mapping[str, str]) -> Completion:
        """The same where other files gave some of the open columns their types meanwhile."""
        types = {name: pinned[name] for name in self.open if pinned.get(name, OPEN) != OPEN}
        still = tuple(name for name in self.open if name not in types)
        return dataclasses.replace(self, columns=self.columns | types, open=still)


@dataclass(frozen=True, slots=True)
class FileEntry(_Lenient):
    """A file's completion record: all its chunks are committed. `rows_in == published + quarantined + rejected`."""

    pipeline: str
    file: SourceFile
    fingerprint: str  # sha256 of the bytes
    generation: int
    chunks: int
    rows_in: int
    published: int
    quarantined: int
    rejected: int
    plan_hash: str
    origin: Origin
    completion: Completion
    identity: Identity
    attempted: datetime
    v: int = VERSION

    @property
    def key(self) -> bytes:
        return key(self.pipeline, self.fingerprint, self.generation, FILE)

    @property
    def replays(self) -> str | None:
        """Of a replay, the uri of the file that had its rows."""
        return replayed_uri(self.file.uri)
