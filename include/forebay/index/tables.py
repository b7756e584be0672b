"""The index: a relational projection of ledger, verdicts and runs for questions and screens.

It can always be rebuilt from the ledger and the stored verdicts (`projection.rebuild`), and is never asked what is
published. One table is no projection: `answers`, where the first answer to a steward's question stands
(docs/decisions/0006-the-first-answer.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.errors import IndexUnavailableError
from forebay.support.folders import private

if TYPE_CHECKING:
    import sqlalchemy as sa


@cache
def metadata() -> sa.MetaData:
    """The tables `runs`, `files`, `rules`, `sketches`, `receipts` and `answers`.

    `files`: what became of one file in one run (a `FileRun`). `rules`: what one expectation said of it. `sketches`: the
    distributions that rules on drift compare. `receipts`: the ledger's offset ranges, `kind` being `data` or
    `quarantine`. `answers`: what was said first to each question about a content; its key is what makes it the first.
    """
    import sqlalchemy as sa

    m = sa.MetaData()
    text, number = sa.Text, sa.BigInteger
    sa.Table(
        "runs",
        m,
        sa.Column("pipeline", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(250), primary_key=True),
        sa.Column("ds", sa.String(10), index=True),
        sa.Column("window_start", sa.String(40)),
        sa.Column("window_end", sa.String(40)),
        sa.Column("status", sa.String(20)),
        sa.Column("trigger", sa.String(40)),
        sa.Column("started", sa.String(40), index=True),
        sa.Column("ended", sa.String(40)),
        sa.Column("note", text),
    )
    sa.Table(
        "files",
        m,
        sa.Column("pipeline", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(250), primary_key=True),
        sa.Column("uri", text, primary_key=True),
        sa.Column("ds", sa.String(10)),
        sa.Column("name", text, index=True),
        sa.Column("fingerprint", sa.String(64), index=True),
        sa.Column("generation", sa.Integer),
        sa.Column("fate", sa.String(30)),
        sa.Column("reason", text),
        sa.Column("status", sa.String(30)),
        sa.Column("rows_in", number),
        sa.Column("published", number),
        sa.Column("quarantined", number),
        sa.Column("rejected", number),
        sa.Column("updated", sa.String(40), index=True),
        sa.Column("document", sa.JSON),
    )
    sa.Table(
        "rules",
        m,
        sa.Column("pipeline", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(250), primary_key=True),
        sa.Column("uri", text, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("ds", sa.String(10)),
        sa.Column("fingerprint", sa.String(64), index=True),
        sa.Column("suite", text),
        sa.Column("rule", text),
        sa.Column("columns", text),
        sa.Column("severity", sa.String(10)),
        sa.Column("kind", sa.String(10)),
        sa.Column("success", sa.Boolean),
        sa.Column("unexpected", number),
        sa.Column("checked", number),
        sa.Column("observed", text),
    )
    sa.Table(
        "sketches",
        m,
        sa.Column("pipeline", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(250), primary_key=True),
        sa.Column("uri", text, primary_key=True),
        sa.Column("column", text, primary_key=True),
        sa.Column("ds", sa.String(10), index=True),
        sa.Column("sketch", text),
    )
    sa.Table(
        "receipts",
        m,
        sa.Column("pipeline", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column("chunk", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(10), primary_key=True),
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("first", number),
        sa.Column("last", number),
        sa.Column("count", number),
        sa.Column("complete", sa.Boolean),
        sa.Column("first_row", number),
        sa.Column("last_row", number),
        sa.Column("plan_hash", sa.String(64)),
        sa.Column("run_id", sa.String(250)),
        sa.Column("uri", text),
        sa.Index("receipts_by_place", "topic", "partition", "first"),
    )
    sa.Table(
        "answers",
        m,
        sa.Column("pipeline", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column("question", sa.Integer, primary_key=True),
        sa.Column("uri", text),
        sa.Column("run_id", sa.String(250)),
        sa.Column("decision", sa.String(30)),
        sa.Column("who", sa.String(250)),
        sa.Column("reason", text),
        sa.Column("at", sa.String(40)),
        sa.Column("place", sa.String(30)),
        sa.Column("person", sa.Boolean),
    )
    return m


def table(name: str) -> sa.Table:
    return metadata().tables[name]


@cache
def engine(url: str) -> Any:
    """The SQLAlchemy engine of an index, its tables made on first use. One a process and URL; SQLite waits for other
    writers."""
    import sqlalchemy as sa

    if url.startswith("sqlite:///"):
        private(Path(url.removeprefix("sqlite:///")).parent)
    made = sa.create_engine(url, connect_args={"timeout": 60} if url.startswith("sqlite") else {})
    if url.startswith("sqlite"):
        sa.event.listen(made, "connect", _patient)
    _create(made)
    return made


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """A connection to the index in a transaction of its own, committed at the end.

    Raises `IndexUnavailableError` for whatever the database says: disk full, locked for more than a minute, no server.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with engine(url).begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        words = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise IndexUnavailableError(
            f"using the index: {words} (make room or start the database, and try again; "
            "what was published is in the ledger: forebay index rebuild)"
        ) from error


def _create(made: Any) -> None:
    """`if not exists` in the statement itself: two processes may come to a new index at once."""
    from sqlalchemy.schema import CreateIndex, CreateTable

    with made.begin() as connection:
        for table in metadata().sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in sorted(table.indexes, key=lambda i: str(i.name)):
                connection.execute(CreateIndex(index, if_not_exists=True))


def _patient(connection: Any, _record: Any) -> None:
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=normal")
