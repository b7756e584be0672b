"""What was read of a ledger: the questions that are asked of it, whether it is held in memory (memory.py) or in the
local cache (cache.py)."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from forebay.errors import LedgerError
from forebay.kafka.ledger.entries import VERSION, ChunkEntry, FileEntry, Owner, Record
from forebay.kafka.ledger.guard import Tail
from forebay.model import JsonDict, Receipt, replay_uri
from forebay.support.words import counted

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Content:
    """The records of one content, by generation."""

    chunks: dict[int, dict[int, ChunkEntry]] = field(default_factory=dict)
    files: dict[int, FileEntry] = field(default_factory=dict)

    def begun(self, entry: ChunkEntry) -> None:
        """Take up a chunk's record."""
        self.chunks.setdefault(entry.receipt.generation, {})[entry.receipt.chunk] = entry

    def completed(self, entry: FileEntry) -> None:
        """Take up a completion record."""
        self.files[entry.generation] = entry

    def unfinished(self) -> Iterator[dict[int, ChunkEntry]]:
        """The chunks of each generation that was begun and not completed."""
        return (chunks for generation, chunks in self.chunks.items() if generation not in self.files)


class LedgerView(ABC):
    """What a ledger holds, read up to some watermark, in the order it was committed."""

    def __init__(self, pipeline: str, partitions: int, topic_id: str = "") -> None:
        self.pipeline, self.partitions, self.topic_id = pipeline, partitions, topic_id
        self.moves: dict[int, tuple[int, bool]] = {}
        """By lane: how many of its records were added, and whether the last one completes a file."""

    # taking up

    @abstractmethod
    def add(self, records: list[Record]) -> None:
        """Take up some records of the topic. Raises `LedgerError` for one that was deleted, or that this version cannot
        read."""

    @abstractmethod
    def reached(self, offsets: Mapping[int, int], force: bool = True) -> None:
        """Everything below these offsets was added. What is kept outside memory is written down, when it is much or
        when asked to (`force`)."""

    @abstractmethod
    def positions(self) -> dict[int, int]:
        """By partition, the offset up to which records were held before reading began."""

    @abstractmethod
    def tail(self, partition: int) -> Tail | None:
        """The last record of a partition that was held before reading began; None: there was none."""

    @abstractmethod
    def discard(self) -> None:
        """Throw away what is kept outside memory, and close."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is kept outside memory."""

    # questions about one content

    @abstractmethod
    def content(self, fingerprint: str) -> Content:
        """All records of one content."""

    def of_file(self, fingerprint: str, generation: int = 1) -> dict[int, ChunkEntry]:
        """The committed chunks of one generation of one content, by chunk number."""
        return self.content(fingerprint).chunks.get(generation, {})

    def file(self, fingerprint: str, generation: int | None = None) -> FileEntry | None:
        """The completion record of that generation, or of the latest complete one."""
        files = self.content(fingerprint).files
        return files.get(generation or max(files, default=0))

    def generations(self, fingerprint: str) -> tuple[int, ...]:
        """The complete generations of a content, ascending."""
        return tuple(sorted(self.content(fingerprint).files))

    def started(self, fingerprint: str) -> tuple[int, ...]:
        """The generations of which at least one chunk is committed, complete or not."""
        return tuple(sorted(self.content(fingerprint).chunks))

    def receipts(self, fingerprint: str, generation: int = 1) -> tuple[Receipt, ...]:
        """What the chunks of one generation became, in chunk order."""
        return tuple(entry.receipt for _, entry in sorted(self.of_file(fingerprint, generation).items()))

    def by_fingerprint(self, fingerprint: str) -> tuple[FileEntry, ...]:
        """Complete generations of a content, the latest last."""
        return tuple(self.content(fingerprint).files.values())

    # questions about all of them

    @abstractmethod
    def by_uri(self, uri: str) -> tuple[FileEntry, ...]:
        """Complete files published from `uri`, the latest last."""

    def replays(self, uri: str) -> tuple[FileEntry, ...]:
        """The replays of rows that the file `uri` had, the latest last."""
        return self.by_uri(replay_uri(uri))

    @abstractmethod
    def has_size(self, size: int) -> bool:
        """Whether a complete file has that many bytes: only then can another one be a duplicate."""

    @abstractmethod
    def uris(self) -> Iterator[str]:
        """The uris of all complete files, each once or more."""

    @abstractmethod
    def entries(self) -> Iterator[FileEntry]:
        """All complete files, of each partition the latest last."""

    @abstractmethod
    def columns(self) -> dict[str, str]:
        """Name to type (or `OPEN`) of the file that was completed last, replays aside; none if no record tells."""

    @abstractmethod
    def unfinished(self) -> Iterator[dict[int, ChunkEntry]]:
        """The chunks of each content that was begun and not completed."""

    @abstractmethod
    def tails(self) -> Iterator[ChunkEntry | FileEntry]:
        """The last record of each partition."""

    def owner(self) -> Owner | None:
        """Whose the latest record is; None where nothing tells."""
        last = max(self.tails(), key=_attempted, default=None)
        return _owner_of(last, self.receipts) if last else None

    def latest(self) -> datetime:
        """When the latest record's commit was attempted."""
        return max(map(_attempted, self.tails()), default=_NEVER)

    # what records say

    def _refuse_deleted(self, records: list[Record]) -> None:
        """Forebay never deletes a ledger record, so a tombstone (a record without value) is somebody else's. Raises
        `LedgerError`."""
        for raw_key, value, partition, offset in records:
            if value is None:
                raise LedgerError(
                    f"reading ledger of `{self.pipeline}`: the record `{raw_key.decode(errors='replace')}` was deleted "
                    "by another writer, at partition "
                    f"{partition} offset {offset} (what it recorded would be published again: "
                    f"take what is left with `forebay ledger export {self.pipeline} --to FILE`, delete the topic, "
                    f"and bring back a backup that has it with `forebay ledger restore {self.pipeline} --from FILE`)"
                )

    def _take_up(self, content: Content, completes: bool, data: JsonDict) -> None:
        """A record of that content: the completion of a file, or a chunk."""
        if data["v"] > VERSION:
            raise LedgerError(
                f"reading ledger of `{self.pipeline}`: record of version {data['v']} (update forebay: "
                f"this one knows {VERSION})"
            )
        if completes:
            content.completed(FileEntry.from_json(data))
        else:
            content.begun(self._checked(ChunkEntry.from_json(data)))

    def _checked(self, entry: ChunkEntry) -> ChunkEntry:
        """Rule F13: another partition count would look for a file's records where they are not."""
        if entry.origin.ledger_partitions != self.partitions:
            raise LedgerError(
                f"reading ledger of `{self.pipeline}`: it was written with "
                f"{counted(entry.origin.ledger_partitions, 'partition')} and has {self.partitions} "
                f"(set `publish.ledger_partitions: {entry.origin.ledger_partitions}`, then: "
                f"`forebay ledger export {self.pipeline} --to FILE`, delete the topic, "
                f"`forebay ledger restore {self.pipeline} --from FILE`)"
            )
        return entry


def record_of(value: bytes) -> ChunkEntry | FileEntry:
    """What a record's value says."""
    data = json.loads(value)
    return FileEntry.from_json(data) if "completion" in data else ChunkEntry.from_json(data)


def _attempted(entry: ChunkEntry | FileEntry) -> datetime:
    return entry.attempted


def _owner_of(entry: ChunkEntry | FileEntry, receipts: Callable[[str, int], tuple[Receipt, ...]]) -> Owner | None:
    """Whose a record is. One of an earlier version does not say; its topic is the one that the rows went to (`receipts`
    tells a whole file's)."""
    if entry.origin.owner:
        return entry.origin.owner
    own = (entry.receipt,) if isinstance(entry, ChunkEntry) else receipts(entry.fingerprint, entry.generation)
    return next((Owner(place.topic) for receipt in own for place in receipt.outputs), None)
