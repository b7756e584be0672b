"""Which rows failed which rule: bit masks computed from Great Expectations' own conditions, one scan for all rules of a
wave.

Great Expectations resolves its metrics in waves. When the first samples of unexpected values are asked for, the
conditions of all rules of that wave are known: they are evaluated in one scan into a table of (row, bit words) that
holds the failing rows alone. Samples are then looked up by row number, and `write` turns the bits into lists of rules.
Great Expectations counts for itself, and `check` compares the counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.quality.redact import MARK
from forebay.quality.stage_table import ROW, ROWS, VIEW
from forebay.support.sql import quoted

if TYPE_CHECKING:
    import sqlalchemy as sa
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine

WORD = 63  # bits used of a word: the sign bit is left alone
TEXT = 200  # characters of a sampled value
_BLOCK = 8  # words evaluated in one scan, so that a statement stays small


class Masks:
    """The failing rows of the row rules of one run."""

    def __init__(self, engine: SqlAlchemyExecutionEngine) -> None:
        self.engine = engine
        self.bits: dict[Any, int] = {}
        """Metric id of a condition → its bit."""
        self.tables: list[tuple[str, list[Any]]] = []
        """A table of failing rows, and the condition ids of its bits in order."""
        self.planned: dict[str, Any] = {}
        """Key of a sample → metric id of its condition."""
        self._aside = 0
        self.redact: frozenset[str] = frozenset()
        """Columns whose values no sample shows."""

    def aside(self, query: str, parameters: tuple[Any, ...] = ()) -> sa.TableClause:
        """Keep the row numbers that `query` yields as a table with the column `__row`."""
        import sqlalchemy as sa

        name = f"aside_{self._aside}"
        self._aside += 1
        self._execute(f"create temp table {name} as {query}", parameters)
        return sa.table(name, sa.column(ROW))

    def samples(self, metrics: Sequence[Any], resolved: dict[Any, Any]) -> dict[Any, Any]:
        """The first failing rows, in row order, in the shape that each of these metrics has."""
        conditions = {m.id: m.metric_dependencies["unexpected_condition"].id for m in metrics}
        self.planned |= {_key(m): conditions[m.id] for m in metrics}
        self._scan({i: resolved[i] for i in conditions.values() if i not in self.bits})
        known: dict[Any, list[Any]] = {}
        return {m.id: _shape(m, self._sample(m, conditions[m.id], resolved, known)) for m in metrics}

    def condition_of(self, planned: Any) -> Any:
        """The id of the condition behind a sample (`….unexpected_values`) that an expectation plans."""
        from great_expectations.validator.validation_graph import ValidationGraph

        ValidationGraph(self.engine).set_metric_configuration_default_kwargs_if_absent(planned)
        return self.planned[_key(planned)]

    def counts(self) -> dict[Any, int]:
        """Failing rows per condition."""
        counts: dict[Any, int] = {}
        for table, ids in self.tables:
            sums = ", ".join(f"count(*) filter ({_is_set(i)})" for i in range(len(ids)))
            counts |= dict(zip(ids, self._execute(f"select {sums} from {table}").fetchone(), strict=True))
        return counts

    def write(self, rules: dict[Any, list[int]], path: Path) -> None:
        """Write `__row`, `rules` to a Parquet file, by row; `rules` maps a condition to positions of its rules."""
        lists = [self._lists(table, [rules.get(i, []) for i in ids]) for table, ids in self.tables]
        empty = f"select null::bigint as {ROW}, null::integer[] as rules where false"
        union = " union all ".join(lists) or empty
        merged = (
            f"select {ROW}, list_sort(flatten(list(rules))) as rules from ({union}) group by {ROW}"
            if len(lists) > 1
            else union
        )
        self._execute(
            f"copy (select {ROW}::bigint as {ROW}, rules::integer[] as rules from ({merged}) order by {ROW}) to "
            f"'{_literal(path)}' (format parquet, use_tmp_file false)"
        )

    def _lists(self, table: str, positions: list[list[int]]) -> str:
        parts = [
            f"case when {_is_set(bit)} then {rules}::integer[] else []::integer[] end"
            for bit, rules in enumerate(positions)
            if rules
        ]
        lists = f"list_sort(flatten([{', '.join(parts)}]))" if parts else "[]::integer[]"
        return f"select {ROW}, {lists} as rules from {table}"

    def _scan(self, conditions: dict[Any, Any]) -> None:
        ids = list(conditions)
        for start in range(0, len(ids), WORD * _BLOCK):
            self._scan_block({i: conditions[i] for i in ids[start : start + WORD * _BLOCK]})

    def _scan_block(self, conditions: dict[Any, Any]) -> None:
        import sqlalchemy as sa

        fails = [self._fails(*condition) for condition in conditions.values()]
        words = [_word(fails[start : start + WORD]).label(f"w{start // WORD}") for start in range(0, len(fails), WORD)]
        inner = sa.select(ROWS.c[ROW], *words).select_from(ROWS).subquery("found")
        failing = sa.or_(*(inner.c[word.name] != 0 for word in words))
        compiled = (
            sa.select(inner).where(failing).compile(self.engine.engine, compile_kwargs={"render_postcompile": True})
        )
        table = f"failing_{len(self.tables)}"
        parameters = tuple(compiled.params[name] for name in compiled.positiontup or ())
        self._execute(f"create temp table {table} as {compiled}", parameters)
        self.bits |= {condition: bit for bit, condition in enumerate(conditions)}
        self.tables.append((table, list(conditions)))

    def _fails(self, condition: Any, compute: dict[str, Any], accessor: dict[str, Any]) -> sa.ColumnElement[bool]:
        """The condition within its domain; unknown is not failing, as in Great Expectations' own count."""
        import sqlalchemy as sa

        return sa.func.coalesce(sa.and_(*self._domain({**compute, **accessor}), condition), sa.false())

    def _domain(self, kwargs: dict[str, Any]) -> list[Any]:
        """What `get_domain_records` filters by, as conditions: row_condition and ignore_row_if."""
        from great_expectations.expectations.row_conditions import deserialize_row_condition

        row_condition: Any = deserialize_row_condition(kwargs.get("row_condition"))
        within = [] if row_condition is None else [self.engine.condition_to_filter_clause(row_condition)]
        return [*within, *_not_ignored(kwargs)]

    def _sample(
        self, metric: Any, condition: Any, resolved: dict[Any, Any], known: dict[Any, list[Any]]
    ) -> list[dict[str, Any]]:
        if condition not in known:
            most = metric.metric_value_kwargs["result_format"]["partial_unexpected_count"]
            known[condition] = self._rows(condition, _columns(resolved[condition][2]), most)
        return known[condition]

    def _rows(self, condition: Any, columns: list[str], most: int) -> list[dict[str, Any]]:
        table = next(table for table, ids in self.tables if condition in ids)
        first = f"select {ROW} from {table} where {_is_set(self.bits[condition])} order by {ROW} limit {int(most)}"
        rows = [row[0] for row in self._execute(first).fetchall()]
        if not rows:
            return []
        chosen = ", ".join(map(quoted, dict.fromkeys(columns)))
        listed = ", ".join(map(str, rows))
        result = self._execute(f"select {ROW}, {chosen} from {VIEW} where {ROW} in ({listed}) order by {ROW}")
        names = [ROW, *dict.fromkeys(columns)]
        return [
            {name: self._shown(name, value) for name, value in zip(names, row, strict=True)}
            for row in result.fetchall()
        ]

    def _shown(self, name: str, value: Any) -> Any:
        return MARK if name in self.redact and value is not None else _short(value)

    def _execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        with self.engine.get_connection() as connection:
            return connection.exec_driver_sql(sql, parameters)


def _key(metric: Any) -> str:
    """What a metric asks, whatever the batch and the shape of the answer."""
    aside = ("batch_id", "result_format")
    arguments = {**metric.metric_domain_kwargs, **metric.metric_value_kwargs}
    kept = {key: value for key, value in arguments.items() if value is not None and key not in aside}
    return json.dumps(
        [metric.metric_name, kept], sort_keys=True, default=lambda v: v.dict() if hasattr(v, "dict") else repr(v)
    )


def _word(fails: list[Any]) -> Any:
    import sqlalchemy as sa

    bits = [
        sa.case((fail, sa.literal_column(f"{1 << bit}::bigint")), else_=sa.literal_column("0::bigint"))
        for bit, fail in enumerate(fails)
    ]
    total: Any = bits[0]
    for bit in bits[1:]:
        total = total + bit
    return total


def _is_set(bit: int) -> str:
    return f"(w{bit // WORD} & {1 << bit % WORD}::bigint) <> 0"


def _not_ignored(kwargs: dict[str, Any]) -> list[Any]:
    import sqlalchemy as sa

    how = kwargs.get("ignore_row_if")
    names = [kwargs["column_A"], kwargs["column_B"]] if "column_A" in kwargs else kwargs.get("column_list", [])
    missing = [sa.column(name).is_(None) for name in names]
    if how in {"both_values_are_missing", "all_values_are_missing"}:
        return [sa.not_(sa.and_(*missing))]
    if how in {"either_value_is_missing", "any_value_is_missing"}:
        return [sa.not_(sa.or_(*missing))]
    return []


def _columns(accessor: dict[str, Any]) -> list[str]:
    if "column_list" in accessor:
        return [str(name) for name in accessor["column_list"]]
    return [str(accessor[key]) for key in ("column", "column_A", "column_B") if key in accessor]


def _shape(metric: Any, rows: list[dict[str, Any]]) -> list[Any]:
    if metric.metric_name.endswith(".unexpected_index_list"):
        return rows
    columns = _columns(metric.metric_domain_kwargs)
    if "column" in metric.metric_domain_kwargs:
        return [row[columns[0]] for row in rows]
    if "column_list" in metric.metric_domain_kwargs:
        return [{name: row[name] for name in columns} for row in rows]
    return [tuple(row[name] for name in columns) for row in rows]


def _short(value: Any) -> Any:
    """A value as it is shown: text and bytes cut, so that a report stays small whatever a file holds."""
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value[:TEXT]).hex()
    return f"{value[: TEXT - 1]}…" if isinstance(value, str) and len(value) > TEXT else value


def _literal(path: Path) -> str:
    return str(path).replace("'", "''")
