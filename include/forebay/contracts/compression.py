"""How a file's bytes are packed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import BinaryIO, ClassVar


class Compression(ABC):
    """One way of packing a single stream."""

    suffixes: ClassVar[tuple[str, ...]]
    """File name endings that mean this compression, with their dot."""

    @abstractmethod
    def open(self, stream: BinaryIO) -> BinaryIO:
        """A reader of the unpacked bytes. Multi-member streams are one; reading raises `CorruptFileError` on a
        truncated or damaged stream or trailing garbage. It never reads further ahead than its buffer (1 MiB)."""
