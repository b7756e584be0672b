"""A pipeline file, parsed: one strict, frozen model per section, each setting described where it is defined."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import Field, WithJsonSchema, field_validator

from forebay.config.quality import Quality
from forebay.config.units import Duration, Share, Size
from forebay.contracts import Settings
from forebay.support.words import way_out

_ONE_OR_MORE = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
Name = Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_zone(name: str) -> bool:
    try:
        return ZoneInfo(name).key == name
    except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown, a path, or a folder of zones
        return False


class Schedule(Settings):
    """When a run starts. With one tick a day a run is about a whole day of the zone, that of the tick before it: a
    nightly run reads yesterday's files.

    With several ticks a day each run covers the time between two.
    """

    cron: str = "0 2 * * *"
    """A cron expression of five fields."""
    timezone: str = "UTC"
    """An IANA time zone."""
    start: str = "2013-01-01"
    """The first day (ISO date) that a run or a backfill may cover."""
    end: str | None = None
    """The last day (ISO date) that a run or a backfill may cover; without it the schedule has no end."""

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9A-Za-z*/,#?-]+( +[0-9A-Za-z*/,#?-]+){4}", value.strip()):
            raise ValueError(f"`{value}` is not a cron expression of five fields (like `0 2 * * *`)")
        return value

    @field_validator("start", "end")
    @classmethod
    def _a_day(cls, value: str | None) -> str | None:
        if value is not None and not _is_day(value):
            raise ValueError(f"`{value}` is not a day (write it like `2013-01-01`)")
        return value

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        if not _is_zone(value):
            hint = way_out(value, available_timezones(), "write an IANA name such as `America/New_York`")
            raise ValueError(f"`{value}` is not a time zone ({hint})")
        return value


class Expect(Settings):
    """What must have come for a window to be ready."""

    files: int = Field(ge=0)
    """How many files match `path` when the window is complete; 0 where a window without files is nothing to wait
    for."""


class ReadyWhen(Settings):
    """The completeness contract: until it is met, files of the window are `incomplete` and are not read."""

    marker: str | None = None
    """A file name beside the files (`_SUCCESS`) whose presence says that the folder is complete."""
    quiet_for: Duration | None = None
    """A file is complete when it has not changed for this long."""
    expect: Expect | None = None
    """What must have come; by default any file: a window without one is not ready."""


class SourceSection(Settings):
    """Where the files lie. The source plug-in's own settings stand beside `type`."""

    type: str
    """A plug-in of `sources/`."""
    path: str = Field(min_length=1)
    """Where, with `{{ ds }}` and friends, and `*`, `?`, `**`. Local: relative to the project. S3: `bucket/key…`."""
    connection: str | None = None
    """A connection's name; never a secret."""
    ready_when: ReadyWhen = ReadyWhen()
    """When a window's files are complete; without it every file is, as soon as it is seen."""
    changed_content: Literal["publish_as_correction", "reject", "ignore"] = "publish_as_correction"
    """What to do with a known name that has new bytes."""
    compression: str = "auto"
    """`auto` (by file name), `none`, or a plug-in of `compressions/`."""
    options: dict[str, Any] = {}
    """The source plug-in's own settings."""


class LimitsSection(Settings):
    """What one file may use while it is unpacked and read, in a process of its own. A file that wants more fails alone,
    and says which limit it was."""

    memory: Size = Field(default="8GiB", validate_default=True)
    """Memory; never more than four fifths of the machine's."""
    time: Duration = Field(default="30m", validate_default=True)
    """Processor time, and four times as long on the clock, for a reader that waits without an end; one second more for
    each MiB of the file and of what is made of it (on the clock four)."""
    disk: Size = Field(default="400GiB", validate_default=True)
    """Disk, for its unpacked bytes and what is made of them until it is staged."""
    unpacked: Size = Field(default="100GiB", validate_default=True)
    """Bytes that a packed file may unpack to."""
    ratio: int = Field(default=200, ge=1)
    """How many times its own size a packed file may unpack to, beyond the first 100 MB."""


class FormatSection(Settings):
    """How rows are written. The format plug-in's own settings stand beside `type`."""

    type: str
    """A plug-in of `formats/`."""
    options: dict[str, Any] = {}
    """The format plug-in's own settings."""


class OnDrift(Settings):
    """What to do when a file's columns are not the expected ones. What drifted is said in either case."""

    added: Literal["warn", "block"] = "warn"
    """The file has columns that are not expected; they are not published. `block`: the file is held back."""
    missing: Literal["warn", "block"] = "block"
    """The file lacks expected columns. `warn`: they are null in every row; a file without a key column fails. `block`:
    the file fails."""
    retyped: Literal["warn", "block"] = "block"
    """No value of a column is of its type, or, where types are pinned, more than `schema.misfits` are not. Such rows
    are quarantined. `block`: the file is held back."""


class SchemaSection(Settings):
    """The columns. Those that nobody declares are inferred from the first file and pinned: later files are held against
    them."""

    columns: dict[str, str] | None = Field(default=None, min_length=1)
    """Name to type, in the order of the record's fields: `int8`…`int64`, `uint8`…`uint64`, `float32`, `float64`,
    `decimal(p,s)`, `string`, `bool`, `date`, `time`, `timestamp`, `timestamp[tz]`, `binary`."""
    on_drift: OnDrift = OnDrift()
    """What to do when a file's columns are others than those that are declared, or that the last published file had."""
    misfits: Share = Field(default="0.1%", validate_default=True)
    """Without `columns`: the share of a column's values that may be of another type than the rest. Their rows are
    quarantined . With more, the column gets a wider type in the first file, and is retyped in later ones."""


class Typed(Settings):
    """A plug-in by `type`; its own settings stand beside it."""

    type: str
    """The plug-in's name."""
    options: dict[str, Any] = {}
    """The plug-in's own settings."""


class RecordSection(Settings):
    """How a row becomes a record."""

    key: Annotated[tuple[str, ...], Field(min_length=1), WithJsonSchema(_ONE_OR_MORE)]
    """Columns of the key. One: its text. Several: a JSON object of them, in this order. A row with a null among them is
    quarantined."""
    value: Typed = Typed(type="json")
    """How the row becomes the record's value: a plug-in of `serializers/`."""
    headers: Literal["standard", "minimal", "none"] = "standard"
    """What each record says of its origin; costs throughput (docs/benchmarks.md). The ledger traces records without
    any."""
    timestamp: str | None = None
    """A date or timestamp column for the record's time; default, and for a null, is the time of publishing. A row whose
    time is not after 1970-01-01 00:00:00 UTC, or is further ahead than the topic takes
    (`message.timestamp.after.max.ms`, an hour by default), is quarantined."""
    partitioner: Typed = Typed(type="murmur2")
    """Which partition a key belongs to: a plug-in of `partitioners/`."""

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


class TopicSection(Settings):
    """The topic of the accepted rows."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")
    """The topic's name."""
    partitions: int = Field(default=1, ge=1)
    """How many partitions the topic must have: another count would move keys, so it is refused."""
    replication: int = Field(default=1, ge=1)
    """How many brokers hold each partition; 3 in production."""
    config: dict[str, str | int | float | bool] = {}
    """Topic settings of Kafka (`min.insync.replicas: 2`), used when the topic is made."""
    manage: Literal["check", "create", "off"] = "check"
    """`check`: topics must exist and fit. `create`: missing ones are made. `off`: nobody looks."""
    quarantine_retention: Duration | Literal["forever"] = Field(
        default="90d", validate_default=True, union_mode="left_to_right"
    )
    """How long the quarantine topic keeps quarantined rows (`90d`), or `forever`; it is made so. One that keeps them
    for less time is said, by each run and by `forebay doctor`."""

    @field_validator("quarantine_retention")
    @classmethod
    def _for_a_while(cls, value: timedelta | Literal["forever"]) -> timedelta | Literal["forever"]:
        if value != "forever" and value < timedelta(hours=1):
            raise ValueError("quarantined rows would be gone before anybody sees them (at least `1h`, or `forever`)")
        return value

    @property
    def compacted(self) -> bool:
        """Whether `config` says that the topic forgets older records of a key."""
        return "compact" in str(self.config.get("cleanup.policy", ""))


COMPACTED = (
    "of each key only the last record stays: a consumer who comes late sees the last row of a key, "
    "`forebay ledger verify` can prove only what is left, "
    "and rows of one key in one file are as one"
)
"""What `cleanup.policy: compact` of a data topic means."""


class ChunkSection(Settings):
    """Upper bounds of one transaction."""

    rows: int = Field(default=500_000, ge=1)
    """At most this many rows of the file."""
    bytes: Size = Field(default="128MiB", validate_default=True)
    """At most this much of the file, unpacked."""


class PublishSection(Settings):
    """How records reach the broker."""

    connection: str | None = None
    """A Kafka connection's name; default: `KAFKA_BOOTSTRAP_SERVERS`, else the embedded broker."""
    lanes: int = Field(default=4, ge=1, le=64)
    """How many files are published at once, under Airflow. Not which ids they are published under: two attempts at one
    file meet in the same transactional.id whatever stands here."""
    chunk: ChunkSection = ChunkSection()
    """How much one transaction carries."""
    transaction_timeout: Duration = Field(default="60s", validate_default=True)
    """How long the broker waits for a transaction whose publisher is gone, before it aborts it."""
    ledger_partitions: int = Field(default=1, ge=1)
    """Partitions of the ledger topic; never change it once files were published."""


class Pipeline(Settings):
    """One pipeline: from where, how it is read, what is right, and where it goes."""

    pipeline: str = Name
    """Its name: unique in the project; also the DAG's id."""
    owner: str = Field(min_length=1)
    """The team that answers for it."""
    description: str = ""
    """What it is for, in a sentence."""
    tags: tuple[str, ...] = ()
    """Words to find its DAG by."""
    schedule: Schedule | None = None
    """When runs start; `none` for runs by hand only."""
    source: SourceSection
    """Where the files lie."""
    format: FormatSection
    """How rows are written in them."""
    limits: LimitsSection = LimitsSection()
    """What one file may use while it is read."""
    schema_: SchemaSection | None = Field(default=None, alias="schema")
    """The declared columns."""
    quality: Quality = Quality()
    """What is right, and what happens to what is not."""
    record: RecordSection
    """How a row becomes a record."""
    topic: TopicSection
    """Where the records go."""
    publish: PublishSection = PublishSection()
    """How they get there."""
    settle: Typed = Typed(type="keep")
    """What becomes of a published file: a plug-in of `settlements/`."""

    @field_validator("schedule", mode="before")
    @classmethod
    def _none_is_none(cls, value: Any) -> Any:
        return None if value == "none" else value

    @property
    def timezone(self) -> str:
        return self.schedule.timezone if self.schedule else "UTC"

    @property
    def ledger_topic(self) -> str:
        return f"forebay.{self.pipeline}.ledger"

    @property
    def quarantine_topic(self) -> str:
        return f"forebay.{self.pipeline}.quarantine"

    def transactional_id(self, lane: int) -> str:
        """What fences a lane's publishers. Made of names only: of nothing that may be set while a file is half
        published."""
        return f"forebay.{self.pipeline}.lane-{lane}"

    @property
    def earlier_transactional_ids(self) -> tuple[str, ...]:
        """Every id that a version whose lanes were a setting (1 to 64) could publish under."""
        return tuple(f"forebay.{self.pipeline}.{lane}" for lane in range(64))
