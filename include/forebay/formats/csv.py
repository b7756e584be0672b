"""CSV as RFC 4180 has it, with the liberties that its settings name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from forebay.contracts import Format, StageWriter
from forebay.formats._csv.settings import CsvSettings
from forebay.formats._duck import connect, scratch
from forebay.formats._text import decoded
from forebay.formats._types import known
from forebay.model import Column, Snapshot, Stage


class Csv(Format[CsvSettings]):
    """Delimited text. Every record that can be read and typed without changing a value is staged; every other one is
    quarantined."""

    Config = CsvSettings

    def read(self, snapshot: Snapshot, plain: Path, columns: tuple[Column, ...] | None, into: StageWriter) -> Stage:
        from forebay.formats._csv.layout import layout
        from forebay.formats._csv.reading import Reading

        uri = snapshot.file.uri
        with scratch(into) as folder, connect(into, folder, uri) as connection:
            text = decoded(plain, folder, self.config.encoding, uri)
            laid_out = layout(self.config, text.path, columns, uri, into.tolerance.missing)
            reading = Reading(
                self.config, connection, into.folder, folder, laid_out, uri, into.tolerance.misfits, list(text.notes)
            )
            types = [known(column) for column in columns] if columns is not None else [None] * len(laid_out.wanted)
            stage = reading.stage(snapshot, types, plain.stat().st_size)
        return replace(stage, inferred=columns is None)


def column_names(plain: Path, config: CsvSettings, scratch: Path, uri: str) -> tuple[str, ...]:
    """The names of the file's own header, in its order; none without one. `scratch` is a folder for a decoded copy.

    Raises `CorruptFileError` for a header that cannot be read.
    """
    from forebay.formats._csv.head import head

    return head(decoded(plain, scratch, config.encoding, uri).path, config, uri).names or ()
