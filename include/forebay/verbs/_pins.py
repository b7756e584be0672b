"""Columns that nobody declared: pinned by what was published last, so that a customer's key is of one type every night.

Every completion record tells the columns of its file. A file that is half published keeps those it was begun with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forebay.encoding.work import digest
from forebay.model import Column, FileRun
from forebay.verbs.context import Context
from forebay.verbs.discover import open_ledger

if TYPE_CHECKING:
    from forebay.kafka.ledger.view import LedgerView

Columns = tuple[Column, ...]
_INDEX = re.compile(r"__index_level_[0-9]+__")


def pinned(ctx: Context, fingerprint: str) -> Columns | None:
    """The columns that a file without a declared schema is held against; None if they are declared, or to be inferred
    from this file."""
    if columns_declared(ctx) is not None:
        return None
    if ctx.pins and fingerprint not in ctx.pins["begun"]:
        return _expected(ctx.pins["columns"])
    with open_ledger(ctx) as view:
        columns = _of(view.columns())
        begun = {fp: chunks[min(chunks)].origin.schema_hash for fp, chunks in _unfinished(view).items()}
        if columns:
            ctx.pins.update(columns=columns, begun=begun)
        if fingerprint not in begun or (columns and schema_hash(columns) == begun[fingerprint]):
            return _expected(columns) or None
        earlier = (_of(entry.completion.columns) for entry in view.entries() if entry.completion.columns)
        return next((one for one in earlier if schema_hash(one) == begun[fingerprint]), None)


class PinnedMeanwhileError(Exception):
    """Another worker published a first file while this one was on its way: its columns hold for this one, too."""


def refuse_pinned_meanwhile(ctx: Context, file: FileRun, view: LedgerView) -> None:
    """Of a file whose columns were inferred, before its first chunk. Raises `PinnedMeanwhileError`."""
    if file.pins or columns_declared(ctx) is not None or view.started(file.fingerprint or ""):
        return
    if view.columns():
        ctx.pins.clear()
        raise PinnedMeanwhileError


def _expected(columns: Columns) -> Columns:
    """Those that a later file must have: pandas writes its index, or does not, by how a frame was filtered
    (`__index_level_0__` …)."""
    return tuple(column for column in columns if not _INDEX.fullmatch(column.name))


def columns_declared(ctx: Context) -> Columns | None:
    """The columns that the pipeline declares, or None: they are inferred."""
    declared = ctx.pipeline.schema_
    return _of(declared.columns) if declared and declared.columns else None


def schema_hash(columns: Sequence[Column]) -> str:
    """What the ledger calls a schema."""
    return digest({"columns": [column.to_json() for column in columns]})


def name_of(columns: Columns | None) -> str:
    """What a work folder's settings call pinned columns."""
    return schema_hash(columns)[:16] if columns else ""


def _of(columns: Mapping[str, str]) -> Columns:
    return tuple(Column(name, kind) for name, kind in columns.items())


def _unfinished(view: Any) -> dict[str, dict[int, Any]]:
    return {next(iter(chunks.values())).receipt.fingerprint: chunks for chunks in view.unfinished() if chunks}
