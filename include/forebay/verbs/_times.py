"""Record times from the file meet the topic's limits before the first record is sent: afterwards Kafka would delete or refuse the records."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from forebay.errors import PreflightError
from forebay.kafka import topics
from forebay.model import Stage
from forebay.verbs._rows import Limits, StagedRows
from forebay.verbs.context import Context

_FOR_EVER = 1 << 62


def refuse_times(ctx: Context, stage: Stage) -> None:
    """Nothing, unless `record.timestamp` is set and some row's time is one that the topic does not keep or take.

    A record older than `retention.ms` is deleted within minutes, by its own time and not by its age in the log; one that is further ahead than
    `message.timestamp.after.max.ms` (an hour by default), or behind `…before.max.ms`, fails its whole chunk (KIP-937).
    Raises `PreflightError` with the time that was found and the way out.
    """
    column, name = ctx.pipeline.record.timestamp, ctx.pipeline.topic.name
    if column is None:
        return
    found = topics.settings_of(ctx.kafka, name)
    oldest, newest = _span(ctx, stage)
    if oldest is None or newest is None or found.get("message.timestamp.type") == "LogAppendTime":
        return
    now = int(time.time() * 1000)
    where = f"publishing to `{name}`: column `{column}` has"
    if oldest < now - _limit(found, "retention.ms"):
        raise PreflightError(
            f"{where} {_moment(oldest)}, the topic keeps records of the last {_limit(found, 'retention.ms') / 86_400_000:g} days by that time and"
            " would delete it within minutes (set `topic.config: {retention.ms: -1}` and alter the topic, or leave `record.timestamp` out)",
            topic=name,
        )
    for key, far in (("message.timestamp.before.max.ms", now - oldest), ("message.timestamp.after.max.ms", newest - now)):
        if far > _limit(found, key):
            moment = _moment(oldest if "before" in key else newest)
            raise PreflightError(
                f"{where} {moment}, the topic refuses it by `{key}={found[key]}` (raise that, or leave `record.timestamp` out)", topic=name
            )


def _limit(found: dict[str, str], key: str) -> int:
    value = int(found.get(key) or _FOR_EVER)
    return _FOR_EVER if value < 0 else value


def _span(ctx: Context, stage: Stage) -> tuple[int | None, int | None]:
    """The oldest and the newest time of the stage's rows, in milliseconds since the epoch; None where there is none."""
    rows = StagedRows(stage, ctx.pipeline.record)
    with Limits().connect() as con:
        oldest, newest = con.sql(f"select min({rows.timestamp}), max({rows.timestamp}) from {rows.source}").fetchall()[0]
    return oldest, newest


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
