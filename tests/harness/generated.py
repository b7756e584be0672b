"""Files of generated rows, the job of publishing one, and its pipeline.

The rows are a pure function of their number, so a checker knows what must arrive without asking forebay: row *n* has
the key `n % 97`, goes to partition `n % 97 % partitions`, and its value names file, generation and row
(`readers.value_of`); every `quarantine_every`-th row is quarantined. Topics: PIPELINE.data, forebay.PIPELINE.ledger,
forebay.PIPELINE.quarantine.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa

from forebay.config.pipeline import Pipeline
from forebay.kafka.ledger.reader import Origin
from forebay.kafka.publish.job import PublishJob
from forebay.kafka.publish.records import EncodedChunk, Headers, Quarantined, Records
from forebay.model import ChunkPlan, Identity, SourceFile
from tests.harness.readers import KEYS, prefix_of, value_of


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


def encode(first: int, last: int, partitions: int, quarantine_every: int = 0, prefix: bytes = b"") -> EncodedChunk:
    """The generated rows `first` to `last`."""
    aside = [n for n in range(first, last + 1) if quarantine_every and n % quarantine_every == 0]
    sent = [n for n in range(first, last + 1) if not quarantine_every or n % quarantine_every]
    records = Records(
        values=pa.array([value_of(prefix, n) for n in sent], pa.binary()),
        keys=pa.array([b"%d" % (n % KEYS) for n in sent], pa.binary()),
        partitions=pa.array([n % KEYS % partitions for n in sent], pa.int32()),
        rows=pa.array(sent, pa.int64()),
    )
    reasons = [(("q_stage", b"expectation"), ("q_rule", b"every nth"))] * len(aside)
    values = pa.array([value_of(prefix, n) for n in aside], pa.binary())
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
    **more: Any,
) -> PublishJob:
    """The job of publishing `rows` generated rows, `chunk` rows a transaction. `name` makes the fingerprint."""
    fingerprint = hashlib.sha256(name.encode()).hexdigest()
    file = SourceFile(f"file:///generated/{name}", rows, 0.0)
    plan = ChunkPlan(rows, chunk, f"generated-{chunk}")
    identity = Identity("run", "00000000-0000-0000-0000-000000000000")
    partitions, generation = pipeline.topic.partitions, more.get("generation", 1)
    prefix = prefix_of(fingerprint, generation)
    return PublishJob(
        config=config,
        pipeline=pipeline,
        file=file,
        fingerprint=fingerprint,
        plan=plan,
        encode=lambda n: encode(*plan.bounds(n), partitions, quarantine_every, prefix),
        identity=identity,
        headers=Headers.of(headers, pipeline.pipeline, file, fingerprint, generation, identity),
        origin=Origin(partitioner="generated", partition_count=partitions, code_version="tests"),
        **more,
    )


def as_earlier_versions() -> None:
    """From now on this process publishes as versions did whose lanes were a setting: other ids, and nobody else is
    fenced."""
    import forebay.kafka.publish.account
    import forebay.kafka.publish.lanes

    Pipeline.transactional_id = lambda self, lane: f"forebay.{self.pipeline}.{lane}"  # type: ignore[method-assign]
    PublishJob.lane = property(lambda self: int(self.fingerprint[:8], 16) % self.pipeline.publish.lanes)  # type: ignore[assignment, method-assign]
    vars(forebay.kafka.publish.account)["LANES"] = 0  # what its ledger records do not say
    forebay.kafka.publish.lanes.fence_earlier = lambda *_, **__: None
