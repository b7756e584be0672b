"""`forebay run` against a real broker: what became of each file, and the exit codes that other programs rely on."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Answer

pytestmark = pytest.mark.kafka

Run = Callable[..., Answer]

PIPELINE = """\
pipeline: {topic}
owner: shop
source: {{type: local, path: "drops/{{{{ ds }}}}/*.csv*"}}
format: {{type: csv}}
schema: {{columns: {{id: int64, amount: "decimal(10,2)"}}}}
record: {{key: id}}
topic: {{name: {topic}, partitions: 2, manage: {manage}}}
{more}
"""


@pytest.fixture
def name(topic_name: str) -> str:
    """A pipeline's and its topic's name, used by no other test."""
    return "p" + topic_name.lower().replace(".", "-")[-40:]


@pytest.fixture
def run(name: str, kafka: Any, forebay: Run, pipeline: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("--date", "2013-01-01", more="settle: …")` writes the pipeline and runs it."""

    def call(*args: str, manage: str = "create", more: str = "", bootstrap: str = kafka.bootstrap) -> Answer:
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap)
        pipeline(PIPELINE.format(topic=name, manage=manage, more=more), name)
        return forebay("run", name, *args, "--json")

    return call


def drop(root: Path, data: bytes, file: str = "a.csv", day: str = "2013-01-01") -> None:
    path = root / "drops" / day / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_a_file_is_published_and_the_document_says_where(run: Run, root: Path, name: str) -> None:
    drop(root, b"id,amount\n1,1.50\n2,x\n3,2.00\n")
    answer = run("--date", "2013-01-01")
    assert answer.code == 0, answer.err
    assert set(answer.json) == {"run_id", "pipeline", "window", "status", "files"}
    [file] = answer.json["files"]
    assert set(file) == {
        "uri",
        "fingerprint",
        "fate",
        "reason",
        "rows_in",
        "published",
        "quarantined",
        "rejected",
        "outputs",
    } | {
        "generation",
        "supersedes",
        "left",
    }
    assert (file["fate"], file["rows_in"], file["published"], file["quarantined"], file["rejected"]) == (
        "new",
        3,
        2,
        1,
        0,
    )
    assert sum(place["count"] for place in file["outputs"]) == 2
    assert {place["topic"] for place in file["outputs"]} == {name}
    assert "file.published" in answer.err


def test_the_same_window_again_publishes_nothing(run: Run, root: Path) -> None:
    drop(root, b"id,amount\n1,1.50\n")
    run("--date", "2013-01-01")
    answer = run("--date", "2013-01-01")
    assert (answer.code, answer.json["status"], [file["fate"] for file in answer.json["files"]]) == (
        0,
        "done",
        ["already published"],
    )


def test_a_new_generation_publishes_again_with_a_reason(run: Run, root: Path) -> None:
    drop(root, b"id,amount\n1,1.50\n")
    first = run("--date", "2013-01-01").json["files"][0]
    again = run("--date", "2013-01-01", "--generation", "new", "--reason", "the consumer lost its table").json["files"][
        0
    ]
    assert (again["published"], again["fingerprint"]) == (1, first["fingerprint"])
    assert again["outputs"][0]["first"] > first["outputs"][0]["first"]


def test_several_windows_are_a_list_of_runs(run: Run, root: Path) -> None:
    drop(root, b"id,amount\n1,1.50\n", day="2013-01-02")
    answer = run("--from", "2013-01-01", "--to", "2013-01-02")
    assert answer.code == 4, answer.err  # the first night has no files yet
    assert [(one["status"], len(one["files"])) for one in answer.json["runs"]] == [("not ready", 0), ("done", 1)]
    assert len({one["run_id"] for one in answer.json["runs"]}) == 2


def test_a_broken_file_fails_the_run_and_not_the_others(run: Run, root: Path) -> None:
    drop(root, gzip.compress(b"id,amount\n" + b"1,1.50\n" * 1000)[:-12], "a.csv.gz")
    drop(root, b"id,amount\n2,1.50\n", "b.csv")
    answer = run("--date", "2013-01-01")
    assert (answer.code, answer.json["status"]) == (1, "failed")
    broken, good = answer.json["files"]
    assert "a.csv.gz" in broken["reason"]
    assert (broken["published"], good["published"]) == (0, 1)


@pytest.mark.slow
def test_a_blocked_file_waits_for_a_person_and_takes_an_answer(run: Run, root: Path, name: str) -> None:
    rule = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 100}, "severity": "critical"}
    (root / "include" / "expectations" / "big.json").write_text(json.dumps({"name": "big", "expectations": [rule]}))
    drop(root, b"id,amount\n1,1.50\n")
    more = "quality: {suite: big}"
    waits = run("--date", "2013-01-01", more=more)
    assert (waits.code, waits.json["status"], waits.json["files"][0]["published"]) == (3, "held back", 0)
    passed = run("--date", "2013-01-01", "--steward", "publish", "--reason", "a holiday", more=more)
    assert (passed.code, passed.json["files"][0]["published"]) == (0, 1)


def test_a_topic_that_is_missing_is_named(run: Run, root: Path, name: str) -> None:
    drop(root, b"id,amount\n1,1.50\n")
    answer = run("--date", "2013-01-01", manage="check")
    assert answer.code in {1, 2}
    assert f"`{name}`" in answer.json["error"]["message"]


def test_a_broker_that_cannot_be_reached_exits_with_4(run: Run, root: Path) -> None:
    drop(root, b"id,amount\n1,1.50\n")
    answer = run("--date", "2013-01-01", bootstrap="127.0.0.1:1")
    assert (answer.code, answer.json["error"]["type"]) == (4, "BrokerUnavailableError")
    assert "127.0.0.1:1" in answer.json["error"]["message"]


LOADED = """\
import sys
from forebay.cli.main import main
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def test_a_run_without_a_suite_does_not_pay_for_great_expectations(run: Run, root: Path, name: str, kafka: Any) -> None:
    """A small file is published by a process that never loads what only suites need; loading it costs more than all the
    rest."""
    drop(root, b"id,amount\n1,1.50\n")
    assert run("--from", "2013-01-02", "--to", "2013-01-02").code == 4  # writes the pipeline, and makes the topics
    command = [sys.executable, "-c", LOADED, "run", name, "--date", "2013-01-01", "--json"]
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout)["files"][0]["published"] == 1
    loaded = set(done.stderr.splitlines()[-1].split())
    assert {"pyarrow", "duckdb", "confluent_kafka"} <= loaded, "the list is that of a run"
    assert loaded & {"great_expectations", "pandas", "scipy", "altair", "boto3", "airflow"} == set()
