"""A suite's own SQL asks about the file's rows, and reaches nothing else: no file, no network, no setting."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay.errors import CorruptFileError, SettingsError
from forebay.quality import suite as suites
from forebay.quality.check import check, raised_by
from forebay.quality.imports import great_expectations
from forebay.support.sql import OFFLINE, fenced, parquet
from tests.quality.made import rule, stage_of, suite_of

SECRET = "a line that no page may show"

OUTSIDE = [
    "select * from {batch} where exists (select 1 from read_text('SECRET'))",
    "select content from read_text('SECRET')",
    "select content from read_blob('SECRET')",
    "select column0 from read_csv('SECRET', header = false)",
    "select * from 'SECRET.csv'",
    "select * from glob('FOLDER/*')",
    "select * from query('select * from read_text(''SECRET'')')",
    "select * from parquet_metadata('FOLDER/other.parquet')",
    "with a as (select * from read_text('SECRET')) select * from a",
]
"""One SELECT each, and each reads what is not the stage's."""
NO_QUESTION = [
    "copy (select 1) to 'FOLDER/out.csv'",
    "attach 'FOLDER/other.db' as o",
    "install httpfs",
    "load httpfs",
    "pragma database_list",
    "set memory_limit = '9GB'",
    "select 1 from {batch}; copy (select 1) to 'FOLDER/out.csv'",
    "create or replace view rows as select 1 as a",
    "delete from {batch}",
    "export database 'FOLDER/all'",
]
"""Statements that are no SELECT, or more than one."""


def asked(folder: Path, query: str) -> str:
    return query.replace("SECRET", str(folder / "secret")).replace("FOLDER", str(folder))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("secret", "secret.csv"):
        (folder / name).write_text(f"words\n{SECRET}\n")
    pq.write_table(pa.table({"a": [SECRET]}), folder / "other.parquet")
    return folder


def test_the_files_are_there_to_be_read(outside: Path) -> None:
    """What is refused below is an answer without the fence."""
    with duckdb.connect() as con:
        con.execute("create view rows as select 1 as a")
        for query in OUTSIDE:
            assert con.execute(asked(outside, query).replace("{batch}", "rows")).fetchall()


def test_no_other_file_is_read(outside: Path, tmp_path: Path) -> None:
    """Neither at night nor by day, when `forebay check` tries the suite on two made-up rows."""
    stage = stage_of(pa.table({"a": [1, 2]}), tmp_path)
    rules = [rule("unexpected_rows_expectation", unexpected_rows_query=asked(outside, query)) for query in OUTSIDE]
    told = raised_by(great_expectations(), stage, suite_of(rules, tmp_path), tmp_path)
    assert len(told) == len(OUTSIDE)
    assert all(words and "file system operations are disabled" in words and SECRET not in words for words in told)
    with pytest.raises(CorruptFileError, match=r"cannot be answered: .*file system operations are disabled"):
        check(stage, suite_of(rules[1:2], tmp_path), tmp_path / "v", run_name="p/1/a", docs=tmp_path / "docs")
    assert not [path for path in (tmp_path / "v", tmp_path / "docs") for path in path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("query", NO_QUESTION)
def test_what_is_no_question_is_refused_by_day(query: str, tmp_path: Path) -> None:
    """`forebay check` loads the suite."""
    written = json.dumps(
        {"name": "made", "expectations": [rule("unexpected_rows_expectation", unexpected_rows_query=query)]}
    )
    (tmp_path / "made.json").write_text(written)
    with pytest.raises(
        SettingsError, match=r"`unexpected_rows_query` is not one SELECT.*write one `SELECT … FROM \{batch\} WHERE …`"
    ):
        suites.load(tmp_path / "made.json")


@pytest.mark.parametrize("query", NO_QUESTION)
def test_behind_the_fence_no_statement_reaches_outside(query: str, outside: Path, tmp_path: Path) -> None:
    """The fence alone, without the look at the statement: what it lets through changes nothing but a database in
    memory."""
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "rows.parquet")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    with duckdb.connect(config=OFFLINE) as con:
        con.execute(f"create view rows as select * from {parquet(tmp_path / 'rows.parquet')}")
        con.execute(fenced([tmp_path / "rows.parquet"]))
        with contextlib.suppress(duckdb.Error):
            con.execute(asked(outside, query).replace("{batch}", "rows"))
        assert con.execute("select current_setting('enable_external_access')").fetchall() == [(False,)]
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_a_stage_in_an_odd_folder_is_read_spilled_and_its_failing_rows_written(tmp_path: Path) -> None:
    """Allowed paths are matched as they are spelt, patterns' characters too; what a killed attempt left in the draft's
    place does not matter."""
    folder = tmp_path / "odd [1]*?'id=7"
    folder.mkdir()
    stage = stage_of(pa.table({"a": list(range(300_000)), "t": [f"{n:040}" for n in range(300_000)]}), folder)
    suite = suite_of(
        [
            rule("expect_column_values_to_be_between", column="a", max_value=299_998),
            rule("expect_column_values_to_be_unique", column="t"),
            rule("unexpected_rows_expectation", unexpected_rows_query="select a from {batch} where a < 0"),
        ],
        folder,
    )
    verdict = check(stage, suite, folder / "v", run_name="p/1/a", memory_limit=64 << 20)
    assert [result.success for result in verdict.results] == [False, True, True]
    again = check(stage, suite, folder / "v", run_name="p/1/a")
    assert again.failing is not None
    assert pq.read_table(again.failing).to_pylist() == [{"__row": 300_000, "rules": [0]}]


def test_a_python_variable_is_no_table(tmp_path: Path) -> None:
    hidden = pa.table({"a": [SECRET]})
    assert hidden.num_rows == 1
    with duckdb.connect(config=OFFLINE) as con, pytest.raises(duckdb.CatalogException):
        con.execute("select * from hidden").fetchall()


def test_every_connection_of_ours_is_offline() -> None:
    """No extension is fetched or loaded in the middle of a night, whatever a query or a file's type would ask for."""
    root = Path(__file__).parents[2] / "include/forebay"
    calls = [
        (path, line)
        for path in root.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if "duckdb.connect(" in line
    ]
    assert len(calls) > 10
    assert [f"{path.relative_to(root)}: {line.strip()}" for path, line in calls if "config=OFFLINE" not in line] == []
