"""A rule of a suite, and what can be wrong with it, found before any data is there."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from forebay.model import Severity
from forebay.quality import catalogue
from forebay.quality.catalogue import Entry, entries
from forebay.support.sql import OFFLINE
from forebay.support.words import way_out

_TEXTS_ONLY = re.compile(r"strftime|like_pattern|json|dateutil|value_lengths")
_NUMBERS_ONLY = re.compile(r"mean|stdev|_sum_|median|quantile|z_score|outliers")
_NUMERIC = ("int", "uint", "float", "decimal")
_PATTERNS = ("regex", "regex_list")
_RUNTIME = {
    "result_format": "forebay asks for what its report needs",
    "catch_exceptions": "a rule that cannot be answered stops the file",
    "auto": "bounds are written, not learnt",
}
SQL_TYPES = frozenset(
    [
        "BOOLEAN",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "FLOAT",
        "DOUBLE",
        "VARCHAR",
        "BLOB",
        "DATE",
        "TIME",
        "TIMESTAMP",
        "DECIMAL",
        "NUMERIC",
        "STRING",
        "TEXT",
        "INT",
        "REAL",
    ]
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One expectation as it is written: its arguments, how bad a failure is, why it is there, and its line in the
    file."""

    type: str
    kwargs: dict[str, Any]
    severity: Severity = Severity.CRITICAL
    notes: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    line: int | None = None

    @property
    def entry(self) -> Entry:
        return entries()[self.type]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it judges, in order."""
        named = [self.kwargs[key] for key in ("column", "column_A", "column_B") if key in self.kwargs]
        listed = self.kwargs.get("column_list") if self.entry.kind == "multi" else None
        return tuple(str(name) for name in [*named, *(listed or [])])


def meant(word: str, known: Collection[str]) -> str:
    """The way out of a word that is not known: the nearest one, or all of a short list."""
    return way_out(word, sorted(known), None if len(known) <= 12 else "see Great Expectations' gallery for the names")


def argument_faults(rule: Rule) -> Iterator[str]:
    """Faults of a rule's type and arguments."""
    entry = rule.entry
    if entry.type in catalogue.REFUSED:
        yield f"reading `{entry.type}`: forebay cannot answer it: {catalogue.REFUSED[entry.type]} (take the rule out)"
    allowed = entry.arguments | catalogue.COMMON
    for name in rule.kwargs:
        if name in _RUNTIME:
            yield f"reading `{entry.type}`: `{name}` does not belong into a suite: {_RUNTIME[name]} (take it out)"
        elif name not in allowed:
            yield f"reading `{entry.type}`: unknown argument `{name}` ({meant(name, entry.arguments)})"
    for name in sorted(entry.required - rule.kwargs.keys()):
        yield f"reading `{entry.type}`: argument `{name}` is missing (write it into `kwargs`)"
    for name, value in rule.kwargs.items():
        text = _value_fault(name, value)
        if text:
            yield f"reading `{entry.type}`: `{name}` {text}"
    yield from _bounds_fault(rule)


def _value_fault(name: str, value: Any) -> str | None:
    if isinstance(value, dict) and "$PARAMETER" in value:
        return "is a suite parameter, which needs a value at run time (write the value)"
    if name == "unexpected_rows_query":
        return _query_fault(value)
    if name in _PATTERNS:
        return next(filter(None, map(_pattern_fault, value if isinstance(value, list) else [value])), None)
    if name == "mostly" and not (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1):
        return f"is `{value}`, no share between 0 and 1"
    if name == "strftime_format":
        return _time_fault(value)
    if name == "json_schema":
        return _schema_fault(value)
    if name == "condition_parser" and value in {"pandas", "spark"}:
        return f"is `{value}`, which only that engine reads (take it out, and write a typed `row_condition`)"
    if name == "row_condition":
        return _condition_fault(value)
    if name in {"value_set", "column_list", "regex_list", "like_pattern_list", "type_list"} and not isinstance(
        value, list | None
    ):
        return "is no list"
    return None


def _query_fault(query: Any) -> str | None:
    """What makes a suite's own SQL more than a question. SQL that DuckDB cannot read at all is told by the trial, with
    its words."""
    import duckdb

    if not isinstance(query, str):
        return "is no text"
    with duckdb.connect(config=OFFLINE) as con:
        try:
            statements = con.extract_statements(query.replace("{batch}", "rows").replace("{{", "{").replace("}}", "}"))
        except duckdb.Error:
            return None
    if len(statements) == 1 and statements[0].type == duckdb.StatementType.SELECT:
        return None
    return "is not one SELECT: a rule asks, it changes nothing (write one `SELECT … FROM {batch} WHERE …`)"


def _pattern_fault(pattern: Any) -> str | None:
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        return f"`{pattern}` is no regular expression of Python: {error}"
    return None


def _time_fault(time_format: Any) -> str | None:
    try:
        datetime.strptime(datetime(2000, 1, 2, 3, 4, 5, tzinfo=UTC).strftime(time_format), time_format)
    except (ValueError, TypeError) as error:
        return f"`{time_format}` is no format that Python can parse: {error}"
    return None


def _schema_fault(schema: Any) -> str | None:
    """A wrong schema would only speak up at the first text that is JSON."""
    import jsonschema

    if not isinstance(schema, dict):
        return "is no JSON schema (write an object)"
    try:
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except jsonschema.SchemaError as error:
        return f"is no JSON schema: {error.message}"
    return None


def _condition_fault(condition: Any) -> str | None:
    """A text is taken when it is one that Great Expectations wrote before its conditions were typed."""
    if isinstance(condition, dict | None) or (isinstance(condition, str) and re.match(r'\s*col\("', condition)):
        return None
    return (
        f"`{condition}` is no typed condition "
        '(write one like `{"type": "comparison", "column": {"name": "id"}, "operator": ">", "parameter": 5}`)'
    )


def _bounds_fault(rule: Rule) -> Iterator[str]:
    least, most = rule.kwargs.get("min_value"), rule.kwargs.get("max_value")
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (least, most))
    if numbers and least > most:  # type: ignore[operator]
        yield f"reading `{rule.type}`: `min_value` {least} is greater than `max_value` {most}"
    if rule.entry.judges_rows and "min_value" in rule.entry.arguments and least is None and most is None:
        yield f"reading `{rule.type}`: neither `min_value` nor `max_value` is given (write one)"


def column_faults(rule: Rule, known: dict[str, str]) -> Iterator[str]:
    """Faults of a rule against the columns (name → Arrow type name) that it will meet."""
    for name in missing_columns(rule, known):
        yield f"reading `{rule.type}`: there is no column `{name}` ({meant(name, known)}; or change `schema`)"
    for name in rule.columns:
        text = _type_fault(rule, known[name]) if name in known else None
        if text:
            yield f"reading `{rule.type}`: column `{name}` is `{known[name]}`, {text}"
    if rule.entry.kind in {"pair", "multi"} and rule.type != "expect_compound_columns_to_be_unique":
        kinds = {name: known[name] for name in rule.columns if name in known}
        if len(set(map(_family, kinds.values()))) > 1:
            listed = ", ".join(f"`{name}` is `{kind}`" for name, kind in kinds.items())
            yield f"reading `{rule.type}`: the columns cannot be compared: {listed} (give them types of one kind)"


def _family(kind: str) -> str:
    if kind.startswith(_NUMERIC):
        return "number"
    return "time" if kind.startswith(("date", "timestamp")) else kind


def missing_columns(rule: Rule, known: Collection[str]) -> tuple[str, ...]:
    """Columns that a rule needs and that are not there."""
    if rule.type in catalogue.MAY_NAME_ANY_COLUMN:
        return ()
    return tuple(name for name in dict.fromkeys([*rule.columns, *condition_columns(rule)]) if name not in known)


def condition_columns(rule: Rule) -> tuple[str, ...]:
    """Columns that a rule's `row_condition` names."""
    condition = rule.kwargs.get("row_condition")
    if isinstance(condition, str):
        return tuple(re.findall(r'col\("([^"]+)"\)', condition))
    return tuple(_named(condition))


def _named(condition: Any) -> Iterator[str]:
    if not isinstance(condition, dict):
        return
    column = condition.get("column")
    if column is not None:
        yield str(column.get("name") if isinstance(column, dict) else column)
    for inner in condition.get("conditions", []):
        yield from _named(inner)


def _type_fault(rule: Rule, kind: str) -> str | None:
    number, text = kind.startswith(_NUMERIC), kind == "string"
    if _TEXTS_ONLY.search(rule.type) and not text:
        return "and the rule judges text (give the column the type `string`, or take the rule out)"
    if "regex" in rule.type and not (text or kind.startswith(("int", "uint"))):
        return "and a pattern judges text and integers (give the column the type `string`, or take the rule out)"
    if _NUMBERS_ONLY.search(rule.type) and not number:
        return "and the rule judges numbers (give the column a number's type, or take the rule out)"
    if text and rule.type == "expect_column_values_to_be_between":
        return "and bounds are numbers or times (give the column such a type, or use a pattern)"
    return _type_name_fault(rule)


def _type_name_fault(rule: Rule) -> str | None:
    named = (
        rule.kwargs.get("type_list") or [rule.kwargs["type_"]]
        if "type_" in rule.kwargs or "type_list" in rule.kwargs
        else []
    )
    for name in named:
        if str(name).split("(")[0].upper() not in SQL_TYPES:
            return f"and `{name}` is no type of this engine ({meant(str(name).upper(), SQL_TYPES)})"
    return None
