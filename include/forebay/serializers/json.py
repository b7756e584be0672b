"""Record values as compact JSON objects, one per row, built by DuckDB a whole table at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, WithJsonSchema

from forebay.contracts import Encoded, Serializer, Settings, SqlEncoding
from forebay.serializers._text import text
from forebay.support.sql import OFFLINE, literal

if TYPE_CHECKING:
    import pyarrow as pa


_Nan = Annotated[
    Literal["quarantine", "null", "string"],
    BeforeValidator(lambda value: "null" if value is None else value),  # YAML's own null is the word here
    WithJsonSchema({"enum": ["quarantine", "null", "string", None]}),
]


class JsonConfig(Settings):
    """How values become JSON where JSON, or its readers, cannot hold them as they are."""

    nan: _Nan = "quarantine"
    """NaN and infinity, which JSON has no number for: set the row aside, write null, or write `"NaN"`, `"Infinity"`, `"-Infinity"`."""
    decimals: Literal["number", "string"] = "number"
    """Decimals as numbers (`1.10`, every digit of the scale), or as strings, for readers that make floats of numbers."""
    big_integers: Literal["number", "string"] = "number"
    """Columns of 64-bit integers as numbers or as strings; JavaScript cannot tell integers beyond 2^53 apart."""


class Json(Serializer[JsonConfig]):
    """RFC 8259 objects: keys in column order, null for null, strings for dates, times, timestamps and (base64) binary. Never NaN."""

    Config: ClassVar[type[Settings]] = JsonConfig
    content_type: ClassVar[str] = "application/json"

    def encode(self, rows: pa.Table) -> Encoded:
        """One object per row. Each call has its own DuckDB, so threads may share the serializer."""
        import duckdb

        table = rows.select([column.name for column in self.columns])
        identifiers = [f"c{n}" for n in range(table.num_columns)]  # so that `a` and `A`, quotes and NUL are no matter to DuckDB
        sql = self.sql(table.schema, identifiers)
        with duckdb.connect(config=OFFLINE) as con:
            con.register("rows", table.rename_columns(identifiers))
            found = con.sql(f"select {sql.value} as value, {sql.reason} as reason from rows").to_arrow_table()
        return _encoded(found["value"], found["reason"])

    def sql(self, schema: pa.Schema, identifiers: Sequence[str]) -> SqlEncoding:
        """The object and the reason as expressions; see `Serializer.sql`. `concat` of texts is faster than `to_json` of a struct."""
        value = self.object(schema, identifiers)
        faults = [fault for column in self._placed(schema, identifiers) for fault in self._faults(*column[:3])]
        if not faults:
            return SqlEncoding(value, "null::varchar")
        bad = " or ".join(condition for condition, _ in faults)
        reasons = ", ".join(f"case when {condition} then {reason} end" for condition, reason in faults)
        return SqlEncoding(f"case when {bad} then null else {value} end", f"case when {bad} then concat_ws('; ', {reasons}) end")

    def object(self, schema: pa.Schema, identifiers: Sequence[str]) -> str:
        """The object alone, refusing nothing: to show rows that are set aside (`nan: quarantine` shows null, years beyond ISO 8601 stay as they are)."""
        return _object(
            [
                (name, *self._member(identifier, arrow, never_null))
                for name, identifier, arrow, never_null in self._placed(schema, identifiers)
            ]
        )

    def _placed(self, schema: pa.Schema, identifiers: Sequence[str]) -> list[tuple[str, str, pa.DataType, bool]]:
        """Name, identifier and type of each column, and whether it holds no nulls: then none are looked for, at a quarter of the cost."""
        places = [(column.name, schema.get_field_index(column.name)) for column in self.columns]
        return [(name, identifiers[at], schema.field(at).type, not schema.field(at).nullable) for name, at in places]

    def _member(self, identifier: str, arrow: pa.DataType, never_null: bool) -> tuple[str, str]:
        """The JSON text of one column's value, and what stands before and behind it in any case (a quote or nothing)."""
        import pyarrow.types as t

        plain = text(identifier, arrow)
        if plain == identifier:
            return (f"to_json({identifier})" if never_null else f"coalesce(to_json({identifier})::varchar, 'null')"), ""
        if t.is_floating(arrow):
            return f"coalesce({self._float(identifier, plain)}, 'null')", ""
        bare = t.is_boolean(arrow) or (t.is_decimal(arrow) and self.config.decimals == "number") or self._is_number(arrow)
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
        """What may keep a value of this column out of JSON: a condition, and the reason as an expression."""
        import pyarrow.types as t

        if t.is_floating(arrow) and self.config.nan == "quarantine":
            why = "has no JSON number (set `nan: null` or `nan: string`, and readers get that instead)"
            return [(f"not isfinite({identifier})", _reason(name, f"{identifier}::varchar", why))]
        if t.is_date(arrow) or t.is_timestamp(arrow):
            return [(_outside(identifier, arrow), _reason(name, f"{identifier}::varchar", "is outside the years 1 to 9999 of ISO 8601"))]
        return []


def _object(members: list[tuple[str, str, str]]) -> str:
    """An expression for `{"name":member,…}`, of name, member and the quote around it. Names are escaped by Python, which leaves no control character in the SQL."""
    parts, before = [], "{"
    for name, member, quote in members:
        parts += [literal(f"{before}{json.dumps(name, ensure_ascii=False)}:{quote}"), member]
        before = f"{quote},"
    end = (members[-1][2] if members else "{") + "}"
    return f"concat({', '.join([*parts, literal(end)])})"


def _reason(name: str, value: str, why: str) -> str:
    shown = json.dumps(name, ensure_ascii=False)[1:-1]
    return f"concat({literal(f'encoding column `{shown}`: ')}, {value}, {literal(' ' + why)})"


def _outside(identifier: str, arrow: pa.DataType) -> str:
    import pyarrow.types as t

    if t.is_date(arrow):
        return f"{identifier} not between date '0001-01-01' and date '9999-12-31'"
    kind, zone = ("timestamptz", "+00") if arrow.tz else ("timestamp", "")
    return f"{identifier} not between {kind} '0001-01-01 00:00:00{zone}' and {kind} '9999-12-31 23:59:59.999999{zone}'"


def _encoded(values: pa.ChunkedArray, reasons: pa.ChunkedArray) -> Encoded:
    import pyarrow as pa

    return Encoded(values.cast(pa.binary()).combine_chunks(), reasons.cast(pa.string()).combine_chunks())
