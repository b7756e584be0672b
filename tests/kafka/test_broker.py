"""The embedded broker as real processes: found again, killed, raced for, stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from forebay import events
from forebay.errors import ConfigError, ForebayError
from forebay.kafka.embedded import broker
from forebay.kafka.embedded import nodes as kraft_nodes
from forebay.kafka.embedded import running as known
from forebay.kafka.embedded.running import Broker
from tests.harness import nodes
from tests.support.kafka import ACLS, CACHE, ROOT, USERS, Cluster, create_topic, produce, read_all, running


def _config(started: Broker) -> dict[str, str]:
    return {"bootstrap.servers": started.bootstrap}


def _processes(home: Path) -> list[psutil.Process]:
    """Every process whose command line names this home."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(home) in word and "server.properties" in word for word in process.info["cmdline"] or []):
            found.append(process)
    return found


@pytest.mark.kafka
def test_a_started_broker_is_found_again_and_started_once(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    stop_listening = events.listen(lambda name, fields: heard.append(fields) if name == events.BROKER_STARTED else None)
    try:
        with running(tmp_path / "home") as started:
            home = tmp_path / "home"
            assert broker.status(home) == started
            assert broker.start(home, CACHE) == started
            assert broker.ensure(home, CACHE) == started.bootstrap
            assert len(_processes(home)) == 1
            assert heard == []
    finally:
        stop_listening()


@pytest.mark.kafka
def test_ensure_starts_a_broker_and_says_so_in_one_line(tmp_path: Path) -> None:
    heard: list[str] = []
    stop_listening = events.listen(
        lambda name, fields: heard.append(fields["message"]) if name == events.BROKER_STARTED else None
    )
    try:
        bootstrap = broker.ensure(tmp_path / "home", CACHE)
        assert heard == [
            (
                f"no KAFKA_BOOTSTRAP_SERVERS and no Kafka connection: started Apache Kafka 4.3.1 at {bootstrap} "
                "(stop it: "
                "forebay broker stop)"
            )
        ]
    finally:
        stop_listening()
        broker.stop(tmp_path / "home")


@pytest.mark.kafka
def test_stop_leaves_no_process_and_the_next_start_has_the_data_at_the_same_address(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(home) as started:
        create_topic(_config(started), "kept")
        produce(_config(started), "kept", [b"a", b"b"])
        assert broker.stop(home) is True
        assert _processes(home) == []
        assert broker.status(home) is None
        assert broker.stop(home) is False
        again = broker.start(home, CACHE)
        assert (again.bootstrap, again.cluster_id) == (started.bootstrap, started.cluster_id)
        assert [m.value() for m in read_all(_config(again), "kept")] == [b"a", b"b"]


@pytest.mark.kafka
@pytest.mark.chaos
def test_kill_9_keeps_what_was_acknowledged_and_shows_nothing_of_an_open_transaction(tmp_path: Path) -> None:
    from confluent_kafka import Producer

    home = tmp_path / "home"
    with running(home) as started:
        config = _config(started)
        create_topic(config, "t")
        produce(config, "t", [b"committed-%d" % i for i in range(1000)], id="one")
        open_one = Producer({**config, "transactional.id": "two", "log_level": 0})
        open_one.init_transactions(30)
        open_one.begin_transaction()
        for i in range(1000):
            open_one.produce("t", b"open-%d" % i)
        assert open_one.flush(30) == 0
        nodes.kill(home, 1)
        assert broker.status(home) is None
        again = broker.start(home, CACHE)
        assert again.pids != started.pids
        assert [m.value() for m in read_all(config, "t")] == [b"committed-%d" % i for i in range(1000)]
        assert len(read_all(config, "t", "read_uncommitted")) == 2000


@pytest.mark.kafka
def test_two_starters_at_once_give_one_broker(tmp_path: Path) -> None:
    home = tmp_path / "home"
    code = (
        "import sys; from pathlib import Path; from forebay.kafka.embedded import broker; "
        "print(broker.ensure(Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    starters = [
        subprocess.Popen([sys.executable, "-c", code, str(home), str(CACHE)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        answers = {starter.communicate(timeout=120)[0].strip() for starter in starters}
        assert [starter.returncode for starter in starters] == [0, 0, 0]
        found = broker.status(home)
        assert found is not None
        assert answers == {found.bootstrap}
        assert len(_processes(home)) == 1
    finally:
        broker.stop(home)
    assert _processes(home) == []


@pytest.mark.kafka
def test_two_threads_of_one_process_give_one_broker(tmp_path: Path) -> None:
    home = tmp_path / "home"
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(broker.ensure(home, CACHE))) for _ in range(2)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert len(answers) == 2
        assert len(set(answers)) == 1
        assert len(_processes(home)) == 1
    finally:
        broker.stop(home)


@pytest.mark.kafka
def test_it_outlives_its_starter_and_ctrl_c_in_its_terminal(tmp_path: Path) -> None:
    home = tmp_path / "home"
    code = (  # a job in the background, as CI's may be, ignores SIGINT, and so would all that it starts
        "import signal, sys, time; from pathlib import Path; from forebay.kafka.embedded import broker\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "print(broker.ensure(Path(sys.argv[1]), Path(sys.argv[2])), flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(home), str(CACHE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert starter.stdout is not None
        bootstrap = starter.stdout.readline().strip()
        os.killpg(starter.pid, signal.SIGINT)  # what a terminal does on Ctrl-C: to the whole group
        starter.communicate(timeout=50)
        found = broker.status(home)
        assert found is not None
        assert found.bootstrap == bootstrap
    finally:
        broker.stop(home)


def _features(address: str) -> dict[str, int]:
    """Finalized features of a broker by Kafka's protocol (ApiVersions v3, KIP-584): name → level."""
    host, _, port = address.rpartition(":")
    header = struct.pack(">hhih", 18, 3, 1, 1) + b"t" + b"\0"
    body = b"\2t" + b"\2t" + b"\0"
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(struct.pack(">i", len(header + body)) + header + body)
        stream = connection.makefile("rb")
        data = stream.read(struct.unpack(">i", stream.read(4))[0])
    at = _Bytes(data)
    at.take(6)  # correlation, error
    for _ in range(at.varint() - 1):
        at.take(6)
        at.tags()
    at.take(4)
    for _ in range(at.varint()):  # tagged fields
        tag, size = at.varint(), at.varint()
        field = _Bytes(at.take(size))
        if tag == 2:
            return dict(_levels(field))
    return {}


def _levels(field: _Bytes) -> Iterator[tuple[str, int]]:
    for _ in range(field.varint() - 1):
        name = field.take(field.varint() - 1).decode()
        yield name, struct.unpack(">hh", field.take(4))[0]
        field.tags()


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def tags(self) -> None:
        for _ in range(self.varint()):
            self.varint()
            self.take(self.varint())


@pytest.mark.kafka
def test_the_transaction_protocol_is_the_current_one(kafka: Cluster) -> None:
    assert _features(kafka.bootstrap)["transaction.version"] == 2


@pytest.mark.kafka
def test_three_nodes_replicate_and_lose_nothing_when_one_dies(kafka3: Cluster, topic_name: str) -> None:
    create_topic(kafka3.config, topic_name, partitions=3)
    for partition in range(3):
        produce(kafka3.config, topic_name, [b"x"] * 100, partition, id=f"{topic_name}-{partition}")
    nodes.kill(kafka3.home, 3)
    try:
        produce(kafka3.config, topic_name, [b"after"], 0, id=f"{topic_name}-0")
        assert len(read_all(kafka3.config, topic_name)) == 301
    finally:
        back = nodes.start_node(kafka3.home, CACHE, 3)
    assert all(back.pids)


@pytest.mark.kafka
def test_a_frozen_node_goes_on_when_it_is_thawed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(home) as started:
        create_topic(_config(started), "t")
        nodes.freeze(home, 1)
        assert psutil.Process(started.pids[0]).status() == psutil.STATUS_STOPPED
        threading.Timer(1.0, nodes.thaw, (home, 1)).start()
        produce(_config(started), "t", [b"late"])
        assert [m.value() for m in read_all(_config(started), "t")] == [b"late"]


@pytest.mark.kafka
def test_a_home_of_one_node_is_not_made_one_of_three(tmp_path: Path) -> None:
    with running(tmp_path / "home"), pytest.raises(ConfigError, match="holds a cluster of 1"):
        broker.start(tmp_path / "home", CACHE, 3)


@pytest.mark.kafka
def test_a_taken_port_is_given_up_and_the_data_stays(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(home) as started:
        create_topic(_config(started), "kept")
        produce(_config(started), "kept", [b"a"])
        broker.stop(home)
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", started.ports[0]))
            other.listen()
            assert broker.status(home) is None
            again = broker.start(home, CACHE)
        assert again.ports != started.ports
        assert [m.value() for m in read_all(_config(again), "kept")] == [b"a"]


@pytest.mark.kafka
def test_users_are_asked_for_their_password(kafka: Cluster, topic_name: str) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    create_topic(kafka.config, topic_name)
    assert topic_name in AdminClient(kafka.sasl("admin")).list_topics(timeout=10).topics
    assert topic_name not in AdminClient(kafka.sasl("bob")).list_topics(timeout=10).topics, "no ACL allows it"
    wrong = AdminClient({**kafka.sasl("admin", "wrong"), "log_level": 0})
    with pytest.raises(KafkaException):
        wrong.list_topics(timeout=2)


@pytest.mark.kafka
def test_users_and_settings_survive_a_restart_and_are_readable_by_the_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(home, users=USERS, extra=ACLS) as started:
        broker.stop(home)
        again = broker.start(home, CACHE)
        assert again.sasl == started.sasl != ""
        for secret in (home / "broker.json", home / "node-1" / "server.properties"):
            assert secret.stat().st_mode & 0o077 == 0, secret


def test_a_pid_of_another_program_is_not_taken_for_the_broker(tmp_path: Path) -> None:
    layout = kraft_nodes.Layout("c", (1,), (2,))
    state = {"layout": layout.to_json(), "pids": [os.getpid()], "ready": True}
    (tmp_path / "broker.json").write_text(json.dumps(state))
    assert broker.status(tmp_path) is None
    assert broker.stop(tmp_path) is False


def test_a_process_that_is_being_loaded_is_known_at_once(tmp_path: Path) -> None:
    """Between the fork and the end of exec a process has no command line yet: it was taken for dead, one start in
    ten."""
    words = [
        sys.executable,
        "-c",
        "import time; time.sleep(30)",
        str(kraft_nodes.folder(tmp_path, 1) / "server.properties"),
    ]
    for _ in range(60):
        with subprocess.Popen(words, start_new_session=True) as child:
            try:
                assert known.is_node(child.pid, tmp_path, 1)
            finally:
                child.kill()


def test_an_unreadable_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "broker.json").write_text("{")
    with pytest.raises(ForebayError, match=r"broker\.json`: it is not what forebay wrote"):
        broker.status(tmp_path)


def test_there_is_no_broker_when_the_folder_of_an_unreadable_state_is_removed(tmp_path: Path) -> None:
    (home := tmp_path / "broker").mkdir()
    (home / "broker.json").write_text("{")
    with pytest.raises(ForebayError, match=r"\(remove `.*/broker`: its topics are lost\)"):
        broker.status(home)
    shutil.rmtree(home)
    assert broker.status(home) is None


@pytest.mark.kafka
def test_a_broker_that_ends_at_once_is_said_with_its_own_words(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(
        ForebayError, match=r"starting Apache Kafka: node 1 ended with exit code 1: .*no\.such\.Authorizer"
    ):
        broker.start(home, CACHE, extra={"authorizer.class.name": "no.such.Authorizer"})
    assert _processes(home) == []
    assert broker.status(home) is None


@pytest.mark.kafka
@pytest.mark.chaos
def test_the_session_broker_dies_with_its_session_even_by_kill_9(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tests.support.kafka import running\n"
        "with running(Path(sys.argv[1])): print('up', flush=True); time.sleep(60)"
    )
    session = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "home")], stdout=subprocess.PIPE, cwd=ROOT)
    assert session.stdout is not None
    assert session.stdout.readline() == b"up\n"
    session.kill()
    session.communicate()
    deadline = time.monotonic() + 20
    while _processes(tmp_path / "home"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
