"""What became of files in a run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from forebay.model.files import Replay, SourceFile, Window, replayed_uri
from forebay.model.json import Json, JsonDict
from forebay.model.publishing import OffsetRange
from forebay.model.quality import Decision

GATE = "gate"
"""Who decided, when no person did."""
COMMAND_LINE = "the command line"
"""Where it was said, when not in Airflow."""


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
        """What an index of earlier versions may hold."""
        return cls.WAITING if value in WAITING_WORDS else None


WAITING_WORDS = (Status.WAITING.value, "waiting for a person")
"""What an index may call a file that waits: the present word, and that of earlier versions."""


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
    """What was decided of a file: by whom (`GATE`, or a person), why, when, and where it was said.

    A replay is a person's decision to publish. `place` is `COMMAND_LINE`, `Airflow`, or empty where nobody was asked.
    `at` is None of the gate. `person` False: nobody said anything in time.
    """

    decision: Decision
    by: str
    reason: str
    at: datetime | None = None
    place: str = ""
    person: bool = True

    @property
    def of_the_gate(self) -> bool:
        return self.by == GATE


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
class Counts(Json):
    """A file's rows: *quarantined* are those kept apart on their own account (unreadable, mistyped, failing a critical
    row rule, not encodable); *rejected* are all rows of a file that was refused as a whole."""

    rows_in: int = 0
    published: int = 0
    quarantined: int = 0
    rejected: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.rows_in + other.rows_in,
            self.published + other.published,
            self.quarantined + other.quarantined,
            self.rejected + other.rejected,
        )

    @property
    def balanced(self) -> bool:
        """Whether every row is accounted for, once."""
        return self.rows_in == self.published + self.quarantined + self.rejected


@dataclass(frozen=True, slots=True)
class Earlier(Json):
    """What was known of a file's name and of its bytes before its run."""

    supersedes: str | None = None  # fingerprint of the content this file had before
    duplicate_of: str | None = None  # uri under which the same bytes were published
    had: str | None = None  # what the name had complete when its fate was told (`content_name`); None: not asked
    left: tuple[Begun, ...] = ()  # contents of this name that stay half published, because this one came instead


@dataclass(frozen=True, slots=True)
class FileRun(Json):
    """What became of one file in one run: the value that the verbs pass on, Airflow carries in XCom and the index
    keeps.

    As JSON it is flat: `counts`, `earlier` and `answer` (as `decision`, `decided_by`, `decision_reason` …) lie in it
    field by field; of a replay, `decision` is null there.
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
    earlier: Earlier = Earlier()
    answer: Answer | None = None
    question: Question | None = None  # what a person was asked
    follows: str | None = None  # the run in which the file waited for this decision
    replay: Replay | None = None  # set: these are repaired rows of a content that was published before
    origin: str | None = None  # and the uri of the file that had them
    work: Path | None = None  # folder with snapshot, stage.json, verdict.json, quarantine.parquet
    counts: Counts = Counts()
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

    @property
    def decision(self) -> Decision | None:
        return self.answer.decision if self.answer else None

    def to_json(self) -> JsonDict:
        data = super(FileRun, self).to_json()  # slots make another class, which a bare `super` misses
        for group in _GROUPS:
            data |= data.pop(group)
        flat = data | _flat(data.pop("answer"))
        return flat | {"decision": None} if self.replay else flat

    @classmethod
    def from_json(cls, data: JsonDict) -> Self:
        """As `Json.from_json`; an earlier version wrote no `origin`."""
        flat = dict(data)
        if flat.get("replay") and "origin" not in flat:
            flat["origin"] = replayed_uri(flat["file"]["uri"])
        grouped = {group: _taken(flat, names) for group, names in _GROUPS.items()}
        if flat.get("replay") and flat.get("decided_by"):
            flat["decision"] = Decision.PUBLISH.value
        answer = _grouped(_taken(flat, tuple(_ANSWER)))
        return super(FileRun, cls).from_json({**flat, **grouped, "answer": answer})

    def but(self, **changes: Any) -> FileRun:
        """This value with some fields changed, those of `counts` and `earlier` by their own names."""
        for group, names in _GROUPS.items():
            if mine := _taken(changes, names):
                changes[group] = dataclasses.replace(changes.get(group, getattr(self, group)), **mine)
        return dataclasses.replace(self, **changes)


_GROUPS = {
    "counts": tuple(field.name for field in dataclasses.fields(Counts)),
    "earlier": tuple(field.name for field in dataclasses.fields(Earlier)),
}
_ANSWER = {
    "decision": "decision",
    "decided_by": "by",
    "decision_reason": "reason",
    "decided_at": "at",
    "decided_in": "place",
    "decided_by_person": "person",
}
"""An answer's fields in the JSON of a file's run, and their own names. Earlier versions had the first four."""


def _taken(data: JsonDict, names: tuple[str, ...]) -> JsonDict:
    return {name: data.pop(name) for name in names if name in data}


def _flat(answer: JsonDict | None) -> JsonDict:
    return {name: answer[own] if answer and answer[own] != "" else None for name, own in _ANSWER.items()}


def _grouped(flat: JsonDict) -> JsonDict | None:
    """The answer; None where nothing was decided."""
    if not flat.get("decision"):
        return None
    answer = {own: flat[name] for name, own in _ANSWER.items() if flat.get(name) is not None}
    return {"by": "", "reason": "", **answer}


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
    started: datetime = dataclasses.field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    trigger: str = "cli"
    files: tuple[FileRun, ...] = ()
    note: str | None = None
