"""Events as a person follows them: short lines on standard error, and on a terminal a bar for the file that is being
published."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from forebay import events
from forebay.errors import ConfigError
from forebay.support.words import printable, some, way_out

_NAMED = 20  # parts of a list in a line
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_HIDDEN = {"uri", "run_id", "fingerprint", "message", "pipeline", "day"}


@contextmanager
def follow(console: Console | None = None) -> Iterator[None]:
    """Print every event until the block ends. `FOREBAY_LOG=INFO` (or DEBUG …) shows the log as well."""
    _logging()
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    bars = Bars(console)
    stop = events.listen(
        bars if console.is_terminal else lambda name, fields: console.print(line(name, fields), markup=False)
    )
    try:
        yield
    finally:
        stop()
        bars.close()


def _logging() -> None:
    level = (os.environ.get("FOREBAY_LOG") or "").upper()
    if level and level not in LEVELS:
        raise ConfigError(f"reading FOREBAY_LOG: `{level}` is no level of the log ({way_out(level, LEVELS)})")
    if level:
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    else:
        logging.getLogger("forebay").addHandler(logging.NullHandler())  # events are printed as progress already


def line(name: str, fields: dict[str, Any]) -> str:
    """One event in one line: its name, what it is about, and its numbers."""
    if fields.get("message"):
        return printable(f"{name:<16} {fields['message']}")
    facts = ", ".join(
        f"{key} {_value(value)}" for key, value in fields.items() if key not in _HIDDEN and value not in (None, "", [])
    )
    return printable(f"{name:<16} {_subject(fields)}{': ' * bool(facts)}{facts}")


def _subject(fields: dict[str, Any]) -> str:
    if fields.get("uri"):
        return str(fields["uri"]).rsplit("/", 1)[-1]
    return " ".join(str(fields[key]) for key in ("pipeline", "day") if fields.get(key))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return some([*map(str, value)], _NAMED, "; ") if isinstance(value, list | tuple) else str(value)


class Bars:
    """A listener for terminals: chunk events move a bar, all others are lines above it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress: Progress | None = None
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, name: str, fields: dict[str, Any]) -> None:
        if name in {events.CHUNK_COMMITTED, events.CHUNK_SKIPPED} and isinstance(fields.get("of"), int):
            self._advance(fields)
        else:
            self._end(fields)
            self.console.print(line(name, fields), markup=False)

    def _advance(self, fields: dict[str, Any]) -> None:
        if self.progress is None:
            columns = (
                TextColumn("publishing {task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("chunks"),
                TimeElapsedColumn(),
            )
            self.progress = Progress(*columns, console=self.console, transient=True)
            self.progress.start()
        subject = _subject(fields)
        if subject not in self.tasks:
            self.tasks[subject] = self.progress.add_task(printable(subject), total=fields["of"])
        self.progress.advance(self.tasks[subject])

    def _end(self, fields: dict[str, Any]) -> None:
        """A file's next event ends its bar."""
        task = self.tasks.pop(_subject(fields), None)
        if task is not None and self.progress:
            self.progress.remove_task(task)

    def close(self) -> None:
        if self.progress:
            self.progress.stop()
            self.progress = None
