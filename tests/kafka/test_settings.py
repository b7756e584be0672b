"""What a Kafka connection may say, and that what the protocol needs is forebay's in every client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forebay.config.connections import EnvironmentConnections
from forebay.errors import ConfigError
from forebay.kafka import client
from forebay.kafka.publish import driver

OTHERWISE: dict[str, Any] = {
    "isolation.level": "read_uncommitted",
    "auto.offset.reset": "latest",
    "enable.partition.eof": False,
    "enable.auto.commit": True,
    "auto.commit.enable": "true",
    "enable.auto.offset.store": True,
    "group.id": "others",
    "group.instance.id": "one",
    "acks": 1,
    "request.required.acks": "0",
    "enable.idempotence": "false",
    "transactional.id": "mine",
    "transaction.timeout.ms": 1000,
    "message.timeout.ms": 10,
    "delivery.timeout.ms": 10,
    "request.timeout.ms": 1,
    "retries": 0,
    "message.send.max.retries": 0,
    "max.in.flight": 1000,
    "max.in.flight.requests.per.connection": 1000,
    "message.max.bytes": 1000,
    "enable.gapless.guarantee": True,
    "delivery.report.only.error": True,
    "partitioner": "random",
    "topic.blacklist": "forebay.*",
    "allow.auto.create.topics": True,
    "api.version.request": False,
    "broker.version.fallback": "0.8.0",
    "plugin.library.paths": "/tmp/x.so",
    "test.mock.num.brokers": 3,
    "metadata.broker.list": "other:9092",
    "session.timeout.ms": 1,
    "max.poll.interval.ms": 1,
    "builtin.features": "sasl",
    # not librdkafka's spelling
    "ISOLATION.LEVEL": "read_uncommitted",
    " isolation.level": "read_uncommitted",
    "isolation_level": "read_uncommitted",
    "Bootstrap.Servers": "other:9092",
}
HARMLESS: dict[str, Any] = {
    "client.id": "flights",
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "bob",
    "ssl.ca.location": "/etc/ca.pem",
    "compression.type": "zstd",
    "linger.ms": 5,
    "batch.size": 100_000,
    "queue.buffering.max.messages": 1000,
    "socket.timeout.ms": 10_000,
    "statistics.interval.ms": 0,
    "client.dns.lookup": "use_all_dns_ips",
}
OURS_SAID_AGAIN = {
    "isolation.level": "READ_COMMITTED",
    "acks": "all",
    "enable.idempotence": True,
    "enable.auto.commit": False,
    "group.id": "forebay",
}


def kafka(settings: dict[str, Any], form: str) -> Any:
    base = {"bootstrap.servers": "a:1"}
    match form:
        case "FOREBAY_CONN":
            return EnvironmentConnections({"FOREBAY_CONN_K": json.dumps(base | settings)}).kafka("k")
        case "AIRFLOW_CONN":
            return EnvironmentConnections(
                {"AIRFLOW_CONN_K": json.dumps({"conn_type": "kafka", "extra": base | settings})}
            ).kafka("k")
    return EnvironmentConnections({"KAFKA_BOOTSTRAP_SERVERS": "a:1", "KAFKA_CONFIG": json.dumps(settings)}).kafka(None)


@pytest.mark.parametrize("form", ["FOREBAY_CONN", "AIRFLOW_CONN", "KAFKA_CONFIG"])
@pytest.mark.parametrize("key", OTHERWISE)
def test_a_connection_that_says_otherwise_is_refused_by_name(key: str, form: str) -> None:
    with pytest.raises(ConfigError) as caught:
        kafka({key: OTHERWISE[key]}, form)
    assert f"`{key}`" in caught.value.message
    assert form in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("form", ["FOREBAY_CONN", "AIRFLOW_CONN", "KAFKA_CONFIG"])
def test_a_connection_may_say_how_the_cluster_is_reached_and_how_fast(form: str) -> None:
    assert kafka(HARMLESS | OURS_SAID_AGAIN, form) == {"bootstrap.servers": "a:1"} | HARMLESS | OURS_SAID_AGAIN


def test_an_airflow_uri_is_judged_too() -> None:
    with pytest.raises(ConfigError, match=r"`AIRFLOW_CONN_K` sets `isolation\.level`, which forebay sets itself"):
        EnvironmentConnections({"AIRFLOW_CONN_K": "kafka://k:9092?isolation.level=read_uncommitted"}).kafka("k")


@pytest.mark.parametrize("kind", ["admin", "producer", "consumer", "transactional"])
def test_ours_win_in_every_client(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever builds a client with such settings, past the connections: they never reach librdkafka."""
    built: list[dict[str, Any]] = []

    def build(_: Any, settings: dict[str, Any]) -> _Nothing:
        built.append(settings)
        return _Nothing()

    monkeypatch.setattr(client, "_build", build)
    own: dict[str, Any] = {"transactional.id": "lane", "transaction.timeout.ms": 60_000, "message.max.bytes": 1_000_000}
    bad = {key: value for key, value in OTHERWISE.items() if key.strip().lower() in OURS}
    match kind:
        case "admin":
            client.admin(bad | HARMLESS)
        case "producer":
            client.producer(bad | HARMLESS)
        case "consumer":
            client.consumer(bad | HARMLESS)
        case _:
            client.producer({**driver.PRODUCER, **bad, **HARMLESS}, **own)
    [settings] = built
    wanted = {
        "consumer": {
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
        },
        "producer": {"acks": "all", "enable.idempotence": True},
        "transactional": {"acks": "all", "enable.idempotence": True} | own,
        "admin": {},
    }[kind]
    assert {key: settings.get(key) for key in wanted} == wanted
    assert [key for key, value in bad.items() if settings.get(key) == value] == []
    assert {key: settings[key] for key in HARMLESS} == HARMLESS


class _Nothing:
    errors: Any = None


OURS = {
    "isolation.level",
    "auto.offset.reset",
    "enable.partition.eof",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "group.id",
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "transactional.id",
    "transaction.timeout.ms",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "retries",
    "max.in.flight",
    "message.max.bytes",
    "partitioner",
}


def test_every_allowed_setting_is_one_that_librdkafka_knows() -> None:
    """A list that allows what does not exist was written from memory."""
    from confluent_kafka import Consumer, Producer

    from forebay.config import kafka_settings

    unknown = []
    for name in sorted(kafka_settings.ALLOWED | set(kafka_settings.OURS)):
        try:
            Producer({name: ""}) if name not in {"group.id"} else Consumer({name: "x"})
        except Exception as error:
            if "No such configuration property" in str(error):
                unknown.append(name)
    assert unknown == []
