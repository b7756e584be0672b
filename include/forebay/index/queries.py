"""Questions to the index. Answers are plain dicts and model values, newest first."""

from __future__ import annotations

from typing import Any

from forebay.index.tables import connected, table
from forebay.model import WAITING_WORDS, FileRun, OffsetRange, Status, replay_uri, replayed_uri


def runs(url: str, pipeline: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
    """The last runs, each with the sums of its files' rows."""
    import sqlalchemy as sa

    r, f = table("runs"), table("files")
    sums = [
        sa.func.coalesce(sa.func.sum(f.c[name]), 0).label(name)
        for name in ("rows_in", "published", "quarantined", "rejected")
    ]
    query = (
        sa.select(r, sa.func.count(f.c.uri).label("files"), *sums)
        .select_from(r.outerjoin(f, (r.c.pipeline == f.c.pipeline) & (r.c.run_id == f.c.run_id)))
        .group_by(*r.c)
        .order_by(r.c.started.desc())
        .limit(limit)
    )
    if pipeline:
        query = query.where(r.c.pipeline == pipeline)
    return _rows(url, query)


def files(
    url: str,
    pipeline: str | None = None,
    run_id: str | None = None,
    name: str | None = None,
    ds: str | None = None,
    limit: int = 50,
) -> list[FileRun]:
    """What became of files, newest first; `name` matches the end of the uri, or a fingerprint's beginning."""
    import sqlalchemy as sa

    f = table("files")
    query = sa.select(f.c.document).order_by(f.c.updated.desc()).limit(limit)
    for column, value in ((f.c.run_id, run_id), (f.c.ds, ds)):
        query = query.where(column == value) if value else query
    for condition in _named(pipeline, name):
        query = query.where(condition)
    return [FileRun.from_json(row["document"]) for row in _rows(url, query)]


def replays(url: str, pipeline: str, uri: str) -> list[FileRun]:
    """The replays of rows of that file, newest first."""
    import sqlalchemy as sa

    f = table("files")
    query = sa.select(f.c.document).where((f.c.pipeline == pipeline) & (f.c.uri == replay_uri(uri)))
    return [FileRun.from_json(row["document"]) for row in _rows(url, query.order_by(f.c.updated.desc()))]


def waiting(url: str, pipeline: str | None = None, name: str | None = None) -> list[FileRun]:
    """Files of which the last word is that they are held back, oldest first. That a later attempt failed does not
    end the waiting."""
    import sqlalchemy as sa

    f = table("files")
    order = sa.func.row_number().over(partition_by=(f.c.pipeline, f.c.uri), order_by=f.c.updated.desc()).label("place")
    latest = sa.select(f.c.document, f.c.status, f.c.updated, order).where(f.c.status != Status.FAILED.value)
    for condition in _named(pipeline, name):
        latest = latest.where(condition)
    last = latest.subquery()
    query = (
        sa.select(last.c.document)
        .where((last.c.place == 1) & last.c.status.in_(WAITING_WORDS))
        .order_by(last.c.updated)
    )
    return [FileRun.from_json(row["document"]) for row in _rows(url, query)]


def settled(url: str, pipeline: str, fingerprint: str | None = None) -> dict[str, int]:
    """Contents with nothing left to do, each with its most quarantined rows in any run. Of each file, and each of its
    generations, the last word counts that is not of a run which found it published already."""
    import sqlalchemy as sa

    f = table("files")
    query = sa.select(f.c.fingerprint, f.c.uri, f.c.generation, f.c.status, f.c.quarantined).where(
        f.c.pipeline == pipeline
    )
    query = query.where(f.c.fingerprint == fingerprint if fingerprint else f.c.fingerprint.is_not(None)).order_by(
        f.c.updated
    )
    last: dict[str, dict[tuple[str, int], str]] = {}
    aside: dict[str, int] = {}
    for row in _rows(url, query):
        content = last.setdefault(row["fingerprint"], {})
        aside[row["fingerprint"]] = max(aside.get(row["fingerprint"], 0), row["quarantined"] or 0)
        if row["status"] != Status.SKIPPED.value:
            content[row["uri"], row["generation"]] = row["status"]
    ends = {Status.DONE.value, Status.REJECTED.value}
    return {content: aside[content] for content, words in last.items() if ends.issuperset(words.values())}


def unproved(url: str, pipeline: str, fingerprint: str, generation: int) -> FileRun | None:
    """What a run began with this content and did not finish, as far as it came; None when there is none, or when some
    run did finish."""
    import sqlalchemy as sa

    f = table("files")
    begun = {Status.INSPECTED.value, Status.PUBLISHED.value, Status.RECONCILED.value}
    same = (f.c.pipeline == pipeline) & (f.c.fingerprint == fingerprint) & (f.c.generation == generation)
    query = (
        sa.select(f.c.document, f.c.status)
        .where(same, f.c.status.in_({*begun, Status.DONE.value}))
        .order_by(f.c.updated.desc())
    )
    rows = _rows(url, query)
    if not rows or any(row["status"] not in begun for row in rows):
        return None
    return FileRun.from_json(rows[0]["document"])


def _named(pipeline: str | None, name: str | None) -> list[Any]:
    """Conditions on `files`: the pipeline, and the end of the uri or the beginning of the fingerprint."""
    import sqlalchemy as sa

    f = table("files")
    wanted = [f.c.pipeline == pipeline] if pipeline else []
    if name:
        ending = name.removeprefix("./").replace("%", r"\%").replace("_", r"\_")
        wanted.append(sa.or_(f.c.uri.like(f"%{ending}", escape="\\"), f.c.fingerprint.like(f"{ending}%", escape="\\")))
    return wanted


def receipts_at(url: str, topic: str, partition: int, offset: int) -> list[dict[str, Any]]:
    """The chunks whose range in that partition covers an offset (more than one only where transactions interleaved).
    `origin` is the uri of the file whose rows were replayed, None of a file's own chunk."""
    import sqlalchemy as sa

    r = table("receipts")
    place = (r.c.topic == topic) & (r.c.partition == partition) & (r.c.first <= offset) & (r.c.last >= offset)
    return [_with_origin(row) for row in _rows(url, sa.select(r).where(place).order_by(r.c.first.desc()))]


def receipts_of(url: str, fingerprint: str) -> list[dict[str, Any]]:
    """All offset ranges of one content, in order of generation, chunk, kind, topic and partition."""
    import sqlalchemy as sa

    r = table("receipts")
    order = (r.c.generation, r.c.chunk, r.c.kind, r.c.topic, r.c.partition)
    return _rows(url, sa.select(r).where(r.c.fingerprint == fingerprint).order_by(*order))


def rules_of(url: str, pipeline: str, run_id: str, uri: str) -> list[dict[str, Any]]:
    """What each rule said of one file in one run."""
    import sqlalchemy as sa

    r = table("rules")
    return _rows(
        url,
        sa.select(r)
        .where((r.c.pipeline == pipeline) & (r.c.run_id == run_id) & (r.c.uri == uri))
        .order_by(r.c.position),
    )


def last_ranges(url: str, pipeline: str, runs: int = 5) -> list[tuple[str, str, tuple[OffsetRange, ...]]]:
    """The data offset ranges of the last runs that published: (run id, day, ranges), newest first."""
    import sqlalchemy as sa

    f = table("files")
    query = (
        sa.select(f.c.run_id, f.c.ds, f.c.document)
        .where((f.c.pipeline == pipeline) & (f.c.published > 0))
        .order_by(f.c.updated.desc())
    )
    ranges_of: dict[tuple[str, str], list[OffsetRange]] = {}
    for row in _rows(url, query):
        outputs = FileRun.from_json(row["document"]).outputs
        ranges_of.setdefault((row["run_id"], row["ds"]), []).extend(outputs)
    return [(run_id, ds, tuple(ranges)) for (run_id, ds), ranges in list(ranges_of.items())[:runs]]


def night_runs(url: str, pipeline: str, since: str = "") -> list[dict[str, Any]]:
    """All runs of a pipeline's days from `since` (ISO date) on, in the order in which they began."""
    import sqlalchemy as sa

    r = table("runs")
    return _rows(
        url, sa.select(r).where((r.c.pipeline == pipeline) & (r.c.ds >= since)).order_by(r.c.started, r.c.run_id)
    )


def night_files(url: str, pipeline: str, since: str = "") -> list[dict[str, Any]]:
    """What every run said of every file of those days, the last word last: the table's columns, with `error` in place
    of `document`, and `origin`: the uri of the file whose rows were replayed, None of a file's own row."""
    import sqlalchemy as sa

    f = table("files")
    columns = [column for column in f.c if column.name != "document"]
    failed = sa.case((f.c.status == Status.FAILED.value, f.c.document)).label(
        "document"
    )  # whole: SQLite's own JSON cuts text at a NUL
    query = (
        sa.select(*columns, failed).where((f.c.pipeline == pipeline) & (f.c.ds >= since)).order_by(f.c.updated, f.c.uri)
    )
    return [_with_origin(row | {"error": (row.pop("document") or {}).get("error")}) for row in _rows(url, query)]


def night_rules(url: str, pipeline: str, since: str = "") -> list[dict[str, Any]]:
    """What every rule said of every file of those days, in the order of run, file and suite."""
    import sqlalchemy as sa

    r = table("rules")
    where = (r.c.pipeline == pipeline) & (r.c.ds >= since)
    return _rows(url, sa.select(r).where(where).order_by(r.c.run_id, r.c.uri, r.c.position))


def measured(url: str, pipeline: str, before: str, rule: str, columns: str) -> list[dict[str, Any]]:
    """What a table rule observed of published files of the days before `before` (ISO date), the latest day and word
    first: ds, name, observed."""
    import sqlalchemy as sa

    r, f = table("rules"), table("files")
    same = (r.c.pipeline == f.c.pipeline) & (r.c.run_id == f.c.run_id) & (r.c.uri == f.c.uri)
    asked = (
        (r.c.pipeline == pipeline)
        & (r.c.ds < before)
        & (r.c.rule == rule)
        & (r.c.columns == columns)
        & (f.c.published > 0)
    )
    query = (
        sa.select(r.c.ds, f.c.name, r.c.observed).select_from(r.join(f, same)).where(asked & r.c.observed.is_not(None))
    )
    return _rows(url, query.order_by(r.c.ds.desc(), f.c.updated.desc()))


def sketches(url: str, pipeline: str, before: str, column: str) -> list[dict[str, Any]]:
    """A column's distributions in published files of the days before `before`, as `measured` tells values (`observed`
    is the sketch)."""
    import sqlalchemy as sa

    s, f = table("sketches"), table("files")
    same = (s.c.pipeline == f.c.pipeline) & (s.c.run_id == f.c.run_id) & (s.c.uri == f.c.uri)
    asked = (s.c.pipeline == pipeline) & (s.c.ds < before) & (s.c.column == column) & (f.c.published > 0)
    query = sa.select(s.c.ds, f.c.name, s.c.sketch.label("observed")).select_from(s.join(f, same)).where(asked)
    return _rows(url, query.order_by(s.c.ds.desc(), f.c.updated.desc()))


def counted(url: str, pipeline: str, before: str) -> list[dict[str, Any]]:
    """The rows of published files of the days before `before`, as `measured` tells them; replays are no files of a
    night."""
    import sqlalchemy as sa

    f = table("files")
    asked = (
        (f.c.pipeline == pipeline)
        & (f.c.ds < before)
        & (f.c.published > 0)
        & ~f.c.uri.startswith(replay_uri(""), autoescape=True)
    )
    query = sa.select(f.c.ds, f.c.name, f.c.rows_in.label("observed")).where(asked)
    return _rows(url, query.order_by(f.c.ds.desc(), f.c.updated.desc()))


def _with_origin(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"origin": replayed_uri(row["uri"])}


def _rows(url: str, query: Any) -> list[dict[str, Any]]:
    with connected(url) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
