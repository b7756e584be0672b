"""Columns that nobody declared: pinned by what was published last, so that a customer's key is of one type every night.

Every completion record tells the columns of its file. A file that is half published keeps those it was begun with. A
column of which no file had a value so far is pinned by its name only: its type is `OPEN`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from forebay.encoding.work import digest
from forebay.model import OPEN, Column, FileRun, Stage
from forebay.verbs.context import Context
from forebay.verbs.discover import open_ledger

if TYPE_CHECKING:
    import pyarrow.parquet as pq

    from forebay.kafka.ledger.reader import Origin
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
        begun = {fp: chunks[min(chunks)].origin for fp, chunks in _unfinished(view).items()}
        if columns and not open_of(columns):
            ctx.pins.update(columns=columns, begun=begun)
        if fingerprint in begun:
            return _begun_with(begun[fingerprint], columns, view)
        return _expected(columns) or None


def _begun_with(origin: Origin, columns: Columns, view: LedgerView) -> Columns | None:
    """The pinned columns that a half published file was read with: of the present ones and all earlier ones, those that
    its first chunk names. An earlier version's chunk names only those that the file had."""
    if origin.pins == "":
        return None
    known = (pins for pins in (columns, *_earlier(view)) if pins)
    if origin.pins:
        return next((pins for pins in map(_expected, known) if name_of(pins) == origin.pins), None)
    if columns and schema_hash(columns) == origin.schema_hash:
        return _expected(columns)
    return next((pins for pins in known if schema_hash(pins) == origin.schema_hash), None)


def _earlier(view: LedgerView) -> Iterator[Columns]:
    return (_of(entry.completion.pins) for entry in view.entries() if entry.completion.columns)


class PinnedMeanwhileError(Exception):
    """Another worker published a first file while this one was on its way: its columns hold for this one, too."""


def refuse_pinned_meanwhile(ctx: Context, file: FileRun, stage: Stage, view: LedgerView) -> None:
    """Of a file of which columns were inferred, before its first chunk. Raises `PinnedMeanwhileError`."""
    if columns_declared(ctx) is not None or view.started(file.fingerprint or ""):
        return
    pinned_now = view.columns()
    if pinned_now and (not file.pins or _settled_otherwise(stage, pinned_now)):
        ctx.pins.clear()
        raise PinnedMeanwhileError


def _settled_otherwise(stage: Stage, pinned_now: Mapping[str, str]) -> bool:
    """Whether a column whose type this file was to decide has another by now."""
    inferred = open_of(stage.pins)
    types = {column.name: OPEN if column.name in stage.open else column.type for column in stage.columns}
    return any(pinned_now.get(name, OPEN) not in {OPEN, types.get(name)} for name in inferred)


def open_of(columns: Sequence[Column]) -> frozenset[str]:
    """The names of the columns whose type nothing decided so far."""
    return frozenset(column.name for column in columns if column.type == OPEN)


def with_pins(stage: Stage, pins: Columns | None) -> Stage:
    """A stage that was just read with those pinned columns, with what is open behind it."""
    import pyarrow.parquet as pq

    undecided = open_of(pins) if pins else {column.name for column in stage.columns}
    with pq.ParquetFile(stage.rows) as rows:
        places = {name: place for place, name in enumerate(rows.schema_arrow.names) if name in undecided}
        without = tuple(name for name, place in places.items() if not _has_value(rows, place))
    return replace(stage, pins=pins or (), open=without)


def _has_value(rows: pq.ParquetFile, place: int) -> bool:
    groups = (rows.metadata.row_group(number).column(place) for number in range(rows.metadata.num_row_groups))
    return any(not group.is_stats_set or group.statistics.null_count < group.num_values for group in groups)


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
