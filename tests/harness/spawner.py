"""Processes that are ready in milliseconds: a parent that has imported everything, and opened nothing, forks one for
each command.

A command of its own interpreter costs 3 CPU seconds before it does anything, nearly all of it imports. The fork has its
own memory, environment, folder, streams and exit like a process started by hand: clients of Kafka, files and threads
are made after the fork. What it cannot show is a fault in start-up or in the interpreter's end, so that some tests
start a real one. The parent is `python -m tests.harness.spawner`; it reads one JSON line a command.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]
VENDORS = (
    "boto3",
    "confluent_kafka.admin",
    "duckdb",
    "openlineage.client",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.parquet",
    "sqlalchemy.orm",
)


@dataclass(frozen=True)
class Done:
    """How a command ended (a negative code is the signal that killed it, as `subprocess` has it) and what it
    printed."""

    code: int
    out: str
    err: str


class Forked:
    """A forked process, with as much of `subprocess.Popen` as tests use. Its exit code is negative after a signal."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid, self._folder = pid, folder
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            with contextlib.suppress(FileNotFoundError):
                self.returncode = int(self._folder.joinpath("code").read_text("ascii"))
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code once it has ended. Raises `subprocess.TimeoutExpired`; the process goes on then."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired([str(self.pid)], timeout or 0.0)
            time.sleep(0.005)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Standard output and error once it has ended. Raises `subprocess.TimeoutExpired`."""
        self.wait(timeout)
        return self.printed("out"), self.printed("err")

    def printed(self, stream: str) -> str:
        """What is in its `out` or `err` by now."""
        return self._folder.joinpath(stream).read_text("utf-8", "replace")

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Spawner:
    """The process that forks, as a test sees it. It starts with the first command; it and its children end with this
    process, however that goes."""

    def __init__(self) -> None:
        self._parent: subprocess.Popen[str] | None = None
        self._scratch: Path | None = None
        self._lock = threading.Lock()

    def start(self, module: str, words: Sequence[str], environment: Mapping[str, str], folder: Path = ROOT) -> Forked:
        """Begin `python -m module *words` in that folder."""
        with self._lock:
            parent = self._running()
            assert parent.stdin and parent.stdout and self._scratch
            place = self._scratch / uuid.uuid4().hex
            place.mkdir()
            order = {"module": module, "argv": [module, *words], "environment": dict(environment)}
            parent.stdin.write(json.dumps(order | {"folder": str(folder), "place": str(place)}) + "\n")
            parent.stdin.flush()
            return Forked(int(parent.stdout.readline()), place)

    def run(self, module: str, words: Sequence[str], folder: Path, environment: dict[str, str], timeout: float) -> Done:
        """`python -m module *words` in that folder, to its end. Raises `subprocess.TimeoutExpired`, as `subprocess.run`
        does; the command is killed then."""
        forked = self.start(module, words, environment, folder)
        try:
            out, err = forked.communicate(timeout)
        except subprocess.TimeoutExpired:
            forked.kill()
            raise subprocess.TimeoutExpired(words, timeout, forked.printed("out"), forked.printed("err")) from None
        return Done(forked.wait(), out, err)

    def _running(self) -> subprocess.Popen[str]:
        if self._parent is None or self._parent.poll() is not None:
            self._scratch = Path(tempfile.mkdtemp(prefix="forebay-spawner-"))
            self._parent = self._started()
            atexit.register(_stop, self._parent, self._scratch)
        return self._parent

    @staticmethod
    def _started() -> subprocess.Popen[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("FOREBAY_", "KAFKA_", "OPENLINEAGE"))}
        more = {
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONFAULTHANDLER": "1",  # SIGABRT says where a child hangs
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "include")]),
        }
        words = [sys.executable, "-m", "tests.harness.spawner"]
        pipe = subprocess.PIPE
        return subprocess.Popen(words, cwd=ROOT, env=clean | more, stdin=pipe, stdout=pipe, text=True)


def _stop(parent: subprocess.Popen[str], scratch: Path) -> None:
    parent.communicate()  # its standard input ends, and so does it
    shutil.rmtree(scratch, ignore_errors=True)


spawner = Spawner()
"""The session's own."""


# --- the parent


def serve() -> None:
    """Fork for each line of standard input, until it ends; then kill who is left."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print as they are imported
    _import_all()
    gc.freeze()  # what is there now is never collected in a child, so that its pages stay shared
    children: dict[int, Path] = {}
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _take_codes(children)
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


def _import_all() -> None:
    import forebay
    from forebay.quality.imports import great_expectations

    great_expectations()  # first: its modules register what they hold, and only this way once
    for module in pkgutil.walk_packages(forebay.__path__, "forebay."):
        if not module.name.endswith("__main__") and not module.name.startswith("forebay.testing"):
            importlib.import_module(module.name)
    for name in VENDORS:
        importlib.import_module(name)


def _take_codes(children: dict[int, Path]) -> None:
    """Write down the exit codes of those that have ended."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        place = children.pop(pid)
        place.joinpath("draft").write_text(str(os.waitstatus_to_exitcode(status)), "ascii")
        place.joinpath("draft").replace(place / "code")


def _become(order: dict[str, Any]) -> NoReturn:
    """In the child: the command's folder, environment and standard streams; then the command, and the end as an
    interpreter ends."""
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _streams(Path(order["place"]))
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        time.tzset()
        sys.argv = order["argv"]
        code = _called(order["module"])
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _streams(place: Path) -> None:
    for number, path in enumerate((Path("/dev/null"), place / "out", place / "err")):
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)


def _called(module: str) -> int:
    from forebay.kafka.publish import failpoints

    importlib.reload(failpoints)  # they read the environment when they are imported
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve()
    os._exit(0)  # DuckDB's bindings would list what they leak
