"""Zstandard keeps the contract of compressions."""

from __future__ import annotations

import zstandard

from forebay.compressions.zstd import Zstd
from tests.contracts.compressions import CompressionTests


class TestZstd(CompressionTests):
    compression = Zstd()

    def pack(self, body: bytes) -> bytes:
        return zstandard.ZstdCompressor(write_checksum=True).compress(body)
