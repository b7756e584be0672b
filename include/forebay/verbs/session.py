"""A run from its beginning to its report, whoever begins it: `forebay run`, a person's decision, a replay."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from forebay.errors import ForebayError
from forebay.lineage.openlineage import lineage_run
from forebay.model import FileRun, Identity, RunReport
from forebay.verbs import report as reporting
from forebay.verbs.alive import alive
from forebay.verbs.context import Context


class Session:
    """A run at work. What it comes to is noted here, and reported when it ends."""

    def __init__(self, ctx: Context, run: RunReport) -> None:
        self._ctx = ctx
        self.run = run
        """As the index has it."""
        self.identity = Identity(run.run_id, lineage_run(run.pipeline, run.run_id))
        self.files: tuple[FileRun, ...] = ()
        self.note = run.note
        self.ready = True
        """Whether its window was."""

    def end(self) -> None:
        """Report the run with its files."""
        self.run = reporting.report(self._ctx, self._noted(self.note), self.identity, ready=self.ready)

    def fail(self, error: BaseException) -> None:
        """Report a run that an error ended: forebay's, one that nobody foresaw, or Ctrl-C."""
        words = error.message if isinstance(error, ForebayError) else f"the run was cut short by {type(error).__name__}"
        run = self._noted(f"{self.note}; it failed: {words}" if self.note else words)
        with suppress(ForebayError):  # a broker that cannot be reached cannot name lineage's cluster
            reporting.report(self._ctx, run, self.identity, error=words, interrupted=not isinstance(error, Exception))

    def _noted(self, note: str | None) -> RunReport:
        return dataclasses.replace(self.run, files=self.files, note=note)


@contextmanager
def session(ctx: Context, run: RunReport, first: Callable[[], None] | None = None) -> Iterator[Session]:
    """Begin the run in the index, and end it there: with its status and report, or with the error that ended it, which
    is raised.

    `first` makes sure, before the run begins, of what it cannot do without. A run that is killed within is told as
    `interrupted` by the next command that looks (`alive.py`).
    """
    with alive(ctx.project, run):
        at_work = Session(ctx, run)
        try:
            if first:
                first()
            reporting.begin(ctx, run, at_work.identity)
            yield at_work
        except BaseException as error:
            at_work.fail(error)
            raise
        at_work.end()
