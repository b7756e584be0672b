"""Row conditions for the DuckDB engine, with the meaning that Great Expectations' pandas engine gives them.

Great Expectations has SQL for most conditions; it is used as it is. Here are those it has no DuckDB branch for
(patterns, LIKE, times, JSON, order), those whose SQL answers otherwise than pandas where values are null, and
uniqueness, which a DuckDB join answers faster than a window.

Providers are registered under the engine's class name, so these only add, as long as each names the same arguments as
Great Expectations' own: others would replace its for every engine (a test compares them).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.expectations.metrics.column_aggregate_metric_provider import ColumnAggregateMetricProvider
from great_expectations.expectations.metrics.column_aggregate_metrics import column_outlier_statistics as statistics
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    ColumnPairMapMetricProvider,
    MulticolumnMapMetricProvider,
    column_condition_partial,
    column_pair_condition_partial,
    multicolumn_condition_partial,
)
from great_expectations.expectations.metrics.metric_provider import metric_partial, metric_value

from forebay.quality import patterns
from forebay.quality.engine import ForebayDuckEngine
from forebay.quality.stage_table import ROW, ROWS
from forebay.support.sql import OFFLINE, quoted

Clause = Any
"""A SQL expression that is true where a value is as expected."""
Arguments = dict[str, Any]
DOMAIN = ("batch_id", "table", "row_condition", "condition_parser", "ignore_row_if")


def _on_column(
    name: str, keys: tuple[str, ...], condition: Callable[[Any, Arguments], Clause], **defaults: Any
) -> None:
    class Provider(ColumnMapMetricProvider):
        condition_metric_name = name
        condition_value_keys = keys
        default_kwarg_values = defaults

        @column_condition_partial(engine=ForebayDuckEngine)
        def _duckdb(cls, column: Any, **arguments: Any) -> Clause:  # Great Expectations calls it with the class
            return condition(column, arguments)


def _on_pair(name: str, keys: tuple[str, ...], condition: Callable[[Any, Any, Arguments], Clause]) -> None:
    class Provider(ColumnPairMapMetricProvider):
        condition_metric_name = name
        condition_domain_keys = (*DOMAIN, "column_A", "column_B")
        condition_value_keys = keys

        @column_pair_condition_partial(engine=ForebayDuckEngine)  # type: ignore[untyped-decorator]
        def _duckdb(cls, column_A: Any, column_B: Any, **arguments: Any) -> Clause:
            return condition(column_A, column_B, arguments)


def _on_columns(name: str, keys: tuple[str, ...], condition: Callable[[list[Any], Arguments], Clause]) -> None:
    class Provider(MulticolumnMapMetricProvider):
        condition_metric_name = name
        condition_domain_keys = (*DOMAIN, "column_list")
        condition_value_keys = keys

        @multicolumn_condition_partial(engine=ForebayDuckEngine)  # type: ignore[untyped-decorator]
        def _duckdb(cls, column_list: list[Any], **arguments: Any) -> Clause:
            return condition(column_list, arguments)


def _within(arguments: Arguments) -> Any:
    """The rows within row_condition and ignore_row_if."""
    table = arguments["_table"]
    return table.subquery() if isinstance(table, sa.Select) else table


def _compiled(query: sa.Select[Any], engine: ForebayDuckEngine) -> tuple[str, tuple[Any, ...]]:
    compiled = query.compile(engine.engine, compile_kwargs={"render_postcompile": True})
    return str(compiled), tuple(compiled.params[name] for name in compiled.positiontup or ())


def _not_in(aside: sa.TableClause) -> Clause:
    return sa.column(ROW).not_in(sa.select(aside.c[ROW]))


# ---------------------------------------------------------------- patterns and times


def _regex(column: Clause, pattern: str) -> Clause:
    text = sa.cast(column, sa.String)
    python = sa.func.python_regex(text, sa.literal(pattern))
    accepting = patterns.accepting(pattern)
    if accepting is None or not _understood(accepting):
        return python
    return sa.case(
        (_matches(text, accepting), sa.true()),
        (_matches(text, rf"\A{patterns.PLAIN}\z"), sa.false()),
        else_=python,
    )


def _matches(text: Clause, pattern: str) -> Clause:
    return sa.func.regexp_matches(text, sa.literal_column("'" + pattern.replace("'", "''") + "'"))


def _understood(pattern: str) -> bool:
    """Whether DuckDB compiles the pattern: RE2 bounds the size of a compiled one."""
    import duckdb

    with duckdb.connect(config=OFFLINE) as con:
        try:
            con.execute("select regexp_matches('', ?)", [pattern])
        except duckdb.Error:
            return False
    return True


def _strftime(column: Clause, arguments: Arguments) -> Clause:
    wanted = arguments["strftime_format"]
    python = sa.func.python_strptime(column, sa.literal(wanted))
    accepting, surely = patterns.accepting_time(wanted), patterns.accepting_time(wanted, surely=True)
    if accepting is None or surely is None:
        return python
    parsed = sa.func.try_strptime(column, sa.literal(wanted)).is_not(None)
    return sa.case(
        (_matches(column, surely), sa.true()), (sa.and_(_matches(column, accepting), parsed), sa.true()), else_=python
    )


def _dear(name: str, keys: tuple[str, ...], condition: Callable[[Any, Arguments], Clause], **defaults: Any) -> None:
    """A condition that costs so much that it is evaluated once, into a table of failing rows, and not for count and
    mask apart."""

    def once(column: Any, arguments: Arguments) -> Clause:
        engine: ForebayDuckEngine = arguments["_execution_engine"]
        failing: Any = (
            sa.select(sa.column(ROW))
            .select_from(_within(arguments))
            .where(column.is_not(None), sa.not_(condition(column, arguments)))
        )
        return _not_in(engine.masks.aside(*_compiled(failing, engine)))

    _on_column(name, keys, once, **defaults)


def _regexes(column: Clause, patterns_listed: list[str], match_on: str | None) -> Clause:
    return (sa.and_ if match_on == "all" else sa.or_)(*(_regex(column, pattern) for pattern in patterns_listed))


_dear("column_values.match_regex", ("regex",), lambda c, a: _regex(c, a["regex"]))
_dear("column_values.not_match_regex", ("regex",), lambda c, a: sa.not_(_regex(c, a["regex"])))
_dear(
    "column_values.match_regex_list",
    ("regex_list", "match_on"),
    lambda c, a: _regexes(c, a["regex_list"], a["match_on"]),
    match_on="any",
)
_dear("column_values.not_match_regex_list", ("regex_list",), lambda c, a: sa.not_(_regexes(c, a["regex_list"], "any")))
_dear("column_values.match_strftime_format", ("strftime_format",), _strftime)


def _like(column: Clause, pattern: str, arguments: Arguments) -> Clause:
    return column.like(sa.literal(pattern), escape=arguments.get("escape"))


def _likes(column: Clause, arguments: Arguments) -> list[Clause]:
    return [_like(column, pattern, arguments) for pattern in arguments["like_pattern_list"]]


_on_column("column_values.match_like_pattern", ("like_pattern", "escape"), lambda c, a: _like(c, a["like_pattern"], a))
_on_column(
    "column_values.not_match_like_pattern",
    ("like_pattern", "escape"),
    lambda c, a: sa.not_(_like(c, a["like_pattern"], a)),
)
_on_column(
    "column_values.match_like_pattern_list",
    ("like_pattern_list", "match_on", "escape"),
    lambda c, a: (sa.and_ if a.get("match_on") == "all" else sa.or_)(*_likes(c, a)),
)
_on_column(
    "column_values.not_match_like_pattern_list",
    ("like_pattern_list", "escape"),
    lambda c, a: sa.and_(*map(sa.not_, _likes(c, a))),
)

# ---------------------------------------------------------------- texts that only Python can read

_dear("column_values.json_parseable", (), lambda c, _: sa.func.python_json(c, sa.literal("")))
_dear("column_values.dateutil_parseable", (), lambda c, _: sa.func.python_date(c, sa.literal("")))
_dear(
    "column_values.match_json_schema",
    ("json_schema",),
    lambda c, a: sa.func.python_json_schema(c, sa.literal(json.dumps(a["json_schema"]))),
)

# ---------------------------------------------------------------- values and bounds


def _type_of(column: Any, arguments: Arguments) -> type:
    """The Python type of a column's values."""
    engine: ForebayDuckEngine = arguments["_execution_engine"]
    columns = engine.get_inspector().get_columns("rows")
    column_type = next(c["type"] for c in columns if c["name"] == column.name)
    try:
        return column_type.python_type
    except NotImplementedError:
        return object


def _between(column: Any, arguments: Arguments) -> Clause:
    least, most = arguments.get("min_value"), arguments.get("max_value")
    if least is None and most is None:
        raise ValueError("min_value and max_value cannot both be None")
    if _type_of(column, arguments) is str:
        raise TypeError(f"column `{column.name}` holds text, and bounds are numbers or times")
    clauses = []
    if least is not None:
        clauses.append(column > sa.literal(least) if arguments.get("strict_min") else column >= sa.literal(least))
    if most is not None:
        clauses.append(column < sa.literal(most) if arguments.get("strict_max") else column <= sa.literal(most))
    return sa.and_(*clauses)


def _members(column: Any, arguments: Arguments) -> list[Any]:
    """The values of a set that a value of this column can equal: as in Python, the text `1` is no number."""
    kind = _type_of(column, arguments)
    values = [value for value in arguments["value_set"] if value is not None]
    if kind is str:
        return [value for value in values if isinstance(value, str)]
    if issubclass(kind, bool | int | float) or kind.__name__ == "Decimal":
        return [value for value in values if not isinstance(value, str)]
    return values


def _in_set(column: Any, arguments: Arguments) -> Clause:
    if arguments["value_set"] is None:
        return sa.true()
    members = _members(column, arguments)
    return column.in_(members) if members else sa.false()


def _not_in_set(column: Any, arguments: Arguments) -> Clause:
    return sa.not_(_in_set(column, arguments)) if arguments["value_set"] is not None else sa.true()


_on_column("column_values.between", ("min_value", "max_value", "strict_min", "strict_max"), _between)
_on_column("column_values.in_set", ("value_set",), _in_set)
_on_column("column_values.not_in_set", ("value_set",), _not_in_set)

# ---- several columns: a comparison with a null is false, not unknown


def _known(clause: Clause) -> Clause:
    return sa.func.coalesce(clause, sa.false())


def _greater(a: Any, b: Any, arguments: Arguments) -> Clause:
    return _known(a >= b if arguments.get("or_equal") else a > b)


def _pair_in_set(a: Any, b: Any, arguments: Arguments) -> Clause:
    pairs = arguments.get("value_pairs_set")
    if pairs is None:
        return sa.true()
    return _known(
        sa.or_(sa.false(), *(sa.and_(a.is_not_distinct_from(x), b.is_not_distinct_from(y)) for x, y in pairs))
    )


def _sums_to(columns: list[Any], arguments: Arguments) -> Clause:
    total = columns[0]
    for column in columns[1:]:
        total = total + column
    return _known(total == sa.literal(arguments["sum_total"]))


_on_pair("column_pair_values.a_greater_than_b", ("or_equal",), _greater)
_on_pair("column_pair_values.in_set", ("value_pairs_set",), _pair_in_set)
_on_columns("multicolumn_sum.equal", ("sum_total",), _sums_to)

# ---- rules about a row among others: their failing rows are quarantined first


def _domain(arguments: Arguments, engine: ForebayDuckEngine) -> tuple[str, tuple[Any, ...]]:
    """The rows within row_condition and ignore_row_if, as a query with its parameters."""
    query, parameters = _compiled(sa.select(sa.text("*")).select_from(_within(arguments)), engine)
    return f"({query})", parameters


def _twins(names: list[str], arguments: Arguments, engine: ForebayDuckEngine) -> sa.TableClause:
    """The rows whose key is there more than once. Nulls equal each other in a key of several columns, as in pandas; a
    null alone is no key."""
    domain, parameters = _domain(arguments, engine)
    keys = ", ".join(map(quoted, names))
    same = " and ".join(f"r.{quoted(n)} is not distinct from d.{quoted(n)}" for n in names)
    filled = f"where {keys} is not null" if len(names) == 1 else ""
    twice = f"select {keys} from domain {filled} group by {keys} having count(*) > 1"
    query = f"with domain as not materialized {domain} select r.{ROW} from domain r join ({twice}) d on {same}"
    return engine.masks.aside(query, parameters)


def _ordered(column: Any, arguments: Arguments, wrong: str) -> Clause:
    """Values that follow the value before them, in file order and without nulls, as they should."""
    engine: ForebayDuckEngine = arguments["_execution_engine"]
    domain, parameters = _domain(arguments, engine)
    name = quoted(column.name)
    before = f"select {ROW}, {name} as v, lag({name}) over (order by {ROW}) as p from {domain} where {name} is not null"
    operator = wrong + ("=" if arguments.get("strictly") else "")
    return _not_in(engine.masks.aside(f"select {ROW} from ({before}) where v {operator} p", parameters))


class CompoundUnique(MulticolumnMapMetricProvider):
    """Keys of several columns. Great Expectations' short form for several columns does not hand over the engine, so
    this is the long one."""

    condition_metric_name = "compound_columns.unique"
    condition_domain_keys = (*DOMAIN, "column_list")

    @metric_partial(
        engine=ForebayDuckEngine,
        partial_fn_type=MetricPartialFunctionTypes.MAP_CONDITION_FN,
        domain_type=MetricDomainTypes.MULTICOLUMN,
    )
    def _duckdb(
        cls,
        execution_engine: ForebayDuckEngine,
        metric_domain_kwargs: Arguments,
        metric_value_kwargs: Arguments,
        metrics: Arguments,
        runtime_configuration: Arguments,
    ) -> tuple[Clause, Arguments, Arguments]:
        table, compute, accessor = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.MULTICOLUMN
        )
        names = [str(name) for name in accessor["column_list"]]
        twins = _twins(names, {"_table": table}, execution_engine)
        return (
            ROWS.c[ROW].in_(sa.select(twins.c[ROW])),
            compute,
            accessor,
        )  # its queries have no FROM but what the condition brings


_on_column("column_values.unique", (), lambda c, a: _not_in(_twins([c.name], a, a["_execution_engine"])))
_on_column("column_values.increasing", ("strictly",), lambda c, a: _ordered(c, a, "<"), strictly=False)
_on_column("column_values.decreasing", ("strictly",), lambda c, a: _ordered(c, a, ">"), strictly=False)

# ---------------------------------------------------------------- statistics


class OutlierStatistics(ColumnAggregateMetricProvider):
    """Quartiles, or mean and deviation: Great Expectations knows no quartiles of DuckDB's, and casts to what DuckDB
    takes for 32-bit floats."""

    metric_name = "column.outlier_statistics"
    value_keys = ("method",)

    @metric_value(engine=ForebayDuckEngine)
    def _duckdb(
        cls,
        execution_engine: ForebayDuckEngine,
        metric_domain_kwargs: Arguments,
        metric_value_kwargs: Arguments,
        metrics: Arguments,
        runtime_configuration: Arguments,
    ) -> statistics.OutlierStatistics:
        table, _, accessor = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.COLUMN
        )
        method = metric_value_kwargs["method"]
        statistics.validate_method(method)
        number = sa.cast(sa.column(accessor["column"]), sa.DOUBLE)
        if method == statistics.IQR_METHOD:
            wanted = [sa.func.quantile_cont(number, share) for share in (0.25, 0.75)]
        else:
            wanted = [sa.func.avg(number), sa.func.stddev_samp(number)]
        rows: Any = execution_engine.execute_query(sa.select(*wanted).select_from(_within({"_table": table})))
        a, b = rows.fetchone()
        if method == statistics.IQR_METHOD:
            return statistics.OutlierStatistics(a, b, None if a is None or b is None else b - a)
        return statistics.OutlierStatistics.symmetric(center=a, spread=b)
