"""The second witness of a Parquet file's staging: what the file says of itself, and what another reader finds in it,
held against the stage.

Pyarrow reads the file and writes the stage. Its footer is one witness: rows, nulls, least and greatest value of every
column, stretch by stretch (a stretch is one row group or a few small ones). DuckDB is the other: it reads the file by
itself and hashes each value with its row's number, as it does in the stage; so a row that is missing, doubled, moved or
changed is found. It reads small files whole, and of large ones a twelfth of the columns in every stretch (at least
one), others in the next: all of it would cost half of the staging once more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.errors import CorruptFileError
from forebay.formats._parquet.types import Reading, plain
from forebay.formats._row_column import NAME as ROW
from forebay.formats._types import to_arrow, to_duckdb
from forebay.support.sql import parquet, quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

WHOLE_CELLS = 1 << 21
"""A file of no more cells, and of no more columns than a statement takes well, is read whole by the second reader."""
SHARE = 12
"""Of a large file's columns, one in so many is read in each stretch, and never none."""
MOST_STRETCHES = 64
_TOGETHER = 500  # columns in one statement
_TICKS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_AGREED = "deliver it again, or write it anew: pyarrow.parquet.write_table(pyarrow.parquet.read_table(it), it)"


@dataclass(slots=True)
class Stretch:
    """Some row groups of the file (`groups`), read after `first` rows, and the row groups of the stage that they
    became."""

    groups: range
    staged: range
    first: int
    rows: int
    aside: int


class Witness:
    """Compares a file with its stage, `rows` and `rejects`. Raises `CorruptFileError` with both numbers and the place
    where they part."""

    def __init__(self, plain_file: Path, rows: Path, rejects: Path, plan: Sequence[Reading], uri: str) -> None:
        import pyarrow.parquet as pq

        self.plan, self.uri = plan, uri
        self.file, self.rows, self.rejects = plain_file, rows, rejects
        self.source, self.stage = pq.read_metadata(plain_file), pq.read_metadata(rows)
        self.names = self.source.schema.to_arrow_schema().names
        self.aside = pq.read_metadata(rejects).num_rows

    def judge(self, stretches: Sequence[Stretch], fingerprint: str, connection: duckdb.DuckDBPyConnection) -> None:
        self.count(stretches)
        self.read_again(stretches, fingerprint, connection)

    # ------------------------------------------------------------ the footer

    def count(self, stretches: Sequence[Stretch]) -> None:
        """Rows in all and of each stretch, then nulls and ends of each of its columns."""
        self._same("rows", self.source.num_rows, self.stage.num_rows + self.aside, "the file")
        places = _places(self.source)
        for stretch in stretches:
            where = f"row groups {stretch.groups.start} to {stretch.groups.stop - 1}"
            rows = sum(self.source.row_group(n).num_rows for n in stretch.groups)
            self._same(
                "rows", rows, sum(self.stage.row_group(n).num_rows for n in stretch.staged) + stretch.aside, where
            )
            for at, reading in enumerate(self.plan):
                if not reading.missing and reading.name in places:
                    self._column(reading, stretch, places[reading.name], at, where)

    def _column(self, reading: Reading, stretch: Stretch, source: int, stage: int, where: str) -> None:
        footer = [self.source.row_group(n).column(source).statistics for n in stretch.groups]
        staged = [self.stage.row_group(n).column(stage).statistics for n in stretch.staged]
        where = f"column `{reading.name}` of {where}"
        if all(chunk is not None and chunk.has_null_count for chunk in footer):
            nulls, has = sum(chunk.null_count for chunk in footer), sum(chunk.null_count for chunk in staged)
            if not nulls - stretch.aside <= has <= nulls:
                self._part("nulls", nulls, has, where)
        says, is_ = _ends(footer, plain(reading.stored)), _ends(staged, to_arrow(reading.type))
        if says and is_ and _comparable(plain(reading.stored), to_arrow(reading.type)):
            for end, word in enumerate(("least", "greatest")):
                if not _same_end(says[end], is_[end], not stretch.aside, least=not end):
                    self._part(f"{word} value", "one", "another", where)  # values are not shown

    def _same(self, what: str, footer: int, staged: int, where: str) -> None:
        if footer != staged:
            self._part(what, footer, staged, where)

    def _part(self, what: str, footer: Any, staged: Any, where: str) -> None:
        raise CorruptFileError(
            f"reading `{self.uri}`: {what} of {where}: its footer says {footer}, read are {staged} ({_AGREED})",
            uri=self.uri,
        )

    # ------------------------------------------------------------ another reader

    def read_again(self, stretches: Sequence[Stretch], fingerprint: str, connection: duckdb.DuckDBPyConnection) -> None:
        """Each value with its row's number, as DuckDB reads the file, against the stage. What DuckDB cannot read has
        the footer as its witness alone."""
        import duckdb

        try:
            known = connection.execute(f"DESCRIBE SELECT * FROM {parquet(self.file)}").fetchall()
            both = self._both(known)
            # both footers are asked for in every part; a question takes some 5 ms, and a quarter less CPU on one thread
            connection.execute("SET parquet_metadata_cache = true; SET threads = 1")
            share = max(1, min(SHARE, len(both)))
            for part in _parts(stretches, len(self.plan), self.source.num_rows):
                chosen = [
                    pair
                    for n, pair in enumerate(both)
                    if part.all or (n + part.number + int(fingerprint[:8], 16)) % share == 0
                ]
                for start in range(0, len(chosen), _TOGETHER):
                    self._compare(chosen[start : start + _TOGETHER], part, connection)
        except (duckdb.InvalidInputException, duckdb.NotImplementedException, duckdb.BinderException):
            return

    def _both(self, known: Sequence[tuple[Any, ...]]) -> list[_Both]:
        """The columns that both readers understand alike."""
        places = {name: place for place, name in enumerate(self.names)}
        if len(known) != len(self.names):
            return []
        pairs = []
        for reading in self.plan:
            if reading.missing:
                continue
            name, sql, *_ = known[places[reading.name]]
            if _alike(sql, reading):
                pairs.append(_Both(reading.name, _cast(quoted(name), reading), quoted(reading.name)))
        return pairs

    def _compare(self, columns: Sequence[_Both], part: _Part, connection: duckdb.DuckDBPyConnection) -> None:
        # hash(n, v) is an XOR of both hashes: without the outer one, rows that change places would cancel out
        hashes = ", ".join(f"bit_xor(hash(hash(n, v{n})))" for n in range(len(columns)))
        first, second = (
            connection.execute(f"SELECT count(*), {hashes} FROM {side}").fetchall()[0]
            for side in self._sides(columns, part)
        )
        if first[0] != second[0]:
            self._differ("rows", part, f"{first[0]} and {second[0]}")
        for place, column in enumerate(columns, 1):
            if first[place] != second[place]:
                mine, other = self._sides([column], part)
                both = f"{mine} a FULL JOIN {other} b ON a.n = b.n"
                sql = (
                    f"SELECT min(coalesce(a.n, b.n)) FROM {both} WHERE a.v0 IS DISTINCT FROM b.v0 OR a.n IS NULL OR "
                    "b.n IS NULL"
                )
                self._differ(
                    f"column `{column.name}`", part, f"first in row {connection.execute(sql).fetchall()[0][0]}"
                )

    def _differ(self, what: str, part: _Part, how: str) -> None:
        raise CorruptFileError(
            f"reading `{self.uri}`: two readers differ in {what} of rows {part.first + 1} to {part.last}: "
            f"{how} ({_AGREED})",
            uri=self.uri,
        )

    def _sides(self, columns: Sequence[_Both], part: _Part) -> tuple[str, str]:
        """The part's rows in the file, but for those quarantined, and in the stage: columns `v0`, `v1` … and the row's
        number `n`."""
        held = ", ".join(f"{column.file} AS v{n}" for n, column in enumerate(columns))
        staged = ", ".join(f"{column.stage} AS v{n}" for n, column in enumerate(columns))
        aside = f" AND file_row_number + 1 NOT IN (SELECT {ROW} FROM {parquet(self.rejects)})" if self.aside else ""
        file = parquet(self.file, file_row_number="true")
        return (
            f"(SELECT {held}, file_row_number + 1 AS n FROM {file} WHERE file_row_number BETWEEN {part.first} AND "
            f"{part.last - 1}{aside})",
            f"(SELECT {staged}, {ROW} AS n FROM {parquet(self.rows)} WHERE {ROW} BETWEEN {part.first + 1} AND "
            f"{part.last})",
        )


@dataclass(frozen=True, slots=True)
class _Both:
    """A column and its value, in SQL, as DuckDB sees it in the file and in the stage."""

    name: str
    file: str
    stage: str


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows behind `first` up to `last`, and whether all of their columns are compared."""

    number: int
    first: int
    last: int
    all: bool


def _parts(stretches: Sequence[Stretch], columns: int, rows: int) -> Iterator[_Part]:
    if not rows:
        return
    if rows * columns <= WHOLE_CELLS and columns <= _TOGETHER:
        yield _Part(0, 0, rows, all=True)
        return
    together = -(-len(stretches) // MOST_STRETCHES)
    for number, start in enumerate(range(0, len(stretches), together)):
        last = stretches[min(start + together, len(stretches)) - 1]
        yield _Part(number, stretches[start].first, last.first + last.rows, all=False)


def _cast(column: str, reading: Reading) -> str:
    """SQL: the column's value in the type that it is read as. DuckDB rounds floats: of a fraction there is none."""
    import pyarrow.types as t

    cast = f"try_cast({column} AS {to_duckdb(reading.type)})"
    fraction = t.is_floating(plain(reading.stored)) and reading.type.is_integer
    return f"CASE WHEN {column} = trunc({column}) THEN {cast} END" if fraction else cast


def _alike(sql: str, reading: Reading) -> bool:
    """Whether DuckDB's type `sql` is the same kind of value as pyarrow's, and the stage's value follows from it by an
    exact cast."""
    import pyarrow as pa
    import pyarrow.types as t

    stored, kind = plain(reading.stored), reading.type.kind
    if isinstance(reading.stored, pa.BaseExtensionType) and sql != "UUID":
        return False
    if t.is_integer(stored) and sql.endswith(("INT", "INTEGER")):
        return reading.type.is_integer
    if t.is_decimal(stored) and stored.precision <= 38:
        return sql == f"DECIMAL({stored.precision},{stored.scale})" == to_duckdb(reading.type)
    alike = {
        "VARCHAR": t.is_string(stored) or t.is_large_string(stored) or t.is_string_view(stored),
        "BLOB": t.is_binary(stored) or t.is_large_binary(stored) or t.is_fixed_size_binary(stored),
        "UUID": kind == "string",
        "BOOLEAN": t.is_boolean(stored),
        "DATE": t.is_date(stored),
        "FLOAT": t.is_float32(stored),
        "DOUBLE": t.is_float64(stored),
        "TIME": t.is_time(stored),
        "TIMESTAMP": t.is_timestamp(stored) and stored.unit == "us",
        "TIMESTAMP_MS": t.is_timestamp(stored) and stored.unit == "ms",
        "TIMESTAMP WITH TIME ZONE": t.is_timestamp(stored) and stored.unit == "us",
    }
    own = {"VARCHAR": "string", "BLOB": "binary", "UUID": "string", "BOOLEAN": "bool", "DATE": "date", "TIME": "time"}
    own |= {
        "FLOAT": "float32",
        "DOUBLE": "float64",
        "TIMESTAMP": "timestamp",
        "TIMESTAMP_MS": "timestamp",
        "TIMESTAMP WITH TIME ZONE": "timestamp[tz]",
    }
    whole = sql in {"FLOAT", "DOUBLE"} and reading.type.is_integer
    return bool(alike.get(sql)) and (own[sql] == kind or whole)


def _places(footer: pq.FileMetaData) -> dict[str, int]:
    """Where each flat column's chunk lies in a row group."""
    schema = footer.schema
    columns = ((n, schema.column(n)) for n in range(len(schema)))
    return {column.name: n for n, column in columns if column.path == column.name and column.max_repetition_level == 0}


def _comparable(stored: pa.DataType, staged: pa.DataType) -> bool:
    import pyarrow.types as t

    number = t.is_integer(stored) or t.is_decimal(stored) or t.is_duration(stored)
    if number:
        return bool(t.is_integer(staged) or t.is_decimal(staged))
    if t.is_large_string(stored) or t.is_string_view(stored) or t.is_string(stored):
        return bool(t.is_string(staged))
    if t.is_float32(stored) or t.is_float64(stored):
        return bool(t.is_floating(staged) or t.is_integer(staged))
    return not t.is_float16(stored) and _kind(stored) == _kind(staged)


def _kind(type_: pa.DataType) -> str:
    word = str(type_).split("[")[0]
    return "binary" if "binary" in word else word.rstrip("0123456789")


def _ends(statistics: Sequence[Any], type_: pa.DataType) -> tuple[Any, Any] | None:
    """Least and greatest value of some column chunks, as numbers or bytes; None if one has nothing to say that can be
    compared."""
    known = [chunk for chunk in statistics if chunk is None or chunk.num_values]  # a chunk without values has no ends
    if not known or any(chunk is None or not chunk.has_min_max for chunk in known):
        return None
    ends = [(_end(chunk.min_raw, type_), _end(chunk.max_raw, type_)) for chunk in known]
    if any(end is None or (isinstance(end, float) and math.isnan(end)) for pair in ends for end in pair):
        return None
    return min(low for low, _ in ends), max(high for _, high in ends)


def _end(raw: Any, type_: pa.DataType) -> Any:
    import pyarrow.types as t

    if t.is_decimal(type_):
        whole = int.from_bytes(raw, "big", signed=True) if isinstance(raw, bytes) else raw
        return Fraction(whole, 10**type_.scale) if isinstance(whole, int) else None
    if t.is_float16(type_) or raw is None:
        return None
    if t.is_timestamp(type_) or t.is_time(type_):
        return raw * _TICKS[type_.unit] if isinstance(raw, int) else None
    return raw % 2**type_.bit_width if t.is_unsigned_integer(type_) else raw


def _same_end(footer: Any, staged: Any, exact: bool, least: bool) -> bool:
    """Whether what was found is what the footer says. Writers may cut the ends of texts: then they are bounds, and
    shorter than what they bound."""
    bounded = bool(footer <= staged if least else footer >= staged)
    if type(footer) is bytes and type(staged) is bytes:
        return footer == staged or (bounded and (not exact or _cut(footer, staged)))
    return bounded if not exact else bool(footer == staged)


def _cut(footer: bytes, staged: bytes) -> bool:
    """Whether `told` may be `found` cut, its last character made greater."""
    return len(footer) < len(staged) or (len(footer) > 15 and footer[: len(footer) - 4] == staged[: len(footer) - 4])
