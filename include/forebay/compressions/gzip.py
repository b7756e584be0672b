"""gzip (RFC 1952), also of several members; its checksums are checked."""

from __future__ import annotations

from typing import BinaryIO, ClassVar

from forebay.compressions._arrow import reader
from forebay.contracts import Compression


class Gzip(Compression):
    """`.gz` files."""

    suffixes: ClassVar[tuple[str, ...]] = (".gz", ".gzip")

    def open(self, stream: BinaryIO) -> BinaryIO:
        return reader(stream, "gzip")
