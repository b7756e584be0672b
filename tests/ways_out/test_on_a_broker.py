"""Ways out that need a real cluster, followed: the command that was refused does its work then, and each row is there
once."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from forebay.errors import TopicMissingError
from forebay.kafka.cluster import describe
from tests.e2e.test_generations import line, sha256  # noqa: F401 (a fixture)
from tests.kafka.test_ways_out_of_doctor import alter
from tests.support.kafka import Cluster, create_topic, delete_records, read_all
from tests.support.ledger_topics import lose
from tests.support.project import Answer, OrdersProject, orders

pytestmark = pytest.mark.kafka
DAY, NEXT = "2026-01-05", "2026-01-06"
ROWS = 20


@pytest.fixture
def shop(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    return OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)


def ids(shop: OrdersProject, kafka: Cluster) -> list[int]:
    return sorted(json.loads(message.value())["id"] for message in read_all(kafka.config, shop.name))


def told(answer: Answer) -> str:
    """All that the command said, and why each file ended as it did."""
    files = json.loads(answer.out).get("files", []) if answer.out.startswith("{") else []
    return answer.err + answer.out + "".join(str(file.get("reason") or file.get("error")) for file in files)


def edit(shop: OrdersProject, old: str, new: str) -> None:
    path = shop.root / "include/pipelines/orders.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# ---- the ledger


@pytest.fixture
def published(shop: OrdersProject) -> OrdersProject:
    """One file is published."""
    shop.drop(DAY, "a.csv", orders(1, ROWS))
    assert shop.run().code == 0
    return shop


def exported(shop: OrdersProject) -> str:
    path = shop.root / "ledger.jsonl"
    path.unlink(missing_ok=True)
    answer = shop.forebay("ledger", "export", shop.name, "--to", str(path))
    assert answer.code == 0, told(answer)
    return str(path)


def skipped(shop: OrdersProject, kafka: Cluster) -> None:
    """The file is known, and nothing comes twice."""
    again = shop.run()
    assert (again.code, [file["fate"] for file in again.json["files"]]) == (0, ["already published"]), told(again)
    assert ids(shop, kafka) == list(range(1, ROWS + 1))


def test_a_ledger_topic_of_another_count_is_deleted_and_restored(published: OrdersProject, kafka: Cluster) -> None:
    backup, topic = exported(published), f"forebay.{published.name}.ledger"
    lose(topic, kafka)
    create_topic(kafka.config, topic, 3, cleanup_policy="compact")
    refused = published.forebay("ledger", "restore", published.name, "--from", backup)
    assert (refused.code, f"delete `{topic}`: it is then made anew" in refused.err) == (1, True), told(refused)
    lose(topic, kafka)
    assert published.forebay("ledger", "restore", published.name, "--from", backup).code == 0
    skipped(published, kafka)


def test_a_ledger_of_another_count_is_restored_when_the_pipeline_has_the_files(
    published: OrdersProject, kafka: Cluster
) -> None:
    backup = exported(published)
    edit(published, "publish: {", "publish: {ledger_partitions: 2, ")
    refused = published.forebay("ledger", "restore", published.name, "--from", backup)
    assert (refused.code, "it has 1 partition, " in refused.err) == (1, True), told(refused)
    assert "(set it to what the file has:" in refused.err
    edit(published, "ledger_partitions: 2", "ledger_partitions: 1")
    assert published.forebay("ledger", "restore", published.name, "--from", backup).code == 0
    skipped(published, kafka)


@pytest.mark.parametrize("seen_by", ["the topics", "the memory", "the records"])
def test_a_ledger_topic_that_grew_is_exported_and_restored(
    seen_by: str, published: OrdersProject, kafka: Cluster
) -> None:
    """The count is the pipeline's; it was set to what the topic has, and this machine knows better; it knows
    nothing."""
    from confluent_kafka.admin import NewPartitions

    topic, admin = f"forebay.{published.name}.ledger", kafka.admin()
    admin.create_partitions([NewPartitions(topic, 2)])[topic].result(30)
    if seen_by != "the topics":
        edit(published, "publish: {", "publish: {ledger_partitions: 2, ")
    if seen_by == "the records":
        shutil.rmtree(published.root / ".forebay/ledger")
    refused = told(published.run())
    assert "--to FILE`, delete the topic, `forebay ledger restore" in refused, refused
    assert ids(published, kafka) == list(range(1, ROWS + 1))
    if seen_by != "the topics":
        assert "(set `publish.ledger_partitions: 1`, then: " in refused
        edit(published, "ledger_partitions: 2", "ledger_partitions: 1")
    backup = exported(published)
    lose(topic, kafka)
    restored = published.forebay("ledger", "restore", published.name, "--from", backup)
    assert restored.code == 0, told(restored)
    skipped(published, kafka)


@pytest.mark.parametrize("way", ["restore it", "delete it"])
def test_a_memory_of_the_ledger_that_is_no_json_is_restored_or_deleted(
    way: str, published: OrdersProject, kafka: Cluster
) -> None:
    path = published.root / f".forebay/ledger/{published.name}.json"
    kept = path.read_text()
    path.write_text(kept[:-9])
    refused = published.run()
    assert (refused.code, "restore it, or delete it and run `forebay ledger verify" in told(refused)) == (1, True)
    if way == "restore it":
        path.write_text(kept)
    else:
        path.unlink()
        assert published.forebay("ledger", "verify", published.name).code == 0
    skipped(published, kafka)


# ---- times of records


SOON = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
LAST_WEEK, SINCE = ((datetime.now(UTC) - timedelta(days=days)).date().isoformat() for days in (7, 2))
AFTER, BEFORE, KEPT = "message.timestamp.after.max.ms", "message.timestamp.before.max.ms", "retention.ms"
TIMES = {
    "after": (SOON, {}, f"raise its `{AFTER}`, or leave `record.timestamp` out", {AFTER: str(1 << 62)}),
    "before": (SINCE, {BEFORE: "1000"}, "raise that, or leave `record.timestamp` out", {BEFORE: str(1 << 62)}),
    "kept": (
        LAST_WEEK,
        {KEPT: "3600000"},
        "set `topic.config: {retention.ms: -1}` and alter the topic, or leave `record.timestamp` out",
        {KEPT: "-1"},
    ),
}
"""The day of the rows, what the topic is set to, the way out, and what it says to set."""


@pytest.mark.parametrize("way", ["topic", "pipeline"])
@pytest.mark.parametrize("name", TIMES)
def test_rows_with_times_are_published_when_the_way_out_is_followed(
    name: str, way: str, shop: OrdersProject, kafka: Cluster
) -> None:
    day, settings, way_out, followed = TIMES[name]
    edit(shop, "record: {", "record: {timestamp: day, ")
    given: dict[str, Any] = {key.replace(".", "_"): value for key, value in settings.items()}
    create_topic(kafka.config, shop.name, 3, **given)
    shop.drop(DAY, "a.csv", orders(1, ROWS).replace(DAY, day))
    refused = shop.run()
    listed = shop.forebay("quarantine", "show", shop.name).out if name == "after" else ""
    assert refused.code != 0 and way_out in " ".join((told(refused) + listed).split()), told(refused) + listed
    assert ids(shop, kafka) == []
    for key, value in followed.items() if way == "topic" else ():
        alter(kafka.config, shop.name, key, value)
        if key == KEPT:
            edit(shop, "manage: create", f"manage: create, config: {{{key}: {value}}}")
    if way == "pipeline":
        edit(shop, "timestamp: day, ", "")
    again = shop.run()
    assert (again.code, ids(shop, kafka)) == (0, list(range(1, ROWS + 1))), told(again)


# ---- quarantined rows, and back


@pytest.fixture
def aside(shop: OrdersProject) -> OrdersProject:
    """Rows 10 to 40 of 100 cannot be read."""
    edit(shop, "quarantined_over: 20%", "quarantined_over: 50%")
    lines = orders(1, 100).splitlines(keepends=True)
    for n in range(10, 41):
        lines[n] = f"{n},c1,x,{DAY}\n"
    shop.drop(DAY, "a.csv", "".join(lines))
    assert shop.run().code == 0
    return shop


def test_rows_set_aside_are_mended_when_each_way_out_is_followed(aside: OrdersProject, kafka: Cluster) -> None:
    """From the list of rows to their publication, by all that is refused on the way."""
    shop, to = aside, aside.root / "rows.csv"

    def quarantine(*words: str) -> Answer:
        return shop.forebay("quarantine", words[0], shop.name, *words[1:])

    shown = quarantine("show")
    assert "and 11 more (--limit, or: forebay quarantine export" in " ".join(shown.out.split())
    assert quarantine("show", "--limit", "31").out.count("row ") == 31
    assert quarantine("export", "--to", str(to)).code == 0 and to.read_text().count(",x,") == 31
    refused = quarantine("export", "--to", str(to), "--repair")
    assert (refused.code, "name another file, or remove it" in refused.err) == (2, True), told(refused)
    assert quarantine("export", "--to", str(shop.root / "other.csv"), "--repair").code == 0
    to.unlink()
    assert quarantine("export", "--to", str(to), "--repair").code == 0

    with to.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    stay = write(to, rows, {})
    many = quarantine("replay", "--from", str(stay), "--reason", "try")
    assert (many.code, "and 11 more (--json names them all)" in many.out) == (3, True), told(many)
    named = quarantine("replay", "--from", str(stay), "--reason", "try", "--json")
    assert len(named.json["files"][0]["still"]) == 31

    mended = write(to, rows[:1], {"amount": "10.50"})
    refused = quarantine("replay", "--from", str(mended), "--reason", " ")
    assert (refused.code, "give --reason" in refused.err) == (2, True), told(refused)
    stranger = write(to, [rows[0], rows[1] | {"__row": "50"}], {"amount": "10.50"})
    refused = quarantine("replay", "--from", str(stranger), "--reason", "typing errors")
    assert (refused.code, "(take out what was never quarantined: 1 row)" in refused.err) == (2, True), told(refused)
    done = quarantine("replay", "--from", str(write(to, rows[:1], {"amount": "10.50"})), "--reason", "typing errors")
    assert done.code == 0, told(done)
    assert ids(shop, kafka) == [*range(1, 11), *range(41, 101)]


def test_rows_of_which_the_edited_file_alone_knows_are_mended_when_the_way_out_is_followed(
    aside: OrdersProject, kafka: Cluster
) -> None:
    shop, to = aside, aside.root / "rows.csv"
    assert shop.forebay("quarantine", "export", shop.name, "--to", str(to), "--repair").code == 0
    with to.open(encoding="utf-8", newline="") as file:
        rows = [row | {"amount": "1.50"} for row in csv.DictReader(file)]
    topic = f"forebay.{shop.name}.quarantine"
    delete_records(kafka.config, topic, {m.partition(): m.offset() + 1 for m in read_all(kafka.config, topic)})
    shutil.rmtree(shop.root / ".forebay/work")
    replay = ("quarantine", "replay", shop.name, "--from", str(to), "--reason", "typing errors")
    for number, way_out in (("50", "take out those that were published"), ("150", "correct `__row`")):
        write(to, [*rows[number == "150" :], rows[0] | {"__row": number}], {})
        refused = shop.forebay(*replay)
        assert (refused.code, way_out in refused.err) == (2, True), told(refused)
    write(to, rows, {})
    done = shop.forebay(*replay)
    assert (done.code, ids(shop, kafka)) == (0, list(range(1, 101))), told(done)


def test_rows_whose_stage_is_gone_are_exported_without_repair(aside: OrdersProject) -> None:
    to = aside.root / "rows.csv"
    for stage in (aside.root / ".forebay/work").rglob("stage.json"):
        stage.unlink()
    refused = aside.forebay("quarantine", "export", aside.name, "--to", str(to), "--repair")
    assert (refused.code, "export them without --repair" in refused.err) == (2, True), told(refused)
    done = aside.forebay("quarantine", "export", aside.name, "--to", str(to))
    assert (done.code, to.read_text().count(",x,")) == (0, 31), told(done)


def write(path: Path, rows: list[dict[str, str]], changes: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | changes for row in rows)
    return path


# ---- and the rest


def test_a_copy_is_published_under_a_name_that_had_another_content(line: OrdersProject, kafka: Cluster) -> None:  # noqa: F811
    body = orders(1, 5)
    line.drop(DAY, "a.csv", body)
    line.drop(NEXT, "b.csv", orders(11, 12))
    assert (line.run().code, line.run(NEXT).code) == (0, 0)
    line.drop(NEXT, "b.csv", body)
    copy = line.run(NEXT)
    assert "(`--generation new` publishes these bytes instead)" in told(copy)
    assert ids(line, kafka) == [*range(1, 6), 11, 12]
    done = line.run(NEXT, "--generation", "new", "--reason", "wanted under this name")
    assert (done.code, ids(line, kafka)) == (0, [*sorted([*range(1, 6)] * 2), 11, 12]), told(done)


def test_a_topic_that_is_not_there_is_described_when_it_is_made_or_named_right(kafka: Cluster, topic_name: str) -> None:
    other = f"{topic_name}-other"
    create_topic(kafka.config, other, 1)
    with pytest.raises(TopicMissingError, match=r"\(create it, or correct its name\)"):
        describe(kafka.config, [topic_name])
    assert [topic.name for topic in describe(kafka.config, [other]).topics] == [other]
    create_topic(kafka.config, topic_name, 1)
    assert [topic.name for topic in describe(kafka.config, [topic_name]).topics] == [topic_name]


ROOT_IS_NOBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
"""Before a command: root may then read what the permissions say, as everybody."""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may read every folder")
def test_a_window_is_read_when_the_folder_that_is_named_may_be_read(shop: OrdersProject, kafka: Cluster) -> None:
    edit(shop, "/*.csv", "/**/*.csv")
    shop.drop(DAY, "a.csv", orders(1, 10))
    folder = shop.drop(DAY, "late/b.csv", orders(11, ROWS)).parent

    def run() -> Answer:
        words = (sys.executable, "-m", "forebay.cli", "run", shop.name, "--date", DAY, "--json")
        done = subprocess.run(
            [*(ROOT_IS_NOBODY if os.geteuid() == 0 else ()), *words],
            cwd=shop.root,
            env=shop.environment(),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    for mode in (0o000, 0o600):
        folder.chmod(mode)
        try:
            refused = run()
        finally:
            folder.chmod(0o700)
        assert refused.code == 1 and "Traceback" not in refused.err, told(refused)
        assert f"listing `{folder.as_uri()}" in told(refused), told(refused)
        assert "(let the user that runs forebay read and enter the folder)" in told(refused)
        assert shop.name not in kafka.admin().list_topics(timeout=10).topics or ids(shop, kafka) == []
    done = run()
    assert (done.code, ids(shop, kafka)) == (0, list(range(1, ROWS + 1))), told(done)


def test_a_row_that_does_not_fit_in_memory_fails_its_file_alone_until_there_is_more(
    shop: OrdersProject, kafka: Cluster
) -> None:
    edit(shop, "{type: csv}", "{type: csv, max_record_bytes: 64MiB}")
    shop.drop(DAY, "a.csv", orders(1, 10))
    shop.drop(DAY, "b.csv", orders(11, ROWS).replace("c5,", "c" * 6_000_000 + ",", 1))
    refused = shop.run(FOREBAY_MEMORY="64MiB")
    assert refused.code == 1 and "raise FOREBAY_MEMORY" in told(refused), told(refused)
    assert ids(shop, kafka) == list(range(1, 11))
    done = shop.run(FOREBAY_MEMORY="512MiB")
    assert (done.code, len(ids(shop, kafka))) == (0, ROWS - 1), told(done)
