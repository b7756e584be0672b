"""replay: repaired rows of a file's quarantine, published under the same key and partitioner, each at most once, for
ever.

A replay is published as a content of its own (`kafka/publish/protocol.py`: data, ledger record and completion record in
one transaction). What makes it exactly once *row by row* is the ledger: each completion record names the origin and its
rows (`model.Replay`), and a row that is named there is never published again, from whatever file. Two replays at once
cannot both pass: a replay's fingerprint begins with the 16 digits of its origin's, so all replays of one content share
one lane and one ledger partition, and the ledger is asked once more behind the barrier, when nobody else can commit
there any more.

A record of a replay carries `ce_id` = `{fp16}:{generation}+r1:{row}`, the row being that of the origin; `ce_source` is
the origin's too.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay import __version__, events
from forebay.encoding.encode import ChunkEncoder
from forebay.encoding.quarantine_rows import compose_quarantine, schema
from forebay.encoding.rows import ROW
from forebay.encoding.work import digest
from forebay.errors import ConfigError, ForebayError, LedgerError, ReconcileError, RetryableError
from forebay.index import projection
from forebay.kafka import reader, topics
from forebay.kafka.ledger import owner as owners
from forebay.kafka.ledger import reader as ledgers
from forebay.kafka.ledger.reader import Completion, FileEntry
from forebay.kafka.publish.job import PublishJob
from forebay.kafka.publish.publisher import publish_file
from forebay.kafka.publish.records import EncodedChunk, Headers
from forebay.lineage.openlineage import lineage_run
from forebay.model import (
    REPLAY,
    ChunkPlan,
    Column,
    Decision,
    Fate,
    FileRun,
    Identity,
    Json,
    Receipt,
    Replay,
    RunReport,
    SourceFile,
    Stage,
    Status,
    Window,
)
from forebay.support import files
from forebay.support.folders import private
from forebay.verbs import repair
from forebay.verbs import report as reporting
from forebay.verbs._causes import causes
from forebay.verbs._pins import columns_declared
from forebay.verbs._replay_check import judged
from forebay.verbs.alive import alive
from forebay.verbs.context import Context
from forebay.verbs.inspect import work_left
from forebay.verbs.publish import ranges
from forebay.verbs.repair import Origin, numbers_of, text_of
from forebay.verbs.run import prepare
from forebay.verbs.timestamp_limits import latest

if TYPE_CHECKING:
    import pyarrow as pa

MARK = "+r1"
"""What stands behind the generation in the `ce_id` of a repaired row."""
UNIT_ROWS = 20_000
"""Rows of one transaction: its ledger record names each of them, and must stay far below a record's largest size."""
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Still(Json):
    """A row that stays in quarantine, and why."""

    row: int
    columns: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Replayed(Json):
    """What became of the edited rows of one origin: `rows == published + already + len(still)`."""

    uri: str
    fingerprint: str
    generation: int
    rows: int
    published: int
    already: int  # published by an earlier replay
    still: tuple[Still, ...]
    run_id: str | None = None
    note: str | None = None


class _OvertakenError(RetryableError):
    """Another replay has published some of the same rows meanwhile."""


def run_id_of(at: datetime) -> str:
    return f"replay__{at:%Y%m%dT%H%M%S%f}"


def replay(ctx: Context, path: Path, who: str, reason: str) -> list[Replayed]:
    """Publish the rows of an edited file that pass now; those of each origin in a run of their own. Rows already
    replayed are skipped.

    Raises `ConfigError` for a file that is none, for rows that were never quarantined, and without a reason; else what
    publishing raises.
    """
    if not reason.strip():
        raise ConfigError(f"replaying `{path}`: why is part of the record (give --reason)")
    parts = repair.edited(path)
    prepare(ctx)
    source = _Source.of(path)
    return [_attempts(ctx, origin, rows, source, who, reason) for origin, rows in parts.items()]


@dataclass(frozen=True, slots=True)
class _Source:
    """The edited file."""

    path: Path
    fingerprint: str
    size: int
    mtime: float

    @classmethod
    def of(cls, path: Path) -> _Source:
        return cls(path, files.sha256(path), path.stat().st_size, path.stat().st_mtime)


def _attempts(ctx: Context, origin: Origin, rows: pa.Table, source: _Source, who: str, reason: str) -> Replayed:
    for _ in range(_ATTEMPTS - 1):
        try:
            return _one_origin(ctx, origin, rows, source, who, reason)
        except _OvertakenError:  # what is left is found anew
            continue
    return _one_origin(ctx, origin, rows, source, who, reason)


def _one_origin(ctx: Context, origin: Origin, rows: pa.Table, source: _Source, who: str, reason: str) -> Replayed:
    import pyarrow as pa
    import pyarrow.compute as pc

    at = datetime.now(UTC)
    numbers = rows["__row"].to_pylist()
    entry, aside, done, known_by = _known(ctx, origin, source.path, set(numbers))
    strangers = sorted(set(numbers) - aside)
    if strangers:
        raise ConfigError(
            f"replaying `{source.path}`: row {strangers[0]} of `{entry.file.uri}` was never quarantined "
            f"({len(strangers)} such rows; take them out)"
        )
    left = rows.filter(pc.invert(pc.is_in(rows["__row"], pa.array(sorted(done), pa.int64()))))
    told = Replayed(entry.file.uri, origin.fingerprint, origin.generation, len(rows), 0, len(rows) - len(left), ())
    if not len(left):
        return told
    with _scratch(ctx) as folder:
        stage, still, note = _judge(ctx, entry, left, source.path, folder)
        told = replace(told, still=still, note="; ".join(filter(None, (known_by, note))) or None)
        if not stage.rows_in:
            return told
        publication = _Publication(ctx, entry, stage, source, who, reason, folder, at)
        return replace(told, published=publication.publish(), run_id=publication.run_id)


@contextlib.contextmanager
def _scratch(ctx: Context) -> Iterator[Path]:
    folder = ctx.project.home / "work" / ctx.pipeline.pipeline / f".replay-{uuid.uuid4().hex}"
    private(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _known(
    ctx: Context, origin: Origin, path: Path, edited: set[int]
) -> tuple[FileEntry, set[int], set[int], str | None]:
    """The origin's completion record, its quarantined rows, those that were replayed, and, where the broker no longer
    has the rows, by what they are known."""
    with _ledger(ctx) as view:
        found = [entry for entry in view.by_fingerprint(origin.fingerprint) if entry.generation == origin.generation]
        if not found:
            raise ConfigError(
                f"replaying `{path}`: generation {origin.generation} of content `{origin.fingerprint[:16]}` was never "
                "published by"
                f" `{ctx.pipeline.pipeline}` (only rows of published files can be replayed)"
            )
        receipts = view.receipts(origin.fingerprint, origin.generation)
        done = replayed_rows(view, found[0])
    entry = found[0]
    aside = _on_topic(ctx, origin, receipts)
    if len(aside) == entry.quarantined:
        return entry, aside, done, None
    listed = work_left(ctx, entry.fingerprint).with_list(_then(entry), entry.quarantined)
    if listed is not None:
        known_by = (
            "the quarantine topic no longer has these rows: which were set aside is known from their list on "
            "this machine"
        )
        return entry, _listed_rows(listed.quarantine(_then(entry))), done, known_by
    _refuse_too_many(entry, receipts, edited | done, path)
    known_by = (
        "neither the quarantine topic nor this machine has these rows any more: "
        "which they are is known from the edited file alone, within what "
        "the ledger counts"
    )
    return entry, edited | aside, done, known_by


def _on_topic(ctx: Context, origin: Origin, receipts: tuple[Receipt, ...]) -> set[int]:
    """The rows whose quarantine records are still there."""
    with reader.RangeReader(ctx.kafka) as reading:
        try:
            counts = reading.count(
                ranges(receipts, "quarantine"), f"{origin.fingerprint[:16]}:{origin.generation}:", left=True
            )
        except ReconcileError:  # the topic was made anew since
            return set()
    return {int(row) for count in counts if count.rows is not None for row in count.rows}


def _then(entry: FileEntry) -> Decision:
    """The decision under which a content was published."""
    return Decision.PUBLISH_ALL if entry.completion.decision == Decision.PUBLISH_ALL.value else Decision.PUBLISH


def _listed_rows(path: Path) -> set[int]:
    import pyarrow.parquet as pq

    return set(pq.read_table(path, columns=[ROW])[ROW].to_pylist())


def _refuse_too_many(entry: FileEntry, receipts: tuple[Receipt, ...], rows: set[int], path: Path) -> None:
    """The ledger counts how many rows of each chunk were set aside. Raises `ConfigError` for a file that names more."""
    left = set(rows)
    for chunk in receipts:
        inside = {row for row in left if chunk.first_row <= row <= chunk.last_row}
        left -= inside
        if len(inside) > chunk.quarantined:
            raise ConfigError(
                f"replaying `{path}`: it names {len(inside)} of the rows {chunk.first_row} to {chunk.last_row} of "
                f"`{entry.file.uri}`, of which"
                f" {chunk.quarantined} were quarantined (take out those that were published)"
            )
    if left:
        raise ConfigError(f"replaying `{path}`: `{entry.file.uri}` has no row {min(left)} (correct `__row`)")


@contextlib.contextmanager
def _ledger(ctx: Context) -> Iterator[Any]:
    """All that is committed; waits for transactions that are open on it."""
    reading = ledgers.LedgerReader(ctx.kafka, ctx.pipeline, keep=ctx.keep)
    try:
        if not reading.read_to(reading.watermarks(), ledgers.READ_TIMEOUT):
            raise LedgerError(ledgers.blocked(reading.topic, ledgers.READ_TIMEOUT), topic=reading.topic)
        owners.check(reading.view, ctx.pipeline, ctx.keep)
        yield reading.view
    finally:
        reading.close()


def replayed_rows(view: Any, entry: FileEntry, but: str | None = None) -> set[int]:
    """Rows of a content that replays have published, as the ledger says; those of the replay `but` left out."""
    found: set[int] = set()
    for one in view.by_uri(REPLAY + entry.file.uri):
        told = one.completion.replay
        if (
            told
            and (told.fingerprint, told.generation) == (entry.fingerprint, entry.generation)
            and one.fingerprint != but
        ):
            found |= set(numbers_of(told.rows))
    return found


# ---------------------------------------------------------------- what passes now


def _judge(
    ctx: Context, entry: FileEntry, rows: pa.Table, path: Path, folder: Path
) -> tuple[Stage, tuple[Still, ...], str | None]:
    """The rows that pass as a stage whose `__row` is their place in it (`origin_row` is beside it), and those that do
    not.

    The origin's list is known by how many rows it set aside, even when the suite has changed since.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    then = _then(entry)
    origin_work = work_left(ctx, entry.fingerprint)
    origin_work = origin_work.with_list(then, entry.quarantined) or origin_work
    origin = origin_work.stage()
    told = tuple(Column(name, kind) for name, kind in entry.completion.columns.items())
    columns = columns_declared(ctx) or told or (origin.columns if origin else None)
    if columns is None:
        raise ConfigError(
            f"replaying `{path}`: the pipeline declares no columns, and what was inferred of `{entry.file.uri}` is "
            "not on this machine (declare `schema.columns`)"
        )
    good, bad = repair.typed(ctx, rows, columns, path, folder)
    stage = _stage(entry, columns, good, bad, folder / "edited")
    listed = origin_work.quarantine(then)
    before = (origin, listed) if listed.exists() else (None, None)
    verdict, note = judged(ctx, stage, before[0], before[1], folder)
    aside = folder / "aside.parquet"
    compose_quarantine(
        stage,
        verdict,
        ctx.pipeline,
        Decision.PUBLISH,
        aside,
        max_message_bytes=topics.max_message_bytes(ctx.kafka, ctx.pipeline.topic.name),
        latest=latest(ctx),
    )
    failing = pq.read_table(aside)
    passed = good.filter(pc.invert(pc.is_in(good[ROW], failing[ROW].combine_chunks())))
    places = pa.array(range(1, len(passed) + 1), pa.int64())
    pq.write_table(passed.select([ROW]), folder / "origin_rows.parquet")
    dense = passed.set_column(passed.schema.get_field_index(ROW), passed.schema.field(ROW), places)
    still = tuple(
        Still(line[ROW], tuple(line["columns"]), "; ".join(causes(line["rule"], line["reason"])))
        for line in failing.select([ROW, "columns", "rule", "reason"]).to_pylist()
    )
    return _stage(entry, columns, dense, bad.slice(0, 0), folder / "passed"), still, note


def _stage(entry: FileEntry, columns: tuple[Column, ...], rows: pa.Table, rejects: pa.Table, folder: Path) -> Stage:
    import pyarrow.parquet as pq

    folder.mkdir()
    places = folder / "rows.parquet", folder / "rejects.parquet"
    for table, place in zip((rows, rejects), places, strict=True):
        pq.write_table(table, place)
    return Stage(entry.fingerprint, *places, columns, len(rows) + len(rejects), len(rejects), 0)


# ---------------------------------------------------------------- publication


class _Publication:
    """One run: the passed rows of one origin, in units of one transaction each."""

    def __init__(
        self,
        ctx: Context,
        entry: FileEntry,
        stage: Stage,
        source: _Source,
        who: str,
        reason: str,
        folder: Path,
        at: datetime,
    ) -> None:
        import pyarrow.parquet as pq

        self.ctx, self.entry, self.stage, self.source = ctx, entry, stage, source
        self.who, self.reason, self.folder, self.at = who, reason, folder, at
        self.run_id = run_id_of(at)
        self.identity = Identity(self.run_id, lineage_run(ctx.pipeline.pipeline, self.run_id))
        self.rows = pq.read_table(folder / "origin_rows.parquet")[ROW].combine_chunks()
        self.nothing = folder / "nothing.parquet"
        pq.write_table(schema().empty_table(), self.nothing)

    def publish(self) -> int:
        """Publish, read again, report; returns how many rows are published."""
        window = self.entry.completion.window or _day_of(self.ctx, self.entry)
        run = RunReport(
            self.run_id,
            self.ctx.pipeline.pipeline,
            window,
            "running",
            self.at,
            trigger="replay",
            note=f"replay: {self.reason}",
        )
        with alive(self.ctx.project, run):
            return self._published(run)

    def _published(self, run: RunReport) -> int:
        reporting.begin(self.ctx, run, self.identity)
        units: list[FileRun] = []
        try:
            for first in range(0, len(self.rows), UNIT_ROWS):
                units.append(self._unit(first, run))
        except ForebayError as error:
            with contextlib.suppress(ForebayError):  # the first error is raised
                self._report(replace(run, note=f"replay, failed: {error.message}"), units, error.message)
            raise
        self._report(run, units)
        return sum(unit.published for unit in units)

    def _report(self, run: RunReport, units: list[FileRun], error: str | None = None) -> None:
        """The run's end, with the units that are published."""
        reporting.report(self.ctx, replace(run, files=(merged(units),) if units else ()), self.identity, error=error)

    def _unit(self, first: int, run: RunReport) -> FileRun:
        rows = self.rows.slice(first, UNIT_ROWS)
        told = Replay(
            self.entry.fingerprint,
            self.entry.generation,
            text_of(rows.to_pylist()),
            self.source.path.name,
            self.source.fingerprint,
        )
        job = self._job(first, rows, told, run)
        receipts = publish_file(job)
        file = FileRun(
            run_id=self.run_id,
            pipeline=run.pipeline,
            window=run.window,
            file=job.file,
            fate=Fate.NEW,
            reason=f"repaired rows, replayed: {self.reason}",
            status=Status.DONE,
            fingerprint=job.fingerprint,
            decided_by=self.who,
            decision_reason=self.reason,
            decided_at=self.at,
            follows=self.entry.identity.run_id,
            replay=told,
            rows_in=len(rows),
            published=sum(receipt.published for receipt in receipts),
            outputs=ranges(receipts, "outputs"),
        )
        self._reconcile(file, rows)
        projection.project_receipts(self.ctx.project.index, file.pipeline, file.file.uri, self.run_id, receipts)
        projection.project_file(self.ctx.project.index, file)
        events.emit(
            events.FILE_PUBLISHED, uri=file.file.uri, published=file.published, quarantined=0, chunks=len(receipts)
        )
        return file

    def _job(self, first: int, rows: pa.Int64Array, told: Replay, run: RunReport) -> PublishJob:
        ctx, entry = self.ctx, self.entry
        fingerprint = entry.fingerprint[:16] + digest(told.to_json())[:48]
        plan = ChunkPlan(len(rows), len(rows), digest({"replay": told.to_json(), "forebay": __version__}))
        file = SourceFile(REPLAY + entry.file.uri, self.source.size, self.source.mtime)
        return PublishJob(
            config=ctx.kafka,
            pipeline=ctx.pipeline,
            file=file,
            fingerprint=fingerprint,
            plan=plan,
            encode=lambda _: self._encode(first, rows),
            identity=self.identity,
            headers=self._headers(),
            origin=replace(
                entry.origin,
                code_version=__version__,
                partition_count=ctx.pipeline.topic.partitions,
                owner=owners.of(ctx.pipeline),
            ),
            completion=Completion(self.reason, None, None, None, self.who, self.reason, run.window, told, self.at),
            max_message_bytes=topics.max_message_bytes(ctx.kafka, ctx.pipeline.topic.name),
            behind_barrier=lambda _, __: self._still_open(fingerprint, set(rows.to_pylist())),
            keep=ctx.keep,
        )

    def _encode(self, first: int, rows: pa.Int64Array) -> EncodedChunk:
        """Rows `first` … of the stage, under the numbers they have in the origin."""
        whole = ChunkPlan(len(self.rows), UNIT_ROWS, "")
        with ChunkEncoder(self.stage, None, self.ctx.pipeline, whole, self.nothing) as encoder:
            found = encoder.encode_chunk(first // UNIT_ROWS)
        found.check(first // UNIT_ROWS, whole.bounds(first // UNIT_ROWS))
        return replace(found, first_row=1, last_row=len(rows), records=replace(found.records, rows=rows), places=rows)

    def _headers(self) -> Headers:
        entry, record = self.entry, self.ctx.pipeline.record
        made = Headers.of(
            record.headers, self.ctx.pipeline.pipeline, entry.file, entry.fingerprint, entry.generation, self.identity
        )
        return replace(made, row_id=_prefix(entry).encode())

    def _still_open(self, fingerprint: str, rows: set[int]) -> None:
        """Behind the barrier: has another replay published one of these rows? Raises `_OvertakenError`."""
        with _ledger(self.ctx) as view:
            done = replayed_rows(view, self.entry, but=fingerprint) & rows
        if done:
            raise _OvertakenError(
                f"replaying `{self.source.path}`: row {min(done)} was published by another replay meanwhile (try "
                "again: it is skipped then)"
            )

    def _reconcile(self, file: FileRun, rows: pa.Int64Array) -> None:
        """Read the ranges again. Raises `ReconcileError`."""
        ids = None if self.ctx.pipeline.record.headers == "none" else _prefix(self.entry)
        with reader.RangeReader(self.ctx.kafka) as reading:
            counts = reading.count(file.outputs, ids)
        found = sorted(int(row) for count in counts if count.rows is not None for row in count.rows)
        short = next((c for c in counts if c.range.complete and c.found != c.range.count), None)
        if short and short.missing and topics.compacted(self.ctx.kafka, short.range.topic):
            return  # its records are replaced already by later ones of their keys
        if (
            short
            or file.published != file.rows_in
            or (ids and all(c.range.complete for c in counts) and found != rows.to_pylist())
        ):
            raise ReconcileError(
                f"reconciling the replay of `{self.entry.file.uri}`: {len(rows)} rows were sent, "
                f"the topic shows {sum(c.found for c in counts)}"
                f" (see: forebay ledger verify {file.pipeline})"
            )


def _prefix(entry: FileEntry) -> str:
    """What the `ce_id` of a repaired row begins with."""
    return f"{entry.fingerprint[:16]}:{entry.generation}{MARK}:"


def merged(units: list[FileRun]) -> FileRun:
    """All units of one run and origin as the one file of the index and the report."""
    total = {name: sum(getattr(unit, name) for unit in units) for name in ("rows_in", "published")}
    outputs = tuple(place for unit in units for place in unit.outputs)
    rows = ",".join(unit.replay.rows for unit in units if unit.replay)
    told = replace(units[0].replay, rows=rows) if units[0].replay else None
    return units[0].but(outputs=outputs, replay=told, **total)


def _day_of(ctx: Context, entry: FileEntry) -> Window:
    return Window.of_day(entry.attempted.date(), ctx.pipeline.timezone)
