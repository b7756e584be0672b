"""Zstandard keeps the contract of compressions."""

from __future__ import annotations

import zstandard

from forebay.compressions.zstd import Zstd
from forebay.testing.compressions import CompressionContract


class TestZstd(CompressionContract):
    compression = Zstd()

    def pack(self, body: bytes) -> bytes:
        return zstandard.ZstdCompressor(write_checksum=True).compress(body)
