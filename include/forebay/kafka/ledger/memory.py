"""A ledger held in memory: one that is short, or of which no local cache can be had."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from forebay.kafka.ledger.entries import FILE, TAKEN, ChunkEntry, FileEntry, Record, lane_of
from forebay.kafka.ledger.view import Content, LedgerView, record_of


class MemoryView(LedgerView):
    """All records, or those of one content (`only`, a fingerprint)."""

    def __init__(self, pipeline: str, partitions: int, topic_id: str = "", only: str | None = None) -> None:
        super().__init__(pipeline, partitions, topic_id)
        self._only = only
        self._contents: dict[str, Content] = {}
        self._files: dict[tuple[str, int], FileEntry] = {}  # by content and generation, as they were committed
        self._tails: dict[int, bytes] = {}  # by partition: the last record's value

    def add(self, records: list[Record]) -> None:
        self._refuse_deleted(records)
        for raw_key, value, partition, _ in records:
            self._tails[partition] = value
            where = json.loads(raw_key)
            fingerprint, completes = where["fp"], where["chunk"] == FILE
            lane = lane_of(fingerprint)
            self.moves[lane] = (self.moves.get(lane, (0, False))[0] + 1, completes)
            if self._only in {None, fingerprint}:
                content = self._contents.setdefault(fingerprint, Content())
                self._take_up(content, completes, json.loads(value))
                self._files |= {(fingerprint, generation): entry for generation, entry in content.files.items()}

    def reached(self, offsets: Mapping[int, int], force: bool = True) -> None:
        """Nothing is written down here."""

    def positions(self) -> dict[int, int]:
        return {}

    def tail(self, partition: int) -> None:
        return None

    def discard(self) -> None:
        """There is nothing to throw away."""

    def close(self) -> None:
        """There is nothing to let go of."""

    def content(self, fingerprint: str) -> Content:
        return self._contents.get(fingerprint) or Content()

    def by_uri(self, uri: str) -> tuple[FileEntry, ...]:
        return tuple(entry for entry in self._files.values() if entry.file.uri == uri)

    def has_size(self, size: int) -> bool:
        return any(entry.file.size == size for entry in self._files.values())

    def uris(self) -> Iterator[str]:
        return (entry.file.uri for entry in self._files.values())

    def entries(self) -> Iterator[FileEntry]:
        return (entry for entry in self._files.values() if entry.file.uri != TAKEN)

    def columns(self) -> dict[str, str]:
        telling = [entry for entry in self._files.values() if entry.completion.columns and not entry.completion.replay]
        return max(telling, key=lambda entry: entry.attempted).completion.pins if telling else {}

    def unfinished(self) -> Iterator[dict[int, ChunkEntry]]:
        return (chunks for content in self._contents.values() for chunks in content.unfinished())

    def tails(self) -> Iterator[ChunkEntry | FileEntry]:
        return map(record_of, self._tails.values())
