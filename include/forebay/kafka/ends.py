"""Whether a topic is still the one in which the ledger says that records lie: one that was deleted and made anew under
its name has another id (KIP-516), or does not reach so far."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from forebay.kafka import client, topics
from forebay.model import OffsetRange

NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
"""Zero in base64: what brokers say that know no topic ids."""


@dataclass(frozen=True, slots=True)
class TopicNow:
    """A topic's id (empty: not known, or there is no such topic) and the ends of the partitions that were asked for."""

    id: str = ""
    ends: dict[int, int] = field(default_factory=dict)


def id_of(config: client.Config, topic: str) -> str:
    """The topic's id; empty where the brokers know none. Raises what asking the brokers raises."""
    asker = topics.asking(config)
    with client.translate(f"asking for the id of `{topic}`", asker.errors, topic=topic):
        return _id(asker.topics([topic]).get(topic))


def now(config: client.Config, topic: str, places: Collection[OffsetRange]) -> TopicNow | None:
    """The topic as it is now, with the ends of the partitions in which these places are; None where none of them is in
    that topic: then nothing is asked.

    A partition that is not there ends at 0. Raises what asking the brokers raises.
    """
    from confluent_kafka import TopicPartition

    wanted = {place.partition for place in places if place.topic == topic and place.complete}
    if not wanted:
        return None
    asker = topics.asking(config)
    with client.translate(f"asking for the end of `{topic}`", asker.errors, topic=topic):
        described = asker.topics([topic]).get(topic)
        there = len(described.partitions) if described else 0
        ends = asker.offsets(TopicPartition(topic, partition) for partition in wanted if partition < there)
    return TopicNow(_id(described), {partition: ends.get((topic, partition), 0) for partition in wanted})


def _id(described: object) -> str:
    topic_id = str(getattr(described, "topic_id", "") or "")
    return "" if topic_id == NO_ID else topic_id
