"""A reader of unpacked bytes on Arrow's streaming decompressors, which know several members and notice a truncated
end."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from forebay.errors import CorruptFileError

BUFFER = 1 << 20


class _Unpacked(io.RawIOBase):
    """Arrow's stream as a Python file; whatever is wrong with the packed bytes is a `CorruptFileError`."""

    def __init__(self, stream: BinaryIO, codec: str) -> None:
        import pyarrow as pa

        self._codec = codec
        self._source = _Counted(stream)
        self._stream = pa.CompressedInputStream(pa.PythonFile(self._source, mode="r"), codec)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with self._named():
            data = self._stream.read(len(buffer))
        if not data and not self._source.count:
            raise CorruptFileError(f"unpacking {self._codec}: the file has no bytes at all (ask for it again)")
        buffer[: len(data)] = data
        return len(data)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._source.failed:
                raise
            words = str(error).split(". Detail")[0].lower()
            raise CorruptFileError(
                f"unpacking {self._codec}: {words} (the file is truncated, damaged or packed otherwise: "
                "ask for it again)"
            ) from None


class _Counted(io.RawIOBase):
    """The packed bytes, counted; remembers that reading them failed, which is the source's matter and not the
    codec's."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0
        self.failed = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._stream.read(min(size, BUFFER) if size >= 0 else BUFFER)
        except OSError:
            self.failed = True
            raise
        self.count += len(data)
        return data


def reader(stream: BinaryIO, codec: str) -> BinaryIO:
    """The unpacked bytes of `stream`; `codec` is Arrow's name."""
    return cast(BinaryIO, io.BufferedReader(_Unpacked(stream, codec), BUFFER))
