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
class StageWriter:
    """Where and with what means a format writes its stage: folder, DuckDB memory limit (bytes) and threads."""

    folder: Path
    memory_limit: int = 1 << 29
    threads: int = 2


class Format(ABC, Generic[S]):
    """Reads a snapshot's plain (already unpacked) bytes into a stage."""

    Config: ClassVar[type[Settings]]

    def __init__(self, config: S) -> None:
        self.config = config

    @abstractmethod
    def read(self, snapshot: Snapshot, plain: Path, columns: tuple[Column, ...] | None, into: StageWriter) -> Stage:
        """Write `rows.parquet` and `rejects.parquet` (see `Stage`) into `into.folder`, streaming, and describe them.

        `plain` is the unpacked file. `columns` are the declared ones; None infers them once per file (and `Stage.inferred` says so).
        A row that cannot be decoded, parsed or typed without changing a value becomes a reject; it never stops the file. A declared
        column that the file lacks, or that is named twice, raises `CorruptFileError`; columns that the schema does not know are left out and noted.
        Raises `CorruptFileError` if the file as a whole cannot be read. The same bytes and settings give the same stage.
        """
