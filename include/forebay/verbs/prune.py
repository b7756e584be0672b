"""prune: what forebay's home need not hold any more is removed, and nothing that anybody still needs.

    snapshot and stage     go when every run of their content is settled. With quarantined rows they stay for `FOREBAY_REPAIR_DAYS`, for `quarantine export
                           --repair` and replays; also where records carry no headers, for `trace`. They can be made again while the source has the file.
    verdict, lists of quarantined rows   go with the reports, after `FOREBAY_REPORT_DAYS`.
    drafts, spool          what a killed process left goes a day after it was last written to.

A content that waits, failed or is under way is never touched, nor one of which the index says nothing. A work folder is
emptied behind the pipeline's lock, which `inspect` shares: what is being read stays. A stage without `stage.json` is
none, and that goes first: prune may be killed anywhere.
"""  # noqa: E501

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from forebay import events
from forebay.config.home import Project
from forebay.index import queries
from forebay.model import Json
from forebay.support import files
from forebay.support.folders import private, size_of
from forebay.verbs.context import Context

DAY = 86_400
LEFT_AFTER = DAY
"""Seconds after which a draft that nobody has written to is taken for a dead process's. No process id is asked: the
home may be shared by containers."""
_DRAFTS = (
    ".stage-*",
    ".spill-*",
    ".failing-*",
    ".quarantine-*",
    ".verdict*",
    ".stage.json*",
    ".result*",
    "plain",
    "scratch",
)


@dataclass(frozen=True, slots=True)
class Pruned(Json):
    """What was removed of one pipeline, or would be: how many contents and bytes of each kind. `in_use`: contents left
    because somebody is at work."""

    pipeline: str
    stages: int = 0
    stage_bytes: int = 0
    expired: int = 0
    expired_bytes: int = 0
    leftovers: int = 0
    leftover_bytes: int = 0
    in_use: int = 0

    @property
    def freed(self) -> int:
        """Bytes in all."""
        return self.stage_bytes + self.expired_bytes + self.leftover_bytes


def prune(ctx: Context, *, dry_run: bool = False, now: float | None = None) -> Pruned:
    """Remove what the pipeline's work need not hold any more. `dry_run` only counts. Raises `IndexUnavailableError`."""
    return _Pruning(ctx, dry_run, time.time() if now is None else now).all()


def prune_quietly(ctx: Context) -> None:
    """As `prune`, at the end of a run: whatever is wrong with it, the run stays what it was."""
    try:
        done = prune(ctx)
    except Exception as error:
        events.emit(
            events.PRUNE_FAILED,
            level=logging.WARNING,
            pipeline=ctx.pipeline.pipeline,
            error=f"{type(error).__name__}: {error}",
        )
    else:
        if done.freed:
            removed = {"contents": done.stages + done.expired, "leftovers": done.leftovers}
            events.emit(events.WORK_PRUNED, pipeline=done.pipeline, freed=done.freed, **removed)


@contextlib.contextmanager
def in_use(project: Project, pipeline: str) -> Iterator[None]:
    """Within it no work folder of the pipeline is emptied, by no process of any machine that shares the home's file
    system."""
    with files.locked(private(project.home / "work" / pipeline) / ".lock", shared=True):
        yield


class _Pruning:
    def __init__(self, ctx: Context, dry_run: bool, now: float) -> None:
        self.project, self.name, self.dry_run, self.now = ctx.project, ctx.pipeline.pipeline, dry_run, now
        self.traced_by_stage = ctx.pipeline.record.headers == "none"
        self.folder = ctx.project.home / "work" / self.name
        self.pruned = Pruned(self.name)

    def all(self) -> Pruned:
        if self.folder.is_dir():
            settled = queries.settled(self.project.index, self.name)
            for content in self.folder.glob("??/*"):
                if content.name in settled:
                    self._content(content, kept=settled[content.name] > 0 or self.traced_by_stage)
            self._leftovers(
                [
                    *self.folder.glob(".replay-*"),
                    *(path for draft in _DRAFTS for path in self.folder.glob(f"??/*/*/{draft}")),
                ]
            )
        if self.project.spool.is_dir():
            self._leftovers(list(self.project.spool.iterdir()))
        return self.pruned

    def _content(self, content: Path, kept: bool) -> None:
        if self._age(content) > self.project.report_days * DAY:
            self._empty(content, "expired", [content])
        elif (bulk := _bulk(content)) and (not kept or self._age(content) > self.project.repair_days * DAY):
            self._empty(content, "stages", bulk)

    def _empty(self, content: Path, kind: str, paths: list[Path]) -> None:
        """Remove the paths behind the lock, if the content is still settled by then."""
        with files.locked_if_free(self.folder / ".lock") as alone:
            if not alone or content.name not in queries.settled(self.project.index, self.name, content.name):
                self.pruned = replace(self.pruned, in_use=self.pruned.in_use + 1)
                return
            size = sum(map(size_of, paths))
            if not self.dry_run:
                for path in paths:
                    _remove(path)
            if kind == "expired":
                self.pruned = replace(
                    self.pruned, expired=self.pruned.expired + 1, expired_bytes=self.pruned.expired_bytes + size
                )
            else:
                self.pruned = replace(
                    self.pruned, stages=self.pruned.stages + 1, stage_bytes=self.pruned.stage_bytes + size
                )

    def _leftovers(self, paths: list[Path]) -> None:
        for path in paths:
            if self._age(path) <= LEFT_AFTER:
                continue
            size = size_of(path)
            if not self.dry_run:
                _remove(path)
            self.pruned = replace(
                self.pruned, leftovers=self.pruned.leftovers + 1, leftover_bytes=self.pruned.leftover_bytes + size
            )

    def _age(self, path: Path) -> float:
        """Seconds since anything of it was written."""
        return self.now - max((_modified(entry) for entry in (path, *path.rglob("*"))), default=self.now)


def _bulk(content: Path) -> list[Path]:
    """What of a content's folder can be made again from its source, the sign that a stage is whole first."""
    stages = [path for path in content.glob("*/stage") if path.is_dir()]
    signs = [stage / "stage.json" for stage in stages]
    return [path for path in (*signs, *stages, content / "snapshot") if path.exists()]


def _modified(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
