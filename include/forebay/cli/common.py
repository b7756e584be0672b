"""What every command shares: `--project`, `--json`, one document on standard output, all else on standard error, exit
codes."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import Console

from forebay.config.home import Project
from forebay.errors import ForebayError, SettingsError
from forebay.support.words import printable

if TYPE_CHECKING:
    from forebay.config.pipeline import Pipeline
    from forebay.verbs.context import Context

INTERRUPTED = 130

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project", metavar="DIR", help="Folder that has include/pipelines (default: the nearest one upwards)."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]

err = Console(stderr=True, highlight=False, soft_wrap=True)


PIPED = 200
"""Columns where there is no terminal: tables are read by people in logs and files too, and must not be cut."""


def out() -> Console:
    """The console of what was asked for; built late, so that tests may swap standard output."""
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPED
    return Console(highlight=False, soft_wrap=True, width=width)


def day(text: str) -> date:
    """An ISO date given with an option; anything else is wrong usage."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"`{text}` is not a day (write it like 2013-01-31)") from None


def show(document: Any, as_json: bool, render: Callable[[Console], None]) -> None:
    """The command's answer: the document as JSON, or the same as a person reads it."""
    if as_json:
        write(document)
    else:
        render(out())


def write(document: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")
    sys.stdout.flush()


def write_streamed(document: dict[str, Any]) -> None:
    """As `write`, of any length: values that are iterators become lists, functions are asked when their turn comes. It
    is put together in a file first, so that an error on the way leaves no half document behind."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as spool:
        for n, (name, value) in enumerate(document.items()):
            spool.write(("{" if n == 0 else ",") + f"\n  {json.dumps(name)}: ")
            if isinstance(value, Iterator):
                _write_list(spool, value)
            else:
                spool.write(_indented(value() if callable(value) else value, 2))
        spool.write("\n}\n")
        spool.seek(0)
        shutil.copyfileobj(spool, sys.stdout)
    sys.stdout.flush()


def _write_list(spool: TextIO, items: Iterator[Any]) -> None:
    spool.write("[")
    comma = ""
    for item in items:
        spool.write(f"{comma}\n    {_indented(item, 4)}")
        comma = ","
    spool.write("\n  ]" if comma else "]")


def _indented(value: Any, by: int) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str).replace("\n", "\n" + " " * by)


def project(root: Path | None) -> Project:
    return Project.find(root)


def chosen(here: Project, names: list[str] | None) -> list[Pipeline]:
    """The pipelines that are named, or all of them. Raises `ConfigError`, naming those that there are."""
    from forebay.config.load import load_all, load_pipeline

    return [load_pipeline(here, name) for name in names] if names else list(load_all(here).pipelines.values())


def context(here: Project, pipeline: str, *, starts: bool = False) -> Context:
    """A pipeline in its surroundings, by name; `starts` for commands that publish."""
    from forebay.verbs.context import Context

    return Context.of(chosen(here, [pipeline])[0], here, starts=starts)


def error_document(error: BaseException, kind: str | None = None, message: str | None = None) -> dict[str, Any]:
    """`{"error": {type, message, …}}`: what an error names (uri, topic, row …) in `where`, faults of files in
    `faults`."""
    document: dict[str, Any] = {
        "type": kind or type(error).__name__,
        "message": message if message is not None else str(error),
    }
    if isinstance(error, SettingsError):
        document["faults"] = [{"path": f.path, "line": f.line, "message": f.message} for f in error.faults]
    elif isinstance(error, ForebayError) and error.where:
        document["where"] = error.where
    return {"error": document}


def tell(error: ForebayError) -> None:
    """An error as a person reads it, on standard error."""
    err.print(f"[bold red]{type(error).__name__}[/]", end=" " if "\n" not in error.message else "\n")
    err.print("\n".join(map(printable, error.message.splitlines())), markup=False)


@contextmanager
def exit_codes(as_json: bool = False) -> Iterator[None]:
    """Turn a `ForebayError` into its message on standard error (and `{"error": …}` with `--json`) and its exit code.

    An interruption exits with 130. Anything else is a bug of ours: it keeps its traceback, and Python exits with 1.
    """
    try:
        yield
    except ForebayError as error:
        tell(error)
        if as_json:
            write(error_document(error))
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt:
        err.print("interrupted")
        if as_json:
            write({"error": {"type": "KeyboardInterrupt", "message": "interrupted"}})
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        if as_json and not isinstance(error, typer.Exit | typer.Abort | typer.BadParameter):
            write(error_document(error))
        raise
