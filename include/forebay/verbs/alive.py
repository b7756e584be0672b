"""Which runs are at work: each holds a lock for as long as its process lives, and the kernel lets go of it however that
ends.

So a run that was killed does not stay `running`: the next command that looks tells it as `interrupted`. Airflow's runs
hold none: their tasks live in many processes, and the state of the DAG run is Airflow's to tell. Nor can a lock of
another machine be judged, whose home this one shares.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from forebay.config.home import Project
from forebay.errors import ForebayError
from forebay.index import projection
from forebay.model import RunReport
from forebay.support import files
from forebay.support.folders import private

NOTE = "its process ended without a word (run its day again: what is published is not published twice)"


@contextmanager
def alive(project: Project, run: RunReport) -> Iterator[None]:
    """Within it the run is known to be at work. If it ends by an error and has not said so, it is `interrupted`."""
    name = hashlib.sha256(f"{run.pipeline}\n{run.run_id}".encode()).hexdigest()[:32]
    path = private(_folder(project)) / name
    with path.open("w") as lock:
        files.take(lock.fileno())
        json.dump({"pipeline": run.pipeline, "run_id": run.run_id, "host": socket.gethostname()}, lock)
        lock.flush()
        try:
            yield
        except BaseException as error:
            with suppress(ForebayError):  # the first error is raised
                projection.end_run(
                    project.index,
                    run.pipeline,
                    run.run_id,
                    "interrupted",
                    f"it was cut short by {type(error).__name__}",
                )
            raise
        finally:
            path.unlink(missing_ok=True)


def tell_interrupted(project: Project) -> None:
    """Write `interrupted` into the index for every run of this machine whose process is gone without a word."""
    for path in _folder(project).glob("*"):
        run = _left(path)
        if run and run["host"] == socket.gethostname():
            projection.end_run(project.index, run["pipeline"], run["run_id"], "interrupted", NOTE)
            path.unlink(missing_ok=True)


def _left(path: Path) -> dict[str, str] | None:
    """What the lock says of its run, if nobody holds it; None for a run that is at work, about to say who it is, or
    ending just now."""
    try:
        with path.open() as lock:
            left: dict[str, str] | None = json.load(lock) if files.take(lock.fileno()) else None
            return left
    except (FileNotFoundError, ValueError):
        return None


def _folder(project: Project) -> Path:
    return project.home / "locks" / "runs"
