from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import drops
from forebay.config.home import Project
from forebay.config.load import load_all

ROOT = Path(__file__).resolve().parents[2]
NIGHT = date(2013, 1, 1)


def rows(file: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(gzip.decompress(file.read_bytes()).decode())))


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("drops")
    drops.render(into, NIGHT, date(2013, 1, 2))
    return into


def test_a_night_is_three_files_and_a_marker(delivered: Path) -> None:
    found = sorted(path.name for path in (delivered / "flights" / "2013-01-01").iterdir())
    assert found == ["EWR.csv.gz", "JFK.csv.gz", "LGA.csv.gz", "_SUCCESS"]


def test_every_flight_of_the_night_is_there_once(delivered: Path) -> None:
    found = [
        row for name in drops.AIRPORTS for row in rows(delivered / "flights" / "2013-01-01" / f"{name}.csv.gz")[1:]
    ]
    assert (len(found), len({tuple(row) for row in found})) == (842, 842)
    assert {tuple(row[:3]) for row in found} == {("2013", "1", "1")}
    assert "NA" in {cell for row in found for cell in row}


def test_the_same_nights_are_the_same_bytes(delivered: Path, tmp_path: Path) -> None:
    drops.render(tmp_path, NIGHT, NIGHT)
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert file.read_bytes() == (delivered / file.relative_to(tmp_path)).read_bytes()


def test_weather_is_the_same_in_both_forms(delivered: Path) -> None:
    table = pq.read_table(delivered / "weather" / "2013-01-01" / "weather.parquet")
    lines = (delivered / "weather_json" / "2013-01-01" / "weather.jsonl").read_text().splitlines()
    assert table.num_rows == len(lines) == 67
    assert table.column("temp").to_pylist() == [json.loads(line)["temp"] for line in lines]
    assert table.column("wind_gust").null_count == sum(json.loads(line)["wind_gust"] is None for line in lines) > 0


def test_the_drops_have_the_columns_that_the_pipelines_declare(delivered: Path) -> None:
    declared = {
        name: list(found.schema_.columns)
        for name, found in load_all(Project.find(ROOT)).pipelines.items()
        if found.schema_ and found.schema_.columns
    }
    assert rows(delivered / "flights" / "2013-01-01" / "EWR.csv.gz")[0] == declared["flights"]
    assert pq.read_schema(delivered / "weather" / "2013-01-01" / "weather.parquet").names == declared["weather_parquet"]
    line = (delivered / "weather_json" / "2013-01-01" / "weather.jsonl").read_text().splitlines()[0]
    assert list(json.loads(line)) == declared["weather_json"]


def test_spoiled_rows_are_those_that_were_named(tmp_path: Path) -> None:
    drops.render(tmp_path, NIGHT, NIGHT)
    file = tmp_path / "flights" / "2013-01-01" / "EWR.csv.gz"
    before = rows(file)
    done = drops.bad_rows(file)
    after = rows(file)
    assert len(done) == len(drops.SPOILS)
    assert [number for number, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [
        damage.row for damage in done
    ]


def test_a_truncated_file_is_no_longer_gzip(tmp_path: Path) -> None:
    drops.render(tmp_path, NIGHT, NIGHT)
    file = tmp_path / "flights" / "2013-01-01" / "EWR.csv.gz"
    assert drops.truncate(file) == file.stat().st_size
    with pytest.raises(EOFError):
        gzip.decompress(file.read_bytes())


def test_a_copy_is_the_same_bytes_under_another_name(tmp_path: Path) -> None:
    drops.render(tmp_path, NIGHT, NIGHT)
    file = tmp_path / "flights" / "2013-01-01" / "EWR.csv.gz"
    assert drops.copy_as(file, "EWR-again.csv.gz").read_bytes() == file.read_bytes()


def test_taking_the_drops_away_leaves_other_peoples_files(tmp_path: Path) -> None:
    """README's own files lie in `drops/` too, and `make demo` begins anew."""
    drops.render(tmp_path / "drops", NIGHT, NIGHT)
    own = tmp_path / "drops" / "orders" / "2026-01-05" / "a.csv"
    own.parent.mkdir(parents=True)
    own.write_text("id\n1\n")
    drops.clear(tmp_path / "drops")
    assert [path for path in (tmp_path / "drops").rglob("*") if path.is_file()] == [own]
    shutil.rmtree(own.parents[1])
    drops.clear(tmp_path / "drops")
    drops.clear(tmp_path / "drops")
    assert not (tmp_path / "drops").exists()
