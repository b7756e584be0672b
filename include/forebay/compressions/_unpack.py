"""From a snapshot to its plain bytes, within bounds that are counted and not believed."""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from typing import BinaryIO

from forebay import registry
from forebay.contracts import Compression
from forebay.errors import CorruptFileError, OutOfResourcesError

MAX_BYTES = 100 << 30
# what people deliver packs 3 to 30 to 1; gzip cannot do better than 1,032 to 1 (RFC 1951), zstd can a million to 1
MAX_RATIO = 200
_SMALL = 100_000_000  # below this no ratio is a danger
_CHUNK = 1 << 20


def unpack(
    path: Path, name: str, setting: str, into: Path, max_bytes: int = MAX_BYTES, max_ratio: int = MAX_RATIO
) -> Path:
    """The plain bytes of the file `name` whose snapshot is `path`: the snapshot itself if it is not packed, else the
    new file `into`.

    `setting` is `auto` (by the name's ending), `none` or a compression's name. Raises `CorruptFileError` for a damaged
    file, and for one that unpacks to more than `max_bytes`, or, beyond 100 MB, to more than `max_ratio` times its size;
    `OutOfResourcesError` when the disk is full.
    """
    compression = _compression(name, setting)
    if compression is None:
        return path
    by_ratio = max(_SMALL, path.stat().st_size * max_ratio)
    bound, setting = (by_ratio, "ratio") if by_ratio < max_bytes else (max_bytes, "unpacked")
    try:
        with path.open("rb") as packed, into.open("wb", buffering=0) as plain:
            _copy(compression.open(packed), plain, bound, setting)
    except BaseException as error:
        into.unlink(missing_ok=True)
        if isinstance(error, CorruptFileError):
            raise CorruptFileError(f"reading `{name}`: {error.message}", name=name) from None
        if isinstance(error, OutOfResourcesError):
            raise OutOfResourcesError(f"reading `{name}`: {error.message}", name=name) from None
        raise
    return into


def unpack_head(path: Path, name: str, setting: str, into: Path, most: int) -> tuple[Path, bool]:
    """The first `most` plain bytes of a file, and whether that is all of it. What is damaged far behind them is not
    noticed."""
    compression = _compression(name, setting)
    if compression is None and path.stat().st_size <= most:
        return path, True
    try:
        with path.open("rb") as packed, into.open("wb") as plain:
            stream = compression.open(packed) if compression else packed
            left = most
            while left and (data := stream.read(min(_CHUNK, left))):
                plain.write(data)
                left -= len(data)
            return into, left > 0 or not stream.read(1)
    except CorruptFileError as error:
        raise CorruptFileError(f"reading `{name}`: {error.message}", name=name) from None


def _compression(name: str, setting: str) -> Compression | None:
    if setting == "none":
        return None
    if setting != "auto":
        compression: Compression = registry.find("compressions", setting)()
        return compression
    plugins = (registry.find("compressions", known) for known in registry.names("compressions"))
    return next((plugin() for plugin in plugins if name.lower().endswith(plugin.suffixes)), None)


def _copy(stream: BinaryIO, to: FileIO, bound: int, setting: str) -> None:
    written = 0
    while data := stream.read(_CHUNK):
        written += len(data)
        if written > bound:
            raise CorruptFileError(
                f"unpacking: more than {bound:,} bytes came out, which `limits.{setting}` does not allow (a "
                "decompression bomb? if it is honest,"
                f" raise `limits.{setting}`)"
            )
        _write(to, data)


def _write(to: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[to.write(rest) :]
    except OSError as error:
        cause = (error.strerror or "write failed").lower()
        raise OutOfResourcesError(
            f"unpacking: {cause} (free space there, or let FOREBAY_HOME name another disk)"
        ) from error
