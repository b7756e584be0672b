"""The order of the contents of one name (rule C6): what a name had before never comes behind what it has now.

A content that was begun, and whose bytes were then replaced, may have a publisher that stands still: contents have
lanes of their own, so the correction's does not fence it by itself. The correction takes its lane, too, before it
begins; and who was fenced, or has waited, asks the ledger for later contents of the name before its next chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.errors import SupersededError
from forebay.kafka.ledger.entries import lane_of
from forebay.kafka.publish import lanes
from forebay.model import content_name

if TYPE_CHECKING:
    from forebay.kafka.ledger.view import LedgerView
    from forebay.kafka.publish.job import PublishJob


class Order:
    """Keeps it for one attempt at one file."""

    def __init__(self, job: PublishJob) -> None:
        self._job = job
        self._own = content_name(job.fingerprint, job.generation)
        self._fenced_others = False

    def keep(self, view: LedgerView, *, fenced: bool) -> None:
        """Before a chunk, with all that is committed. `fenced`: this attempt was, so somebody may have begun a later
        content, and not be done yet.

        Raises `SupersededError` where a later content of the name was published, or is being published;
        `KafkaException`.
        """
        if self._job.had is None:
            return
        self._refuse_published(view)
        if fenced:
            self._refuse_begun(view)
        if not self._fenced_others:
            self._fence_others()

    def _refuse_published(self, view: LedgerView) -> None:
        """Complete contents of the name: the latest is the one that the fate was told by, or our own."""
        latest = max(view.by_uri(self._job.file.uri), key=lambda entry: entry.attempted, default=None)
        if latest and content_name(latest.fingerprint, latest.generation) not in {self._job.had, self._own}:
            self._refuse(f"published since it was listed, by run `{latest.identity.run_id}`")

    def _refuse_begun(self, view: LedgerView) -> None:
        """Contents that were begun and are not complete, later than anything of ours."""
        job = self._job
        ours = view.of_file(job.fingerprint, job.generation).values()
        since = max((entry.attempted for entry in ours), default=None)
        for chunks in view.unfinished():
            last = max(chunks.values(), key=lambda entry: entry.attempted)
            if last.file.uri != job.file.uri or last.receipt.fingerprint in {job.fingerprint, *job.left}:
                continue
            if since is None or last.attempted > since:
                self._refuse(f"begun since by run `{last.identity.run_id}`")

    def _refuse(self, what: str) -> None:
        job = self._job
        raise SupersededError(
            f"{job.doing}: other bytes of this name were {what}, and older rows must not come behind them (what is "
            "committed of these bytes stays visible; to publish them once more, put them there again and run with "
            "`--generation new --reason …`)",
            uri=job.file.uri,
        )

    def _fence_others(self) -> None:
        """Whoever stands in the lane of what is left unfinished finds itself fenced, and then finds us."""
        job = self._job
        for lane in sorted({lane_of(fingerprint) for fingerprint in job.left} - {job.lane}):
            timeout = int(job.pipeline.publish.transaction_timeout.total_seconds() * 1000)
            lanes.fence(job.config, job.pipeline.transactional_id(lane), timeout)
        self._fenced_others = True
