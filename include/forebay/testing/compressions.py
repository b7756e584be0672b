"""What every compression must do; a plug-in's test inherits it."""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod

import pytest

from forebay.contracts import Compression
from forebay.errors import CorruptFileError

BODY = b"".join(b"%d,%d,row number %d\n" % (n, n * n, n) for n in range(50_000))


class Trickle(io.BytesIO):
    """Gives at most five bytes at a time, whatever is asked for."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(5 if size is None or size < 0 else min(size, 5))


class CompressionContract(ABC):
    """Subclass with `compression` and `pack` (by another library than the plug-in's)."""

    @property
    @abstractmethod
    def compression(self) -> Compression: ...

    @abstractmethod
    def pack(self, body: bytes) -> bytes: ...

    def unpack(self, packed: bytes) -> bytes:
        return self.compression.open(io.BytesIO(packed)).read()

    @pytest.mark.parametrize("body", [b"", b"x", BODY, os.urandom(300_000)], ids=["empty", "one", "text", "noise"])
    def test_what_was_packed_comes_back(self, body: bytes) -> None:
        assert self.unpack(self.pack(body)) == body

    def test_several_members_are_one_stream(self) -> None:
        assert self.unpack(self.pack(BODY) + self.pack(b"") + self.pack(b"more")) == BODY + b"more"

    def test_five_byte_reads_change_nothing(self) -> None:
        assert self.compression.open(Trickle(self.pack(BODY[:2000]))).read() == BODY[:2000]

    @pytest.mark.parametrize("keep", [1, 4, 100, -4, -1])
    def test_a_truncated_stream_is_corrupt(self, keep: int) -> None:
        with pytest.raises(CorruptFileError):
            self.unpack(self.pack(BODY)[:keep])

    @pytest.mark.parametrize("after", [b"garbage after the end", b"\0" * 512])
    def test_trailing_garbage_is_corrupt(self, after: bytes) -> None:
        with pytest.raises(CorruptFileError):
            self.unpack(self.pack(BODY) + after)

    def test_no_bytes_at_all_are_corrupt(self) -> None:
        with pytest.raises(CorruptFileError, match="no bytes at all"):
            self.unpack(b"")

    def test_other_bytes_are_corrupt(self) -> None:
        with pytest.raises(CorruptFileError):
            self.unpack(BODY)

    def test_a_source_that_fails_is_not_called_corrupt(self) -> None:
        class Broken(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                raise OSError("the disk is gone")

        with pytest.raises(OSError, match="the disk is gone"):
            self.compression.open(Broken(b"")).read()
