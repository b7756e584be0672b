"""`make bench`: what forebay costs, as ratios taken in one run on one broker; writes docs/benchmarks.md.

Five ways of the same rows (TPC-H lineitem from PyPI's tpchgen-cli), each in a process of its own, each to a topic of 4
partitions, lz4, acks=all:

    ceiling           a bare `Producer.produce` loop over the same encoded bytes; no transaction, nothing remembered
    one transaction   forebay's way of producing within one transaction of one long-lived producer: no ledger, one commit
    publish           forebay's publish alone: chunks made before the clock starts, a transaction for each, ledger, offsets
    script            polars reads the CSV, makes JSON, produces; nothing is checked, nothing is remembered
    whole job         forebay run: fetch, stage, eight rules by Great Expectations, quarantine, publish with ledger, to the last commit
    and proof         the same to the run's end: every record read back and counted, settled, reported

The ceiling is measured twice each round, and the faster counts: with all Python objects made before the clock starts,
and with objects made slice by slice within it (these lie close together in the caches, so it is often the faster one).
forebay hands records without headers to librdkafka by the thousand, without a Python object for each, so publish can
lie above it. Runs that nobody counts warm the broker's JVM first, and each round begins with another way.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from bench_page import Clock, Result, Results, page, rate
from bench_rows import DAY, HOME, PARTITIONS, PIPELINE, ROOT, create, drops, project, staged

WARM_UP = 2  # runs of the smallest size that nobody counts: the broker's JVM compiles its hot paths meanwhile
SLICE = 2_000  # records made into Python objects at a time, where the bare loop makes them as it goes


def ceiling(rows: int, name: str, headers: str) -> Result:
    """The bare loop: same values, keys and partitions, one idempotent producer, no transaction; all objects made
    before."""
    producer, chunks = _bare(rows, name, headers)
    made = [row for chunk in chunks for row in _rows(chunk.records)]
    del chunks
    with Clock() as clock:
        _loop(producer, name, made)
        assert producer.flush(120) == 0
    return clock.result(len(made))


def sliced(rows: int, name: str, headers: str) -> Result:
    """The bare loop again, its objects made a slice at a time within the clock."""
    producer, chunks = _bare(rows, name, headers)
    with Clock() as clock:
        for chunk in chunks:
            for start in range(0, len(chunk.records), SLICE):
                _loop(producer, name, _rows(chunk.records, start, SLICE))
        assert producer.flush(120) == 0
    return clock.result(sum(len(chunk.records) for chunk in chunks))


def _bare(rows: int, name: str, headers: str) -> tuple[Any, Any]:
    """A producer that is connected before the clock starts, and the chunks."""
    from confluent_kafka import Producer

    from forebay.kafka.publish.driver import PRODUCER

    ctx = project(rows, name, headers)
    _, _, chunks = staged(ctx)
    producer = Producer({**PRODUCER, **ctx.kafka, "acks": "all", "enable.idempotence": True})
    producer.list_topics(name, 10)
    return producer, chunks


def _rows(records: Any, start: int = 0, count: int | None = None) -> Any:
    values, keys, places = (
        column.slice(start, count).to_pylist() for column in (records.values, records.keys, records.partitions)
    )
    return zip(values, keys, places, strict=True)


def _loop(producer: Any, topic: str, rows: Iterable[tuple[bytes, bytes, int]]) -> None:
    """As lean as Python can: nothing but `produce`, and a `poll` when the queue is full."""
    produce = producer.produce
    for value, key, partition in rows:
        try:
            produce(topic, value, key, partition)
        except BufferError:
            _with_room(producer, topic, value, key, partition)
    producer.poll(0)


def _with_room(producer: Any, topic: str, value: bytes, key: bytes, partition: int) -> None:
    while True:
        producer.poll(0.05)
        with suppress(BufferError):
            producer.produce(topic, value, key, partition)
            return


def transaction(rows: int, name: str, headers: str) -> Result:
    """All chunks by the publisher's own loop in one transaction: what its protocol has on top is chunks, ledger and
    offsets."""
    from forebay.kafka import client
    from forebay.kafka.publish.driver import PRODUCER
    from forebay.kafka.publish.records import Headers
    from forebay.kafka.publish.sender import Sender
    from forebay.model import Identity

    ctx = project(rows, name, headers)
    file, _, chunks = staged(ctx)
    own = Headers.of(headers, name, file.file, file.fingerprint, 1, Identity("bench", "0" * 36))
    producer = client.producer({**PRODUCER, **ctx.kafka, "transactional.id": name, "transaction.timeout.ms": 600_000})
    producer.init_transactions(30)
    with Clock() as clock:
        producer.begin_transaction()
        sender = Sender(producer)
        for number, chunk in enumerate(chunks):
            sender.records(name, chunk.records, own, number)
        assert producer.flush(120) == 0
        producer.commit_transaction(60)
    assert sender.failure is None
    return clock.result(sum(len(chunk.records) for chunk in chunks))


def publish(rows: int, name: str, headers: str) -> Result:
    """forebay's publish of chunks that are already encoded."""
    from forebay.kafka.ledger.reader import Origin
    from forebay.kafka.publish.job import PublishJob
    from forebay.kafka.publish.publisher import publish_file
    from forebay.kafka.publish.records import Headers
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
    with Clock() as clock:
        receipts = publish_file(job)
    return clock.result(sum(r.published for r in receipts), chunks=len(receipts))


def script(rows: int, name: str, headers: str) -> Result:
    """What a good engineer writes in an afternoon: polars, JSON, produce. No check, no ledger, no transaction."""
    from confluent_kafka import Producer

    ctx = project(rows, name, headers)
    create(ctx, name)
    settings = {
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": 50,
        "batch.size": 1_000_000,
    }
    room = {
        "queue.buffering.max.messages": 2_000_000,
        "queue.buffering.max.kbytes": 262_144,
        "partitioner": "murmur2_random",
    }
    with Clock() as clock:
        import polars as pl

        frame = pl.read_csv(drops(rows), try_parse_dates=True)
        keys = frame["l_orderkey"].cast(pl.String).to_list()
        values = frame.select(pl.struct(pl.all()).struct.json_encode()).to_series().to_list()
        producer = Producer({**ctx.kafka, **settings, **room})
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
    return clock.result(len(values))


def job(rows: int, name: str, headers: str) -> Result:
    """The whole way of the file, everything on; imports included."""
    ctx = project(rows, name, headers)
    from forebay import events
    from forebay.model import Window
    from forebay.verbs.run import run_window

    assert ctx.kafka
    marks: list[tuple[str, float]] = []
    events.listen(lambda event, _: marks.append((event, time.perf_counter())))
    with Clock() as clock:
        started = time.perf_counter()
        run = run_window(ctx, Window.of_day(date.fromisoformat(DAY)))
    assert run.status == "done", run
    steps = {event: round(at - started, 2) for event, at in marks if event.startswith("file.")}
    return clock.result(run.files[0].counts.published, steps=steps, whole=clock.seconds) | {
        "seconds": steps["file.published"]
    }


WAYS: dict[str, Callable[[int, str, str], Result]] = {
    "ceiling": ceiling,
    "sliced": sliced,
    "one transaction": transaction,
    "publish": publish,
    "script": script,
    "whole job": job,
}


def child(way: str, rows: int, name: str, headers: str) -> None:
    """One measurement; prints it as JSON."""
    result = WAYS[way](rows, name, headers)
    print(json.dumps(result | {"rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def measure(way: str, rows: int, number: int, headers: str) -> Result:
    name = f"{way.replace(' ', '-')}-{rows}-{number}-{headers}"
    shutil.rmtree(HOME / ".forebay", ignore_errors=True)
    command = [sys.executable, __file__, "--one", way, "--rows", str(rows), "--name", name, "--headers", headers]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HOME, env=os.environ | _broker(), check=False)
    if done.returncode:
        sys.exit(f"{way}: {done.stderr}")
    result = json.loads(done.stdout.splitlines()[-1])
    print(
        f"  {way:15s} {rows:>9,} rows  {rate(result):>9,.0f} records/s  {result['cpu']:5.1f} CPU s  "
        f"{result['rss_mb']:6,.0f} MB",
        file=sys.stderr,
    )
    return result


def _broker() -> dict[str, str]:
    from forebay.kafka.embedded import broker

    return {"KAFKA_BOOTSTRAP_SERVERS": broker.ensure(HOME / "broker", ROOT / ".cache" / "forebay")}


def rounds_of(sizes: list[int], rounds: int) -> dict[int, Results]:
    """Every way, `rounds` times for each size, each round beginning with another one; the broker is warm by then."""
    for number in range(WARM_UP):
        measure("one transaction", sizes[0], 90 + number, "none")
    measured: dict[int, Results] = {rows: {way: [] for way in WAYS} for rows in sizes}
    for rows in sizes:
        for number in range(rounds):
            turn = [*WAYS][number % len(WAYS) :] + [*WAYS][: number % len(WAYS)]
            for way in turn:
                measured[rows][way].append(measure(way, rows, number, "none"))
    return measured


def small(rounds: int) -> list[str]:
    """Start-up counts too: one file of a hundred rows by `forebay run` as a user calls it, without a suite."""
    name = "small"
    (HOME / "drops" / name).mkdir(parents=True, exist_ok=True)
    (HOME / "include" / "pipelines").mkdir(parents=True, exist_ok=True)
    text = PIPELINE.format(name=name, rows=name, columns="{id: int64}", partitions=PARTITIONS, headers="standard")
    text = text.replace("quality: {suite: lineitem}\n", "").replace("l_orderkey", "id")
    (HOME / "include/pipelines" / f"{name}.yaml").write_text(text)
    taken = []
    for number in range(rounds + 1):  # the first one finds cold caches: it is not counted
        (HOME / "drops" / name / f"{number}.csv").write_text(
            "id\n" + "".join(f"{number * 100 + n}\n" for n in range(100))
        )
        started = time.perf_counter()
        command = [str(Path(sys.executable).with_name("forebay")), "run", name, "--date", DAY]
        subprocess.run(command, cwd=HOME, env=os.environ | _broker(), check=True, capture_output=True)
        taken.append(time.perf_counter() - started)
    (HOME / "include/pipelines" / f"{name}.yaml").unlink()
    words = (
        f"`forebay run` of one new file of 100 rows, without a suite: {statistics.median(taken[1:]):.1f} s of wall "
        "clock, interpreter and imports included"
    )
    return ["", "### Start-up", "", f"{words} (median of {rounds}; aim: < 3 s)."]


def quality(rounds: int) -> list[str]:
    """The sections of tools/bench_quality.py, if it is there."""
    try:
        import bench_quality
    except ModuleNotFoundError as error:
        if error.name != "bench_quality":
            raise
        return []
    return ["", *bench_quality.section(rounds)]


def witness(rounds: int) -> list[str]:
    """The section of tools/bench_witness.py. It takes its rows from here, so it is imported late."""
    import bench_witness

    return bench_witness.section(2 * rounds)


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
    from forebay.kafka.embedded import broker

    for rows in given.rows:
        drops(rows)
    try:
        measured = rounds_of(given.rows, given.rounds)
        headers = {name: measure("publish", given.rows[0], 99, name) for name in ("none", "minimal", "standard")}
        text = page(str(__doc__), given.rows, measured, given.rounds, headers)
        given.into.write_text(
            "\n".join([text.rstrip("\n"), *small(given.rounds), *quality(given.rounds), *witness(given.rounds)]) + "\n"
        )
        print(given.into.read_text())
    finally:
        broker.stop(HOME / "broker")
        shutil.rmtree(HOME / "broker", ignore_errors=True)


if __name__ == "__main__":
    main()
