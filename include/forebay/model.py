"""The nouns of forebay: frozen values that every layer shares (standard library only).

A *row* comes from a file and has a 1-based number: the physical record of the file. A *record* goes to Kafka and has a
partition and an offset. Rows themselves never appear here: they travel as Arrow tables and Parquet files, and these
values only say where they lie and what became of them.

Every noun that crosses a process (Airflow's XCom, the index, `--json`) has `to_json` and `from_json`: plain dicts of a
few hundred bytes.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

JsonDict = dict[str, Any]


class Json:
    """`to_json` and `from_json` for the frozen dataclasses below: enums by value, datetimes in ISO 8601, paths as
    text."""

    def to_json(self) -> JsonDict:
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, data: JsonDict) -> Self:
        """The value that `to_json` wrote; keys it does not know are an error (`TypeError`), missing ones take their
        default."""
        hints = _hints(cls)  # type: ignore[arg-type]
        return cls(**{name: _typed(hints[name], value) if name in hints else value for name, value in data.items()})


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Resolving them takes half a millisecond."""
    return typing.get_type_hints(cls)


def _plain(value: Any) -> Any:
    match value:
        case Json():
            return value.to_json()
        case StrEnum():
            return value.value
        case datetime() | date():
            return value.isoformat()
        case Path():
            return str(value)
        case tuple() | list():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
    return value


def _typed(hint: Any, value: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return None if value is None else _typed(next(a for a in args if a is not type(None)), value)
    if origin is tuple:
        return tuple(_typed(args[0], item) for item in value)
    if origin is dict:
        return {key: _typed(args[1], item) for key, item in value.items()}
    if not isinstance(hint, type):
        return value
    if issubclass(hint, Json):
        return hint.from_json(value)
    if issubclass(hint, datetime | date):
        return hint.fromisoformat(value)
    if issubclass(hint, StrEnum | Path):
        return hint(value)
    return value


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
    WAITING = "waiting for a person"
    PUBLISHED = "published"
    RECONCILED = "reconciled"
    DONE = "done"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    FAILED = "failed"


class Severity(StrEnum):
    """Great Expectations' severities, the worst first."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Decision(StrEnum):
    """What the gate, or the steward, says of one file."""

    PUBLISH = "publish"
    PUBLISH_ALL = "publish all"  # quarantine nothing for quality reasons; unreadable rows stay set aside
    ASK = "ask the steward"
    REJECT = "reject"


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


@dataclass(frozen=True, slots=True)
class Column(Json):
    """A column of a stage: `type` is one of the Arrow names of the pipeline reference (`int64`, `decimal(10,2)`,
    `timestamp[tz]` …). Of a pinned column it may be `OPEN`."""

    name: str
    type: str


OPEN = "null"
"""The type of a pinned column that had no value in any file so far: the first file with one gives it its type."""


@dataclass(frozen=True, slots=True)
class Retyped(Json):
    """A column whose values are not of the expected type: `old` was expected, `new` is what the file has."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Drift(Json):
    """How a file's columns differ from the expected (declared or pinned) ones, by name.

    `added` are left out of the stage. `missing` are null in every row. The rows whose values do not fit a `retyped`
    column are rejects.
    """

    added: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    retyped: tuple[Retyped, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause(Json):
    """One reason for which a row is set aside.

    `rule` is a failing rule's title, and `detail` its settings as JSON then; else `rule` is empty, and `detail` says
    what is wrong, without a word of the file. `value` is what stood in the one column of `columns` (its beginning),
    None where there is none or where it may not be shown.
    """

    rule: str = ""
    columns: tuple[str, ...] = ()
    detail: str = ""
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Stage(Json):
    """A file's rows as typed columns.

    `rows` (Parquet): the typed columns in file order, and `__row` (int64), the 1-based physical record number. Only
    rows that could be read are in it. `rejects` (Parquet): `__row` int64, `step` (decode|parse|schema), `columns`
    list<string>, `causes` list<struct> (the fields of `Cause`), `raw` binary: one line for every row that could not be
    read. `rows_in == rows_read + rows_rejected`. `raw_bytes` is the decompressed size. `pins` are the pinned columns
    that it was read with, `open` names those that nobody declared and no row has a value of.
    """

    fingerprint: str
    rows: Path
    rejects: Path
    columns: tuple[Column, ...]
    rows_in: int
    rows_rejected: int
    raw_bytes: int
    inferred: bool = False
    notes: tuple[str, ...] = ()
    drift: Drift = Drift()
    pins: tuple[Column, ...] = ()
    open: tuple[str, ...] = ()

    @property
    def rows_read(self) -> int:
        return self.rows_in - self.rows_rejected


@dataclass(frozen=True, slots=True)
class RuleResult(Json):
    """One expectation's answer. `unexpected` counts failing rows (None for table rules); `kind` is `row` or `table`."""

    rule: str  # the expectation's type, snake case, e.g. expect_column_values_to_not_be_null
    columns: tuple[str, ...]
    severity: Severity
    kind: str
    success: bool
    unexpected: int | None = None
    checked: int | None = None
    observed: str | None = None
    expected: str = ""  # kwargs as JSON text
    sample: tuple[str, ...] = ()  # a few unexpected values as text
    sketch: str = ""  # a column's distribution, for the nights to come (quality/drift.py)

    @property
    def title(self) -> str:
        where = ", ".join(self.columns) or "table"
        return f"{self.rule}({where})"


@dataclass(frozen=True, slots=True)
class Verdict(Json):
    """The suite's answer on a whole stage.

    `failing` (Parquet): `__row` int64 and `rules` list<int32>, positions into `results`: one line per row that fails at
    least one row rule, in row order. None when the pipeline has no suite. `result` is GX's checkpoint result as JSON,
    `docs` the Data Docs page.
    """

    fingerprint: str
    suite: str | None
    suite_hash: str
    results: tuple[RuleResult, ...] = ()
    failing: Path | None = None
    result: Path | None = None
    docs: Path | None = None

    @property
    def success(self) -> bool:
        return all(r.success for r in self.results)

    def failed(self, severity: Severity, kind: str | None = None) -> tuple[RuleResult, ...]:
        """The failed rules of one severity (and kind)."""
        return tuple(r for r in self.results if not r.success and r.severity == severity and kind in {None, r.kind})


@dataclass(frozen=True, slots=True)
class OffsetRange(Json):
    """`count` records of ours between offsets `first` and `last` of a partition; others' records may lie between them.

    `complete` is False when a delivery report came without an offset (rule F16) and the range was repaired or is
    unknown.
    """

    topic: str
    partition: int
    first: int
    last: int
    count: int
    complete: bool = True


@dataclass(frozen=True, slots=True)
class ChunkPlan(Json):
    """Where a file is cut: chunk *i* holds the physical rows `[i * rows_per_chunk + 1, (i + 1) * rows_per_chunk]`.

    A pure function of the file's content and the plan's parameters; `plan_hash` names those parameters (rule C4).
    """

    rows_in: int
    rows_per_chunk: int
    plan_hash: str
    prints: dict[str, str] = field(default_factory=dict)
    """A few digits of each parameter's own hash, by its name: they tell which of them another plan has otherwise."""

    @property
    def chunks(self) -> int:
        return max(1, -(-self.rows_in // self.rows_per_chunk))

    def bounds(self, chunk: int) -> tuple[int, int]:
        """First and last row number of a chunk, both inclusive; an empty file's only chunk is (1, 0)."""
        return chunk * self.rows_per_chunk + 1, min(self.rows_in, (chunk + 1) * self.rows_per_chunk)


@dataclass(frozen=True, slots=True)
class Receipt(Json):
    """What a chunk became, copied from the ledger **after** commit."""

    fingerprint: str
    generation: int
    chunk: int
    of: int
    first_row: int
    last_row: int
    rows_in: int
    published: int
    quarantined: int
    outputs: tuple[OffsetRange, ...]
    quarantine: tuple[OffsetRange, ...]
    content_hash: str
    plan_hash: str
    headers: str = ""  # the profile that its records carry; empty where an earlier version wrote it


@dataclass(frozen=True, slots=True)
class Identity(Json):
    """Who publishes: written into ledger, headers and lineage of every chunk of one attempt. `lineage_run` is an
    OpenLineage run id (UUID)."""

    run_id: str
    lineage_run: str
    dag_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    try_number: int | None = None
    backfill: bool = False


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


def content_name(fingerprint: str, generation: int) -> str:
    """One publication of one content, as a text."""
    return f"{fingerprint}/{generation}"


@dataclass(frozen=True, slots=True)
class FileRun(Json):
    """What became of one file in one run: the value that the verbs pass on, Airflow carries in XCom and the index
    keeps.

    `rows_in == published + quarantined + rejected`. *quarantined* are rows set aside on their own account (unreadable,
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
    of its files' ends (failed|blocked|rejected|done), `not ready` where its window was not complete, `interrupted`
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
