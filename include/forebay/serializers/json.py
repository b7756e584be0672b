"""Record values as compact JSON objects, one per row, built by DuckDB a whole table at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, WithJsonSchema

from forebay.contracts import Encoded, Serializer, Settings, SqlEncoding
from forebay.contracts import causes as cause
from forebay.serializers._text import text
from forebay.support.sql import OFFLINE, literal

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


_Nan = Annotated[
    Literal["quarantine", "null", "string"],
    BeforeValidator(lambda value: "null" if value is None else value),  # YAML's own null is the word here
    WithJsonSchema({"enum": ["quarantine", "null", "string", None]}),
]


TOGETHER = 256
"""More columns are encoded type by type."""


class JsonConfig(Settings):
    """How values become JSON where JSON, or its readers, cannot hold them as they are."""

    nan: _Nan = "quarantine"
    """NaN and infinity, which JSON has no number for: quarantine the row, write null, or write `"NaN"`, `"Infinity"`,
    `"-Infinity"`."""
    decimals: Literal["number", "string"] = "number"
    """Decimals as numbers (`1.10`, every digit of the scale), or as strings, for readers that make floats of
    numbers."""
    big_integers: Literal["number", "string"] = "number"
    """Columns of 64-bit integers as numbers or as strings; JavaScript cannot tell integers beyond 2^53 apart."""


class Json(Serializer[JsonConfig]):
    """RFC 8259 objects: keys in column order, null for null, strings for dates, times, timestamps and (base64) binary.
    Never NaN."""

    Config: ClassVar[type[Settings]] = JsonConfig
    content_type: ClassVar[str] = "application/json"

    def encode(self, rows: pa.Table) -> Encoded:
        """One object per row. Each call has its own DuckDB, so threads may share the serializer."""
        import duckdb

        table = rows.select([column.name for column in self.columns])
        if table.num_columns > TOGETHER:
            return self._encode_wide(table)
        identifiers = [
            f"c{n}" for n in range(table.num_columns)
        ]  # so that `a` and `A`, quotes and NUL are no matter to DuckDB
        sql = self.sql(table.schema, identifiers)
        with duckdb.connect(config=OFFLINE) as con:
            con.register("rows", table.rename_columns(identifiers))
            made = con.sql(f"select {sql.value} as value, {sql.causes} as causes from rows").to_arrow_table()
        values, causes = made["value"].cast("binary"), made["causes"].cast(cause.arrow())
        return Encoded(values.combine_chunks(), causes.combine_chunks())

    def show(self, rows: pa.Table) -> pa.BinaryArray:
        """One object per row, refusing nothing (see `object`)."""
        return _objects([column.name for column in self.columns], self._members_and_faults(rows)[0], len(rows))

    def _encode_wide(self, table: pa.Table) -> Encoded:
        import pyarrow as pa
        import pyarrow.compute as pc

        members, faults = self._members_and_faults(table)
        written = pa.nulls(len(table), pa.string())
        for fault in faults:
            written = pc.coalesce(pc.binary_join_element_wise(written, fault, ","), written, fault)
        values = _objects(table.column_names, members, len(table))
        return Encoded(pc.if_else(written.is_null(), values, pa.scalar(None, pa.binary())), _causes(written))

    def _members_and_faults(self, table: pa.Table) -> tuple[list[pa.StringArray], list[pa.StringArray]]:
        """The JSON text of every column, and, in the columns' order, why some have none (written causes).

        Columns of one type are one long column to DuckDB: memory and time of a statement grow faster than its columns.
        """
        import duckdb
        import pyarrow as pa

        alike: dict[pa.DataType, list[int]] = {}
        for n, column in enumerate(self.columns):
            alike.setdefault(table.schema.field(column.name).type, []).append(n)
        members: dict[int, pa.StringArray] = {}
        faults: dict[int, pa.StringArray] = {}
        with duckdb.connect(config=OFFLINE) as con:
            for arrow, places in alike.items():
                names = [self.columns[n].name for n in places]
                con.register(
                    "long", pa.table({"c0": pa.chunked_array([k for name in names for k in table[name].chunks], arrow)})
                )
                text, _ = self._member("c0", arrow, never_null=False)
                long_faults = self._faults("", "c0", arrow)
                bad = long_faults[0][0] if long_faults else "false"
                cells = con.sql(
                    f"select ({text})::varchar as text, coalesce({bad}, false) as bad from long"
                ).to_arrow_table()
                texts = cells["text"].cast(pa.string()).combine_chunks()
                members |= {n: texts.slice(k * len(table), len(table)) for k, n in enumerate(places)}
                faults |= {
                    places[k]: self._told(con, names[k], table[names[k]]) for k in _any(cells["bad"], len(table))
                }
        return [members[n] for n in range(len(self.columns))], [faults[n] for n in sorted(faults)]

    def _told(self, con: duckdb.DuckDBPyConnection, name: str, values: pa.ChunkedArray) -> pa.StringArray:
        """Why values of that column have no JSON."""
        import pyarrow as pa

        con.register("one", pa.table({"c0": values}))
        [(condition, why)] = self._faults(name, "c0", values.type)
        made = con.sql(f"select case when {condition} then {cause.written(why)} end as why from one").to_arrow_table()
        return made["why"].cast(pa.string()).combine_chunks()

    def sql(self, schema: pa.Schema, identifiers: Sequence[str]) -> SqlEncoding:
        """The object and the causes as expressions; see `Serializer.sql`. `concat` of texts is faster than `to_json` of
        a struct."""
        value = self.object(schema, identifiers)
        faults = [fault for column in self._placed(schema, identifiers) for fault in self._faults(*column[:3])]
        if not faults:
            return SqlEncoding(value, f"null::{cause.SQL}")
        bad = " or ".join(condition for condition, _ in faults)
        each = ", ".join(f"case when {condition} then {why} end" for condition, why in faults)
        return SqlEncoding(
            f"case when {bad} then null else {value} end",
            f"case when {bad} then list_filter([{each}], lambda c: c is not null) end",
        )

    def object(self, schema: pa.Schema, identifiers: Sequence[str]) -> str:
        """The object alone, refusing nothing: to show rows that are quarantined (`nan: quarantine` shows null, years
        beyond ISO 8601 stay as they are)."""
        return _joined(self._members(schema, identifiers), "{", "}")

    def _members(self, schema: pa.Schema, identifiers: Sequence[str]) -> list[tuple[str, str, str]]:
        placed = self._placed(schema, identifiers)
        return [(name, *self._member(identifier, arrow, never_null)) for name, identifier, arrow, never_null in placed]

    def _placed(self, schema: pa.Schema, identifiers: Sequence[str]) -> list[tuple[str, str, pa.DataType, bool]]:
        """Name, identifier and type of each column, and whether it holds no nulls: then none are looked for, at a
        quarter of the cost."""
        places = [(column.name, schema.get_field_index(column.name)) for column in self.columns]
        return [(name, identifiers[at], schema.field(at).type, not schema.field(at).nullable) for name, at in places]

    def _member(self, identifier: str, arrow: pa.DataType, never_null: bool) -> tuple[str, str]:
        """The JSON text of one column's value, and what stands before and behind it in any case (a quote or
        nothing)."""
        import pyarrow.types as t

        plain = text(identifier, arrow)
        if plain == identifier:
            return (f"to_json({identifier})" if never_null else f"coalesce(to_json({identifier})::varchar, 'null')"), ""
        if t.is_floating(arrow):
            return f"coalesce({self._float(identifier, plain)}, 'null')", ""
        bare = (
            t.is_boolean(arrow) or (t.is_decimal(arrow) and self.config.decimals == "number") or self._is_number(arrow)
        )
        if never_null:
            return plain, "" if bare else '"'
        return (f"coalesce({plain}, 'null')" if bare else f"""coalesce('"' || {plain} || '"', 'null')"""), ""

    def _is_number(self, arrow: pa.DataType) -> bool:
        import pyarrow.types as t

        return t.is_integer(arrow) and (arrow.bit_width < 64 or self.config.big_integers == "number")

    def _float(self, identifier: str, plain: str) -> str:
        if self.config.nan != "string":
            return f"case when isfinite({identifier}) then {plain} end"
        sign = f"case when {identifier} < 0 then '-' else '' end"
        odd = f"""case when isnan({identifier}) then '"NaN"' else '"' || {sign} || 'Infinity"' end"""
        return f"case when isfinite({identifier}) then {plain} when {identifier} is not null then {odd} end"

    def _faults(self, name: str, identifier: str, arrow: pa.DataType) -> list[tuple[str, str]]:
        """What may keep a value of this column out of JSON: a condition, and the cause as an expression."""
        import pyarrow.types as t

        if t.is_floating(arrow) and self.config.nan == "quarantine":
            why = "has no JSON number (set `nan: null` or `nan: string`, and readers get that instead)"
            return [(f"not isfinite({identifier})", _cause(name, f"{identifier}::varchar", why))]
        if t.is_date(arrow) or t.is_timestamp(arrow):
            return [
                (
                    _outside(identifier, arrow),
                    _cause(name, f"{identifier}::varchar", "is outside the years 1 to 9999 of ISO 8601"),
                )
            ]
        return []


def _joined(members: list[tuple[str, str, str]], start: str, end: str) -> str:
    """An expression for `"name":member,…` between `start` and `end`, of name, member and the quote around it. Names are
    escaped by Python, which leaves no control character in the SQL."""
    parts, before = [], start
    for name, member, quote in members:
        parts += [literal(f"{before}{json.dumps(name, ensure_ascii=False)}:{quote}"), member]
        before = f"{quote},"
    last = (members[-1][2] if members else start) + end
    return f"concat({', '.join([*parts, literal(last)])})"


def _cause(name: str, value: str, why: str) -> str:
    plain = name if "\0" not in name else json.dumps(name, ensure_ascii=False)[1:-1]  # NUL ends a statement
    return cause.made(literal(why), f"[{literal(plain)}]", value)


def _causes(written: pa.StringArray) -> pa.ListArray:
    """The causes of rows that are written one behind the other, with commas between."""
    import duckdb
    import pyarrow as pa

    with duckdb.connect(config=OFFLINE) as con:
        con.register("rows", pa.table({"written": written}))
        read = cause.read("'[' || written || ']'")
        table = con.sql(f"select {read} as causes from rows").to_arrow_table()
    return table["causes"].cast(cause.arrow()).combine_chunks()


def _outside(identifier: str, arrow: pa.DataType) -> str:
    import pyarrow.types as t

    if t.is_date(arrow):
        return f"{identifier} not between date '0001-01-01' and date '9999-12-31'"
    kind, zone = ("timestamptz", "+00") if arrow.tz else ("timestamp", "")
    return f"{identifier} not between {kind} '0001-01-01 00:00:00{zone}' and {kind} '9999-12-31 23:59:59.999999{zone}'"


def _any(bad: pa.ChunkedArray, rows: int) -> list[int]:
    """Which of the columns that lie behind one another in `bad`, `rows` long each, have some true."""
    import numpy as np

    return [int(place) for place in np.unique(np.flatnonzero(bad.to_numpy()) // max(rows, 1))]


def _objects(names: Sequence[str], members: Sequence[pa.StringArray], rows: int) -> pa.BinaryArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not rows:
        return pa.array([], pa.binary())
    keys = [f"{',' if n else '{'}{json.dumps(name, ensure_ascii=False)}:" for n, name in enumerate(names)]
    parts = [part for key, member in zip(keys, members, strict=True) for part in (key, member)]
    return pc.binary_join_element_wise(*parts, "}", "").cast(pa.binary())
