"""What forebay knows of a broker that it started: `broker.json`, and which of its processes are alive."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from forebay.errors import ForebayError
from forebay.kafka.embedded import nodes as kraft_nodes
from forebay.kafka.embedded.jars import KAFKA_VERSION
from forebay.kafka.embedded.nodes import HOST, Layout
from forebay.model import Json

_LOADING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Broker(Json):
    """A running embedded cluster. Tuples have one entry per node; a node that does not run has pid 0. `sasl` is ""
    without users."""

    bootstrap: str
    nodes: int
    ports: tuple[int, ...]
    pids: tuple[int, ...]
    home: Path
    cluster_id: str
    version: str = KAFKA_VERSION
    sasl: str = ""
    proxied: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class State(Json):
    """`broker.json`. `ready` is False until a topic could be created after the last start: so a starter killed half-way
    is seen."""

    layout: Layout
    pids: tuple[int, ...]
    ready: bool = False

    def broker(self, home: Path, alive: tuple[int, ...]) -> Broker:
        at = self.layout
        return Broker(
            addresses(at.ports),
            at.nodes,
            at.ports,
            alive,
            home,
            at.cluster_id,
            sasl=addresses(at.sasl),
            proxied=at.proxied,
        )


def read(home: Path) -> State | None:
    try:
        return State.from_json(json.loads((home / "broker.json").read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise ForebayError(
            f"reading `{home / 'broker.json'}`: it is not what forebay wrote: {error} (remove `{home}`: "
            "its topics are lost)"
        ) from error


def write(home: Path, state: State) -> None:
    scratch = home / "broker.json.new"
    scratch.touch(mode=0o600)  # it may hold passwords
    scratch.write_text(json.dumps(state.to_json(), indent=1), "utf-8")
    scratch.replace(home / "broker.json")


def addresses(ports: Iterable[int]) -> str:
    return ",".join(f"{HOST}:{port}" for port in ports)


def alive(home: Path, state: State) -> tuple[int, ...]:
    """Every node's pid where a process of that pid lives and is that node, else 0. A pid alone proves nothing: it may
    be another's by now."""
    return tuple(pid if is_node(pid, home, node) else 0 for node, pid in enumerate(state.pids, 1))


def is_node(pid: int, home: Path, node: int) -> bool:
    return bool(pid) and _words(pid)[-1:] == [str(kraft_nodes.folder(home, node) / "server.properties")]


def _words(pid: int) -> list[str]:
    """A living process's command line. It is empty for a moment: while the kernel loads the program, `Popen` has long
    returned."""
    import psutil

    with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        process, deadline = psutil.Process(pid), time.monotonic() + _LOADING_SECONDS
        while (
            not (words := process.cmdline())
            and process.status() != psutil.STATUS_ZOMBIE
            and time.monotonic() < deadline
        ):
            time.sleep(0.005)
        return words
    return []
