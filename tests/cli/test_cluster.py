"""`forebay cluster` and `forebay consumers` against a real broker, a real group and the index."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from forebay.index import projection
from forebay.model import Fate, FileRun, OffsetRange, RunReport, SourceFile, Status, Window
from tests.cli.conftest import GOOD
from tests.support.kafka import Cluster, create_topic, fresh, produce
from tests.support.project import Answer

pytestmark = pytest.mark.kafka

Run = Callable[..., Answer]
Write = Callable[..., Path]


@pytest.fixture
def here(kafka: Cluster, monkeypatch: pytest.MonkeyPatch, root: Path) -> Cluster:
    """The session's broker as the environment's."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap)
    monkeypatch.delenv("FOREBAY_INDEX", raising=False)
    return kafka


def test_cluster_shows_brokers_controller_and_topics(forebay: Run, here: Cluster, topic_name: str) -> None:
    create_topic(here.config, topic_name, partitions=2)
    document = forebay("cluster", "--json").json
    assert document["controller"] == 1
    assert [b["id"] for b in document["brokers"]] == [1]
    (topic,) = [t for t in document["topics"] if t["name"] == topic_name]
    assert [(p["id"], p["leader"], p["replicas"], p["in_sync"]) for p in topic["partitions"]] == [
        (0, 1, [1], [1]),
        (1, 1, [1], [1]),
    ]
    assert (topic["under_replicated"], topic["offline"]) == (0, 0)

    shown = forebay("cluster").out
    assert "1 broker, controller 1" in shown
    assert topic_name in shown


def test_cluster_hides_kafkas_own_topics_unless_asked(forebay: Run, here: Cluster, topic_name: str) -> None:
    create_topic(here.config, topic_name)
    produce(here.config, topic_name, [b"x"], id=fresh("tx"))  # makes __transaction_state
    assert not [t for t in forebay("cluster", "--json").json["topics"] if t["internal"]]
    assert "__transaction_state" in forebay("cluster", "--all").out


def test_cluster_without_a_broker_is_worth_another_try(forebay: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    answer = forebay("cluster", "--json")
    assert answer.code == 4
    assert answer.json["error"]["type"] == "BrokerUnavailableError"


def _published(root: Path, run_id: str, day: date, at: OffsetRange) -> None:
    """A run in the index that published this range."""
    url = f"sqlite:///{root / '.forebay' / 'index.sqlite'}"
    file = FileRun(
        run_id, "orders", Window.of_day(day), SourceFile(f"file:///{run_id}.csv", 1, 0.0), Fate.NEW, "new", Status.DONE
    ).but(fingerprint=run_id.ljust(64, "0"), rows_in=at.count, published=at.count, outputs=(at,))
    projection.project_run(url, RunReport(run_id, "orders", file.window, "done", files=(file,)))
    projection.project_file(url, file)


def test_consumers_shows_how_much_of_each_run_a_group_has_read(
    forebay: Run, here: Cluster, root: Path, pipeline: Write, topic_name: str
) -> None:
    from confluent_kafka import Consumer, TopicPartition

    pipeline(GOOD.replace("topic: {name: orders}", f"topic: {{name: {topic_name}}}"))
    create_topic(here.config, topic_name)
    produce(here.config, topic_name, [b"x"] * 20)
    group = fresh("group")
    consumer = Consumer({**here.config, "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic_name, 0, 15)], asynchronous=False)
    consumer.close()
    _published(root, "r1", date(2013, 1, 1), OffsetRange(topic_name, 0, 0, 9, 10))
    _published(root, "r2", date(2013, 1, 2), OffsetRange(topic_name, 0, 10, 19, 10))

    document = forebay("consumers", "orders", "--json").json
    assert (document["pipeline"], document["topic"]) == ("orders", topic_name)
    (found,) = document["groups"]
    assert (found["id"], found["state"], found["lag"]) == (group, "empty", 5)
    assert {(r["run_id"], r["ds"], r["records"], r["consumed"], r["share"]) for r in found["runs"]} == {
        ("r1", "2013-01-01", 10, 10, 1.0),
        ("r2", "2013-01-02", 10, 5, 0.5),
    }
    shown = forebay("consumers", "orders").out
    assert f"{group}: empty" in shown
    assert "50%" in shown


def test_consumers_of_a_topic_nobody_reads_says_so(
    forebay: Run, here: Cluster, pipeline: Write, topic_name: str
) -> None:
    pipeline(GOOD.replace("topic: {name: orders}", f"topic: {{name: {topic_name}}}"))
    create_topic(here.config, topic_name)
    assert forebay("consumers", "orders").out == f"no consumer group has read {topic_name} yet\n"
    assert forebay("consumers", "orders", "--json").json["groups"] == []


def test_consumers_of_a_topic_that_is_not_there_says_so(forebay: Run, here: Cluster, pipeline: Write) -> None:
    pipeline(GOOD.replace("topic: {name: orders}", "topic: {name: never-made}"))
    answer = forebay("consumers", "orders")
    assert answer.code == 1
    assert "describing topic `never-made`: there is none" in answer.err
