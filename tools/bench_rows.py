"""The rows of the benchmark (TPC-H lineitem), the project that reads them, and what is staged of them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".forebay" / "bench"
PARTITIONS = 4
DAY = "2026-01-05"
COLUMNS = {
    "l_orderkey": "int64",
    "l_partkey": "int64",
    "l_suppkey": "int64",
    "l_linenumber": "int32",
    "l_quantity": "decimal(15,2)",
    "l_extendedprice": "decimal(15,2)",
    "l_discount": "decimal(15,2)",
    "l_tax": "decimal(15,2)",
    "l_returnflag": "string",
    "l_linestatus": "string",
    "l_shipdate": "date",
    "l_commitdate": "date",
    "l_receiptdate": "date",
    "l_shipinstruct": "string",
    "l_shipmode": "string",
    "l_comment": "string",
}
SUITE = [
    ("expect_column_values_to_not_be_null", {"column": "l_orderkey"}),
    ("expect_compound_columns_to_be_unique", {"column_list": ["l_orderkey", "l_linenumber"]}),
    ("expect_column_values_to_be_between", {"column": "l_quantity", "min_value": 1, "max_value": 50}),
    ("expect_column_values_to_be_between", {"column": "l_discount", "min_value": 0, "max_value": 1}),
    ("expect_column_values_to_be_in_set", {"column": "l_returnflag", "value_set": ["A", "N", "R"]}),
    ("expect_column_values_to_be_in_set", {"column": "l_linestatus", "value_set": ["O", "F"]}),
    ("expect_column_value_lengths_to_be_between", {"column": "l_comment", "min_value": 1, "max_value": 44}),
    ("expect_table_row_count_to_be_between", {"min_value": 1, "max_value": 1_000_000_000}),
]
PIPELINE = """\
pipeline: {name}
owner: bench
source: {{type: local, path: "drops/{rows}/*.csv"}}
format: {{type: csv}}
schema: {{columns: {columns}}}
quality: {{suite: lineitem}}
record: {{key: [l_orderkey], headers: {headers}}}
topic: {{name: {name}, partitions: {partitions}, manage: create}}
"""


def drops(rows: int) -> Path:
    """The CSV of about that many rows, made once."""
    folder = HOME / "drops" / str(rows)
    if not (folder / "lineitem.csv").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            str(Path(sys.executable).with_name("tpchgen-cli")),
            "csv",
            "-s",
            str(rows / 6_001_215),
            "--tables",
            "lineitem",
            "-o",
            str(folder),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "lineitem.csv"


def project(rows: int, name: str, headers: str) -> Any:
    """A project with one pipeline and its suite of eight rules; returns its verbs' context."""
    from forebay.config.home import Project
    from forebay.config.load import load_pipeline
    from forebay.verbs.context import Context

    for folder in ("pipelines", "expectations"):
        (HOME / "include" / folder).mkdir(parents=True, exist_ok=True)
    text = PIPELINE.format(name=name, rows=rows, columns=json.dumps(COLUMNS), partitions=PARTITIONS, headers=headers)
    (HOME / "include/pipelines" / f"{name}.yaml").write_text(text)
    rules = [{"type": kind, "kwargs": kwargs, "severity": "critical"} for kind, kwargs in SUITE]
    (HOME / "include/expectations/lineitem.json").write_text(json.dumps({"name": "lineitem", "expectations": rules}))
    here = Project.find(HOME)
    return Context.of(load_pipeline(here, name), here)


def create(ctx: Any, name: str) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient(ctx.kafka)  # kept: its futures die with it
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result()


def staged(ctx: Any) -> tuple[Any, Any, Any]:
    """The file inspected, and its chunks encoded: what ceiling and publish begin with."""
    from forebay.encoding.encode import ChunkEncoder, plan_chunks
    from forebay.kafka import topics
    from forebay.model import Window
    from forebay.verbs.discover import discover
    from forebay.verbs.inspect import inspect, load

    topics.ensure(ctx.kafka, ctx.pipeline)
    file = discover(ctx, Window.of_day(date.fromisoformat(DAY)), "bench").files[0]
    file = inspect(ctx, file)
    assert file.decision is not None
    work, stage, verdict = load(ctx, file)
    aside = work.quarantine(file.decision)
    plan = plan_chunks(stage, verdict, ctx.pipeline, file.decision, aside)
    with ChunkEncoder(stage, verdict, ctx.pipeline, plan, aside) as encoder:
        return file, plan, [encoder.encode_chunk(n) for n in range(plan.chunks)]
