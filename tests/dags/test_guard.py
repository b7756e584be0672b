"""A publisher dies with its supervisor, and lanes are taken in turn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forebay_airflow import guard

ROOT = Path(__file__).parents[2]

ORPHAN = """
import os, sys, time
sys.path[:0] = [{plugins!r}, {include!r}]
from forebay_airflow import guard
child = os.fork()
if child == 0:
    if {guarded}:
        assert guard.die_with_parent()
    sys.stdout.write(str(os.getpid()) + chr(10)); sys.stdout.flush()
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""


def gone(pid: int, within: float) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's")
@pytest.mark.parametrize(("guarded", "dies"), [(True, True), (False, False)])
def test_a_task_dies_with_its_supervisor(guarded: bool, dies: bool) -> None:
    """With its positive control: without the guard the orphan lives on."""
    code = ORPHAN.format(plugins=str(ROOT / "plugins"), include=str(ROOT / "include"), guarded=guarded)
    supervisor = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout
    task = int(supervisor.stdout.readline())
    try:
        supervisor.kill()
        supervisor.wait(10)
        assert gone(task, 60 if dies else 1) is dies
    finally:
        if not gone(task, 0):
            os.kill(task, signal.SIGKILL)
        supervisor.stdout.close()


HOLDER = """
import sys, time
sys.path[:0] = [{plugins!r}, {include!r}]
from pathlib import Path
from forebay import events
from forebay_airflow import guard
with guard.only_one(Path({folder!r}), "forebay.birds.0", 60):
    sys.stdout.write("held" + chr(10)); sys.stdout.flush()
    while {works}:
        events.emit(events.CHUNK_COMMITTED)
        time.sleep(0.1)
    time.sleep(60)
"""


@contextmanager
def holder(folder: Path, works: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Another process that has lane 0; `works`: it commits a chunk every tenth of a second."""
    code = HOLDER.format(plugins=str(ROOT / "plugins"), include=str(ROOT / "include"), folder=str(folder), works=works)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_lane_is_waited_for_and_freed_by_the_holders_death(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        with guard.only_one(tmp_path, "forebay.birds.1", 60) as waited:
            assert waited < 10, "another lane is free"
        killer = subprocess.Popen([sys.executable, "-c", f"import time, os; time.sleep(0.5); os.kill({other.pid}, 9)"])
        with guard.only_one(tmp_path, "forebay.birds.0", 60, poll=0.02) as waited:
            assert waited > 0.3
        killer.wait()


def test_a_holder_that_stands_still_is_not_waited_for_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with holder(tmp_path) as other:
        other.send_signal(signal.SIGSTOP)
        with guard.only_one(tmp_path, "forebay.birds.0", 1, poll=0.02) as waited:
            assert 0.9 < waited < 40
    assert "has committed nothing for 1 s" in caplog.text


def test_one_that_works_is(tmp_path: Path) -> None:
    with holder(tmp_path, works=True) as other:
        killer = subprocess.Popen([sys.executable, "-c", f"import time, os; time.sleep(5); os.kill({other.pid}, 9)"])
        with guard.only_one(
            tmp_path, "forebay.birds.0", 3, poll=0.02
        ) as waited:  # a busy machine may keep the holder from work for a second
            assert waited > 4.5
        killer.wait()
