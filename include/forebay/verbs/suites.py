"""A suite tried on a file, or proposed from one, apart from any run: nothing is published, indexed or kept."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forebay import registry
from forebay.compressions import unpack
from forebay.contracts import StageWriter
from forebay.errors import ConfigError
from forebay.model import JsonDict, RuleResult, Snapshot, SourceFile, Stage
from forebay.quality import suite as suites
from forebay.quality.redact import MARK
from forebay.support.folders import private
from forebay.support.sql import OFFLINE, parquet
from forebay.verbs import _sample
from forebay.verbs._pins import columns_declared
from forebay.verbs.context import Context
from forebay.verbs.hidden import hiding
from forebay.verbs.inspect import refuse_unplaced


@dataclass(frozen=True, slots=True)
class Tried:
    """What a suite says of a file: each rule's result, and the first failing rows with their values and the positions
    of the rules they fail."""

    suite: str
    rows_in: int
    unreadable: int
    results: tuple[RuleResult, ...]
    failing: int
    rows: tuple[JsonDict, ...]

    @property
    def success(self) -> bool:
        return all(result.success for result in self.results)


def propose(ctx: Context, path: Path, name: str, most: int = _sample.BYTES) -> JsonDict:
    """A suite for review, from the first `most` bytes of a file read as the pipeline reads its files. Raises
    `CorruptFileError`, `ConfigError`."""
    from forebay.quality import propose as proposing

    with hiding(ctx.pipeline), _staged(ctx, path, most) as (stage, _, whole):
        return proposing.suite(
            name, stage, ctx.pipeline.record.key, path.name, ctx.pipeline.quality.redact, whole=whole
        )


def attempt(ctx: Context, path: Path, limit: int = 20) -> Tried:
    """The pipeline's suite on a file. Raises `ConfigError` when the pipeline has none, and what reading and checking
    raise."""
    name = ctx.pipeline.quality.suite
    if not name:
        raise ConfigError(
            f"trying the suite of `{ctx.pipeline.pipeline}`: it has none (name one in `quality.suite`, "
            f"or propose one from a file: forebay suite propose FILE --pipeline {ctx.pipeline.pipeline})"
        )
    from forebay.quality.check import check

    suite = suites.load(ctx.project.expectations / f"{name}.json")
    with hiding(ctx.pipeline), _staged(ctx, path) as (stage, folder, _):
        hidden = ctx.pipeline.quality.redact
        verdict = check(
            stage,
            suite,
            folder / "verdict",
            run_name=f"{ctx.pipeline.pipeline}/{path.name}",
            redact=hidden,
            memory_limit=ctx.project.check_memory,
        )
        failed = [at for at, result in enumerate(verdict.results) if not result.success]
        failing, rows = _failing(stage, verdict.failing, failed, limit, hidden)
    return Tried(suite.name, stage.rows_in, stage.rows_rejected, verdict.results, failing, rows)


@contextmanager
def _staged(ctx: Context, path: Path, most: int | None = None) -> Iterator[tuple[Stage, Path, bool]]:
    """A local file, or its first `most` bytes, as a stage in a folder that is gone afterwards; and whether that is all
    of it."""
    if not path.is_file():
        raise ConfigError(f"reading `{path}`: there is no such file")
    folder = ctx.project.spool / f"suite-{uuid.uuid4().hex}"
    private(folder)
    try:
        snapshot = Snapshot(
            SourceFile(path.resolve().as_uri(), path.stat().st_size, 0.0), path, "0" * 64, path.stat().st_size
        )
        plugin = registry.find("formats", ctx.pipeline.format.type)
        config, packing = plugin.Config(**ctx.pipeline.format.options), ctx.pipeline.source.compression
        if most is None:
            sample = _sample.Sample(unpack(path, path.name, packing, folder / "plain"), whole=True)
        else:
            sample = _sample.head(path, ctx.pipeline.format.type, config, packing, folder, most)
        (folder / "stage").mkdir()
        stage = plugin(config).read(
            snapshot, sample.path, columns_declared(ctx), StageWriter(folder / "stage", ctx.project.memory)
        )
        refuse_unplaced(ctx, stage, snapshot)
        yield stage, folder, sample.whole
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _failing(
    stage: Stage, failing: Path | None, failed: list[int], limit: int, redact: tuple[str, ...]
) -> tuple[int, tuple[dict[str, Any], ...]]:
    """How many rows fail a rule, and the first of those that fail one of the rules `failed` (others may be among its
    `mostly`): `row`, `rules` (positions), `values` (column to text, not of the columns `redact`)."""
    import duckdb

    if failing is None:
        return 0, ()
    marks = parquet(failing)
    with duckdb.connect(config=OFFLINE) as con:
        con.execute("set threads = 1")
        count = con.execute(f"select count(*) from {marks}").fetchall()[0][0]
        names = [column.name for column in stage.columns]
        counts = con.execute(
            f"select f.__row, f.rules, s.* exclude (__row) from {marks} f join {parquet(stage.rows)} s using (__row)"
            " where list_has_any(f.rules, $2::int[]) order by f.__row limit $1",
            [limit, failed],
        ).fetchall()
    shown = [MARK if name in redact else None for name in names]
    texts = [
        [None if value is None else mark or str(value) for value, mark in zip(row[2:], shown, strict=True)]
        for row in counts
    ]
    return count, tuple(
        {"row": row[0], "rules": row[1], "values": dict(zip(names, text, strict=True))}
        for row, text in zip(counts, texts, strict=True)
    )
