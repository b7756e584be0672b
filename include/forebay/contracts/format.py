"""How rows are written in a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from forebay.contracts.settings import Settings
from forebay.model import Column, Snapshot, Stage

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a file's columns may differ from the expected ones and still be read.

    `missing`: expected columns may be missing, and are null then. `misfits`: the share of a column's values that may be
    of another type before the column counts as retyped, or, where types are inferred, before it gets a wider type.
    None: a column is retyped when none of its values fits, and an inferred type fits them all.
    """

    missing: bool = False
    misfits: float | None = None


@dataclass(frozen=True, slots=True)
class StageWriter:
    """Where and with what means a format writes its stage: folder, DuckDB memory limit (bytes) and threads; and what it
    tolerates."""

    folder: Path
    memory_limit: int = 1 << 29
    threads: int = 2
    tolerance: Tolerance = Tolerance()


class Format(ABC, Generic[S]):
    """Reads a snapshot's plain (already unpacked) bytes into a stage."""

    Config: ClassVar[type[Settings]]

    def __init__(self, config: S) -> None:
        self.config = config

    @abstractmethod
    def read(self, snapshot: Snapshot, plain: Path, columns: tuple[Column, ...] | None, into: StageWriter) -> Stage:
        """Write `rows.parquet` and `rejects.parquet` (see `Stage`) into `into.folder`, streaming, and describe them.

        `plain` is the unpacked file. `columns` are the declared or pinned ones; None infers them once per file (and
        `Stage.inferred` says so), and so does the type `OPEN` of a single one. A row that cannot be decoded, parsed or
        typed without changing a value becomes a reject; it never stops the file. A declared column that is named twice,
        or that the file lacks and may not lack (`Tolerance.missing`), raises `CorruptFileError`. `Stage.drift` says how
        the file's columns differ from the expected ones. Raises `CorruptFileError` if the file as a whole cannot be
        read. The same bytes and settings give the same stage.
        """
