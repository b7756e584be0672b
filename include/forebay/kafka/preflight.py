"""Whether the cluster is one on which the promise holds: findings, not failures, except for what makes publishing impossible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forebay.kafka import client, topics

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

    from forebay.config.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that weakens the promise: `what` was found and `why` it matters, with the way out."""

    topic: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"topic `{self.topic}`: {self.what} ({self.why})"


def check(config: client.Config, pipeline: Pipeline, timeout: float = 5.0) -> tuple[Finding, ...]:
    """Reach the cluster, ensure the topics, and say what of the promise's conditions is not met (exactly-once.md §1).

    Raises what `connect_check` and `topics.ensure` raise.
    """
    client.connect_check(config, timeout)
    topics.ensure(config, pipeline)
    errors = client.ClientErrors()
    admin = client.admin(config, errors)
    with client.translate("checking topics", errors):
        return tuple(finding for topic in topics.wanted(pipeline) for finding in _durability(admin, topic.name))


def _durability(admin: AdminClient, topic: str) -> list[Finding]:
    from confluent_kafka import TopicCollection

    described = client.answer(admin, admin.describe_topics(TopicCollection([topic]), request_timeout=topics.TIMEOUT)[topic])
    replicas = min(len(p.replicas) for p in described.partitions)
    found = topics.settings(admin, topic)
    findings = []
    if replicas < 3:
        findings.append(Finding(topic, f"replication factor {replicas}", "a lost disk may lose committed records; use 3"))
    elif int(found.get("min.insync.replicas") or 1) < 2:
        findings.append(Finding(topic, "`min.insync.replicas=1`", "a record may be acknowledged by one broker only; use 2"))
    if found.get("unclean.leader.election.enable") == "true":
        findings.append(Finding(topic, "`unclean.leader.election.enable=true`", "committed records may be lost; set it to false"))
    return findings
