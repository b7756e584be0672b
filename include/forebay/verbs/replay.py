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
from typing import TYPE_CHECKING

from forebay.errors import ConfigError
from forebay.model import Json
from forebay.support.folders import private
from forebay.support.words import counted
from forebay.verbs import repair
from forebay.verbs._replay.check import Still, judge
from forebay.verbs._replay.origin import known
from forebay.verbs._replay.publication import EditedFile, OvertakenError, Publication
from forebay.verbs.context import Context
from forebay.verbs.repair import Origin
from forebay.verbs.run import prepare

if TYPE_CHECKING:
    import pyarrow as pa

_ATTEMPTS = 3


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
    source = EditedFile.of(path)
    return [_attempts(ctx, origin, rows, source, who, reason) for origin, rows in parts.items()]


def _attempts(ctx: Context, origin: Origin, rows: pa.Table, source: EditedFile, who: str, reason: str) -> Replayed:
    for _ in range(_ATTEMPTS - 1):
        try:
            return _replay_origin(ctx, origin, rows, source, who, reason)
        except OvertakenError:  # what is left is found anew
            continue
    return _replay_origin(ctx, origin, rows, source, who, reason)


def _replay_origin(ctx: Context, origin: Origin, rows: pa.Table, source: EditedFile, who: str, reason: str) -> Replayed:
    import pyarrow as pa
    import pyarrow.compute as pc

    at = datetime.now(UTC)
    numbers = rows["__row"].to_pylist()
    entry, aside, done, known_by = known(ctx, origin, source.path, set(numbers))
    strangers = sorted(set(numbers) - aside)
    if strangers:
        raise ConfigError(
            f"replaying `{source.path}`: row {strangers[0]} of `{entry.file.uri}` was never quarantined "
            f"(take out what was never quarantined: {counted(len(strangers), 'row')})"
        )
    left = rows.filter(pc.invert(pc.is_in(rows["__row"], pa.array(sorted(done), pa.int64()))))
    outcome = Replayed(entry.file.uri, origin.fingerprint, origin.generation, len(rows), 0, len(rows) - len(left), ())
    if not len(left):
        return outcome
    with _scratch(ctx) as folder:
        stage, still, note = judge(ctx, entry, left, source.path, folder)
        outcome = replace(outcome, still=still, note="; ".join(filter(None, (known_by, note))) or None)
        if not stage.rows_in:
            return outcome
        publication = Publication(ctx, entry, stage, source, who, reason, folder, at)
        return replace(outcome, published=publication.publish(), run_id=publication.run_id)


@contextlib.contextmanager
def _scratch(ctx: Context) -> Iterator[Path]:
    folder = ctx.project.home / "work" / ctx.pipeline.pipeline / f".replay-{uuid.uuid4().hex}"
    private(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
