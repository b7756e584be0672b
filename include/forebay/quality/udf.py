"""Python's own answer for the values that compiled code may not judge: vectorised functions for DuckDB, one call per
chunk of rows.

A value is judged by exactly what Great Expectations' pandas engine runs: `re.search`, `datetime.strptime`,
`json.loads`, `dateutil`, `jsonschema`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

Judge = Callable[[str], bool]


def regex(pattern: str) -> Judge:
    """Whether the pattern is found in the text."""
    search = re.compile(pattern).search
    return lambda text: search(text) is not None


def strftime(time_format: str) -> Judge:
    """Whether the text is a time in that format."""
    return _parses(lambda text: datetime.strptime(text, time_format))


def is_json(_: str) -> Judge:
    """Whether the text is JSON as Python reads it (`NaN` is)."""
    return _parses(json.loads)


def is_date(_: str) -> Judge:
    """Whether dateutil can make a date of the text."""
    from dateutil.parser import parse

    return _parses(parse)


def json_schema(schema: str) -> Judge:
    """Whether the text is JSON that meets the schema; text that is not JSON does not."""
    import jsonschema

    definition = json.loads(schema)
    validator = jsonschema.validators.validator_for(definition)(definition)

    def judge(text: str) -> bool:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):  # no JSON, or nested deeper than Python reads
            return False
        return validator.is_valid(value)

    return judge


def _parses(parse: Callable[[str], Any]) -> Judge:
    def judge(text: str) -> bool:
        try:
            parse(text)
        except (
            Exception
        ):  # whatever a text does to its reader (JSON nested too deeply: RecursionError), it stops one row and no file
            return False
        return True

    return judge


JUDGES: dict[str, Callable[[str], Judge]] = {
    "python_regex": regex,
    "python_strptime": strftime,
    "python_json": is_json,
    "python_date": is_date,
    "python_json_schema": json_schema,
}


@contextmanager
def registered(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Within it, each judge is a function `NAME(text, argument)` of the connection's database; a null text gives null.

    They are taken away at the end: DuckDB keeps a Python function, and with it the connection, alive as long as it
    knows it.
    """
    from duckdb.func import FunctionNullHandling, PythonUDFType

    for name, judge_of in JUDGES.items():
        con.create_function(
            name,
            _vectorised(cache(judge_of)),
            ["VARCHAR", "VARCHAR"],
            "BOOLEAN",
            type=PythonUDFType.ARROW,
            null_handling=FunctionNullHandling.SPECIAL,
        )
    try:
        yield
    finally:
        for name in JUDGES:
            con.remove_function(name)


def _vectorised(judge_of: Callable[[str], Judge]) -> Callable[..., Any]:
    def judge_all(texts: Any, arguments: Any) -> Any:  # DuckDB evaluates these annotations
        import pyarrow as pa

        if not len(texts):
            return pa.array([], pa.bool_())
        judge = judge_of(arguments[0].as_py())
        return pa.array([None if text is None else judge(text) for text in texts.to_pylist()], pa.bool_())

    return judge_all
