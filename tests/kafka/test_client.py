"""Clients say the true cause of a failure, at once, and are quiet."""

from __future__ import annotations

import pickle
import socket
import time
from typing import Any

import pytest

from forebay.errors import BrokerUnavailableError, ConfigError, NotAuthorizedError
from forebay.kafka import client
from tests.support.kafka import Cluster, create_topic, produce, read_all


def closed_port() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{s.getsockname()[1]}"


def test_an_unreachable_broker_is_said_within_the_timeout() -> None:
    address = closed_port()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailableError) as caught:
        client.connect_check({"bootstrap.servers": address}, timeout=1.5)
    assert time.monotonic() - began < 3
    assert caught.value.message.startswith(f"connecting to `{address}`: no broker answered within 1.5 s, last cause: ")
    assert "Connection refused" in caught.value.message
    assert caught.value.exit_code == 4


def test_wrong_settings_are_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r'No such configuration property: "no\.such"'):
        client.producer({"bootstrap.servers": "x", "no.such": 1})


def test_librdkafka_does_not_write_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    producer = client.producer({"bootstrap.servers": closed_port()})
    for _ in range(10):
        producer.poll(0.05)
    producer.close()
    assert capfd.readouterr().err == ""


@pytest.mark.kafka
def test_a_reachable_cluster_says_its_id(kafka: Cluster) -> None:
    assert len(client.connect_check(kafka.config)) == 22


@pytest.mark.kafka
@pytest.mark.parametrize("user", [("bob", "wrong"), ("nobody", "x")])
def test_wrong_credentials_are_said_within_seconds(kafka: Cluster, user: tuple[str, str]) -> None:
    config = kafka.sasl() | {"sasl.username": user[0], "sasl.password": user[1]}
    began = time.monotonic()
    with pytest.raises(NotAuthorizedError) as caught:
        client.connect_check(config, timeout=20)
    assert time.monotonic() - began < 5
    assert "check user, password, certificates and ACLs" in caught.value.message
    assert "wrong" not in caught.value.message
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), NotAuthorizedError)


@pytest.mark.kafka
def test_a_listener_that_does_not_speak_tls_is_said_within_seconds(kafka: Cluster) -> None:
    began = time.monotonic()
    with pytest.raises((NotAuthorizedError, BrokerUnavailableError)) as caught:
        client.connect_check(kafka.config | {"security.protocol": "SSL"}, timeout=3)
    assert time.monotonic() - began < 5
    assert "SSL" in caught.value.message


@pytest.mark.kafka
def test_translate_names_what_was_done(kafka: Cluster) -> None:
    errors = client.ClientErrors()
    admin = client.admin(kafka.config, errors)
    from confluent_kafka import TopicCollection

    with pytest.raises(Exception, match="describing: Broker: Unknown topic or partition"), client.translate("describing", errors):
        admin.describe_topics(TopicCollection(["no-such-topic"]))["no-such-topic"].result()


@pytest.mark.kafka
def test_a_consumer_reads_committed_records_and_tells_the_end(kafka: Cluster, topic_name: str) -> None:
    from confluent_kafka import TopicPartition

    create_topic(kafka.config, topic_name)
    produce(kafka.config, topic_name, [b"a", b"b"], id=topic_name)
    reader = client.consumer(kafka.config)
    reader.assign([TopicPartition(topic_name, 0, 0)])
    seen: list[Any] = []
    while (message := reader.poll(10)) is not None and message.error() is None:
        seen.append(message.value())
    reader.close()
    assert seen == [b"a", b"b"] == [m.value() for m in read_all(kafka.config, topic_name)]
    assert message.error().code() == -191
