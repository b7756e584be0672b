"""A pipeline file, parsed: one strict, frozen model per section, each setting described where it is defined."""

from __future__ import annotations

from typing import Any, Literal
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator

from forebay.config.units import Duration, Share, Size
from forebay.contracts import Settings
from forebay.model import Severity

Name = Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")


class Schedule(Settings):
    """When a run starts. Its data interval is the time between two ticks, so a nightly run reads yesterday's files."""

    cron: str = "0 2 * * *"
    """A cron expression of five fields."""
    timezone: str = "UTC"
    """An IANA time zone."""
    start: str = "2013-01-01"
    """The first day (ISO date) that a run or a backfill may cover."""

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"`{value}` is not a time zone (write an IANA name such as `America/New_York`)")
        return value


class Expect(Settings):
    """What must have come for a window to be ready."""

    files: int = Field(ge=1)
    """How many files match `path` when the window is complete."""


class ReadyWhen(Settings):
    """The completeness contract: until it is met, files of the window are `incomplete` and are not read."""

    marker: str | None = None
    """A file name beside the files (`_SUCCESS`) whose presence says that the folder is complete."""
    quiet_for: Duration | None = None
    """A file is complete when it has not changed for this long."""
    expect: Expect | None = None


class SourceSection(Settings):
    """Where the files lie. Keys that this model does not know belong to the source plug-in (`sources/TYPE.py`)."""

    type: str
    path: str = Field(min_length=1)
    """Where, with `{{ ds }}` and friends, and `*`, `?`, `**`. Local: relative to the project. S3: `bucket/key…`."""
    connection: str | None = None
    """A connection's name; never a secret."""
    ready_when: ReadyWhen = ReadyWhen()
    changed_content: Literal["publish_as_correction", "reject", "ignore"] = "publish_as_correction"
    """What to do with a known name that has new bytes."""
    compression: str = "auto"
    """`auto` (by file name), `none`, or a plug-in of `compressions/`."""
    options: dict[str, Any] = {}
    """The source plug-in's own settings."""


class FormatSection(Settings):
    """How rows are written. `options` holds the format plug-in's settings; in YAML they stand beside `type`."""

    type: str
    options: dict[str, Any] = {}


class Drift(Settings):
    """What to do when a file's columns are not the declared ones."""

    added: Literal["warn", "block"] = "warn"
    missing: Literal["warn", "block"] = "block"


class SchemaSection(Settings):
    """The declared columns: name to Arrow type name."""

    columns: dict[str, str] = Field(min_length=1)
    on_drift: Drift = Drift()


class BlockWhen(Settings):
    """When the file as a whole is held back."""

    quarantined_over: Share | None = None
    """Share of the file's rows that may be set aside."""
    any_table_rule: Severity | None = Severity.CRITICAL
    """Severity from which a failed table rule blocks."""


class Steward(Settings):
    """Who is asked when a file is held back."""

    on: Literal["block", "never"] = "block"
    """`never`: a blocked file is rejected at once."""
    timeout: Duration = Field(default="4h", validate_default=True)  # type: ignore[arg-type]
    default: Literal["reject", "publish"] = "reject"
    """What happens when nobody answers in time."""
    users: tuple[str, ...] = ()
    """Airflow users who may answer; empty means anyone with the permission."""


class Quality(Settings):
    """The check of the whole file before its first record is visible."""

    suite: str | None = None
    """`include/expectations/NAME.json`, Great Expectations' own suite JSON."""
    quarantine: Severity | Literal["never"] = Severity.CRITICAL
    """Rows failing a rule of this severity (or worse) are set aside."""
    block_when: BlockWhen = BlockWhen()
    steward: Steward = Steward()


class Typed(Settings):
    """A plug-in by `type`; its own settings stand beside it in YAML and end up in `options`."""

    type: str
    options: dict[str, Any] = {}


class RecordSection(Settings):
    """How a row becomes a record."""

    key: tuple[str, ...] = Field(min_length=1)
    """Columns of the key. One: its text. Several: a JSON object of them, in this order. A row with a null among them is quarantined."""
    value: Typed = Typed(type="json")
    headers: Literal["standard", "minimal", "none"] = "standard"
    """What each record says of its origin; costs throughput (docs/benchmarks.md). The ledger traces records without any."""
    timestamp: str | None = None
    """A date or timestamp column for the record's time; default is the time of publishing."""
    partitioner: Typed = Typed(type="murmur2")

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class TopicSection(Settings):
    """The topic of the accepted rows."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")
    partitions: int = Field(default=1, ge=1)
    """How many partitions the topic must have: another count would move keys, so it is refused."""
    replication: int = Field(default=1, ge=1)
    config: dict[str, str | int | float | bool] = {}
    manage: Literal["check", "create", "off"] = "check"
    """`check`: topics must exist and fit. `create`: missing ones are made. `off`: nobody looks."""


class ChunkSection(Settings):
    """Upper bounds of one transaction."""

    rows: int = Field(default=500_000, ge=1)
    bytes: Size = Field(default="128MiB", validate_default=True)  # type: ignore[arg-type]


class PublishSection(Settings):
    """How records reach the broker."""

    connection: str | None = None
    """A Kafka connection's name; default: `KAFKA_BOOTSTRAP_SERVERS`, else the embedded broker."""
    lanes: int = Field(default=4, ge=1, le=64)
    """How many transactional.ids (`forebay.PIPELINE.LANE`) the pipeline's files share."""
    chunk: ChunkSection = ChunkSection()
    transaction_timeout: Duration = Field(default="60s", validate_default=True)  # type: ignore[arg-type]
    ledger_partitions: int = Field(default=1, ge=1)


class Pipeline(Settings):
    """One pipeline: from where, how it is read, what is right, and where it goes."""

    pipeline: str = Name
    """Its name: unique in the project; also the DAG's id."""
    owner: str = Field(min_length=1)
    """The team that answers for it."""
    description: str = ""
    tags: tuple[str, ...] = ()
    schedule: Schedule | None = None
    source: SourceSection
    format: FormatSection
    schema_: SchemaSection | None = Field(default=None, alias="schema")
    quality: Quality = Quality()
    record: RecordSection
    topic: TopicSection
    publish: PublishSection = PublishSection()
    settle: Typed = Typed(type="keep")

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
        return f"forebay.{self.pipeline}.{lane}"

    @model_validator(mode="after")
    def _key_is_declared(self) -> Pipeline:
        declared = self.schema_.columns if self.schema_ else None
        missing = [c for c in (*self.record.key, *filter(None, [self.record.timestamp])) if declared is not None and c not in declared]
        if missing:
            raise ValueError(f"record: column `{missing[0]}` is not among `schema.columns` ({', '.join(declared or ())})")
        return self
