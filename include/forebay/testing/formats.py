"""What every format does. A test supplies `make_format` and `encode`, an independent writer of the same format."""

from __future__ import annotations

import hashlib
import pickle
from abc import ABC, abstractmethod
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forebay.contracts import Format, StageWriter, Tolerance
from forebay.contracts.causes import sentences
from forebay.errors import CorruptFileError
from forebay.model import OPEN, Cause, Column, Drift, Retyped, Snapshot, SourceFile, Stage

COLUMNS = (
    Column("id", "int64"),
    Column("name", "string"),
    Column("price", "decimal(12,2)"),
    Column("day", "date"),
    Column("at", "timestamp"),
)
# U+0000 to U+001F but for the line ends and the tab are left to the formats' own tests
_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t\"',;\\"), min_size=1, max_size=12
)
_ROW = st.fixed_dictionaries(
    {
        "id": st.integers(-(2**63), 2**63 - 1),
        "name": st.none() | _TEXT.filter(lambda text: text.strip(" \t") == text),
        "price": st.none() | st.decimals(-(10**9), 10**9, places=2),
        "day": st.none() | st.dates(),
        "at": st.none() | st.datetimes(),
    }
)
Rows = list[dict[str, Any]]


def staged(
    format_: Format[Any],
    data: bytes,
    columns: tuple[Column, ...] | None,
    folder: Path,
    threads: int = 2,
    tolerance: Tolerance = Tolerance(),  # noqa: B008 a frozen value
) -> Stage:
    """The stage of a file with these bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "plain"
    path.write_bytes(data)
    file = SourceFile("file:///in/orders", len(data), 0.0)
    snapshot = Snapshot(file, path, hashlib.sha256(data).hexdigest(), len(data))
    return format_.read(snapshot, path, columns, StageWriter(folder / "stage", threads=threads, tolerance=tolerance))


def rows(stage: Stage) -> Rows:
    return pq.read_table(stage.rows).to_pylist()


def rejects(stage: Stage) -> Rows:
    """The rejects, each with its `reason`: what people are told of its causes."""
    return [
        {**line, "reason": "; ".join(sentences(map(Cause.from_json, line["causes"])))}
        for line in pq.read_table(stage.rejects).to_pylist()
    ]


def sample(count: int) -> Rows:
    return [
        {
            "id": i,
            "name": f"row {i}",
            "price": Decimal(i) / 100,
            "day": date(2026, 1, 1 + i % 28),
            "at": datetime(2026, 1, 5, i % 24),
        }
        for i in range(1, count + 1)
    ]


class FormatContract(ABC):
    """Inherit this and define the two methods."""

    @abstractmethod
    def make_format(self) -> Format[Any]: ...

    @abstractmethod
    def encode(self, table: Rows) -> bytes:
        """The rows as a file, by another implementation; names and order are those of `COLUMNS`."""

    def stage(self, data: bytes, folder: Path, columns: tuple[Column, ...] | None = COLUMNS) -> Stage:
        return staged(self.make_format(), data, columns, folder)

    def test_rows_come_in_file_order_with_their_numbers(self, tmp_path: Path) -> None:
        table = sample(5_000)
        stage = self.stage(self.encode(table), tmp_path)
        assert rows(stage) == [row | {"__row": i} for i, row in enumerate(table, 1)]
        assert (stage.rows_in, stage.rows_rejected, stage.inferred) == (5_000, 0, False)
        assert rejects(stage) == []

    def test_the_stage_has_the_promised_columns(self, tmp_path: Path) -> None:
        stage = self.stage(self.encode(sample(3)), tmp_path)
        assert stage.columns == COLUMNS
        assert pq.read_schema(stage.rows).types == [
            pa.int64(),
            pa.string(),
            pa.decimal128(12, 2),
            pa.date32(),
            pa.timestamp("us"),
            pa.int64(),
        ]
        assert pq.read_schema(stage.rejects).names == ["__row", "step", "columns", "causes", "raw"]
        assert sorted(path.name for path in stage.rows.parent.iterdir()) == ["rejects.parquet", "rows.parquet"]

    # one test function in several subclasses: each has its own writer
    @settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=[HealthCheck.differing_executors, HealthCheck.function_scoped_fixture],
    )
    @given(table=st.lists(_ROW, min_size=1, max_size=8))
    def test_any_table_comes_back(self, table: Rows, tmp_path_factory: pytest.TempPathFactory) -> None:
        stage = self.stage(self.encode(table), tmp_path_factory.mktemp("table"))
        assert rejects(stage) == []
        assert rows(stage) == [row | {"__row": i} for i, row in enumerate(table, 1)]

    def test_the_same_bytes_give_the_same_stage(self, tmp_path: Path) -> None:
        data = self.encode(sample(2_000))
        first, second = (
            self.stage(data, tmp_path / "a"),
            staged(self.make_format(), data, COLUMNS, tmp_path / "b", threads=1),
        )
        assert rows(first) == rows(second)
        assert first.to_json() | {"rows": "", "rejects": ""} == second.to_json() | {"rows": "", "rejects": ""}

    def test_a_second_attempt_replaces_what_the_first_left(self, tmp_path: Path) -> None:
        (tmp_path / "stage" / "scratch").mkdir(parents=True)
        (tmp_path / "stage" / "scratch" / "typed.parquet").write_bytes(b"torn")
        (tmp_path / "stage" / "rows.parquet").write_bytes(b"torn")
        assert len(rows(self.stage(self.encode(sample(3)), tmp_path))) == 3

    def test_no_bytes_at_all_never_end_in_rows(self, tmp_path: Path) -> None:
        try:
            stage = self.stage(b"", tmp_path)
        except CorruptFileError as error:
            assert "empty" in error.message and "file:///in/orders" in error.message
        else:
            assert (stage.rows_in, rows(stage), rejects(stage)) == (0, [], [])

    def test_a_value_that_does_not_fit_costs_its_row_only(self, tmp_path: Path) -> None:
        table = sample(100)
        table[41]["id"] = 300
        narrow = (Column("id", "uint8"), *COLUMNS[1:])
        stage = self.stage(self.encode(table), tmp_path, narrow)
        assert [row["__row"] for row in rows(stage)] == [i for i in range(1, 101) if i != 42]
        [reject] = rejects(stage)
        assert (reject["__row"], reject["step"], reject["columns"]) == (42, "schema", ["id"])
        assert "`300` is not uint8" in reject["reason"] and b"row 42" in reject["raw"]
        assert (stage.rows_in, stage.rows_rejected) == (100, 1)

    def test_a_declared_column_that_is_missing_refuses_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(CorruptFileError, match="`nope`"):
            self.stage(self.encode(sample(2)), tmp_path, (*COLUMNS, Column("nope", "string")))

    def test_a_declared_column_that_may_be_missing_is_null_in_every_row_and_told(self, tmp_path: Path) -> None:
        columns = (*COLUMNS, Column("nope", "int64"))
        stage = staged(self.make_format(), self.encode(sample(3)), columns, tmp_path, tolerance=Tolerance(missing=True))
        assert rows(stage) == [row | {"nope": None, "__row": i} for i, row in enumerate(sample(3), 1)]
        assert (stage.drift, stage.columns, stage.rows_rejected) == (Drift(missing=("nope",)), columns, 0)

    def test_a_column_of_which_no_value_fits_is_retyped(self, tmp_path: Path) -> None:
        table = sample(3)
        stage = self.stage(self.encode(table), tmp_path, (Column("name", "date"), Column("day", "date")))
        assert stage.drift.retyped == (Retyped("name", "date", "string"),) and stage.rows_rejected == 3

    def test_columns_unknown_to_the_schema_are_left_out_and_told(self, tmp_path: Path) -> None:
        stage = self.stage(self.encode(sample(2)), tmp_path, (COLUMNS[3], COLUMNS[0]))
        assert rows(stage)[0] == {"day": date(2026, 1, 2), "id": 1, "__row": 1}
        assert sorted(stage.drift.added) == ["at", "name", "price"]

    def test_undeclared_columns_are_inferred_and_said_so(self, tmp_path: Path) -> None:
        stage = self.stage(self.encode(sample(20)), tmp_path, None)
        assert stage.inferred and stage.columns[:2] == COLUMNS[:2] and stage.rows_in == 20

    def test_a_pinned_column_that_had_no_value_yet_is_inferred_from_the_file(self, tmp_path: Path) -> None:
        expected = (COLUMNS[0], Column("name", OPEN), COLUMNS[2])
        stage = self.stage(self.encode(sample(20)), tmp_path / "there", expected)
        assert stage.columns == COLUMNS[:3] and not stage.drift.retyped
        assert rows(stage)[0] == {"id": 1, "name": "row 1", "price": Decimal("0.01"), "__row": 1}
        lacking = staged(
            self.make_format(),
            self.encode(sample(2)),
            (*expected, Column("new", OPEN)),
            tmp_path / "lacking",
            tolerance=Tolerance(missing=True),
        )
        assert (lacking.columns[-1], lacking.drift.missing) == (Column("new", "string"), ("new",))

    def test_a_format_can_be_pickled(self) -> None:
        format_ = self.make_format()
        assert pickle.loads(pickle.dumps(format_)).config == format_.config
