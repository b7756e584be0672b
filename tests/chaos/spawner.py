"""Processes to be killed, ready in milliseconds: a parent that has imported everything, and opened nothing, forks one
for each attempt.

A trial of kills would else spend its time on imports. What is killed is a process of its own all the same: clients of
Kafka, files and threads are made after the fork. The parent is `python -m tests.chaos.spawner MAIN`; it reads one JSON
line a start, and writes each child's exit code to a file.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Forked:
    """A forked process, with as much of `subprocess.Popen` as trials use. Its exit code is negative after a signal."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid, self._folder = pid, folder
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            text = self._folder.joinpath("code")
            self.returncode = int(text.read_text("ascii")) if text.exists() else None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Standard output and error once it has ended. Raises `subprocess.TimeoutExpired`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired([str(self.pid)], timeout or 0.0)
            time.sleep(0.005)
        out, err = (self._folder.joinpath(name).read_text("utf-8", "replace") for name in ("out", "err"))
        return out, err

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Spawner:
    """The forking parents, one for each of `MAINS`, started when first needed; `close` ends them and their children."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._parents: dict[str, subprocess.Popen[str]] = {}

    def _parent(self, main: str) -> subprocess.Popen[str]:
        if main in self._parents:
            return self._parents[main]
        environment = {
            **os.environ,
            "PYTHONFAULTHANDLER": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "include")]),
        }
        words = [sys.executable, "-m", "tests.chaos.spawner", main]
        made = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )
        return self._parents.setdefault(main, made)

    def start(self, main: str, argv: Sequence[str], environment: Mapping[str, str], folder: Path = ROOT) -> Forked:
        """Run `main` (one of `MAINS`) with these arguments and this environment, in `folder`."""
        place = self._scratch / f"process-{uuid.uuid4().hex}"
        place.mkdir()
        parent, order = (
            self._parent(main),
            {
                "main": main,
                "argv": list(argv),
                "environment": dict(environment),
                "folder": str(folder),
                "place": str(place),
            },
        )
        assert parent.stdin is not None and parent.stdout is not None
        parent.stdin.write(json.dumps(order) + "\n")
        parent.stdin.flush()
        return Forked(int(parent.stdout.readline()), place)

    def close(self) -> None:
        for parent in self._parents.values():
            assert parent.stdin is not None and parent.stdout is not None
            parent.stdin.close()
            parent.wait(120)
            parent.stdout.close()


# --- the parent


def _worker(argv: list[str]) -> int:
    from tests.chaos import worker

    return worker.main(argv)


def _forebay(argv: list[str]) -> int:
    """`forebay`; a first argument `STEP:SECONDS` makes that step deadly (stepkill.py)."""
    from forebay.cli.main import main
    from tests.chaos import stepkill

    step, *sys.argv[1:] = argv
    if step:
        name, _, delay = step.partition(":")
        stepkill.arm(name, float(delay))
    main()
    return 0


MAINS = {"worker": _worker, "forebay": _forebay}


IMPORTS = {
    "worker": ("confluent_kafka.admin", "numpy", "pyarrow.compute", "tests.chaos.worker"),
    "forebay": (
        "duckdb",
        "great_expectations",
        "pyarrow.csv",
        "pyarrow.parquet",
        "forebay.cli.run",
        "forebay.verbs.run",
        "tests.chaos.stepkill",
    ),
}


def serve() -> None:
    """Fork for each line of standard input, until it ends; then kill who is left."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print as they are imported
    for name in (*IMPORTS["worker"], *IMPORTS[sys.argv[1]]):
        importlib.import_module(name)
    children: dict[int, Path] = {}

    def take() -> None:
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            place = children.pop(pid)
            place.joinpath("code.new").write_text(str(os.waitstatus_to_exitcode(status)), "ascii")
            place.joinpath("code.new").replace(place / "code")

    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            take()
        if 0 in ready:
            line = sys.stdin.readline()
            if not line:
                break
            order = json.loads(line)
            pid = os.fork()
            if pid == 0:
                _become(order)
            children[pid] = Path(order["place"])
            print(pid, file=answers, flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _become(order: dict[str, Any]) -> None:
    """The child: another working folder, environment and output, and then the order's main function. Never returns."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    place, code = Path(order["place"]), 70
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    try:
        code = _run(order)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(order: dict[str, Any]) -> int:
    from forebay.kafka.publish import failpoints

    failpoints._armed = failpoints._parse(os.environ.get(failpoints.VARIABLE, ""))
    try:
        return MAINS[order["main"]](order["argv"])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)


if __name__ == "__main__":
    serve()
