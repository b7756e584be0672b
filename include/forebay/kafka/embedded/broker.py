"""The embedded default: a real Apache Kafka (KRaft) as child processes on loopback, with neither Docker nor an
installed Java.

The processes outlive the command that starts them, and the next command finds them by what lies in their home:
`broker.json`, and `node-N/{server.properties,data,log}`. Whatever happens to the processes, acknowledged records stay
in `data`.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from forebay import events
from forebay.errors import BrokerUnavailableError, ConfigError, ForebayError
from forebay.kafka.embedded import java, running
from forebay.kafka.embedded import nodes as kraft_nodes
from forebay.kafka.embedded.jars import KAFKA_VERSION, locked
from forebay.kafka.embedded.nodes import Layout
from forebay.kafka.embedded.running import Broker
from forebay.support.folders import private

_READY_SECONDS = 90.0
_STOP_SECONDS = 20.0

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Brokers that this very process started: kept, so that they are reaped when they end and never reported as leaked."""


def ensure(home: Path, cache: Path) -> str:
    """Bootstrap address of the broker of this home, started if it does not run; then one event says so."""
    running = status(home)
    if running:
        return running.bootstrap
    started = start(home, cache)
    events.emit(
        events.BROKER_STARTED,
        message=f"no KAFKA_BOOTSTRAP_SERVERS and no Kafka connection: started Apache Kafka {KAFKA_VERSION} at "
        f"{started.bootstrap} "
        "(stop it: forebay broker stop)",
        bootstrap=started.bootstrap,
        home=str(home),
    )
    return started.bootstrap


def running_at(home: Path) -> str:
    """Bootstrap address of the broker of this home, which is not started. Raises `BrokerUnavailableError` where none
    runs."""
    running = status(home)
    if running is None:
        raise BrokerUnavailableError(
            f"looking for a broker: no KAFKA_BOOTSTRAP_SERVERS and no Kafka connection, and none runs in `{home}` "
            "(start it: forebay broker start)"
        )
    return running.bootstrap


def start(
    home: Path,
    cache: Path,
    nodes: int | None = None,
    *,
    users: dict[str, str] | None = None,
    advertised: tuple[int, ...] = (),
    extra: dict[str, str] | None = None,
) -> Broker:
    """Start the broker of this home and wait until a topic can be created; one that runs already is returned as it is.

    `nodes` is 1 for a new home (None), else what it was; three make a cluster of replication 3. `users` (name →
    password) adds a listener with SASL PLAIN (`Broker.sasl`). `advertised` (a port per node) adds listeners at
    `Broker.proxied` that name those ports to clients: for a proxy between. `extra` is added to `server.properties`.
    Starters are serialised by a lock in the home.

    Raises `ConfigError` when the home holds a cluster of another size, `ForebayError` when Java or Kafka does not
    start, and what `_jars.jars` raises.
    """
    home = home.resolve()
    with locked(private(home) / "lock"):
        kept = running.read(home)
        _check_size(home, kept, nodes)
        if (
            kept
            and kept.ready
            and all(running.alive(home, kept))
            and all(kraft_nodes.answers(port) for port in kept.layout.ports)
        ):
            return kept.broker(home, running.alive(home, kept))
        layout = _layout(home, kept, nodes or (kept.layout.nodes if kept else 1), users, advertised, extra)
        kraft_nodes.prepare(home, layout, java.checkpoint(cache))
        return _launch(home, cache, running.State(layout, running.alive(home, kept) if kept else (0,) * layout.nodes))


def status(home: Path) -> Broker | None:
    """The running broker of this home, or None. It runs if a process of ours lives and its port answers; nodes that are
    down have pid 0."""
    home = home.resolve()
    kept = running.read(home)
    if not kept or not kept.ready:
        return None
    alive = running.alive(home, kept)
    up = [port for port, pid in zip(kept.layout.ports, alive, strict=True) if pid and kraft_nodes.answers(port)]
    return kept.broker(home, alive) if up else None


def stop(home: Path) -> bool:
    """End all processes of this home's broker, and wait until they are gone. False if none ran. Its data stays."""
    home = home.resolve()
    if not (home / "broker.json").exists():
        return False
    with locked(home / "lock"):
        kept = running.read(home)
        pids = [pid for pid in running.alive(home, kept) if pid] if kept else []
        # Kafka's orderly stop of three nodes waits for a majority that is going away, so only one node is asked
        # politely.
        _end(pids, signal.SIGTERM if len(pids) == 1 else signal.SIGKILL)
        return bool(pids)


def train(cache: Path) -> Path:
    """Make the AOT cache that halves every later start from this cache's jars (some 10 s, 60 MB); returns its file.
    Never done unasked.

    Raises as `start`, and `ForebayError` when the JVM wrote none.
    """
    kept = java.aot(cache)
    with tempfile.TemporaryDirectory(prefix="forebay-train-") as folder:
        home, written = Path(folder).resolve(), kept.with_name(f"broker-{os.getpid()}.aot")
        layout = _layout(home, None, 1, None, (), None)
        kraft_nodes.prepare(home, layout, java.checkpoint(cache))
        child = java.spawn(
            cache, kraft_nodes.folder(home, 1) / "server.properties", kraft_nodes.folder(home, 1) / "log", train=written
        )
        try:
            _children[child.pid] = child
            _await_ready(home, running.State(layout, (child.pid,)))
            child.terminate()
            child.wait(_READY_SECONDS)  # the JVM writes the file when it ends
            if not written.exists():
                raise ForebayError(
                    f"training Kafka's start: the JVM wrote no AOT cache: {_tail(home, 1)} (starts stay as they are)"
                )
            return written.replace(kept)
        finally:
            _end([child.pid], signal.SIGKILL)
            written.unlink(missing_ok=True)


# --- starting --------------------


def _launch(home: Path, cache: Path, state: running.State) -> Broker:
    pids = tuple(pid or _spawn(home, cache, node) for node, pid in enumerate(state.pids, 1))
    state = running.State(state.layout, pids)
    running.write(home, state)
    try:
        _await_ready(home, state)
    except BaseException:  # Ctrl-C too: a broker that never got ready is not left behind
        _end([pid for pid in running.alive(home, state) if pid], signal.SIGKILL)
        raise
    running.write(home, replace(state, ready=True))
    return state.broker(home, pids)


def _spawn(home: Path, cache: Path, node: int) -> int:
    at = kraft_nodes.folder(home, node)
    child = java.spawn(cache, at / "server.properties", at / "log")
    _children[child.pid] = child
    return child.pid


def _check_size(home: Path, kept: running.State | None, nodes: int | None) -> None:
    if kept and nodes not in {None, kept.layout.nodes}:
        raise ConfigError(
            f"starting {nodes} Kafka nodes: `{home}` holds a cluster of {kept.layout.nodes} (use another "
            "FOREBAY_HOME, or stop the broker and "
            "remove that folder: its topics are lost)",
            home=str(home),
        )


def _layout(
    home: Path,
    kept: running.State | None,
    nodes: int,
    users: dict[str, str] | None,
    advertised: tuple[int, ...],
    extra: dict[str, str] | None,
) -> Layout:
    """The kept layout with its ports where they are still free, or a new one. A cluster of which some nodes run keeps
    its ports."""
    if kept and any(running.alive(home, kept)):
        return kept.layout
    old = kept.layout if kept else Layout(java.new_id(), (0,) * nodes, (0,) * nodes)
    users, extra, advertised = users or old.users, extra or old.extra, advertised or old.advertised
    sasl = (old.sasl or (0,) * nodes) if users else ()
    proxied = (old.proxied or (0,) * nodes) if advertised else ()
    wanted = (*old.ports, *old.controllers, *sasl, *proxied)
    ports = kraft_nodes.free_ports(wanted)
    cut = [ports[i : i + nodes] for i in range(0, len(wanted), nodes)]
    opened, controllers = cut[0], cut[1]
    return Layout(
        old.cluster_id,
        opened,
        controllers,
        cut[2] if sasl else (),
        cut[-1] if proxied else (),
        advertised,
        users,
        extra,
    )


def _await_ready(home: Path, state: running.State) -> None:
    """Return when all nodes take part: the controller agrees to create a topic replicated on each of them (it is only
    asked, not done)."""
    deadline = time.monotonic() + _READY_SECONDS
    for node, port in enumerate(state.layout.ports, 1):
        while state.pids[node - 1] and not kraft_nodes.answers(port):
            _check_time(home, state, deadline)
            time.sleep(0.03)
    admin = _quiet_admin(running.addresses(state.layout.ports))
    while not _can_create(admin, sum(map(bool, state.pids))):
        _check_time(home, state, deadline)
        time.sleep(0.03)


def _quiet_admin(bootstrap: str) -> Any:
    from confluent_kafka.admin import AdminClient

    silent = logging.Logger("forebay.broker.starting", logging.CRITICAL)  # refused connections are expected here
    silent.addHandler(logging.NullHandler())
    config: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "reconnect.backoff.ms": 30,
        "reconnect.backoff.max.ms": 100,
    }
    config["error_cb"] = lambda _: None
    return AdminClient(config, logger=silent)


def _can_create(admin: Any, replicas: int) -> bool:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import NewTopic

    probe = NewTopic("forebay.ready", num_partitions=1, replication_factor=replicas)
    asked = admin.create_topics([probe], operation_timeout=2, request_timeout=2, validate_only=True)
    try:
        asked["forebay.ready"].result()
    except KafkaException:
        return False
    return True


def _check_time(home: Path, state: running.State, deadline: float) -> None:
    dead = [
        node
        for node, (pid, lives) in enumerate(zip(state.pids, running.alive(home, state), strict=True), 1)
        if pid and not lives
    ]
    if dead:
        raise ForebayError(
            f"starting Apache Kafka: node {dead[0]} ended{_code(state.pids[dead[0] - 1])}: "
            f"{_tail(home, dead[0])} ({java.WAY_OUT}; its log: "
            f"`{kraft_nodes.folder(home, dead[0]) / 'log'}`)"
        )
    if time.monotonic() > deadline:
        raise ForebayError(
            f"starting Apache Kafka: not ready after {_READY_SECONDS:.0f} s: {_tail(home, 1)} ({java.WAY_OUT}; "
            f"its logs: `{home}/node-*/log`)"
        )


def _code(pid: int) -> str:
    """How a process of ours ended: -9 means killed from outside."""
    if pid not in _children:
        return ""
    with suppress(subprocess.TimeoutExpired):  # a process on its way out is gone for others before it can be asked
        return f" with exit code {_children[pid].wait(5)}"
    return ""


def _tail(home: Path, node: int) -> str:
    """The last words of a node's log."""
    with suppress(OSError):
        lines = (kraft_nodes.folder(home, node) / "log").read_text("utf-8", "replace").strip().splitlines()
        telling = [line for line in lines if "ERROR" in line or "Exception" in line or "Error" in line]
        return " | ".join((telling or lines)[-2:])[-600:] or "it said nothing"
    return "it said nothing"


def _end(pids: list[int], how: signal.Signals) -> None:
    import psutil

    processes = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
            os.kill(pid, signal.SIGCONT)  # a frozen process hears no SIGTERM
            os.kill(pid, how)
    _, left = psutil.wait_procs(processes, timeout=_STOP_SECONDS)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=_STOP_SECONDS)
    for pid in pids:
        if child := _children.pop(pid, None):
            child.poll()
