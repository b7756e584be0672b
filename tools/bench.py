"""`make bench`: what forebay costs, as ratios taken in one run on one broker; writes docs/benchmarks.md.

Four ways of the same rows (TPC-H lineitem from PyPI's tpchgen-cli), each in a process of its own, each to a topic of 4 partitions, lz4, acks=all:

    ceiling      a bare `Producer.produce` loop over the same encoded bytes, made before the clock starts, as Python objects
    publish      forebay's publish alone: chunks made before the clock starts, transactions, ledger, offsets
    script       polars reads the CSV, makes JSON, produces; nothing is checked, nothing is remembered
    whole job    forebay run: fetch, stage, eight rules by Great Expectations, quarantine, publish with ledger, to the last commit
    and proof    the same to the run's end: every record read back and counted, settled, reported
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
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

Result = dict[str, Any]


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
    from forebay.kafka import topics
    from forebay.model import Window
    from forebay.verbs.discover import discover
    from forebay.verbs.encode import ChunkEncoder, plan_chunks
    from forebay.verbs.inspect import inspect, load

    topics.ensure(ctx.kafka, ctx.pipeline)
    file = discover(ctx, Window.of_day(date.fromisoformat(DAY)), "bench").files[0]
    file = inspect(ctx, file)
    work, stage, verdict = load(ctx, file)
    aside = work.quarantine(file.decision)
    plan = plan_chunks(stage, verdict, ctx.pipeline, file.decision, aside)
    with ChunkEncoder(stage, verdict, ctx.pipeline, plan, aside) as encoder:
        return file, plan, [encoder.encode_chunk(n) for n in range(plan.chunks)]


def ceiling(rows: int, name: str, headers: str) -> Result:
    """The bare loop: same values, keys and partitions, one idempotent producer, no transaction."""
    from confluent_kafka import Producer

    from forebay.kafka.driver import PRODUCER

    ctx = project(rows, name, headers)
    _, _, chunks = staged(ctx)
    producer = Producer({**ctx.kafka, **PRODUCER, "acks": "all", "enable.idempotence": True})
    producer.list_topics(name, 10)  # connected before the clock starts
    rows_as_bytes = [row for chunk in chunks for row in _rows(chunk.records)]
    started = time.perf_counter()
    _loop(producer, name, rows_as_bytes)
    assert producer.flush(120) == 0
    return {"records": len(rows_as_bytes), "seconds": time.perf_counter() - started}


def _rows(records: Any) -> Any:
    return zip(records.values.to_pylist(), records.keys.to_pylist(), records.partitions.to_pylist(), strict=True)


def _loop(producer: Any, topic: str, rows: list[tuple[bytes, bytes, int]]) -> None:
    """As lean as Python can: nothing but `produce`, and a `poll` when the queue is full."""
    produce, poll = producer.produce, producer.poll
    for value, key, partition in rows:
        try:
            produce(topic, value, key, partition)
        except BufferError:
            poll(0.1)
            produce(topic, value, key, partition)


def publish(rows: int, name: str, headers: str) -> Result:
    """forebay's publish of chunks that are already encoded."""
    from forebay.kafka.ledger import Origin
    from forebay.kafka.publisher import PublishJob, publish_file
    from forebay.kafka.records import Headers
    from forebay.model import Identity

    ctx = project(rows, name, headers)
    file, plan, chunks = staged(ctx)
    identity = Identity("bench", "0" * 36)
    job = PublishJob(
        ctx.kafka,
        ctx.pipeline,
        file.file,
        file.fingerprint,
        plan,
        chunks.__getitem__,
        identity,
        Headers.of(headers, name, file.file, file.fingerprint, 1, identity),
        Origin(ledger_partitions=1),
    )
    started = time.perf_counter()
    receipts = publish_file(job)
    return {"records": sum(r.published for r in receipts), "seconds": time.perf_counter() - started, "chunks": len(receipts)}


def script(rows: int, name: str, headers: str) -> Result:
    """What a good engineer writes in an afternoon: polars, JSON, produce. No check, no ledger, no transaction."""
    from confluent_kafka import Producer

    ctx = project(rows, name, headers)
    create(ctx, name)
    started = time.perf_counter()
    import polars as pl

    frame = pl.read_csv(drops(rows), try_parse_dates=True)
    keys = frame["l_orderkey"].cast(pl.String).to_list()
    values = frame.select(pl.struct(pl.all()).struct.json_encode()).to_series().to_list()
    producer = Producer({**ctx.kafka, "acks": "all", "enable.idempotence": True, "compression.type": "lz4", "linger.ms": 50, "batch.size": 1_000_000}
                        | {"queue.buffering.max.messages": 2_000_000, "queue.buffering.max.kbytes": 262_144, "partitioner": "murmur2_random"})  # fmt: skip
    produce, poll = producer.produce, producer.poll
    for n, (key, value) in enumerate(zip(keys, values, strict=True)):
        while True:
            try:
                produce(name, value, key)
                break
            except BufferError:
                poll(0.1)
        if not n % 10_000:
            poll(0)
    assert producer.flush(120) == 0
    return {"records": len(values), "seconds": time.perf_counter() - started}


def job(rows: int, name: str, headers: str) -> Result:
    """The whole way of the file, everything on; imports included."""
    ctx = project(rows, name, headers)
    from forebay import events
    from forebay.model import Window
    from forebay.verbs.run import run_window

    assert ctx.kafka
    marks: list[tuple[str, float]] = []
    events.listen(lambda event, _: marks.append((event, time.perf_counter())))
    started = time.perf_counter()
    run = run_window(ctx, Window.of_day(date.fromisoformat(DAY)))
    seconds = time.perf_counter() - started
    assert run.status == "done", run
    steps = {event: round(at - started, 2) for event, at in marks if event.startswith("file.")}
    return {"records": run.files[0].published, "seconds": steps["file.published"], "whole": seconds, "steps": steps}


WAYS: dict[str, Callable[[int, str, str], Result]] = {"ceiling": ceiling, "publish": publish, "script": script, "whole job": job}


def child(way: str, rows: int, name: str, headers: str) -> None:
    """One measurement; prints it as JSON. CPU seconds are of the timed part and what came before it."""
    result = WAYS[way](rows, name, headers)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result |= {"cpu": usage.ru_utime + usage.ru_stime, "rss_mb": usage.ru_maxrss / 1024}
    print(json.dumps(result))


def measure(way: str, rows: int, number: int, headers: str) -> Result:
    name = f"{way.replace(' ', '-')}-{rows}-{number}-{headers}"
    shutil.rmtree(HOME / ".forebay", ignore_errors=True)
    command = [sys.executable, __file__, "--one", way, "--rows", str(rows), "--name", name, "--headers", headers]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HOME, env=os.environ | _broker(), check=False)
    if done.returncode:
        sys.exit(f"{way}: {done.stderr}")
    result = json.loads(done.stdout.splitlines()[-1])
    print(
        f"  {way:10s} {rows:>9,} rows  {result['records'] / result['seconds']:>9,.0f} records/s  {result['rss_mb']:6,.0f} MB",
        file=sys.stderr,
    )
    return result


def _broker() -> dict[str, str]:
    from forebay.kafka import broker

    return {"KAFKA_BOOTSTRAP_SERVERS": broker.ensure(HOME / "broker", ROOT / ".cache" / "forebay")}


def table(rows: int, results: dict[str, list[Result]]) -> list[str]:
    """One table: medians, and ratios taken round by round against the ceiling of the same round."""
    lines = [
        f"### {results['ceiling'][0]['records']:,} rows",
        "",
        "| way | records/s | of the ceiling | of the script | peak RSS MB |",
        "|---|---|---|---|---|",
    ]
    proof = [r | {"seconds": r["whole"]} for r in results["whole job"]]
    results = results | {"and proof": proof}
    for way, found in results.items():
        rate = [r["records"] / r["seconds"] for r in found]
        shares = [_share(results, way, other) for other in ("ceiling", "script")]
        rss = statistics.median(r["rss_mb"] for r in found)
        lines.append(f"| {way} | {statistics.median(rate) / 1000:,.0f} k | {shares[0]:.2f} | {shares[1]:.2f} | {rss:,.0f} |")
    _ = rows
    return [*lines, ""]


def _share(results: dict[str, list[Result]], way: str, other: str) -> float:
    pairs = zip(results[way], results[other], strict=True)
    return statistics.median((a["records"] / a["seconds"]) / (b["records"] / b["seconds"]) for a, b in pairs)


def page(sizes: list[int], measured: dict[int, dict[str, list[Result]]], rounds: int, headers: dict[str, Result]) -> str:
    first, last = measured[sizes[0]], measured[sizes[-1]]
    growth = statistics.median(r["rss_mb"] for r in last["whole job"]) / statistics.median(r["rss_mb"] for r in first["whole job"])
    packages = ", ".join(f"{name} {version(name)}" for name in ("confluent-kafka", "duckdb", "great-expectations", "pyarrow", "polars"))
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; do not edit. Ratios are taken round by round in one run on one broker, which shares the machine; absolute rates are this",
        "machine's. " + __doc__.split("\n\n")[1].replace("\n", " "),
        "",
        *[line for line in __doc__.splitlines() if line.startswith("    ")],
        "",
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}; Apache Kafka 4.3.1, one node; {packages}.",
        f"{rounds} rounds, medians. Headers `none`, JSON values, 4 partitions, one chunk per 128 MiB. Whole job: imports of the libraries included.",
        "",
    ]
    for rows in sizes:
        lines += table(rows, measured[rows])
    lines += [f"Peak memory of the whole job, {sizes[-1]:,} against {sizes[0]:,} rows: {growth:.2f} ×.", ""]
    lines += ["### What headers cost (publish alone)", "", "| headers | records/s | of `none` |", "|---|---|---|"]
    none = headers["none"]["records"] / headers["none"]["seconds"]
    lines += [
        f"| {name} | {r['records'] / r['seconds'] / 1000:,.0f} k | {r['records'] / r['seconds'] / none:.2f} |"
        for name, r in headers.items()
    ]
    steps = last["whole job"][-1]["steps"]
    lines += ["", f"### Where the whole job's time goes ({sizes[-1]:,} rows, seconds since its start)", ""]
    lines += [f"- `{event}` {at}" for event, at in steps.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--name", default="")
    parser.add_argument("--headers", default="none")
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "benchmarks.md")
    given = parser.parse_args()
    if given.one:
        child(given.one, given.rows[0], given.name, given.headers)
        return
    from forebay.kafka import broker

    for rows in given.rows:
        drops(rows)
    try:
        measured = {rows: {way: [] for way in WAYS} for rows in given.rows}
        for rows in given.rows:
            for number in range(given.rounds):
                for way in WAYS:
                    measured[rows][way].append(measure(way, rows, number, "none"))
        headers = {name: measure("publish", given.rows[0], 99, name) for name in ("none", "minimal", "standard")}
        given.into.write_text(page(given.rows, measured, given.rounds, headers))
        print(given.into.read_text())
    finally:
        broker.stop(HOME / "broker")
        shutil.rmtree(HOME / "broker", ignore_errors=True)


if __name__ == "__main__":
    main()
