"""The local cache of a ledger, so that a long one need not be read again from its beginning. It is never the truth.

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
from pathlib import Path
from typing import Any

from forebay.kafka.ledger.cache_file import PACKED, PARTITION, CacheFile, CacheLostError, Row, delete, drop
from forebay.kafka.ledger.entries import FILE, TAKEN, ChunkEntry, FileEntry, Record, lane_of
from forebay.kafka.ledger.guard import Tail
from forebay.kafka.ledger.view import Content, LedgerView, record_of

__all__ = ["CacheFile", "CacheLostError", "CacheView", "delete", "drop", "open_view"]

BATCH = 5_000  # records a SQLite transaction, while many are read
CONTENTS = 64  # at hand, parsed
_KEY = re.compile(
    r'^\{"pipeline":"[^"\\\n]*","fp":"([0-9a-f]{64})","generation":(\d+),"chunk":(?:(\d+)|"FILE")\}$', re.MULTILINE
)
_FILE = re.compile(rb'\{"pipeline":"[^"\\]*","file":\{"uri":"([^"\\]*)","size":(\d+),')
"""How forebay writes keys and completion records (entries.py); what is written in another way is parsed as JSON."""


class CacheView(LedgerView):
    """Loads only what is asked."""

    def __init__(self, file: CacheFile, pipeline: str, partitions: int, topic_id: str) -> None:
        super().__init__(pipeline, partitions, topic_id)
        self._file = file
        self._upto = file.positions()
        self._base: dict[int, int] = dict(self._upto)
        self._rows: list[Row] = []
        self._loaded: dict[str, Content] = {}

    # taking up

    def add(self, records: list[Record]) -> None:
        self._refuse_deleted(records)
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
                self._take_up(loaded[fingerprint], not chunk, json.loads(value))

    def reached(self, offsets: Mapping[int, int], force: bool = True) -> None:
        if len(self._rows) < BATCH and not force:
            return
        upto = {p: max(offset, self._upto[p]) for p, offset in offsets.items()}
        with self._lost():
            if self._rows or not upto.items() <= self._upto.items():
                self._file.write(self._rows, self._base, upto)
            if force:
                self._file.index()
        self._rows = []
        self._upto.update(upto)
        self._base.update(upto)

    @contextlib.contextmanager
    def _lost(self) -> Iterator[None]:
        """A copy that fails is thrown away, so that the next reader makes a new one."""
        try:
            yield
        except (sqlite3.Error, ValueError, KeyError) as error:
            delete(self._file.path)
            raise CacheLostError(f"reading `{self._file.path}`: {error} (try again: it is only a cache)") from None

    def positions(self) -> dict[int, int]:
        return dict(self._upto)

    def tail(self, partition: int) -> Tail | None:
        with self._lost():
            return self._file.tail(self.pipeline, partition)

    def discard(self) -> None:
        self.close()
        delete(self._file.path)

    def close(self) -> None:
        self._file.close()

    # questions

    def content(self, fingerprint: str) -> Content:
        if fingerprint not in self._loaded:
            content = Content()
            for chunk, value in self._values("chunk", "fp = ? ORDER BY place", _short(fingerprint)):
                data = json.loads(value)
                if fingerprint == (data["fingerprint"] if chunk is None else data["file"]["fp"]):
                    self._take_up(content, chunk is None, data)
            while len(self._loaded) >= CONTENTS:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[fingerprint] = content
        return self._loaded[fingerprint]

    def _values(self, column: str, where: str, *values: Any) -> Iterator[tuple[Any, bytes]]:
        """A column, and the unpacked value, of some records."""
        with self._lost():
            rows = self._file.select(f"SELECT {column}, {PACKED} FROM record WHERE {where}", *values)
        for cell, *packed in rows:
            with self._lost():
                value = self._file.value(*packed)
            yield cell, value

    def by_uri(self, uri: str) -> tuple[FileEntry, ...]:
        completions = (
            FileEntry.from_json(json.loads(value)) for _, value in self._values("place", "uri = ? ORDER BY place", uri)
        )
        return tuple(sorted(completions, key=lambda entry: entry.attempted))

    def has_size(self, size: int) -> bool:
        with self._lost():
            return bool(self._file.select("SELECT 1 FROM record WHERE size = ? LIMIT 1", size))

    def uris(self) -> Iterator[str]:
        with self._lost():
            yield from (uri for (uri,) in self._file.each("SELECT uri FROM record WHERE uri IS NOT NULL"))

    def entries(self) -> Iterator[FileEntry]:
        place = -1
        while True:  # some hundred in memory at a time
            page = list(
                self._values(
                    "place", "place > ? AND chunk IS NULL AND uri IS NOT ? ORDER BY place LIMIT 500", place, TAKEN
                )
            )
            if not page:
                return
            yield from (FileEntry.from_json(json.loads(value)) for _, value in page)
            place = page[-1][0]

    def columns(self) -> dict[str, str]:
        telling = [entry for p in range(self.partitions) if (entry := self._telling(p))]
        return max(telling, key=lambda entry: entry.attempted).completion.pins if telling else {}

    def _telling(self, partition: int) -> FileEntry | None:
        """The last completion record of a partition that tells its columns."""
        first, place = partition * PARTITION, (partition + 1) * PARTITION
        while True:
            words = "place >= ? AND place < ? AND chunk IS NULL AND uri IS NOT ? ORDER BY place DESC LIMIT 20"
            page = list(self._values("place", words, first, place, TAKEN))
            if not page:
                return None
            entries = (FileEntry.from_json(json.loads(value)) for _, value in page)
            telling = next(
                (entry for entry in entries if entry.completion.columns and not entry.completion.replay), None
            )
            if telling:
                return telling
            place = page[-1][0]

    def tails(self) -> Iterator[ChunkEntry | FileEntry]:
        words = "place >= ? AND place < ? ORDER BY place DESC LIMIT 1"
        for p in range(self.partitions):
            for _, value in self._values("place", words, p * PARTITION, (p + 1) * PARTITION):
                yield record_of(value)

    def unfinished(self) -> Iterator[dict[int, ChunkEntry]]:
        with self._lost():
            begun = self._file.select("SELECT fp FROM record GROUP BY fp, generation HAVING count(chunk) = count(*)")
        for short in sorted({short for (short,) in begun}):
            chunks = [json.loads(value) for _, value in self._values("place", "fp = ? AND chunk IS NOT NULL", short)]
            for fingerprint in sorted({data["file"]["fp"] for data in chunks}):
                yield from self.content(fingerprint).unfinished()


def _keys(records: list[Record]) -> list[tuple[str, str, str]]:
    """Fingerprint, generation and chunk of records' keys; an empty chunk is the completion record. One search for all
    is twice as fast."""
    keys = _KEY.findall("\n".join([record[0].decode() for record in records]))
    return keys if len(keys) == len(records) else [_key(record[0]) for record in records]


def _key(raw: bytes) -> tuple[str, str, str]:
    where = json.loads(raw)
    return where["fp"], str(where["generation"]), "" if where["chunk"] == FILE else str(where["chunk"])


def _file(raw: bytes) -> tuple[str, int]:
    """Uri and size of a completion record's file."""
    if match := _FILE.match(raw):
        return match[1].decode(), int(match[2])
    file = json.loads(raw)["file"]
    return file["uri"], file["size"]


def _short(fingerprint: str) -> int:
    """The last 60 bits of a fingerprint. The first ones are shared: a replay's fingerprint begins as its origin's
    does."""
    return int(fingerprint[-15:], 16)


def open_view(folder: Path, pipeline: str, topic_id: str, partitions: int) -> CacheView | None:
    """A view of the local copy; None where none can be had (a read-only or full disk): then the topic is read from its
    beginning."""
    try:
        return CacheView(CacheFile.open(folder, pipeline, topic_id, partitions), pipeline, partitions, topic_id)
    except (sqlite3.Error, OSError):
        return None
