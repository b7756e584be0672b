"""The way out of a file that cannot be read as the pipeline says, followed: its command is run, its setting is set, and
the rows are there."""

from __future__ import annotations

import gzip
import re
import shlex
import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay.errors import FatalError
from tests.keys import looks
from tests.keys.trial import GONE, Trial

ROW = '{"id": 1, "x": 5}'
SHAPES = {
    "array": f"[{ROW}, {ROW}]",
    "pretty": '{\n "id": 1,\n "x": 5\n}\n{\n "id": 2,\n "x": 6\n}\n',
    "joined": ROW + ROW,
    "commas": f"{ROW},\n{ROW},\n{ROW}\n",
}
JSON = {"format": {"type": "json_lines"}, "schema.columns": {"id": "int64", "x": "int64"}}


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.parametrize("shape", SHAPES)
def test_json_that_is_no_lines_is_read_after_the_command_that_is_printed(shape: str, tmp_path: Path) -> None:
    refused = Trial(tmp_path / "a", JSON, {"a.csv": SHAPES[shape].encode()})
    told = refused.told
    command = re.search(r"`(jq -c [^`]*)`", told)
    assert looks.status(refused) == "failed" and command is not None, told
    text = f"[{SHAPES[shape]}]" if "put them in brackets" in told else SHAPES[shape]
    lines = subprocess.run(shlex.split(command[1]), input=text.encode(), capture_output=True, check=True).stdout
    assert [row["x"] for row in Trial(tmp_path / "b", JSON, {"a.csv": lines}).staged()][:1] == [5]


def parquet(columns: dict[str, Any]) -> bytes:
    pq.write_table(pa.table(columns), made := BytesIO())
    return made.getvalue()


TEXT = {"schema.columns": {"id": "int64", "x": "string"}}
FILES: dict[str, tuple[bytes, dict[str, Any], str, dict[str, Any]]] = {
    "windows": (
        "id,x\n1,“a”\n".encode("cp1252"),
        {"format.encoding": "latin-1"},
        "set format.encoding: windows-1252",
        {"format.encoding": "windows-1252"},
    ),
    "header": (
        b'id,"x"y\n1,a\n',
        {},
        "check format.quote and format.encoding",
        {"format.quote": None, "schema.columns": {"id": "int64", '"x"y': "string"}},
    ),
    "unclosed": (
        b'id,x\n1,"a\n2,b\n',
        {"format.max_unclosed_quotes": 0},
        "raise format.max_unclosed_quotes",
        {"format.max_unclosed_quotes": 1},
    ),
    "unclosed, other way": (
        b'id,x\n1,"a\n2,b\n',
        {"format.max_unclosed_quotes": 0},
        "check format.quote",
        {"format.max_unclosed_quotes": GONE, "format.quote": None},
    ),
    "long": (
        b"id,x\n1," + b"a" * 3000 + b"\n",
        {"format.max_record_bytes": "1KiB"},
        "raise format.max_record_bytes",
        {"format.max_record_bytes": "8KiB"},
    ),
    "a header without an end": (
        b'id,"x\n' + (b"1," + b"a" * 9_999 + b"\n") * 1_700,
        {},
        "check format.quote",
        {"format.quote": None, "schema.columns": {"id": "int64", '"x': "string"}},
    ),
    "a line without an end": (
        b"id,x\n1," + b"a" * 9_000_000 + b"\n2,b\n" * 9,
        {"format.max_record_bytes": "1KiB"},
        "check format.quote, or raise format.max_record_bytes",
        {"format.max_record_bytes": "16MiB"},
    ),
    "twice": (
        b"id,x,x\n1,a,b\n",
        {"schema": GONE},
        "declare the columns to be read",
        {"schema": {"columns": {"id": "int64"}}},
    ),
    "all aside": (
        b"id,x\nq,a\n",
        {},
        "{quarantined_over: 100%}",
        {"quality.block_when": {"quarantined_over": "100%"}, "schema.on_drift": {"retyped": "warn"}},
    ),
    "missing": (b"id\n1\n", {}, "`x` is missing", {"schema.on_drift": {"missing": "warn"}}),
    "nan": (
        b"id,x\n1,NaN\n2,1.5\n",
        {"schema.columns": {"id": "int64", "x": "float64"}, "format.columns": {"x": {"allow_nan": True}}},
        "set `nan: null` or `nan: string`",
        {"record.value": {"type": "json", "nan": "null"}},
    ),
    "rules of no column": (
        b"id,x\n1,a\n",
        {"schema": GONE, "format.columns": {"y": {"trim": True}}},
        "take its rules out",
        {"format.columns": GONE},
    ),
    "no time": (
        b"id,x\n1,a\n",
        {"schema": GONE, "record.timestamp": "x"},
        "name a date or timestamp column",
        {"record.timestamp": GONE},
    ),
    "is parquet": (parquet({"id": [1], "x": ["a"]}), {}, "set format.type: parquet", {"format.type": "parquet"}),
    "is packed": (gzip.compress(b"id,x\n1,a\n"), {}, "set source.compression: gzip", {"source.compression": "gzip"}),
    "no column": (
        parquet({"z": [1]}),
        {"format.type": "parquet", "schema.on_drift": {"missing": "warn"}},
        "declare columns that it has",
        {"schema.columns": {"z": "int64"}, "record.key": "z"},
    ),
}
"""The file, its settings, the words of the way out, and the settings that follow it."""


LARGE = {"format.max_record_bytes": "64MiB"}
JSON_LARGE = {"format": {"type": "json_lines", "max_record_bytes": "64MiB"}}
CELL = b"a" * 6_000_000
LARGE_JSON = b'{"id": 1, "x": "' + CELL + b'"}\n' + b'{"id": 2, "x": "b"}\n' * 9
MORE_MEMORY = "raise FOREBAY_MEMORY, 512MiB where it is not set"
ROOM: dict[str, tuple[bytes, dict[str, Any], str, dict[str, Any]]] = {
    "large cell of a CSV": (b"id,x\n1," + CELL + b"\n" + b"2,b\n" * 9, LARGE, MORE_MEMORY, {}),
    "large cell of Parquet": (
        parquet({"id": list(range(10)), "x": [CELL.decode(), *"bcdefghij"]}),
        {"format.type": "parquet"},
        MORE_MEMORY,
        {},
    ),
    "large value of JSON": (LARGE_JSON, JSON_LARGE, MORE_MEMORY, {}),
    "large value, limited": (
        LARGE_JSON,
        JSON_LARGE | {"limits.memory": "150MiB"},
        "raise `limits.memory`",
        {"limits.memory": "2GiB"},
    ),
    "disk": (
        b"id,x\n" + b"".join(b"%d,%d\n" % (n, n * n * 7919 % 1_000_003) for n in range(600_000)),
        {"limits.disk": "1KiB"},
        "raise `limits.disk`",
        {"limits.disk": "1GiB"},
    ),
    "time": (
        b",".join(b"c%d" % n for n in range(2_000)) + b"\n" + b",".join([b"x"] * 2_000),
        {"schema": GONE, "record.key": ["c1"], "limits.time": "100ms"},
        "raise `limits.time`",
        {"limits.time": "5m"},
    ),
}
"""As `FILES`; the memory of the first ones is raised in the environment."""


@pytest.mark.parametrize("name", ROOM)
def test_a_file_has_room_when_its_way_out_is_followed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, settings, way_out, followed = ROOM[name]
    monkeypatch.setenv("FOREBAY_MEMORY", "64MiB" if way_out is MORE_MEMORY else "512MiB")
    before = Trial(tmp_path / "a", TEXT | settings, {"a.csv": data})
    assert looks.status(before) == "failed" and way_out in before.told, before.told
    monkeypatch.setenv("FOREBAY_MEMORY", "512MiB")
    after = Trial(tmp_path / "b", TEXT | settings | followed, {"a.csv": data})
    assert looks.status(after) == "inspected publish", after.told
    assert [row for row, _ in after.aside()] == [1] * ("large" in name)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_when_its_way_out_is_followed(name: str, tmp_path: Path) -> None:
    data, settings, way_out, followed = FILES[name]
    before = Trial(tmp_path / "a", TEXT | settings, {"a.csv": data})
    told = before.told + "".join(reason for _, reason in (before.aside() if before.inspected().counts.rows_in else []))
    assert way_out in told, told
    after = Trial(tmp_path / "b", TEXT | settings | followed, {"a.csv": data})
    assert looks.status(after) == "inspected publish" and way_out not in after.told, after.told
    assert name in {"all aside", "unclosed", "a line without an end"} or after.aside() == []


def test_a_list_that_is_not_of_its_stage_is_made_again(tmp_path: Path) -> None:
    trial = Trial(tmp_path, TEXT, {"a.csv": b"id,x\n1,a\n,b\n"})
    assert trial.chunks()
    (aside,) = (tmp_path / ".forebay/work").rglob("quarantine*.parquet")
    table = pq.read_table(aside)
    pq.write_table(table.slice(0, 0).replace_schema_metadata(pq.read_schema(aside).metadata), aside)
    with pytest.raises(FatalError, match=r"\(remove the file's work folder, and it is staged again\)"):
        trial.chunks()
    shutil.rmtree(tmp_path / ".forebay/work")
    trial._inspected = None
    assert [chunk.quarantine.rows.to_pylist() for chunk in trial.chunks()] == [[2]]
