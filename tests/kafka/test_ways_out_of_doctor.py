"""doctor's findings on a cluster where everything about the topics is wrong: each way out is followed to the letter,
until only the lonely node is left."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from forebay.verbs.context import Context
from forebay.verbs.doctor import Finding, Level, doctor
from tests.keys.trial import changed
from tests.support.kafka import Cluster, create_topic
from tests.verbs.test_doctor import make

pytestmark = pytest.mark.kafka
ALONE = {"use 3", "use 3 and 2 (set on the brokers before the first transaction)"}
"""What a cluster of one node cannot do."""


def alter(config: dict[str, Any], topic: str, name: str, value: str) -> None:
    from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(config)
    admin.incremental_alter_configs([resource])[resource].result(30)


def follow(ctx: Context, finding: Finding) -> Context:
    """Do as the finding says: to the topic that it names, or to the pipeline."""
    named, way_out = re.findall(r"`([^`]*)`", finding.what), finding.way_out
    if said := re.match(r"(?:set|alter it to) `([a-z.]+)=([^`]*)`", way_out):
        alter(ctx.kafka, named[0], said[1], said[2])
    elif said := re.match(r"raise `([a-z.]+)`", way_out):
        alter(ctx.kafka, named[0], said[1], "1048588" if "bytes" in said[1] else str(1 << 62))
    elif said := re.match(r"set it to `?([A-Za-z]+)`?", way_out):
        alter(ctx.kafka, named[0], named[1].split("=")[0], said[1])
    elif way_out == "set the pipeline to what the topic has":
        count = int(re.findall(r"has (\d+) partitions", finding.what)[0])
        return set_to(ctx, "topic.partitions" if finding.check == "data topic" else "publish.ledger_partitions", count)
    elif way_out.startswith("shorten it"):
        most = int(re.findall(r"allow (\d+) ms", finding.what)[0])
        return set_to(ctx, "publish.transaction_timeout", f"{most}ms")
    elif way_out.endswith("or set `topic.manage: create`"):
        return set_to(ctx, "topic.manage", "create")
    else:
        raise AssertionError(finding)
    return ctx


def set_to(ctx: Context, place: str, value: Any) -> Context:
    document = changed(ctx.pipeline.model_dump(mode="json", by_alias=True), {place: value})
    return Context(type(ctx.pipeline).model_validate(document), ctx.project, ctx.connections)


def sick(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.level is not Level.OK and finding.way_out not in ALONE]


def test_the_cluster_is_well_when_its_ways_out_are_followed(tmp_path: Path, kafka: Cluster) -> None:
    ctx = make(tmp_path, kafka.config, "check", {"timestamp": "day"}, transaction_timeout="20m")
    wrong: dict[str, Any] = {
        "cleanup_policy": "compact",
        "retention_ms": 1000,
        "max_message_bytes": 1000,
        "unclean_leader_election_enable": "true",
    }
    times: dict[str, Any] = {
        "message_timestamp_after_max_ms": 1000,
        "message_timestamp_before_max_ms": 1000,
        "message_timestamp_type": "LogAppendTime",
    }
    create_topic(kafka.config, ctx.pipeline.topic.name, 5, **wrong, **times)
    create_topic(
        kafka.config,
        ctx.pipeline.ledger_topic,
        3,
        cleanup_policy="compact,delete",
        retention_ms=1000,
        retention_bytes=1000,
    )
    followed: set[str] = set()
    for _ in range(6):
        found = sick(doctor(ctx))
        for finding in found:
            followed.add(finding.way_out.split(",")[0])
            ctx = follow(ctx, finding)
        if not found:
            break
    assert sick(doctor(ctx)) == []
    assert len(followed) >= 11, followed


@pytest.mark.parametrize("settings", [{"retention_ms": 3_600_000}, {"cleanup_policy": "compact"}])
def test_a_quarantine_topic_that_forgets_keeps_its_rows_when_its_way_out_is_followed(
    settings: dict[str, Any], tmp_path: Path, kafka: Cluster
) -> None:
    ctx = make(tmp_path, kafka.config)
    create_topic(kafka.config, ctx.pipeline.quarantine_topic, 1, **settings)
    for _ in range(2):
        for finding in sick(doctor(ctx)):
            ctx = follow(ctx, finding)
    assert sick(doctor(ctx)) == []
