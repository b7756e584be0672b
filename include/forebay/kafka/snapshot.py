"""A local copy of a ledger, so that a long one need not be read again from its beginning: a cache, never the truth.

One SQLite file of one topic (by its id), holding every committed record up to an offset of each partition. A reader loads only what is asked and
follows the topic from that offset; before it believes the copy, it sees the last record of each partition again in the topic. A copy that is
damaged, or of another topic, is thrown away and read anew. File names are never used twice: SQLite's log of an old file must not be taken for a
new one's. They name the machine, because SQLite's log cannot be shared by several.
"""

from __future__ import annotations

import contextlib
import json
import platform
import re
import secrets
import sqlite3
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from forebay.errors import BrokerUnavailableError
from forebay.kafka.guard import Tail
from forebay.kafka.ledger import FILE, ChunkEntry, FileEntry, LedgerView, key, lane_of
from forebay.model import Receipt

LAYOUT = 1
BATCH = 5_000  # records a SQLite transaction, while many are read
_KEPT = 7 * 86_400  # seconds that an unused copy stays
_PARTITION = 1 << 48  # `place`: partition * 2^48 + offset
_WINDOW, _MEMORY = 12, 4  # zlib: a small state is made faster than a large one, and the values are small
_TABLES = """
CREATE TABLE dictionary (value BLOB NOT NULL);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE position (partition INTEGER PRIMARY KEY, upto INTEGER NOT NULL, records INTEGER NOT NULL);
CREATE TABLE record (
  place INTEGER PRIMARY KEY, fp INTEGER NOT NULL, generation INTEGER NOT NULL, chunk INTEGER, uri TEXT, size INTEGER, value BLOB NOT NULL
);
CREATE INDEX record_fp ON record (fp);
CREATE INDEX record_uri ON record (uri) WHERE uri IS NOT NULL;
CREATE INDEX record_size ON record (size) WHERE size IS NOT NULL;
"""


class SnapshotLostError(BrokerUnavailableError):
    """The local copy failed while it was used; the same question, asked again, is answered from the topic."""


class Snapshot:
    """The SQLite file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")

    @classmethod
    def open(cls, folder: Path, pipeline: str, topic_id: str, partitions: int) -> Self:
        """The copy of that topic, or a new one. Raises `sqlite3.Error` or `OSError` when neither can be had."""
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{pipeline}.{re.sub(r'[^A-Za-z0-9_-]', '_', topic_id)}.{re.sub(r'[^A-Za-z0-9_-]', '_', platform.node())}"
        _clear(folder, pipeline)
        for path in sorted(folder.glob(f"{stem}.*.sqlite")):
            if found := cls._usable(path, topic_id, partitions):
                return found
        return cls._create(folder / f"{stem}.{secrets.token_hex(6)}.sqlite", topic_id, partitions)

    @classmethod
    def _usable(cls, path: Path, topic_id: str, partitions: int) -> Self | None:
        """The file if it is what it should be; one that is damaged is deleted."""
        try:
            found = cls(path)
            if found._is_whole(topic_id, partitions):
                path.touch()
                return found
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                return None
        except sqlite3.DatabaseError:
            pass
        delete(path)
        return None

    @classmethod
    def _create(cls, path: Path, topic_id: str, partitions: int) -> Self:
        """Made under another name first, so that nobody finds it half made."""
        new = path.with_suffix(".new")
        made = cls(new)
        meta = [("layout", str(LAYOUT)), ("topic_id", topic_id), ("partitions", str(partitions))]
        made._db.executescript(_TABLES)
        made._db.executemany("INSERT INTO meta VALUES (?, ?)", meta)
        made._db.executemany("INSERT INTO position VALUES (?, 0, 0)", [(p,) for p in range(partitions)])
        made.close()
        new.rename(path)
        return cls(path)

    def _is_whole(self, topic_id: str, partitions: int) -> bool:
        meta = dict(self._db.execute("SELECT name, value FROM meta"))
        if meta != {"layout": str(LAYOUT), "topic_id": topic_id, "partitions": str(partitions)}:
            return False
        (records,) = self._db.execute("SELECT count(*) FROM record").fetchone()
        (said,) = self._db.execute("SELECT sum(records) FROM position").fetchone()
        return bool(records == said)

    def positions(self) -> dict[int, int]:
        """The offset up to which each partition is held."""
        return dict(self._db.execute("SELECT partition, upto FROM position"))

    def tail(self, pipeline: str, partition: int) -> Tail | None:
        """The last record held of a partition."""
        between = (partition * _PARTITION, (partition + 1) * _PARTITION)
        row = self._db.execute(
            "SELECT place, generation, chunk, value FROM record WHERE place >= ? AND place < ? ORDER BY place DESC LIMIT 1", between
        ).fetchone()
        if row is None:
            return None
        data = json.loads(self.unpack(row[3]))
        fingerprint = data["fingerprint"] if row[2] is None else data["file"]["fp"]
        return Tail.of(row[0] % _PARTITION, key(pipeline, fingerprint, row[1], FILE if row[2] is None else row[2]))

    def write(self, rows: list[tuple[Any, ...]], base: Mapping[int, int], upto: Mapping[int, int]) -> None:
        """Take up the records between `base` and `upto`, in one transaction. Other processes may have taken up the same ones already.

        Raises `SnapshotLostError` when the copy ends before `base`: it is not the one that was opened.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            held = self.positions()
            if any(held.get(p, -1) < offset for p, offset in base.items()):
                raise SnapshotLostError(f"reading `{self.path}`: it was replaced meanwhile (try again)")
            new = [row for row in rows if row[0] % _PARTITION >= held[row[0] // _PARTITION]]
            packer = self._packer([row[-1] for row in new[:2]])
            packed = ((*row[:-1], _packed(packer, row[-1])) for row in new)
            self._db.executemany("INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", packed)
            for p, offset in upto.items():
                count = sum(row[0] // _PARTITION == p for row in new)
                self._db.execute("UPDATE position SET upto = max(upto, ?), records = records + ? WHERE partition = ?", (offset, count, p))
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def _words(self) -> bytes:
        """What values are compressed against: the first ones that this copy took up. They are much alike."""
        row = self._db.execute("SELECT value FROM dictionary").fetchone()
        return bytes(row[0]) if row else b""

    def _packer(self, examples: list[bytes]) -> Any:
        if examples and not self._words():
            self._db.execute("INSERT INTO dictionary VALUES (?)", (b"".join(examples)[-4000:],))
        return zlib.compressobj(1, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, self._words())

    def unpack(self, value: bytes) -> bytes:
        """A record's value. Raises `zlib.error`."""
        return zlib.decompressobj(_WINDOW, self._words()).decompress(value)

    def select(self, words: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._db.execute(words, values).fetchall()

    def each(self, words: str) -> Iterator[tuple[Any, ...]]:
        yield from self._db.execute(words)

    def close(self) -> None:
        self._db.close()


def _packed(packer: Any, value: bytes) -> bytes:
    this = packer.copy()
    return bytes(this.compress(value) + this.flush())


def delete(path: Path) -> None:
    """Remove a copy and SQLite's own files beside it; whoever still reads it keeps what is open."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with contextlib.suppress(OSError):
            path.with_name(name).unlink(missing_ok=True)


def drop(folder: Path, pipeline: str) -> None:
    """Throw away all copies of a pipeline's ledger: the next reader begins anew."""
    for path in folder.glob(f"{pipeline}.*.sqlite"):
        delete(path)


def _clear(folder: Path, pipeline: str) -> None:
    for path in [*folder.glob(f"{pipeline}.*.sqlite"), *folder.glob(f"{pipeline}.*.new")]:
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _KEPT:
                delete(path)


class SnapshotView:
    """The same questions as `LedgerView` answers, from a snapshot; loads only what is asked."""

    def __init__(self, snapshot: Snapshot, pipeline: str, partitions: int, topic_id: str, lanes: int) -> None:
        self.pipeline, self.partitions, self.topic_id, self.lanes = pipeline, partitions, topic_id, lanes
        self.moves: dict[int, tuple[int, bool]] = {}
        self._snapshot = snapshot
        self._upto = snapshot.positions()
        self._base: dict[int, int] = dict(self._upto)
        self._rows: list[tuple[Any, ...]] = []
        self._loaded: dict[str, LedgerView] = {}

    # taking up

    def add(self, raw_key: bytes, raw_value: bytes, partition: int = 0, offset: int = 0) -> None:
        """Take up one record of the topic."""
        where = json.loads(raw_key)
        fingerprint, chunk = where["fp"], where["chunk"]
        uri = size = None
        if chunk == FILE:
            file = json.loads(raw_value)["file"]
            uri, size, chunk = file["uri"], file["size"], None
        place = partition * _PARTITION + offset
        self._rows.append((place, _short(fingerprint), where["generation"], chunk, uri, size, raw_value))
        lane = lane_of(fingerprint, self.lanes)
        self.moves[lane] = (self.moves.get(lane, (0, False))[0] + 1, chunk is None)
        if fingerprint in self._loaded:
            self._loaded[fingerprint].add(raw_key, raw_value)

    def reached(self, offsets: Mapping[int, int], force: bool = True) -> None:
        """Everything below these offsets was added; write it down, when it is much or when asked to."""
        if len(self._rows) < BATCH and not force:
            return
        upto = {p: max(offset, self._upto[p]) for p, offset in offsets.items()}
        if not self._rows and upto.items() <= self._upto.items():
            return
        with self._lost():
            self._snapshot.write(self._rows, self._base, upto)
        self._rows = []
        self._upto.update(upto)
        self._base.update(upto)

    @contextlib.contextmanager
    def _lost(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, zlib.error, KeyError) as error:
            raise SnapshotLostError(f"reading `{self._snapshot.path}`: {error} (try again: it is only a cache)") from None

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
            for generation, chunk, value in self._select("generation, chunk, value", "fp = ?", _short(fingerprint)):
                data = json.loads(value)
                if fingerprint == (data["fingerprint"] if chunk is None else data["file"]["fp"]):
                    view.add(key(self.pipeline, fingerprint, generation, FILE if chunk is None else chunk), value)
            self._loaded[fingerprint] = view
        return self._loaded[fingerprint]

    def _select(self, columns: str, where: str, *values: Any, limit: int = -1) -> Iterator[tuple[Any, ...]]:
        """Rows in the order of their commits; a last column `value` unpacked."""
        with self._lost():
            rows = self._snapshot.select(f"SELECT {columns} FROM record WHERE {where} ORDER BY place LIMIT {limit}", *values)
            if columns.endswith("value"):
                rows = [(*row[:-1], self._snapshot.unpack(row[-1])) for row in rows]
        return iter(rows)

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
        found = (FileEntry.from_json(json.loads(value)) for (value,) in self._select("value", "uri = ?", uri))
        return tuple(sorted(found, key=lambda entry: entry.attempted))

    def has_size(self, size: int) -> bool:
        """Whether a complete file has that many bytes: only then can another one be a duplicate."""
        return next(self._select("1", "size = ?", size, limit=1), None) is not None

    def uris(self) -> Iterator[str]:
        """The uris of all complete files, each once or more."""
        with self._lost():
            yield from (uri for (uri,) in self._snapshot.each("SELECT uri FROM record WHERE uri IS NOT NULL"))


def _short(fingerprint: str) -> int:
    """The first 64 bits of a fingerprint, as SQLite's signed integer."""
    return int.from_bytes(bytes.fromhex(fingerprint[:16]), "big", signed=True)


def open_view(folder: Path, pipeline: str, topic_id: str, partitions: int, lanes: int) -> SnapshotView | None:
    """A view of the local copy; None where none can be had (a read-only or full disk): then the topic is read from its beginning."""
    try:
        return SnapshotView(Snapshot.open(folder, pipeline, topic_id, partitions), pipeline, partitions, topic_id, lanes)
    except (sqlite3.Error, OSError):
        return None
