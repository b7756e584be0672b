"""Whether the promise can hold on this cluster, for this pipeline: every condition of docs/guarantees, looked at, with
the way out where one is not met.

Nothing is created and nothing becomes visible: the rights are tried in a transaction that is aborted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from forebay.errors import ForebayError, NotAuthorizedError, RetryableError
from forebay.kafka import client
from forebay.kafka.doctor import rights, topic_checks, versions
from forebay.kafka.doctor.findings import ClusterFacts, Finding, Level
from forebay.kafka.ledger.guard import LedgerHome

if TYPE_CHECKING:
    from forebay.config.pipeline import Pipeline

__all__ = ["Finding", "Level", "check"]


def check(config: client.Config, pipeline: Pipeline, keep: LedgerHome) -> tuple[Finding, ...]:
    """All findings for one pipeline, in the order of a publication. Raises nothing that the cluster says: that is a
    finding too."""
    seen = ClusterFacts(config, pipeline, keep)
    reached = list(_guarded("connection", lambda: _connection(seen)))
    if any(finding.level is Level.FAIL for finding in reached):
        return tuple(reached)
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("brokers", lambda: _brokers(seen)),
        ("topics", lambda: topic_checks.check(seen)),
        ("ledger", lambda: rights.ledger(seen)),
        ("rights", lambda: rights.rights(seen)),
        ("open transactions", lambda: rights.open_transactions(seen)),
    )
    return (*reached, *(finding for name, run in checks for finding in _guarded(name, run)))


def _guarded(name: str, run: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a check finds; an error that ends it is its last finding."""
    try:
        yield from run()
    except ForebayError as error:
        yield Finding(Level.FAIL, name, error.message, unreachable=isinstance(error, RetryableError))


def _connection(seen: ClusterFacts) -> Iterator[Finding]:
    cluster = client.connect_check(seen.config)
    yield Finding(
        Level.OK,
        "connection",
        f"cluster `{cluster}` at `{seen.config.get('bootstrap.servers')}` accepts the connection",
    )


# brokers


def _brokers(seen: ClusterFacts) -> Iterator[Finding]:
    yield from _rules_of_broker(seen)
    plain = str(seen.config.get("security.protocol", "plaintext")).lower() == "plaintext"
    level = versions.metadata_level(str(seen.config.get("bootstrap.servers", ""))) if plain else None
    if level is not None:
        yield _age(level)
    elif not seen.broker:
        yield Finding(
            Level.WARN,
            "broker version",
            "unknown: behind TLS or SASL it shows only in broker settings, which this principal may not see",
            "brokers before 3.6.1 do not verify late writes of a fenced publisher",
            "ask who runs the cluster; or grant DescribeConfigs on it",
        )


def _age(level: int) -> Finding:
    name = f"Kafka {versions.release(level)}"
    why = "brokers before 3.6 do not verify late writes of a fenced publisher, and 3.6.0 corrupts them when compressed"
    if level >= versions.AT_LEAST_3_7:
        return Finding(Level.OK, "broker version", f"{name} or newer")
    if level >= versions.AT_LEAST_3_6:
        return Finding(
            Level.WARN, "broker version", f"{name}, which may be 3.6.0", why, "make sure that it is 3.6.1 or newer"
        )
    return Finding(Level.FAIL, "broker version", f"older than 3.6: {name}", why, "upgrade the brokers to 3.9 or newer")


def _rules_of_broker(seen: ClusterFacts) -> Iterator[Finding]:
    """Settings that only brokers have."""
    try:
        seen.broker = _broker_settings(seen)
    except NotAuthorizedError:
        yield Finding(
            Level.WARN,
            "broker settings",
            "this principal may not see them",
            "the limits below stay unknown",
            "grant DescribeConfigs",
        )
        return
    verified = seen.broker.get("transaction.partition.verification.enable")
    if verified is None:
        yield Finding(
            Level.FAIL,
            "late writes",
            "the brokers do not know `transaction.partition.verification.enable`",
            "they are older than 3.6: a late write of a fenced publisher can hang the ledger",
            "upgrade the brokers to 3.6.1 or newer",
        )
    elif verified == "false":
        yield Finding(
            Level.FAIL,
            "late writes",
            "`transaction.partition.verification.enable=false`",
            "a late write of a fenced publisher can hang the ledger",
            "set it to true on every broker",
        )
    else:
        yield Finding(Level.OK, "late writes", "verified by the brokers")
    yield _timeout(seen)
    yield from _state_log(seen.broker)


def _broker_settings(seen: ClusterFacts) -> dict[str, str]:
    from confluent_kafka.admin import ConfigResource, ResourceType

    with client.translate("reading broker settings", seen.errors):
        nodes = seen.asker.ask(lambda admin, within: admin.describe_cluster(request_timeout=within)).nodes
        settings = seen.asker.settings(ConfigResource(ResourceType.BROKER, str(nodes[0].id)))
    return {name: value for name, value in settings.items() if value is not None}


def _timeout(seen: ClusterFacts) -> Finding:
    wanted = int(seen.pipeline.publish.transaction_timeout.total_seconds() * 1000)
    most = int(seen.broker.get("transaction.max.timeout.ms") or 900_000)
    if wanted > most:
        return Finding(
            Level.FAIL,
            "transaction timeout",
            f"`publish.transaction_timeout` is {wanted} ms, the brokers allow {most} ms",
            "no transaction can begin",
            "shorten it, or raise `transaction.max.timeout.ms`",
        )
    return Finding(Level.OK, "transaction timeout", f"{wanted} ms of at most {most} ms")


def _state_log(broker: dict[str, str]) -> Iterator[Finding]:
    """Where Kafka keeps the outcome of transactions."""
    copies = int(broker.get("transaction.state.log.replication.factor") or 3)
    in_sync = int(broker.get("transaction.state.log.min.isr") or 2)
    if copies < 3 or in_sync < 2:
        yield Finding(
            Level.WARN,
            "transaction log",
            f"`__transaction_state` has replication {copies}, min ISR {in_sync}",
            "a lost disk may lose the outcome of transactions",
            "use 3 and 2 (set on the brokers before the first transaction)",
        )
