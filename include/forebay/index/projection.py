"""Writing the index: every verb's outcome is projected as it happens; a rebuild projects the ledger and the verdicts
again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from forebay.index.tables import connected, table
from forebay.model import WAITING_WORDS, Fate, FileRun, OffsetRange, Receipt, RunReport, Verdict

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


def project_run(url: str, run: RunReport) -> None:
    """Insert or update one run (not its files)."""
    row = {
        "pipeline": run.pipeline,
        "run_id": run.run_id,
        "ds": run.window.day.isoformat(),
        "window_start": run.window.start.isoformat(),
        "window_end": run.window.end.isoformat(),
        "status": run.status,
        "trigger": run.trigger,
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat() if run.ended else None,
        "note": run.note,
    }
    with connected(url) as connection:
        _upsert(connection, "runs", [row])


def end_run(url: str, pipeline: str, run_id: str, status: str, note: str) -> None:
    """Say how a run ended that did not say so itself; one that did keeps its word."""
    import sqlalchemy as sa

    runs = table("runs")
    running = (runs.c.pipeline == pipeline) & (runs.c.run_id == run_id) & (runs.c.status == "running")
    with connected(url) as connection:
        connection.execute(
            sa.update(runs).where(running).values(status=status, note=note, ended=datetime.now(UTC).isoformat())
        )


def project_file(url: str, file: FileRun) -> None:
    """Insert or update what became of one file in one run."""
    with connected(url) as connection:
        _upsert(connection, "files", [_file_row(file)])


def project_files(url: str, files: Iterable[FileRun]) -> None:
    rows = [_file_row(file) for file in files]
    if rows:
        with connected(url) as connection:
            _upsert(connection, "files", rows)


def project_question(url: str, file: FileRun) -> None:
    """Update what the file is asked, if it still waits in its run; its place among later words about it stays."""
    import sqlalchemy as sa

    f = table("files")
    here = (f.c.pipeline == file.pipeline) & (f.c.run_id == file.run_id) & (f.c.uri == file.file.uri)
    with connected(url) as connection:
        connection.execute(sa.update(f).where(here & f.c.status.in_(WAITING_WORDS)).values(document=file.to_json()))


def _file_row(file: FileRun) -> dict[str, Any]:
    same = (
        "pipeline",
        "run_id",
        "fingerprint",
        "generation",
        "reason",
    )
    return (
        {name: getattr(file, name) for name in same}
        | file.counts.to_json()
        | {
            "uri": file.file.uri,
            "name": file.file.name,
            "ds": file.window.day.isoformat(),
            "fate": file.fate.value,
            "status": file.status.value,
            "updated": datetime.now(UTC).isoformat(),
            "document": file.to_json(),
        }
    )


def project_verdict(url: str, file: FileRun, verdict: Verdict) -> None:
    """Insert or update what each rule said of a file."""
    rows = [
        {
            "pipeline": file.pipeline,
            "run_id": file.run_id,
            "uri": file.file.uri,
            "position": position,
            "ds": file.window.day.isoformat(),
            "fingerprint": verdict.fingerprint,
            "suite": verdict.suite,
            "rule": result.rule,
            "columns": ", ".join(result.columns),
            "severity": result.severity.value,
            "kind": result.kind,
            "success": result.success,
            "unexpected": result.unexpected,
            "checked": result.checked,
            "observed": result.observed,
        }
        for position, result in enumerate(verdict.results)
    ]
    if rows:
        with connected(url) as connection:
            _upsert(connection, "rules", rows)
            sketches = _sketches(file, verdict)
            if sketches:
                _upsert(connection, "sketches", sketches)


def _sketches(file: FileRun, verdict: Verdict) -> list[dict[str, Any]]:
    here = {"pipeline": file.pipeline, "run_id": file.run_id, "uri": file.file.uri, "ds": file.window.day.isoformat()}
    return [
        here | {"column": result.columns[0], "sketch": result.sketch} for result in verdict.results if result.sketch
    ]


def project_published(url: str, units: Iterable[tuple[FileRun, Iterable[Receipt]]]) -> None:
    """Insert or update some files with their offset ranges, in one transaction."""
    files: list[dict[str, Any]] = []
    places: list[dict[str, Any]] = []
    for file, receipts in units:
        files.append(_file_row(file))
        places += _range_rows(file.pipeline, file.file.uri, file.run_id, receipts)
    with connected(url) as connection:
        for name, rows in (("files", files), ("receipts", places)):
            if rows:
                _upsert(connection, name, rows)


def project_receipts(url: str, pipeline: str, uri: str, run_id: str, receipts: Iterable[Receipt]) -> None:
    """Insert or update the offset ranges of some chunks."""
    rows = _range_rows(pipeline, uri, run_id, receipts)
    if rows:
        with connected(url) as connection:
            _upsert(connection, "receipts", rows)


def _range_rows(pipeline: str, uri: str, run_id: str, receipts: Iterable[Receipt]) -> list[dict[str, Any]]:
    return [
        _range_row(pipeline, uri, run_id, receipt, kind, place)
        for receipt in receipts
        for kind, places in (("data", receipt.outputs), ("quarantine", receipt.quarantine))
        for place in places
    ]


def _range_row(pipeline: str, uri: str, run_id: str, receipt: Receipt, kind: str, place: OffsetRange) -> dict[str, Any]:
    same = ("fingerprint", "generation", "chunk", "first_row", "last_row", "plan_hash")
    return (
        {name: getattr(receipt, name) for name in same}
        | place.to_json()
        | {"pipeline": pipeline, "kind": kind, "uri": uri, "run_id": run_id}
    )


def clear(url: str, pipeline: str) -> None:
    """Forget all that the index holds of one pipeline, before a rebuild."""
    import sqlalchemy as sa

    with connected(url) as connection:
        for name in ("runs", "files", "rules", "sketches", "receipts"):
            connection.execute(sa.delete(table(name)).where(table(name).c.pipeline == pipeline))


def _upsert(connection: Connection, name: str, rows: list[dict[str, Any]]) -> None:
    """Last writer wins, by primary key, on SQLite and PostgreSQL alike."""
    from sqlalchemy.dialects import postgresql, sqlite

    target = table(name)
    insert = (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(target)
    keys = [column.name for column in target.primary_key]
    changed = {column.name: insert.excluded[column.name] for column in target.columns if column.name not in keys}
    kept = _already_told(target, insert) if name == "files" else None
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changed, where=kept), rows)


def _already_told(target: Any, insert: Any) -> Any:
    """A run that is cleared and run again finds its own file already published: what it published the first time stays
    told."""
    again = (insert.excluded.fate == Fate.PUBLISHED.value) & (insert.excluded.fingerprint == target.c.fingerprint)
    return ~(again & (target.c.published > 0))
