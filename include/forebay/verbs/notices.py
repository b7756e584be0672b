"""`quality.notify`: people are told of a file or a run that needs a look. Whatever goes wrong here is logged, and the
run stays what it is."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from typing import Any

from forebay import events, registry
from forebay.config.pipeline import Pipeline
from forebay.config.quality import NotifySection
from forebay.contracts import Notice, Notifier
from forebay.errors import ForebayError
from forebay.model import FileRun, RunReport, Status
from forebay.verbs.context import Context

_WAYS_OUT = {
    "waiting": 'forebay decide {pipeline} --file {content} --publish --reason "…"; or --publish-all, or --reject',
    "rejected": "forebay files {pipeline} --name {name}",
    "over_budget": "forebay quarantine show {pipeline} --file {name}",
    "failed": "forebay files {pipeline} --name {name}",
    "run_failed": "forebay files --run {run}",
}


def notify(ctx: Context, file: FileRun) -> None:
    """Tell everybody of `quality.notify` who wants to know what became of an inspected file. Raises nothing."""
    for event in _events(file):
        _tell_all(ctx.pipeline, notice_of(ctx, file, event))


def notify_of_run(ctx: Context, run: RunReport, reason: str | None) -> None:
    """Tell everybody who wants to know that a run has failed. Raises nothing."""
    pipeline = ctx.pipeline
    notice = Notice(
        event="run_failed",
        pipeline=pipeline.pipeline,
        owner=pipeline.owner,
        day=run.window.day.isoformat(),
        run_id=run.run_id,
        uri=None,
        fingerprint=None,
        reason=reason or "see its files",
        rows_in=sum(file.counts.rows_in for file in run.files),
        quarantined=sum(file.counts.quarantined for file in run.files),
        rejected=sum(file.counts.rejected for file in run.files),
        way_out=_WAYS_OUT["run_failed"].format(run=shlex.quote(run.run_id)),
        link=ctx.pages.run,
    )
    _tell_all(pipeline, notice)


def _tell_all(pipeline: Pipeline, notice: Notice) -> None:
    for section in pipeline.quality.notify:
        if notice.event in section.on:
            _tell(section, notice)


def notice_of(ctx: Context, file: FileRun, event: str) -> Notice:
    """What is told of a file."""
    pipeline = ctx.pipeline
    return Notice(
        event=event,
        pipeline=pipeline.pipeline,
        owner=pipeline.owner,
        day=file.window.day.isoformat(),
        run_id=file.run_id,
        uri=file.file.uri,
        fingerprint=file.fingerprint,
        reason=(file.error if event == "failed" else file.answer and file.answer.reason) or file.reason,
        rows_in=file.counts.rows_in,
        quarantined=file.counts.quarantined,
        rejected=file.counts.rejected,
        way_out=_WAYS_OUT[event].format(
            pipeline=pipeline.pipeline, name=shlex.quote(file.file.name), content=(file.fingerprint or "")[:16]
        ),
        link=ctx.pages.question if event == "waiting" else ctx.pages.run,
    )


def _events(file: FileRun) -> Iterator[str]:
    ends = {Status.WAITING: "waiting", Status.REJECTED: "rejected", Status.FAILED: "failed"}
    if file.status in ends:
        yield ends[file.status]
    elif file.warnings:
        yield "over_budget"


def _tell(section: NotifySection, notice: Notice) -> None:
    try:
        plugin = registry.find("notifiers", section.type)
        notifier: Notifier[Any] = plugin(plugin.Config(**section.options))
        notifier.tell(notice)
    except (
        Exception
    ) as error:  # a notifier's own fault stops no file; foreign errors may hold an address in their words
        words = error.message if isinstance(error, ForebayError) else type(error).__name__
        events.emit(
            events.NOTICE_FAILED,
            level=logging.WARNING,
            pipeline=notice.pipeline,
            notifier=section.type,
            uri=notice.uri,
            error=words,
        )
    else:
        events.emit(
            events.NOTICE_SENT, pipeline=notice.pipeline, notifier=section.type, uri=notice.uri, about=notice.event
        )
