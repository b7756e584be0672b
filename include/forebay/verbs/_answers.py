"""A steward's question and its answer: the first one stands, wherever it was given, and it is asked for right before
anything is published."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

from forebay.errors import FatalError
from forebay.index import answers
from forebay.kafka.ledger.reader import FileEntry
from forebay.model import Answer, Decision, FileRun, Question
from forebay.verbs.context import Context
from forebay.verbs.discover import open_ledger
from forebay.verbs.gate import answer as answered


def asked(ctx: Context, file: FileRun) -> FileRun:
    """The file with its question, if it is held back. An inspection asks anew: what was answered before is told, and
    holds for it no more."""
    if file.decision is not Decision.ASK:
        return file
    return file.but(question=Question(answers.next_number(ctx.project.index, file), datetime.now(UTC)))


def take(ctx: Context, file: FileRun, answer: Answer) -> FileRun:
    """The file that waits, decided: by this answer, or by the one that came before it, if that says the same or nobody
    said this one.

    Raises `FatalError` when another answer came before, when the ledger has the content by another decision, or has a
    part of it and this one rejects; `ConfigError` as `gate.answer` does; `IndexUnavailableError`.
    """
    earlier = answers.given(ctx.project.index, file)
    decided = _by(file, answer, earlier or answer)
    not_settled_otherwise(ctx, decided)
    return decided if earlier else _by(file, answer, answers.first(ctx.project.index, file, answer))


def _by(file: FileRun, said: Answer, stands: Answer) -> FileRun:
    """The file as the answer that stands decides it. Raises `FatalError` when a person said something else."""
    if said.person and said.decision is not stands.decision:
        raise FatalError(
            f"answering for `{file.file.uri}`: {told_of(stands)}; the first answer stands"
            " (answer the same to bring it to its end, or run its day again to be asked anew: "
            f"forebay run {file.pipeline} --date {file.window.day})",
            uri=file.file.uri,
        )
    return answered(file, stands)


def told_of(answer: Answer) -> str:
    """Whose answer it was, when, and what."""
    who = f"{answer.by} has answered it in {answer.place}" if answer.person else "nobody answered in time"
    when = f" ({answer.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC)" if answer.at else ""
    return f"{who}{when}: {answer.decision}, {answer.reason}"


def not_settled_otherwise(ctx: Context, file: FileRun) -> FileRun:
    """The file itself. Raises `FatalError` when the ledger has its content already by another decision, or a part of it
    and this one rejects."""
    entry, begun = _published(ctx, file)
    if entry is None:
        if begun and file.decision is Decision.REJECT:
            raise FatalError(
                f"deciding for `{file.file.uri}`: a part of it is published already, and cannot be rejected any more"
                f" (answer with publish or publish all, as before; forebay ledger show {file.pipeline})",
                uri=file.file.uri,
            )
        return file
    said = entry.completion.answer
    same = said and file.answer and (said.decision, said.reason) == (file.answer.decision, file.answer.reason)
    if not same:
        raise FatalError(
            f"deciding for `{file.file.uri}`: run `{entry.identity.run_id}` has published it meanwhile"
            f" (decision: {entry.completion.decision}, by {entry.completion.decided_by or 'nobody'}; "
            f"forebay trace {shlex.quote(file.file.name)})",
            uri=file.file.uri,
        )
    return file


def _published(ctx: Context, file: FileRun) -> tuple[FileEntry | None, bool]:
    """The completion record of this content and generation, if there is one by now, and whether any chunk of it is
    committed."""
    fingerprint = file.fingerprint or ""
    with open_ledger(ctx) as ledger:
        published = next(
            (entry for entry in ledger.by_fingerprint(fingerprint) if entry.generation == file.generation), None
        )
        return published, file.generation in ledger.started(fingerprint)
