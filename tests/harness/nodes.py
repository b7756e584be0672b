"""Harm to single nodes of an embedded broker: killed, frozen, and brought back at their old ports."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from forebay.errors import ForebayError
from forebay.kafka.embedded import broker, running
from forebay.kafka.embedded.jars import locked
from forebay.kafka.embedded.running import Broker


def kill(home: Path, node: int) -> None:
    """kill -9 of one node (1-based); returns when the process is gone."""
    broker._end([_pid(home, node)], signal.SIGKILL)


def freeze(home: Path, node: int) -> None:
    """SIGSTOP of one node: it keeps its connections and answers nothing, until `thaw`. Returns when it stands still."""
    import psutil

    pid = _pid(home, node)
    os.kill(pid, signal.SIGSTOP)
    while psutil.Process(pid).status() != psutil.STATUS_STOPPED:  # the signal takes effect a moment later
        time.sleep(0.005)


def thaw(home: Path, node: int) -> None:
    """SIGCONT of one node."""
    os.kill(_pid(home, node), signal.SIGCONT)


def start_node(home: Path, cache: Path, node: int, wait: bool = True) -> Broker:
    """Start one node that is down, at its old ports; `wait` until all nodes that run have joined again."""
    home = home.resolve()
    with locked(home / "lock"):
        kept = running.read(home)
        if not kept or not 1 <= node <= kept.layout.nodes:
            raise ForebayError(f"starting node {node}: `{home}` has no such node")
        alive = list(running.alive(home, kept))
        if not alive[node - 1]:
            alive[node - 1] = broker._spawn(home, cache, node)
        state = running.State(kept.layout, tuple(alive), kept.ready)
        running.write(home, state)
    if wait:
        broker._await_ready(home, state)
    return state.broker(home, state.pids)


def _pid(home: Path, node: int) -> int:
    home = home.resolve()
    kept = running.read(home)
    pid = running.alive(home, kept)[node - 1] if kept and 1 <= node <= kept.layout.nodes else 0
    if not pid:
        raise ForebayError(f"looking for node {node} of `{home}`: it does not run (start it: forebay broker start)")
    return pid
