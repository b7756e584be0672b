"""A warm Python for tests: one process that has imported everything of forebay, forked anew for each command.

A command of its own interpreter costs 3 CPU seconds before it does anything, nearly all of it imports. The fork has its
own memory, environment, folder and exit like a process started by hand; what it cannot show is a fault in start-up
itself, so that some tests start a real one.
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
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]
VENDORS = (
    "boto3",
    "confluent_kafka.admin",
    "duckdb",
    "openlineage.client",
    "pyarrow.compute",
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


@dataclass
class Warm:
    """The process that forks, as a test sees it. It starts with the first command and ends with this process, however
    that goes."""

    _process: subprocess.Popen[str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, module: str, words: Sequence[str], folder: Path, environment: dict[str, str], timeout: float) -> Done:
        """`python -m module *words` in that folder. Raises `subprocess.TimeoutExpired`, as `subprocess.run` does; the
        command is killed then."""
        with self._lock, tempfile.TemporaryDirectory() as place:
            out, err, code = Path(place, "out"), Path(place, "err"), Path(place, "code")
            what = {"module": module, "argv": [module, *words], "cwd": str(folder), "env": environment}
            pid = self._ask(what | {"files": [str(out), str(err), str(code)]})
            deadline = time.monotonic() + timeout
            while not code.exists():
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(words, timeout, out.read_text("utf-8"), err.read_text("utf-8"))
                time.sleep(0.005)
            return Done(int(code.read_text()), out.read_text("utf-8"), err.read_text("utf-8"))

    def _ask(self, command: dict[str, Any]) -> int:
        if self._process is None or self._process.poll() is not None:
            self._process = self._started()
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def _started(self) -> subprocess.Popen[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("FOREBAY_", "KAFKA_", "OPENLINEAGE"))}
        started = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm"],
            cwd=ROOT,
            env=environment | {"OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._stop, started)
        return started

    @staticmethod
    def _stop(process: subprocess.Popen[str]) -> None:
        process.communicate()  # its standard input ends, and so does it


warm = Warm()
"""The session's own."""


def serve() -> None:
    """Fork for each line of standard input, answer with the child's pid, and write its exit code where the line
    says."""
    _import_all()
    gc.freeze()  # what is there now is never collected in a child, so that its pages stay shared
    for line in sys.stdin:
        command = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(command)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        place = Path(command["files"][2])
        with contextlib.suppress(FileNotFoundError):  # nobody waits any more
            place.with_name("draft").write_text(str(os.waitstatus_to_exitcode(status)))
            place.with_name("draft").replace(place)


def _import_all() -> None:
    import forebay
    from forebay.quality.imports import great_expectations

    great_expectations()  # first: its modules register what they hold, and only this way once
    for module in pkgutil.walk_packages(forebay.__path__, "forebay."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in VENDORS:
        importlib.import_module(name)


def _become(command: dict[str, Any]) -> NoReturn:
    """In the child: the command's folder, environment and standard streams; then the command, and the end as an
    interpreter ends."""
    _streams(*command["files"][:2])
    os.chdir(command["cwd"])
    os.environ.clear()
    os.environ.update(command["env"])
    time.tzset()
    sys.argv = command["argv"]
    code = _called(command["module"])
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _streams(out: str, err: str) -> None:
    for number, path in enumerate(("/dev/null", out, err)):
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
