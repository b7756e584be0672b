"""A work folder says what lies in it, wherever it lies now."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay.encoding.quarantine_rows import MADE_FOR, is_made_for
from forebay.encoding.rows import Limits
from forebay.encoding.work import Work
from forebay.model import Column, Decision, Stage, Verdict


def made(folder: Path) -> Work:
    """A work folder with a stage and a verdict."""
    work = Work(folder, {})
    for place in (work.stage_folder, work.verdict_folder):
        place.mkdir(parents=True)
    for path in (
        work.stage_folder / "rows.parquet",
        work.stage_folder / "rejects.parquet",
        work.verdict_folder / "failing.parquet",
    ):
        pq.write_table(pa.table({"__row": [1]}), path)
    paths = work.stage_folder / "rows.parquet", work.stage_folder / "rejects.parquet"
    work.save_stage(Stage("f" * 64, *paths, (Column("id", "int64"),), rows_in=2, rows_rejected=1, raw_bytes=1))
    work.save_verdict(Verdict("f" * 64, "suite", "", (), work.verdict_folder / "failing.parquet"))
    return work


def test_a_home_that_was_moved_has_its_files_where_they_lie_now(tmp_path: Path) -> None:
    made(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    work = Work(tmp_path / "new", {})
    stage, verdict = work.stage(), work.verdict()
    assert stage and verdict
    assert (stage.rows, stage.rejects) == (work.stage_folder / "rows.parquet", work.stage_folder / "rejects.parquet")
    assert verdict.failing == work.verdict_folder / "failing.parquet"


@pytest.mark.parametrize("name", ["stage.json", "rows.parquet", "rejects.parquet"])
@pytest.mark.parametrize("left", [None, 0, 0.5])
def test_a_stage_that_lacks_a_part_is_none(tmp_path: Path, name: str, left: float | None) -> None:
    work = made(tmp_path)
    assert work.stage()
    hurt(work.stage_folder / name, left)
    assert work.stage() is None


def test_a_damaged_verdict_and_a_damaged_list_are_none(tmp_path: Path) -> None:
    work = made(tmp_path)
    hurt(work.verdict_folder / "verdict.json", 0.5)
    assert work.verdict() is None
    listed = work.quarantine(Decision.PUBLISH)
    pq.write_table(pa.table({"__row": [1]}).replace_schema_metadata({MADE_FOR: "x"}), listed)
    assert is_made_for(listed, "x")
    hurt(listed, 0.5)
    assert not is_made_for(listed, "x")


def hurt(path: Path, left: float | None) -> None:
    """Leave a share of a file, or nothing at all."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * left)]) if left is not None else path.unlink()


def test_a_long_question_draws_no_progress_into_the_answer() -> None:
    """DuckDB draws a bar into standard output from the second second on; `--json` answers there."""
    with Limits().connect() as connection:
        assert connection.sql("SELECT current_setting('enable_progress_bar')").fetchall() == [(False,)]
