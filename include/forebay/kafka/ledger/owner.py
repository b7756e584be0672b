"""Whose a ledger is. Its name, and the transactional.ids beside it, hang on the pipeline's name alone; two projects on
one cluster may use the same.

So each record says for which topic and from which source it was written (`entries.Owner`), and whoever is about to
believe the ledger holds the latest record against the pipeline: another topic or source is another project, unless this
very project wrote that record and was edited since. A person may take a ledger over, which is a record too (a
completion of no rows), so that every worker knows. Records of earlier versions name no owner; their topic is known from
their offset ranges, and a ledger of that topic is taken for the project's own.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from forebay import __version__, events
from forebay.errors import PreflightError
from forebay.kafka import client
from forebay.kafka.ledger import backup
from forebay.kafka.ledger.entries import LANES, TAKEN, Completion, FileEntry, Origin, Owner, dump, partition_of
from forebay.kafka.ledger.guard import Guard, LedgerHome
from forebay.kafka.ledger.reader import opened
from forebay.model import Identity, SourceFile

if TYPE_CHECKING:
    from forebay.config.pipeline import Pipeline
    from forebay.kafka.ledger.view import LedgerView

_FINGERPRINT = hashlib.sha256(TAKEN.encode()).hexdigest()


def of(pipeline: Pipeline) -> Owner:
    """What the records of a pipeline say of it."""
    source = pipeline.source
    return Owner(pipeline.topic.name, f"{source.type}:{source.connection or ''}:{source.path}")


def check(view: LedgerView, pipeline: Pipeline, keep: LedgerHome | None = None) -> None:
    """Refuse a ledger whose latest record is another project's. Raises `PreflightError` with the ways out.

    With `keep` it is remembered which owner was this project's, so that a source that is edited here is no other
    project.
    """
    owner, mine = view.owner(), of(pipeline)
    guard = Guard(keep, pipeline.pipeline) if keep else None
    before = guard.owner(view.topic_id) if guard else None
    if owner is not None and not _same(owner, mine) and (owner.topic != mine.topic or owner != before):
        raise PreflightError(_words(pipeline, owner, mine), topic=pipeline.ledger_topic)
    if owner is not None and not owner.source and before is None:
        events.emit(events.LEDGER_ADOPTED, topic=pipeline.ledger_topic, data_topic=mine.topic)
    if guard and (owner is None or _same(owner, mine)) and before != (owner or mine):
        guard.owned(view.topic_id, owner or mine)


def _same(owner: Owner, mine: Owner) -> bool:
    return owner.topic == mine.topic and owner.source in {"", mine.source}


def _words(pipeline: Pipeline, owner: Owner, mine: Owner) -> str:
    name = pipeline.pipeline
    theirs = f"topic `{owner.topic}`" + (f" from `{owner.source}`" if owner.source else "")
    return (
        f"reading ledger of `{name}`: it is another project's, or this one's before a change: "
        f"it was written last for {theirs}, this "
        f"pipeline says topic `{mine.topic}` from `{mine.source}` (another project on this cluster: "
        "give one of the two pipelines another name, "
        f'and it gets a ledger of its own; this same project: `forebay ledger take {name} --reason "…"`, '
        "and what is published stays where it is)"
    )


def take(config: client.Config, pipeline: Pipeline, keep: LedgerHome, who: str, reason: str) -> Owner | None:
    """Go on with a ledger as the pipeline says now, by a person's decision; returns whose it was, None when it is this
    project's already."""
    mine = of(pipeline)
    with opened(config, pipeline, keep) as view:
        owner = view.owner()
        if owner is None or _same(owner, mine):
            return None
        taken = _record(pipeline, view, Completion(reason, decided_by=who, decision_reason=reason))
    backup.write(config, pipeline, [(partition_of(_FINGERPRINT, view.partitions), taken.key, dump(taken.to_json()))])
    return owner


def _record(pipeline: Pipeline, view: LedgerView, completion: Completion) -> FileEntry:
    """Later than any other record, whatever the clocks of other machines say."""
    generation = max(view.generations(_FINGERPRINT), default=0) + 1
    at = max(datetime.now(UTC), view.latest() + timedelta(milliseconds=1))
    origin = Origin(ledger_partitions=view.partitions, code_version=__version__, lanes=LANES, owner=of(pipeline))
    file, nobody = SourceFile(TAKEN, 0, 0.0), Identity(f"take__{at:%Y%m%dT%H%M%S%f}", "")
    return FileEntry(
        pipeline.pipeline,
        file,
        _FINGERPRINT,
        generation,
        0,
        0,
        0,
        0,
        0,
        "",
        origin,
        replace(completion, decided_at=at),
        nobody,
        at,
    )
