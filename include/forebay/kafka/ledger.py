"""The ledger: one compacted Kafka topic per pipeline, written in the data's own transaction; the only truth of what was published.

A record's key is JSON text `{"pipeline", "fp", "generation", "chunk"}`, chunk being a number from 0 or `"FILE"`. A chunk's value says what
it became, field by field in docs/guarantees; the `FILE` value, in the last chunk's transaction, completes the file. Nothing is ever
updated or deleted. Readers read committed records up to the *uncommitted* high watermark (exactly-once.md, C2): the last stable offset, which
`Consumer.get_watermark_offsets` and `PARTITION_EOF` give, would hide committed records behind anybody's open transaction.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from forebay import events
from forebay.errors import BrokerUnavailableError, ConfigError, LedgerError, TopicMissingError
from forebay.kafka import client
from forebay.kafka.guard import Guard, Keep, Known, Tail, now
from forebay.model import Identity, Json, JsonDict, OffsetRange, Receipt, Replay, SourceFile, Window

if TYPE_CHECKING:
    from confluent_kafka import TopicPartition

    from forebay.config.pipeline import Pipeline
    from forebay.kafka.snapshot import SnapshotView

VERSION = 1
FILE = "FILE"
STALLED = 3.0  # seconds without a record, in the midst of a long ledger, that a busy broker is given
READ_TIMEOUT = 85.0  # seconds: default transaction timeout, the broker's sweep and a margin
_EOF = -191
CONSUMER: client.Config = {"fetch.wait.max.ms": 10, "fetch.error.backoff.ms": 50, "queued.max.messages.kbytes": 16_384}


def partition_of(fingerprint: str, partitions: int) -> int:
    """The ledger partition of a file: hexadecimal digits 8–15 of its fingerprint, modulo the partition count."""
    return int(fingerprint[8:16], 16) % partitions


def lane_of(fingerprint: str, lanes: int) -> int:
    """The lane (transactional.id) of a file: the first 8 hexadecimal digits of its fingerprint, modulo the lane count."""
    return int(fingerprint[:8], 16) % lanes


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
class Origin(_Lenient):
    """What the rows went through: the part of a ledger record that is the same for all chunks of an attempt."""

    cluster_id: str = ""
    suite: str | None = None
    suite_hash: str = ""
    schema_id: str | None = None
    schema_hash: str = ""
    partitioner: str = ""
    partition_count: int = 0
    ledger_partitions: int = 1
    code_version: str = ""


@dataclass(frozen=True, slots=True)
class ChunkEntry(Json):
    """One committed chunk. `attempted` is when its commit was attempted; that it is in the ledger says that it succeeded."""

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
        """The record's value (exactly-once.md §5)."""
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
            "suite": {"name": o.suite, "hash": o.suite_hash},
            "schema": {"id": o.schema_id, "hash": o.schema_hash},
            "partitioner": o.partitioner,
            "partition_count": o.partition_count,
            "ledger_partitions": o.ledger_partitions,
            "run": self.identity.to_json(),
            "code_version": o.code_version,
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
        data["partitioner"],
        data["partition_count"],
        data["ledger_partitions"],
        data["code_version"],
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


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What a ledger holds, read up to some watermark, in the order it was committed."""

    pipeline: str
    partitions: int
    topic_id: str = ""
    only: str | None = None  # a fingerprint: then other files' records are counted, but not kept
    chunks: dict[tuple[str, int], dict[int, ChunkEntry]] = field(default_factory=dict)
    files: dict[tuple[str, int], FileEntry] = field(default_factory=dict)
    order: list[tuple[str, bool]] = field(default_factory=list)  # fingerprint, and whether the record completes the file
    lanes: int = 1
    moves: dict[int, tuple[int, bool]] = field(default_factory=dict)  # by lane: records so far, and whether the last one completes a file

    def of_file(self, fingerprint: str, generation: int = 1) -> dict[int, ChunkEntry]:
        """The committed chunks of one generation of one content, by chunk number."""
        return self.chunks.get((fingerprint, generation), {})

    def file(self, fingerprint: str, generation: int | None = None) -> FileEntry | None:
        """The completion record of that generation, or of the latest complete one."""
        found = generation or max(self.generations(fingerprint), default=0)
        return self.files.get((fingerprint, found))

    def generations(self, fingerprint: str) -> tuple[int, ...]:
        """The complete generations of a content, ascending."""
        return tuple(sorted(g for fp, g in self.files if fp == fingerprint))

    def started(self, fingerprint: str) -> tuple[int, ...]:
        """The generations of which at least one chunk is committed, complete or not."""
        return tuple(sorted(g for fp, g in self.chunks if fp == fingerprint))

    def by_uri(self, uri: str) -> tuple[FileEntry, ...]:
        """Complete files published from `uri`, the latest last."""
        return tuple(entry for entry in self.files.values() if entry.file.uri == uri)

    def by_size(self, size: int) -> tuple[FileEntry, ...]:
        """Complete files of that many bytes: only these can be duplicates."""
        return tuple(entry for entry in self.files.values() if entry.file.size == size)

    def by_fingerprint(self, fingerprint: str) -> tuple[FileEntry, ...]:
        """Complete generations of a content, the latest last."""
        return tuple(entry for (fp, _), entry in self.files.items() if fp == fingerprint)

    def has_size(self, size: int) -> bool:
        """Whether a complete file has that many bytes: only then can another one be a duplicate."""
        return any(entry.file.size == size for entry in self.files.values())

    def uris(self) -> Iterator[str]:
        """The uris of all complete files, each once or more."""
        return (entry.file.uri for entry in self.files.values())

    def receipts(self, fingerprint: str, generation: int = 1) -> tuple[Receipt, ...]:
        """What the chunks of one generation became, in chunk order."""
        return tuple(entry.receipt for _, entry in sorted(self.of_file(fingerprint, generation).items()))

    def reached(self, offsets: dict[int, int], force: bool = True) -> None:
        """Everything below these offsets was added; nothing is written down here."""

    def positions(self) -> dict[int, int]:
        """What was held before reading began: nothing."""
        return {}

    def all_receipts(self) -> Iterator[Receipt]:
        """What every committed chunk became."""
        return (entry.receipt for chunks in self.chunks.values() for entry in chunks.values())

    def add(self, raw_key: bytes, raw_value: bytes, _partition: int = 0, _offset: int = 0) -> None:
        """Take up one record of the topic."""
        where = json.loads(raw_key)
        fingerprint, generation = where["fp"], where["generation"]
        complete, lane = where["chunk"] == FILE, lane_of(fingerprint, self.lanes)
        self.order.append((fingerprint, complete))
        self.moves[lane] = (self.moves.get(lane, (0, False))[0] + 1, complete)
        if self.only in {None, fingerprint}:
            self._keep(fingerprint, generation, where["chunk"], json.loads(raw_value))

    def _keep(self, fingerprint: str, generation: int, chunk: int | str, data: JsonDict) -> None:
        if data["v"] > VERSION:
            raise LedgerError(
                f"reading ledger of `{self.pipeline}`: record of version {data['v']} (update forebay: this one knows {VERSION})"
            )
        if isinstance(chunk, str):
            self.files[fingerprint, generation] = FileEntry.from_json(data)
        else:
            self.chunks.setdefault((fingerprint, generation), {})[chunk] = self._checked(ChunkEntry.from_json(data))

    def _checked(self, entry: ChunkEntry) -> ChunkEntry:
        """Rule F13: another partition count would look for a file's records where they are not."""
        if entry.origin.ledger_partitions != self.partitions:
            raise LedgerError(
                f"reading ledger of `{self.pipeline}`: written with {entry.origin.ledger_partitions} partitions, the topic has {self.partitions} "
                "(never grow a ledger topic: restore the count by copying its records to a new topic)"
            )
        return entry


class LedgerReader:
    """Follows some partitions of a ledger topic; keeps its place, so that asking again costs only what is new.

    With `keep` it begins where the local copy ends (snapshot.py), and refuses a topic that has lost what was seen of it (guard.py).
    """

    view: LedgerView | SnapshotView

    def __init__(self, config: client.Config, pipeline: Pipeline, fingerprint: str | None = None, keep: Keep | None = None) -> None:
        """All partitions, or only that of one file. Raises `TopicMissingError` if there is no ledger topic, `LedgerError` if there was one."""
        self.topic = pipeline.ledger_topic
        self._errors = client.ClientErrors()
        self._admin = client.admin(config, self._errors)
        self._doing = f"reading ledger `{self.topic}`"
        self._pipeline, self._only, self._keep = pipeline, fingerprint, keep
        self._guard = Guard(keep, pipeline.pipeline) if keep else None
        count, self._topic_id = self._guarded()
        self.partitions = list(range(count)) if fingerprint is None else [partition_of(fingerprint, count)]
        self._count = count
        self.view = self._open(copies=2)
        self._config = config
        self._consumer: Any = None
        self._at: dict[int, int] = {}
        self._expected: dict[int, list[tuple[Tail, bool]]] = {}
        self._last: dict[int, tuple[int, bytes]] = {}

    def _open(self, copies: int) -> LedgerView | SnapshotView:
        """The local copy's view; in memory where there is none, or after the last of `copies` was lost."""
        from forebay.kafka import snapshot

        self._copies = copies
        name, lanes = self._pipeline.pipeline, self._pipeline.publish.lanes
        if self._keep and copies:
            found = snapshot.open_view(self._keep.folder, name, self._topic_id, self._count, lanes)
            if found:
                return found
        return LedgerView(name, self._count, self._topic_id, self._only, lanes=lanes)

    def _cluster_id(self) -> str:
        with client.translate(self._doing, self._errors):
            return str(client.answer(self._admin, self._admin.describe_cluster(request_timeout=10)).cluster_id)

    def _guarded(self) -> tuple[int, str]:
        """Partition count and id of the topic, which is the one that was used before."""
        try:
            count, topic_id = self._describe()
        except TopicMissingError:
            if self._guard:
                self._guard.missing(self._cluster_id)
            raise
        if self._guard:
            self._guard.check(topic_id, count, self._cluster_id)
        return count, topic_id

    def _describe(self) -> tuple[int, str]:
        from confluent_kafka import TopicCollection

        with client.translate(self._doing, self._errors, topic=self.topic):
            asked = self._admin.describe_topics(TopicCollection([self.topic]), request_timeout=10)
            found = client.answer(self._admin, asked[self.topic])
        return len(found.partitions), str(found.topic_id)

    def _start(self) -> None:
        """Assign from the beginning, or where the local copy ends.

        Compaction never moves the log's start, so a start above 0 means that records were deleted.
        """
        for p, offset in self._offsets(earliest=True).items():
            if offset > (self._guard.low(self._topic_id, p) if self._guard else 0):
                raise LedgerError(
                    f"{self._doing}: partition {p} begins at offset {offset} (its past was deleted: restore the ledger from a backup)"
                )
        held = self.view.positions()
        self._at = {p: held.get(p, 0) for p in self.partitions}
        self._expected = {p: self._to_see_again(p) for p in self.partitions}
        first = {p: min([self._at[p], *(tail.offset for tail, _ in self._expected[p])]) for p in self.partitions}
        self._consumer = client.consumer(self._config, self._errors, **CONSUMER)
        self._consumer.assign([self._tp(p, first[p]) for p in self.partitions])

    def _to_see_again(self, partition: int) -> list[tuple[Tail, bool]]:
        """Records that must still be there, by offset; True with those that the guard remembers, False with the local copy's last one."""
        if not self._keep or not self._guard:
            return []
        known = [(self._guard.tail(self._topic_id, partition), True), (self._copied_tail(partition), False)]
        return sorted(((tail, guarded) for tail, guarded in known if tail), key=lambda item: item[0].offset)

    def _copied_tail(self, partition: int) -> Tail | None:
        return None if isinstance(self.view, LedgerView) else self.view.tail(partition)

    def _begin_again(self, discard: bool) -> None:
        """Give the local copy up and read from the beginning."""
        if not isinstance(self.view, LedgerView):
            self.view.discard() if discard else self.view.close()
        self._stop()
        self.view = self._open(self._copies - 1)

    def _tp(self, partition: int, offset: int = -1001) -> TopicPartition:
        from confluent_kafka import TopicPartition

        return TopicPartition(self.topic, partition, offset)

    def _offsets(self, earliest: bool = False, uncommitted: bool = True) -> dict[int, int]:
        """The partitions' first or end offsets. Asked again by a new admin client where the old one fails: librdkafka's goes on asking with the
        leader, and the leader epoch, that it knows, and is refused (`FENCED_LEADER_EPOCH`) or left without an answer for ever after a leader
        was killed or moved.
        """
        from confluent_kafka import KafkaException

        with client.translate(self._doing, self._errors, topic=self.topic):
            for last in (False, False, True):
                try:
                    return self._ask_offsets(earliest, uncommitted)
                except (KafkaException, TimeoutError) as error:
                    if last and isinstance(error, TimeoutError):
                        raise BrokerUnavailableError(f"{self._doing}: no broker answered (try again)", topic=self.topic) from None
                    if last:
                        raise
                    self._admin = client.admin(self._config, self._errors)
        raise AssertionError("unreachable")

    def _ask_offsets(self, earliest: bool, uncommitted: bool) -> dict[int, int]:
        from confluent_kafka import IsolationLevel
        from confluent_kafka.admin import OffsetSpec

        level = IsolationLevel.READ_UNCOMMITTED if uncommitted else IsolationLevel.READ_COMMITTED
        spec = OffsetSpec.earliest() if earliest else OffsetSpec.latest()
        asked = self._admin.list_offsets({self._tp(p): spec for p in self.partitions}, isolation_level=level, request_timeout=5)
        return {tp.partition: client.answer(self._admin, future, patience=6).offset for tp, future in asked.items()}

    def watermarks(self, uncommitted: bool = True) -> dict[int, int]:
        """End offset of each partition: the high watermark, or (not `uncommitted`) the last stable offset."""
        ends = self._offsets(uncommitted=uncommitted)
        if self._guard:
            self._guard.check_ends(self._topic_id, ends)
        return ends

    def read_to(self, offsets: dict[int, int], timeout: float, most: int | None = None) -> bool:
        """Read committed records until every partition has been read up to its offset, or about `most` records were read.

        False when `timeout` seconds were not enough, and then nothing came any more (a long ledger takes its time, an open transaction blocks).
        """
        from forebay.kafka.snapshot import SnapshotLostError

        while True:
            try:
                return self._read_to(offsets, timeout, most)
            except SnapshotLostError:
                if isinstance(self.view, LedgerView):
                    raise
                self._begin_again(discard=True)

    def _read_to(self, offsets: dict[int, int], timeout: float, most: int | None) -> bool:
        if self._consumer is None:
            self._start()
        deadline, left = time.monotonic() + timeout, sys.maxsize if most is None else most
        with client.translate(self._doing, self._errors, topic=self.topic):
            while not self._reached(offsets) and left > 0:
                first = self._consumer.poll(0.1)  # `consume` would wait its whole timeout for a thousandth message
                if first is None and time.monotonic() > deadline:
                    break
                messages = [first, *self._consumer.consume(1000, 0)] if first else []
                for message in messages:
                    self._take(message)
                left -= len(messages)
                deadline = max(deadline, time.monotonic() + STALLED) if messages else deadline
                self.view.reached(self._at, force=False)
        self.view.reached(self._at)
        return self._reached(offsets)

    def _reached(self, offsets: dict[int, int]) -> bool:
        return all(self._at[p] >= offset and not self._expected[p] for p, offset in offsets.items())

    def _take(self, message: Any) -> None:
        """A record, or a partition's end; the end's offset lies past transaction markers, as the watermark does."""
        error, partition, offset = message.error(), message.partition(), message.offset()
        if error is None:
            self._see_again(partition, offset, message.key())
            if offset >= self._at[partition]:
                self.view.add(message.key(), message.value(), partition, offset)
                self._at[partition] = offset + 1
                self._last[partition] = offset, message.key()
        elif error.code() == _EOF:
            self._see_again(partition, offset - 1, None)
            self._at[partition] = max(self._at[partition], offset)
        elif client.failures.classify(error).action != client.Action.RETRY:
            raise client.failures.classify(error).exception(self._doing, topic=self.topic)

    def _see_again(self, partition: int, offset: int, key: bytes | None) -> None:
        """Hold a record (or, without a key, the partition's end behind it) against those that must still be there."""
        from forebay.kafka.snapshot import SnapshotLostError

        expected = self._expected[partition]
        while expected and offset >= expected[0][0].offset:
            tail, guarded = expected.pop(0)
            if key is not None and Tail.of(offset, key) == tail:
                continue
            if guarded and self._guard:
                raise self._guard.rewritten(partition, tail.offset)
            raise SnapshotLostError(f"{self._doing}: the local copy is of another past (try again)")

    def look(self, timeout: float = 30.0) -> LedgerView | SnapshotView:
        """What is committed by now, without waiting for open transactions."""
        if not self.read_to(self.watermarks(uncommitted=False), timeout):
            raise BrokerUnavailableError(f"{self._doing}: the broker did not deliver committed records in {timeout:g} s (try again)")
        return self.view

    def close(self) -> None:
        """Remember how far the ledger was seen, and let go of it."""
        if self._guard and not any(self._expected.values()):
            with contextlib.suppress(ConfigError):  # the next reader remembers it
                self._guard.saw(self._topic_id, self._at, {p: Tail.of(*last) for p, last in self._last.items()})
        self._stop()
        if not isinstance(self.view, LedgerView):
            self.view.close()

    def _stop(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None


def read(
    config: client.Config, pipeline: Pipeline, fingerprint: str | None = None, topic_id: str | None = None, timeout: float = READ_TIMEOUT
) -> LedgerView:
    """The ledger of a pipeline (or only the partition of one file), up to its uncommitted high watermark at the time of the call.

    Waits for transactions that are open on it, `timeout` seconds at most. Raises `TopicMissingError`; `LedgerError` when the topic was trimmed,
    repartitioned, is not the one of `topic_id`, or a transaction stays open; `BrokerUnavailableError`.
    """
    reader = LedgerReader(config, pipeline, fingerprint)
    try:
        if topic_id and reader.view.topic_id != topic_id:
            raise LedgerError(
                f"reading ledger `{reader.topic}`: the topic was recreated, its id is `{reader.view.topic_id}` and was `{topic_id}` "
                "(restore the old one; going on would publish everything again)"
            )
        if not reader.read_to(reader.watermarks(), timeout):
            raise LedgerError(blocked(reader.topic, timeout), topic=reader.topic)
    finally:
        reader.close()
    assert isinstance(reader.view, LedgerView)  # no local copy was asked for
    events.emit(events.LEDGER_READ, level=10, topic=reader.topic, files=len(reader.view.files))
    return reader.view


def accept(config: client.Config, pipeline: Pipeline, keep: Keep, reason: str) -> str | None:
    """Go on with the pipeline's ledger topic as it is now, or with a new one if there is none (then None), by a person's decision."""
    from forebay.kafka import snapshot

    guard = Guard(keep, pipeline.pipeline)
    snapshot.drop(keep.folder, pipeline.pipeline)
    try:
        reader = LedgerReader(config, pipeline)
    except TopicMissingError:
        guard.forget(client.connect_check(config), reason)
        return None
    low = {str(p): offset for p, offset in reader._offsets(earliest=True).items() if offset}
    topic_id, cluster = reader.view.topic_id, reader._cluster_id()
    guard.accept(Known(topic_id, cluster, keep.place, len(reader.partitions), now(), low=low), reason)
    return topic_id


def blocked(topic: str, timeout: float) -> str:
    """The words for a ledger that an open transaction blocks."""
    return (
        f"reading ledger `{topic}`: a transaction has been open on it for more than {timeout:g} s "
        "(find it with `kafka-transactions.sh find-hanging`, end it with `abort`; nothing was published meanwhile)"
    )
