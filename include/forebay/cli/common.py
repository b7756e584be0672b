"""What every command shares: `--project`, `--json`, one document on standard output, all else on standard error, exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from forebay.config.home import Project
from forebay.errors import ForebayError

ProjectOption = Annotated[
    Path | None, typer.Option("--project", metavar="DIR", help="Folder that has include/pipelines (default: the nearest one upwards).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]

err = Console(stderr=True, highlight=False, soft_wrap=True)


def out() -> Console:
    """The console of what was asked for; built late, so that tests may swap standard output."""
    return Console(highlight=False, soft_wrap=True)


def show(document: Any, as_json: bool, render: Callable[[Console], None]) -> None:
    """The command's answer: the document as JSON, or the same as a person reads it."""
    if as_json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")
    else:
        render(out())


def project(root: Path | None) -> Project:
    return Project.find(root)


@contextmanager
def exit_codes(as_json: bool = False) -> Iterator[None]:
    """Turn a `ForebayError` into its message on standard error (and `{"error": …}` with `--json`) and its exit code."""
    try:
        yield
    except ForebayError as error:
        err.print(f"[bold red]{type(error).__name__}[/]", end=" ")
        err.print(error.message, markup=False)
        if as_json:
            sys.stdout.write(json.dumps({"error": {"type": type(error).__name__, "message": error.message}}) + "\n")
        raise typer.Exit(error.exit_code) from error
