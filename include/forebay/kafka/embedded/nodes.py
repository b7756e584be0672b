"""The folders and settings of an embedded cluster's nodes: ports, `server.properties`, formatted storage."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from forebay.errors import ForebayError
from forebay.kafka.embedded.java import new_id
from forebay.model import Json
from forebay.support.folders import private

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Layout(Json):
    """What a cluster keeps over restarts: one entry per node in each tuple of ports. Optional listeners have no ports
    when they are off.

    `users` (name → password, PLAIN) opens a second listener, SASL_PLAINTEXT; `advertised` (a port per node) opens a
    third one that tells clients to come back through that port, where a proxy listens. `extra` goes into every node's
    `server.properties` last.
    """

    cluster_id: str
    ports: tuple[int, ...]
    controllers: tuple[int, ...]
    sasl: tuple[int, ...] = ()
    proxied: tuple[int, ...] = ()
    advertised: tuple[int, ...] = ()
    users: dict[str, str] | None = None
    extra: dict[str, str] | None = None

    @property
    def nodes(self) -> int:
        return len(self.ports)


def folder(home: Path, node: int) -> Path:
    """The folder of a node, 1-based: `server.properties`, `data/`, `log`."""
    return home / f"node-{node}"


def free_ports(wanted: tuple[int, ...]) -> tuple[int, ...]:
    """The wanted ports where they are still free, else others; 0 stands for any. All of them differ.

    New ones lie below the range from which the system gives outgoing connections theirs: within it, a client's
    connection (of the next node, trying to reach this one) may take the port in the moment before Kafka binds it.
    """
    with ExitStack() as held:
        return tuple(_bound(held, port).getsockname()[1] for port in wanted)


def _bound(held: ExitStack, wanted: int) -> socket.socket:
    candidates = random.sample(range(10_000, _outgoing()), 50)
    for port in [wanted] * bool(wanted) + candidates + [0]:
        s = held.enter_context(socket.socket())
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        with suppress(OSError):
            s.bind((HOST, port))
            return s
    raise ForebayError(f"looking for a free port on {HOST}: there is none (end what holds them)")


def _outgoing() -> int:
    """First port of outgoing connections (Linux says; elsewhere IANA's 49152 or lower, so Linux's default is a safe
    guess)."""
    try:
        return max(12_000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0]))
    except (OSError, ValueError):
        return 32_768


def answers(port: int, timeout: float = 0.5) -> bool:
    """Whether something accepts connections at the port of the loopback."""
    try:
        with socket.create_connection((HOST, port), timeout):
            return True
    except OSError:
        return False


def prepare(home: Path, layout: Layout, checkpoint: bytes) -> None:
    """Write every node's settings, and format the storage of nodes that have none."""
    for node in range(1, layout.nodes + 1):
        at = folder(home, node)
        data = at / "data"
        private(data)
        properties = at / "server.properties"
        properties.touch(mode=0o600)  # it may hold passwords
        properties.write_text(_text(settings(layout, node, data)), "utf-8")
        if not (data / "meta.properties").exists():
            (data / "bootstrap.checkpoint").write_bytes(checkpoint)
            meta = {"version": "1", "cluster.id": layout.cluster_id, "node.id": str(node), "directory.id": new_id()}
            (data / "meta.properties").write_text(_text(meta), "utf-8")


def _text(properties: dict[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def settings(layout: Layout, node: int, data: Path) -> dict[str, str]:
    """A node's `server.properties`: KRaft, loopback only, replication 3 and min ISR 2 from three nodes on, quick
    failover."""
    voters = ",".join(f"{i}@{HOST}:{port}" for i, port in enumerate(layout.controllers, 1))
    return {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": voters,
        **_listeners(layout, node - 1),
        "log.dirs": str(data),
        **_replication(layout.nodes),
        "group.initial.rebalance.delay.ms": "0",
        "auto.create.topics.enable": "false",
        "log.cleaner.dedupe.buffer.size": "2097152",
        # A killed node is seen dead, and comes back, after seconds; the defaults (9 s) are for networks that stall.
        "broker.session.timeout.ms": "3000" if layout.nodes > 1 else "2000",
        "broker.heartbeat.interval.ms": "500",
        "controller.quorum.fetch.timeout.ms": "1000",
        "controller.quorum.election.timeout.ms": "500",
        "controller.quorum.election.backoff.max.ms": "500",
        "replica.lag.time.max.ms": "5000",
        **(layout.extra or {}),
    }


def _replication(nodes: int) -> dict[str, str]:
    factor, isr = (str(min(nodes, 3)), "2" if nodes >= 3 else "1")
    return {
        "default.replication.factor": factor,
        "min.insync.replicas": isr,
        "offsets.topic.replication.factor": factor,
        "offsets.topic.num.partitions": factor,
        "transaction.state.log.replication.factor": factor,
        "transaction.state.log.min.isr": isr,
        "transaction.state.log.num.partitions": factor,
        "share.coordinator.state.topic.replication.factor": factor,
        "share.coordinator.state.topic.min.isr": isr,
        "share.coordinator.state.topic.num.partitions": factor,
    }


def _listeners(layout: Layout, i: int) -> dict[str, str]:
    opened = {"PLAINTEXT": layout.ports[i], "CONTROLLER": layout.controllers[i]}
    advertised = {"PLAINTEXT": layout.ports[i]}
    if layout.sasl:
        opened["SASL_PLAINTEXT"] = advertised["SASL_PLAINTEXT"] = layout.sasl[i]
    if layout.proxied:
        opened["PROXIED"], advertised["PROXIED"] = layout.proxied[i], layout.advertised[i]
    return {
        "listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in opened.items()),
        "advertised.listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in advertised.items()),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,PROXIED:PLAINTEXT",  # noqa: E501
        **_sasl(layout.users),
    }


def _sasl(users: dict[str, str] | None) -> dict[str, str]:
    if not users:
        return {}
    words = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    return {
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {words};"
        ),
    }
