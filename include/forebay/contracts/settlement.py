"""What becomes of a file that was published."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

from forebay.contracts.settings import Settings
from forebay.contracts.source import Source
from forebay.model import SourceFile

S = TypeVar("S", bound=Settings)


class Settlement(ABC, Generic[S]):
    """Finishes a file at its source, after reconcile only."""

    Config: ClassVar[type[Settings]]
    reversible: ClassVar[bool] = True
    """Whether the file's bytes remain. If not, only the run that reconciled the file settles it."""

    def __init__(self, config: S) -> None:
        self.config = config

    @abstractmethod
    def settle(self, source: Source[Any], file: SourceFile, ds: str) -> str:
        """Finish the file and say in a few words what was done (`archived to …`). Idempotent: a repeat is a no-op that
        says the same."""
