"""Whether a topic still reaches to where the ledger says that records lie: one that was deleted and made anew under its
name does not."""

from __future__ import annotations

from collections.abc import Collection

from forebay.kafka import client, topics
from forebay.model import OffsetRange


def beyond(config: client.Config, topic: str, places: Collection[OffsetRange]) -> dict[int, int]:
    """The end of each partition of the topic that ends before the last offset of one of these places; {} where all of
    them are within it.

    Nothing is asked where no place is in that topic. Raises what asking the brokers raises.
    """
    from confluent_kafka import TopicPartition

    last: dict[int, int] = {}
    for place in places:
        if place.topic == topic and place.complete:
            last[place.partition] = max(place.last, last.get(place.partition, -1))
    if not last:
        return {}
    asker = topics.asking(config)
    with client.translate(f"asking for the end of `{topic}`", asker.errors, topic=topic):
        found = asker.topics([topic])
        there = len(found[topic].partitions) if topic in found else 0
        ends = asker.offsets(TopicPartition(topic, partition) for partition in last if partition < there)
    return {
        partition: ends.get((topic, partition), 0)
        for partition in last
        if ends.get((topic, partition), 0) <= last[partition]
    }
