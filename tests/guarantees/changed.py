"""A change of each field of the pipeline model, to be made while a file is half published. Paths are those of
`config.changes.EFFECTS`."""

from __future__ import annotations

import copy
from typing import Any

GONE = object()
"""The field is taken out."""

CHANGES: dict[str, Any] = {
    "pipeline": "other",  # a name of the test's own, see `changed`
    "owner": "somebody",
    "description": "other words",
    "tags": ["b"],
    "schedule.cron": "0 4 * * *",
    "schedule.timezone": "Etc/GMT",
    "schedule.start": "2020-01-01",
    "schedule.end": "2030-01-01",
    "source.path": "drops/{{ ds }}/*.cs?",
    "source.ready_when.marker": "_SUCCESS",
    "source.ready_when.quiet_for": "1s",
    "source.ready_when.expect.files": 1,
    "source.changed_content": "ignore",
    "source.compression": "none",
    "format.type": "parquet",
    "format.options": {"trim": True},
    "limits.memory": "4GiB",
    "limits.time": "20m",
    "limits.disk": "50GiB",
    "limits.unpacked": "10GiB",
    "limits.ratio": 100,
    "schema.columns": {"id": "int32", "name": "string", "day": "date"},
    "schema.on_drift.added": "block",
    "schema.on_drift.missing": "warn",
    "schema.on_drift.retyped": "warn",
    "quality.suite": "other",
    "quality.quarantine": "warning",
    "quality.block_when.quarantined_over": "50%",
    "quality.block_when.quarantined_count": 100,
    "quality.block_when.rules": {"name": "50%"},
    "quality.block_when.any_table_rule": "warning",
    "quality.warn_when.quarantined_over": "1%",
    "quality.warn_when.quarantined_count": 1,
    "quality.warn_when.rules": {"name": "1%"},
    "quality.history.nights": 20,
    "quality.history.min_nights": 3,
    "quality.history.rules": [{"metric": "row_count"}],
    "quality.notify": [{"type": "command", "command": ["true"]}],
    "quality.redact": ["name"],
    "quality.steward.on": "never",
    "quality.steward.timeout": "1h",
    "quality.steward.default": "publish",
    "quality.steward.users": ["ann"],
    "record.key": ["name"],
    "record.value.options": {"big_integers": "string"},
    "record.headers": "none",
    "record.timestamp": "day",
    "topic.name": "other",
    "topic.partitions": 3,
    "topic.replication": 3,
    "topic.config": {"retention.ms": 123_456_789},
    "topic.manage": "off",
    "topic.quarantine_retention": "30d",
    "publish.connection": "sister",
    "publish.lanes": 9,
    "publish.chunk.rows": 70,
    "publish.chunk.bytes": "1KiB",
    "publish.transaction_timeout": "20s",
    "publish.ledger_partitions": 2,
    "settle.type": "archive",
    "settle.options": {"path": "elsewhere/{{ ds }}"},
}

NOT_TRIED = {
    "source.type": "another store has the same bytes, and a file is its bytes; S3 has tests of its own",
    "source.connection": "as above: a local source refuses it",
    "schema.misfits": "refused beside declared columns; another share makes other rows, which is another plan",
    "source.options": "no source has settings of its own",
    "record.value.type": "there is one serializer",
    "record.partitioner.type": "there is one partitioner",
    "record.partitioner.options": "the one partitioner has none",
}


def base(name: str) -> dict[str, Any]:
    """The pipeline as it was when the file was begun: 120 rows of three columns, 100 a chunk."""
    return {
        "pipeline": name,
        "owner": "tests",
        "source": {"type": "local", "path": "drops/{{ ds }}/*.csv"},
        "format": {"type": "csv"},
        "schema": {"columns": {"id": "int64", "name": "string", "day": "date"}},
        "quality": {"suite": "rows", "steward": {"on": "block"}},
        "record": {"key": ["id"], "value": {"type": "json"}, "headers": "standard"},
        "topic": {"name": name, "partitions": 2, "manage": "create", "config": {"retention.ms": -1}},
        "publish": {"transaction_timeout": "10s", "chunk": {"rows": 100}},
        "settle": {"type": "keep"},
    }


def changed(document: dict[str, Any], path: str) -> dict[str, Any]:
    """The same pipeline with that one field changed (`settle.options` with the type that has them)."""
    new, value = copy.deepcopy(document), CHANGES[path]
    if path in {"pipeline", "topic.name"}:
        value = f"{document['pipeline']}-{value}"
    if path == "settle.type":
        return new | {"settle": {"type": value, "path": "done/{{ ds }}"}}
    if path == "settle.options":
        return new | {"settle": {"type": "archive", **value}}
    *sections, last = path.split(".")
    at = new
    for section in sections:
        at = at.setdefault(section, {})
    if last == "options":
        at.update(value)
    else:
        at[last] = value
    return new
