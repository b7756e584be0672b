"""Clients say the true cause of a failure, at once, and are quiet."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

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
    assert time.monotonic() - began < 15
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
    assert time.monotonic() - began < 18
    assert "check user, password, certificates and ACLs" in caught.value.message
    assert "wrong" not in caught.value.message
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), NotAuthorizedError)


@pytest.mark.kafka
def test_a_listener_that_does_not_speak_tls_is_said_within_seconds(kafka: Cluster) -> None:
    began = time.monotonic()
    with pytest.raises((NotAuthorizedError, BrokerUnavailableError)) as caught:
        client.connect_check(kafka.config | {"security.protocol": "SSL"}, timeout=3)
    assert time.monotonic() - began < 15
    assert "SSL" in caught.value.message


@pytest.mark.kafka
def test_translate_names_what_was_done(kafka: Cluster) -> None:
    errors = client.ClientErrors()
    admin = client.admin(kafka.config, errors)
    from confluent_kafka import TopicCollection

    with (
        pytest.raises(Exception, match="describing: Broker: Unknown topic or partition"),
        client.translate("describing", errors),
    ):
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
    assert message is not None and (error := message.error()) is not None and error.code() == -191


class Told(NamedTuple):
    """What an admin client's future may hold of a partition."""

    offset: int


class Asked:
    """An admin client whose next answers are given: an offset, or an error that its future raises."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers, self.errors = list(answers), client.ClientErrors()

    def list_offsets(self, wanted: Any, **_: Any) -> dict[Any, Future[Told]]:
        future: Future[Told] = Future()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(Told(answer))
        return {next(iter(wanted)): future}

    def list_topics(self, **_: Any) -> None:
        return None

    def poll(self, _: float) -> None:
        return None


def asker(*clients: Asked, reached: bool = True, patience: float = 5.0) -> client.Asker:
    """One whose admin clients are these, each new one the next."""
    rest: Iterator[Any] = iter(clients)
    made = client.Asker({}, patience=patience, clients=lambda *_: next(rest))
    made._reached = reached
    return made


PLACE = [TopicPartition("t", 0)]


def test_an_offset_below_zero_is_no_answer_but_asked_again_by_a_new_client() -> None:
    """librdkafka says -1001, without an error, when no leader answered: taken for an end, it would let a barrier pass
    without reading."""
    assert asker(Asked(-1001), Asked(7)).offsets(PLACE) == {("t", 0): 7}


def test_an_error_that_time_mends_is_asked_again_and_others_are_not() -> None:
    fenced, denied = (
        KafkaException(KafkaError(KafkaError.FENCED_LEADER_EPOCH)),
        KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)),
    )
    assert asker(Asked(fenced), Asked(7)).offsets(PLACE) == {("t", 0): 7}
    with pytest.raises(KafkaException):
        asker(Asked(denied), Asked(7)).offsets(PLACE)
    with pytest.raises(KafkaException):
        asker(Asked(fenced), Asked(7)).offsets(PLACE, final=frozenset({KafkaError.FENCED_LEADER_EPOCH}))


def noting(timeouts: list[float], ask: Callable[..., Any]) -> Callable[..., Any]:
    """The question, and each time it is asked how long an answer may take."""

    def noted(wanted: Any, request_timeout: float, **_: Any) -> Any:
        timeouts.append(request_timeout)
        return ask(wanted)

    return noted


def test_what_is_refused_at_once_is_asked_on_and_the_time_to_wait_stays_what_librdkafka_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes an hour at most; waiting times that doubled each time were above that after a dozen refusals."""
    fenced = KafkaException(KafkaError(KafkaError.FENCED_LEADER_EPOCH))
    asked = [*(Asked(fenced) for _ in range(20)), Asked(7)]
    waited: list[float] = []
    for one in asked:
        monkeypatch.setattr(one, "list_offsets", noting(waited, one.list_offsets))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    assert asker(*asked).offsets(PLACE) == {("t", 0): 7}
    assert max(waited) <= 60


def done(outcome: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(outcome) if isinstance(outcome, Exception) else future.set_result(outcome)
    return future


def test_where_a_round_trip_takes_long_a_question_is_given_the_time_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds each way: a question of a new client takes 16 s, and none was ever given them; those that follow have
    them at once."""
    monkeypatch.setattr(client, "FIRST_ANSWER", 0.1)
    near, far = Asked(-1001), Asked(7, 8)
    given: list[float] = []
    monkeypatch.setattr(far, "list_topics", lambda **_: time.sleep(0.05))
    for one in (near, far):
        monkeypatch.setattr(one, "list_offsets", noting(given, one.list_offsets))
    made = asker(near, far, patience=0.15)
    assert [made.offsets(PLACE), made.offsets(PLACE)] == [{("t", 0): 7}, {("t", 0): 8}]
    assert given[0] == 0.1 and given[1] >= 0.3 and given[2] == given[1]


def test_a_topic_that_is_not_there_is_left_out_and_other_errors_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    absent, moved = (
        KafkaException(KafkaError(code)) for code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.NOT_CONTROLLER)
    )
    first, second = Asked(), Asked()
    monkeypatch.setattr(
        first, "describe_topics", lambda *_, **__: {"a": done("known"), "b": done(moved)}, raising=False
    )
    monkeypatch.setattr(
        second, "describe_topics", lambda *_, **__: {"a": done("known"), "b": done(absent)}, raising=False
    )
    assert asker(first, second).topics(["a", "b"]) == {"a": "known"}


def test_brokers_that_never_give_an_offset_are_unavailable() -> None:
    made = asker(*[Asked(-1001) for _ in range(200)], patience=0.5)
    with pytest.raises(BrokerUnavailableError, match=r"no answer within \d s"):
        made.offsets(PLACE)


def test_want_of_memory_is_said_as_such_and_may_be_tried_again() -> None:
    """In a process of its own that may have 4 MiB more: no thread can be made."""
    code = (
        "import resource\nfrom forebay.kafka import client\nfrom forebay.errors import OutOfResourcesError\nimport "
        "confluent_kafka.admin\n"
        "now = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + 4 * 2**20,) * 2)\n"
        "for build in (client.admin, client.producer):\n"
        "    try:\n        build({'bootstrap.servers': '127.0.0.1:1'})\n"
        "    except OutOfResourcesError as error:\n        print(error.exit_code, error)\n"
    )
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs Linux's /proc")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["4 building a Kafka client"] * 2, done
