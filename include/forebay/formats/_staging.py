"""The second half of every format: typed columns to `rows.parquet`, and everything else to `rejects.parquet`.

A format says how its source is read by DuckDB and what text each cell has. One `COPY` writes the typed columns of all
readable records in file order, with two helper columns that are null for good rows. Only if some are not, the file is
copied once more without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.config.types import Type
from forebay.contracts import causes
from forebay.errors import CorruptFileError
from forebay.formats import _casts
from forebay.formats._row_column import NAME as ROW
from forebay.formats._row_column import add_row_column
from forebay.formats._rules import STRICT, ColumnRules
from forebay.formats._sink import good_rows
from forebay.model import Column, Drift, Retyped, Snapshot, Stage
from forebay.support.sql import literal, literals, parquet, quoted

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

REASON, COLUMNS, RAW, REST = "__reason", "__columns", "__raw", "__rest"
_WRONG = "__wrong"
LINE, OCTETS, PRINT = "__line", "__octets", "__print"
OWN = (REASON, COLUMNS, RAW, REST, _WRONG, LINE, OCTETS, PRINT)
SEPARATOR = "\x1f"
"""Behind or between texts that are one text for a while: names of columns, the fields of a record."""
SEPARATOR_SQL = f"chr({ord(SEPARATOR)})"
# Uncompressed, with Parquet's second generation of encodings: the least CPU to write and to read again, at half the
# size of the text. Dictionaries are for words that repeat: columns of more are given up early.
PARQUET = (
    "FORMAT parquet, COMPRESSION uncompressed, PARQUET_VERSION v2, ROW_GROUP_SIZE 65536, DICTIONARY_SIZE_LIMIT 1000"
)
REJECTS_BATCH = 1 << 14
FLAT = 100
"""Terms of one chain in SQL."""
WIDE = 256
"""Files of more columns are typed by `_wide`."""
_TOGETHER = 500  # columns that are counted in one statement
STRING = Type("string")


Sql = Callable[[str], str]
"""An SQL expression of another one."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One column's cells: `source` is SQL of what the record has there, `text` of what that holds (null is null),
    `value` how that is typed, and `fault` the written cause (with SQL of the column's name) where it cannot be.

    A cell that is not null and has no value is bad, unless it is one of `null_words`. `whole` means that every text is
    a value.
    """

    name: str
    type: Type
    source: str
    text: Sql
    value: Sql
    fault: Callable[[str, str], str]
    null_words: tuple[str, ...] = ()
    whole: bool = False
    rules: ColumnRules = STRICT


def as_it_is(source: str) -> str:
    """What a record has is the text itself."""
    return source


def text_cell(
    name: str,
    type_: Type,
    source: str,
    text: Sql = as_it_is,
    rules: ColumnRules = STRICT,
    null_words: tuple[str, ...] = (),
) -> Cell:
    """The cell of a column whose values are written as text."""

    def value(held: str) -> str:
        return _casts.value(held, type_, rules)

    def fault(held: str, column: str) -> str:
        return _casts.fault(held, type_, column, rules=rules)

    return Cell(name, type_, source, text, value, fault, null_words, whole=type_.kind == "string")


def check_names(names: Sequence[str], uri: str) -> None:
    """Raise `CorruptFileError` for names that a stage cannot hold side by side."""
    seen: dict[str, str] = {}
    for name in names:
        if name.startswith("__"):
            raise CorruptFileError(
                f"reading `{uri}`: column `{name}` begins with `__`, which is forebay's own (name the columns to "
                "read, without it, under `schema.columns`)",
                uri=uri,
            )
        if name.lower() in seen:
            other = seen[name.lower()]
            raise CorruptFileError(
                f"reading `{uri}`: columns `{other}` and `{name}` differ in case only (name one of them under "
                "`schema.columns`)",
                uri=uri,
            )
        seen[name.lower()] = name


@dataclass(frozen=True, slots=True)
class Besides:
    """SQL of what else is taken from a record: its raw text, kept for bad rows; `rest`, kept of all; why a record as a
    whole is no row (null: it is one)."""

    raw: str | None = None
    rest: str | None = None
    wrong: str | None = None
    texts: Sequence[str] = ()
    """All texts of a record: their bytes are counted for a second witness (`_witness`)."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """Columns for a second witness, by name."""
    lengths: str | None = None
    """The name of another one: the bytes of the record's strings."""

    @property
    def columns(self) -> list[str]:
        named = [(RAW, self.raw), (REST, self.rest), (_WRONG, self.wrong), *self.kept.items()]
        octets = joined(" + ", [f"coalesce(strlen({text}), 0)" for text in self.texts])
        counted = [f"CAST({octets} AS BIGINT) AS {OCTETS}"] if self.texts else []
        return [f"{sql} AS {name}" for name, sql in named if sql] + counted


def select(cells: Sequence[Cell], source: str, besides: Besides = Besides()) -> str:  # a frozen value
    """The statement that types every cell of `source`."""
    held = [f"{cell.text(cell.source)} AS t{i}" for i, cell in enumerate(cells)]
    values = [f"{cell.value(f't{i}')} AS v{i}" for i, cell in enumerate(cells)]
    may_fail = [(i, cell) for i, cell in enumerate(cells) if not cell.whole]
    sides = [_bad(cell, i) for i, cell in may_fail] + ([f"{_WRONG} IS NOT NULL"] if besides.wrong else [])
    any_bad = joined(" OR ", sides) or "false"
    whole = f"CASE WHEN {_WRONG} IS NOT NULL THEN {causes.written(causes.made(_WRONG))} END"
    reasons = ([whole] if besides.wrong else []) + [
        _when_bad(cell, i, cell.fault(f"t{i}", literal(cell.name))) for i, cell in may_fail
    ]
    names = [_when_bad(cell, i, literal(cell.name)) for i, cell in may_fail]
    final = [f"v{i} AS {quoted(cell.name)}" for i, cell in enumerate(cells)]
    final.append(
        f"CASE WHEN {any_bad} THEN concat('[', concat_ws(',', {', '.join(reasons or ['NULL'])}), ']') END AS {REASON}"
    )
    final.append(
        f"CASE WHEN {any_bad} THEN concat_ws({SEPARATOR_SQL}, {', '.join(names or ['NULL'])}) END AS {COLUMNS}"
    )
    final += [f"CASE WHEN {any_bad} THEN {RAW} END AS {RAW}"] if besides.raw else []
    final += [REST] if besides.rest else []
    final += [OCTETS] if besides.texts else []
    final += list(besides.kept)
    if besides.lengths:
        texts = [f"coalesce(strlen(v{i}), 0)" for i, cell in enumerate(cells) if cell.type.kind == "string"]
        final.append(f"{joined(' + ', texts) or '0'} AS {besides.lengths}")
    inner = f"SELECT {', '.join(held + besides.columns)} FROM {source}"
    return f"SELECT {', '.join(final)} FROM (SELECT *, {', '.join(values)} FROM ({inner}))"


def joined(operator: str, terms: Sequence[str]) -> str:
    """SQL: the terms with an operator between, nested as flat as can be: a chain of a thousand is too deep for
    DuckDB."""
    if len(terms) <= FLAT:
        return operator.join(terms)
    half = len(terms) // 2
    return f"({joined(operator, terms[:half])}){operator}({joined(operator, terms[half:])})"


def print_of(text: str) -> str:
    """SQL: four bytes that tell a text from others."""
    return f"CAST(hash({text}) & 4294967295 AS UINTEGER)"


def bad(text: str, value: str, null_words: Sequence[str]) -> str:
    """SQL: whether a text is neither a value nor a word for null."""
    words = f" AND {text} NOT IN ({literals(null_words)})" if null_words else ""
    return f"({text} IS NOT NULL AND {value} IS NULL{words})"


def _bad(cell: Cell, i: int) -> str:
    return bad(f"t{i}", f"v{i}", cell.null_words)


def _when_bad(cell: Cell, i: int, sql: str) -> str:
    return f"CASE WHEN {_bad(cell, i)} THEN {sql} END"


@dataclass(frozen=True, slots=True)
class Typed:
    """What one `COPY` left: readable records in file order, in `path`; `bad` of them have cells that are not of their
    type."""

    path: Path
    readable: int
    bad: int


def copy(connection: duckdb.DuckDBPyConnection, statement: str, folder: Path) -> Typed:
    """Write the answer of `select` to a Parquet file in `folder`."""
    path = folder / "typed.parquet"
    connection.execute(f"COPY ({statement}) TO {literal(path)} ({PARQUET})")
    count = f"SELECT count(*), count({REASON}) FROM {parquet(path)}"
    [(readable, bad)] = connection.execute(count).fetchall()
    return Typed(path, readable, bad)


def failing_columns(connection: duckdb.DuckDBPyConnection, typed: Typed) -> set[str]:
    """Names of the columns in which some cell is not of its type."""
    if not typed.bad:
        return set()
    columns = f"SELECT DISTINCT unnest(string_split({COLUMNS}, {SEPARATOR_SQL})) FROM {parquet(typed.path)}"
    return {name for (name,) in connection.execute(f"{columns} WHERE {REASON} IS NOT NULL").fetchall()}


def retyped(
    connection: duckdb.DuckDBPyConnection,
    typed: Typed,
    cells: Sequence[Cell],
    misfits: float | None,
    types: Callable[[list[str]], Sequence[Type | None]],
) -> tuple[Retyped, ...]:
    """The columns of which no value fits, or more than a share of `misfits` does not; `types` names the types that
    columns have in the file."""
    share = 1.0 if misfits is None else misfits
    if not typed.bad:
        return ()
    names = (
        f"SELECT unnest(string_split({COLUMNS}, {SEPARATOR_SQL})) AS name FROM {parquet(typed.path)} WHERE {REASON} "
        "IS NOT NULL"
    )
    bad = dict(connection.execute(f"SELECT name, count(*) FROM ({names}) GROUP BY name").fetchall())
    failing = [cell for cell in cells if cell.name in bad]
    if not failing:
        return ()
    fitting = values_in(connection, typed, [cell.name for cell in failing])
    over = [
        cell
        for cell, fit in zip(failing, fitting, strict=True)
        if not fit or bad[cell.name] > share * (bad[cell.name] + fit)
    ]
    new = types([cell.name for cell in over]) if over else ()
    return tuple(
        Retyped(cell.name, str(cell.type), str(type_ or STRING)) for cell, type_ in zip(over, new, strict=True)
    )


def values_in(connection: duckdb.DuckDBPyConnection, typed: Typed, names: Sequence[str]) -> list[int]:
    """How many values each of these columns has."""
    counts_of: list[int] = []
    for start in range(0, len(names), _TOGETHER):
        counts = ", ".join(f"count({quoted(name)})" for name in names[start : start + _TOGETHER])
        counts_of += connection.execute(f"SELECT {counts} FROM {parquet(typed.path)}").fetchall()[0]
    return counts_of


@dataclass(frozen=True, slots=True)
class Refused:
    """Unreadable records, in file order: `after[i]` is how many readable ones lie before record i; `table` has the
    columns of rejects, or is a Parquet file that has."""

    after: np.ndarray
    table: pa.Table | Path | None = None


Raw = Callable[["np.ndarray"], list[bytes]]
"""Raw text of the readable records at those places (0-based)."""


def finish(
    connection: duckdb.DuckDBPyConnection,
    into: Path,
    snapshot: Snapshot,
    cells: Sequence[Cell],
    typed: Typed,
    refused: Refused,
    raw: Raw | None,
    raw_bytes: int,
    inferred: bool,
    notes: Sequence[str],
    drift: Drift = Drift(),  # noqa: B008 a frozen value
) -> Stage:
    """Number the rows, part the good from the bad, and describe the stage. Without `raw`, the raw text lies in the
    typed file."""
    from forebay.formats._lines import row_numbers

    helpers = _helpers(connection, typed, cells)
    rows, rejects = into / "rows.parquet", into / "rejects.parquet"
    add_row_column(
        typed.path, lambda first, count: row_numbers(refused.after, first, count), frozenset() if typed.bad else helpers
    )
    _write_rejects(connection, rejects, typed, refused, raw)
    _write_rows(connection, rows, cells, typed)
    columns = tuple(Column(cell.name, str(cell.type)) for cell in cells)
    rejected = typed.bad + len(refused.after)
    return Stage(
        snapshot.fingerprint,
        rows,
        rejects,
        columns,
        rows_in=typed.readable + len(refused.after),
        rows_rejected=rejected,
        raw_bytes=raw_bytes,
        inferred=inferred,
        notes=tuple(notes),
        drift=drift,
    )


def _helpers(connection: duckdb.DuckDBPyConnection, typed: Typed, cells: Sequence[Cell]) -> frozenset[str]:
    names = connection.execute(f"DESCRIBE SELECT * FROM {parquet(typed.path)}").fetchall()
    return frozenset(name for name, *_ in names) - {cell.name for cell in cells}


def _write_rows(connection: duckdb.DuckDBPyConnection, rows: Path, cells: Sequence[Cell], typed: Typed) -> None:
    if not typed.bad:
        typed.path.replace(rows)
        return
    if len(cells) > WIDE:
        good_rows(typed.path, rows, [*(cell.name for cell in cells), ROW], REASON)
        return
    columns = ", ".join([*(quoted(cell.name) for cell in cells), ROW])
    good = f"SELECT {columns} FROM {parquet(typed.path)} WHERE {REASON} IS NULL"
    connection.execute(f"COPY ({good}) TO {literal(rows)} ({PARQUET})")


def rejects_schema() -> pa.Schema:
    """The columns of `rejects.parquet`."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(ROW, pa.int64()),
            pa.field("step", pa.string()),
            pa.field("columns", pa.list_(pa.string())),
            pa.field("causes", causes.arrow()),
            pa.field("raw", pa.binary()),
        ]
    )


def _write_rejects(
    connection: duckdb.DuckDBPyConnection, to: Path, typed: Typed, refused: Refused, raw: Raw | None
) -> None:
    """Both kinds of rejects in one file, by row number."""
    import pyarrow.parquet as pq

    if isinstance(refused.table, Path) and not typed.bad:
        refused.table.replace(to)
        return
    part = typed.path.with_name("rejects.parquet") if refused.table is not None else to
    with pq.ParquetWriter(part, rejects_schema()) as sink:
        if refused.table is not None and not isinstance(refused.table, Path):
            sink.write_table(refused.table.cast(rejects_schema()))
        for table in _mistyped(connection, typed, raw):
            sink.write_table(table)
    if refused.table is None:
        return  # of one kind, and in file order
    parts = parquet(part)
    if isinstance(refused.table, Path):
        parts = f"(SELECT * FROM {parts} UNION ALL SELECT * FROM {parquet(refused.table)})"
    with pq.ParquetWriter(to, rejects_schema()) as sink:
        reader = connection.sql(f"SELECT * FROM {parts} ORDER BY {ROW}").to_arrow_reader(REJECTS_BATCH)
        for batch in reader:
            sink.write_batch(batch.cast(rejects_schema()))


def _mistyped(connection: duckdb.DuckDBPyConnection, typed: Typed, raw: Raw | None) -> Iterator[pa.Table]:
    import pyarrow as pa

    if not typed.bad:
        return
    text = "NULL::BLOB" if raw else f"encode(regexp_replace({RAW}, '\\r?\\n?$', ''))"
    names = f"CASE WHEN {COLUMNS} = '' THEN [] ELSE string_split({COLUMNS}, {SEPARATOR_SQL}) END"
    query = (
        f"SELECT {ROW}, CASE WHEN {COLUMNS} = '' THEN 'parse' ELSE 'schema' END AS step, {names} AS columns, "
        f"{causes.read(REASON)} AS causes, {text} AS raw, "
        f"file_row_number AS place FROM {parquet(typed.path, file_row_number='true')} WHERE {REASON} IS NOT NULL"
    )  # DuckDB keeps the file's order, which is that of the rows
    for batch in connection.sql(query).to_arrow_reader(REJECTS_BATCH):
        table = pa.table(batch)
        if raw:
            texts = pa.array(raw(table["place"].to_numpy()), pa.binary())
            table = table.set_column(4, "raw", texts)
        yield table.select(rejects_schema().names).cast(rejects_schema())
