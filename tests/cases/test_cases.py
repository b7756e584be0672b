"""Inputs that failed once, with what is right: run by the built command, judged by an ordinary consumer that knows
nothing of forebay.

A folder a case holds its pipelines and what was delivered for 2026-01-05. Each stands for its kind.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.kafka import Cluster, read_all
from tests.support.project import Answer, OrdersProject

pytestmark = pytest.mark.kafka
HERE = Path(__file__).parent
DAY = "2026-01-05"


@dataclass(frozen=True)
class Right:
    """What is right for one pipeline of a case: the records' values in the order of their ids, quarantined rows (name
    of the file, row number), files that fail alone, the exit code, and words that the answer must have."""

    values: list[dict[str, Any]]
    aside: tuple[tuple[str, int], ...] = ()
    failed: tuple[str, ...] = ()
    code: int = 0
    words: tuple[str, ...] = ()


B13I = [{"customer_id": 1001, "spend": 5}, {"customer_id": 1001, "spend": 6}]
RIGHT: dict[str, Right] = {
    "b01": Right(
        [{"id": 1, "ts": "2026-01-05T10:00:00.123456"}, {"id": 3, "ts": "2026-01-05T00:00:00"}],
        aside=(("spark.parquet", 2),),
    ),
    "b07": Right([{"id": 1, "name": "ann", "qty": 5}, {"id": 2, "name": "bo", "qty": 6}]),
    "b08": Right([{"id": 1, "name": "Ann", "qty": 5}, {"id": 2, "name": "Lee, Bo", "qty": 6}]),
    "b09": Right([{"id": 1, "name": "Café – “Zoë”", "price": "5 €"}, {"id": 2, "name": "plain", "price": "7"}]),
    "b09l": Right(
        [{"id": 1, "name": "Café \x96 \x93Zoë\x94", "price": "5 \x80"}, {"id": 2, "name": "plain", "price": "7"}],
        words=("windows-1252",),
    ),
    "b13": Right(
        [
            {"order_id": 1, "customer_id": 1001},
            {"order_id": 2, "customer_id": None},
            {"order_id": 3, "customer_id": 1003},
        ],
        aside=(("orders.csv", 4),),
    ),
    "b13i": Right(B13I, aside=(("b_with_nulls.csv", 2),)),
    "b15": Right(
        [
            {"id": 1, "path": "C:\\temp", "n": None},
            {"id": 2, "path": "line one\nline two", "n": 5},
            {"id": 3, "path": "a\tb", "n": 6},
            {"id": 4, "path": "plain", "n": 7},
        ]
    ),
    "b17": Right([], failed=("a_array.json", "b_pretty.json", "c_one_line.json"), code=1, words=("array",)),
    "b22": Right(
        [{"id": 1, "note": "two\nlines", "price": 1234.5}, {"id": 2, "note": "plain", "price": 0.99}], words=("sep=",)
    ),
    "b33": Right([{"id": 1, "t": "10:00:00"}, {"id": 2, "t": "10:00:00.5"}]),
}


def lay(case: str, tmp_path: Path, kafka: Cluster, topic: str, pipeline: str) -> OrdersProject:
    """The case in a project of its own, with names that no other test has."""
    for path in (HERE / case).glob("pipeline*.yaml"):
        text = path.read_text("utf-8")
        if re.search(rf"^pipeline: {pipeline}$", text, re.MULTILINE):
            break
    else:
        raise AssertionError(f"{case} has no pipeline {pipeline}")
    text = re.sub(r"^pipeline: \w+$", f"pipeline: {topic}", text, flags=re.MULTILINE).replace(
        f"name: {pipeline}, manage", f"name: {topic}, manage"
    )
    (tmp_path / "include/pipelines").mkdir(parents=True)
    (tmp_path / "include/pipelines/case.yaml").write_text(text, "utf-8")
    shutil.copytree(HERE / case / "drops", tmp_path / "drops")
    return OrdersProject(tmp_path, topic, kafka.bootstrap)


Lay = Callable[[str, str], OrdersProject]


@pytest.fixture
def laid(tmp_path: Path, kafka: Cluster, topic_name: str) -> Lay:
    return lambda case, pipeline: lay(case, tmp_path, kafka, f"{pipeline}-{topic_name[-8:]}", pipeline)


def visible(shop: OrdersProject, kafka: Cluster) -> list[dict[str, Any]]:
    """The values of all records, by their first two columns."""
    values = [json.loads(m.value()) for m in read_all(kafka.config, shop.name)]
    return sorted(values, key=lambda v: [(x is None, str(x)) for x in list(v.values())[:2]])


def aside(shop: OrdersProject, answer: Answer, kafka: Cluster) -> list[tuple[str, int]]:
    """File name and row number of the records in the quarantine topic."""
    names = {
        file["fingerprint"][:16]: file["uri"].rsplit("/", 1)[-1] for file in answer.json["files"] if file["fingerprint"]
    }
    ids = [
        dict(m.headers())["ce_id"].decode().split(":")
        for m in read_all(kafka.config, f"forebay.{shop.name}.quarantine")
    ]
    return sorted(
        (next(name for fp, name in names.items() if any(part.startswith(fp) for part in one)), int(one[2]))
        for one in ids
    )


@pytest.mark.parametrize("pipeline", RIGHT)
def test_a_case_comes_out_right(pipeline: str, laid: Lay, kafka: Cluster) -> None:
    right = RIGHT[pipeline]
    shop = laid(pipeline.rstrip("il") if pipeline in {"b13i", "b09l"} else pipeline, pipeline)
    answer = shop.run()
    assert answer.code == right.code, answer.err + answer.out
    assert visible(shop, kafka) == right.values
    assert aside(shop, answer, kafka) == sorted(right.aside)
    assert tuple(sorted(f["uri"].rsplit("/", 1)[-1] for f in answer.json["files"] if not f["rows_in"])) == right.failed
    for word in right.words:
        assert word in answer.out + answer.err


def test_the_same_key_is_the_same_bytes_whatever_the_file(laid: Lay, kafka: Cluster) -> None:
    """B13 without a schema: customer 1001 has one key, and so one partition."""
    shop = laid("b13", "b13i")
    assert shop.run().code == 0
    found = read_all(kafka.config, shop.name)
    assert {(m.key(), m.partition()) for m in found} == {(b"1001", found[0].partition())}
    assert len(found) == 2


def test_a_file_with_an_index_column_costs_the_other_nothing(laid: Lay, kafka: Cluster) -> None:
    """B03: whatever becomes of the first file, the second is published."""
    shop = laid("b03", "b03")
    answer = shop.run()
    assert answer.code in {0, 1, 3}, answer.err
    assert [(v["id"], v["name"]) for v in visible(shop, kafka) if v["id"] == 3] == [(3, "cy")]
    [plain] = [f for f in answer.json["files"] if f["uri"].endswith("b_plain.parquet")]
    assert plain["published"] == 1 or "schema" in str(plain["reason"]), plain


def test_twelve_hundred_columns(laid: Lay, kafka: Cluster) -> None:
    """B06: wide files are published in seconds, every cell as it stood."""
    shop = laid("b06", "b06")
    answer = shop.run()
    assert answer.code == 0, answer.err
    folder = HERE / f"b06/drops/b06/{DAY}"
    lines = [
        row
        for name in ("good", "mixed")
        for row in list(csv.reader((folder / f"{name}.csv").open(newline="", encoding="utf-8")))[1:]
    ]
    found = {str(value["id"]): [str(cell) for cell in value.values()] for value in visible(shop, kafka)}
    assert found == {line[0]: line for line in lines if len(line) == len(lines[0])}
    assert sum(f["rows_in"] for f in answer.json["files"]) == len(lines)


@pytest.mark.parametrize("pipeline", ["b18", "b18q"])
def test_nan_becomes_null_as_the_reference_says(pipeline: str, laid: Lay, kafka: Cluster) -> None:
    shop = laid("b18", pipeline)
    answer = shop.run()
    assert answer.code == 0, answer.err
    found = {value["id"]: value["score"] for value in visible(shop, kafka)}
    assert (found[1], found[2]) == (None, None)
    assert found.get(3, 1.5) == 1.5
    assert len(found) + len(aside(shop, answer, kafka)) == 4


def test_times_that_kafka_cannot_hold_cost_their_rows_only(laid: Lay, kafka: Cluster) -> None:
    """B31: 9999 and 1969 are no record times; the other rows and the other file are published."""
    shop = laid("b31", "b31")
    answer = shop.run()
    assert answer.code == 0, answer.err
    found = {v["id"] for v in visible(shop, kafka)}
    assert {1, 5} <= found
    assert len(found) + len(aside(shop, answer, kafka)) == 5
    assert sum(f["rows_in"] for f in answer.json["files"]) == 5


TRAPS = [
    ('name,note\n"5" pipe,"new\n"oak",z\n7,y\n', [["oak", "z"], ["7", "y"]]),
    ('name,id\n"a "b", "c" d",3\n"oak",4\n', [["oak", "4"]]),
    ('name,note\nq,r\n"5" pipe,"\n"x\n', [["q", "r"]]),
    ('name,note\n"5" pipe,"line one\nline two, more"\n7,y\n', [["7", "y"]]),
    (
        'id,t\n1,5" pipe\n2,"first line\r\nsecond line"\n3,x\n',
        [["1", '5" pipe'], ["2", "first line\r\nsecond line"], ["3", "x"]],
    ),
]


def _traps(tmp_path: Path, kafka: Cluster, name: str, rest: str, columns: str) -> OrdersProject:
    (tmp_path / "include/pipelines").mkdir(parents=True)
    text = f"""\
pipeline: {name}
owner: cases
source: {{type: local, path: "drops/{{{{ ds }}}}/*"}}
format: {rest}
schema: {{columns: {columns}}}
quality: {{block_when: {{quarantined_over: 100%}}}}
record: {{key: a, headers: none}}
topic: {{name: {name}, manage: create}}
"""
    (tmp_path / "include/pipelines/traps.yaml").write_text(text)
    return OrdersProject(tmp_path, name, kafka.bootstrap)


@pytest.mark.parametrize("at", range(len(TRAPS)))
def test_a_stray_quote_costs_its_own_row(at: int, tmp_path: Path, kafka: Cluster, topic_name: str) -> None:
    """The good rows are published, the others quarantined with their own bytes, each row number once."""
    text, good = TRAPS[at]
    head, body = text.split("\n", 1)
    shop = _traps(tmp_path, kafka, topic_name[-30:].strip("-_.").lower(), "{type: csv}", "{a: string, b: string}")
    shop.drop(DAY, "trap.csv", "a,b\n" + body)
    answer = shop.run()
    assert answer.code in {0, 3}, answer.err
    found = [list(json.loads(m.value()).values()) for m in read_all(kafka.config, shop.name)]
    assert sorted(found) == sorted(good), head
    [file] = answer.json["files"]
    assert file["rows_in"] == file["published"] + file["quarantined"]
    listed = shop.forebay("quarantine", "show", shop.name, "--json").json["files"]
    rows = [row["row"] for one in listed for row in one["rows"]]
    assert len(set(rows)) == len(rows) == file["quarantined"]


def test_a_first_record_that_is_broken_costs_itself_only(tmp_path: Path, kafka: Cluster, topic_name: str) -> None:
    shop = _traps(
        tmp_path, kafka, topic_name[-30:].strip("-_.").lower(), "{type: csv, header: false}", "{a: string, b: string}"
    )
    shop.drop(DAY, "trap.csv", '1,"a"b\n2,c\n3,d\n')
    answer = shop.run()
    assert answer.code == 0, answer.err
    assert [list(json.loads(m.value()).values()) for m in read_all(kafka.config, shop.name)] == [["2", "c"], ["3", "d"]]


def test_json_text_survives_and_broken_members_are_set_aside(tmp_path: Path, kafka: Cluster, topic_name: str) -> None:
    name = topic_name[-30:].strip("-_.").lower()
    shop = _traps(tmp_path, kafka, name, "{type: json_lines, loose_scalars: true}", "{a: string, b: string}")
    shop.drop(DAY, "trap.jsonl", '{"a":"1","b":1.10}\n{"a":"2","x":[1,]}\n{"a":"3","b":"t"}\n{"a":"4","":2}\n')
    answer = shop.run()
    assert answer.code == 0, answer.err
    found = [json.loads(m.value()) for m in read_all(kafka.config, shop.name)]
    assert [(v["a"], v.get("b")) for v in found] == [("1", "1.10"), ("3", "t"), ("4", None)]


@pytest.mark.parametrize("folder", ["id=7", "env=prod", "a[1]*?"])
def test_the_path_of_a_project_means_nothing(folder: str, tmp_path: Path, kafka: Cluster, topic_name: str) -> None:
    shop = OrdersProject.make(tmp_path / folder, topic_name[-30:].strip("-_.").lower(), kafka.bootstrap)
    shop.drop(DAY, "a.csv", "id,customer,amount,day\n1,c1,1.50,2026-01-05\n2,c2,2.50,2026-01-05\n")
    answer = shop.run()
    assert answer.code == 0, answer.err
    found = read_all(kafka.config, shop.name)
    assert sorted((json.loads(m.value())["id"], m.key()) for m in found) == [(1, b"c1"), (2, b"c2")]


def _cut_files(tmp_path: Path, kafka: Cluster, name: str, seed: int, count: int) -> None:
    from tests.cases.every_row import write  # the generator of the case, its draws untouched

    (tmp_path / "include/pipelines").mkdir(parents=True)
    (tmp_path / "include/pipelines/cut.yaml").write_text(f"""\
pipeline: {name}
owner: cases
source: {{type: local, path: "drops/{{{{ ds }}}}/*.csv"}}
format: {{type: csv}}
schema: {{columns: {{id: string, a: string, b: string}}}}
record: {{key: id, headers: none}}
topic: {{name: {name}, manage: create}}
""")
    import random

    folder = tmp_path / "drops" / DAY
    folder.mkdir(parents=True)
    source = random.Random(seed)
    written = [write(folder / f"f{n}.csv", source, ["long", "short", "one"][n % 3], bool(n % 2)) for n in range(count)]
    shop = OrdersProject(tmp_path, name, kafka.bootstrap)
    answer = shop.run()
    assert answer.code == 0, answer.err
    told = {f["uri"].rsplit("/", 1)[-1]: (f["rows_in"], f["published"], f["quarantined"]) for f in answer.json["files"]}
    assert told == {w.file: (w.rows, w.rows - w.bad, w.bad) for w in written}
    assert len(read_all(kafka.config, name)) == sum(w.rows - w.bad for w in written)


def test_no_row_is_lost_where_a_parallel_scan_cuts(tmp_path: Path, kafka: Cluster, topic_name: str) -> None:
    _cut_files(tmp_path, kafka, topic_name[-30:].strip("-_.").lower(), 1, 2)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 8))
def test_no_row_is_lost_where_a_parallel_scan_cuts_many_times(
    seed: int, tmp_path: Path, kafka: Cluster, topic_name: str
) -> None:
    _cut_files(tmp_path, kafka, topic_name[-30:].strip("-_.").lower(), seed, 6)
