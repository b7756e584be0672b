"""The beginning of a file, cut where a record ends: enough to profile, however large the file is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forebay.compressions import unpack, unpack_head
from forebay.formats import one_byte_lines

BYTES = 64 << 20
"""Plain bytes that are read of a text, and bytes of typed values of a Parquet file, unless a caller says otherwise."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`path` holds the plain beginning of a file, or all of it (`whole`)."""

    path: Path
    whole: bool


def head(path: Path, format_type: str, config: Any, compression: str, into: Path, most: int = BYTES) -> Sample:
    """The first records of a file, `most` bytes of them at most, written below `into` if the file is cut or packed.

    A text is cut behind the last line end that is not within quotes; a Parquet file after whole groups of rows. Raises
    `CorruptFileError`.
    """
    if format_type == "parquet":
        return _parquet(unpack(path, path.name, compression, into / "plain"), into / "head.parquet", most)
    plain, whole = unpack_head(path, path.name, compression, into / "plain", most)
    if whole:
        return Sample(plain, whole=True)
    encoding = str(getattr(config, "encoding", "utf-8"))
    quote = getattr(config, "quote", None) if format_type == "csv" else None
    cut = into / "head"
    cut.write_bytes(_whole_records(plain.read_bytes(), "latin-1" if one_byte_lines(encoding) else encoding, quote))
    return Sample(cut, whole=False)


def _whole_records(data: bytes, encoding: str, quote: str | None) -> bytes:
    """The bytes up to the last line end outside quotes; all of them if there is none. Where those are ASCII, Latin 1
    reads every encoding, damaged bytes too."""
    text = data.decode(encoding, "ignore")
    quotes = text.count(quote) if quote else 0
    end = len(text)
    while (at := max(text.rfind("\n", 0, end), text.rfind("\r", 0, end))) >= 0:
        quotes -= text.count(quote, at, end) if quote else 0
        if quotes % 2 == 0:
            return text[: at + 1].encode(encoding)
        end = at
    return data


def _parquet(path: Path, into: Path, most: int) -> Sample:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from forebay.errors import CorruptFileError

    try:
        with pq.ParquetFile(path) as file:
            if sum(file.metadata.row_group(n).total_byte_size for n in range(file.num_row_groups)) <= most:
                return Sample(path, whole=True)
            size = 0
            with pq.ParquetWriter(into, file.schema_arrow) as writer:
                for batch in file.iter_batches(batch_size=8192):
                    writer.write_batch(batch)
                    size += batch.nbytes
                    if size >= most:
                        break
    except pa.ArrowException as error:
        raise CorruptFileError(f"reading `{path.name}`: {error}", name=path.name) from error
    return Sample(into, whole=False)
