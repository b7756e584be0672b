"""The `forebay` command: one sub-command a module, imported only when it is called (start-up is part of speed)."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from forebay.cli import common


class Entry(NamedTuple):
    """A command: the module of this package that holds it as `app`, and its line of help (so that help imports
    nothing)."""

    module: str
    help: str


COMMANDS = {
    "check": Entry("check", "Are the pipeline files, suites and schemas right? No network."),
    "discover": Entry("discover", "Every file seen, its fate, and why."),
    "run": Entry("run", "Publish the files of one window, or of several, without Airflow."),
    "runs": Entry("runs", "What happened, run by run."),
    "files": Entry("runs", "How each file ended, and why."),
    "waiting": Entry("decide", "Files that are held back, and why."),
    "decide": Entry("decide", "A steward's answer for files that wait, where there is no Airflow."),
    "report": Entry("report", "The quality pages once more, from the index, and where they are."),
    "trace": Entry("trace", "From a record to its file and row, or from a file to its records."),
    "quarantine": Entry("quarantine", "Quarantined rows: list, show, export, replay."),
    "suite": Entry("suite", "Propose a suite from a sample file, or try one on a file."),
    "ledger": Entry("ledger", "What was published, the proof re-read from the topic, backup and restore."),
    "doctor": Entry("doctor", "Can exactly once be kept here? Brokers, topics, rights, ledger, disk."),
    "cluster": Entry("cluster", "Brokers, controller, leaders, replicas, in-sync."),
    "consumers": Entry("cluster", "Which group has consumed which run."),
    "prune": Entry("prune", "Remove work folders of settled files, and what killed processes left."),
    "index": Entry("index", "Rebuild the index from the ledger and the stored verdicts."),
    "broker": Entry("broker", "The embedded broker: start, stop, status, env."),
}
"""`app` is a Typer: one command of that name among its commands, or a group of that name."""


class Lazy(TyperGroup):
    """A group whose commands are imported on use, and whose usage errors are a JSON document too when `--json` was
    given."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=entry.help) for name, entry in COMMANDS.items()}
        self._brief = False
        self._as_json = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if self._brief or cmd_name not in COMMANDS:
            return self.commands.get(cmd_name)
        return _loaded(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._brief = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._brief = False

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        self._as_json = "--json" in args
        with self._usage():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        with self._usage():
            return super().invoke(ctx)

    @contextmanager
    def _usage(self) -> Iterator[None]:
        try:
            yield
        except TyperException as error:
            if self._as_json:
                common.write(common.error_document(error, "UsageError", error.format_message()))
            raise


def _loaded(name: str) -> Any:
    app = importlib.import_module(f"forebay.cli.{COMMANDS[name].module}").app
    command = typer.main.get_group(app)
    loaded = command.commands.get(name, command)
    loaded.name = name
    return loaded


def _version(wanted: bool) -> None:
    if wanted:
        common.out().print(f"forebay {importlib.metadata.version('forebay')}")
        raise typer.Exit


app = typer.Typer(cls=Lazy, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print forebay's version.")
    ] = False,
) -> None:
    """Files in, Kafka records out, exactly once, with the proof kept.

    Exit codes: 0 done (or nothing to do), 1 failed, 2 wrong usage or configuration, 3 a file is held back or was
    rejected, 4 could not reach something, or the window is not ready: trying again may help.
    """


def main() -> None:
    """Entry point of the console script."""
    app()
