"""Whether the cluster is one on which the promise holds: findings, not failures, except for what makes publishing impossible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forebay.kafka import client, topics

if TYPE_CHECKING:
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
    asker = topics.asking(config)
    with client.translate("checking topics", asker.errors):
        described = asker.topics(topic.name for topic in topics.wanted(pipeline))
        return tuple(finding for name, topic in described.items() for finding in _durability(asker, name, topic))


def _durability(asker: client.Asker, topic: str, described: Any) -> list[Finding]:
    replicas = min(len(p.replicas) for p in described.partitions)
    found = topics.settings(asker, topic)
    findings = []
    if replicas < 3:
        findings.append(Finding(topic, f"replication factor {replicas}", "a lost disk may lose committed records; use 3"))
    elif int(found.get("min.insync.replicas") or 1) < 2:
        findings.append(Finding(topic, "`min.insync.replicas=1`", "a record may be acknowledged by one broker only; use 2"))
    if found.get("unclean.leader.election.enable") == "true":
        findings.append(Finding(topic, "`unclean.leader.election.enable=true`", "committed records may be lost; set it to false"))
    return findings
