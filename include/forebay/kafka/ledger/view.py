"""What was read of a ledger, held in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from forebay.errors import LedgerError
from forebay.kafka.ledger.entries import FILE, TAKEN, VERSION, ChunkEntry, FileEntry, Owner, Record, lane_of
from forebay.model import JsonDict, Receipt

NEVER = datetime.min.replace(tzinfo=UTC)


def refuse_deleted(pipeline: str, records: list[Record]) -> None:
    """Forebay never deletes a ledger record, so a tombstone (a record without value) is somebody else's. Raises
    `LedgerError`."""
    for raw_key, value, partition, offset in records:
        if value is None:
            raise LedgerError(
                f"reading ledger of `{pipeline}`: the record `{raw_key.decode(errors='replace')}` was deleted by "
                "another writer, at partition "
                f"{partition} offset {offset} (what it recorded would be published again: "
                f"take what is left with `forebay ledger export {pipeline} --to FILE`, delete the topic, "
                f"and bring back a backup that has it with `forebay ledger restore {pipeline} --from FILE`)"
            )


def record_of(value: bytes) -> ChunkEntry | FileEntry:
    """What a record's value says."""
    data = json.loads(value)
    return FileEntry.from_json(data) if "completion" in data else ChunkEntry.from_json(data)


def attempted(entry: ChunkEntry | FileEntry) -> datetime:
    return entry.attempted


def owner_of(entry: ChunkEntry | FileEntry, receipts: Callable[[str, int], tuple[Receipt, ...]]) -> Owner | None:
    """Whose a record is. One of an earlier version does not say; its topic is the one that the rows went to (`receipts`
    tells a whole file's)."""
    if entry.origin.owner:
        return entry.origin.owner
    own = (entry.receipt,) if isinstance(entry, ChunkEntry) else receipts(entry.fingerprint, entry.generation)
    return next((Owner(place.topic) for receipt in own for place in receipt.outputs), None)


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What a ledger holds, read up to some watermark, in the order it was committed."""

    pipeline: str
    partitions: int
    topic_id: str = ""
    only: str | None = None  # a fingerprint: then other files' records are not kept
    chunks: dict[tuple[str, int], dict[int, ChunkEntry]] = field(default_factory=dict)
    files: dict[tuple[str, int], FileEntry] = field(default_factory=dict)
    moves: dict[int, tuple[int, bool]] = field(
        default_factory=dict
    )  # by lane: records so far, and whether the last one completes a file
    tails: dict[int, bytes] = field(default_factory=dict)  # by partition: the last record's value

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

    def entries(self) -> Iterator[FileEntry]:
        """All complete files, the latest last."""
        return (entry for entry in self.files.values() if entry.file.uri != TAKEN)

    def owner(self) -> Owner | None:
        """Whose the latest record is; None where nothing tells."""
        last = max(map(record_of, self.tails.values()), key=attempted, default=None)
        return owner_of(last, self.receipts) if last else None

    def latest(self) -> datetime:
        """When the latest record's commit was attempted."""
        return max((attempted(record_of(value)) for value in self.tails.values()), default=NEVER)

    def columns(self) -> dict[str, str]:
        """Name to type of the file that was completed last, replays aside; none if no record tells."""
        told = [entry for entry in self.files.values() if entry.completion.columns and not entry.completion.replay]
        return max(told, key=lambda entry: entry.attempted).completion.columns if told else {}

    def unfinished(self) -> Iterator[dict[int, ChunkEntry]]:
        """The chunks of each content that was begun and not completed."""
        return (chunks for which, chunks in self.chunks.items() if which not in self.files)

    def add(self, records: list[Record]) -> None:
        """Take up some records of the topic."""
        refuse_deleted(self.pipeline, records)
        for raw_key, value, partition, _ in records:
            self.tails[partition] = value
            where = json.loads(raw_key)
            fingerprint, chunk = where["fp"], where["chunk"]
            lane = lane_of(fingerprint)
            self.moves[lane] = (self.moves.get(lane, (0, False))[0] + 1, chunk == FILE)
            if self.only in {None, fingerprint}:
                self._keep(fingerprint, where["generation"], chunk, json.loads(value))

    def _keep(self, fingerprint: str, generation: int, chunk: int | str, data: JsonDict) -> None:
        if data["v"] > VERSION:
            raise LedgerError(
                f"reading ledger of `{self.pipeline}`: record of version {data['v']} (update forebay: "
                f"this one knows {VERSION})"
            )
        if isinstance(chunk, str):
            self.files[fingerprint, generation] = FileEntry.from_json(data)
        else:
            self.chunks.setdefault((fingerprint, generation), {})[chunk] = self._checked(ChunkEntry.from_json(data))

    def _checked(self, entry: ChunkEntry) -> ChunkEntry:
        """Rule F13: another partition count would look for a file's records where they are not."""
        if entry.origin.ledger_partitions != self.partitions:
            raise LedgerError(
                f"reading ledger of `{self.pipeline}`: written with {entry.origin.ledger_partitions} partitions, "
                f"the topic has {self.partitions} "
                "(never grow a ledger topic: restore the count by copying its records to a new topic)"
            )
        return entry
