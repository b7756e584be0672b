"""publish: the file's accepted rows become records, the others quarantine records, chunk by chunk in transactions
(kafka/publish/protocol.py)."""

from __future__ import annotations

from contextlib import suppress

from forebay import __version__, events
from forebay.encoding.encode import ChunkEncoder, plan_chunks
from forebay.errors import FatalError
from forebay.index import projection
from forebay.kafka import topics
from forebay.kafka.ledger import owner
from forebay.kafka.ledger.reader import Completion, Origin
from forebay.kafka.publish.job import PublishJob
from forebay.kafka.publish.publisher import publish_file
from forebay.kafka.publish.records import Headers
from forebay.model import Counts, Decision, FileRun, Identity, OffsetRange, Receipt, Stage, Status, Verdict
from forebay.verbs._pins import PinnedMeanwhileError, name_of, refuse_pinned_meanwhile, schema_hash
from forebay.verbs.context import Context
from forebay.verbs.inspect import as_pinned, load, quarantine
from forebay.verbs.timestamp_limits import refuse_times

_GO = {Decision.PUBLISH, Decision.PUBLISH_ALL}
_FRAMING = 2_000  # bytes of key, headers and framing that a record has beside its value, for the quarantine's raw text


def publish(ctx: Context, file: FileRun, identity: Identity) -> FileRun:
    """The same file, PUBLISHED, with its counts and offset ranges as the ledger has them. Files that are not to be
    published pass through.

    Repeating it after any failure is safe. Raises what `publish_file` raises, and `FileChangedError` when stage and
    source are both gone.
    """
    if file.status is not Status.INSPECTED or file.decision not in _GO:
        return file
    while True:
        with suppress(PinnedMeanwhileError):  # each time, another file decided columns, which nothing unpins
            return _publish(ctx, file, identity)


def _publish(ctx: Context, file: FileRun, identity: Identity) -> FileRun:
    file = as_pinned(ctx, file)
    if file.status is not Status.INSPECTED or file.decision not in _GO:
        return file
    work, stage, verdict = load(ctx, file)
    refuse_times(ctx, stage)
    limit = ctx.record_limit
    aside = quarantine(ctx, stage, verdict, file.decision, work, limit)
    plan = plan_chunks(stage, verdict, ctx.pipeline, file.decision, aside, limits=ctx.limits)
    room = topics.max_message_bytes(topics.settings_of(ctx.kafka, ctx.pipeline.quarantine_topic)) - _FRAMING
    with ChunkEncoder(stage, verdict, ctx.pipeline, plan, aside, room=room, limits=ctx.limits) as encoder:
        content_type = encoder.rows.serializer.content_type
        job = PublishJob(
            config=ctx.kafka,
            pipeline=ctx.pipeline,
            file=file.file,
            fingerprint=stage.fingerprint,
            plan=plan,
            encode=encoder.encode_chunk,
            identity=identity,
            headers=_headers(ctx, file, stage, identity, content_type),
            origin=_origin(ctx, stage, verdict),
            generation=file.generation,
            completion=_completion(file, stage),
            max_message_bytes=limit,
            keep=ctx.keep,
            behind_barrier=lambda view, chunk: refuse_pinned_meanwhile(ctx, file, stage, view) if not chunk else None,
            had=file.earlier.had,
            left=tuple(begun.fingerprint for begun in file.earlier.left if begun.fingerprint != stage.fingerprint),
        )
        receipts = publish_file(job)
    return published(ctx, file, receipts)


def _headers(ctx: Context, file: FileRun, stage: Stage, identity: Identity, content_type: str) -> Headers:
    profile, name = ctx.pipeline.record.headers, ctx.pipeline.pipeline
    return Headers.of(profile, name, file.file, stage.fingerprint, file.generation, identity, content_type)


def _origin(ctx: Context, stage: Stage, verdict: Verdict | None) -> Origin:
    p = ctx.pipeline
    return Origin(
        cluster_id=ctx.cluster_id,
        suite=verdict.suite if verdict else None,
        suite_hash=verdict.suite_hash if verdict else "",
        schema_hash=schema_hash(stage.columns),
        pins=name_of(stage.pins),
        partitioner=p.record.partitioner.type,
        partition_count=p.topic.partitions,
        ledger_partitions=p.publish.ledger_partitions,
        code_version=__version__,
        owner=owner.of(p),
        topic_id=ctx.topic_id,
    )


def _completion(file: FileRun, stage: Stage) -> Completion:
    reason = file.reason if file.generation > 1 or file.earlier.left else None
    said = file.answer
    columns = {column.name: column.type for column in stage.columns}
    return Completion(
        reason,
        file.earlier.supersedes,
        file.earlier.duplicate_of,
        decision=said.decision.value if said else None,
        decided_by=(said and said.by) or None,
        decision_reason=(said and said.reason) or None,
        window=file.window,
        decided_at=said.at if said else None,
        columns=columns,
        open=stage.open,
    )


def published(ctx: Context, file: FileRun, receipts: tuple[Receipt, ...]) -> FileRun:
    """The same file, PUBLISHED, with counts and offset ranges of its receipts, projected. Raises `FatalError` when they
    do not add up."""
    counts = sum((Counts(r.rows_in, r.published, r.quarantined) for r in receipts), Counts())
    outputs, aside = ranges(receipts, "outputs"), ranges(receipts, "quarantine")
    done = file.but(
        status=Status.PUBLISHED, outputs=outputs, quarantine=aside, headers=_profile(receipts), counts=counts
    )
    if not counts.balanced:
        raise FatalError(
            f"publishing `{file.file.uri}`: {counts.to_json()} do not add up (a defect of forebay: "
            f"keep the work folder `{file.work}`)"
        )
    projection.project_receipts(ctx.project.index, file.pipeline, file.file.uri, file.run_id, receipts)
    projection.project_file(ctx.project.index, done)
    events.emit(
        events.FILE_PUBLISHED,
        uri=file.file.uri,
        published=done.counts.published,
        quarantined=done.counts.quarantined,
        chunks=len(receipts),
    )
    return done


def _profile(receipts: tuple[Receipt, ...]) -> str:
    """The headers that all of a file's records carry, as the ledger says; empty where it does not."""
    profiles = {receipt.headers for receipt in receipts}
    return "none" if "none" in profiles else min(profiles, default="")


def ranges(receipts: tuple[Receipt, ...], of: str) -> tuple[OffsetRange, ...]:
    """The offset ranges of all chunks, per topic and partition in order of their offsets, chunk by chunk."""
    places = [place for receipt in receipts for place in getattr(receipt, of)]
    return tuple(sorted(places, key=lambda place: (place.topic, place.partition, place.first)))
