"""One attempt at publishing a file of generated rows (generated.py), in a process of its own: to be killed, frozen, or
raced by another.

    python -m tests.harness.worker '{"bootstrap": "127.0.0.1:9092", "pipeline": "p", "rows": 900, "chunk": 300}'

The job is a JSON object; what it leaves out is as in `DEFAULTS`. Like Airflow's task runner, the process raises in its
main thread on SIGTERM. Prints one JSON line; the exit code is 0 or that of the error.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from forebay import events
from forebay.config.pipeline import Pipeline
from forebay.errors import ForebayError
from forebay.kafka import client, topics
from forebay.kafka.ledger.guard import LedgerHome
from forebay.kafka.publish import failpoints
from forebay.kafka.publish.job import PublishJob
from forebay.kafka.publish.publisher import publish_file
from forebay.kafka.publish.steps import Protections
from tests.harness.generated import as_earlier_versions, make_job, make_pipeline

DEFAULTS: dict[str, Any] = {
    "name": "file",
    "rows": 900,
    "chunk": 300,
    "partitions": 4,
    "lanes": 2,
    "quarantine": 0,  # every nth row is quarantined
    "timeout": "10s",  # of a transaction
    "config": {},  # librdkafka's settings
    "follow": 120.0,
    "off": [],  # protections to switch off
    "barrier": "high_watermark",
    "plain": False,  # control: no transactions, no ledger
    "memory": 0,  # bytes that it may take beyond what it has
    "mark": "",  # a file to touch when a failpoint acts
    "manage": "create",
    "generation": 1,
    "headers": "minimal",
    "clock": "",  # a file that says by how many seconds the clock is off
    "earlier": False,  # as a version that took the lane from publish.lanes
    "home": "",  # a folder that remembers what was done
}


def main(argv: list[str]) -> int:
    job = DEFAULTS | json.loads(argv[0])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if job["mark"]:
        mark_failpoints(Path(job["mark"]))
    if job["clock"]:
        skew_clocks(Path(job["clock"]))
    heard: list[str] = []
    events.listen(
        lambda name, fields: heard.append(f"{name} {fields.get('chunk', '')} {fields.get('cause', '')}".strip())
    )
    try:
        answer: dict[str, Any] = publish(job)
        code = 0
    except ForebayError as error:
        answer, code = {"error": type(error).__name__, "message": error.message}, error.exit_code
    print(json.dumps(answer | {"events": heard}), flush=True)
    return code


def publish(job: dict[str, Any]) -> dict[str, Any]:
    """Publish the file that `job` describes; how many chunks and records the ledger has of it now."""
    config = {"bootstrap.servers": job["bootstrap"]} | job["config"]
    pipeline = make_pipeline(job["pipeline"], job["partitions"], job["timeout"], job["lanes"])
    if job["earlier"]:
        as_earlier_versions()
    if job["manage"] == "create":
        client.connect_check(config)
        topics.ensure(config, pipeline)
    if job["memory"]:
        limit_memory(job["memory"])
    made = job_of(config, pipeline, job)
    if job["plain"]:
        return publish_plainly(made)
    receipts = publish_file(made, Protections(barrier=job["barrier"], **dict.fromkeys(job["off"], False)))
    return {"chunks": len(receipts), "published": sum(r.published for r in receipts)}


def job_of(config: dict[str, Any], pipeline: Pipeline, job: dict[str, Any]) -> PublishJob:
    return make_job(
        config,
        pipeline,
        job["rows"],
        job["chunk"],
        job["name"],
        job["quarantine"],
        job["headers"],
        generation=job["generation"],
        follow_for=job["follow"],
        keep=LedgerHome.of(Path(job["home"]), job["bootstrap"]) if job["home"] else None,
    )


def publish_plainly(job: PublishJob) -> dict[str, Any]:
    """The control: an idempotent producer without transaction and ledger, which is what most scripts use."""
    from confluent_kafka import Producer

    producer = Producer({**job.config, "enable.idempotence": True, "linger.ms": 5})
    for number in range(job.plan.chunks):
        failpoints.hit("after_init", number)
        part = job.encode(number).records
        columns = [c.to_pylist() for c in (part.values, part.keys, part.partitions)]
        for at, (value, key, partition) in enumerate(zip(*columns, strict=True)):
            producer.produce(job.pipeline.topic.name, value, key, partition)
            if 2 * at >= len(part) and failpoints.armed("mid_produce", number):
                producer.flush()
                failpoints.hit("mid_produce", number)
        producer.flush()
        for name in ("after_flush", "after_ledger", "after_commit"):
            failpoints.hit(name, number)
    return {"plain": True}


def limit_memory(more: int) -> None:
    """Allow the process `more` bytes of address space beyond what it has now (RLIMIT_AS): the next big allocation
    fails."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def skew_clocks(path: Path) -> None:
    """Put the wall clock that forebay's code reads off by as many seconds as stand in the file, read anew each time.

    librdkafka keeps the true one: no record may be stamped by a wrong clock and refused, for this is about ids, plans
    and decisions.
    """
    true = time.time

    def shifted() -> float:
        return true() + float(path.read_text())

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(shifted(), tz)

    time.time = shifted
    for module in [m for name, m in sys.modules.items() if name.startswith("forebay")]:
        if getattr(module, "datetime", None) is datetime:
            module.datetime = Shifted  # type: ignore[attr-defined]


def mark_failpoints(path: Path) -> None:
    """Leave a mark when a failpoint acts, so that the trial knows that its moment has come."""
    act = failpoints._act

    def marked(action: str) -> None:
        path.touch()
        act(action)

    failpoints._act = marked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
