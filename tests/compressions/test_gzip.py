"""gzip keeps the contract of compressions, and its checksum is checked."""

from __future__ import annotations

import gzip

import pytest

from forebay.compressions.gzip import Gzip
from forebay.errors import CorruptFileError
from forebay.testing.compressions import BODY, CompressionContract


class TestGzip(CompressionContract):
    compression = Gzip()

    def pack(self, body: bytes) -> bytes:
        return gzip.compress(body)

    def test_a_wrong_checksum_is_corrupt(self) -> None:
        packed = bytearray(self.pack(BODY))
        packed[-8] ^= 0xFF
        with pytest.raises(CorruptFileError):
            self.unpack(bytes(packed))
