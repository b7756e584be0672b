"""The second witness of Parquet: a reader that loses, doubles, moves or bends something is found out, and so is a file
whose footer is wrong."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from forebay.errors import CorruptFileError
from forebay.formats import parquet
from forebay.formats._parquet import witness as parquet_witness
from forebay.formats._parquet.witness import Witness
from forebay.formats._thrift import BINARY, I64, Reader, Writer
from forebay.formats.parquet import Parquet
from forebay.model import Column, Stage
from forebay.testing.formats import staged

Tamper = Callable[[pa.RecordBatch], pa.RecordBatch]
COLUMNS = (Column("id", "int16"), Column("name", "string"), Column("half", "float64"))


def file_of(rows: int, **options: Any) -> bytes:
    table = pa.table(
        {"id": pa.array(range(rows)), "name": [f"name {n}" for n in range(rows)], "half": [n / 2 for n in range(rows)]}
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def read(data: bytes, folder: Path) -> Stage:
    return staged(Parquet(Parquet.Config()), data, COLUMNS, folder)


def rebuilt(batch: pa.RecordBatch, *parts: pa.RecordBatch) -> pa.RecordBatch:
    return pa.concat_batches(parts) if parts else batch


def dropped(batch: pa.RecordBatch) -> pa.RecordBatch:
    return rebuilt(batch, batch.slice(0, 700), batch.slice(701))


def doubled(batch: pa.RecordBatch) -> pa.RecordBatch:
    return rebuilt(batch, batch.slice(0, 700), batch.slice(699))


def replaced(batch: pa.RecordBatch) -> pa.RecordBatch:
    """One row twice, and its neighbour not at all: as many rows as there were."""
    return rebuilt(batch, batch.slice(0, 700), batch.slice(699, 1), batch.slice(701))


def swapped(batch: pa.RecordBatch) -> pa.RecordBatch:
    return rebuilt(batch, batch.slice(0, 700), batch.slice(701, 1), batch.slice(700, 1), batch.slice(702))


def truncated(batch: pa.RecordBatch) -> pa.RecordBatch:
    at = pc.equal(batch["name"], batch["name"][700])
    names = pc.if_else(at, pc.utf8_slice_codeunits(batch["name"], 0, 6), batch["name"])
    return batch.set_column(batch.schema.get_field_index("name"), "name", names)


def emptied(batch: pa.RecordBatch) -> pa.RecordBatch:
    at = pc.equal(batch["half"], batch["half"][700])
    return batch.set_column(
        batch.schema.get_field_index("half"), "half", pc.if_else(at, pa.scalar(None, pa.float64()), batch["half"])
    )


def tampering(monkeypatch: pytest.MonkeyPatch, tamper: Tamper, batch: int) -> None:
    """From now on the reader harms its batch of that number (0-based)."""
    honest, seen = parquet._batches, [0]

    def batches(*arguments: Any) -> Iterator[pa.RecordBatch]:
        for one in honest(*arguments):
            yield tamper(one) if seen[0] == batch else one
            seen[0] += 1

    monkeypatch.setattr(parquet, "_batches", batches)


@pytest.mark.parametrize("tamper", [dropped, doubled, replaced, swapped, truncated, emptied])
@pytest.mark.parametrize("aside", [False, True])
def test_control_a_reader_that_harms_rows_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tamper: Tamper, aside: bool
) -> None:
    data = file_of(36_000 if aside else 20_000, row_group_size=9_000)  # numbers over 32,767 are quarantined
    assert read(data, tmp_path / "honest").rows_rejected == (3_232 if aside else 0)
    tampering(monkeypatch, tamper, 2)
    with pytest.raises(CorruptFileError, match=r"its footer says|two readers differ"):
        read(data, tmp_path / "harmed")


@pytest.mark.parametrize(
    ("tamper", "word"), [(dropped, "rows"), (doubled, "rows"), (emptied, "nulls"), (swapped, "two readers")]
)
def test_control_in_a_large_file_which_is_read_again_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tamper: Tamper, word: str
) -> None:
    monkeypatch.setattr(parquet_witness, "WHOLE_CELLS", 1_000)
    rows = pa.array(range(60_000))
    columns = pa.table({f"c{n}": rows for n in range(8)} | {"half": rows.cast(pa.float64())})
    sink = io.BytesIO()
    pq.write_table(columns, sink, row_group_size=20_000)
    tampering(monkeypatch, tamper, 4)
    with pytest.raises(CorruptFileError, match=word):
        staged(Parquet(Parquet.Config()), sink.getvalue(), None, tmp_path)


@pytest.mark.parametrize("batch", range(4))
def test_control_in_a_large_file_of_few_columns_rows_that_change_places_are_found_out_in_every_stretch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(parquet_witness, "WHOLE_CELLS", 1_000)
    monkeypatch.setattr(parquet, "STRETCH_ROWS", 8_000)
    tampering(monkeypatch, swapped, batch)
    with pytest.raises(CorruptFileError, match=r"two readers differ in column"):
        read(file_of(32_000, row_group_size=4_000), tmp_path)


@pytest.mark.parametrize("tamper", [swapped, truncated])
def test_without_the_second_reader_these_would_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tamper: Tamper
) -> None:
    monkeypatch.setattr(Witness, "read_again", lambda *_: None)
    tampering(monkeypatch, tamper, 1)
    assert read(file_of(20_000), tmp_path).rows_in == 20_000


def test_control_without_the_footer_a_null_in_a_large_file_would_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Witness, "judge", lambda *_: None)
    tampering(monkeypatch, emptied, 1)
    assert read(file_of(20_000), tmp_path).rows_in == 20_000


def refooted(data: bytes, change: Callable[[Any], None]) -> bytes:
    size = int.from_bytes(data[-8:-4], "little")
    footer = Reader(data[-8 - size : -8]).struct()
    change(footer)
    new = Writer().struct(footer)
    return data[: -8 - size] + new + len(new).to_bytes(4, "little") + b"PAR1"


def statistics(footer: Any, column: int) -> Any:
    return footer[4][1].values[1][1][1].values[column][3][1][12][1]


def more_rows(footer: Any) -> None:
    footer[3] = (I64, footer[3][1] + 1)


def a_null(footer: Any) -> None:
    statistics(footer, 1)[3] = (I64, 1)


def a_lesser_least(footer: Any) -> None:
    statistics(footer, 0)[6] = (BINARY, (8_999).to_bytes(8, "little"))


def a_lesser_end_of_text(footer: Any) -> None:
    statistics(footer, 1)[5] = (BINARY, b"name 1999")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (more_rows, "rows of the file: its footer says 20001, read are 20000"),
        (a_null, "nulls of column `name` of row groups 1 to 1: its footer says 1, read are 0"),
        (a_lesser_least, "least value of column `id` of row groups 1 to 1"),
        (a_lesser_end_of_text, "greatest value of column `name` of row groups 1 to 1"),
    ],
)
def test_a_footer_that_differs_refuses_the_file_and_the_way_out_works(
    tmp_path: Path, change: Callable[[Any], None], said: str
) -> None:
    data = refooted(file_of(20_000, row_group_size=18_000, use_dictionary=False), change)
    with pytest.raises(CorruptFileError, match=said):
        read(data, tmp_path)
    if change is not more_rows:
        sink = io.BytesIO()
        pq.write_table(pq.read_table(io.BytesIO(data)), sink)
        assert read(sink.getvalue(), tmp_path / "anew").rows_in == 20_000


def test_ends_of_texts_that_a_writer_has_cut_are_no_difference(tmp_path: Path) -> None:
    def cut(footer: Any) -> None:
        told = statistics(footer, 1)
        told[5], told[6] = (BINARY, told[5][1][:6] + b":"), (BINARY, told[6][1][:6])

    assert read(refooted(file_of(20_000, row_group_size=18_000), cut), tmp_path).rows_in == 20_000
