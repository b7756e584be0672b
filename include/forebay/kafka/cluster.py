"""The cluster seen: brokers, the active controller, partitions and their replicas; and how far consumer groups have
come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forebay.errors import TopicMissingError
from forebay.kafka import client, quorum
from forebay.kafka.quorum import Quorum
from forebay.model import Json, OffsetRange

if TYPE_CHECKING:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

_TIMEOUT = 10.0

Committed = Mapping[tuple[str, int], int]
"""(topic, partition) → the next offset a group will read."""


@dataclass(frozen=True, slots=True)
class BrokerView(Json):
    """One broker that takes part now, at the address that it tells clients."""

    id: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class PartitionView(Json):
    """`leader` is None when there is none: the partition can be neither read nor written."""

    id: int
    leader: int | None
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]

    @property
    def under_replicated(self) -> bool:
        return len(self.in_sync) < len(self.replicas)


@dataclass(frozen=True, slots=True)
class TopicView(Json):
    """A topic's partitions by number. `internal`: Kafka's own (`__consumer_offsets` …)."""

    name: str
    internal: bool
    partitions: tuple[PartitionView, ...]

    @property
    def under_replicated(self) -> int:
        """How many partitions lack a replica in sync."""
        return sum(p.under_replicated for p in self.partitions)

    @property
    def offline(self) -> int:
        """How many partitions have no leader."""
        return sum(p.leader is None for p in self.partitions)


@dataclass(frozen=True, slots=True)
class ClusterView(Json):
    """A cluster as it was at one moment. `quorum` is None where it cannot be asked (listeners with TLS or SASL)."""

    cluster_id: str
    brokers: tuple[BrokerView, ...]
    quorum: Quorum | None
    topics: tuple[TopicView, ...]

    @property
    def controller(self) -> int | None:
        """Id of the active controller, if known."""
        return self.quorum.leader if self.quorum else None


@dataclass(frozen=True, slots=True)
class MemberView(Json):
    """One consumer of a group; `partitions` as `topic:partition`."""

    id: str
    client: str
    host: str
    partitions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LagView(Json):
    """`committed` is the next offset the group will read (None: never committed), `end` the log's end, `lag` the
    offsets between.

    Offsets of transaction markers count, as in Kafka's own tools: after a transaction a group that has read everything
    may show a lag of 1.
    """

    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int | None


@dataclass(frozen=True, slots=True)
class GroupView(Json):
    """A consumer group as far as it concerns the topics asked about."""

    id: str
    state: str
    type: str
    members: tuple[MemberView, ...]
    partitions: tuple[LagView, ...]

    @property
    def committed(self) -> Committed:
        return {(p.topic, p.partition): p.committed for p in self.partitions if p.committed is not None}

    @property
    def lag(self) -> int:
        """Offsets not yet read, over the partitions that have a commit."""
        return sum(p.lag or 0 for p in self.partitions)


@dataclass(frozen=True, slots=True)
class Consumed(Json):
    """How far a group has read what a run published.

    `consumed` is what is certain; where others' records or markers lie within a range that is half read, it may be more
    (`exact` False).
    """

    records: int
    consumed: int
    exact: bool = True

    @property
    def share(self) -> float:
        """0…1; nothing published is wholly consumed."""
        return self.consumed / self.records if self.records else 1.0


def consumed(ranges: Iterable[OffsetRange], committed: Committed) -> Consumed:
    """How many of the ranges' records lie before a group's committed offsets. A partition without a commit counts as
    unread."""
    records = read = 0
    exact = True
    for at in ranges:
        records += at.count
        position = min(committed.get((at.topic, at.partition), 0), at.last + 1)
        unread = at.last + 1 - position  # an upper bound of our records from `position` on
        read += max(0, at.count - unread) if position > at.first else 0
        contiguous = at.count == at.last - at.first + 1
        exact = exact and (contiguous or not at.first < position <= at.last)
    return Consumed(records, read, exact)


def describe(config: client.Config, topics: Iterable[str] | None = None) -> ClusterView:
    """The cluster, with all its topics or the named ones.

    Raises `BrokerUnavailableError`, `NotAuthorizedError`; `TopicMissingError` for a named topic that is not there.
    """
    cluster_id = client.connect_check(config)
    wanted = None if topics is None else set(topics)
    admin = client.admin(config)
    with client.translate(f"describing the cluster at `{config.get('bootstrap.servers')}`"):
        # Not `describe_cluster`: librdkafka sends it to "the controller", which in KRaft is any broker, perhaps the one
        # that is down.
        metadata = admin.list_topics(timeout=_TIMEOUT)
    missing = (wanted or set()) - set(metadata.topics)
    if missing:
        raise TopicMissingError(
            f"describing topic `{min(missing)}`: there is none (create it, or correct its name)", topic=min(missing)
        )
    brokers = sorted(
        (BrokerView(n.id, n.host or "", n.port or 0) for n in metadata.brokers.values()), key=lambda b: b.id
    )
    views = [_topic(metadata.topics[name]) for name in sorted(metadata.topics) if wanted is None or name in wanted]
    return ClusterView(cluster_id, tuple(brokers), _ask_quorum(config), tuple(views))


def _ask_quorum(config: client.Config) -> Quorum | None:
    plain = str(config.get("security.protocol", "plaintext")).lower() == "plaintext"
    return quorum.describe(str(config.get("bootstrap.servers", ""))) if plain else None


def _topic(metadata: Any) -> TopicView:
    partitions = (
        PartitionView(p.id, None if p.leader < 0 else p.leader, tuple(p.replicas), tuple(sorted(p.isrs)))
        for p in sorted(metadata.partitions.values(), key=lambda p: p.id)
    )
    return TopicView(metadata.topic, metadata.topic.startswith("__"), tuple(partitions))


def groups(config: client.Config, topics: Iterable[str]) -> list[GroupView]:
    """The consumer groups that have committed offsets of, or members on, any of the topics, by name.

    Raises `TopicMissingError`, `BrokerUnavailableError`, `NotAuthorizedError`.
    """
    ends = _ends(config, topics)
    names = {topic for topic, _ in ends}
    asker = client.Asker(config)
    with client.translate("listing consumer groups", asker.errors):
        listed = sorted(
            g.group_id
            for g in asker.ask(lambda admin, within: admin.list_consumer_groups(request_timeout=within)).valid
        )
        offsets = {
            group: _committed(answer, names)
            for group, answer in asker.ask(lambda admin, within: _ask_offsets(admin, listed, within)).items()
        }
        described = (
            asker.ask(lambda admin, within: admin.describe_consumer_groups(listed, request_timeout=within))
            if listed
            else {}
        )
        views = [_group(described[group], offsets[group], ends, names) for group in listed]
    return [view for view in views if view.partitions or any(m.partitions for m in view.members)]


def _ends(config: client.Config, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """The end of every partition's log (high watermark), whatever transaction is open."""
    from confluent_kafka import TopicPartition

    view = describe(config, topics)
    asked = [TopicPartition(t.name, p.id) for t in view.topics for p in t.partitions if p.leader is not None]
    with client.translate("listing the ends of partitions"):
        return client.Asker(config).offsets(asked) if asked else {}


def _ask_offsets(admin: AdminClient, listed: list[str], within: float) -> dict[str, Any]:
    """One request a group (librdkafka takes no more), all of them at once."""
    from confluent_kafka import ConsumerGroupTopicPartitions

    return {
        group: admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=within)[group]
        for group in listed
    }


def _committed(answer: Any, topics: set[str]) -> dict[tuple[str, int], int]:
    offsets: list[TopicPartition] = answer.topic_partitions or []
    return {(at.topic, at.partition): at.offset for at in offsets if at.topic in topics and at.offset >= 0}


def _group(group: Any, committed: Committed, ends: Mapping[tuple[str, int], int], topics: set[str]) -> GroupView:
    members = tuple(_member(m, topics) for m in group.members)
    assigned = {
        (at.topic, at.partition)
        for m in group.members
        for at in m.assignment.topic_partitions or []
        if at.topic in topics
    }
    lags = (
        _lag(topic, partition, committed.get((topic, partition)), ends)
        for topic, partition in sorted(assigned | set(committed))
    )
    return GroupView(group.group_id, group.state.name.lower(), group.type.name.lower(), members, tuple(lags))


def _member(member: Any, topics: set[str]) -> MemberView:
    assigned = sorted((at.topic, at.partition) for at in member.assignment.topic_partitions or [] if at.topic in topics)
    return MemberView(
        member.member_id, member.client_id, member.host, tuple(f"{topic}:{partition}" for topic, partition in assigned)
    )


def _lag(topic: str, partition: int, position: int | None, ends: Mapping[tuple[str, int], int]) -> LagView:
    end = ends.get((topic, partition), 0)
    return LagView(topic, partition, position, end, None if position is None else max(0, end - position))
