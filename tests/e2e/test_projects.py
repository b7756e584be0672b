"""Two projects on one cluster that gave a pipeline the same name: one is refused with ways out, and each way out leads
on. Judged by a raw consumer."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from forebay.kafka.ledger.entries import Owner
from tests.support.kafka import Cluster, read_all
from tests.support.project import Answer, OrdersProject, orders

pytestmark = pytest.mark.kafka
DAY, NEXT = "2026-01-05", "2026-01-06"


@pytest.fixture
def prod(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    """It has published ten rows of one file."""
    found = OrdersProject.make(tmp_path / "prod", f"orders-{topic_name[-8:]}", kafka.bootstrap)
    found.drop(DAY, "a.csv", orders(1, 10))
    assert found.run().code == 0
    return found


def copy_of(project: OrdersProject, root: Path, *, home: bool = False) -> OrdersProject:
    """The project's folder as it lies; a git clone lacks what forebay keeps in its home."""
    shutil.copytree(project.root, root, ignore=None if home else shutil.ignore_patterns(".forebay"))
    return replace(project, root=root)


def edit(project: OrdersProject, old: str, new: str) -> None:
    path = project.root / "include/pipelines/orders.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def other_topic(project: OrdersProject) -> str:
    """The pipeline publishes to another topic from now on."""
    edit(project, f"topic: {{name: {project.name}", f"topic: {{name: {project.name}-staging")
    return f"{project.name}-staging"


def ids(kafka: Cluster, topic: str) -> list[int]:
    """The rows of a topic, as any consumer sees them; none where there is no such topic."""
    if topic not in kafka.admin().list_topics(timeout=10).topics:
        return []
    return sorted(json.loads(message.value())["id"] for message in read_all(kafka.config, topic))


def refused(answer: Answer) -> bool:
    return answer.code == 2 and "it is another project's" in answer.err and "forebay ledger take" in answer.err


def test_a_copy_with_another_topic_is_refused_and_under_another_name_publishes(
    prod: OrdersProject, kafka: Cluster, tmp_path: Path
) -> None:
    staging = copy_of(prod, tmp_path / "staging")
    topic = other_topic(staging)
    for answer in (staging.run(), staging.forebay("discover", prod.name, "--date", DAY), staging.forebay("doctor")):
        assert answer.code == 2, answer
        assert "another project's" in answer.out + answer.err and prod.name in answer.out + answer.err
    assert refused(staging.run())
    assert (ids(kafka, topic), ids(kafka, prod.name)) == ([], list(range(1, 11)))
    edit(staging, f"pipeline: {prod.name}", f"pipeline: {prod.name}-staging")  # the first way out
    named = replace(staging, name=f"{prod.name}-staging")
    answer = named.run()
    assert answer.code == 0, answer.err
    assert ids(kafka, topic) == list(range(1, 11))
    assert prod.run().json["files"][0]["fate"] == "already published"
    assert ids(kafka, prod.name) == list(range(1, 11))


def test_a_project_that_moved_takes_its_ledger_along(prod: OrdersProject, kafka: Cluster, tmp_path: Path) -> None:
    clone = copy_of(prod, tmp_path / "clone")
    topic = other_topic(prod)
    assert refused(prod.run())
    taken = prod.forebay("ledger", "take", prod.name, "--reason", "moved to a topic of its own", "--json")
    assert (taken.code, taken.json["from_topic"]) == (0, prod.name), taken.err
    assert prod.run().json["files"][0]["fate"] == "already published"
    prod.drop(NEXT, "b.csv", orders(11, 15))
    assert prod.run(NEXT).code == 0
    assert (ids(kafka, topic), ids(kafka, prod.name)) == (list(range(11, 16)), list(range(1, 11)))
    assert refused(clone.run()), "the clone still says what was"
    other_topic(clone)
    assert clone.run(NEXT).code == 4  # it has no file of that night
    assert ids(kafka, topic) == list(range(11, 16))
    again = prod.run(DAY, "--generation", "new", "--reason", "into the new topic")
    assert again.code == 0, again.err
    assert ids(kafka, topic) == list(range(1, 16))
    shown = prod.forebay("ledger", "show", prod.name, "--json").json
    assert [file["published"] for file in shown["files"]] == [10, 5, 10] and shown["owner"]["topic"] == topic
    assert prod.forebay("ledger", "verify", prod.name).code == 0
    assert prod.forebay("index", "rebuild").code == 0
    assert prod.forebay("ledger", "take", prod.name, "--reason", "twice", "--json").json["taken"] is False


def test_a_clone_on_another_worker_is_the_same_project(prod: OrdersProject, kafka: Cluster, tmp_path: Path) -> None:
    clone = copy_of(prod, tmp_path / "clone")
    assert (
        clone.run().json["files"][0]["fate"] == "duplicate"
    )  # of the same bytes in the other folder: they are in the topic
    clone.drop(NEXT, "b.csv", orders(11, 15))
    assert clone.run(NEXT).code == 0
    assert prod.run().code == 0
    assert ids(kafka, prod.name) == list(range(1, 16))


def test_another_source_is_another_project_unless_it_was_edited_here(
    prod: OrdersProject, kafka: Cluster, tmp_path: Path
) -> None:
    stranger, copied = copy_of(prod, tmp_path / "stranger"), copy_of(prod, tmp_path / "copied", home=True)
    for project in (prod, stranger, copied):
        edit(project, "path: drops/", "path: other/")
        (project.root / "other" / DAY).mkdir(parents=True)
        (project.root / "other" / DAY / "b.csv").write_text(orders(11, 12))
    assert refused(stranger.run()) and refused(copied.run())
    assert prod.run(NEXT).code == 4  # no file of that night yet: it stays an edit
    assert prod.run().code == 0
    assert ids(kafka, prod.name) == list(range(1, 13))
    assert stranger.run().code == 0, "it says now what the project says"
    assert ids(kafka, prod.name) == list(range(1, 13))


def as_an_earlier_version(prod: OrdersProject, kafka: Cluster) -> None:
    """Write the ledger's records once more, without an owner; by a producer of the test's own."""
    from confluent_kafka import Producer

    producer = Producer({**kafka.config, "transactional.id": f"{prod.name}-old"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for message in read_all(kafka.config, f"forebay.{prod.name}.ledger"):
        value: dict[str, Any] = json.loads(message.value())
        assert Owner.from_json(value.pop("owner", None) or value["origin"].pop("owner")).topic == prod.name
        producer.produce(f"forebay.{prod.name}.ledger", json.dumps(value), message.key(), partition=0)
    producer.commit_transaction(30)


def test_a_ledger_of_an_earlier_version_is_adopted_and_only_by_its_topic(
    prod: OrdersProject, kafka: Cluster, tmp_path: Path
) -> None:
    as_an_earlier_version(prod, kafka)
    clone, staging = copy_of(prod, tmp_path / "clone"), copy_of(prod, tmp_path / "staging")
    other_topic(staging)
    assert refused(staging.run())
    adopted = clone.run()
    assert (adopted.code, "ledger.adopted" in adopted.err) == (0, True), adopted.err
    assert ids(kafka, prod.name) == list(range(1, 11))


def test_control_without_the_check_the_copy_finds_a_duplicate_and_its_topic_stays_empty(
    prod: OrdersProject, kafka: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What issue 9, B5 saw: the same harm is there as soon as nobody asks whose the ledger is."""
    from forebay.config.connections import EnvironmentConnections
    from forebay.config.home import Project
    from forebay.config.load import load_pipeline
    from forebay.kafka.ledger import owner
    from forebay.model import Window
    from forebay.verbs.context import Context
    from forebay.verbs.run import run_window

    staging = copy_of(prod, tmp_path / "staging")
    topic = other_topic(staging)
    monkeypatch.setattr(owner, "check", lambda *_: None)
    here = Project(staging.root, staging.root / ".forebay")
    ctx = Context.of(
        load_pipeline(here, prod.name), here, EnvironmentConnections({"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap})
    )

    report = run_window(ctx, Window.of_day(date.fromisoformat(DAY), "UTC"))
    assert [(file.fate.value, file.counts.published) for file in report.files] == [("duplicate", 0)]
    assert ids(kafka, topic) == []
