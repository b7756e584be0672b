"""One pipeline and one file, taken the real way without a broker: YAML, check, discover, inspect in its child, gate,
encode. What came of it, to be compared."""

from __future__ import annotations

import copy
import json
import os
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import yaml

from forebay.config.connections import EnvironmentConnections
from forebay.config.home import Project
from forebay.config.load import load_pipeline
from forebay.config.pipeline import Pipeline
from forebay.errors import SettingsError
from forebay.model import Column, FileRun, Plan, Stage, Status, Window
from forebay.verbs.context import Context
from tests.verbs.published import Ledger

DAY = date(2026, 1, 5)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp()
ROWS = b"id,name,amount,day\n1,ann,1.50,2026-01-05\n2,bo,2.50,2026-01-05\n3,cy,3.50,2026-01-05\n"
SUITE = {
    "name": "s",
    "expectations": [
        {
            "type": "expect_column_values_to_be_in_set",
            "kwargs": {"column": "name", "value_set": ["ann", "bo"]},
            "severity": "warning",
        },
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "id", "min_value": 2},
            "severity": "critical",
        },
        {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 9}, "severity": "warning"},
    ],
}

BASE: dict[str, Any] = {
    "pipeline": "keys",
    "owner": "tests",
    "schedule": {"cron": "0 2 * * *"},
    "source": {"type": "local", "path": "drops/{{ ds }}/*.csv"},
    "format": {"type": "csv"},
    "schema": {"columns": {"id": "int64", "name": "string", "amount": "decimal(10,2)", "day": "date"}},
    "record": {"key": ["id"]},
    "topic": {"name": "keys", "partitions": 4},
}
GONE = object()


def changed(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A pipeline with these places set (`GONE`: taken out)."""
    new = copy.deepcopy(document)
    for path, value in changes.items():
        *sections, last = path.split(".")
        at = new
        for section in sections:
            at = at.setdefault(section, {})
        if value is GONE:
            at.pop(last, None)
        else:
            at[last] = copy.deepcopy(value)
    return new


@dataclass
class Trial:
    """A project of one pipeline and some files; each verb is called when what it gives is asked for."""

    root: Path
    changes: dict[str, Any]
    files: dict[str, bytes]
    suite: dict[str, Any] | None = None
    kept: dict[str, bytes] | None = None
    """Files that were published before, and what they held."""
    pins: dict[str, str] | None = None
    """Columns that an earlier file pinned."""
    environment: dict[str, str] = field(default_factory=dict)
    _inspected: FileRun | None = None

    def __post_init__(self) -> None:
        for folder in ("pipelines", "expectations"):
            (self.root / "include" / folder).mkdir(parents=True)
        (self.root / "include/pipelines/keys.yaml").write_text(
            yaml.safe_dump(changed(BASE, self.changes), sort_keys=False)
        )
        if self.suite:
            (self.root / "include/expectations/s.json").write_text(json.dumps(self.suite))
        for name, content in self.files.items():
            path = self.root / "drops" / DAY.isoformat() / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, (NOON - 100, NOON - 100))
        self.project = Project(self.root, self.root / ".forebay")

    @property
    def faults(self) -> str:
        """What check says of the pipeline file; nothing if it is right."""
        try:
            _ = self.pipeline
        except SettingsError as error:
            return " | ".join(fault.message for fault in error.faults)
        return ""

    @property
    def pipeline(self) -> Pipeline:
        return load_pipeline(self.project, self.changes.get("pipeline", "keys"))

    @property
    def context(self) -> Context:
        ctx = Context.of(self.pipeline, self.project, EnvironmentConnections(self.environment))
        ctx.__dict__.update(kafka={"bootstrap.servers": "none.invalid:1"}, topic_settings={})
        if self.pins:
            ctx.__dict__["pins"] = {"columns": tuple(Column(*pin) for pin in self.pins.items()), "begun": {}}
        return ctx

    def plan(self) -> Plan:
        """discover, against a ledger that knows `kept`."""
        from forebay.verbs.discover import discover

        ctx, ledger = self.context, Ledger()
        for name, content in (self.kept or {}).items():
            listed = {file.name: file for file in ctx.source.list(f"drops/{DAY}/*")}
            ledger.publish(listed[name], content)
        return discover(
            ctx, Window.of_day(DAY, ctx.pipeline.timezone), "run-1", published=ledger.view, now=lambda: NOON
        )

    def inspected(self) -> FileRun:
        """The first file, inspected and decided upon by the gate."""
        from forebay.verbs import _pins
        from forebay.verbs.inspect import inspect

        if self._inspected is None:
            with patch.object(_pins, "open_ledger", lambda _: nullcontext(Ledger().view)):
                self._inspected = inspect(self.context, self.plan().files[0])
        return self._inspected

    @property
    def told(self) -> str:
        """All words about the file: its status, error, reason, decision and notes."""
        file = self.inspected()
        words = (file.status, file.error, file.reason, file.answer.reason if file.answer else None, *file.notes)
        return " | ".join(str(word) for word in words if word)

    def stage(self) -> Stage:
        from forebay.verbs.inspect import load

        file = self.inspected()
        assert file.status is not Status.FAILED, file.error
        return load(self.context, file)[1]

    def staged(self) -> list[dict[str, Any]]:
        """The rows of the stage, without their numbers."""
        return [
            {name: value for name, value in row.items() if name != "__row"}
            for row in pq.read_table(self.stage().rows).to_pylist()
        ]

    def aside(self) -> list[tuple[int, str]]:
        """Quarantined rows, each with its reason."""
        from forebay.model import Decision
        from forebay.verbs.inspect import load

        file = self.inspected()
        assert file.counts.rows_in, file.error
        work, _, _ = load(self.context, file)
        return [(row["__row"], row["reason"]) for row in pq.read_table(work.quarantine(Decision.PUBLISH)).to_pylist()]

    def chunks(self) -> list[Any]:
        """The file's chunks, encoded."""
        from forebay.encoding.encode import ChunkEncoder, plan_chunks
        from forebay.model import Decision
        from forebay.verbs.inspect import load

        file = self.inspected()
        assert file.counts.rows_in, file.error
        work, stage, verdict = load(self.context, file)
        aside = work.quarantine(Decision.PUBLISH)
        plan = plan_chunks(stage, verdict, self.pipeline, Decision.PUBLISH, aside, limits=self.context.limits)
        with ChunkEncoder(stage, verdict, self.pipeline, plan, aside, limits=self.context.limits) as encoder:
            return [encoder.encode_chunk(n) for n in range(plan.chunks)]

    def values(self) -> list[Any]:
        return [
            json.loads(value, parse_float=str) for chunk in self.chunks() for value in chunk.records.values.to_pylist()
        ]
