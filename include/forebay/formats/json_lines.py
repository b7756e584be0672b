"""JSON lines: one object a line."""

from __future__ import annotations

from pathlib import Path

from forebay.contracts import Format, StageWriter
from forebay.formats._duck import connect, scratch
from forebay.formats._json.settings import JsonLinesSettings
from forebay.formats._text import decoded
from forebay.formats._types import known
from forebay.model import Column, Snapshot, Stage


class JsonLines(Format[JsonLinesSettings]):
    """One JSON object a line, its scalars as columns. What is nested, malformed, or of another type sets its line
    aside."""

    Config = JsonLinesSettings

    def read(self, snapshot: Snapshot, plain: Path, columns: tuple[Column, ...] | None, into: StageWriter) -> Stage:
        from forebay.formats._json.reading import Reading
        from forebay.formats._json.shape import refuse_other_shapes

        uri = snapshot.file.uri
        types = {column.name: known(column) for column in columns} if columns is not None else None
        with scratch(into) as folder, connect(into, folder, uri) as connection:
            text = decoded(plain, folder, self.config.encoding, uri)
            refuse_other_shapes(text.path, uri)
            reading = Reading(self.config, connection, into.folder, folder, text.path, uri, into.tolerance, text.notes)
            return reading.stage(snapshot, types, plain.stat().st_size)
