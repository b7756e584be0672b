"""The cluster as forebay sees it, against real brokers and real consumer groups."""

from __future__ import annotations

import time
from typing import Any

import pytest

from forebay.errors import BrokerUnavailableError, NotAuthorizedError, TopicMissingError
from forebay.kafka import cluster
from forebay.kafka.cluster import Consumed
from forebay.model import OffsetRange
from tests.harness import nodes
from tests.support.kafka import CACHE, Cluster, create_topic, fresh, produce


def test_a_range_behind_the_committed_offset_is_consumed() -> None:
    ranges = [OffsetRange("t", 0, 0, 9, 10), OffsetRange("t", 1, 100, 149, 50)]
    assert cluster.consumed(ranges, {("t", 0): 10, ("t", 1): 150}) == Consumed(60, 60)
    assert cluster.consumed(ranges, {("t", 0): 10, ("t", 1): 100}) == Consumed(60, 10)
    assert cluster.consumed(ranges, {("t", 0): 4, ("u", 1): 150}) == Consumed(60, 4)


def test_a_partition_without_a_commit_is_unread() -> None:
    assert cluster.consumed([OffsetRange("t", 0, 0, 9, 10)], {}) == Consumed(10, 0)


def test_nothing_published_is_wholly_consumed() -> None:
    assert cluster.consumed([], {}).share == 1.0


def test_half_a_range_with_others_records_in_it_counts_only_what_is_certain() -> None:
    mixed = OffsetRange("t", 0, 0, 99, 50)
    assert cluster.consumed([mixed], {("t", 0): 40}) == Consumed(50, 0, exact=False)
    assert cluster.consumed([mixed], {("t", 0): 80}) == Consumed(50, 30, exact=False)
    assert cluster.consumed([mixed], {("t", 0): 100}) == Consumed(50, 50)


@pytest.mark.kafka
def test_one_broker_leads_everything(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name, partitions=3)
    view = cluster.describe(kafka.config, [topic_name])
    port = int(kafka.bootstrap.rsplit(":")[1])
    assert [(b.id, b.host, b.port) for b in view.brokers] == [(1, "127.0.0.1", port)]
    assert [(p.id, p.leader, p.replicas, p.in_sync) for p in view.topics[0].partitions] == [
        (i, 1, (1,), (1,)) for i in range(3)
    ]
    assert (view.topics[0].under_replicated, view.topics[0].offline, view.topics[0].internal) == (0, 0, False)
    assert view.controller == 1
    assert cluster.ClusterView.from_json(view.to_json()) == view


@pytest.mark.kafka
def test_all_topics_are_described_when_none_is_named(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name)
    assert topic_name in {topic.name for topic in cluster.describe(kafka.config).topics}


@pytest.mark.kafka
def test_a_topic_that_is_missing_is_named(kafka: Cluster) -> None:
    with pytest.raises(TopicMissingError, match="describing topic `no-such`: there is none"):
        cluster.describe(kafka.config, ["no-such"])


@pytest.mark.kafka
def test_a_wrong_password_is_said_at_once(kafka: Cluster) -> None:
    began = time.monotonic()
    with pytest.raises(NotAuthorizedError):
        cluster.describe(kafka.sasl("bob", "wrong"))
    assert time.monotonic() - began < 10


@pytest.mark.kafka
def test_behind_a_password_the_quorum_is_unknown_and_nothing_is_made_up(kafka: Cluster) -> None:
    view = cluster.describe(kafka.sasl("admin"))
    assert (view.quorum, view.controller) == (None, None)
    assert [b.id for b in view.brokers] == [1]


def test_no_broker_is_an_error_that_says_so() -> None:
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1"):
        cluster.describe({"bootstrap.servers": "127.0.0.1:1"})


@pytest.mark.kafka
def test_a_quorum_of_three_has_a_leader_and_its_voters_are_close(kafka3: Cluster) -> None:
    view = cluster.describe(kafka3.config)
    assert view.quorum is not None
    assert [voter.id for voter in view.quorum.voters] == [1, 2, 3]
    assert view.quorum.leader in {1, 2, 3}
    assert all(voter.lag < 100 for voter in view.quorum.voters)
    assert len(view.brokers) == 3


@pytest.mark.kafka
@pytest.mark.chaos
def test_a_killed_node_shows_as_replicas_out_of_sync(kafka3: Cluster, topic_name: str) -> None:
    create_topic(kafka3.config, topic_name, partitions=3)
    nodes.kill(kafka3.home, 2)
    try:
        topic = _eventually(kafka3.config, topic_name, under_replicated=3)
        assert topic.offline == 0
        assert all(p.leader in {1, 3} and p.in_sync == (1, 3) for p in topic.partitions)
    finally:
        nodes.start_node(kafka3.home, CACHE, 2)


def _eventually(config: dict[str, Any], name: str, under_replicated: int) -> cluster.TopicView:
    """The topic once so many of its partitions lack a replica (brokers learn of deaths, and of new topics, one after
    another)."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for topic in cluster.describe(config).topics:
            if topic.name == name and topic.under_replicated == under_replicated:
                return topic
        time.sleep(0.2)
    raise AssertionError(cluster.describe(config, [name]))


def _consume(config: dict[str, Any], topic: str, group: str, count: int) -> Any:
    """A consumer that has read `count` records and committed behind them; still a member of its group."""
    from confluent_kafka import Consumer

    consumer = Consumer(
        {
            **config,
            "group.id": group,
            "client.id": f"{group}-client",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    read: list[Any] = []
    while len(read) < count:
        read += [m for m in consumer.consume(count - len(read), timeout=5) if m.error() is None]
    consumer.commit(asynchronous=False)
    return consumer


@pytest.mark.kafka
def test_a_group_shows_its_members_and_its_lag(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name)
    produce(kafka.config, topic_name, [b"x"] * 10)
    group = fresh("group")
    consumer = _consume(kafka.config, topic_name, group, 4)
    try:
        (found,) = cluster.groups(kafka.config, [topic_name])
    finally:
        consumer.close()
    assert (found.id, found.state, found.type) == (group, "stable", "classic")
    assert [(m.client, m.partitions) for m in found.members] == [(f"{group}-client", (f"{topic_name}:0",))]
    assert [(p.partition, p.committed, p.end, p.lag) for p in found.partitions] == [(0, 4, 10, 6)]
    assert cluster.consumed([OffsetRange(topic_name, 0, 0, 9, 10)], found.committed) == Consumed(10, 4)


@pytest.mark.kafka
def test_a_group_without_members_keeps_its_offsets(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name, partitions=2)
    produce(kafka.config, topic_name, [b"x"] * 5, partition=1, id=fresh("tx"))
    group = fresh("group")
    _consume(kafka.config, topic_name, group, 5).close()
    (found,) = cluster.groups(kafka.config, [topic_name])
    assert (found.id, found.state, found.members) == (group, "empty", ())
    assert {(p.partition, p.committed, p.lag) for p in found.partitions} == {(1, 5, 1)}  # the transaction's marker


@pytest.mark.kafka
def test_a_group_of_other_topics_is_not_shown(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name)
    other = create_topic(kafka.config, fresh("other"))
    produce(kafka.config, other, [b"x"])
    _consume(kafka.config, other, fresh("group"), 1).close()
    assert cluster.groups(kafka.config, [topic_name]) == []
