"""inspect: fetch, stage and check one file. Nothing of it is visible to any consumer yet."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from forebay import events, registry
from forebay.config.pipeline import SchemaSection
from forebay.contracts import StageWriter, Tolerance
from forebay.encoding.encode import compose_quarantine
from forebay.encoding.quarantine_rows import is_made_for
from forebay.encoding.work import Work, digest
from forebay.errors import CorruptFileError, FatalError, FileChangedError, RetryableError
from forebay.index import projection
from forebay.model import Column, Decision, FileRun, Snapshot, Stage, Status, Verdict
from forebay.quality import suite as suites
from forebay.quality.imports import ahead
from forebay.quality.suite import Suite
from forebay.support import files
from forebay.support.folders import private
from forebay.verbs._answers import asked
from forebay.verbs._history_rules import compare_with_history
from forebay.verbs._pins import columns_declared, name_of, pinned, with_pins
from forebay.verbs._reading import Job, read
from forebay.verbs.context import Context
from forebay.verbs.gate import drift_words, gate, on_drift
from forebay.verbs.hidden import shown, without_names
from forebay.verbs.isolation import failed
from forebay.verbs.notices import notify
from forebay.verbs.prune import in_use
from forebay.verbs.timestamp_limits import latest


def inspect(ctx: Context, file: FileRun) -> FileRun:
    """The file with its fingerprint, its row counts and the gate's decision.

    A file that cannot be read as what the pipeline says, that changed while it was read, or that holds what nobody
    foresaw is FAILED with the error's words, stays where it is, and does not stop the others. Raises what ends the run
    (`isolation.py`), and what may succeed later.
    """
    with in_use(ctx.project, ctx.pipeline.pipeline):  # until the index says that it is under way
        try:
            inspected = asked(ctx, _inspect(ctx, file))
        except RetryableError:
            raise
        except Exception as error:
            inspected = failed(file, error, known=shown(ctx.pipeline))
        projection.project_file(ctx.project.index, inspected)
    notify(ctx, inspected)
    return inspected


def _inspect(ctx: Context, file: FileRun) -> FileRun:
    suite = _suite(ctx)
    staged = file.fingerprint and work_of(ctx, file.fingerprint, file.pins).stage()
    with ahead(suite is not None and not staged):
        snapshot = fetch(ctx, file)
        pins = pinned(ctx, snapshot.fingerprint)
        work = work_of(ctx, snapshot.fingerprint, name_of(pins))
        stage = work.stage() or _stage(ctx, snapshot, work, pins)
    verdict = _verdict(ctx, file, stage, suite, work) if judges(ctx) else None
    aside = quarantine(ctx, stage, verdict, Decision.PUBLISH, work, ctx.record_limit)
    quarantined = _lines(aside)
    docs = verdict.docs if verdict else None
    notes = (*stage.notes, *drift_words(stage.drift).values())
    known = file.but(
        fingerprint=snapshot.fingerprint,
        work=work.folder,
        rows_in=stage.rows_in,
        quarantined=quarantined,
        docs=docs,
        notes=notes,
    ).but(pins=name_of(pins))
    decided = gate(ctx.pipeline, known.but(status=Status.INSPECTED), stage, verdict, quarantined)
    if verdict:
        projection.project_verdict(ctx.project.index, decided, verdict)
    events.emit(
        events.FILE_CHECKED,
        uri=file.file.uri,
        rows=stage.rows_in,
        quarantined=quarantined,
        decision=str(decided.decision),
        reason=decided.answer.reason if decided.answer else decided.reason,
    )
    return decided


def as_pinned(ctx: Context, file: FileRun) -> FileRun:
    """The file as it is now: inspected anew if other columns were pinned since. Then what the gate holds back waits for
    a person, as it does at first."""
    if name_of(pinned(ctx, file.fingerprint or "")) == file.pins:
        return file
    again = _inspect(ctx, file)
    if again.decision is Decision.PUBLISH and not (file.answer and file.answer.of_the_gate):
        again = again.but(answer=file.answer)
    projection.project_file(ctx.project.index, again)
    return again


def fetch(ctx: Context, file: FileRun) -> Snapshot:
    """Our own copy of exactly the version that was discovered, in its content-addressed place."""
    draft = ctx.project.spool / f"{os.getpid()}-{uuid.uuid4().hex}"
    private(draft.parent)
    try:
        snapshot = ctx.source.fetch(file.file, draft)
        if file.fingerprint and snapshot.fingerprint != file.fingerprint:
            raise FileChangedError(
                f"fetching `{file.file.uri}`: its bytes are not those that were discovered (run again: "
                "the new content gets its own fate)",
                uri=file.file.uri,
            )
        place = work_of(ctx, snapshot.fingerprint, file.pins).snapshot
        private(place.parent)
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)
    events.emit(events.FILE_FETCHED, uri=file.file.uri, size=snapshot.size, fingerprint=snapshot.fp16)
    return Snapshot(snapshot.file, place, snapshot.fingerprint, snapshot.size)


def work_of(ctx: Context, fingerprint: str, pins: str) -> Work:
    """The work folder of a content under the pipeline's present settings and those pinned columns (`FileRun.pins`)."""
    p = ctx.pipeline
    suite = _suite(ctx)
    settings = {
        "format": p.format.model_dump(mode="json"),
        "compression": p.source.compression,
        "schema": p.schema_.model_dump(mode="json") if p.schema_ else None,
        "suite": suite.hash if suite else None,
        "quarantine": str(p.quality.quarantine),
        "key": p.record.key,
        "value": p.record.value.model_dump(mode="json"),
    }
    if p.quality.history.rules:
        settings["history"] = p.quality.history.model_dump(mode="json")
    if p.quality.redact:
        settings["redact"] = p.quality.redact
    if pins:
        settings["pins"] = pins
    return Work(ctx.project.work(p.pipeline, fingerprint), settings)


def work_left(ctx: Context, fingerprint: str) -> Work:
    """The work folder of a content as it was left under the pipeline's present settings, whatever was pinned then; the
    ledger is not asked."""
    plain = work_of(ctx, fingerprint, "")
    for path in sorted(plain.folder.glob("*/stage/stage.json")):
        stage = Stage.from_json(json.loads(path.read_text("utf-8")))
        work = work_of(ctx, fingerprint, name_of(stage.pins or stage.columns))
        if work.base == path.parent.parent:
            return work
    return plain


def judges(ctx: Context) -> bool:
    """Whether the pipeline has rules, so that an inspected file has a verdict."""
    return bool(ctx.pipeline.quality.suite or ctx.pipeline.quality.history.rules)


def load(ctx: Context, file: FileRun) -> tuple[Work, Stage, Verdict | None]:
    """Stage and verdict as `inspect` left them; made again from the source when this machine does not have them.

    Raises `FileChangedError` when the source no longer holds the bytes that were inspected.
    """
    if not file.fingerprint:
        raise FatalError(
            f"publishing `{file.file.uri}`: it was never inspected (run the whole way of the file)", uri=file.file.uri
        )
    work = work_of(ctx, file.fingerprint, file.pins)
    stage, verdict = work.stage(), work.verdict()
    if stage is None or (judges(ctx) and verdict is None) or not work.quarantine(Decision.PUBLISH).exists():
        _inspect(ctx, file)
        stage, verdict = work.stage(), work.verdict()
    if stage is None:
        raise FatalError(
            f"publishing `{file.file.uri}`: its stage is missing in `{work.base}` (run inspect again)",
            uri=file.file.uri,
        )
    return work, stage, verdict


def quarantine(ctx: Context, stage: Stage, verdict: Verdict | None, decision: Decision, work: Work, limit: int) -> Path:
    """The list of quarantined rows under that decision, made if it is not there for the topic as it is. `limit`: its
    largest record, in bytes."""
    path, made_for = work.quarantine(decision), _decides(ctx, limit)
    if not is_made_for(path, made_for):
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        compose_quarantine(
            stage,
            verdict,
            ctx.pipeline,
            decision,
            draft,
            max_message_bytes=limit,
            latest=latest(ctx),
            made_for=made_for,
            limits=ctx.limits,
        )
        files.put(draft, path)
    return path


def _decides(ctx: Context, limit: int) -> str:
    """What decides which rows are quarantined beside the work's settings: the topic, and the times that its records
    get."""
    column = ctx.pipeline.record.timestamp
    about = ("message.timestamp.type", "message.timestamp.after.max.ms") if column else ()
    return digest(
        {"limit": limit, "timestamp": column, "topic": {name: ctx.topic_settings.get(name) for name in about}}
    )


def _lines(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _suite(ctx: Context) -> Suite | None:
    name = ctx.pipeline.quality.suite
    return suites.load(ctx.project.expectations / f"{name}.json") if name else None


def _stage(ctx: Context, snapshot: Snapshot, work: Work, pins: tuple[Column, ...] | None) -> Stage:
    p = ctx.pipeline
    registry.find("formats", p.format.type)  # what the pipeline lacks is found here, and is not the file's matter
    draft = work.base / f".stage-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    private(draft)
    try:
        declared = columns_declared(ctx)
        share = None if declared else (p.schema_ or SchemaSection()).misfits
        writer = StageWriter(draft, ctx.project.memory, tolerance=Tolerance(on_drift(p).missing == "warn", share))
        stage = read(Job(snapshot, p.format, p.source.compression, declared or pins, writer, p.limits))
        if not declared:
            notes = (*stage.notes, *_misfits(stage, hide=bool(p.quality.redact)))
            stage = replace(with_pins(stage, pins), inferred=True, notes=notes)
        _refuse_without_key(ctx, stage, snapshot)
        refuse_unplaced(ctx, stage, snapshot)
        final = _move(without_names(stage, p), draft, work.stage_folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    work.save_stage(final)
    events.emit(
        events.FILE_STAGED,
        uri=snapshot.file.uri,
        rows=final.rows_in,
        rejected=final.rows_rejected,
        columns=len(final.columns),
        inferred=[f"{column.name} {column.type}" for column in final.columns]
        if final.inferred and not ctx.pipeline.quality.redact
        else [],
        notes=[*final.notes, *drift_words(final.drift).values()],
    )
    return final


def _misfits(stage: Stage, hide: bool) -> Iterator[str]:
    """How many values of each column are not of the type that the others have; `hide`: without its name, which the file
    brought."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    counts: Counter[str] = Counter()
    with pq.ParquetFile(stage.rejects) as rejects:
        for batch in rejects.iter_batches(columns=["step", "columns"]):
            misfits = batch.filter(pc.equal(batch["step"], "schema"))["columns"]
            counts.update({pair["values"]: pair["counts"] for pair in misfits.flatten().value_counts().to_pylist()})
    types = {column.name: column.type for column in stage.columns}
    for name, count in counts.items():
        yield (
            f"{'a column' if hide else f'column `{name}`'}: {count} values are not {types.get(name)}, "
            "their rows are quarantined"
        )


def _refuse_without_key(ctx: Context, stage: Stage, snapshot: Snapshot) -> None:
    """Raise `CorruptFileError` if the file lacks a key column: every row would be quarantined for a null."""
    missing = [f"`{name}`" for name in ctx.pipeline.record.key if name in stage.drift.missing]
    if missing:
        uri = snapshot.file.uri
        raise CorruptFileError(
            f"reading `{uri}`: it lacks {', '.join(missing)} of `record.key` (ask for it again with its key)", uri=uri
        )


def refuse_unplaced(ctx: Context, stage: Stage, snapshot: Snapshot) -> None:
    """Raise `CorruptFileError` if the columns are inferred and a redacted one is not among them: where its values lie
    nobody knows, and the names of the file's columns may be values themselves."""
    there, uri = {column.name for column in stage.columns}, snapshot.file.uri
    unplaced = [f"`{name}`" for name in ctx.pipeline.quality.redact if stage.inferred and name not in there]
    if unplaced:
        way_out = "declare the columns under `schema`, or ask for it again with a header"
        raise CorruptFileError(
            f"reading `{uri}`: it lacks {', '.join(unplaced)} of `quality.redact` ({way_out})", uri=uri
        )


def _move(stage: Stage, draft: Path, to: Path) -> Stage:
    private(to)
    for path in (stage.rows, stage.rejects):
        files.put(path, to / path.name)
    moved = stage.to_json() | {"rows": to / stage.rows.name, "rejects": to / stage.rejects.name}
    return Stage.from_json(moved)


def _verdict(ctx: Context, file: FileRun, stage: Stage, suite: Suite | None, work: Work) -> Verdict:
    """The stored verdict, or a new one: what was learnt from history stays what it was, at every later attempt."""
    known = work.verdict()
    if known:
        return known
    historical = compare_with_history(ctx, file, stage)
    if suite is None:
        verdict = Verdict(stage.fingerprint, None, "", historical)
    else:
        from forebay.quality.check import check

        name = f"{ctx.pipeline.pipeline}/{file.window.day}/{file.file.name}"
        pages, hidden = ctx.project.reports / "data_docs", ctx.pipeline.quality.redact
        verdict = check(
            stage,
            suite,
            work.verdict_folder,
            run_name=name,
            docs=pages,
            historical=historical,
            redact=hidden,
            memory_limit=ctx.project.check_memory,
        )
    work.save_verdict(verdict)
    return verdict
