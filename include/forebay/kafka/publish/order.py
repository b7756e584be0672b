"""The order of the contents of one name (rule C6): what a name had before never comes behind what it has now.

A content that was begun, and whose bytes were then replaced, may have a publisher that stands still, or one that is
at work: contents have lanes of their own, so the correction's does not fence it by itself. The correction takes its
lane, too, before it begins. And each barrier asks the ledger for contents of the name that were published, or begun,
since ours was listed: whoever finds one goes no further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.errors import SupersededError
from forebay.kafka.ledger.entries import lane_of
from forebay.model import content_name

if TYPE_CHECKING:
    from forebay.kafka.ledger.view import LedgerView
    from forebay.kafka.publish.job import PublishJob


class Order:
    """Keeps it for one attempt at one file."""

    def __init__(self, job: PublishJob) -> None:
        self._job = job
        self._own = content_name(job.fingerprint, job.generation)
        self._fenced: set[int] = set()

    def keep(self, view: LedgerView) -> tuple[int, ...]:
        """Before a chunk, with all that is committed: the lanes that are to be taken before it is produced (`fenced_in`
        says when that is done). Whoever stands in them then finds itself fenced, and finds us.

        Raises `SupersededError` where another content of the name was published, or begun, since ours was listed.
        """
        if self._job.had is None:
            return ()
        self._refuse_published(view)
        self._refuse_begun(view)
        left = {lane_of(fingerprint) for fingerprint in self._job.left}
        return tuple(sorted(left - {self._job.lane} - self._fenced))

    def fenced_in(self, lane: int) -> None:
        """Nobody else stands in that lane any more."""
        self._fenced.add(lane)

    def _refuse_published(self, view: LedgerView) -> None:
        """Complete contents of the name: the latest is the one that the fate was told by, or our own."""
        job = self._job
        latest = max(view.by_uri(job.file.uri), key=lambda entry: entry.attempted, default=None)
        if latest and content_name(latest.fingerprint, latest.generation) not in {job.had, self._own}:
            raise SupersededError(
                f"{job.doing}: other bytes of this name were published since it was listed, by run "
                f"`{latest.identity.run_id}`, and older rows must not come behind them (what is "
                "committed of these bytes stays visible; to publish them once more, put them there again and run with "
                "`--generation new --reason …`)",
                uri=job.file.uri,
            )

    def _refuse_begun(self, view: LedgerView) -> None:
        """Contents that were begun since ours was listed, and are not complete. Which of the two is newer is not to be
        known here; who lists the name again finds out."""
        job = self._job
        for chunks in view.unfinished():
            last = max(chunks.values(), key=lambda entry: entry.attempted)
            if last.file.uri == job.file.uri and last.receipt.fingerprint not in {job.fingerprint, *job.left}:
                raise SupersededError(
                    f"{job.doing}: other bytes of this name were begun since it was listed, by run "
                    f"`{last.identity.run_id}`, and of two contents the older must not come behind the newer (run its "
                    "day again: what lies there then is published)",
                    uri=job.file.uri,
                )
