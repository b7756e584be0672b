"""Real Kafka for tests: one broker a session (`kafka`), one cluster of three a session when asked for (`kafka3`), and
simple helpers.

The helpers use confluent_kafka directly, not forebay's client code: what judges the code under test must not be that
code.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from forebay.errors import ForebayError
from forebay.kafka.embedded import broker
from forebay.kafka.embedded.running import Broker
from tests.harness import nodes

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("FOREBAY_CACHE") or ROOT / ".cache" / "forebay")
"""Kafka's jars, shared by all sessions."""

USERS = {"admin": "admin-secret", "bob": "bob-secret"}
"""Users of the SASL listener: `admin` may do anything, `bob` only what an ACL allows him."""

ACLS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS;User:admin",
}


@dataclass(frozen=True)
class Cluster:
    """An embedded cluster of the test session. Without a password everything is allowed (listener PLAINTEXT)."""

    bootstrap: str
    home: Path
    sasl_bootstrap: str = ""

    @property
    def config(self) -> dict[str, Any]:
        """librdkafka settings, a fresh dict each time."""
        return {"bootstrap.servers": self.bootstrap}

    def sasl(self, user: str = "bob", password: str | None = None) -> dict[str, Any]:
        """Settings of the listener that asks for a password; the right one if none is given."""
        return {
            "bootstrap.servers": self.sasl_bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": user,
            "sasl.password": USERS[user] if password is None else password,
        }

    def admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        return AdminClient(self.config)


def kill_all(home: Path) -> None:
    """SIGKILL to all nodes: the session's data is thrown away."""
    for node in range(1, len(list(home.glob("node-*"))) + 1):
        with contextlib.suppress(ForebayError):
            nodes.kill(home, node)


@contextlib.contextmanager
def reaper(home: Path) -> Iterator[None]:
    """A process that kills the broker once this one is gone, however it went: its standard input ends then."""
    code = (
        "import sys; sys.stdin.read()\nfrom pathlib import Path\nfrom tests.support.kafka import "
        "kill_all\nkill_all(Path(sys.argv[1]))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(home)], stdin=subprocess.PIPE, cwd=ROOT, start_new_session=True
    )
    try:
        yield
    finally:
        child.terminate()
        child.communicate()


@contextlib.contextmanager
def running(home: Path, nodes: int = 1, **options: Any) -> Iterator[Broker]:
    """A broker of a test's own, gone afterwards. Options are those of `broker.start`."""
    with reaper(home):
        try:
            yield broker.start(home, CACHE, nodes, **options)
        finally:
            kill_all(home)


def _session(home: Path, nodes: int) -> Iterator[Cluster]:
    given = os.environ.get("FOREBAY_TEST_BOOTSTRAP")
    if given and nodes == 1:
        yield Cluster(given, home)
        return
    with running(home, nodes, users=USERS, extra=ACLS) as started:
        yield Cluster(started.bootstrap, started.home, started.sasl)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The session's broker of one node. Never kill or stop it: a test that does starts its own with `running`."""
    yield from _session(tmp_path_factory.mktemp("kafka") / "broker", 1)


@pytest.fixture(scope="session")
def kafka3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The session's cluster of three nodes, replication 3, min ISR 2. A test that kills a node starts it again
    (`nodes.start_node`)."""
    yield from _session(tmp_path_factory.mktemp("kafka3") / "broker", 3)


@pytest.fixture
def topic_name(request: pytest.FixtureRequest) -> str:
    """A name that no other test has; the topic itself is not created."""
    return fresh(request.node.name)


def fresh(stem: str = "t") -> str:
    """A topic name never used before."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', stem)[:60]}-{uuid.uuid4().hex[:8]}"


def create_topic(
    config: dict[str, Any], name: str, partitions: int = 1, replication: int = -1, **topic_config: Any
) -> str:
    """Create a topic and return its name; `topic_config` names have `_` for `.` (`min_insync_replicas=2`)."""
    from confluent_kafka.admin import AdminClient, NewTopic

    settings = {key.replace("_", "."): str(value) for key, value in topic_config.items()}
    topic = NewTopic(name, num_partitions=partitions, replication_factor=replication, config=settings)
    admin = AdminClient(config)  # named: a client that is collected takes its unanswered requests with it (`_DESTROY`)
    admin.create_topics([topic])[name].result(timeout=30)
    deadline = time.monotonic() + 30
    while describe(config, name) is None:  # no broker knows a new topic for some moments
        assert time.monotonic() < deadline, f"topic {name} was made and is not there"
        time.sleep(0.05)
    return name


def delete_records(config: dict[str, Any], topic: str, before: dict[int, int]) -> None:
    """Let a topic's partitions begin at these offsets, as if what lay before had expired."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    admin = AdminClient(config)  # named: see `create_topic`
    for future in admin.delete_records([TopicPartition(topic, p, offset) for p, offset in before.items()]).values():
        future.result(timeout=30)


def describe(config: dict[str, Any], topic: str) -> Any:
    """What the brokers say of a topic now; None when it is not there. Asked by a client of its own, which remembers
    nothing."""
    from confluent_kafka import KafkaException, TopicCollection
    from confluent_kafka.admin import AdminClient

    admin = AdminClient(config)
    try:
        return admin.describe_topics(TopicCollection([topic]), request_timeout=10)[topic].result(15)
    except KafkaException as error:
        if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
            raise
        return None


def read_all(config: dict[str, Any], topic: str, isolation: str = "read_committed", timeout: float = 60) -> list[Any]:
    """Every message of the topic that is visible now, by partition and offset: what an ordinary consumer would see."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

    consumer = Consumer(
        {
            **config,
            "group.id": f"read-all-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "isolation.level": isolation,
        }
        | {"enable.partition.eof": True, "auto.offset.reset": "earliest"}
    )
    try:
        found = consumer.list_topics(topic, timeout=30).topics[topic]
        assert found.error is None, found.error
        waiting = set(found.partitions)
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in found.partitions])
        messages: list[Any] = []
        while waiting:
            got = consumer.consume(10_000, timeout=0.2)
            timeout -= 0 if got else 0.2
            assert timeout > 0, f"partitions {waiting} of {topic} never came to their end"
            for message in got:
                if (error := message.error()) is None:
                    messages.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard(message.partition())
                else:
                    raise AssertionError(message.error())
        return sorted(messages, key=lambda m: (m.partition(), m.offset()))
    finally:
        consumer.close()


def produce(config: dict[str, Any], topic: str, values: list[bytes], partition: int = 0, **transaction: str) -> None:
    """Produce plain messages; with `id="…"` in one committed transaction of that transactional id."""
    from confluent_kafka import Producer

    settings = dict(config) | ({"transactional.id": transaction["id"]} if transaction else {})
    producer = Producer(settings)
    if transaction:
        producer.init_transactions(30)
        producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(30) == 0
    if transaction:
        producer.commit_transaction(30)
