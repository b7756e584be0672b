"""`forebay waiting` and `forebay decide`: files that are held back, and a steward's answer where there is no
Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from forebay.cli.common import JsonOption, ProjectOption, exit_codes, project, show
from forebay.model import COMMAND_LINE, Answer, Decision, FileRun
from forebay.support.words import printable

app = typer.Typer()

FileOption = Annotated[
    str | None, typer.Option("--file", help="Only this file: the end of its uri, or the beginning of its sha256.")
]


@app.command("waiting")
def waiting(
    pipeline: Annotated[str | None, typer.Argument(help="Only this pipeline.")] = None,
    file: FileOption = None,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Files that are held back: since when, why, and where an answer is expected until when."""
    with exit_codes(as_json):
        from forebay.verbs import decide as deciding

        where = project(root)
        questions = [
            Waiting(held, deciding.given(where, held), deciding.before(where, held))
            for held in deciding.waiting(where, pipeline, file)
        ]
        show({"files": [_document(held) for held in questions]}, as_json, lambda console: _print(console, questions))


@dataclass(frozen=True)
class Waiting:
    """A file that waits, the answer that was cut short (if any), and the answer to an earlier question about it."""

    file: FileRun
    given: Answer | None
    before: Answer | None


def _document(waiting: Waiting) -> dict[str, Any]:
    file, asked, kept = waiting.file, waiting.file.question, waiting.file.to_json()
    names = ("pipeline", "run_id", "fingerprint", "generation", "rows_in", "quarantined", "reason")
    return {
        "uri": file.file.uri,
        "day": file.window.day.isoformat(),
        **{name: kept[name] for name in names},
        "since": asked.asked.isoformat() if asked else None,
        "answer_at": (asked and asked.link) or _command(file),
        "until": asked.deadline.isoformat() if asked and asked.deadline else None,
        "default": asked.default if asked else None,
        "given": waiting.given.to_json() if waiting.given else None,
        "before": waiting.before.to_json() if waiting.before else None,
    }


def _command(file: FileRun) -> str:
    """By the content: the end of a uri may be another file's too."""
    return (
        f'forebay decide {file.pipeline} --file {(file.fingerprint or "")[:16]} --publish --reason "…"; '
        "or --publish-all, or --reject"
    )


def _print(console: Console, questions: list[Waiting]) -> None:
    if not questions:
        console.print("no file waits for a person")
        return
    for waiting in questions:
        file = waiting.file
        console.print(
            f"{file.window.day}  {file.pipeline}  {printable(file.file.name)}",
            markup=False,
            style="bold",
            soft_wrap=True,
        )
        for name, words in _told(waiting):
            console.print(f"  {name:<10}{printable(words)}", markup=False, highlight=False, soft_wrap=True)


def _told(held: Waiting) -> Iterator[tuple[str, str]]:
    file, asked = held.file, held.file.question
    yield "why", file.reason
    yield "rows", f"{file.counts.rows_in:,}, to be quarantined {file.counts.quarantined:,}"
    if asked:
        yield "since", _moment(asked.asked)
    if held.before:
        yield (
            "before",
            f"{held.before.decision} by {held.before.by}, {_moment(held.before.at)}: {held.before.reason}",
        )
    if held.given:
        yield (
            "answered",
            f"{held.given.decision} by {held.given.by}, {_moment(held.given.at)}: "
            f"{held.given.reason} (not carried out yet)",
        )
    if asked and asked.link:
        yield "answer at", asked.link
        yield "or with", _command(file)
    else:
        yield "answer", _command(file)
    if asked and asked.deadline:
        yield "until", f"{_moment(asked.deadline)}, then: {asked.default}"


def _moment(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else ""


@app.command("decide")
def decide(
    pipeline: Annotated[str, typer.Argument(help="The pipeline.")],
    file: FileOption = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Publish the rows that passed; the others are quarantined.")
    ] = False,
    publish_all: Annotated[
        bool, typer.Option("--publish-all", help="Publish the failing rows too; unreadable rows stay quarantined.")
    ] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Publish none of its rows.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the ledger, the index and lineage.")] = "",
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide for the files that wait (see: forebay waiting), and go on with them. The first answer stands, here or in
    Airflow."""
    decision = _decision(publish, publish_all, reject)
    if not reason.strip():
        raise typer.BadParameter("a decision needs --reason: it is part of the record")
    with exit_codes(as_json):
        from forebay.cli import run as running
        from forebay.cli.progress import follow
        from forebay.config.load import load_pipeline
        from forebay.verbs.context import Context
        from forebay.verbs.decide import decide as take
        from forebay.verbs.decide import waiting as found_waiting

        where = project(root)
        ctx = Context.of(load_pipeline(where, pipeline), where, starts=True)
        files = found_waiting(where, pipeline, file)
        with follow():
            done = take(ctx, files, Answer(decision, running.getuser(), reason, datetime.now(UTC), COMMAND_LINE), file)
        document = {"runs": [running.document(report) for report in done]}
        show(document, as_json, lambda console: running._print(console, done))
        failed = any(report.status == "failed" for report in done)
        raise typer.Exit(running.exit_code(done) if failed else 0)


def _decision(publish: bool, publish_all: bool, reject: bool) -> Decision:
    asked = {Decision.PUBLISH: publish, Decision.PUBLISH_ALL: publish_all, Decision.REJECT: reject}
    chosen = [decision for decision, wanted in asked.items() if wanted]
    if len(chosen) != 1:
        raise typer.BadParameter("give one of --publish, --publish-all and --reject")
    return chosen[0]
