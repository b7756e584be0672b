"""CSV files of many columns, read by pyarrow: DuckDB's memory grows with a chunk of 2,048 records of all columns,
however few the file has.

As with DuckDB it only reads what our own reading calls clean, and what it read is held against the bytes (`_witness`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.formats._csv.parts import Part
from forebay.formats._csv.source import Source
from forebay.formats._staging import SEPARATOR

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1 << 20
"""Bytes that are parsed at a time, at least: a cell takes one or more of them."""


@dataclass
class _Stretch(io.RawIOBase):
    """The bytes of a part of a file, with an empty line before them: what follows is then no byte order mark to a
    reader."""

    part: Part
    _begun: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._file = self.part.path.open("rb")
        self._file.seek(self.part.begin)

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        if not self._begun:
            self._begun = True
            into[:1] = b"\n"
            return 1
        data = self._file.read(min(len(into), self.part.end - self._file.tell()))
        into[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def columns(source: Source, part: Part, longest: int) -> Iterator[list[pa.Array]]:
    """The texts of all columns of a part of a CSV file, some records at a time; `longest` is the most bytes that a
    record has.

    Raises `pa.ArrowInvalid` for records that it cannot read.
    """
    import pyarrow as pa
    from pyarrow import csv

    if part.begin == part.end:
        return
    names = [f"c{n}" for n in range(source.width)]
    reading = csv.ReadOptions(column_names=names, block_size=max(BLOCK, longest + 1024), use_threads=False)
    parsing = csv.ParseOptions(
        delimiter=source.delimiter,
        quote_char=source.quote or False,
        double_quote=True,
        escape_char=False,
        newlines_in_values=True,
        ignore_empty_lines=True,
    )
    converting = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        strings_can_be_null=True,
        quoted_strings_can_be_null=source.quoted_nulls,
        null_values=list(source.null_words),
    )
    with _Stretch(part) as stretch, csv.open_csv(pa.PythonFile(stretch, "r"), reading, parsing, converting) as reader:
        for batch in reader:
            if len(batch):
                yield batch.columns


def staged(path: Path) -> Iterator[list[pa.Array]]:
    """The same of a Parquet file of texts."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(max(1, BLOCK // file.metadata.num_columns)):
            yield batch.columns


def restored(texts: Sequence[pa.Array], replaced: Sequence[tuple[str, str]]) -> list[pa.Array]:
    """The texts with what stands in for delimiters and the like put back."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not replaced:
        return list(texts)
    long, rows = pa.concat_arrays(texts), len(texts[0])
    for sign, own in replaced:
        long = pc.replace_substring(long, sign, own)
    return [long.slice(n * rows, rows) for n in range(len(texts))]


def lines(texts: Sequence[pa.Array]) -> pa.Array:
    """All texts of each record, a separator behind each."""
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(*texts, "", SEPARATOR, null_handling="replace", null_replacement="")
