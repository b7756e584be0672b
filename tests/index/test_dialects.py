"""The index on PostgreSQL: no server here, but every statement must be one that its dialect can say."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from forebay.index import answers, projection, queries
from forebay.index.tables import metadata
from forebay.model import Answer, Decision, RunReport
from tests.support.nouns import file_run, receipt, verdict

SQLITE_ONLY = (
    "PRAGMA",
    "OR REPLACE",
    "OR IGNORE",
    "AUTOINCREMENT",
    "WITHOUT ROWID",
    "GLOB",
    "STRFTIME",
    "JULIANDAY",
    "JSON_EXTRACT",
)


POSTGRESQL = make_url("postgresql+psycopg2://").get_dialect()()


class Said:
    """Stands in for a connection to PostgreSQL: compiles what it is told."""

    dialect = POSTGRESQL

    def __init__(self) -> None:
        self.words: list[str] = []

    def execute(self, statement: Any, rows: Any = None) -> Any:
        self.words.append(str(statement.compile(dialect=self.dialect)))
        return self

    def mappings(self) -> Any:
        return iter(())

    def __iter__(self) -> Any:
        return iter(())

    def all(self) -> list[Any]:
        return []

    def fetchall(self) -> list[Any]:
        return []


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    found = Said()

    @contextmanager
    def connected(_: str) -> Any:
        yield found

    monkeypatch.setattr(projection, "connected", connected)
    monkeypatch.setattr(queries, "connected", connected)
    monkeypatch.setattr(answers, "connected", connected)
    return found


def test_tables_and_indices() -> None:
    dialect = POSTGRESQL
    words = [str(CreateTable(table).compile(dialect=dialect)) for table in metadata().sorted_tables]
    words += [
        str(CreateIndex(index).compile(dialect=dialect))
        for table in metadata().sorted_tables
        for index in table.indexes
    ]
    assert len(words) > 8
    assert not [w for w in words for only in SQLITE_ONLY if only in w.upper()]
    generic = (sa.String, sa.Integer, sa.BigInteger, sa.Boolean, sa.JSON, sa.Text)
    assert all(isinstance(column.type, generic) for table in metadata().sorted_tables for column in table.columns)


def test_writing(said: Said) -> None:
    file = file_run()
    projection.project_run("pg", RunReport("run-1", "flights", file.window, "done", started=datetime.now(UTC)))
    projection.project_published("pg", [(file, [receipt()])])
    projection.project_verdict("pg", file, verdict())
    projection.clear("pg", "flights")
    assert sum("ON CONFLICT" in w for w in said.words) >= 4
    assert not [w for w in said.words for only in SQLITE_ONLY if only in w.upper()]


def test_questions(said: Said) -> None:
    queries.runs("pg", "flights")
    queries.files("pg", "flights", name="EWR.csv.gz")
    queries.measured("pg", "flights", "2013-01-02", "expect_x", "a")
    queries.sketches("pg", "flights", "2013-01-02", "a")
    queries.counted("pg", "flights", "2013-01-02")
    assert len(said.words) >= 5
    assert not [w for w in said.words for only in SQLITE_ONLY if only in w.upper()]


def test_answers(said: Said) -> None:
    """The first one stands by `do nothing`: the statement is the protection."""
    answers.first("pg", file_run(), Answer(Decision.REJECT, "ann", "why", datetime.now(UTC)))
    answers.last("pg", "flights")
    assert [w for w in said.words if w.endswith("ON CONFLICT (pipeline, fingerprint, generation, question) DO NOTHING")]
    assert not [w for w in said.words for only in SQLITE_ONLY if only in w.upper()]
