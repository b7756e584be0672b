"""A child process for work that may crash, run for ever or eat the machine: one call after another, each within bounds.

The child is forked where that is safe (this process has one thread), else a new interpreter. It dies with its parent,
is the first that the kernel's OOM killer takes, and hears no signal that is meant for the parent. Linux tells how much
memory it has; elsewhere only time and disk are bounded.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import faulthandler
import logging
import os
import pickle
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any, NoReturn

POLL = 0.02
"""Seconds between two looks at a child's memory and time; its disk is looked at every tenth time."""
PATIENCE = 4
WARMING = 300.0
MIB = 1 << 20
KEPT = 1 << 30
"""A child that holds on to more memory than this after a call is replaced."""
_TAIL = 4_000
_PR_SET_PDEATHSIG = 1

_log = logging.getLogger("forebay")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one call may use: bytes of memory; seconds of processor time (on the clock `PATIENCE` times as many, for a
    busy machine), and one more for each MiB of `size` and of what lies in `folder`; bytes in `folder`."""

    memory: int
    seconds: float
    disk: int
    folder: Path
    size: int = 0


class DiedError(Exception):
    """The child ended before it answered: `limit` names the bound that it broke (`memory`, `time`, `disk`), else
    `signal` what killed it, or None (it left)."""

    def __init__(self, limit: str | None, number: int | None = None) -> None:
        self.limit, self.signal = limit, signal.Signals(number).name if number else None
        super().__init__(f"{limit or self.signal or 'it left'}")


class Child:
    """One child process, started by the first call or by `start`. Not for several threads at once.

    `warm` is what a new child does first, such as imports: no call's time. It must be picklable.
    """

    def __init__(self, warm: Callable[[], Any] | None = None) -> None:
        self._warm, self._fresh = warm, False
        self.owner = os.getpid()
        self._pid: int | None = None
        self._said: IO[bytes] | None = None
        self._connection: Connection | None = None
        self._worked = 0.0
        atexit.register(self.close)

    def start(self, *, only_fork: bool = False) -> None:
        """Start it, if it is not running; with `only_fork`, only where that is cheap."""
        if self._pid is not None or (only_fork and not _one_thread()):
            return
        ours, its = socket.socketpair()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed when the child is buried)
        with its:
            self._pid = self._forked(ours, its) if _one_thread() else self._spawned(its)
        self._connection, self._fresh = Connection(ours.detach()), True

    def call(self, function: Callable[..., Any], *args: Any, bounds: Bounds) -> Any:
        """What `function(*args)` returns or raises there; all of these must be picklable. Raises `DiedError`."""
        self.start()
        assert self._connection is not None
        try:
            if self._fresh and self._warm:
                self._connection.send((self._warm, (), bounds.memory))
                self._answer(replace(bounds, seconds=WARMING))
            self._fresh = False
            self._worked = self._processor_seconds()
            self._connection.send((function, args, bounds.memory))
            kind, value = self._answer(bounds)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise self._buried(None) from None
        except BaseException:
            self.close()
            raise
        if (self._memory() or 0) > KEPT or isinstance(
            value, MemoryError
        ):  # what was in its way is in that of the next call, too
            self.close()
        if kind == "raised":
            raise value
        return value

    def close(self) -> None:
        """End it. Idempotent; a copy of this object in a forked process ends nothing."""
        if self._pid is None or self.owner != os.getpid():
            return
        self._kill()
        if self._said is not None:
            self._said.close()

    def _answer(self, bounds: Bounds) -> tuple[str, Any]:
        assert self._connection is not None
        began, looks = time.monotonic(), 0
        while True:
            while not self._connection.poll(POLL):
                limit = self._broken(bounds, time.monotonic() - began, look_at_disk=looks % 10 == 0)
                looks += 1
                if limit:
                    raise self._buried(limit)
            kind, value = self._connection.recv()
            if kind != "log":
                return kind, value
            logging.getLogger(value.name).handle(value)

    def _broken(self, bounds: Bounds, seconds: float, *, look_at_disk: bool) -> str | None:
        """The bound that is broken, if one is."""
        if (self._memory() or 0) > bounds.memory:
            return "memory"
        if not look_at_disk:
            return None
        used = _bytes_in(bounds.folder)
        if used > bounds.disk:
            return "disk"
        worked = max(self._processor_seconds() - self._worked, seconds / PATIENCE)
        return "time" if worked > bounds.seconds + (bounds.size + used) / MIB else None

    def _processor_seconds(self) -> float:
        """What all of its threads worked since it was started; 0 where nobody says."""
        try:
            fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _memory(self) -> int | None:
        """Bytes of memory that are its own, without mapped files; None where nobody says."""
        try:
            lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        except OSError:
            return None
        return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))

    def _buried(self, limit: str | None) -> DiedError:
        """The child is no more; what it said last is in the log."""
        number = self._kill(wait_first=limit is None)
        words = self._last_words()
        _log.warning("a reader of files died (%s)%s", limit or number, f": {words}" if words else "")
        return DiedError(limit, number if limit is None else None)

    def _kill(self, *, wait_first: bool = False) -> int | None:
        """End it, and say the signal that it died of. `wait_first`: its end of the connection is closed, so it is
        ending by itself."""
        assert self._pid is not None and self._connection is not None
        pid, self._pid = self._pid, None
        self._connection.close()
        deadline = time.monotonic() + (2.0 if wait_first else 0.0)
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
            if time.monotonic() >= deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return None
            time.sleep(0.005)

    def _last_words(self) -> str:
        assert self._said is not None
        with self._said as said:
            said.seek(max(0, os.fstat(said.fileno()).st_size - _TAIL))
            return said.read().decode("utf-8", "replace").strip()

    def _forked(self, ours: socket.socket, its: socket.socket) -> int:
        assert self._said is not None
        parent, main = os.getpid(), threading.current_thread() is threading.main_thread()
        pid = os.fork()
        if pid:
            return pid
        try:
            ours.close()
            nothing = os.open(os.devnull, os.O_RDWR)
            for number, target in enumerate((nothing, nothing, self._said.fileno())):
                os.dup2(target, number)
            _serve(Connection(its.detach()), parent, main)
        finally:
            os._exit(1)

    def _spawned(self, its: socket.socket) -> int:
        assert self._said is not None
        main = threading.current_thread() is threading.main_thread()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from forebay.support.child import spawned; "
            f"spawned({os.getpid()}, {main})"
        )
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, self._said.fileno(), 2),
            (os.POSIX_SPAWN_DUP2, its.fileno(), 3),
        ]
        return os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ, file_actions=actions)


def spawned(parent: int, main: bool) -> NoReturn:
    """The life of a child that is a new interpreter: its connection is descriptor 3."""
    try:
        _serve(Connection(3), parent, main)
    finally:
        os._exit(1)


def _serve(connection: Connection, parent: int, main: bool) -> None:
    """Answer calls until the parent closes its end."""
    _become_a_child(parent, main)
    for name in (None, "forebay"):
        logging.getLogger(name).handlers[:] = [_Send(connection)] if name is None else []
    while True:
        try:
            function, args, memory = connection.recv()
        except EOFError:
            return
        connection.send(_answered(function, args, memory))


def _become_a_child(parent: int, main: bool) -> None:
    """Signals are for the parent; its end is this process's end (the kernel sees to that, where the thread that started
    it is one that stays)."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable(file=2)
    if sys.platform.startswith("linux"):
        if main:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("900")
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _answered(function: Callable[..., Any], args: tuple[Any, ...], memory: int) -> tuple[str, Any]:
    """The answer to one call. An allocation far beyond `memory`, which no look from outside would be in time for, fails
    in here."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wall = 2 * memory + KEPT
    resource.setrlimit(resource.RLIMIT_DATA, (wall if hard == resource.RLIM_INFINITY else min(wall, hard), hard))
    try:
        return "done", function(*args)
    except Exception as error:
        error.add_note("".join(traceback.format_tb(error.__traceback__)))
        return "raised", _sendable(error)


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class _Send(logging.Handler):
    """Log records go to the parent, whose loggers know where they belong."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(logging.WARNING)
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        self._connection.send(("log", record))


def _one_thread() -> bool:
    """Whether this process has no thread but this one, so that a fork of it can go on."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir()) == 1
    except OSError:
        return False


def _bytes_in(folder: Path) -> int:
    total = 0
    for entry in _entries(folder):
        with contextlib.suppress(OSError):  # it may be gone by now
            total += (
                _bytes_in(Path(entry.path))
                if entry.is_dir(follow_symlinks=False)
                else entry.stat(follow_symlinks=False).st_size
            )
    return total


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
