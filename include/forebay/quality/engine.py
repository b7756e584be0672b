"""DuckDB as a SQL engine of Great Expectations 1.24: a dialect, an execution engine and a data source, by subclassing
alone.

Great Expectations' engine works for DuckDB with four differences: one connection is kept (it fetches after it closes
its connection), there are no transactions (DuckDB drops a result on rollback, and refuses everything after a failed
query), the columns are read by DESCRIBE (duckdb-engine's catalogue queries break on SQLAlchemy 2.1), and the samples of
unexpected values come from the row masks (`masks.py`) instead of one more scan per rule.

Importing this module makes `context.data_sources.add_forebay_duckdb(…)` exist. It is imported by `imports` alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import duckdb_engine
import sqlalchemy as sa
from great_expectations.data_context.store import ValidationResultsStore
from great_expectations.datasource.fluent.sql_datasource import SQLDatasource
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.row_conditions import Operator
from sqlalchemy.dialects import registry

from forebay.quality.stage_table import ROW
from forebay.support.sql import quoted

if TYPE_CHECKING:
    from forebay.quality.masks import Masks

_SAMPLES = (".unexpected_values", ".unexpected_index_list")
_QUERY = ".unexpected_index_query"

_TYPES: dict[str, Any] = {
    "BOOLEAN": sa.types.BOOLEAN,
    "TINYINT": sa.types.SMALLINT,
    "SMALLINT": sa.types.SMALLINT,
    "INTEGER": sa.types.INTEGER,
    "BIGINT": sa.types.BIGINT,
    "UTINYINT": sa.types.SMALLINT,
    "USMALLINT": sa.types.INTEGER,
    "UINTEGER": sa.types.BIGINT,
    "UBIGINT": sa.types.BIGINT,
    "HUGEINT": sa.types.BIGINT,
    "FLOAT": sa.types.FLOAT,
    "DOUBLE": sa.types.DOUBLE,
    "VARCHAR": sa.types.VARCHAR,
    "BLOB": sa.types.BLOB,
    "DATE": sa.types.DATE,
    "TIME": sa.types.TIME,
    "TIMESTAMP": sa.types.TIMESTAMP,
    "TIMESTAMP_S": sa.types.TIMESTAMP,
    "TIMESTAMP_MS": sa.types.TIMESTAMP,
    "TIMESTAMP_NS": sa.types.TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": sa.types.TIMESTAMP,
}


def sql_type(duckdb_type: str) -> Any:
    """SQLAlchemy's type for DuckDB's name of it."""
    base = duckdb_type.split("(", maxsplit=1)[0]
    if base == "DECIMAL":
        precision, scale = map(int, re.findall(r"\d+", duckdb_type))
        return sa.types.DECIMAL(precision, scale)
    return _TYPES.get(base, sa.types.NullType)()


DATABASES: dict[str, duckdb.DuckDBPyConnection] = {}
"""Open databases by the name that a connection string (`forebayduck:///NAME`) gives them."""


class QuotingPreparer(duckdb_engine.DuckDBIdentifierPreparer):
    """Quotes every name: which words DuckDB reserves (`at`, since 1.3) changes from release to release."""

    def _requires_quotes(self, value: str) -> bool:
        return True


class ForebayDuckDialect(duckdb_engine.Dialect):
    """duckdb-engine's dialect on databases that are open already, with reflection that works on SQLAlchemy 2.1 and does
    not show the row number."""

    name = "duckdb"
    supports_statement_cache = False
    preparer = QuotingPreparer

    def connect(self, *_: Any, database: str, **__: Any) -> Any:
        return duckdb_engine.ConnectionWrapper(DATABASES[database].cursor())

    def do_begin(self, *_: Any) -> None:
        """Nothing is written that could be taken back: each statement stands alone, and a failed one leaves nothing
        behind."""

    def do_commit(self, *_: Any) -> None:
        """See `do_begin`."""

    def do_rollback(self, *_: Any) -> None:
        """See `do_begin`."""

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[Any]:
        rows = connection.exec_driver_sql(f"DESCRIBE {quoted(str(table_name))}").fetchall()
        return [
            {"name": r[0], "type": sql_type(str(r[1])), "nullable": True, "default": None} for r in rows if r[0] != ROW
        ]

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:
        return {"constrained_columns": [], "name": None}

    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> bool:
        return str(table_name) in self.get_view_names(connection)

    def get_table_names(self, connection: Any, schema: str | None = None, **_: Any) -> list[str]:
        return []

    def get_view_names(self, connection: Any, schema: str | None = None, include: Any = None, **_: Any) -> list[str]:
        sql = "select view_name from duckdb_views() where not internal"
        return [row[0] for row in connection.exec_driver_sql(sql).fetchall()]

    def get_schema_names(self, connection: Any, **_: Any) -> list[str]:
        return ["main"]


registry.register("forebayduck", __name__, "ForebayDuckDialect")


class ForebayDuckEngine(SqlAlchemyExecutionEngine):
    """Great Expectations' SQL engine on one DuckDB connection, with a mask of every row rule's failing rows in
    `masks`."""

    trouble: Exception | None = None
    """What went wrong outside a single rule's metrics."""

    @contextmanager
    def get_connection(self) -> Iterator[sa.Connection]:
        if not self._connection:
            self._connection = self.engine.connect()
        yield self._connection

    @property
    def masks(self) -> Masks:
        """The failing rows of the rules resolved so far."""
        from forebay.quality.masks import Masks

        return self.__dict__.setdefault("_forebay_masks", Masks(self))

    def resolve_metrics(
        self,
        metrics_to_resolve: Iterable[Any],
        metrics: dict[Any, Any] | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> dict[Any, Any]:
        """As Great Expectations does, but samples of unexpected values and rows are taken from the masks."""
        wanted = tuple(metrics_to_resolve)
        samples = [
            m for m in wanted if m.metric_name.endswith(_SAMPLES) and "unexpected_condition" in m.metric_dependencies
        ]
        queries = {m.id: None for m in wanted if m.metric_name.endswith(_QUERY)}
        rest = [m for m in wanted if m.id not in queries and m not in samples]
        resolved = super().resolve_metrics(rest, metrics, runtime_configuration)
        try:
            return {**resolved, **queries, **self.masks.samples(samples, metrics or {})}
        except Exception as error:
            self.trouble = error  # Great Expectations only logs it and goes on without the metrics
            raise

    def _comparison_condition_to_filter_clause(self, condition: Any) -> Any:
        """As on pandas, a null differs from every value: `kind != "B"` and `kind not in […]` keep rows without a
        kind."""
        column: Any = sa.column(condition.column.name)
        if condition.operator == Operator.NOT_EQUAL:
            return column.is_distinct_from(sa.literal(condition.parameter))
        if condition.operator == Operator.NOT_IN:
            return sa.or_(column.is_(None), column.not_in(condition.parameter))
        return super()._comparison_condition_to_filter_clause(condition)

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None
        super().close()


class ForebayDuckDatasource(SQLDatasource):
    """A data source whose execution engine is `ForebayDuckEngine`."""

    type: Literal["forebay_duckdb"] = "forebay_duckdb"  # type: ignore[assignment]
    execution_engine_override = ForebayDuckEngine


class NoResults(ValidationResultsStore):
    """Where a checkpoint would keep its results: nowhere. `check` writes them; and Great Expectations' own way to JSON
    fails on the numpy booleans that some of its expectations answer with."""

    def serialize(self, value: Any) -> str:
        return "{}"
