"""The publication of repaired rows: one run for one origin, in units of one transaction each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from forebay import __version__, events
from forebay.encoding.encode import ChunkEncoder
from forebay.encoding.quarantine_rows import schema
from forebay.encoding.rows import ROW
from forebay.encoding.work import digest
from forebay.errors import ReconcileError, RetryableError
from forebay.index import projection
from forebay.kafka import proof
from forebay.kafka.ledger import owner as owners
from forebay.kafka.ledger.reader import Completion, FileEntry
from forebay.kafka.publish.job import PublishJob
from forebay.kafka.publish.publisher import publish_file
from forebay.kafka.publish.records import EncodedChunk, Headers
from forebay.model import (
    Answer,
    ChunkPlan,
    Counts,
    Decision,
    Fate,
    FileRun,
    Identity,
    Replay,
    RunReport,
    SourceFile,
    Stage,
    Status,
    Window,
    replay_uri,
)
from forebay.support import files
from forebay.verbs._replay.origin import open_ledger, replayed_rows
from forebay.verbs.context import Context
from forebay.verbs.publish import ranges
from forebay.verbs.repair import text_of
from forebay.verbs.session import session

if TYPE_CHECKING:
    import pyarrow as pa

MARK = "+r1"
"""What stands behind the generation in the `ce_id` of a repaired row."""
UNIT_ROWS = 20_000
"""Rows of one transaction: its ledger record names each of them, and must stay far below a record's largest size."""


@dataclass(frozen=True, slots=True)
class EditedFile:
    """The file of repaired rows that a person gave."""

    path: Path
    fingerprint: str
    size: int
    mtime: float

    @classmethod
    def of(cls, path: Path) -> EditedFile:
        return cls(path, files.sha256(path), path.stat().st_size, path.stat().st_mtime)


class OvertakenError(RetryableError):
    """Another replay has published some of the same rows meanwhile."""


class Publication:
    """One run: the passed rows of one origin, in units of one transaction each."""

    def __init__(
        self,
        ctx: Context,
        entry: FileEntry,
        stage: Stage,
        source: EditedFile,
        who: str,
        reason: str,
        folder: Path,
        at: datetime,
    ) -> None:
        import pyarrow.parquet as pq

        self.ctx, self.entry, self.stage, self.source = ctx, entry, stage, source
        self.who, self.reason, self.folder, self.at = who, reason, folder, at
        self.run_id = f"replay__{at:%Y%m%dT%H%M%S%f}"
        self.rows = pq.read_table(folder / "origin_rows.parquet")[ROW].combine_chunks()
        self.nothing = folder / "nothing.parquet"
        pq.write_table(schema().empty_table(), self.nothing)

    def publish(self) -> int:
        """Publish, read again, report; returns how many rows are published."""
        window = self.entry.completion.window or _day_of(self.ctx, self.entry)
        name, note = self.ctx.pipeline.pipeline, f"replay: {self.reason}"
        run = RunReport(self.run_id, name, window, "running", self.at, trigger="replay", note=note)
        units: list[FileRun] = []
        with session(self.ctx, run) as work:
            for first in range(0, len(self.rows), UNIT_ROWS):
                units.append(self._unit(first, run, work.identity))
                work.files = (merged(units),)
        return sum(unit.counts.published for unit in units)

    def _unit(self, first: int, run: RunReport, identity: Identity) -> FileRun:
        rows = self.rows.slice(first, UNIT_ROWS)
        replay = Replay(
            self.entry.fingerprint,
            self.entry.generation,
            text_of(rows.to_pylist()),
            self.source.path.name,
            self.source.fingerprint,
        )
        job = self._job(first, rows, replay, run, identity)
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
            answer=Answer(Decision.PUBLISH, self.who, self.reason, self.at),
            follows=self.entry.identity.run_id,
            replay=replay,
            origin=self.entry.file.uri,
            counts=Counts(len(rows), sum(receipt.published for receipt in receipts)),
            outputs=ranges(receipts, "outputs"),
        )
        self._reconcile(file, rows)
        projection.project_receipts(self.ctx.project.index, file.pipeline, file.file.uri, self.run_id, receipts)
        projection.project_file(self.ctx.project.index, file)
        events.emit(
            events.FILE_PUBLISHED,
            uri=file.file.uri,
            published=file.counts.published,
            quarantined=0,
            chunks=len(receipts),
        )
        return file

    def _job(self, first: int, rows: pa.Int64Array, replay: Replay, run: RunReport, identity: Identity) -> PublishJob:
        ctx, entry = self.ctx, self.entry
        fingerprint = entry.fingerprint[:16] + digest(replay.to_json())[:48]
        plan = ChunkPlan(len(rows), len(rows), digest({"replay": replay.to_json(), "forebay": __version__}))
        file = SourceFile(replay_uri(entry.file.uri), self.source.size, self.source.mtime)
        return PublishJob(
            config=ctx.kafka,
            pipeline=ctx.pipeline,
            file=file,
            fingerprint=fingerprint,
            plan=plan,
            encode=lambda _: self._encode(first, rows),
            identity=identity,
            headers=self._headers(identity),
            origin=replace(
                entry.origin,
                code_version=__version__,
                partition_count=ctx.pipeline.topic.partitions,
                owner=owners.of(ctx.pipeline),
            ),
            completion=Completion(self.reason, None, None, None, self.who, self.reason, run.window, replay, self.at),
            max_message_bytes=ctx.record_limit,
            behind_barrier=lambda _, __: self._still_open(fingerprint, set(rows.to_pylist())),
            keep=ctx.keep,
        )

    def _encode(self, first: int, rows: pa.Int64Array) -> EncodedChunk:
        """Rows `first` … of the stage, under the numbers they have in the origin."""
        whole = ChunkPlan(len(self.rows), UNIT_ROWS, "")
        with ChunkEncoder(self.stage, None, self.ctx.pipeline, whole, self.nothing, limits=self.ctx.limits) as encoder:
            encoded = encoder.encode_chunk(first // UNIT_ROWS)
        encoded.check(first // UNIT_ROWS, whole.bounds(first // UNIT_ROWS))
        return replace(
            encoded, first_row=1, last_row=len(rows), records=replace(encoded.records, rows=rows), places=rows
        )

    def _headers(self, identity: Identity) -> Headers:
        entry, record = self.entry, self.ctx.pipeline.record
        made = Headers.of(
            record.headers, self.ctx.pipeline.pipeline, entry.file, entry.fingerprint, entry.generation, identity
        )
        return replace(made, row_id=_prefix(entry).encode())

    def _still_open(self, fingerprint: str, rows: set[int]) -> None:
        """Behind the barrier: has another replay published one of these rows? Raises `OvertakenError`."""
        with open_ledger(self.ctx) as view:
            done = replayed_rows(view, self.entry, but=fingerprint) & rows
        if done:
            raise OvertakenError(
                f"replaying `{self.source.path}`: row {min(done)} was published by another replay meanwhile (try "
                "again: it is skipped then)"
            )

    def _reconcile(self, file: FileRun, rows: pa.Int64Array) -> None:
        """Read the ranges again. Raises `ReconcileError`."""
        ids = None if self.ctx.pipeline.record.headers == "none" else _prefix(self.entry)
        with proof.Prover(self.ctx.kafka) as prover:
            reading = prover.read((file.outputs, ids))
        if reading.compacted:
            return  # some of its records are replaced already by later ones of their keys
        known = all(place.complete for place in file.outputs)
        wrong = ids is not None and known and reading.row_numbers != rows.to_pylist()
        if reading.difference or not file.counts.balanced or wrong:
            raise ReconcileError(
                f"reconciling the replay of `{self.entry.file.uri}`: {len(rows)} rows were sent, "
                f"the topic shows {reading.present} (see: forebay ledger verify {file.pipeline})"
            )


def _prefix(entry: FileEntry) -> str:
    """What the `ce_id` of a repaired row begins with."""
    return f"{entry.fingerprint[:16]}:{entry.generation}{MARK}:"


def merged(units: list[FileRun]) -> FileRun:
    """All units of one run and origin as the one file of the index and the report."""
    total = sum((unit.counts for unit in units), Counts())
    outputs = tuple(place for unit in units for place in unit.outputs)
    rows = ",".join(unit.replay.rows for unit in units if unit.replay)
    replay = replace(units[0].replay, rows=rows) if units[0].replay else None
    return units[0].but(outputs=outputs, replay=replay, counts=total)


def _day_of(ctx: Context, entry: FileEntry) -> Window:
    return Window.of_day(entry.attempted.date(), ctx.pipeline.timezone)
