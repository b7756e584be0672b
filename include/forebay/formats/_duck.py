"""DuckDB as forebay's formats use it: bounded, offline, and its errors translated at one border."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.contracts import StageWriter
from forebay.errors import CorruptFileError, FatalError
from forebay.support.sql import OFFLINE

if TYPE_CHECKING:
    import duckdb


_GIVE_BACK = "SET allocator_flush_threshold = '8MiB'; SET allocator_bulk_deallocation_flush_threshold = '8MiB'"
"""What is freed goes back to the system at once: with DuckDB's own thresholds (128 and 512 MiB) the memory of one
statement stays beside that of the next."""
_REFUSED = "Allocation failure", "bad allocation"
"""What DuckDB says when the system gives no memory; what it says of its own `memory_limit` has the limit in it
(duckdb/src/common/allocator.cpp)."""
_STREAM_STARVED = "failed: MemoryError", "failed: Out of memory"
"""What DuckDB makes of Python's own error, and of Arrow's, when a stream of ours gets no memory."""


@contextmanager
def scratch(writer: StageWriter) -> Iterator[Path]:
    """A folder for what is only needed while the stage is written; gone afterwards, and what a killed attempt left in
    it before."""
    folder = writer.folder / "scratch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def connect(writer: StageWriter, folder: Path, uri: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A private in-memory database that spills into `folder`; `uri` is the file that its errors name.

    Raises `CorruptFileError` for whatever DuckDB cannot read, `FatalError` when the memory that it may use or the disk
    does not suffice, `MemoryError` when the process gets no more.
    """
    import duckdb

    spill = folder / "spill"
    settings: dict[str, Any] = {
        "threads": writer.threads,
        "memory_limit": f"{writer.memory_limit}B",
        "temp_directory": str(spill),
    }
    try:
        with duckdb.connect(":memory:", config=OFFLINE | settings) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            connection.execute(_GIVE_BACK)
            yield connection
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        if any(words in str(error) for words in _REFUSED):
            raise MemoryError(f"reading `{uri}`: {_first_line(error)}") from error
        raise FatalError(
            f"reading `{uri}`: {_first_line(error)} (raise FOREBAY_MEMORY, 512MiB where it is not set, "
            "or give the home's disk more room)",
            uri=uri,
        ) from error
    except (duckdb.ProgrammingError, duckdb.NotSupportedError) as error:
        if not isinstance(error, duckdb.InvalidInputException):
            raise  # a statement of ours is wrong: not the file's fault
        if any(words in str(error) for words in _STREAM_STARVED):
            raise MemoryError(f"reading `{uri}`: {_first_line(error)}") from error
        raise CorruptFileError(f"reading `{uri}`: {_unparsable(error)}", uri=uri) from error
    except duckdb.Error as error:
        raise CorruptFileError(f"reading `{uri}`: {_first_line(error)}", uri=uri) from error


def _unparsable(error: Exception) -> str:
    """DuckDB's words, or what they mean: its parser stops at a CR that is data only because a quote before it was never
    closed."""
    if "invalid state" in (words := _first_line(error)):
        return (
            "its line ends are mixed, and a quote is opened and never closed (deliver it with one kind of line end, "
            "or close the quote)"
        )
    return words


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
