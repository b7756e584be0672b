"""What a file's text may do in an error's words: with `quality.redact`, nothing. Every error of one file passes here
before anybody is told.

A message of forebay's has what it quotes in backticks or quotes. Of those, the words of the pipeline itself stay
(columns, settings, the file's address); from the first other one on, all that is quoted is taken out, since a value may
have quotes in it, too. What a vendor's error says is taken out whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from forebay.config.pipeline import Pipeline
from forebay.config.types import NAMES
from forebay.errors import ConfigError, CorruptFileError, FatalError, ForebayError
from forebay.model import Stage
from forebay.quality.redact import MARK

_QUOTED = re.compile(r"`([^`]*)`")
_OPENS = re.compile(r"[`\"\[{]|(?<![A-Za-z])'")  # an apostrophe opens nothing
_CLOSES = "`'\"]}"
_WAYS_OUT = ("jq -c .", "jq -c '.[]'")
"""Commands that an error names, which no file brought."""
_NOT_SHOWN = "its words are not shown, they may hold a redacted value: look at the file"


def shown(pipeline: Pipeline) -> frozenset[str] | None:
    """The words that a message may quote; None where nothing is redacted and all may be."""
    quality = pipeline.quality
    if not quality.redact:
        return None
    declared = (pipeline.schema_.columns if pipeline.schema_ else None) or {}
    names = {
        *quality.redact,
        *pipeline.record.key,
        *declared,
        *declared.values(),
        pipeline.record.timestamp or "",
        pipeline.topic.name,
    }
    return frozenset(
        {
            *names,
            *NAMES,
            *_WAYS_OUT,
            "schema",
            "schema.columns",
            "quality.redact",
            "record.key",
            "record.timestamp",
            quality.suite or "",
        }
        - {""}
    )


def without_values(error: ForebayError, known: Collection[str] | None) -> ForebayError:
    """The error with nothing in its words that a file may have brought, and with no other error behind it (a log would
    show that one's)."""
    if known is None or not (isinstance(error, CorruptFileError | ConfigError) or type(error) is FatalError):
        return error
    known = {*known, *(str(error.where[key]) for key in ("uri", "topic", "path") if key in error.where)}
    foreign = error.__cause__ is not None and not isinstance(error.__cause__, ForebayError | OSError)
    words = _without_foreign(error, known) if foreign else _without_quoted(error.message, known)
    return type(error)(words, **{key: value for key, value in error.where.items() if _is_known(value, known)})


def _without_foreign(error: ForebayError, known: Collection[str]) -> str:
    """What was done to which file stands before the first colon behind a backtick."""
    what = error.message.partition("`: ")[0] + "`" if "`: " in error.message else "working on the file"
    return f"{_without_quoted(what, known)}: {type(error.__cause__).__name__} ({_NOT_SHOWN})"


def _without_quoted(message: str, known: Collection[str]) -> str:
    safe = 0
    while (opened := _OPENS.search(message, safe)) is not None:
        quoted = _QUOTED.match(message, opened.start())
        if quoted is None or quoted[1] not in known:
            end = max(map(message.rfind, _CLOSES)) + 1
            return f"{message[: opened.start()]}{MARK}{message[max(end, opened.start()) :]}"
        safe = quoted.end()
    return message


def _is_known(value: Any, known: Collection[str]) -> bool:
    if isinstance(value, int | float | None):
        return True
    return all(str(word) in known for word in value) if isinstance(value, tuple | list) else str(value) in known


def without_names(stage: Stage, pipeline: Pipeline) -> Stage:
    """The stage, whose drift does not tell the names of columns that the pipeline does not know: a value may stand in a
    header."""
    if shown(pipeline) is None:
        return stage
    return replace(stage, drift=replace(stage.drift, added=tuple(MARK for _ in stage.drift.added)))


@contextmanager
def hiding(pipeline: Pipeline) -> Iterator[None]:
    """Within it, what is raised says nothing that a redacted value could be part of. For files that are read for a
    person, outside a run."""
    try:
        yield
    except ForebayError as error:
        veiled = without_values(error, shown(pipeline))
        if veiled is error:
            raise
        raise veiled from None
