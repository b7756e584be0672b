"""A local copy of a ledger, so that a long one need not be read again from its beginning: a cache, never the truth.

One SQLite file of one topic (by its id), holding every committed record up to an offset of each partition. A reader
loads only what is asked and follows the topic from that offset; before it believes the copy, it sees the last record of
each partition again in the topic. A copy that is damaged, or of another topic, is thrown away and read anew. Of a
record's JSON only what is asked for by name is looked at when it is taken up.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from forebay.kafka.ledger.cache_file import PACKED, PARTITION, Row, Snapshot, SnapshotLostError, delete, drop
from forebay.kafka.ledger.entries import FILE, TAKEN, ChunkEntry, FileEntry, Owner, Record, key, lane_of
from forebay.kafka.ledger.guard import Tail
from forebay.kafka.ledger.view import NEVER, LedgerView, attempted, owner_of, record_of, refuse_deleted
from forebay.model import Receipt

__all__ = ["Snapshot", "SnapshotLostError", "SnapshotView", "delete", "drop", "open_view"]

BATCH = 5_000  # records a SQLite transaction, while many are read
CONTENTS = 64  # at hand, parsed
_KEY = re.compile(
    r'^\{"pipeline":"[^"\\\n]*","fp":"([0-9a-f]{64})","generation":(\d+),"chunk":(?:(\d+)|"FILE")\}$', re.MULTILINE
)
_FILE = re.compile(rb'\{"pipeline":"[^"\\]*","file":\{"uri":"([^"\\]*)","size":(\d+),')
"""How forebay writes keys and completion records (entries.py); what is written in another way is parsed as JSON."""


class SnapshotView:
    """The same questions as `LedgerView` answers, from a snapshot; loads only what is asked."""

    def __init__(self, snapshot: Snapshot, pipeline: str, partitions: int, topic_id: str) -> None:
        self.pipeline, self.partitions, self.topic_id = pipeline, partitions, topic_id
        self.moves: dict[int, tuple[int, bool]] = {}
        self._snapshot = snapshot
        self._upto = snapshot.positions()
        self._base: dict[int, int] = dict(self._upto)
        self._rows: list[Row] = []
        self._loaded: dict[str, LedgerView] = {}

    # taking up

    def add(self, records: list[Record]) -> None:
        """Take up some records of the topic."""
        refuse_deleted(self.pipeline, records)
        rows, moves, loaded = self._rows, self.moves, self._loaded
        for (fingerprint, generation, chunk), record in zip(_keys(records), records, strict=True):
            _, value, partition, offset = record
            number, uri, size = (int(chunk), None, None) if chunk else (None, *_file(value))
            rows.append(
                (partition * PARTITION + offset, _short(fingerprint), int(generation), number, uri, size, value)
            )
            lane = lane_of(fingerprint)
            moves[lane] = moves.get(lane, (0, False))[0] + 1, not chunk
            if fingerprint in loaded:
                loaded[fingerprint].add([record])

    def reached(self, offsets: Mapping[int, int], force: bool = True) -> None:
        """Everything below these offsets was added; write it down, when it is much or when asked to."""
        if len(self._rows) < BATCH and not force:
            return
        upto = {p: max(offset, self._upto[p]) for p, offset in offsets.items()}
        with self._lost():
            if self._rows or not upto.items() <= self._upto.items():
                self._snapshot.write(self._rows, self._base, upto)
            if force:
                self._snapshot.index()
        self._rows = []
        self._upto.update(upto)
        self._base.update(upto)

    @contextlib.contextmanager
    def _lost(self) -> Iterator[None]:
        """A copy that fails is thrown away, so that the next reader makes a new one."""
        try:
            yield
        except (sqlite3.Error, ValueError, KeyError) as error:
            delete(self._snapshot.path)
            raise SnapshotLostError(
                f"reading `{self._snapshot.path}`: {error} (try again: it is only a cache)"
            ) from None

    def positions(self) -> dict[int, int]:
        """The offset up to which each partition is held."""
        return dict(self._upto)

    def tail(self, partition: int) -> Tail | None:
        with self._lost():
            return self._snapshot.tail(self.pipeline, partition)

    def discard(self) -> None:
        """Throw the copy away."""
        self.close()
        delete(self._snapshot.path)

    def close(self) -> None:
        self._snapshot.close()

    # questions

    def _of(self, fingerprint: str) -> LedgerView:
        """All records of one content."""
        if fingerprint not in self._loaded:
            view = LedgerView(self.pipeline, self.partitions, self.topic_id, fingerprint)
            for chunk, value in self._values("chunk", "fp = ? ORDER BY place", _short(fingerprint)):
                data = json.loads(value)
                if fingerprint == (data["fingerprint"] if chunk is None else data["file"]["fp"]):
                    raw_key = key(self.pipeline, fingerprint, data["generation"], FILE if chunk is None else chunk)
                    view.add([(raw_key, value, 0, 0)])
            while len(self._loaded) >= CONTENTS:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[fingerprint] = view
        return self._loaded[fingerprint]

    def _values(self, column: str, where: str, *values: Any) -> Iterator[tuple[Any, bytes]]:
        """A column, and the unpacked value, of some records."""
        with self._lost():
            rows = self._snapshot.select(f"SELECT {column}, {PACKED} FROM record WHERE {where}", *values)
        for told, *packed in rows:
            with self._lost():
                value = self._snapshot.value(*packed)
            yield told, value

    def of_file(self, fingerprint: str, generation: int = 1) -> dict[int, ChunkEntry]:
        """The committed chunks of one generation of one content, by chunk number."""
        return self._of(fingerprint).of_file(fingerprint, generation)

    def file(self, fingerprint: str, generation: int | None = None) -> FileEntry | None:
        """The completion record of that generation, or of the latest complete one."""
        return self._of(fingerprint).file(fingerprint, generation)

    def generations(self, fingerprint: str) -> tuple[int, ...]:
        """The complete generations of a content, ascending."""
        return self._of(fingerprint).generations(fingerprint)

    def started(self, fingerprint: str) -> tuple[int, ...]:
        """The generations of which at least one chunk is committed, complete or not."""
        return self._of(fingerprint).started(fingerprint)

    def receipts(self, fingerprint: str, generation: int = 1) -> tuple[Receipt, ...]:
        """What the chunks of one generation became, in chunk order."""
        return self._of(fingerprint).receipts(fingerprint, generation)

    def by_fingerprint(self, fingerprint: str) -> tuple[FileEntry, ...]:
        """Complete generations of a content, the latest last."""
        return self._of(fingerprint).by_fingerprint(fingerprint)

    def by_uri(self, uri: str) -> tuple[FileEntry, ...]:
        """Complete files published from `uri`, the latest last."""
        found = (
            FileEntry.from_json(json.loads(value)) for _, value in self._values("place", "uri = ? ORDER BY place", uri)
        )
        return tuple(sorted(found, key=lambda entry: entry.attempted))

    def has_size(self, size: int) -> bool:
        """Whether a complete file has that many bytes: only then can another one be a duplicate."""
        with self._lost():
            return bool(self._snapshot.select("SELECT 1 FROM record WHERE size = ? LIMIT 1", size))

    def uris(self) -> Iterator[str]:
        """The uris of all complete files, each once or more."""
        with self._lost():
            yield from (uri for (uri,) in self._snapshot.each("SELECT uri FROM record WHERE uri IS NOT NULL"))

    def entries(self) -> Iterator[FileEntry]:
        """All complete files, of each partition the latest last; some hundred in memory at a time."""
        place = -1
        while True:
            found = list(
                self._values(
                    "place", "place > ? AND chunk IS NULL AND uri IS NOT ? ORDER BY place LIMIT 500", place, TAKEN
                )
            )
            if not found:
                return
            yield from (FileEntry.from_json(json.loads(value)) for _, value in found)
            place = found[-1][0]

    def columns(self) -> dict[str, str]:
        """Name to type of the file that was completed last, replays aside; none if no record tells."""
        told = [entry for p in range(self.partitions) if (entry := self._telling(p))]
        return max(told, key=lambda entry: entry.attempted).completion.columns if told else {}

    def _telling(self, partition: int) -> FileEntry | None:
        """The last completion record of a partition that tells its columns."""
        first, place = partition * PARTITION, (partition + 1) * PARTITION
        while True:
            words = "place >= ? AND place < ? AND chunk IS NULL AND uri IS NOT ? ORDER BY place DESC LIMIT 20"
            found = list(self._values("place", words, first, place, TAKEN))
            if not found:
                return None
            entries = (FileEntry.from_json(json.loads(value)) for _, value in found)
            telling = next(
                (entry for entry in entries if entry.completion.columns and not entry.completion.replay), None
            )
            if telling:
                return telling
            place = found[-1][0]

    def _tails(self) -> list[ChunkEntry | FileEntry]:
        """The last record of each partition."""
        words = "place >= ? AND place < ? ORDER BY place DESC LIMIT 1"
        found = [list(self._values("place", words, p * PARTITION, (p + 1) * PARTITION)) for p in range(self.partitions)]
        return [record_of(value) for some in found for _, value in some]

    def owner(self) -> Owner | None:
        """Whose the latest record is; None where nothing tells."""
        last = max(self._tails(), key=attempted, default=None)
        return owner_of(last, self.receipts) if last else None

    def latest(self) -> datetime:
        """When the latest record's commit was attempted."""
        return max(map(attempted, self._tails()), default=NEVER)

    def unfinished(self) -> Iterator[dict[int, ChunkEntry]]:
        """The chunks of each content that was begun and not completed."""
        with self._lost():
            begun = self._snapshot.select(
                "SELECT fp FROM record GROUP BY fp, generation HAVING count(chunk) = count(*)"
            )
        for short in sorted({short for (short,) in begun}):
            found = [json.loads(value) for _, value in self._values("place", "fp = ? AND chunk IS NOT NULL", short)]
            for fingerprint in sorted({data["file"]["fp"] for data in found}):
                yield from self._of(fingerprint).unfinished()


def _keys(records: list[Record]) -> list[tuple[str, str, str]]:
    """Fingerprint, generation and chunk of records' keys; an empty chunk is the completion record. One search for all
    is twice as fast."""
    found = _KEY.findall("\n".join([record[0].decode() for record in records]))
    return found if len(found) == len(records) else [_key(record[0]) for record in records]


def _key(raw: bytes) -> tuple[str, str, str]:
    where = json.loads(raw)
    return where["fp"], str(where["generation"]), "" if where["chunk"] == FILE else str(where["chunk"])


def _file(raw: bytes) -> tuple[str, int]:
    """Uri and size of a completion record's file."""
    if found := _FILE.match(raw):
        return found[1].decode(), int(found[2])
    file = json.loads(raw)["file"]
    return file["uri"], file["size"]


def _short(fingerprint: str) -> int:
    """The last 60 bits of a fingerprint. The first ones are shared: a replay's fingerprint begins as its origin's
    does."""
    return int(fingerprint[-15:], 16)


def open_view(folder: Path, pipeline: str, topic_id: str, partitions: int) -> SnapshotView | None:
    """A view of the local copy; None where none can be had (a read-only or full disk): then the topic is read from its
    beginning."""
    try:
        return SnapshotView(Snapshot.open(folder, pipeline, topic_id, partitions), pipeline, partitions, topic_id)
    except (sqlite3.Error, OSError):
        return None
