"""Why a row is quarantined, as values: the column `causes` of rejects and of the list of quarantined rows, and the one
sentence that is made of each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from forebay.model import Cause
from forebay.support.sql import literal

if TYPE_CHECKING:
    import pyarrow as pa

SQL = "struct(rule varchar, columns varchar[], detail varchar, value varchar)[]"
"""DuckDB's type of the column."""
_JSON = '[{"rule":"VARCHAR","columns":["VARCHAR"],"detail":"VARCHAR","value":"VARCHAR"}]'
_NAMED = ("column", "column_A", "column_B", "column_list", "column_set")
"""Settings of a rule that its title names."""


def arrow() -> pa.DataType:
    """Arrow's type of the column: a list of the fields of `Cause`."""
    import pyarrow as pa

    return pa.list_(pa.field("element", struct()))


def struct() -> pa.StructType:
    """Arrow's type of one cause."""
    import pyarrow as pa

    names = pa.list_(pa.field("element", pa.string()))
    return pa.struct({"rule": pa.string(), "columns": names, "detail": pa.string(), "value": pa.string()})


def made(detail: str, columns: str = "[]::varchar[]", value: str = "null::varchar", rule: str = "''") -> str:
    """SQL: one cause, of SQL of its fields."""
    return f"struct_pack(rule := {rule}, columns := {columns}, detail := {detail}, value := {value})"


def written(cause: str) -> str:
    """SQL: a cause as JSON, to lie in a column of text for a while (see `read`)."""
    return f"CAST(to_json({cause}) AS VARCHAR)"


def written_whole(detail: str) -> str:
    """A cause that is about a record as a whole, as `written` writes it."""
    return json.dumps(Cause(detail=detail).to_json(), ensure_ascii=False)


def read(texts: str) -> str:
    """SQL: the causes that are written in a JSON array."""
    return f"from_json({texts}, {literal(_JSON)})"


def sql_sentence(cause: str) -> str:
    """SQL: `sentence`, but for a rule's settings, which stay JSON."""
    return (
        f"case when {cause}.rule != '' then rtrim({cause}.rule || ' ' || {cause}.detail) "
        f"when {cause}.value is not null then concat('column `', {cause}.columns[1], '`: `', {cause}.value, '` ', "
        f"{cause}.detail) else {cause}.detail end"
    )


def sentence(cause: Cause) -> str:
    """A cause for people: a failing rule with what it asks for, or why a row could not be read or encoded."""
    if cause.rule:
        asked = _asked(cause.detail)
        return f"{cause.rule}{': ' if asked else ''}{asked}"
    if cause.value is None:
        return cause.detail
    return f"column `{', '.join(cause.columns)}`: `{cause.value}` {cause.detail}"


def sentences(causes: Iterable[Cause]) -> tuple[str, ...]:
    """Every cause by itself."""
    return tuple(map(sentence, causes))


def _asked(detail: str) -> str:
    try:
        settings = json.loads(detail or "{}")
    except ValueError:
        return detail
    if not isinstance(settings, dict):
        return detail
    return ", ".join(
        f"{name} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in settings.items()
        if name not in _NAMED
    )
