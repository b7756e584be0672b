"""Stages, verdicts and what is encoded of them, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from forebay.config.pipeline import Pipeline
from forebay.contracts import causes
from forebay.encoding.encode import ChunkEncoder, compose_quarantine, plan_chunks
from forebay.kafka.publish.records import EncodedChunk
from forebay.model import Cause, Column, Decision, RuleResult, Severity, Stage, Verdict

FP = "0123456789abcdef" * 4
REJECTS = pa.schema(
    {
        "__row": pa.int64(),
        "step": pa.string(),
        "columns": pa.list_(pa.string()),
        "causes": causes.arrow(),
        "raw": pa.binary(),
    }
)


def pipeline(key: str | Sequence[str] = "id", **changes: Any) -> Pipeline:
    record = {"key": key, **changes.pop("record", {})}
    base = {
        "pipeline": "p",
        "owner": "o",
        "source": {"type": "local", "path": "x"},
        "format": {"type": "csv"},
        "topic": {"name": "t", "partitions": 5},
    }
    return Pipeline.model_validate({**base, "record": record, **changes})


RAW = b""
"""What rows that could not be read hold; nothing: their number."""


def make_stage(folder: Path, table: pa.Table, rejects: Sequence[int] = ()) -> Stage:
    """A stage of `table`; the physical rows in `rejects` could not be read, the table's rows are the others."""
    rows_in = len(table) + len(rejects)
    numbers = [n for n in range(1, rows_in + 1) if n not in set(rejects)]
    columns = tuple(Column(field.name, str(field.type)) for field in table.schema)
    pq.write_table(
        table.append_column("__row", pa.array(numbers, pa.int64())), folder / "rows.parquet", row_group_size=1000
    )
    lines = [
        {
            "__row": n,
            "step": "parse",
            "columns": ["id"],
            "causes": [Cause(detail="too few columns").to_json()],
            "raw": RAW or b"raw %d" % n,
        }
        for n in rejects
    ]
    pq.write_table(pa.Table.from_pylist(lines, REJECTS), folder / "rejects.parquet")
    return Stage(FP, folder / "rows.parquet", folder / "rejects.parquet", columns, rows_in, len(rejects), 1)


def make_verdict(folder: Path, failing: dict[int, list[int]], *rules: tuple[str, Severity]) -> Verdict:
    """A verdict in which row `n` fails the rules (positions) `failing[n]`; a rule is a column and a severity."""
    path = folder / "failing.parquet"
    rows = pa.table(
        {"__row": pa.array(failing, pa.int64()), "rules": pa.array(list(failing.values()), pa.list_(pa.int32()))}
    )
    pq.write_table(rows, path)
    results = [
        RuleResult("expect_column_values_to_not_be_null", (column,), severity, "row", False, expected='{"mostly": 1}')
        for column, severity in rules
    ]
    return Verdict(FP, "suite", "5f" * 32, tuple(results), path)


def numbered(rows: int, **more: Any) -> pa.Table:
    return pa.table(
        {"id": pa.array(range(rows), pa.int64()), "name": pa.array([f"n{n}" for n in range(rows)], pa.string()), **more}
    )


class Made:
    """A stage taken all the way: quarantine, plan, chunks."""

    def __init__(self, folder: Path, table: pa.Table, config: Pipeline, **options: Any) -> None:
        self.stage = make_stage(folder, table, options.pop("rejects", ()))
        self.verdict: Verdict | None = options.pop("verdict", None)
        self.decision: Decision = options.pop("decision", Decision.PUBLISH)
        self.config, self.path = config, folder / "work" / "quarantine.parquet"
        self.count = compose_quarantine(self.stage, self.verdict, config, self.decision, self.path, **options)
        self.plan = plan_chunks(self.stage, self.verdict, config, self.decision, self.path)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return pq.read_table(self.path).to_pylist()

    def encoder(self, **options: Any) -> ChunkEncoder:
        return ChunkEncoder(self.stage, self.verdict, self.config, self.plan, self.path, **options)

    def chunks(self) -> list[EncodedChunk]:
        with self.encoder() as encoder:
            return [encoder.encode_chunk(n) for n in range(self.plan.chunks)]

    def values(self) -> list[bytes]:
        return [value for chunk in self.chunks() for value in chunk.records.values.to_pylist()]


def everything(chunk: EncodedChunk) -> tuple[Any, ...]:
    """All that a chunk says, as plain Python."""
    records, quarantine = chunk.records, chunk.quarantine
    times = records.timestamps.to_pylist() if records.timestamps is not None else None
    columns = [records.values, records.keys, records.partitions, records.rows, quarantine.values, quarantine.rows]
    return (
        chunk.first_row,
        chunk.last_row,
        chunk.rows_in,
        *(c.to_pylist() for c in columns),
        times,
        list(quarantine.reasons),
    )
