"""Answers to a steward's question: the first one stands, wherever it was given. The table's key decides, so processes
and machines agree that share an index."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from forebay.index.tables import connected, table
from forebay.model import Answer, Decision, FileRun


def first(url: str, file: FileRun, answer: Answer) -> Answer:
    """Record the answer to the file's question, unless there is one; returns the one that stands. Raises
    `IndexUnavailableError`."""
    from sqlalchemy.dialects import postgresql, sqlite

    target = table("answers")
    row = _key(file) | {
        "question": _number(file),
        "uri": file.file.uri,
        "run_id": file.run_id,
        "decision": answer.decision.value,
        "who": answer.by,
        "reason": answer.reason,
        "at": answer.at.isoformat() if answer.at else None,
        "place": answer.place,
        "person": answer.person,
    }
    with connected(url) as connection:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(
            insert(target).on_conflict_do_nothing(index_elements=[c.name for c in target.primary_key]), [row]
        )
    return given(url, file) or answer


def given(url: str, file: FileRun) -> Answer | None:
    """The answer that stands for the file's question, or to a later question about the same content; None while there
    is none."""
    rows = _answers(url, file)
    last = rows[-1] if rows else None
    return _answer(last) if last and last["question"] >= _number(file) else None


def before(url: str, file: FileRun) -> Answer | None:
    """The last answer to an earlier question about the same content."""
    earlier = [row for row in _answers(url, file) if row["question"] < _number(file)]
    return _answer(earlier[-1]) if earlier else None


def next_number(url: str, file: FileRun) -> int:
    """The number of a question that is asked now."""
    rows = _answers(url, file)
    return rows[-1]["question"] + 1 if rows else 1


def last(url: str, pipeline: str, name: str | None = None, limit: int = 3) -> list[tuple[str, Answer]]:
    """The latest answers of a pipeline: uri and answer, newest first; `name` is the end of the uri or the beginning of
    the sha256."""
    import sqlalchemy as sa

    a = table("answers")
    query = sa.select(a).where(a.c.pipeline == pipeline).order_by(a.c.at.desc())
    with connected(url) as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    named = [
        row
        for row in rows
        if name is None or row["uri"].endswith(name.removeprefix("./")) or row["fingerprint"].startswith(name)
    ]
    return [(row["uri"], _answer(row)) for row in named[:limit]]


def _answers(url: str, file: FileRun) -> list[dict[str, Any]]:
    """All answers about the file's content and generation, the first question first."""
    import sqlalchemy as sa

    a = table("answers")
    query = sa.select(a).where(*(a.c[name] == value for name, value in _key(file).items())).order_by(a.c.question)
    with connected(url) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _key(file: FileRun) -> dict[str, Any]:
    return {"pipeline": file.pipeline, "fingerprint": file.fingerprint or "", "generation": file.generation}


def _number(file: FileRun) -> int:
    """Files that wait since before questions had numbers were asked once."""
    return file.question.number if file.question else 1


def _answer(row: dict[str, Any]) -> Answer:
    at = datetime.fromisoformat(row["at"]) if row["at"] else None
    return Answer(Decision(row["decision"]), row["who"], row["reason"], at, row["place"], row["person"])
