"""Unpacking and reading a file in a child process with limits: a file that crashes, starves or holds up its reader
fails alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from forebay import registry
from forebay.compressions import unpack
from forebay.config.pipeline import FormatSection, LimitsSection
from forebay.contracts import StageWriter
from forebay.errors import CorruptFileError, ForebayError, OutOfResourcesError
from forebay.model import Column, Snapshot, Stage
from forebay.support.child import PATIENCE, Bounds, Child, DiedError

_OF_THE_MACHINE = 0.8
"""The share of the machine's memory that one reader gets at most, whatever is allowed."""
_STARVED = (
    "Resource temporarily unavailable",
    "can't start new thread",
    "Cannot allocate memory",
    "failed to map segment",
)
"""What the system says where a thread's stack or a library finds no room behind the wall of `support/child.py`."""
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """One file to be read, and with what settings."""

    snapshot: Snapshot
    format: FormatSection
    compression: str
    columns: tuple[Column, ...] | None
    writer: StageWriter
    limits: LimitsSection


def ready() -> None:
    """Have a child at hand, where that costs nothing yet: before this process starts threads of its own."""
    _child(os.getpid()).start(only_fork=True)


def read(job: Job) -> Stage:
    """The stage of a file, written into the job's folder by the child. Raises what unpacking and reading raise;
    `CorruptFileError`, naming the limit and the way out, when the file breaks one or kills its reader;
    `OutOfResourcesError` when the machine itself killed it."""
    limits, uri = job.limits, job.snapshot.file.uri
    bounds = Bounds(_memory(limits), limits.time.total_seconds(), limits.disk, job.writer.folder, job.snapshot.size)
    try:
        stage: Stage = _child(os.getpid()).call(_read, job, bounds=bounds)
    except DiedError as died:
        raise _told(died, uri, bounds) from None
    except MemoryError:
        raise _told(DiedError("memory"), uri, bounds) from None
    return stage


def _read(job: Job) -> Stage:
    """In the child. Raises `MemoryError` also for a want of memory that a library has no type for."""
    try:
        return _staged(job)
    except ForebayError:
        raise
    except Exception as error:
        if any(sign in str(error) for sign in _STARVED):
            raise MemoryError(str(error)) from error
        raise


def _staged(job: Job) -> Stage:
    plugin = registry.find("formats", job.format.type)
    plain = job.writer.folder / "plain"
    limits = job.limits
    try:
        source = unpack(
            job.snapshot.path, job.snapshot.file.name, job.compression, plain, limits.unpacked, limits.ratio
        )
        stage: Stage = plugin(plugin.Config(**job.format.options)).read(job.snapshot, source, job.columns, job.writer)
    finally:
        plain.unlink(missing_ok=True)
    return stage


def _told(died: DiedError, uri: str, bounds: Bounds) -> ForebayError:
    start = f"reading `{uri}`:"
    match died.limit, died.signal:
        case "memory", _:
            words = (
                f"it needs more than {bounds.memory // _MIB:,} MiB of memory (raise `limits.memory`, "
                "or deliver it in parts)"
            )
        case "time", _:
            words = (
                f"it takes more than {bounds.seconds:g} s of processor time and one for each MiB of it, or {PATIENCE} "
                "times as long on the clock (raise "
                "`limits.time`, or look at what it holds:"
                " such a file may hold up its reader for ever)"
            )
        case "disk", _:
            words = (
                f"it takes more than {bounds.disk // _MIB:,} MiB of disk while it is read (raise `limits.disk`, "
                "or deliver it in parts)"
            )
        case _, "SIGKILL":
            return OutOfResourcesError(
                f"{start} its reader was killed, as a machine without memory does (give it more, and run again)",
                uri=uri,
            )
        case _:
            words = (
                f"its reader died of {died.signal or 'an exit of its own'} (ask for it again; if it dies again, "
                "report it with the file)"
            )
    return CorruptFileError(f"{start} {words}", uri=uri)


def _memory(limits: LimitsSection) -> int:
    """Bytes that the child may have: what is allowed, and never so much that the machine would choose whom to kill."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return limits.memory
    return min(limits.memory, int(_OF_THE_MACHINE * whole))


@cache
def _child(_process: int) -> Child:
    """The child of this process: one that was forked from it has its own."""
    return Child(_warm)


def _warm() -> None:
    import duckdb
    import pyarrow.parquet

    del duckdb, pyarrow
