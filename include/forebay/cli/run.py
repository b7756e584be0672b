"""`forebay run`: all steps for one window, or for several, without Airflow."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from forebay.cli.common import JsonOption, ProjectOption, day, error_document, exit_codes, project, show, tell
from forebay.cli.progress import follow
from forebay.cli.runs import said
from forebay.config.load import load_pipeline
from forebay.errors import FatalError, ForebayError, QualityError, RetryableError
from forebay.model import COMMAND_LINE, Answer, Decision, FileRun, RunReport, Status, Window
from forebay.support.words import counted, printable

if TYPE_CHECKING:
    from forebay.verbs.context import Context

app = typer.Typer()

Runs = tuple[list[RunReport], ForebayError | None]
"""The windows that were run, in order, and what ended the rest."""

_COUNTS = ("rows_in", "published", "quarantined", "rejected")
_STYLES = {"done": "green", "failed": "bold red", "not ready": "yellow", "held back": "yellow", "rejected": "yellow"}


@app.command("run")
def run(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    on: Annotated[
        date | None, typer.Option("--date", metavar="DAY", parser=day, help="The window of one day, like 2013-01-31.")
    ] = None,
    first: Annotated[
        date | None, typer.Option("--from", metavar="DAY", parser=day, help="The first of several days.")
    ] = None,
    last: Annotated[
        date | None, typer.Option("--to", metavar="DAY", parser=day, help="The last of several days.")
    ] = None,
    generation: Annotated[
        str | None, typer.Option(metavar="new", help="`new`: publish again what was published (needs --reason).")
    ] = None,
    steward: Annotated[
        str | None, typer.Option(metavar="publish|reject", help="The answer for files held back (needs --reason).")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; kept with the run.")] = None,
    root: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish the files of one window, or of several, without Airflow."""
    days = _days(on, first, last)
    extra = _answers(generation, steward, reason)
    with exit_codes(as_json):
        from forebay.verbs.context import Context

        where = project(root)
        ctx = Context.of(load_pipeline(where, pipeline), where, starts=True)
        if not ctx.pipeline.quality.suite:
            _spare_pandas()
        with follow():
            done, error = _run_all(ctx, days, extra)
        if error and on:
            raise error
        show(_document(done, error, several=on is None), as_json, lambda console: _print(console, done))
        if error:
            tell(error)
        raise typer.Exit(error.exit_code if error else exit_code(done))


class _NoPandas(MetaPathFinder):
    """Finds nothing, and says that pandas is not there."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname, name=fullname)


def _spare_pandas() -> None:
    """Let pyarrow believe that there is no pandas in this process, where nobody hands it a data frame.

    It would import it (0.5 CPU seconds, a fifth of a small run) with the first array that it makes, to recognise data
    frames. It asks once. Great Expectations needs pandas: a run with a suite is left as it is.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    blind = _NoPandas()
    sys.meta_path.insert(0, blind)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(blind)


def _days(on: date | None, first: date | None, last: date | None) -> list[date]:
    """The days that were asked for. Raises `typer.BadParameter`."""
    if on and not (first or last):
        return [on]
    if on or not (first and last):
        raise typer.BadParameter("give --date DAY, or --from DAY and --to DAY")
    if last < first:
        raise typer.BadParameter(f"--to {last} is before --from {first}")
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _answers(generation: str | None, steward: str | None, reason: str | None) -> dict[str, Any]:
    """What a person decided beforehand, as arguments of `run_window`. Raises `typer.BadParameter`."""
    if generation not in {None, "new"}:
        raise typer.BadParameter(f"--generation `{generation}`: the only value is `new`")
    if steward not in {None, "publish", "reject"}:
        raise typer.BadParameter(f"--steward `{steward}`: the values are `publish` and `reject`")
    if not (generation or steward):
        return {}
    if not reason:
        raise typer.BadParameter("a new generation and a steward's answer need --reason")
    from forebay.verbs.discover import GenerationRequest

    who = getuser()
    asked = {"generation": GenerationRequest(reason)} if generation else {}
    return asked | (
        {"steward": Answer(Decision(steward), who, reason, datetime.now(UTC), COMMAND_LINE)} if steward else {}
    )


def getuser() -> str:
    """Who runs this command, for the record."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "cli"


def _run_all(ctx: Context, days: Iterable[date], extra: dict[str, Any]) -> Runs:
    """Run the windows in order; an error of a whole run ends the rest."""
    from forebay.verbs.run import run_window

    done: list[RunReport] = []
    for each in days:
        try:
            done.append(run_window(ctx, Window.of_day(each, ctx.pipeline.timezone), trigger="cli", **extra))
        except ForebayError as error:
            return done, error
    return done, None


def exit_code(runs: Iterable[RunReport]) -> int:
    """0 when all is done; 1 when something failed, 4 when all that failed may succeed later, or a window is not ready;
    3 when a file waits for a person or was rejected."""
    reports = list(runs)
    failed = [file for report in reports for file in report.files if file.status is Status.FAILED]
    if failed:
        return RetryableError.exit_code if all(file.again for file in failed) else FatalError.exit_code
    ends = {report.status for report in reports}
    if "failed" in ends:
        return FatalError.exit_code
    if ends & {"held back", "rejected"}:
        return QualityError.exit_code
    return RetryableError.exit_code if "not ready" in ends else 0


def _document(done: list[RunReport], error: ForebayError | None, *, several: bool) -> dict[str, Any]:
    if not several:
        return document(done[0])
    failure = error_document(error) if error else {}
    return {"runs": [document(report) for report in done], **failure}


def document(report: RunReport) -> dict[str, Any]:
    """One run as `--json` prints it: a promise to other programs (docs: the command line)."""
    return {
        "run_id": report.run_id,
        "pipeline": report.pipeline,
        "window": report.window.to_json(),
        "status": report.status,
        "files": [_file_document(file) for file in report.files],
    }


def _file_document(file: FileRun) -> dict[str, Any]:
    keys = ("topic", "partition", "first", "last", "count")
    return {
        "uri": file.file.uri,
        "fingerprint": file.fingerprint,
        "fate": file.fate.value,
        "reason": file.error or file.reason,
        "generation": file.generation,
        "supersedes": file.earlier.supersedes,
        "left": [begun.to_json() for begun in file.earlier.left],
        **file.counts.to_json(),
        "outputs": [{key: getattr(place, key) for key in keys} for place in file.outputs],
    }


def _print(console: Console, done: list[RunReport]) -> None:
    for report in done:
        _print_run(console, report)


def _print_run(console: Console, report: RunReport) -> None:
    style = _STYLES.get(report.status, "bold")
    console.print(
        f"[bold]{report.pipeline}[/] {report.window.day} [{style}]{report.status}[/]  [dim]{report.run_id}[/]"
    )
    if not report.files:
        console.print(f"  {printable(report.note or 'nothing to do')}", markup=False)
        return
    console.print(_table(report.files))
    for note in _notes(report):
        console.print(f"  {printable(note)}", markup=False)
    console.print()


def _table(files: tuple[FileRun, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    for name in ("file", "outcome"):
        table.add_column(name)
    for name in _COUNTS:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("where")
    for file in files:
        counts = [f"{count:,}" if count else "[dim]·[/]" for count in file.counts.to_json().values()]
        table.add_row(Text(printable(file.file.name)), outcome(file), *counts, _where(file))
    return table


def outcome(file: FileRun) -> str:
    """How a file ended, in a word or two."""
    match file.status:
        case Status.DONE:
            return "published" if file.outputs or file.counts.published else "done"
        case Status.SKIPPED:
            return file.fate.value
        case Status.FAILED if file.again:
            return "failed, try again"
    return file.status.value


def _where(file: FileRun) -> str:
    places = sorted({(place.topic, place.partition) for place in file.outputs})
    if not places:
        return ""
    offsets = (
        f"offsets {file.outputs[0].first}-{file.outputs[0].last}"
        if len(file.outputs) == 1
        else counted(len(places), "partition")
    )
    return f"{places[0][0]}, {offsets}"


def _notes(report: RunReport) -> list[str]:
    """Why, for every file that did not simply pass; what is ready to be read; what the run as a whole has to say."""
    plain = [
        file
        for file in report.files
        if file.status is Status.DONE
        and not (file.counts.quarantined or file.earlier.supersedes or file.generation > 1)
    ]
    notes = [f"{file.file.name}: {said(file)}" for file in report.files if file not in plain]
    notes += [f"{file.file.name}: {note}" for file in report.files for note in file.notes]
    if any(file.counts.quarantined for file in report.files):
        notes.append(f"quarantined rows: forebay quarantine list {report.pipeline}")
    notes += [f"quality report: {file.docs}" for file in report.files if file.docs]
    return [*notes, *filter(None, [report.note])]
