"""Publishes one file exactly once.

One chunk is one transaction of one producer instance. The order of steps is protocol.py's, the calls to Kafka are
driver.py's, the hot loop is sender.py's, and what was published is read by ledger/reader.py.
"""

from __future__ import annotations

import time

from forebay import events
from forebay.errors import (
    FencedError,
    ForebayError,
    LedgerError,
    OutcomeUnknownError,
    OutOfResourcesError,
    PlanChangedError,
)
from forebay.kafka.ledger.reader import blocked
from forebay.kafka.publish import lanes, steps
from forebay.kafka.publish.driver import Driver
from forebay.kafka.publish.job import PublishJob
from forebay.kafka.publish.protocol import Publication
from forebay.kafka.publish.steps import Outcome, Protections
from forebay.model import Receipt


def publish_file(job: PublishJob, protections: Protections | None = None) -> tuple[Receipt, ...]:
    """Publish every chunk that the ledger does not have, and return the receipts of all chunks as the ledger has them.

    The topics must exist (`topics.ensure`). Calling it again, in any process and after any failure, is safe: it goes on
    where the ledger ends. Raises `PlanChangedError`, `LedgerError`, `TopicMissingError`, `NotAuthorizedError`, and (try
    again) `BrokerUnavailableError`, `DeliveryError`, `FencedError`, `OutcomeUnknownError`, `OutOfResourcesError`.
    """
    try:
        with lanes.alone(str(job.config.get("bootstrap.servers")), job.transactional_id):
            return _publish(job, protections)
    except MemoryError as error:
        raise OutOfResourcesError(
            f"{job.doing}: memory ran out (give the process more, or set a smaller `publish.chunk` for new files; "
            "then try again: what is "
            "committed stays, and nothing is published twice)"
        ) from error


def _publish(job: PublishJob, protections: Protections | None) -> tuple[Receipt, ...]:
    with Driver(job) as driver:
        machine = Publication(driver.task, protections)
        effect = machine.start(time.monotonic())
        while not isinstance(effect, steps.Finish):
            effect = machine.on(driver.run(effect))
        if effect.outcome != Outcome.DONE:
            raise _error(job, effect, driver.changed() if effect.outcome is Outcome.PLAN_CHANGED else ())
        for chunk in machine.skipped:
            events.emit(events.CHUNK_SKIPPED, uri=job.file.uri, chunk=chunk)
        return driver.receipts()


PARAMETERS = {
    "forebay": "the version of forebay",
    "libraries": "the versions of DuckDB, pyarrow, numpy or Python",
    "topic": "`topic.name`",
    "headers": "`record.headers`",
    "compression": "`source.compression`",
    "format": "`format`",
    "columns": "the columns (`schema`)",
    "rows_per_chunk": "the rows of a chunk (`publish.chunk`)",
    "key": "`record.key`",
    "value": "`record.value`",
    "timestamp": "`record.timestamp`",
    "partitioner": "`record.partitioner`",
    "partitions": "`topic.partitions`",
    "suite": "the suite (`quality.suite`)",
    "decision": "the answer of the person who was asked",
    "quarantine": "`quality.quarantine`",
    "quarantined": "which rows are quarantined",
}
"""The parameters of a plan (`ChunkPlan.prints`), as people know them."""


def _otherwise(changed: tuple[str, ...]) -> str:
    return (
        f": since it was begun, {', '.join(PARAMETERS.get(name, f'`{name}`') for name in changed)} changed"
        if changed
        else ""
    )


def _error(job: PublishJob, end: steps.Finish, changed: tuple[str, ...] = ()) -> ForebayError:
    """A finish that is not `DONE`, in words; `changed` are the parameters by which the plan is another one."""
    where = f"{job.doing} chunk {end.chunk}" if end.chunk is not None else job.doing
    ledger = job.pipeline.ledger_topic
    match end.outcome:
        case Outcome.PLAN_CHANGED:
            anew = (
                ""
                if job.generation > 1
                else "; or publish it anew with `--generation new --reason …`, which repeats the committed part"
            )
            return PlanChangedError(
                f"{where}: part of it is committed under another plan than "
                f"`{job.plan.plan_hash[:16]}`{_otherwise(changed)} "
                f"(put back what was changed, and run it again: it is completed{anew})",
                changed=changed,
            )
        case Outcome.LEDGER_HOLE:
            return LedgerError(
                f"{where}: ledger `{ledger}` has later chunks but not chunk {end.chunk} (the ledger lost records: "
                "restore it)"
            )
        case Outcome.BARRIER_BLOCKED:
            return LedgerError(
                blocked(ledger, job.pipeline.publish.transaction_timeout.total_seconds() + steps.SWEEP + steps.MARGIN)
            )
        case Outcome.FENCED:
            return FencedError(
                f"{where}: another owner holds lane `{job.transactional_id}` and goes on (try again later)"
            )
    cause = f"{end.failure.text or end.failure.name}" if end.failure else "unknown"
    if end.outcome == Outcome.GAVE_UP:
        return OutcomeUnknownError(
            f"{where}: gave up after several attempts, last cause: {cause} (try again: "
            "the ledger knows what is committed)"
        )
    return end.failure.exception(where) if end.failure else OutcomeUnknownError(f"{where}: {cause}")
