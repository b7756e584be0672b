"""What became of files in a run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from forebay.model.files import Replay, SourceFile, Window, replayed_uri
from forebay.model.json import Json, JsonDict
from forebay.model.publishing import OffsetRange
from forebay.model.quality import Decision


class Fate(StrEnum):
    """What discovery (or the look at the bytes) made of a file; every file seen has one, with a reason."""

    NEW = "new"
    PUBLISHED = "already published"
    CHANGED = "changed content"
    DUPLICATE = "duplicate"
    INCOMPLETE = "incomplete"
    IGNORED = "ignored"


class Status(StrEnum):
    """How far a file has come in a run. `DONE`, `REJECTED`, `SKIPPED` and `FAILED` are its ends."""

    DISCOVERED = "discovered"
    INSPECTED = "inspected"
    WAITING = "held back"
    PUBLISHED = "published"
    RECONCILED = "reconciled"
    DONE = "done"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    FAILED = "failed"

    @classmethod
    def _missing_(cls, value: object) -> Status | None:
        """What an index of the first drafts may hold."""
        return cls.WAITING if value == "held back" else None


@dataclass(frozen=True, slots=True)
class Question(Json):
    """What a person is asked about a file that is held back.

    `number` counts the questions about a content and its generation: all that are open at once have the same, so one
    answer is the answer to all.
    """

    number: int
    asked: datetime
    link: str | None = None  # Airflow's page, where the answer is expected; None: the command line
    deadline: datetime | None = None  # when `default` holds; None: the question stands
    default: Decision | None = None


@dataclass(frozen=True, slots=True)
class Answer(Json):
    """What was decided of a file that was held back: who, why, when, and where it was said. `person` False: nobody said
    anything in time."""

    decision: Decision
    who: str
    reason: str
    at: datetime
    place: str = "the command line"
    person: bool = True


@dataclass(frozen=True, slots=True)
class Begun(Json):
    """A content that was begun under a name and is not finished: its committed rows (`first_row` to `last_row`, as far
    as they go) are visible."""

    fingerprint: str
    generation: int
    run_id: str  # that committed the last chunk of it
    first_row: int
    last_row: int
    published: int
    quarantined: int
    outputs: tuple[OffsetRange, ...]
    attempted: datetime  # when the last chunk was committed


@dataclass(frozen=True, slots=True)
class FileRun(Json):
    """What became of one file in one run: the value that the verbs pass on, Airflow carries in XCom and the index
    keeps.

    `rows_in == published + quarantined + rejected`. *quarantined* are rows kept apart on their own account (unreadable,
    mistyped, failing a critical row rule, not encodable); *rejected* are all rows of a file that was refused as a
    whole.
    """

    run_id: str
    pipeline: str
    window: Window
    file: SourceFile
    fate: Fate
    reason: str
    status: Status = Status.DISCOVERED
    fingerprint: str | None = None
    generation: int = 1
    supersedes: str | None = None  # fingerprint of the content this file had before
    duplicate_of: str | None = None  # uri under which the same bytes were published
    had: str | None = None  # what the name had complete when its fate was told (`content_name`); None: not asked
    left: tuple[Begun, ...] = ()  # contents of this name that stay half published, because this one came instead
    decision: Decision | None = None
    decided_by: str | None = None
    decision_reason: str | None = None
    decided_at: datetime | None = None  # when a person decided
    question: Question | None = None  # what a person was asked
    follows: str | None = None  # the run in which the file waited for this decision
    replay: Replay | None = None  # set: these are repaired rows of a content that was published before
    origin: str | None = None  # and the uri of the file that had them
    work: Path | None = None  # folder with snapshot, stage.json, verdict.json, quarantine.parquet
    rows_in: int = 0
    published: int = 0
    quarantined: int = 0
    rejected: int = 0
    outputs: tuple[OffsetRange, ...] = ()
    quarantine: tuple[OffsetRange, ...] = ()
    docs: Path | None = None
    error: str | None = None
    again: bool = False  # FAILED, but the same run may succeed later
    settled: str | None = None
    headers: str = ""  # the profile that the published records carry, as the ledger says
    notes: tuple[str, ...] = ()  # what reading it had to say, drift included
    warnings: int = 0  # in how many ways a file that is published exceeds `quality.warn_when`
    pins: str = ""  # digest of the pinned columns that it was read with

    @classmethod
    def from_json(cls, data: JsonDict) -> Self:
        """As `Json.from_json`; an earlier version wrote no `origin`."""
        if data.get("replay") and "origin" not in data:
            data = {**data, "origin": replayed_uri(data["file"]["uri"])}
        return super(FileRun, cls).from_json(data)  # slots make another class, which a bare `super` misses

    def but(self, **changes: Any) -> FileRun:
        """This value with some fields changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, slots=True)
class WaitsFor(Json):
    """What a window lacks before it may be read: its marker, files that were expected, or any file at all; or that
    some of its files are whole and left alone."""

    marker: str | None = None  # the uri (or pattern) of a marker that is not there
    pattern: str | None = None  # nothing matches it
    there: int = 0  # files that are there
    expected: int | None = None  # of so many
    files: tuple[str, ...] = ()  # uris of files that are not to be read yet; each says why

    @property
    def whole_window(self) -> bool:
        """Whether no file of the window is to be read, whatever it looks like itself."""
        return not self.files


@dataclass(frozen=True, slots=True)
class Plan(Json):
    """Discovery's answer: every file seen, each with its fate, in the order they are to be published."""

    run_id: str
    pipeline: str
    window: Window
    files: tuple[FileRun, ...] = ()
    note: str | None = None  # what else there is to say of the window
    waits_for: WaitsFor | None = None  # while the completeness contract is not met

    @property
    def ready(self) -> bool:
        return self.waits_for is None


@dataclass(frozen=True, slots=True)
class RunReport(Json):
    """A run as the index keeps it and `forebay run --json` prints it. `status` is running, or how it ended: the worst
    of its files' ends (failed|held back|rejected|done), `not ready` where its window was not complete, `interrupted`
    where its process was ended."""

    run_id: str
    pipeline: str
    window: Window
    status: str
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    trigger: str = "cli"
    files: tuple[FileRun, ...] = ()
    note: str | None = None
