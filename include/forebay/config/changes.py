"""What it does to change a setting while a file is half published: some of its chunks are committed, and the rest is
not.

One line for each field of the pipeline model (a field without one fails the build:
tests/guarantees/test_changed_settings.py, which changes each between a kill and the retry, against a real broker).
docs/changed-settings.md is made of it.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from forebay.config.pipeline import Pipeline
from forebay.contracts import Settings


class Effect(StrEnum):
    """What becomes of the half published file at the next attempt."""

    NONE = "no effect on identity"
    """It is completed: each row once, in one topic."""
    PLAN = "refused as another plan"
    """What decides its records would differ. Put back, it is completed; or it is published anew, as a new
    generation."""
    REFUSED = "refused before anything is published"
    """The setting does not fit what is there. Put back, it is completed."""
    ANOTHER = "another pipeline"
    """Another ledger: nothing is known of what was published under the old one, and everything is published once
    more."""


_SUITE = "the suite's content counts, not its name: an edited suite is another plan too"
_STAGE = "decides what the file's rows are"
_LIMIT = "a file that breaks it is not read at all, and is completed when it is raised"
_OTHER_PLUGIN = "and the plug-in's own settings, each with its default where it is not written"

EFFECTS: dict[str, tuple[Effect, str]] = {
    "pipeline": (
        Effect.ANOTHER,
        "the name is the ledger's, the quarantine topic's and the ids': finish what is begun, then rename",
    ),
    "owner": (Effect.NONE, ""),
    "description": (Effect.NONE, ""),
    "tags": (Effect.NONE, ""),
    "schedule.cron": (Effect.NONE, ""),
    "schedule.timezone": (Effect.NONE, "which files a night has may change; a file is known by its bytes"),
    "schedule.start": (Effect.NONE, ""),
    "schedule.end": (Effect.NONE, ""),
    "source.type": (Effect.NONE, "a file is known by its bytes, wherever they lie"),
    "source.path": (Effect.NONE, "a file is known by its bytes, wherever they lie"),
    "source.connection": (Effect.NONE, "a file is known by its bytes, wherever they lie"),
    "source.ready_when.marker": (Effect.NONE, "the rest waits until the window is complete"),
    "source.ready_when.quiet_for": (Effect.NONE, "the rest waits until the file is quiet"),
    "source.ready_when.expect.files": (Effect.NONE, "the rest waits until the window is complete"),
    "source.changed_content": (Effect.NONE, ""),
    "source.compression": (Effect.PLAN, _STAGE),
    "source.options": (Effect.NONE, "a file is known by its bytes, wherever they lie"),
    "format.type": (
        Effect.PLAN,
        f"{_STAGE}; a file that cannot be read so fails, and is completed when it is put back",
    ),
    "format.options": (Effect.PLAN, f"{_STAGE}; a default that is written down is no change"),
    "limits.memory": (Effect.NONE, _LIMIT),
    "limits.time": (Effect.NONE, _LIMIT),
    "limits.disk": (Effect.NONE, _LIMIT),
    "limits.unpacked": (Effect.NONE, _LIMIT),
    "limits.ratio": (Effect.NONE, _LIMIT),
    "schema.columns": (Effect.PLAN, _STAGE),
    "schema.on_drift.added": (Effect.NONE, "the file may be held back"),
    "schema.on_drift.missing": (Effect.NONE, "the file may be held back"),
    "schema.on_drift.retyped": (Effect.NONE, "the file may be held back"),
    "schema.misfits": (
        Effect.NONE,
        "where it infers the same types and quarantines the same rows; otherwise it is another plan",
    ),
    "quality.suite": (Effect.PLAN, _SUITE),
    "quality.quarantine": (Effect.PLAN, "decides which rows are quarantined"),
    "quality.block_when.quarantined_over": (
        Effect.NONE,
        "the file may be held back; what consumers have seen in part cannot be rejected",
    ),
    "quality.block_when.quarantined_count": (Effect.NONE, "as above"),
    "quality.block_when.rules": (Effect.NONE, "as above"),
    "quality.block_when.any_table_rule": (Effect.NONE, "as above"),
    "quality.warn_when.quarantined_over": (Effect.NONE, ""),
    "quality.warn_when.quarantined_count": (Effect.NONE, ""),
    "quality.warn_when.rules": (Effect.NONE, ""),
    "quality.history.nights": (Effect.NONE, "the file may be held back"),
    "quality.history.min_nights": (Effect.NONE, "the file may be held back"),
    "quality.history.rules": (Effect.NONE, "the file may be held back"),
    "quality.notify": (Effect.NONE, ""),
    "quality.redact": (Effect.NONE, "reasons of quarantined rows from then on do not show the values"),
    "quality.steward.on": (Effect.NONE, ""),
    "quality.steward.timeout": (Effect.NONE, ""),
    "quality.steward.default": (Effect.NONE, ""),
    "quality.steward.users": (Effect.NONE, ""),
    "record.key": (Effect.PLAN, "decides the records' keys and partitions"),
    "record.value.type": (Effect.PLAN, f"decides the records' values, {_OTHER_PLUGIN}"),
    "record.value.options": (Effect.PLAN, "decides the records' values; a default that is written down is no change"),
    "record.headers": (Effect.PLAN, "decides the records' headers"),
    "record.timestamp": (Effect.PLAN, "decides the records' times"),
    "record.partitioner.type": (Effect.PLAN, f"decides the records' partitions, {_OTHER_PLUGIN}"),
    "record.partitioner.options": (
        Effect.PLAN,
        "decides the records' partitions; a default that is written down is no change",
    ),
    "topic.name": (
        Effect.REFUSED,
        "half of the file would lie in each topic; a ledger that is taken over (`forebay ledger take`) refuses it as "
        "another plan",
    ),
    "topic.partitions": (Effect.REFUSED, "keys would go elsewhere: the topic's own count counts"),
    "topic.replication": (Effect.NONE, "used when the topic is made"),
    "topic.config": (
        Effect.NONE,
        "used when the topic is made; a lower `max.message.bytes` of the topic itself is another plan if it sets "
        "other rows aside",
    ),
    "topic.manage": (Effect.NONE, ""),
    "topic.quarantine_retention": (Effect.NONE, "used when the quarantine topic is made"),
    "publish.connection": (
        Effect.NONE,
        "as long as it leads to the same cluster; another cluster has another ledger: there the file is a new one",
    ),
    "publish.lanes": (Effect.NONE, "what fences a file's publishers is a function of its bytes"),
    "publish.chunk.rows": (Effect.PLAN, "where the file is cut"),
    "publish.chunk.bytes": (Effect.PLAN, "where the file is cut; no change where it is cut at the same rows"),
    "publish.transaction_timeout": (Effect.NONE, ""),
    "publish.ledger_partitions": (Effect.REFUSED, "a file's records would be looked for where they are not"),
    "settle.type": (Effect.NONE, ""),
    "settle.options": (Effect.NONE, ""),
}


def fields(model: type[Settings] = Pipeline, before: tuple[str, ...] = ()) -> Iterator[str]:
    """Every field of the pipeline model as it is written in YAML: sections by their fields, lists and tables of
    settings as one."""
    for name, field in model.model_fields.items():
        path = (*before, field.alias or name)
        section = _section(field.annotation)
        if section is None:
            yield ".".join(path)
        else:
            yield from fields(section, path)


def _section(annotation: Any) -> type[Settings] | None:
    """The settings that a field is, optional or not."""
    if typing.get_origin(annotation) in {tuple, list, dict}:
        return None
    kinds = (annotation, *typing.get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Settings)), None)


def page() -> str:
    """docs/changed-settings.md."""
    lines = [f"| `{name}` | {EFFECTS[name][0].value} | {EFFECTS[name][1]} |" for name in fields()]
    return _HEAD + "\n".join(lines) + "\n"


_HEAD = """\
# Settings changed in mid-file

Generated (`make docs`); do not edit. A publish is killed when some chunks of a file are committed; then one setting of its pipeline is changed, and the same night is run again. What happens, setting by
setting, is tried on a real broker and judged by a plain consumer (`tests/guarantees/test_changed_settings.py`): each row is once in one topic, or the file is refused and the way out that is named works.

- **no effect on identity**: the file is completed, each row once.
- **refused as another plan**: its records would not be those that were begun. Put the setting back and run again: it is completed. Or publish it anew as a new generation, which repeats the committed part.
- **refused before anything is published**: the setting does not fit the topics. Put it back and run again.
- **another pipeline**: a new ledger knows nothing of the old one's files.

A file that is complete is never touched by a change: the ledger says that it is published. The versions of forebay, DuckDB, pyarrow, numpy and Python count as settings that are refused as another plan.

| setting | changed in mid-file | why |
|---|---|---|
"""  # noqa: E501
