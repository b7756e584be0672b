"""trace: a record back to its file and row, a file on to its partitions and offsets."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forebay.config.home import Project
from forebay.config.pipeline import Pipeline
from forebay.encoding.encode import ChunkEncoder, plan_chunks
from forebay.errors import ConfigError, FatalError, ReconcileError
from forebay.index import queries
from forebay.kafka import lookup, reader
from forebay.model import Decision, FileRun, Json, OffsetRange, Replay
from forebay.quality.redact import MARK as REDACTED
from forebay.verbs._replay.publication import MARK
from forebay.verbs.context import Context
from forebay.verbs.inspect import work_left


@dataclass(frozen=True, slots=True)
class RecordTrace(Json):
    """Where a record came from. `how` says what the row rests on: the record's `ce_id` header, or the plan of its
    chunk.

    `row` is None where neither is at hand; then it is one of the rows `first_row` to `last_row`. Key and value are
    shown without the values of `quality.redact`; of a record whose members are not known by name, the size alone.
    """

    topic: str
    partition: int
    offset: int
    kind: str  # data | quarantine
    pipeline: str
    run_id: str
    uri: str
    fingerprint: str
    generation: int
    chunk: int
    first_row: int
    last_row: int
    row: int | None
    how: str
    key: str
    value: str
    headers: dict[str, str]
    suite: str | None = None
    replay: Replay | None = (
        # set: the row was quarantined, repaired and replayed; `uri`, `fingerprint` and `row` are those of its origin
        None
    )


def trace_record(
    project: Project, contexts: dict[str, Context], topic: str, partition: int, offset: int
) -> RecordTrace:
    """The file, row, run and suite of one record. `contexts` are the project's pipelines by name.

    Raises `FatalError` when no chunk known to the index covers the offset, or the offset holds no committed record.
    """
    candidates = queries.receipts_at(project.index, topic, partition, offset)
    candidates = [c for c in candidates if c["pipeline"] in contexts]
    if not candidates:
        raise FatalError(
            f"tracing `{topic}` partition {partition} offset {offset}: no chunk in the index covers it"
            " (not forebay's, or the index is behind: forebay index rebuild)"
        )
    ctx = contexts[candidates[0]["pipeline"]]
    record = lookup.find(ctx.kafka, topic, partition, offset)
    source, row, how = _row(ctx, candidates, record, OffsetRange(topic, partition, offset, offset, 1))
    source, replay = _origin(project, source, row)
    return RecordTrace(
        topic,
        partition,
        offset,
        row=row,
        how=how,
        key=_key(record.key, ctx.pipeline),
        value=_value(record.value, ctx.pipeline.quality.redact, by_name=source["kind"] == "data"),
        headers=record.headers,
        suite=_suite(project, source),
        replay=replay,
        **{
            name: source[name]
            for name in (
                "kind",
                "pipeline",
                "run_id",
                "uri",
                "fingerprint",
                "generation",
                "chunk",
                "first_row",
                "last_row",
            )
        },
    )


def _key(data: bytes | None, pipeline: Pipeline) -> str:
    names, redact = pipeline.record.key, pipeline.quality.redact
    if len(names) == 1:
        return REDACTED if data and names[0] in redact else _text(data)
    return _value(data, redact)


def _value(data: bytes | None, redact: tuple[str, ...], *, by_name: bool = True) -> str:
    """Text, without the values of the columns `redact`. `by_name`: it is an object of the pipeline's columns; else
    nobody knows where a value lies in it."""
    if not (data and redact):
        return _text(data)
    try:
        members = json.loads(data) if by_name else None
    except ValueError:
        members = None
    if not isinstance(members, dict):
        return f"[redacted: {len(data)} bytes]"
    shown = {name: REDACTED if name in redact and value is not None else value for name, value in members.items()}
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


def _origin(project: Project, source: dict[str, Any], row: int | None) -> tuple[dict[str, Any], Replay | None]:
    """Of a repaired row, the file that it comes from; its chunk's own row numbers count the replay's rows and mean
    nothing there."""
    if source["origin"] is None:
        return source, None
    runs = queries.files(project.index, source["pipeline"], source["run_id"], limit=1000)
    replay = next((file.replay for file in runs if file.file.uri == source["uri"] and file.replay), None)
    if replay is None:
        return source, None
    spans = replay.rows.replace("-", ",").split(",")
    first, last = (row, row) if row is not None else (int(spans[0]), int(spans[-1]))
    origin = {"uri": source["origin"], "fingerprint": replay.fingerprint, "generation": replay.generation}
    return source | origin | {"first_row": first, "last_row": last}, replay


def _row(
    ctx: Context, candidates: list[dict[str, Any]], record: lookup.Found, at: OffsetRange
) -> tuple[dict[str, Any], int | None, str]:
    fp16, _, rest = record.headers.get("ce_id", "").partition(":")
    generation, _, row = rest.partition(":")
    for source in candidates:
        repaired = generation.endswith(MARK) and source["origin"] is not None
        same = source["fingerprint"].startswith(fp16) and (repaired or str(source["generation"]) == generation)
        if row.isdigit() and same:
            return source, int(row), "the record's ce_id header"
    source = candidates[0]
    if source["origin"]:
        return source, None, "the ledger's record of the replay"
    return source, _planned_row(ctx, source, record, at), "its place in the chunk's plan"


def _planned_row(ctx: Context, source: dict[str, Any], record: lookup.Found, at: OffsetRange) -> int | None:
    """The row by the deterministic plan: of the chunk's records of that partition, the one that is the same to the
    byte."""
    work = work_left(ctx, source["fingerprint"])
    stage, verdict = work.stage(), work.verdict()
    if stage is None or source["kind"] != "data":
        return None
    for decision in (Decision.PUBLISH, Decision.PUBLISH_ALL):
        aside = work.quarantine(decision)
        if not aside.exists():
            continue
        plan = plan_chunks(stage, verdict, ctx.pipeline, decision, aside, limits=ctx.limits)
        if plan.plan_hash != source["plan_hash"]:
            continue
        with ChunkEncoder(stage, verdict, ctx.pipeline, plan, aside, limits=ctx.limits) as encoder:
            return _same(ctx, encoder.encode_chunk(source["chunk"]).records, source, record, at)
    return None


def _same(ctx: Context, records: Any, source: dict[str, Any], record: lookup.Found, at: OffsetRange) -> int | None:
    """The row whose record it is. Of several alike it is the n-th of its partition, counted in the topic, if all of the
    chunk's are still there."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    places = np.flatnonzero(records.partitions.to_numpy() == at.partition)
    values = records.values.take(pa.array(places))
    alike = np.flatnonzero(pc.equal(values, pa.scalar(record.value, values.type)).to_numpy(zero_copy_only=False))
    if len(alike) > 1:
        alike = alike[alike == _before(ctx, source, at)]
    return int(records.rows[int(places[alike[0]])].as_py()) if len(alike) else None


def _before(ctx: Context, source: dict[str, Any], at: OffsetRange) -> int:
    """How many of the chunk's records come before that one; -1 where some are gone (compacted, expired) or others' lie
    between."""
    parts = [replace(at, first=source["first"], last=at.first - 1), replace(at, last=source["last"])]
    try:
        before, behind = reader.count_ranges(
            ctx.kafka, [replace(part, count=part.last - part.first + 1) for part in parts]
        )
    except ReconcileError:
        return -1
    return before.present if before.present + behind.present == source["count"] else -1


def _suite(project: Project, source: dict[str, Any]) -> str | None:
    rules = queries.rules_of(project.index, source["pipeline"], source["run_id"], source["uri"])
    return rules[0]["suite"] if rules else None


def trace_file(project: Project, name: str) -> list[tuple[FileRun, list[dict[str, Any]]]]:
    """Every content that a file (the end of its uri, a path, or the beginning of its sha256) had, newest first, each
    with its offset ranges.

    Raises `ConfigError` when the index knows no such file.
    """
    path = Path(name)
    asked = f"file://{path.resolve()}" if path.exists() else name
    latest: dict[tuple[str, str, int], FileRun] = {}
    for file in queries.files(project.index, name=asked, limit=1000) or queries.files(
        project.index, name=name, limit=1000
    ):
        key = (file.pipeline, file.fingerprint or file.file.uri, file.generation)
        if key not in latest or (
            file.counts.published and not latest[key].counts.published
        ):  # the run that published it, not one that met it again
            latest[key] = file
    if not latest:
        raise ConfigError(
            f"tracing `{name}`: the index knows no such file (those it knows: forebay files; "
            "to bring it up to the ledger: forebay index rebuild)"
        )
    return [(file, _ranges(project, file)) for file in latest.values()]


def _ranges(project: Project, file: FileRun) -> list[dict[str, Any]]:
    rows = queries.receipts_of(project.index, file.fingerprint) if file.fingerprint else []
    return [row for row in rows if row["pipeline"] == file.pipeline and row["generation"] == file.generation]
