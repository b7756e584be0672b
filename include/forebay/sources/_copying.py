"""Own copies of a file's bytes: written beside their place and put there whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from forebay.errors import RetryableError

BLOCK = 1 << 20
"""Bytes read at once."""


class Writer:
    """A new file whose write errors are told apart from the source's read errors: a full disk is a `RetryableError`."""

    def __init__(self, path: Path, uri: str) -> None:
        self._path, self._uri = path, uri
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=0)

    def write(self, block: bytes | memoryview) -> None:
        """Write all of it."""
        rest = memoryview(block)
        with self._errors():
            while rest:
                rest = rest[self._file.write(rest) :]

    def restart(self) -> None:
        """Forget what was written."""
        self._file.seek(0)
        self._file.truncate()

    def close(self) -> None:
        with self._errors():
            self._file.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            cause = (error.strerror or "write failed").lower()
            raise RetryableError(
                f"copying `{self._uri}` into `{self._path.parent}`: {cause} (free space there, "
                "or let FOREBAY_HOME name another disk)",
                uri=self._uri,
            ) from error


@contextmanager
def whole_file(into: Path, uri: str) -> Iterator[Writer]:
    """A writer whose bytes are at `into` after the block, or nowhere if the block raises."""
    part = into.with_name(f".{into.name[:100]}.{uuid4().hex}.part")
    writer = Writer(part, uri)
    try:
        yield writer
        writer.close()
        part.replace(into)
    finally:
        with suppress(RetryableError):
            writer.close()
        part.unlink(missing_ok=True)
