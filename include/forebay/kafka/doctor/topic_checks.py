"""doctor's checks of a pipeline's topics: do they exist, do they fit, and can they lose records?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from forebay.config.pipeline import COMPACTED
from forebay.errors import NotAuthorizedError
from forebay.kafka import client, topics
from forebay.kafka.doctor.findings import ClusterFacts, Finding, Level
from forebay.support.words import counted

if TYPE_CHECKING:
    from forebay.config.pipeline import Pipeline

DAY = topics.DAY


def check(seen: ClusterFacts) -> Iterator[Finding]:
    """Data, ledger and quarantine topic; remembers in `seen` what it was told of them."""
    for topic in topics.wanted(seen.pipeline):
        described = _described(seen, topic.name)
        if described is None:
            yield _absent(seen.pipeline, topic)
            continue
        seen.described[topic.name] = described
        try:
            with client.translate(f"reading the settings of topic `{topic.name}`", seen.errors):
                seen.settings[topic.name] = topics.settings(seen.asker, topic.name)
        except NotAuthorizedError:
            yield Finding(
                Level.WARN,
                f"{topic.purpose} topic",
                f"the settings of `{topic.name}` may not be seen by this principal",
                "whether it can lose records stays unknown",
                "grant DescribeConfigs on it",
            )
        problems = list(_fit(seen, topic, described, seen.settings.get(topic.name)))
        count = counted(len(described.partitions), "partition")
        yield from problems or [Finding(Level.OK, f"{topic.purpose} topic", f"`{topic.name}` fits: {count}")]


def _described(seen: ClusterFacts, name: str) -> Any:
    with client.translate(f"describing topic `{name}`", seen.errors):
        return seen.asker.topics([name]).get(name)


def _absent(pipeline: Pipeline, topic: topics.Topic) -> Finding:
    check, what = f"{topic.purpose} topic", f"`{topic.name}` does not exist"
    if pipeline.topic.manage == "create":
        return Finding(Level.OK, check, f"{what} yet: the first run makes it")
    make = f"create it with {counted(topic.partitions or 1, 'partition')}, or set `topic.manage: create`"
    return Finding(Level.FAIL, check, what, "nothing can be published", make)


def _fit(seen: ClusterFacts, topic: topics.Topic, described: Any, settings: dict[str, str] | None) -> Iterator[Finding]:
    check, count = f"{topic.purpose} topic", len(described.partitions)
    if topic.partitions is not None and count != topic.partitions:
        yield Finding(
            Level.FAIL,
            check,
            f"`{topic.name}` has {counted(count, 'partition')}, the pipeline says {topic.partitions}",
            "keys (or, in a ledger, files) would be looked for in other partitions",
            "set the pipeline to what the topic has",
        )
    copies = min(len(p.replicas) for p in described.partitions)
    if copies < 3:
        yield Finding(
            Level.WARN,
            check,
            f"`{topic.name}` has replication {copies}",
            "a lost disk may lose committed records",
            "use 3",
        )
    for part in described.partitions:
        if len(part.isr) < len(part.replicas):
            yield Finding(
                Level.WARN,
                check,
                f"`{topic.name}` partition {part.id}: {len(part.isr)} of {len(part.replicas)} replicas in sync",
                "the next lost broker may stop publishing",
                "see `forebay cluster`",
            )
    if settings is not None:
        yield from _settings(seen, topic, settings, copies)


def _settings(seen: ClusterFacts, topic: topics.Topic, settings: dict[str, str], copies: int) -> Iterator[Finding]:
    check, name = f"{topic.purpose} topic", topic.name
    if copies > 1 and int(settings.get("min.insync.replicas") or 1) < 2:
        yield Finding(
            Level.WARN,
            check,
            f"`{name}` has `min.insync.replicas=1`",
            "a record may be acknowledged by one broker only",
            "set it to 2",
        )
    if settings.get("unclean.leader.election.enable") == "true":
        yield Finding(
            Level.WARN,
            check,
            f"`{name}` has `unclean.leader.election.enable=true`",
            "committed records may be lost",
            "set it to false",
        )
    if topic.purpose == "ledger":
        yield from _forgets(name, settings)
    if topic.purpose == "data":
        yield from _compacted(seen.pipeline, name, settings)
        yield from _record_times(seen.pipeline, name, settings)
    if topic.purpose == "quarantine" and (short := topics.too_short(seen.pipeline, settings)):
        yield Finding(Level.WARN, check, short[0], "quarantined rows may be gone before they are repaired", short[1])
    if int(settings.get("max.message.bytes") or topics.DEFAULT_MAX_MESSAGE_BYTES) < 65_536:
        yield Finding(
            Level.WARN,
            check,
            f"`{name}` takes records of at most {settings['max.message.bytes']} bytes",
            "larger rows are quarantined",
            "raise `max.message.bytes`",
        )


def _compacted(pipeline: Pipeline, name: str, settings: dict[str, str]) -> Iterator[Finding]:
    if "compact" in settings.get("cleanup.policy", "delete"):
        said = pipeline.topic.compacted
        yield Finding(
            Level.OK if said else Level.WARN,
            "data topic",
            f"`{name}` has `cleanup.policy={settings['cleanup.policy']}`: {COMPACTED}",
            "" if said else "whoever reads later finds fewer rows than the ledger counts",
            "" if said else "set it to `delete`, or say so in `topic.config`",
        )


def _forgets(name: str, settings: dict[str, str]) -> Iterator[Finding]:
    if settings.get("cleanup.policy") != "compact":
        yield Finding(
            Level.FAIL,
            "ledger topic",
            f"`{name}` has `cleanup.policy={settings.get('cleanup.policy')}`",
            "a ledger that forgets publishes everything again",
            "set it to `compact`, exactly",
        )
    for setting in ("retention.ms", "retention.bytes"):
        if settings.get(setting, "-1") != "-1":
            yield Finding(
                Level.WARN,
                "ledger topic",
                f"`{name}` has `{setting}={settings[setting]}`",
                "harmless while it is only compacted; the day somebody adds `delete`, it forgets",
                f"set `{setting}=-1`",
            )


def _record_times(pipeline: Pipeline, name: str, settings: dict[str, str]) -> Iterator[Finding]:
    """What Kafka does with records whose time is a column of the file."""
    column = pipeline.record.timestamp
    if column is None:
        return
    check = "record timestamps"
    if settings.get("message.timestamp.type") == "LogAppendTime":
        yield Finding(
            Level.WARN,
            check,
            f"`{name}` has `message.timestamp.type=LogAppendTime`",
            f"`{column}` is overwritten by the broker's clock",
            "set it to CreateTime, or leave `record.timestamp` out",
        )
        return
    after = int(settings.get("message.timestamp.after.max.ms") or 1 << 62)
    if after < 365 * DAY:
        yield Finding(
            Level.WARN,
            check,
            f"`{name}` refuses records more than {after / 3_600_000:g} h ahead of its clock",
            f"one row with such a `{column}` fails its whole chunk",
            "raise `message.timestamp.after.max.ms`",
        )
    before = int(settings.get("message.timestamp.before.max.ms") or 1 << 62)
    if before < 36_500 * DAY:
        yield Finding(
            Level.WARN,
            check,
            f"`{name}` refuses records more than {before / DAY:g} days old",
            f"one row with such a `{column}` fails its whole chunk",
            "raise `message.timestamp.before.max.ms`",
        )
    kept = int(settings.get("retention.ms") or -1)
    if kept >= 0 and "delete" in settings.get("cleanup.policy", "delete"):
        yield Finding(
            Level.WARN,
            check,
            f"`{name}` keeps records for {kept / DAY:g} days, counted from `{column}`",
            "rows of an older time are deleted soon after they are published",
            "set `retention.ms=-1`, or leave `record.timestamp` out",
        )
