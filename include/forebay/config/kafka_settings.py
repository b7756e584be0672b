"""What a Kafka connection may say: how the cluster is reached, and how fast. What the publish protocol needs is
forebay's own in every client.

A connection is judged by a list of what is allowed, for librdkafka has some 200 settings and new ones with each
version: what is not known to leave the promise alone is refused by name. A setting that is forebay's may stand there
with forebay's own value (an Airflow connection is often shared). Names are librdkafka's (its CONFIGURATION.md), aliases
included.
"""

from __future__ import annotations

from typing import Any

from forebay.support.words import way_out

ALLOWED_PREFIXES = (
    "sasl.",
    "ssl.",
    "socket.",
    "https.",
    "reconnect.backoff.",
    "retry.backoff.",
    "topic.metadata.",
    "compression.",
    "log.",
)
ALLOWED = frozenset(
    {
        "bootstrap.servers",
        "broker.address.family",
        "broker.address.ttl",
        "client.dns.lookup",
        "client.id",
        "client.rack",
        "connections.max.idle.ms",
        "debug",
        "enable.metrics.push",
        "enable.ssl.certificate.verification",
        "enable.sasl.oauthbearer.unsecure.jwt",
        "log_level",
        "message.copy.max.bytes",
        "metadata.max.age.ms",
        "metadata.recovery.rebootstrap.trigger.ms",
        "metadata.recovery.strategy",
        "security.protocol",
        "statistics.interval.ms",
        # speed and memory of the producer
        "batch.num.messages",
        "batch.size",
        "linger.ms",
        "queue.buffering.backpressure.threshold",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "queue.buffering.max.ms",
        "sticky.partitioning.linger.ms",
        # speed and memory of the consumer
        "check.crcs",
        "fetch.max.bytes",
        "fetch.message.max.bytes",
        "fetch.min.bytes",
        "fetch.queue.backoff.ms",
        "fetch.wait.max.ms",
        "max.partition.fetch.bytes",
        "queued.max.messages.kbytes",
        "queued.min.messages",
        "receive.message.max.bytes",
    }
)

OURS: dict[str, frozenset[str]] = {
    # what readers see, and where they begin and end
    "isolation.level": frozenset({"read_committed"}),
    "auto.offset.reset": frozenset({"error"}),
    "enable.partition.eof": frozenset({"true"}),
    "enable.auto.commit": frozenset({"false"}),
    "auto.commit.enable": frozenset({"false"}),
    "enable.auto.offset.store": frozenset({"false"}),
    "group.id": frozenset({"forebay"}),
    # what a transaction is, and when it counts as lost
    "acks": frozenset({"all", "-1"}),
    "request.required.acks": frozenset({"all", "-1"}),
    "enable.idempotence": frozenset({"true"}),
    "transactional.id": frozenset(),
    "transaction.timeout.ms": frozenset(),
    "message.timeout.ms": frozenset(),
    "delivery.timeout.ms": frozenset(),
    "request.timeout.ms": frozenset(),
    "retries": frozenset(),
    "message.send.max.retries": frozenset(),
    "max.in.flight": frozenset(),
    "max.in.flight.requests.per.connection": frozenset(),
    "message.max.bytes": frozenset(),
    "enable.gapless.guarantee": frozenset(),
    "delivery.report.only.error": frozenset({"false"}),
    "partitioner": frozenset(),
}
"""Settings that the protocol needs, each with the values under which a connection says nothing else; without any, it
may not say it at all."""


def is_ours(key: str) -> bool:
    """Whether the setting is one that no connection decides."""
    return key.strip().lower() in OURS


def problem(key: str, value: Any) -> str | None:
    """Why a connection may not hold this setting, with the way out; None when it may. The value is never shown: it may
    be a secret."""
    name = key.strip().lower()
    if name in OURS:
        if name == key and str(value).strip().lower() in OURS[name]:
            return None
        return (
            f"sets `{key}`, which forebay sets itself: the promise of exactly once depends on it (take it out of the "
            "connection)"
        )
    if key in ALLOWED or key.startswith(ALLOWED_PREFIXES):
        return None
    known = sorted(ALLOWED)
    if name in ALLOWED or name.startswith(ALLOWED_PREFIXES):
        hint = f"write `{name}`"
    else:
        hint = way_out(
            name,
            known,
            "a connection says how the cluster is reached, and how fast: docs/operations.md lists what it may hold; "
            "take the setting out",
        )
    return f"sets `{key}`, which is none of the settings that a connection may hold ({hint})"
