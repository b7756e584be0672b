"""Files: where they lie, which version of them, and the rows that were replayed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from forebay.model.json import Json


@dataclass(frozen=True, slots=True)
class Window(Json):
    """The data interval of one run: `[start, end)`, both with a zone. `day` names it in paths (`{{ ds }}`)."""

    start: datetime
    end: datetime

    @classmethod
    def of_day(cls, day: date, zone: str = "UTC") -> Window:
        start = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
        next_day = day + timedelta(days=1)
        return cls(start, datetime(next_day.year, next_day.month, next_day.day, tzinfo=ZoneInfo(zone)))

    @property
    def day(self) -> date:
        return self.start.date()


@dataclass(frozen=True, slots=True)
class SourceFile(Json):
    """One *version* of a file where it lies.

    `uri` is canonical and holds no secret (`file:///abs/path`, `s3://bucket/key`); `size` in bytes; `mtime` in seconds
    since the epoch (UTC); `etag` and `version` as the store gives them, else None.
    """

    uri: str
    size: int
    mtime: float
    etag: str | None = None
    version: str | None = None

    @property
    def name(self) -> str:
        return self.uri.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Snapshot(Json):
    """Our own immutable copy of a file's bytes. `fingerprint` is the sha256 of those bytes, in hex."""

    file: SourceFile
    path: Path
    fingerprint: str
    size: int

    @property
    def fp16(self) -> str:
        return self.fingerprint[:16]


_REPLAY = "replay+"


def replay_uri(origin: str) -> str:
    """The name under which repaired rows of the file `origin` lie in ledger and index: part of their records, so it
    stays."""
    return _REPLAY + origin


def replayed_uri(uri: str) -> str | None:
    """What `replay_uri` was made of; None for the uri of a file. For the edges of ledger and index: everybody else has
    it as a field."""
    return uri.removeprefix(_REPLAY) if uri.startswith(_REPLAY) else None


@dataclass(frozen=True, slots=True)
class Replay(Json):
    """Which quarantined rows of which content were published once they had been repaired: part of the ledger's record
    of a replay.

    `rows` are row numbers of the origin, as text like `3,7-9`. `source` is the edited file's name, `source_fingerprint`
    the sha256 of its bytes.
    """

    fingerprint: str  # of the origin
    generation: int
    rows: str
    source: str
    source_fingerprint: str


def content_name(fingerprint: str, generation: int) -> str:
    """One publication of one content, as a text."""
    return f"{fingerprint}/{generation}"
