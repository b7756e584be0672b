"""One file of JSON lines on its way to a stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forebay.config.types import Type
from forebay.contracts import Tolerance
from forebay.errors import ConfigError, CorruptFileError
from forebay.formats import _csv_scan, _json_cells, _staging
from forebay.formats._casts import value
from forebay.formats._lines import Lines, Multiline
from forebay.formats._rules import STRICT
from forebay.formats._text import Text
from forebay.model import Drift, Snapshot, Stage
from forebay.support.sql import parquet

if TYPE_CHECKING:
    import duckdb

    from forebay.formats.json_lines import JsonLinesSettings

_NO_BYTE_OF_JSON = "\x01"  # a control character, which JSON must escape: a line has one field


@dataclass
class Reading:
    """One file being read; its stage goes `into` one folder, and what is needed meanwhile into another."""

    config: JsonLinesSettings
    connection: duckdb.DuckDBPyConnection
    into: Path
    folder: Path
    text: Text
    uri: str
    tolerance: Tolerance
    _turns: Iterator[int] = field(default_factory=count)

    def stage(self, snapshot: Snapshot, types: Mapping[str, Type] | None, raw_bytes: int) -> Stage:
        """Read the file as those types, or as the narrowest that fit the most general kind of each key's values."""
        declared = types if types is not None else self._inferred()
        _staging.check_names(list(declared), self.uri)
        self._check_rules(declared)
        cells = [self._cell(name, i, type_) for i, (name, type_) in enumerate(declared.items())]
        turn = next(self._turns)
        real = self.config.loose_scalars or any(type_.is_float or type_.kind == "decimal" for type_ in declared.values())
        source = _json_cells.source(self._scan().source(turn), list(declared), real)
        statement = _staging.select(cells, source, _json_cells.BESIDES)
        typed = _staging.copy(self.connection, statement, self.folder)
        refused = self._refused(turn)
        drift = self._drift(typed, cells, declared) if types is not None else Drift()
        notes = [*self.text.notes, *self._notes(typed, refused)]
        inferred = types is None
        return _staging.finish(self.connection, self.into, snapshot, cells, typed, refused, None, raw_bytes, inferred, notes, drift)

    def _scan(self) -> _csv_scan.Scan:
        return _csv_scan.Scan(self.text.path, 1, _NO_BYTE_OF_JSON, None, record_bytes=self.config.max_record_bytes)

    def _cell(self, name: str, i: int, type_: Type) -> _staging.Cell:
        return _json_cells.cell(name, i, type_, self.config.columns.get(name, STRICT), self.config.loose_scalars)

    def _check_rules(self, names: Mapping[str, Type]) -> None:
        stray = [name for name in (*self.config.columns, *self.config.optional) if name not in names]
        if stray:
            raise ConfigError(f"reading `{self.uri}`: the format has rules for `{stray[0]}`, which is no column of it", uri=self.uri)

    def _refused(self, turn: int) -> _staging.Refused:
        """Lines that are no text: not UTF-8, or too long."""
        table = _csv_scan.refused(self.connection, turn, single=True)
        if not table.num_rows:
            return _staging.Refused(np.empty(0, np.int64))
        lines = Lines.of(self.text.path, self.folder, empty=False)
        found = _csv_scan.records(lines, table, Multiline.none(), 0)
        told = _csv_scan.rejects(lines, table, found, (), set(), self.config.max_record_bytes)
        return _staging.Refused(found.readable_before, told)

    def _drift(self, typed: _staging.Typed, cells: Sequence[_staging.Cell], declared: Mapping[str, Type]) -> Drift:
        retyped = _staging.retyped(self.connection, typed, cells, self.tolerance.misfits, self._kinds)
        return Drift(self._added(typed, declared), self._missing(typed, declared), retyped)

    def _added(self, typed: _staging.Typed, declared: Mapping[str, Type]) -> tuple[str, ...]:
        """Keys that are not expected."""
        keys = f"SELECT DISTINCT unnest(string_split({_staging.REST}, chr(31))) FROM {parquet(typed.path)}"
        found = self.connection.execute(f"{keys} WHERE {_staging.REST} <> '' AND {_staging.REASON} IS NULL ORDER BY 1").fetchall()
        return tuple(key for (key,) in found if key not in declared)

    def _missing(self, typed: _staging.Typed, declared: Mapping[str, Type]) -> tuple[str, ...]:
        """Expected columns that no line has and that need not be there. Raises `CorruptFileError` for others."""
        empty = [name for name in self._empty_columns(typed, declared) if name not in self.config.optional]
        if not empty:
            return ()
        source = _json_cells.source(self._scan().source(next(self._turns)), empty)
        counts = ", ".join(f"count(x[{i + 1}])" for i in range(len(empty)))
        [(objects, *found)] = self.connection.execute(
            f"SELECT count(*) FILTER (json_type(j) = 'OBJECT'), {counts} FROM {source}"
        ).fetchall()
        missing = tuple(name for name, lines in zip(empty, found, strict=True) if not lines) if objects else ()
        if missing and not self.tolerance.missing:
            names = ", ".join(f"`{name}`" for name in missing)
            way_out = "rename them in the schema, or name them in format.optional"
            raise CorruptFileError(f"reading `{self.uri}`: no line has the key {names} ({way_out})", uri=self.uri)
        return missing

    def _empty_columns(self, typed: _staging.Typed, declared: Mapping[str, Type]) -> list[str]:
        counts = ", ".join(f"count({_staging.quoted(name)})" for name in declared)
        [row] = self.connection.execute(f"SELECT {counts} FROM {parquet(typed.path)}").fetchall()
        return [name for name, values in zip(declared, row, strict=True) if not values]

    def _notes(self, typed: _staging.Typed, refused: _staging.Refused) -> list[str]:
        skipped = self.text.lines - typed.readable - len(refused.after)
        return [f"empty lines skipped, not counted as rows: {skipped}"] if skipped > 0 else []

    def _inferred(self) -> dict[str, Type]:
        """A type for every key of the file: those of the first object in its order, then the others by name."""
        source = _json_cells.source(self._scan().source(next(self._turns)), ())
        objects = f"SELECT json_keys(j) AS keys FROM {source} WHERE json_type(j) = 'OBJECT'"
        first = self.connection.execute(f"{objects} LIMIT 1").fetchall()
        others = self.connection.execute(f"SELECT DISTINCT unnest(keys) AS key FROM ({objects}) ORDER BY 1").fetchall()
        names = list(dict.fromkeys([*(first[0][0] if first else ()), *(key for (key,) in others)]))
        if not names:
            raise CorruptFileError(
                f"reading `{self.uri}`: it has no line with a JSON object to infer columns from (declare them)", uri=self.uri
            )
        return dict(zip(names, self._kinds(names), strict=True))

    def _kinds(self, names: Sequence[str]) -> list[Type]:
        source = _json_cells.source(self._scan().source(next(self._turns)), names)
        counts = ", ".join(sql for i in range(len(names)) for sql in _counts(f"x[{i + 1}]"))
        [row] = self.connection.execute(f"SELECT {counts} FROM {source}").fetchall()
        width = len(row) // len(names)
        return [self._kind(name, row[i * width : (i + 1) * width]) for i, name in enumerate(names)]

    def _kind(self, name: str, counts: Sequence[int]) -> Type:
        strings, words, numbers, integers, nested = counts
        if nested and not (strings or words or numbers):
            raise CorruptFileError(
                f"reading `{self.uri}`: the values of `{name}` are objects or lists (declare the columns to be read, without it)",
                uri=self.uri,
            )
        if strings:
            return Type("string")
        if numbers:
            return Type("int64" if integers == numbers else "float64")
        return Type("bool" if words else "string")


def _counts(token: str) -> list[str]:
    """SQL: how many tokens are strings, true or false, numbers, numbers that are int64, and nested."""
    first = f"substr({token}, 1, 1)"
    integer = value(token, Type("int64"), STRICT)
    return [
        f"count(*) FILTER ({first} = '\"')",
        f"count(*) FILTER ({first} IN ('t', 'f'))",
        f"count(*) FILTER ({first} IN {_json_cells.NUMBERS})",
        f"count(CASE WHEN {first} IN {_json_cells.NUMBERS} THEN {integer} END)",
        f"count(*) FILTER ({first} IN ('{{', '['))",
    ]
