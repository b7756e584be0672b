"""The topics of a pipeline: do they exist, and do they fit? What is missing is created only where the pipeline says
so."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forebay import events
from forebay.errors import LedgerError, NotAuthorizedError, PreflightError, TopicMissingError
from forebay.kafka import client
from forebay.kafka.client import Asker
from forebay.support.words import counted

if TYPE_CHECKING:
    from forebay.config.pipeline import Pipeline

DAY = 86_400_000  # milliseconds
TIMEOUT = 10.0  # seconds after which a question to the brokers is not asked again
DEFAULT_MAX_MESSAGE_BYTES = 1_048_588
LEDGER_CONFIG = {"cleanup.policy": "compact", "retention.ms": "-1", "min.cleanable.dirty.ratio": "0.5"}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be. `partitions` None: any count will do."""

    name: str
    partitions: int | None
    replication: int
    config: dict[str, str]
    purpose: str


def wanted(pipeline: Pipeline) -> tuple[Topic, Topic, Topic]:
    """Data, ledger and quarantine topic of a pipeline."""
    section = pipeline.topic
    config = {name: _text(value) for name, value in section.config.items()}
    durable = {name: value for name, value in config.items() if name == "min.insync.replicas"}
    return (
        Topic(section.name, section.partitions, section.replication, config, "data"),
        Topic(
            pipeline.ledger_topic,
            pipeline.publish.ledger_partitions,
            section.replication,
            LEDGER_CONFIG | durable,
            "ledger",
        ),
        Topic(pipeline.quarantine_topic, None, section.replication, kept(pipeline) | durable, "quarantine"),
    )


def kept(pipeline: Pipeline) -> dict[str, str]:
    """How long the quarantine topic keeps its records, as Kafka's settings."""
    keep = pipeline.topic.quarantine_retention
    milliseconds = -1 if keep == "forever" else int(keep.total_seconds() * 1000)
    return {"cleanup.policy": "delete", "retention.ms": str(milliseconds)}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def ensure(config: client.Config, pipeline: Pipeline) -> None:
    """Check the pipeline's topics, creating missing ones under `topic.manage: create`; with `off` nobody looks.

    Raises `TopicMissingError`, `PreflightError` for another partition count, `LedgerError` for a ledger that is not
    purely compacted or can expire, `BrokerUnavailableError`, `NotAuthorizedError`.
    """
    if pipeline.topic.manage == "off":
        return
    asker = asking(config)
    with client.translate("checking topics", asker.errors):
        counts = _counts(asker, wanted(pipeline))
        for topic in wanted(pipeline):
            if topic.name not in counts:
                _create(asker, topic, pipeline.topic.manage)
            elif topic.partitions is not None and counts[topic.name] != topic.partitions:
                raise _other_count(topic, counts[topic.name])
        if pipeline.ledger_topic in counts:
            _check_ledger(asker, pipeline.ledger_topic)
        if pipeline.quarantine_topic in counts:
            _check_quarantine(asker, pipeline)
        if len(counts) < len(wanted(pipeline)):
            _wait_until_known(asker, wanted(pipeline))


def asking(config: client.Config, errors: client.ClientErrors | None = None) -> Asker:
    """One who asks about topics: patient with brokers that are changing places, and not for long with those that nobody
    hears of."""
    return Asker(config, errors, patience=TIMEOUT)


def _counts(asker: Asker, topics: tuple[Topic, ...]) -> dict[str, int]:
    """Partition count of each of the topics that exists."""
    return {name: len(described.partitions) for name, described in asker.topics(t.name for t in topics).items()}


def _create(asker: Asker, topic: Topic, manage: str) -> None:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import NewTopic

    if manage != "create":
        raise TopicMissingError(
            f"checking topics: {topic.purpose} topic `{topic.name}` does not exist "
            f"(create it with {counted(topic.partitions or 1, 'partition')}, or set `topic.manage: create`)",
            topic=topic.name,
        )
    new = NewTopic(topic.name, topic.partitions or 1, topic.replication, config=topic.config)
    try:
        asker.ask(
            lambda admin, within: admin.create_topics([new], request_timeout=within, operation_timeout=within)[
                topic.name
            ]
        )
    except KafkaException as error:
        if (
            error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS
        ):  # another run was faster, or we ourselves, whose answer was lost
            raise


def _wait_until_known(asker: Asker, topics: tuple[Topic, ...], timeout: float = 15.0) -> None:
    """A new topic is in no broker's metadata for some milliseconds."""
    deadline = time.monotonic() + timeout
    while len(_counts(asker, topics)) < len(topics) and time.monotonic() < deadline:
        time.sleep(0.02)


def _other_count(topic: Topic, partitions: int) -> Exception:
    if topic.purpose == "ledger":
        return LedgerError(
            f"checking topics: ledger `{topic.name}` has {counted(partitions, 'partition')}, "
            f"`publish.ledger_partitions` says {topic.partitions}: files would be looked for in the wrong place, and "
            "published twice (set it back; or, if the topic was grown: `forebay ledger export PIPELINE --to FILE`, "
            "delete the topic, `forebay ledger restore PIPELINE --from FILE`)",
            topic=topic.name,
        )
    return PreflightError(
        f"checking topics: `{topic.name}` has {counted(partitions, 'partition')}, the pipeline says {topic.partitions} "
        "(set `topic.partitions` to what the topic has; keys then go elsewhere than before if that changed)",
        topic=topic.name,
    )


def settings(asker: Asker, topic: str) -> dict[str, str]:
    """A topic's effective configuration."""
    from confluent_kafka.admin import ConfigResource, ResourceType

    return asker.settings(ConfigResource(ResourceType.TOPIC, topic))


def settings_of(config: client.Config, topic: str) -> dict[str, str]:
    """`settings`, asked with a client of its own."""
    asker = asking(config)
    with client.translate(f"reading the settings of topic `{topic}`", asker.errors, topic=topic):
        return settings(asker, topic)


def compacted(config: client.Config, topic: str) -> bool:
    """Whether a topic forgets older records of a key (`cleanup.policy` has `compact`). Not known without the right to
    see settings: then False."""
    try:
        return "compact" in (settings_of(config, topic).get("cleanup.policy") or "")
    except NotAuthorizedError:
        return False


def create_ledger(config: client.Config, pipeline: Pipeline) -> None:
    """Make the ledger topic if there is none, whatever `topic.manage` says: a person asked for it."""
    asker = asking(config)
    ledger = next(topic for topic in wanted(pipeline) if topic.purpose == "ledger")
    with client.translate(f"creating topic `{ledger.name}`", asker.errors, topic=ledger.name):
        if ledger.name not in _counts(asker, (ledger,)):
            _create(asker, ledger, "create")
            _wait_until_known(asker, (ledger,))


def _check_ledger(asker: Asker, topic: str) -> None:
    policy = settings(asker, topic).get("cleanup.policy")
    if policy != "compact":
        raise LedgerError(
            f"checking topics: ledger `{topic}` has `cleanup.policy={policy}`, it must be `compact` "
            "(alter the topic; a ledger that forgets publishes everything again)",
            topic=topic,
        )


def _check_quarantine(asker: Asker, pipeline: Pipeline) -> None:
    """Say where quarantined rows are kept for less time than the pipeline says. Nobody is stopped by it, nor where
    settings may not be seen."""
    with contextlib.suppress(NotAuthorizedError):
        if short := too_short(pipeline, settings(asker, pipeline.quarantine_topic)):
            events.emit(
                events.QUARANTINE_SHORT, level=30, topic=pipeline.quarantine_topic, message=f"{short[0]} ({short[1]})"
            )


def too_short(pipeline: Pipeline, settings: dict[str, str]) -> tuple[str, str] | None:
    """What is wrong with how long a quarantine topic of these settings keeps its records, and the way out; None when it
    is long enough."""
    name, wanted = pipeline.quarantine_topic, int(kept(pipeline)["retention.ms"])
    way_out = f"alter it to `retention.ms={wanted}`, or say in `topic.quarantine_retention` what it has"
    has = int(settings.get("retention.ms") or -1)
    if "delete" in settings.get("cleanup.policy", "delete") and has >= 0 and (wanted < 0 or has < wanted):
        said = "forever" if wanted < 0 else f"{wanted / DAY:g} days"
        return f"`{name}` keeps rows for {has / DAY:g} days, the pipeline says {said}", way_out
    if "compact" in settings.get("cleanup.policy", "delete"):
        return f"`{name}` is compacted and forgets older rows of a key", "alter it to `cleanup.policy=delete`"
    return None


def max_message_bytes(settings: dict[str, str]) -> int:
    """The largest record batch that a topic with these settings takes, in bytes (`max.message.bytes`); a record with
    key, headers and framing must fit into it."""
    return int(settings.get("max.message.bytes") or DEFAULT_MAX_MESSAGE_BYTES)
