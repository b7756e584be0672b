"""A work folder says what lies in it, wherever it lies now."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from forebay.model import Column, Stage, Verdict
from forebay.verbs.work import Work


def made(folder: Path) -> Work:
    """A work folder with a stage and a verdict."""
    work = Work(folder, {})
    for place in (work.stage_folder, work.verdict_folder):
        place.mkdir(parents=True)
    for path in (work.stage_folder / "rows.parquet", work.stage_folder / "rejects.parquet", work.verdict_folder / "failing.parquet"):
        pq.write_table(pa.table({"__row": [1]}), path)
    paths = work.stage_folder / "rows.parquet", work.stage_folder / "rejects.parquet"
    work.save_stage(Stage("f" * 64, *paths, (Column("id", "int64"),), rows_in=1, rows_rejected=0, raw_bytes=1))
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


def test_a_stage_that_lacks_a_file_is_none(tmp_path: Path) -> None:
    work = made(tmp_path)
    (work.stage_folder / "rows.parquet").unlink()
    assert work.stage() is None
