"""A ledger as a file, and back: for the day on which the topic is lost.

The file is JSON lines: a head (pipeline, topic, its id and settings), one line per committed record (partition, offset,
key and value as text), and a foot with their count and the sha256 of all bytes before it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.errors import ConfigError, CorruptFileError, LedgerError
from forebay.kafka import client, topics
from forebay.kafka.ledger.guard import LedgerHome, now
from forebay.kafka.ledger.reader import READ_TIMEOUT, LedgerReader, accept, blocked
from forebay.model import JsonDict
from forebay.support import files
from forebay.support.words import counted

if TYPE_CHECKING:
    from forebay.config.pipeline import Pipeline

KIND, VERSION = "forebay ledger", 1
BATCH = 10_000  # records a transaction
FLUSH = 60.0  # seconds

Record = tuple[int, bytes, bytes]
"""Partition, key, value."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: records written, those that were there already, those that only the topic has."""

    written: int
    present: int
    kept: int
    topic_id: str | None


class _Collect:
    """Stands in for a ledger view: hands records on as they are read."""

    def __init__(self) -> None:
        self.records: list[tuple[int, int, bytes, bytes]] = []

    def add(self, records: list[tuple[bytes, bytes, int, int]]) -> None:
        self.records += [
            (partition, offset, key, value) for key, value, partition, offset in records if value is not None
        ]

    def reached(self, offsets: dict[int, int], force: bool = True) -> None:
        """Nothing is written down."""

    def positions(self) -> dict[int, int]:
        return {}

    def close(self) -> None:
        """Nothing is open."""


def export(config: client.Config, pipeline: Pipeline, to: Path) -> int:
    """Write every committed record of the ledger to a file, whole or not at all; returns their count.

    Raises `TopicMissingError`, `BrokerUnavailableError`, and `LedgerError` when an open transaction blocks the ledger.
    """
    new = to.with_name(f".{to.name}.{os.getpid()}.new")
    try:
        with new.open("wb") as stream:
            count = _export(config, pipeline, stream.write)
        files.put(new, to)
    finally:
        new.unlink(missing_ok=True)
    return count


def _export(config: client.Config, pipeline: Pipeline, write: Any) -> int:
    reader = LedgerReader(config, pipeline)
    digest, count = hashlib.sha256(), 0

    def line(data: JsonDict) -> None:
        raw = json.dumps(data, ensure_ascii=False).encode() + b"\n"
        digest.update(raw)
        write(raw)

    try:
        line(_head(config, pipeline, reader))
        for partition, offset, key, value in _records(reader):
            line({"partition": partition, "offset": offset, "key": key.decode(), "value": value.decode()})
            count += 1
        line({"records": count, "sha256": digest.hexdigest()})
    finally:
        reader.close()
    return count


def _head(config: client.Config, pipeline: Pipeline, reader: LedgerReader) -> JsonDict:
    return {
        "kind": KIND,
        "v": VERSION,
        "pipeline": pipeline.pipeline,
        "topic": pipeline.ledger_topic,
        "topic_id": reader.view.topic_id,
        "cluster_id": client.connect_check(config),
        "partitions": _written_with(pipeline, reader),
        "config": topics.settings_of(config, pipeline.ledger_topic),
        "exported": now(),
    }


def _written_with(pipeline: Pipeline, reader: LedgerReader) -> int:
    """The partition count that the records were written with: in a topic that was grown since, the new ones are empty,
    as who publishes refuses it (rule F13)."""
    count, wanted = len(reader.partitions), pipeline.publish.ledger_partitions
    used = max((partition + 1 for partition, end in reader.watermarks().items() if end), default=0)
    return wanted if used <= wanted < count else count


def _records(reader: LedgerReader) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Every record up to the end of this moment, some thousands at a time."""
    collect = _Collect()
    reader.view = collect  # type: ignore[assignment]
    ends, reached = reader.watermarks(), False
    while not reached:
        reached = reader.read_to(ends, READ_TIMEOUT, most=BATCH)
        if not reached and not collect.records:
            raise LedgerError(blocked(reader.topic, READ_TIMEOUT), topic=reader.topic)
        yield from collect.records
        collect.records.clear()


def restore(config: client.Config, pipeline: Pipeline, source: Path, keep: LedgerHome) -> Restored:
    """Write the records of an export into the ledger topic, made if there is none, and accept it as the pipeline's
    ledger.

    Cut short, it may be repeated: what is there is not written again. Raises `CorruptFileError` for a file that is not
    whole, and `LedgerError` for one of another pipeline, another partition count, or a topic in which a record of the
    same key says something else.
    """
    head = _verified(source)
    doing = f"restoring ledger of `{pipeline.pipeline}` from `{source}`"
    if head["pipeline"] != pipeline.pipeline:
        raise LedgerError(f"{doing}: it is the ledger of `{head['pipeline']}` (name that pipeline, or another file)")
    if head["partitions"] != pipeline.publish.ledger_partitions:
        raise LedgerError(
            f"{doing}: it has {counted(head['partitions'], 'partition')}, `publish.ledger_partitions` says "
            f"{pipeline.publish.ledger_partitions} "
            "(set it to what the file has: files would be looked for in the wrong partition)"
        )
    topics.create_ledger(config, pipeline)
    with _held(config, pipeline, doing) as held:
        present = _compare(source, held, doing)
        written = write(config, pipeline, (r for r in _lines(source) if held.get(r[1]) is None))
        kept = len(held) - present
    topic_id = accept(config, pipeline, keep, f"restored from {source.name}")
    return Restored(written, present, kept, topic_id)


class _Held:
    """The digest of each value that the topic has already, by key: in a file that is gone when it is closed."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA cache_size = -16000")  # kB
        self._db.execute("CREATE TABLE held (key BLOB NOT NULL, value BLOB NOT NULL)")
        self._db.execute("BEGIN")

    def fill(self, records: Iterable[tuple[int, int, bytes, bytes]]) -> None:
        rows = ((hashlib.sha256(key).digest(), hashlib.sha256(value).digest()) for _, _, key, value in records)
        self._db.executemany("INSERT INTO held VALUES (?, ?)", rows)
        self._db.execute("CREATE INDEX held_key ON held (key)")

    def get(self, key: bytes) -> bytes | None:
        """Of a key that is there twice (not yet compacted), the later one."""
        words = "SELECT value FROM held WHERE key = ? ORDER BY rowid DESC LIMIT 1"
        row = self._db.execute(words, (hashlib.sha256(key).digest(),)).fetchone()
        return row[0] if row else None

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(DISTINCT key) FROM held").fetchone()[0])

    def close(self) -> None:
        self._db.close()


@contextlib.contextmanager
def _held(config: client.Config, pipeline: Pipeline, doing: str) -> Iterator[_Held]:
    held = _Held()
    try:
        with contextlib.closing(LedgerReader(config, pipeline)) as reader:
            if len(reader.partitions) != pipeline.publish.ledger_partitions:
                raise LedgerError(
                    f"{doing}: the topic has {counted(len(reader.partitions), 'partition')}, "
                    f"it must have {pipeline.publish.ledger_partitions} "
                    f"(delete `{reader.topic}`: it is then made anew)"
                )
            held.fill(_records(reader))
        yield held
    finally:
        held.close()


def _compare(source: Path, held: _Held, doing: str) -> int:
    """How many records the topic has already. Raises `LedgerError` if one of them says something else."""
    present = 0
    for _, key, value in _lines(source):
        digest = held.get(key)
        present += digest is not None
        if digest is not None and digest != hashlib.sha256(value).digest():
            raise LedgerError(
                f"{doing}: the topic has another record of `{key.decode()}` (both were published: compare them by hand)"
            )
    return present


def write(config: client.Config, pipeline: Pipeline, records: Iterable[Record]) -> int:
    """Write records into the ledger topic, in transactions, each of a new producer (rule C1); returns how many. Raises
    `LedgerError`."""
    count, batch = 0, list[Record]()
    for record in records:
        batch.append(record)
        if len(batch) == BATCH:
            count += _commit(config, pipeline, batch)
            batch = []
    return count + (_commit(config, pipeline, batch) if batch else 0)


def _commit(config: client.Config, pipeline: Pipeline, batch: list[Record]) -> int:
    errors = client.ClientErrors()
    faults: list[Any] = []
    topic = pipeline.ledger_topic

    def delivered(error: Any, _: Any) -> None:
        if error:
            faults.append(error)

    with client.translate(f"restoring ledger `{topic}`", errors, topic=topic):
        producer = client.producer(config, errors, **{"transactional.id": f"forebay.{pipeline.pipeline}.restore"})
        try:
            producer.init_transactions(FLUSH)
            producer.begin_transaction()
            for partition, key, value in batch:
                producer.produce(topic, value, key, partition=partition, on_delivery=delivered)
            left = producer.flush(FLUSH)
            if left or faults:
                raise LedgerError(
                    f"restoring ledger `{topic}`: {left or len(faults)} of {len(batch)} records were not taken, "
                    f"cause: {faults[0] if faults else 'no answer'} (try again: nothing of them is visible)"
                )
            producer.commit_transaction(FLUSH)
        finally:
            producer.purge()
            producer.close()
    return len(batch)


def _lines(source: Path) -> Iterator[Record]:
    """The records of a file that was verified."""
    with source.open("rb") as stream:
        next(stream)
        for raw in stream:
            data = json.loads(raw)
            if "key" in data:
                yield data["partition"], data["key"].encode(), data["value"].encode()


def _verified(source: Path) -> JsonDict:
    """The head of an export whose checksum and count are right. Raises `CorruptFileError`."""
    doing = f"reading `{source}`"
    digest, count, last = hashlib.sha256(), -2, b""
    head: JsonDict = {}
    try:
        with source.open("rb") as stream:
            for raw in stream:
                digest.update(last)
                count += 1
                head = head or json.loads(raw)
                last = raw
        foot = json.loads(last)
    except FileNotFoundError:
        raise ConfigError(
            f"{doing}: there is no such file (name one that `forebay ledger export PIPELINE --to FILE` has written)"
        ) from None
    except ValueError:
        raise CorruptFileError(f"{doing}: it is not a whole export of a ledger (take another copy)") from None
    if head.get("kind") != KIND or head.get("v") != VERSION:
        raise CorruptFileError(
            f"{doing}: it is not an export of a ledger of version {VERSION} (take another copy, or another forebay)"
        )
    if foot.get("records") != count or foot.get("sha256") != digest.hexdigest():
        raise CorruptFileError(f"{doing}: its checksum is wrong: it was cut off or changed (take another copy)")
    return head
