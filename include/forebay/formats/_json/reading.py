"""One file of JSON lines on its way to a stage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.config.types import Type
from forebay.contracts import Tolerance
from forebay.errors import CorruptFileError
from forebay.formats import _staging, _wide
from forebay.formats._casts import strict_integer
from forebay.formats._json import cells as json_cells
from forebay.formats._json import text as json_text
from forebay.formats._json import wide as json_wide
from forebay.formats._json import witness as json_witness
from forebay.formats._json.split import Splitter
from forebay.formats._rules import STRICT
from forebay.model import Drift, Snapshot, Stage
from forebay.support.sql import parquet

if TYPE_CHECKING:
    import duckdb

    from forebay.formats._json.settings import JsonLinesSettings

MOST_NAMES = 1_000  # keys that are told
WIDE = 100
"""Files of more keys are read by `wide`."""
NESTED = Type("nested")
"""What values are called that are all objects or lists; no column has this type."""


@dataclass
class Reading:
    """One file being read; its stage goes `into` one folder, and what is needed meanwhile into another."""

    config: JsonLinesSettings
    connection: duckdb.DuckDBPyConnection
    into: Path
    folder: Path
    text: Path
    uri: str
    tolerance: Tolerance
    notes: tuple[str, ...] = ()
    wide: bool = field(default=False, init=False)
    exact: json_wide.Read = field(init=False)
    _turns: Iterator[int] = field(default_factory=count)

    def stage(self, snapshot: Snapshot, types: Mapping[str, Type | None] | None, raw_bytes: int) -> Stage:
        """Read the file as those types, or as the narrowest that fit the most general kind of each key's values."""
        declared = self._inferred() if types is None else self._completed(types)
        _staging.check_names(list(declared), self.uri)
        self._check_rules(declared)
        self.wide = len(declared) > WIDE
        cells = [self._cell(name, i, type_) for i, (name, type_) in enumerate(declared.items())]
        self._register(declared)
        typed, split = self._typed(cells)
        refused = _staging.Refused(split.after, split.refused)
        drift = self._drift(typed, cells, declared, types) if types is not None else Drift()
        notes = [*self.notes, *self._notes(split, declared)]
        inferred = types is None
        return _staging.finish(
            self.connection, self.into, snapshot, cells, typed, refused, None, raw_bytes, inferred, notes, drift
        )

    def _typed(self, cells: Sequence[_staging.Cell]) -> tuple[_staging.Typed, Splitter]:
        """The typed records, which a second witness holds against the file. If they differ, it is read once more on one
        thread.

        Raises `CorruptFileError` if they still do.
        """
        typed, split = self._read(cells)
        difference = json_witness.difference(self.connection, typed, split, cells)
        if difference:
            self.connection.execute("SET threads = 1")
            typed, split = self._read(cells)
            difference = json_witness.difference(self.connection, typed, split, cells)
        if difference:
            way_out = (
                "this is a fault of forebay or of its parser: report it with the file; nothing of it was published"
            )
            raise CorruptFileError(
                f"reading `{self.uri}`: what was read is not what the file holds: {difference} ({way_out})",
                uri=self.uri,
            )
        return typed, split

    def _read(self, cells: Sequence[_staging.Cell]) -> tuple[_staging.Typed, Splitter]:
        names, texts = [cell.name for cell in cells], self.config.loose_scalars
        if self.wide:
            with self.connection.cursor() as reading, self._lines(reading) as (lines, split):
                batches = json_wide.batches(reading, lines, names, texts, self.exact)
                sides, lengths = json_wide.SIDES, json_cells.BESIDES.lengths
                return _wide.copy(self.connection, batches, cells, sides, self.folder, lengths), split
        with self._lines() as (lines, split):
            source = json_cells.source(lines, names, texts)
            return _staging.copy(
                self.connection, _staging.select(cells, source, json_cells.BESIDES), self.folder
            ), split

    @contextmanager
    def _lines(self, connection: duckdb.DuckDBPyConnection | None = None) -> Iterator[tuple[str, Splitter]]:
        """The name of a table with the file's lines, and what is known of them once it was read."""
        connection = connection or self.connection
        turn = next(self._turns)
        name = f"lines_{turn}"
        split = Splitter(self.text, self.folder / f"refused_{turn}.parquet", self.config.max_record_bytes)
        connection.register(name, split.reader)
        try:
            yield name, split
        finally:
            connection.unregister(name)

    def _register(self, types: Mapping[str, Type]) -> None:
        """Make the exact reader of single lines, and make it known to DuckDB."""
        import pyarrow as pa
        from duckdb.func import PythonUDFType

        not_numbers = any(rules.allow_nan for rules in self.config.columns.values())
        self.exact = read = _reader(types, not_numbers)
        if self.wide:
            return
        self.connection.create_function(
            json_cells.EXACT,
            lambda lines: pa.array([read(line) for line in lines.to_pylist()], pa.list_(pa.string())),
            ["VARCHAR"],
            "VARCHAR[]",
            type=PythonUDFType.ARROW,
        )

    def _cell(self, name: str, i: int, type_: Type) -> _staging.Cell:
        rules = self.config.columns.get(name, STRICT)
        return json_cells.cell(name, i, type_, rules, self.config.loose_scalars, own=not self.wide)

    def _check_rules(self, names: Mapping[str, Type]) -> None:
        stray = [name for name in (*self.config.columns, *self.config.optional) if name not in names]
        if stray:
            raise CorruptFileError(
                f"reading `{self.uri}`: format.columns has rules for `{stray[0]}`, "
                "which is no column of it (ask for it again with that column, or take its rules out)",
                uri=self.uri,
            )

    def _drift(
        self,
        typed: _staging.Typed,
        cells: Sequence[_staging.Cell],
        declared: Mapping[str, Type],
        types: Mapping[str, Type | None],
    ) -> Drift:
        expected = [cell for cell in cells if types[cell.name]]
        retyped = _staging.retyped(self.connection, typed, expected, self.tolerance.misfits, self._kinds)
        return Drift(self._added(typed, declared), self._missing(typed, declared), retyped)

    def _added(self, typed: _staging.Typed, declared: Mapping[str, Type]) -> tuple[str, ...]:
        """Keys that are not expected."""
        keys = f"SELECT DISTINCT unnest(from_json({_staging.REST}, '[\"VARCHAR\"]')) AS key FROM {parquet(typed.path)}"
        where = f"{_staging.REST} IS NOT NULL AND {_staging.REASON} IS NULL"
        known = len(declared)
        keys_there = self.connection.execute(f"{keys} WHERE {where} ORDER BY 1 LIMIT {known + MOST_NAMES}").fetchall()
        return tuple(key for (key,) in keys_there if key not in declared)

    def _missing(self, typed: _staging.Typed, declared: Mapping[str, Type]) -> tuple[str, ...]:
        """Expected columns that no line has and that need not be there. Raises `CorruptFileError` for others."""
        empty = [name for name in self._empty_columns(typed, declared) if name not in self.config.optional]
        if not empty:
            return ()
        objects, counts = self._lines_with(empty)
        missing = tuple(name for name, lines in zip(empty, counts, strict=True) if not lines) if objects else ()
        if missing and not self.tolerance.missing:
            names = ", ".join(f"`{name}`" for name in missing)
            inferred = (
                self.tolerance.misfits is not None
            )  # then there is no schema to rename them in, nor to be optional of
            way_out = (
                "set schema.on_drift.missing: warn"
                if inferred
                else "rename them in the schema, or name them in format.optional"
            )
            raise CorruptFileError(f"reading `{self.uri}`: no line has the key {names} ({way_out})", uri=self.uri)
        return missing

    def _lines_with(self, names: Sequence[str]) -> tuple[int, list[int]]:
        """How many lines are objects, and how many of them have each key."""
        few = names if len(names) <= WIDE else ()
        counts = "".join(f", count(x[{i + 1}])" for i in range(len(few)))
        with self._lines() as (lines, _):
            asked = f"SELECT count(*){counts} FROM {json_cells.objects(lines, few)}"
            [(objects, *having)] = self.connection.execute(asked).fetchall()
        if few:
            return objects, having
        with self._lines() as (lines, _):
            by_key = json_wide.counts(self.connection, lines, ["count(*)"])
        return objects, [by_key.get(name, (0,))[0] for name in names]

    def _empty_columns(self, typed: _staging.Typed, declared: Mapping[str, Type]) -> list[str]:
        counts = _staging.values_in(self.connection, typed, list(declared))
        return [name for name, values in zip(declared, counts, strict=True) if not values]

    def _notes(self, split: Splitter, declared: Mapping[str, Type]) -> Iterator[str]:
        if split.returns:
            yield "lines end with CR"
        if split.blank:
            yield f"empty lines skipped, not counted as rows: {split.blank}"

    def _inferred(self) -> dict[str, Type]:
        """A type for every key of the file that has a name: those of the first object in its order, then the others by
        name."""
        with self._lines() as (lines, _):
            query = f"SELECT keys FROM {json_cells.objects(lines)} LIMIT 1"
            first = self.connection.execute(query).fetchall()
        with self._lines() as (lines, _):
            query = f"SELECT DISTINCT unnest(keys) AS key FROM {json_cells.objects(lines)} ORDER BY 1"
            others = self.connection.execute(query).fetchall()
        names = list(
            dict.fromkeys(name for name in (*(first[0][0] if first else ()), *(key for (key,) in others)) if name)
        )
        if not names:
            raise CorruptFileError(
                f"reading `{self.uri}`: it has no line with a JSON object to infer columns from (declare them)",
                uri=self.uri,
            )
        return self._scalars(names)

    def _completed(self, types: Mapping[str, Type | None]) -> dict[str, Type]:
        """Those types, and of the columns without one what the file has."""
        undecided = [name for name, type_ in types.items() if type_ is None]
        inferred = self._scalars(undecided) if undecided else {}
        return {name: type_ or inferred[name] for name, type_ in types.items()}

    def _scalars(self, names: Sequence[str]) -> dict[str, Type]:
        """A type for each key. Raises `CorruptFileError` where the values are objects or lists."""
        kinds = dict(zip(names, self._kinds(names), strict=True))
        nested = [f"`{name}`" for name, kind in kinds.items() if kind == NESTED]
        if nested:
            raise CorruptFileError(
                f"reading `{self.uri}`: the values of {', '.join(nested)} are objects or lists (declare the columns "
                "to be read, without them)",
                uri=self.uri,
            )
        return kinds

    def _kinds(self, names: Sequence[str]) -> list[Type]:
        if len(names) > WIDE:
            with self._lines() as (lines, _):
                by_key = json_wide.counts(self.connection, lines, _counts("t"))
            return [self._kind(by_key.get(name, (0,) * 5)) for name in names]
        counts = ", ".join(sql for i in range(len(names)) for sql in _counts(f"x[{i + 1}]"))
        with self._lines() as (lines, _):
            [row] = self.connection.execute(f"SELECT {counts} FROM {json_cells.objects(lines, names)}").fetchall()
        width = len(row) // len(names)
        return [self._kind(row[i * width : (i + 1) * width]) for i in range(len(names))]

    def _kind(self, counts: Sequence[int]) -> Type:
        """The type of the most general kind of values, or of that kind which all but a few (`Tolerance.misfits`) are
        of."""
        strings, words, numbers, integers, nested = counts
        if nested and not (strings or words or numbers):
            return NESTED
        least = (1 - (self.tolerance.misfits or 0)) * (strings + words + numbers + nested)
        if strings and not max(words, numbers) >= least > 0:
            return Type("string")
        if numbers and (numbers >= least or not words >= least):
            return Type("int64" if integers == numbers else "float64")
        return Type("bool" if words else "string")


def _reader(types: Mapping[str, Type], not_numbers: bool) -> json_wide.Read:
    """`json_cells.EXACT` of one line, for those keys."""
    names = list(types)
    columns, decimals = set(names), {name for name, type_ in types.items() if type_.kind == "decimal"}

    def read(line: str) -> list[str | None]:
        try:
            members = dict(json_text.members(line, not_numbers))
        except json_text.NotJson as error:
            return [str(error), None, *[None] * len(names)]
        if not not_numbers and (
            strange := [name for name in members if members[name] in json_text.NOT_NUMBERS and name not in columns]
        ):
            return [f"{members[strange[0]]} is no JSON", None, *[None] * len(names)]
        unknown = json.dumps(list(members)) if members.keys() - columns else None
        tokens = (members.get(name) for name in names)
        return [
            None,
            unknown,
            *(_plain(token) if name in decimals else token for name, token in zip(names, tokens, strict=True)),
        ]

    return read


def _plain(token: str | None) -> str | None:
    """A number of at most 15 characters without its exponent; anything else as it is."""
    if token is None or token[0] not in "-0123456789" or len(token) > 15 or "e" not in token.lower():
        return token
    exponent = int(token.lower().split("e")[1])
    return format(Decimal(token), "f") if abs(exponent) < 40 else token


def _counts(token: str) -> list[str]:
    """SQL: how many tokens are strings, true or false, numbers, numbers that are int64, and nested."""
    first = f"substr({token}, 1, 1)"
    integer = strict_integer(token, Type("int64"))
    return [
        f"count(*) FILTER ({first} = '\"')",
        f"count(*) FILTER ({first} IN ('t', 'f'))",
        f"count(*) FILTER ({first} IN {json_cells.NUMBERS})",
        f"count(CASE WHEN {first} IN {json_cells.NUMBERS} THEN {integer} END)",
        f"count(*) FILTER ({first} IN ('{{', '['))",
    ]
