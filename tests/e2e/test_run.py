"""`forebay run` on a real broker: the whole way of a file, what it says, and that nothing comes twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.kafka import Cluster, read_all
from tests.support.processes import wait_until_stopped
from tests.support.project import OrdersProject, orders

pytestmark = pytest.mark.kafka
DAY = "2026-01-05"


@pytest.fixture
def shop(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    return OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)


def ids(shop: OrdersProject, kafka: Cluster) -> list[int]:
    return [json.loads(m.value())["id"] for m in read_all(kafka.config, shop.name)]


def test_a_file_becomes_records_once_and_can_be_traced(shop: OrdersProject, kafka: Cluster) -> None:
    """The first run is a process as a user starts it; all others here are forked from a warm one."""
    path = shop.drop(DAY, "a.csv", orders(1, 500))
    first = shop.started("run", shop.name, "--date", DAY, "--json")
    assert first.code == 0, first.err
    [file] = first.json["files"]
    assert (file["fate"], file["rows_in"], file["published"], file["quarantined"], file["rejected"]) == (
        "new",
        500,
        500,
        0,
        0,
    )
    assert first.json["status"] == "done"
    assert sum(o["count"] for o in file["outputs"]) == 500
    assert sorted(ids(shop, kafka)) == list(range(1, 501))

    again = shop.run()
    assert again.code == 0
    assert again.json["files"][0]["fate"] == "already published"
    assert len(ids(shop, kafka)) == 500

    message = read_all(kafka.config, shop.name)[123]
    traced = shop.forebay("trace", shop.name, str(message.partition()), str(message.offset()), "--json").json
    assert (traced["row"], traced["uri"]) == (json.loads(message.value())["id"], f"file://{path}")
    forward = shop.forebay("trace", str(path), "--json").json["files"][0]
    assert sum(r["count"] for r in forward["ranges"]) == 500


def test_bad_rows_are_set_aside_with_row_reason_and_raw_text(shop: OrdersProject, kafka: Cluster) -> None:
    lines = orders(1, 100).splitlines(keepends=True)
    lines[10] = "10,c3,not-a-number,2026-01-05\n"  # row 10
    lines[20] = "20,c6\n"
    lines[30] = "30,c2,-5.00,2026-01-05\n"
    lines[40] = "41,c5,1.00,2026-01-05\n"  # row 40 has row 41's id: both fail uniqueness
    shop.drop(DAY, "a.csv", "".join(lines))
    [file] = shop.run().json["files"]
    assert (file["rows_in"], file["published"], file["quarantined"]) == (100, 95, 5)
    listed = shop.forebay("quarantine", "show", shop.name, "--json").json["files"][0]["rows"]
    assert [row["row"] for row in listed] == [10, 20, 30, 40, 41]
    by_row = {row["row"]: row for row in listed}
    assert "not-a-number" in by_row[10]["raw"] and "amount" in by_row[10]["columns"]
    assert by_row[20]["raw"].rstrip() == "20,c6"
    assert "expect_column_values_to_be_between" in by_row[30]["rule"]
    assert "expect_column_values_to_be_unique" in by_row[40]["rule"]
    aside = read_all(kafka.config, f"forebay.{shop.name}.quarantine")
    rows = sorted(int(dict(m.headers())["ce_id"].split(b":")[2]) for m in aside)
    assert rows == [10, 20, 30, 40, 41]
    assert set(ids(shop, kafka)) & {10, 20, 30, 40, 41} == set()


def test_a_copy_is_a_duplicate_and_a_correction_supersedes(shop: OrdersProject, kafka: Cluster) -> None:
    shop.drop(DAY, "a.csv", orders(1, 50))
    assert shop.run().code == 0
    shop.drop("2026-01-06", "renamed.csv", orders(1, 50))
    [copy] = shop.run("2026-01-06").json["files"]
    assert (copy["fate"], copy["published"]) == ("duplicate", 0)
    assert "a.csv" in copy["reason"]
    shop.drop(DAY, "a.csv", orders(51, 60))
    [changed] = shop.run().json["files"]
    assert (changed["fate"], changed["published"]) == ("changed content", 10)
    assert sorted(ids(shop, kafka)) == list(range(1, 61))


def test_a_new_generation_publishes_again_with_a_reason(shop: OrdersProject, kafka: Cluster) -> None:
    shop.drop(DAY, "a.csv", orders(1, 20))
    shop.run()
    assert shop.run(DAY, "--generation", "new").code == 2
    again = shop.run(DAY, "--generation", "new", "--reason", "consumers lost their state")
    assert again.json["files"][0]["published"] == 20
    assert Counter(ids(shop, kafka)) == Counter(dict.fromkeys(range(1, 21), 2))
    entries = shop.forebay("ledger", "show", shop.name, "--json").json["files"]
    assert [(e["generation"], e["completion"]["reason"] is not None) for e in entries] == [(1, False), (2, True)]


def test_too_many_bad_rows_hold_the_file_back_until_a_person_answers(shop: OrdersProject, kafka: Cluster) -> None:
    rows = "".join(f"{n},c1,-1.00,2026-01-05\n" for n in range(1, 31))
    shop.drop(DAY, "a.csv", orders(31, 100) + rows)
    held = shop.run()
    assert held.code == 3
    [file] = held.json["files"]
    assert (file["published"], held.json["status"]) == (0, "held back")
    assert read_all(kafka.config, shop.name) == []
    answered = shop.run(DAY, "--steward", "publish", "--reason", "refunds, known")
    assert answered.code == 0, answered.err
    assert (answered.json["files"][0]["published"], answered.json["files"][0]["quarantined"]) == (70, 30)


def test_a_rejected_file_publishes_nothing_and_counts_every_row(shop: OrdersProject, kafka: Cluster) -> None:
    shop.drop(DAY, "a.csv", "id,customer,amount,day\n" + "".join(f"{n},c1,-1.00,2026-01-05\n" for n in range(10)))
    answered = shop.run(DAY, "--steward", "reject", "--reason", "wrong sign")
    [file] = answered.json["files"]
    assert (file["rows_in"], file["rejected"], file["published"], file["quarantined"]) == (10, 10, 0, 0)
    assert read_all(kafka.config, shop.name) == []
    assert read_all(kafka.config, f"forebay.{shop.name}.quarantine") == []


def test_a_file_that_cannot_be_read_fails_alone_and_stays(shop: OrdersProject, kafka: Cluster) -> None:
    shop.drop(DAY, "a.csv", orders(1, 10))
    broken = shop.drop(DAY, "b.csv", "wrong,header\n1,2\n")
    answer = shop.run()
    assert answer.code == 1
    good, bad = answer.json["files"]
    assert (good["published"], bad["published"]) == (10, 0)
    assert broken.exists()
    assert "b.csv" in shop.forebay("files", shop.name).out


def test_header_only_is_done_and_an_empty_folder_is_not_ready(shop: OrdersProject) -> None:
    nothing = shop.run()
    assert (nothing.code, nothing.json["status"], nothing.json["files"]) == (4, "not ready", [])
    [run] = shop.forebay("runs", "--json").json["runs"]
    assert (run["status"], run["note"]) == ("not ready", "not ready: nothing matches `drops/2026-01-05/*.csv`")
    shop.drop(DAY, "a.csv", "id,customer,amount,day\n")
    empty = shop.run()
    assert empty.code == 0, empty.err
    assert empty.json["files"][0]["rows_in"] == 0
    again = shop.run()
    assert (again.code, again.json["status"], again.json["files"][0]["fate"]) == (0, "done", "already published")


def test_files_that_were_archived_since_leave_a_window_that_is_done(shop: OrdersProject) -> None:
    pipeline = shop.root / "include/pipelines/orders.yaml"
    pipeline.write_text(pipeline.read_text() + "settle: {type: archive, path: 'done/{{ ds }}/'}\n")
    shop.drop(DAY, "a.csv", orders(1, 3))
    assert shop.run().code == 0
    again = shop.run()
    assert (again.code, again.json["status"], again.json["files"]) == (0, "done", [])


def test_a_window_that_needs_no_file_says_so(shop: OrdersProject) -> None:
    pipeline = shop.root / "include/pipelines/orders.yaml"
    pipeline.write_text(
        pipeline.read_text().replace("  path: drops", "  ready_when: {expect: {files: 0}}\n  path: drops")
    )
    answer = shop.run()
    assert (answer.code, answer.json["status"], answer.json["files"]) == (0, "done", [])


def test_a_window_without_its_marker_is_not_ready(shop: OrdersProject) -> None:
    pipeline = shop.root / "include/pipelines/orders.yaml"
    pipeline.write_text(
        pipeline.read_text().replace("  path: drops", "  ready_when: {marker: _SUCCESS}\n  path: drops")
    )
    shop.drop(DAY, "a.csv", orders(1, 3))
    waiting = shop.run()
    assert (waiting.code, waiting.json["status"]) == (4, "not ready")
    shop.drop(DAY, "_SUCCESS", "")
    assert (shop.run().code, shop.run().json["status"]) == (0, "done")


def test_a_run_that_was_killed_is_told_as_interrupted_and_one_at_work_as_running(shop: OrdersProject) -> None:
    """Killed before a chunk's commit; looked at while it lives (stopped), and when it is gone."""
    shop.drop(DAY, "a.csv", orders(1, 10))
    command = [sys.executable, "-m", "forebay.cli", "run", shop.name, "--date", DAY, "--json"]
    environment = shop.environment(FOREBAY_FAILPOINT="after_flush:stop")
    with subprocess.Popen(
        command, cwd=shop.root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_until_stopped(process.pid)
        [run] = shop.forebay("runs", "--json").json["runs"]
        assert run["status"] == "running"
        process.kill()
    [run] = shop.forebay("runs", "--json").json["runs"]
    assert (run["status"], run["note"].partition(" (")[0]) == ("interrupted", "its process ended without a word")
    assert run["ended"]
    assert shop.run().code == 0
    assert [found["status"] for found in shop.forebay("runs", "--json").json["runs"]] == ["done", "interrupted"]


def test_many_chunks_and_no_headers(tmp_path: Path, kafka: Cluster, topic_name: str) -> None:
    shop = OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap, chunk=100, headers="none")
    shop.drop(DAY, "a.csv", orders(1, 1050))
    answer = shop.run()
    assert answer.code == 0, answer.err
    assert sorted(ids(shop, kafka)) == list(range(1, 1051))
    message = read_all(kafka.config, shop.name)[777]
    assert not message.headers()
    traced = shop.forebay("trace", shop.name, str(message.partition()), str(message.offset()), "--json").json
    assert traced["row"] == json.loads(message.value())["id"]


def test_the_index_comes_back_from_the_ledger(shop: OrdersProject) -> None:
    shop.drop(DAY, "a.csv", orders(1, 100) + "x,c1,1.00,2026-01-05\n")
    shop.run()

    def seen() -> list[Any]:
        files = shop.forebay("files", shop.name, "--json").json["files"]
        return [
            (f["file"]["uri"], f["fingerprint"], f["published"], f["quarantined"], f["outputs"], f["window"]["start"])
            for f in files
        ]

    before = seen()
    (shop.root / ".forebay/index.sqlite").unlink()
    assert shop.forebay("index", "rebuild").code == 0
    assert seen() == before
    assert shop.forebay("ledger", "verify", shop.name).code == 0


@pytest.mark.parametrize(
    ("environment", "code", "words"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, 4, "no broker answered"),
    ],
)
def test_what_cannot_be_reached_is_said(
    shop: OrdersProject, environment: dict[str, str], code: int, words: str
) -> None:
    path = shop.drop(DAY, "a.csv", orders(1, 10))
    answer = shop.run(DAY, **environment)
    assert (answer.code, words in answer.err) == (code, True), answer.err
    assert path.exists()


def test_times_that_the_topic_would_delete_at_once_are_their_files_matter(shop: OrdersProject, kafka: Cluster) -> None:
    """Kafka's retention goes by the record's time: records of 2013 would be gone minutes after they were published."""
    pipeline = shop.root / "include/pipelines/orders.yaml"
    pipeline.write_text(
        pipeline.read_text().replace("record: {key: [customer],", "record: {key: [customer], timestamp: day,")
    )
    shop.drop(DAY, "a.csv", orders(1, 10).replace("2026-01-05", "2013-01-05"))
    refused = shop.run()
    assert refused.code == 1
    assert "the topic keeps records of the last 7 days" in refused.json["files"][0]["reason"]
    assert read_all(kafka.config, shop.name) == []
    alter(kafka, shop.name, {"retention.ms": "-1"})
    assert shop.run().json["files"][0]["published"] == 10


def test_times_that_the_topic_refuses_are_set_aside_before_anything_is_sent(
    shop: OrdersProject, kafka: Cluster
) -> None:
    pipeline = shop.root / "include/pipelines/orders.yaml"
    pipeline.write_text(
        pipeline.read_text().replace("record: {key: [customer],", "record: {key: [customer], timestamp: day,")
    )
    shop.drop(DAY, "a.csv", orders(1, 10).replace("2026-01-05", "2099-01-05"))
    held = shop.run()
    assert (held.code, held.json["status"]) == (3, "held back"), held.err
    assert read_all(kafka.config, shop.name) == []


def alter(kafka: Cluster, topic: str, settings: dict[str, str]) -> None:
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
    ]
    admin = kafka.admin()
    for future in admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)]
    ).values():
        future.result()
