"""A child process for work that may crash, run for ever or eat the machine: what becomes of it, and of its parent."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.errors import CorruptFileError
from forebay.support.child import Bounds, Child, DiedError
from tests.support.processes import wait_until_gone


@pytest.fixture
def child() -> Iterator[Child]:
    """Spawned as a new interpreter: this process has threads."""
    with threading_beside():
        made = Child()
        yield made
        made.close()


class threading_beside:
    """Within it this process has a second thread."""

    def __enter__(self) -> None:
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.over.wait)
        self.thread.start()

    def __exit__(self, *exc: object) -> None:
        self.over.set()
        self.thread.join()


def bounds(folder: Path, memory: int = 1 << 30, seconds: float = 60, disk: int = 1 << 30) -> Bounds:
    return Bounds(memory, seconds, disk, folder)


def who() -> int:
    return os.getpid()


def crash() -> None:
    ctypes.string_at(0)


def leave() -> None:
    os._exit(3)


def eat() -> None:
    """Page by page, as a parser does."""
    kept = []
    while True:
        kept.append(b"x" * (8 << 20))


def eat_at_once() -> int:
    return len(bytearray(1 << 36))


def turn() -> None:
    """Without end, holding the lock of the interpreter for long: native code."""
    while True:
        sum(range(10_000_000))


def write(folder: Path) -> None:
    with (folder / "much").open("wb") as file:
        while True:
            file.write(b"x" * (1 << 20))
            file.flush()


def wait() -> None:
    """Without any work."""
    threading.Event().wait()


def refuse() -> None:
    raise CorruptFileError("torn", uri="file:///a")


def fail() -> None:
    raise ZeroDivisionError("by zero")


def warn() -> str:
    logging.getLogger("forebay.odd").warning("careful, %s", "it is odd")
    print("and this goes nowhere")
    return "done"


def test_one_child_serves_call_after_call(child: Child, tmp_path: Path) -> None:
    first, second = (child.call(who, bounds=bounds(tmp_path)) for _ in range(2))
    assert first == second != os.getpid()


@pytest.mark.parametrize(
    ("work", "limits", "limit", "number"),
    [
        (crash, {}, None, "SIGSEGV"),
        (leave, {}, None, None),
        (eat, {"memory": 256 << 20}, "memory", None),
        (turn, {"seconds": 0.5}, "time", None),
        (wait, {"seconds": 0.5}, "time", None),
    ],
)
def test_a_call_that_breaks_a_limit_or_its_process_is_told_and_the_next_one_is_served(
    child: Child, tmp_path: Path, work: object, limits: dict[str, float], limit: str | None, number: str | None
) -> None:
    before = child.call(who, bounds=bounds(tmp_path))
    with pytest.raises(DiedError) as died:
        child.call(work, bounds=bounds(tmp_path, **limits))  # type: ignore[arg-type]
    assert (died.value.limit, died.value.signal) == (limit, number)
    assert child.call(who, bounds=bounds(tmp_path)) != before
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)


def test_a_folder_that_grows_beyond_its_limit_ends_the_call(child: Child, tmp_path: Path) -> None:
    with pytest.raises(DiedError) as died:
        child.call(write, tmp_path, bounds=bounds(tmp_path, disk=64 << 20))
    assert died.value.limit == "disk"
    assert (tmp_path / "much").stat().st_size < 4 << 30


def test_an_allocation_far_beyond_the_limit_fails_by_itself(child: Child, tmp_path: Path) -> None:
    with pytest.raises(MemoryError):
        child.call(eat_at_once, bounds=bounds(tmp_path))


def test_a_child_that_got_no_memory_is_replaced(child: Child, tmp_path: Path) -> None:
    """What it holds on to would be in the way of the next file: a file of 50 rows failed behind one of a million."""
    before = child.call(who, bounds=bounds(tmp_path))
    with pytest.raises(MemoryError):
        child.call(eat_at_once, bounds=bounds(tmp_path))
    assert child.call(who, bounds=bounds(tmp_path)) != before


def test_errors_come_typed_and_logs_with_their_names(
    child: Child, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(CorruptFileError, match="torn") as refused:
        child.call(refuse, bounds=bounds(tmp_path))
    assert refused.value.where == {"uri": "file:///a"}
    with pytest.raises(ZeroDivisionError, match="by zero") as failed:
        child.call(fail, bounds=bounds(tmp_path))
    assert "in fail" in failed.value.__notes__[0]
    assert child.call(warn, bounds=bounds(tmp_path)) == "done"
    assert ("forebay.odd", logging.WARNING, "careful, it is odd") in caplog.record_tuples


PARENT = """
import signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
sys.path[:] = {path!r}
from pathlib import Path
from forebay.support.child import Child
from tests.support import test_child
if {threads}:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
child = Child()
print(child.call(test_child.who, bounds=test_child.bounds(Path({folder!r}))), flush=True)
child.call(test_child.turn, bounds=test_child.bounds(Path({folder!r})))
"""


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_ends_with_its_parent_however_that_ends(tmp_path: Path, number: signal.Signals, threads: bool) -> None:
    script = PARENT.format(path=sys.path, threads=threads, folder=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        os.kill(child, signal.SIGTERM)  # meant for the parent: the child does not hear it
        time.sleep(0.1)
        os.kill(child, 0)
        parent.send_signal(number)
        parent.wait(20)
    wait_until_gone(child)


def open_files() -> set[str]:
    """What this process has open, but for the look at it."""
    targets = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder itself is closed by now
            targets.add(str(path.readlink()))
    return {target for target in targets if not target.startswith("/proc/")}


def test_a_child_that_is_ended_leaves_no_file_open(child: Child, tmp_path: Path) -> None:
    before = open_files()
    child.call(who, bounds=bounds(tmp_path))
    assert open_files() > before
    child.close()
    assert open_files() == before
