"""One attempt at publishing a file of generated rows, in a process of its own: to be killed, frozen, or raced by
another.

    python -m tests.guarantees.worker BOOTSTRAP PIPELINE --rows 20000 --chunk 5000

The rows are a pure function of their number, so a checker knows what must arrive without asking forebay: row *n* has
the value `{"row":n}`, the key `n % 97`, and goes to partition `n % 97 % partitions`; every `--quarantine`-th row is set
aside. Topics: PIPELINE.data, forebay.PIPELINE.ledger, forebay.PIPELINE.quarantine. Prints one JSON line; exit code 0
done, else that of the error.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from forebay import events
from forebay.config.pipeline import Pipeline
from forebay.errors import ForebayError
from forebay.kafka import topics
from forebay.kafka.ledger.guard import LedgerHome
from forebay.kafka.ledger.reader import Origin
from forebay.kafka.publish.job import PublishJob
from forebay.kafka.publish.publisher import publish_file
from forebay.kafka.publish.records import EncodedChunk, Headers, Quarantined, Records
from forebay.kafka.publish.steps import Protections
from forebay.model import ChunkPlan, Identity, SourceFile

KEYS = 97


def make_pipeline(name: str, partitions: int = 4, timeout: str = "60s", lanes: int = 2, **publish: Any) -> Pipeline:
    """A pipeline whose topics are made where they are missing."""
    return Pipeline.model_validate(
        {
            "pipeline": name,
            "owner": "tests",
            "source": {"type": "local", "path": "in/*"},
            "format": {"type": "csv"},
            "record": {"key": "k", "headers": "minimal"},
            "topic": {"name": f"{name}.data", "partitions": partitions, "manage": "create"},
            "publish": {"transaction_timeout": timeout, "lanes": lanes, **publish},
        }
    )


def encode(first: int, last: int, partitions: int, quarantine_every: int = 0) -> EncodedChunk:
    """The generated rows `first` to `last`."""
    aside = [n for n in range(first, last + 1) if quarantine_every and n % quarantine_every == 0]
    sent = [n for n in range(first, last + 1) if not quarantine_every or n % quarantine_every]
    records = Records(
        values=pa.array([b'{"row":%d}' % n for n in sent], pa.binary()),
        keys=pa.array([b"%d" % (n % KEYS) for n in sent], pa.binary()),
        partitions=pa.array([n % KEYS % partitions for n in sent], pa.int32()),
        rows=pa.array(sent, pa.int64()),
    )
    reasons = [(("q_stage", b"expectation"), ("q_rule", b"every nth"))] * len(aside)
    values = pa.array([b'{"row":%d}' % n for n in aside], pa.binary())
    return EncodedChunk(
        first, last, last - first + 1, records, Quarantined(values, pa.array(aside, pa.int64()), reasons)
    )


def make_job(
    config: dict[str, Any],
    pipeline: Pipeline,
    rows: int,
    chunk: int,
    name: str = "file",
    quarantine_every: int = 0,
    headers: str = "minimal",
    plan_hash: str = "",
    **more: Any,
) -> PublishJob:
    """The job of publishing `rows` generated rows, `chunk` rows a transaction. `name` makes the fingerprint."""
    fingerprint = hashlib.sha256(name.encode()).hexdigest()
    file = SourceFile(f"file:///generated/{name}", rows, 0.0)
    plan = ChunkPlan(rows, chunk, plan_hash or f"generated-{chunk}")
    identity = Identity("run", "00000000-0000-0000-0000-000000000000")
    partitions = pipeline.topic.partitions
    return PublishJob(
        config=config,
        pipeline=pipeline,
        file=file,
        fingerprint=fingerprint,
        plan=plan,
        encode=lambda n: encode(*plan.bounds(n), partitions, quarantine_every),
        identity=identity,
        headers=Headers.of(headers, pipeline.pipeline, file, fingerprint, more.get("generation", 1), identity),
        origin=Origin(partitioner="generated", partition_count=partitions, code_version="tests"),
        **more,
    )


def publish_plainly(config: dict[str, Any], pipeline: Pipeline, rows: int, chunk: int, quarantine_every: int) -> None:
    """The control: an idempotent producer without transaction and ledger, which is what most scripts use."""
    from confluent_kafka import Producer

    from forebay.kafka.publish import failpoints

    producer = Producer({**config, "enable.idempotence": True, "linger.ms": 5})
    for number, first in enumerate(range(1, rows + 1, chunk)):
        failpoints.hit("after_init", number)
        part = encode(first, min(rows, first + chunk - 1), pipeline.topic.partitions, quarantine_every).records
        columns = [c.to_pylist() for c in (part.values, part.keys, part.partitions)]
        for at, (value, key, partition) in enumerate(zip(*columns, strict=True)):
            producer.produce(pipeline.topic.name, value, key, partition)
            if 2 * at >= len(part) and failpoints.armed("mid_produce", number):
                producer.flush()
                failpoints.hit("mid_produce", number)
        producer.flush()
        for name in ("after_flush", "after_ledger", "after_commit"):
            failpoints.hit(name, number)


def as_earlier_versions() -> None:
    """From now on this process publishes as versions did whose lanes were a setting: other ids, and nobody else is
    fenced."""
    import forebay.kafka.publish.account
    import forebay.kafka.publish.lanes

    Pipeline.transactional_id = lambda self, lane: f"forebay.{self.pipeline}.{lane}"  # type: ignore[method-assign]
    PublishJob.lane = property(lambda self: int(self.fingerprint[:8], 16) % self.pipeline.publish.lanes)  # type: ignore[assignment, method-assign]
    forebay.kafka.publish.account.LANES = 0  # what its ledger records do not say
    forebay.kafka.publish.lanes.fence_earlier = lambda *_, **__: None  # type: ignore[assignment]


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="one attempt at publishing generated rows")
    parser.add_argument("bootstrap")
    parser.add_argument("pipeline")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--chunk", type=int, default=2_500)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--quarantine", type=int, default=0, help="every nth row is set aside")
    parser.add_argument("--name", default="file")
    parser.add_argument("--headers", default="minimal")
    parser.add_argument("--timeout", default="60s", help="transaction timeout")
    parser.add_argument("--generation", type=int, default=1)
    parser.add_argument("--plan", default="")
    parser.add_argument("--follow", type=float, default=900.0)
    parser.add_argument("--off", action="append", default=[], help="a protection to switch off")
    parser.add_argument("--barrier", default="high_watermark")
    parser.add_argument("--lanes", type=int, default=4, help="publish.lanes")
    parser.add_argument("--earlier", action="store_true", help="as a version that took the lane from publish.lanes")
    parser.add_argument(
        "--home", default="", help="a folder that remembers what was done; without, nothing is remembered"
    )
    parser.add_argument("--plain", action="store_true", help="control: no transactions, no ledger")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = _parse(argv)
    config = {"bootstrap.servers": args.bootstrap}
    pipeline = make_pipeline(args.pipeline, args.partitions, args.timeout, args.lanes)
    if args.earlier:
        as_earlier_versions()
    topics.ensure(config, pipeline)
    if args.plain:
        publish_plainly(config, pipeline, args.rows, args.chunk, args.quarantine)
        return 0
    told: list[str] = []
    events.listen(
        lambda name, fields: told.append(f"{name} {fields.get('chunk', '')} {fields.get('cause', '')}".strip())
    )
    job = make_job(
        config,
        pipeline,
        args.rows,
        args.chunk,
        args.name,
        args.quarantine,
        args.headers,
        plan_hash=args.plan,
        generation=args.generation,
        follow_for=args.follow,
        keep=LedgerHome.of(Path(args.home), args.bootstrap) if args.home else None,
    )
    protections = Protections(barrier=args.barrier, **dict.fromkeys(args.off, False))
    try:
        receipts = publish_file(job, protections)
    except ForebayError as error:
        print(json.dumps({"error": type(error).__name__, "message": error.message, "events": told}))
        return error.exit_code
    print(json.dumps({"chunks": len(receipts), "published": sum(r.published for r in receipts), "events": told}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
