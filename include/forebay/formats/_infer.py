"""Types for columns that nobody declared: the narrowest that every value of the file is exactly a value of.

A first look at some rows only proposes; a column with a value that does not fit the proposal is decided again from all
of its values. So the answer depends on the whole file and on nothing else, and no row is lost to a guess. `007` stays
text, as a number would lose its zeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from forebay.config.types import Type
from forebay.formats import _casts
from forebay.formats._rules import ColumnRules

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

ORDER = tuple(Type(kind) for kind in ("int64", "float64", "bool", "date", "timestamp", "timestamp[tz]", "time"))
STRING = Type("string")
LOOK = 10_000
WIDE = 50
"""Files of more columns are looked at value by value."""


def types(
    connection: duckdb.DuckDBPyConnection,
    texts: Sequence[str],
    rules: Sequence[ColumnRules],
    source: str,
    limit: int | None = None,
    misfits: float = 0.0,
) -> list[Type | None]:
    """The first type of `ORDER` that takes all values of each SQL expression in `texts`, else string; None for a column
    without a value.

    `limit` looks at the first rows only. A type that only a share of `misfits` of the values does not fit comes before
    string.
    """
    if not texts:
        return []
    cut = f" LIMIT {limit}" if limit else ""
    rows = f"SELECT {', '.join(f'{text} AS t{i}' for i, text in enumerate(texts))} FROM {source}{cut}"
    counted = _by_column(connection, rows, rules) if len(texts) <= WIDE else _by_value(connection, rows, rules)
    return [_first(present, fitting, misfits) for present, *fitting in counted]


def types_of_many(
    connection: duckdb.DuckDBPyConnection,
    batches: Iterable[Sequence[pa.Array]],
    texts: Sequence[str],
    rules: Sequence[ColumnRules],
    limit: int | None = None,
    misfits: float = 0.0,
) -> list[Type | None]:
    """The same for many columns, in batches of records; each of `texts` is SQL of the column's text, `c`. Those alike
    are one column to DuckDB."""
    import pyarrow as pa

    if not texts:
        return []
    alike: dict[tuple[str, str], list[int]] = {}
    for i, (text, rule) in enumerate(zip(texts, rules, strict=True)):
        alike.setdefault((text, repr(rule)), []).append(i)
    counted, rows = np.zeros((len(texts), len(ORDER) + 1), np.int64), 0
    for batch in batches:
        count = len(batch[0]) if limit is None else min(len(batch[0]), limit - rows)
        for (text, _), places in alike.items():
            numbers = np.repeat(np.array(places), count)
            connection.register(
                "long", pa.table({"i": numbers, "c": pa.concat_arrays([batch[i].slice(0, count) for i in places])})
            )
            counts = ", ".join(_counts("t", rules[places[0]]))
            per_column = connection.execute(
                f"SELECT i, {counts} FROM (SELECT i, {text} AS t FROM long) GROUP BY i"
            ).fetchall()
            connection.unregister("long")
            counted[[i for i, *_ in per_column]] += np.array([row for _, *row in per_column])
        rows += count
        if rows == limit:
            break
    return [_first(present, fitting, misfits) for present, *fitting in counted.tolist()]


def _by_column(connection: duckdb.DuckDBPyConnection, rows: str, rules: Sequence[ColumnRules]) -> list[Sequence[int]]:
    """How many values each column has, and how many of them fit each type: an expression for each."""
    counts = [count for i, rule in enumerate(rules) for count in _counts(f"t{i}", rule)]
    [row] = connection.execute(f"SELECT {', '.join(counts)} FROM ({rows})").fetchall()
    width = len(ORDER) + 1
    return [row[i * width : (i + 1) * width] for i in range(len(rules))]


def _by_value(connection: duckdb.DuckDBPyConnection, rows: str, rules: Sequence[ColumnRules]) -> list[Sequence[int]]:
    """The same with the columns of alike rules stacked into one: DuckDB's time grows faster than the number of
    expressions."""
    alike: dict[str, list[int]] = {}
    for i, rule in enumerate(rules):
        alike.setdefault(repr(rule), []).append(i)
    counts_of: dict[int, Sequence[int]] = {}
    for places in alike.values():
        stacked = (
            f"SELECT unnest([{', '.join(map(str, places))}]) AS i, unnest([{', '.join(f't{i}' for i in places)}]) AS t "
            f"FROM ({rows})"
        )
        counts = ", ".join(_counts("t", rules[places[0]]))
        counts_of |= {
            i: row for i, *row in connection.execute(f"SELECT i, {counts} FROM ({stacked}) GROUP BY i").fetchall()
        }
    none = (0,) * (len(ORDER) + 1)  # of a file without rows
    return [counts_of.get(i, none) for i in range(len(rules))]


def _counts(text: str, rule: ColumnRules) -> list[str]:
    return [f"count({text})", *(f"count({_cast(text, type_, _applicable(rule, type_))})" for type_ in ORDER)]


def _cast(text: str, type_: Type, rules: ColumnRules) -> str:
    """`1001.0` is read into an integer column, but does not make one."""
    return _casts.strict_integer(text, type_, rules) if type_.is_integer else _casts.value(text, type_, rules)


def _applicable(rule: ColumnRules, type_: Type) -> ColumnRules:
    return rule if type_.kind in {"date", "time", "timestamp"} else rule.model_copy(update={"format": None})


def _first(present: int, fitting: Sequence[int], misfits: float) -> Type | None:
    if not present:
        return None
    fits = next((type_ for type_, count in zip(ORDER, fitting, strict=True) if count == present), None)
    most = max(fitting)
    nearly = ORDER[fitting.index(most)] if most >= (1 - misfits) * present else STRING
    return fits or nearly
