"""The SQLite file of a ledger's local cache (cache.py).

The values lie packed in blocks of some dozens, which is ten times cheaper than each by itself. The indices are made
once the first reader has come to the end. File names are never used twice: SQLite's log of an old file must not be
taken for a new one's. They name the machine, because SQLite's log cannot be shared by several.
"""

from __future__ import annotations

import contextlib
import functools
import json
import platform
import re
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from forebay.errors import BrokerUnavailableError
from forebay.kafka.ledger.entries import FILE, key
from forebay.kafka.ledger.guard import Tail
from forebay.support.folders import private

LAYOUT = 2
BLOCK = 64  # records packed together
BLOCKS = 16  # unpacked ones at hand: some 80 kB each
_KEPT = 7 * 86_400  # seconds that an unused copy stays
PARTITION = 1 << 48  # `place`: partition * 2^48 + offset
_TABLES = """
CREATE TABLE dictionary (value BLOB NOT NULL);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE position (partition INTEGER PRIMARY KEY, upto INTEGER NOT NULL, records INTEGER NOT NULL);
CREATE TABLE block (place INTEGER PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE record (
  place INTEGER PRIMARY KEY, fp INTEGER NOT NULL, generation INTEGER NOT NULL, chunk INTEGER, uri TEXT, size INTEGER,
  block INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL
);
"""
_INDICES = (
    "CREATE INDEX IF NOT EXISTS record_fp ON record (fp, generation, chunk)",
    "CREATE INDEX IF NOT EXISTS record_uri ON record (uri) WHERE uri IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS record_size ON record (size) WHERE size IS NOT NULL",
)
PACKED = "block, start, stop"
Row = tuple[int, int, int, int | None, str | None, int | None, bytes]
"""Place, short fingerprint, generation, chunk (None: the completion record), its uri and size, value."""


class CacheLostError(BrokerUnavailableError):
    """The local copy failed while it was used; the same question, asked again, is answered from the topic."""


class CacheFile:
    """The SQLite file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._packs: Any = None
        self._block = functools.lru_cache(BLOCKS)(self._unpacked)

    @classmethod
    def open(cls, folder: Path, pipeline: str, topic_id: str, partitions: int) -> Self:
        """The copy of that topic, or a new one. Raises `sqlite3.Error` or `OSError` when neither can be had."""
        private(folder)
        stem = (
            f"{pipeline}.{re.sub(r'[^A-Za-z0-9_-]', '_', topic_id)}.{re.sub(r'[^A-Za-z0-9_-]', '_', platform.node())}"
        )
        _clear(folder, pipeline)
        for path in sorted(folder.glob(f"{stem}.*.sqlite")):
            if cache := cls._usable(path, topic_id, partitions):
                return cache
        return cls._create(folder / f"{stem}.{secrets.token_hex(6)}.sqlite", topic_id, partitions)

    @classmethod
    def _usable(cls, path: Path, topic_id: str, partitions: int) -> Self | None:
        """The file if it is what it should be; one that is damaged is deleted."""
        try:
            cache = cls(path)
            if cache._is_whole(topic_id, partitions):
                path.touch()
                return cache
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
        between = (partition * PARTITION, (partition + 1) * PARTITION)
        row = self._db.execute(
            f"SELECT place, generation, chunk, {PACKED} FROM record WHERE place >= ? AND place < ? ORDER BY place "
            "DESC LIMIT 1",
            between,
        ).fetchone()
        if row is None:
            return None
        data = json.loads(self.value(*row[3:]))
        fingerprint = data["fingerprint"] if row[2] is None else data["file"]["fp"]
        return Tail.of(row[0] % PARTITION, key(pipeline, fingerprint, row[1], FILE if row[2] is None else row[2]))

    def write(self, rows: list[Row], base: Mapping[int, int], upto: Mapping[int, int]) -> None:
        """Take up the records between `base` and `upto`, in one transaction. Other processes may have taken up the same
        ones already.

        Raises `CacheLostError` when the copy ends before `base`: it is not the one that was opened.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            held = self.positions()
            if any(held.get(p, -1) < offset for p, offset in base.items()):
                raise CacheLostError(f"reading `{self.path}`: it was replaced meanwhile (try again)")
            new = (
                rows if held == dict(base) else [row for row in rows if row[0] % PARTITION >= held[row[0] // PARTITION]]
            )
            self._insert(new)
            counts = Counter(row[0] // PARTITION for row in new)
            for p, offset in upto.items():
                self._db.execute(
                    "UPDATE position SET upto = max(upto, ?), records = records + ? WHERE partition = ?",
                    (offset, counts[p], p),
                )
            self._db.execute("COMMIT")
        except BaseException:
            self._packs = None
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def _insert(self, rows: list[Row]) -> None:
        if not rows:
            return
        parts = [rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK)]
        pack = self._packer([row[-1] for row in rows[:2]]).compress
        blocks = [(part[0][0], pack(b"".join([row[-1] for row in part]))) for part in parts]
        self._db.executemany("INSERT INTO block VALUES (?, ?)", blocks)
        self._db.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _places(parts))

    def index(self) -> None:
        """Make what questions are answered by, if nobody has: at once for all that is held, which costs a third of
        doing so row by row."""
        for words in _INDICES:
            self._db.execute(words)

    def _words(self) -> Any:
        """What values are compressed against: the first ones that this copy took up. They are much alike."""
        import zstandard

        row = self._db.execute("SELECT value FROM dictionary").fetchone()
        return zstandard.ZstdCompressionDict(row[0], dict_type=zstandard.DICT_TYPE_RAWCONTENT) if row else None

    def _packer(self, examples: list[bytes]) -> Any:
        import zstandard

        if self._packs is None:
            if self._words() is None:
                self._db.execute("INSERT INTO dictionary VALUES (?)", (b"".join(examples)[-4000:],))
            self._packs = zstandard.ZstdCompressor(level=1, dict_data=self._words(), write_checksum=True)
        return self._packs

    def _unpacked(self, block: int) -> bytes:
        import zstandard

        row = self._db.execute("SELECT value FROM block WHERE place = ?", (block,)).fetchone()
        if row is None:
            raise sqlite3.DatabaseError(f"block {block} is missing")
        try:
            return zstandard.ZstdDecompressor(dict_data=self._words()).decompress(row[0])
        except zstandard.ZstdError as error:
            raise sqlite3.DatabaseError(f"block {block}: {error}") from None

    def value(self, block: int, start: int, stop: int) -> bytes:
        """A record's value. Raises `sqlite3.DatabaseError`."""
        return self._block(block)[start:stop]

    def select(self, words: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._db.execute(words, values).fetchall()

    def each(self, words: str) -> Iterator[tuple[Any, ...]]:
        yield from self._db.execute(words)

    def close(self) -> None:
        self._db.close()


def _places(parts: list[list[Row]]) -> Iterator[tuple[Any, ...]]:
    """Rows of the table `record`: what they hold, and where in which block their value lies."""
    for part in parts:
        block, start = part[0][0], 0
        for place, short, generation, chunk, uri, size, value in part:
            stop = start + len(value)
            yield place, short, generation, chunk, uri, size, block, start, stop
            start = stop


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
