"""Record times from the file meet the topic's limits before the first record is sent: afterwards Kafka would delete or
refuse the records.

A row whose time no record can have, or that is further ahead than the topic takes, is quarantined
(`encoding/quarantine_rows.py`). Times that the topic would delete at once are those of a whole delivery, not of a row:
that file fails, and says what to set.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from forebay.encoding.rows import StagedRows, in_its_room
from forebay.errors import CorruptFileError
from forebay.model import Stage
from forebay.verbs.context import Context

_FOR_EVER = 1 << 62


def latest(ctx: Context) -> int | None:
    """The latest time, in milliseconds since the epoch, that the topic takes of a record now: an hour ahead by default
    (`message.timestamp.after.max.ms`, KIP-937). None when `record.timestamp` is not set, or the topic writes times of
    its own."""
    if ctx.pipeline.record.timestamp is None:
        return None
    settings = ctx.topic_settings
    if settings.get("message.timestamp.type") == "LogAppendTime":
        return None
    return int(time.time() * 1000) + _limit(settings, "message.timestamp.after.max.ms")


def refuse_times(ctx: Context, stage: Stage) -> None:
    """Nothing, unless `record.timestamp` is set and some row's time is one that the topic does not keep or take any
    more.

    A record older than `retention.ms` is deleted within minutes, by its own time and not by its age in the log; one
    that is further behind than `message.timestamp.before.max.ms` fails its whole chunk (KIP-937). Raises
    `CorruptFileError` with the time that was found and the way out.
    """
    column, name = ctx.pipeline.record.timestamp, ctx.pipeline.topic.name
    if column is None:
        return
    settings = ctx.topic_settings
    oldest = _oldest(ctx, stage)
    if oldest is None or settings.get("message.timestamp.type") == "LogAppendTime":
        return
    behind = int(time.time() * 1000) - oldest
    where = f"publishing to `{name}`: column `{column}` has {datetime.fromtimestamp(oldest / 1000, UTC).isoformat()}"
    if behind > _limit(settings, "retention.ms"):
        raise CorruptFileError(
            f"{where}, the topic keeps records of the last {_limit(settings, 'retention.ms') / 86_400_000:g} days by "
            "that time and"
            " would delete it within minutes (set `topic.config: {retention.ms: -1}` and alter the topic, "
            "or leave `record.timestamp` out)",
            topic=name,
        )
    if behind > _limit(settings, key := "message.timestamp.before.max.ms"):
        raise CorruptFileError(
            f"{where}, the topic refuses it by `{key}={settings[key]}` (raise that, or leave `record.timestamp` out)",
            topic=name,
        )


def _limit(settings: dict[str, str], key: str) -> int:
    value = int(settings.get(key) or _FOR_EVER)
    return _FOR_EVER if value < 0 else value


def _oldest(ctx: Context, stage: Stage) -> int | None:
    """The oldest time after 1970 of the stage's rows (those before are quarantined), in milliseconds since the epoch;
    None where there is none."""
    rows = StagedRows(stage, ctx.pipeline.record)
    with in_its_room(stage), ctx.limits.connect() as con:
        oldest: int | None = con.sql(
            f"select min({rows.timestamp}) from {rows.source} where {rows.timestamp} > 0"
        ).fetchall()[0][0]
    return oldest
