"""What the ledger says of one file that is being published, and what is to be written into it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from forebay.errors import OutcomeUnknownError, PlanChangedError, ReconcileError
from forebay.kafka.ledger.entries import LANES, ChunkEntry, FileEntry
from forebay.kafka.ledger.reader import LedgerReader
from forebay.kafka.publish import steps
from forebay.kafka.publish.job import PublishJob
from forebay.kafka.publish.records import EncodedChunk
from forebay.kafka.publish.sender import Ranges
from forebay.model import Receipt


class Account:
    """Of one attempt: `own` are its chunks as they were produced, those given out are the ledger's."""

    def __init__(self, job: PublishJob, reader: LedgerReader) -> None:
        self._job, self._reader = job, reader
        self.own: dict[int, Receipt] = {}

    def state(self, reached: bool) -> steps.Ledger:
        """What is known by now, for the protocol. Raises `PlanChangedError` where it lies in another topic."""
        view, job = self._reader.view, self._job
        committed = view.of_file(job.fingerprint, job.generation)
        self._refuse_other_topic(committed.values())
        self._refuse_topic_made_anew(committed.values())
        chunks = {n: entry.receipt.plan_hash for n, entry in committed.items()}
        moves, free = view.moves.get(job.lane, (0, False))
        complete = view.file(job.fingerprint, job.generation) is not None
        return steps.Ledger(time.monotonic(), chunks, complete, moves, free, reached)

    def _refuse_other_topic(self, committed: Iterable[ChunkEntry]) -> None:
        """What lies in another topic was published by another project of this name, or before this one moved: it is not
        ours to go on with.

        Asked behind the barrier too, so that of two projects that begin the same content at once one sees what the
        other did.
        """
        topic = self._job.pipeline.topic.name
        other = next(
            (place.topic for entry in committed for place in entry.receipt.outputs if place.topic != topic), None
        )
        if other:
            raise PlanChangedError(
                f"{self._job.doing}: it is published, or begun, in topic `{other}` and not in `{topic}` (publish it "
                "anew with `--generation new --reason …`)",
                topic=other,
            )

    def _refuse_topic_made_anew(self, committed: Iterable[ChunkEntry]) -> None:
        """What was committed to a topic of another id is gone with it: the rest alone would be half a file."""
        job = self._job
        ids = {entry.origin.topic_id for entry in committed if entry.receipt.outputs} - {"", job.origin.topic_id}
        if ids and job.origin.topic_id:
            how = "" if job.generation == 1 else " under another name"
            raise PlanChangedError(
                f"{job.doing}: part of it was committed to the topic `{job.pipeline.topic.name}` of id "
                f"`{min(ids)}`, which was made anew since (publish it anew{how} with `--generation new --reason …`)",
                topic=job.pipeline.topic.name,
            )

    def changed(self) -> tuple[str, ...]:
        """The parameters that the plan has otherwise than that under which the file was begun, as far as the ledger
        tells; none where it does not."""
        job = self._job
        begun = self._reader.look().of_file(job.fingerprint, job.generation).values()
        other = next(
            (
                entry.origin.plan
                for entry in begun
                if entry.receipt.plan_hash != job.plan.plan_hash and entry.origin.plan
            ),
            {},
        )
        return tuple(name for name, digits in job.plan.prints.items() if other.get(name, digits) != digits)

    def receipts(self, timeout: float) -> tuple[Receipt, ...]:
        """What the ledger says of the whole file; waits for the commit's markers, which come a moment after the
        commit, `timeout` seconds at most."""
        job, deadline = self._job, time.monotonic() + timeout
        while (entry := self._reader.look().file(job.fingerprint, job.generation)) is None:
            if time.monotonic() > deadline:
                raise OutcomeUnknownError(
                    f"{job.doing}: committed, but the ledger does not show it (try again: "
                    "nothing will be published twice)"
                )
            time.sleep(0.01)
        receipts = self._reader.view.receipts(job.fingerprint, job.generation)
        if sum(r.rows_in for r in receipts) != entry.rows_in or entry.rows_in != entry.published + entry.quarantined:
            raise ReconcileError(
                f"{job.doing}: the ledger's chunks do not add up to its completion record (a fault in forebay)"
            )
        return receipts

    def entry(
        self, chunk: int, encoded: EncodedChunk, outputs: Ranges | None, quarantine: Ranges | None, started: datetime
    ) -> ChunkEntry:
        """The record of a chunk that was produced to these places and is about to be committed."""
        job = self._job
        first, last = job.plan.bounds(chunk)
        receipt = Receipt(
            fingerprint=job.fingerprint,
            generation=job.generation,
            chunk=chunk,
            of=job.plan.chunks,
            first_row=first,
            last_row=last,
            rows_in=encoded.rows_in,
            published=len(encoded.records),
            quarantined=len(encoded.quarantine),
            outputs=outputs.all() if outputs else (),
            quarantine=quarantine.all() if quarantine else (),
            content_hash=encoded.content_hash,
            plan_hash=job.plan.plan_hash,
            headers=job.headers.profile,
        )
        self.own[chunk] = receipt
        origin = replace(job.origin, ledger_partitions=self._reader.view.partitions, lanes=LANES, plan=job.plan.prints)
        return ChunkEntry(job.pipeline.pipeline, job.file, receipt, origin, job.identity, started, datetime.now(UTC))

    def completion(self, entry: ChunkEntry) -> FileEntry:
        """The totals of all chunks: the ledger's, and those of this attempt. Raises `ReconcileError` when a row is
        missing."""
        job = self._job
        known = {r.chunk: r for r in self._reader.view.receipts(job.fingerprint, job.generation)} | self.own
        total = {
            name: sum(getattr(r, name) for r in known.values()) for name in ("rows_in", "published", "quarantined")
        }
        if (
            len(known) != job.plan.chunks
            or total["rows_in"] != job.plan.rows_in
            or total["rows_in"] != total["published"] + total["quarantined"]
        ):
            raise ReconcileError(
                f"{job.doing}: {len(known)} chunks add up to {total}, the file has {job.plan.rows_in} rows (a fault "
                "in forebay)"
            )
        return FileEntry(
            pipeline=entry.pipeline,
            file=job.file,
            fingerprint=job.fingerprint,
            generation=job.generation,
            chunks=job.plan.chunks,
            rejected=0,
            plan_hash=job.plan.plan_hash,
            origin=entry.origin,
            completion=job.completion.settled(self._reader.view.columns()) if job.completion.open else job.completion,
            identity=job.identity,
            attempted=entry.attempted,
            **total,
        )
