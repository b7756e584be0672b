"""take up: what an earlier run committed, and died before it proved or settled, is brought to its end by the run that
finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.index import queries
from forebay.model import FileRun, Status
from forebay.verbs.context import Context
from forebay.verbs.ledger import opened
from forebay.verbs.publish import published
from forebay.verbs.reconcile import reconcile

if TYPE_CHECKING:
    from forebay.model import Receipt


def resumed(ctx: Context, file: FileRun) -> FileRun | None:
    """The earlier run's own file, RECONCILED, for a file that is found already published; None when nothing was left
    undone.

    Only what the index knows as begun is taken up: a lost index makes nobody read a year of topics again (`forebay
    ledger verify` does). Raises `ReconcileError` as `reconcile` does.
    """
    if file.fingerprint is None:
        return None
    left = queries.unproved(ctx.project.index, file.pipeline, file.fingerprint, file.generation)
    if left is None:
        return None
    left = left.but(file=file.file)  # the same bytes, where they lie now
    if left.status is Status.RECONCILED:
        return left
    receipts = receipts_of(ctx, file.fingerprint, file.generation)
    return reconcile(ctx, published(ctx, left, receipts)) if receipts else None


def receipts_of(ctx: Context, fingerprint: str, generation: int) -> tuple[Receipt, ...]:
    """The ledger's receipts of a content that is published to its end; none of one that is not."""
    with opened(ctx) as view:
        return view.receipts(fingerprint, generation) if view.file(fingerprint, generation) else ()
