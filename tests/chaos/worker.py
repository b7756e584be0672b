"""One attempt at publishing a file of generated rows, in a process of its own: the victim, the zombie or the successor
of a trial.

    python -m tests.chaos.worker '{"bootstrap": "127.0.0.1:9092", "pipeline": "p", "name": "f", "rows": 900, "chunk": 300}'

Job, rows and pipeline are those of tests/guarantees/worker.py; this one also takes librdkafka settings, a limit on its
memory, and (like Airflow's task runner) raises in the main thread on SIGTERM. Prints one JSON line; the exit code is 0
or that of the error.
"""  # noqa: E501

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from forebay import events
from forebay.errors import ForebayError
from forebay.kafka import client, topics
from forebay.kafka.ledger.guard import LedgerHome
from forebay.kafka.publish import failpoints
from forebay.kafka.publish.publisher import publish_file
from forebay.kafka.publish.records import EncodedChunk
from forebay.kafka.publish.steps import Protections
from tests.chaos.readers import value_of
from tests.guarantees.worker import as_earlier_versions, encode, make_job, make_pipeline

DEFAULTS: dict[str, Any] = {
    "rows": 900,
    "chunk": 300,
    "partitions": 4,
    "lanes": 2,
    "quarantine": 0,
    "timeout": "10s",
    "config": {},
    "follow": 120.0,
    "off": [],
    "barrier": "high_watermark",
    "plain": False,
    "memory": 0,
    "mark": "",
    "manage": "create",
    "generation": 1,
    "headers": "minimal",
    "clock": "",
    "earlier": False,
    "home": "",
}


def main(argv: list[str]) -> int:
    job = DEFAULTS | json.loads(argv[0])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if job["mark"]:
        mark_failpoints(Path(job["mark"]))
    if job["clock"]:
        skew_clocks(Path(job["clock"]))
    told: list[str] = []
    events.listen(
        lambda name, fields: told.append(f"{name} {fields.get('chunk', '')} {fields.get('cause', '')}".strip())
    )
    try:
        answer: dict[str, Any] = publish(job)
        code = 0
    except ForebayError as error:
        answer, code = {"error": type(error).__name__, "message": error.message}, error.exit_code
    print(json.dumps(answer | {"events": told}), flush=True)
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
    if job["plain"]:
        return publish_plainly(config, job)
    made = make_job(
        config,
        pipeline,
        job["rows"],
        job["chunk"],
        job["name"],
        job["quarantine"],
        job["headers"],
        plan_hash=f"chaos-{job['chunk']}",
        generation=job["generation"],
        follow_for=job["follow"],
        keep=LedgerHome.of(Path(job["home"]), job["bootstrap"]) if job["home"] else None,
    )
    made = replace(made, encode=lambda n: rows_of(job, *made.plan.bounds(n)))
    receipts = publish_file(made, Protections(barrier=job["barrier"], **dict.fromkeys(job["off"], False)))
    return {"chunks": len(receipts), "published": sum(r.published for r in receipts)}


def rows_of(job: dict[str, Any], first: int, last: int) -> EncodedChunk:
    """The generated rows, each with a value that says whose row it is (records may come without headers)."""
    prefix = f"{hashlib.sha256(job['name'].encode()).hexdigest()[:16]}:{job['generation']}:".encode()
    made = encode(first, last, job["partitions"], job["quarantine"])
    values = pa.array([value_of(prefix, row) for row in made.records.rows.to_pylist()], pa.binary())
    return replace(made, records=replace(made.records, values=values))


def publish_plainly(config: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """The control: an idempotent producer without transaction and ledger, which is what most scripts use."""
    from confluent_kafka import Producer

    producer = Producer({**config, "enable.idempotence": True, "linger.ms": 5})
    for number, first in enumerate(range(1, job["rows"] + 1, job["chunk"])):
        part = rows_of(job, first, min(job["rows"], first + job["chunk"] - 1)).records
        columns = [c.to_pylist() for c in (part.values, part.keys, part.partitions)]
        for at, (value, key, partition) in enumerate(zip(*columns, strict=True)):
            producer.produce(f"{job['pipeline']}.data", value, key, partition)
            if 2 * at >= len(part) and failpoints.armed("mid_produce", number):
                producer.flush()
                failpoints.hit("mid_produce", number)
        producer.flush()
        failpoints.hit("after_flush", number)
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
