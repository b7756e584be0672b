"""Zstandard (RFC 8878), also of several frames."""

from __future__ import annotations

from typing import BinaryIO, ClassVar

from forebay.compressions._arrow import reader
from forebay.contracts import Compression


class Zstd(Compression):
    """`.zst` files."""

    suffixes: ClassVar[tuple[str, ...]] = (".zst", ".zstd")

    def open(self, stream: BinaryIO) -> BinaryIO:
        return reader(stream, "zstd")
