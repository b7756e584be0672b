"""Airflow's REST API, as far as the demo and the tests ask it: plain Python over HTTP, Airflow itself is never
imported."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

LOCKED_SECONDS = 30
"""How long a request is repeated while Airflow's SQLite is busy."""
ENDED = frozenset({"success", "failed"})

_BUSY = ("locked", "Database error")
"""What Airflow says when SQLite is busy; which one depends on `[api] expose_stacktrace`."""

TOLD = frozenset({"success", "failed", "upstream_failed", "up_for_retry", "awaiting_input"})
"""States of a task instance that are worth a line."""

Json = dict[str, Any]
Progress = Callable[[str], None]


class AirflowError(RuntimeError):
    """The local Airflow does not do what was asked; the words say what was found and where to look."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """`status` is the HTTP status of a refused request."""
        super().__init__(message)
        self.status = status


class Api(ABC):
    """One Airflow's API. Run ids, states and task instances are Airflow's own words."""

    @property
    @abstractmethod
    def user(self) -> str:
        """Who asks."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where interface and API answer, without a slash at the end."""

    @property
    @abstractmethod
    def password(self) -> str:
        """The password of `user`."""

    @abstractmethod
    def timezone(self, dag_id: str) -> str:
        """The zone of the DAG's schedule (the API says UTC for every DAG, tried with 3.3.2)."""

    @abstractmethod
    def revive(self) -> list[str]:
        """Start what has died; the names of it."""

    def ask(self, method: str, path: str, body: Json | None = None, **query: Any) -> Json:
        """One request of the REST API (`/api/v2/PATH`). Raises `AirflowError` with Airflow's own words."""
        url = f"{self.url}/api/v2/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        end = time.monotonic() + LOCKED_SECONDS
        while True:
            try:
                with nullcontext() if method == "GET" else _one_change:
                    return http(method, url, body, token=self._token())
            except AirflowError as error:
                if error.status == 401:
                    _tokens.pop(self.url, None)
                if (
                    not (error.status in {500, 503} and any(words in str(error) for words in _BUSY))
                    or time.monotonic() > end
                ):
                    raise
            time.sleep(0.3)  # SQLite refused the write, and nothing of it was done

    def _token(self) -> str:
        if self.url not in _tokens:
            _tokens[self.url] = http(
                "POST", f"{self.url}/auth/token", {"username": self.user, "password": self.password}
            )["access_token"]
        return _tokens[self.url]

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> Json:
        """The DAG, once the DAG processor has read it. Raises `AirflowError`, with the import errors, when it does not
        come."""
        end = time.monotonic() + timeout
        while True:
            try:
                return self.ask("GET", f"dags/{dag_id}")
            except AirflowError as error:
                if error.status != 404 or time.monotonic() > end:
                    faults = [
                        fault["stack_trace"][-1000:] for fault in self.ask("GET", "importErrors")["import_errors"]
                    ]
                    raise AirflowError(
                        f"waiting for the DAG `{dag_id}`: {error}\n" + "\n".join(faults), error.status
                    ) from error
            time.sleep(0.25)

    def unpause(self, dag_id: str) -> None:
        """Let the DAG run. With a schedule, Airflow then starts the run of the last window too."""
        self.wait_for_dag(dag_id)
        self.ask("PATCH", f"dags/{dag_id}", {"is_paused": False}, update_mask="is_paused")

    def backfill(
        self,
        dag_id: str,
        start: date | str,
        end: date | str,
        reprocess: str = "none",
        conf: Json | None = None,
        runs: int = 3,
    ) -> list[str]:
        """Run every window whose local day lies in `start`…`end`, both included; returns the run ids, oldest first.

        `reprocess` (none|completed|failed) says which existing runs are run again; `runs` is how many may run at once.
        """
        self.unpause(dag_id)
        zone = None  # without the pipeline's own zone, days are this machine's
        with suppress(Exception):
            zone = ZoneInfo(self.timezone(dag_id))
        first = datetime.fromisoformat(f"{start}T00:00:00").replace(tzinfo=zone)
        last = datetime.fromisoformat(f"{end}T23:59:59").replace(tzinfo=zone)
        body = {
            "dag_id": dag_id,
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            "reprocess_behavior": reprocess,
            "max_active_runs": runs,
            "dag_run_conf": conf or {},
        }
        self._create_backfill(dag_id, body)
        answer = self.ask(
            "GET",
            f"dags/{dag_id}/dagRuns",
            logical_date_gte=first.isoformat(),
            logical_date_lte=last.isoformat(),
            order_by="logical_date",
        )
        return [run["dag_run_id"] for run in answer["dag_runs"] if run["run_type"] == "backfill"]

    def _create_backfill(self, dag_id: str, body: Json) -> None:
        """A busy SQLite may leave an empty backfill behind, which then is in the way of the next attempt."""
        end = time.monotonic() + LOCKED_SECONDS
        while True:
            self._end_finished_backfills(dag_id)
            try:
                self.ask("POST", "backfills", body)
                return
            except AirflowError as error:
                if error.status != 409 or self._backfilling(dag_id) or time.monotonic() > end:
                    raise
            time.sleep(0.3)

    def _backfilling(self, dag_id: str) -> bool:
        """Whether a run of a backfill is queued or running."""
        return any(
            run["run_type"] == "backfill" for state in ("queued", "running") for run in self._runs(dag_id, state=state)
        )

    def _end_finished_backfills(self, dag_id: str) -> None:
        """Airflow marks an ended backfill only twice a minute, and refuses another one until then: cancelling it does
        the same at once."""
        if self._backfilling(dag_id):
            return
        for backfill in self.ask("GET", "backfills", dag_id=dag_id)["backfills"]:
            if backfill["completed_at"] is None:
                with suppress(AirflowError):
                    self.ask("PUT", f"backfills/{backfill['id']}/cancel")

    def _runs(self, dag_id: str, **query: Any) -> list[Json]:
        return self.ask("GET", f"dags/{dag_id}/dagRuns", **query)["dag_runs"]

    def trigger(self, dag_id: str, conf: Json | None = None, logical_date: datetime | None = None) -> str:
        """Start one run by hand; returns its run id."""
        self.unpause(dag_id)
        body = {"logical_date": logical_date.isoformat() if logical_date else None, "conf": conf or {}}
        return self.ask("POST", f"dags/{dag_id}/dagRuns", body)["dag_run_id"]

    def clear(self, dag_id: str, run_id: str, only_failed: bool = False) -> None:
        """Run an existing run again, whole or from its failed tasks."""
        self.ask("POST", f"dags/{dag_id}/dagRuns/{_part(run_id)}/clear", {"dry_run": False, "only_failed": only_failed})

    def clear_task(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Run a task of an existing run again, and all that come after it."""
        wanted = {
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.ask("POST", f"dags/{dag_id}/clearTaskInstances", {"dry_run": False, **wanted})

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        """Say that a task instance has ended so (`success`, `failed`), whatever it did."""
        path = f"dags/{dag_id}/dagRuns/{_part(run_id)}/taskInstances/{task_id}" + (
            f"/{map_index}" if map_index >= 0 else ""
        )
        self.ask("PATCH", path, {"new_state": state})

    def state(self, dag_id: str, run_id: str) -> str:
        return self.ask("GET", f"dags/{dag_id}/dagRuns/{_part(run_id)}")["state"]

    def wait(
        self,
        dag_id: str,
        run_ids: Iterable[str] | None = None,
        timeout: float = 300,
        on_progress: Progress | None = None,
    ) -> dict[str, str]:
        """Wait until the runs (default: all of the DAG) have ended; returns their states by run id.

        `on_progress` gets a line for each task instance that ended, waits for a person or is to be retried. Raises
        `AirflowError` in the end.
        """
        wanted = list(run_ids) if run_ids is not None else [run["dag_run_id"] for run in self._runs(dag_id, limit=100)]
        end, said = time.monotonic() + timeout, set[str]()
        while True:
            states = {run_id: self.state(dag_id, run_id) for run_id in wanted}
            if on_progress:
                self._tell(dag_id, wanted, said, on_progress)
            if set(states.values()) <= ENDED:
                return states
            if time.monotonic() > end:
                raise AirflowError(f"waiting for `{dag_id}`: after {timeout:g} s {states}")
            for name in self.revive():
                (on_progress or print)(f"{name} had died and was started again")
            time.sleep(0.5)

    def _tell(self, dag_id: str, run_ids: list[str], said: set[str], on_progress: Progress) -> None:
        instances = [instance for run_id in run_ids for instance in self.task_instances(dag_id, run_id)]
        zone = None  # without the pipeline's own zone, days are this machine's
        with suppress(Exception):
            zone = ZoneInfo(self.timezone(dag_id))
        lines = {
            progress_line(i, zone): i["end_date"] or i["start_date"] or "" for i in instances if i["state"] in TOLD
        }
        for line in sorted(lines.keys() - said, key=lambda line: lines[line]):
            on_progress(line)
        said.update(lines)

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """Task instances of a run: task_id, map_index, state, try_number, start_date, end_date, pid …"""
        return self.ask("GET", f"dags/{dag_id}/dagRuns/{_part(run_id)}/taskInstances", limit=1000)["task_instances"]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """What a task handed on."""
        path = f"dags/{dag_id}/dagRuns/{_part(run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.ask("GET", path, map_index=map_index, deserialize="false")["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, try_number: int = 1) -> str:
        """A task's log as text, one event a line."""
        path = f"dags/{dag_id}/dagRuns/{_part(run_id)}/taskInstances/{task_id}/logs/{try_number}"
        content = self.ask("GET", path, map_index=map_index, full_content="true")["content"]
        return "\n".join(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in content)

    def task_process(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> int | None:
        """Process id of a running task instance, None when it does not run."""
        for instance in self.task_instances(dag_id, run_id):
            if (instance["task_id"], instance["map_index"]) == (task_id, map_index) and instance["state"] == "running":
                return instance["pid"]
        return None

    def asked(self, dag_id: str = "~", run_id: str = "~") -> list[Json]:
        """Questions that wait for a steward's answer."""
        answer = self.ask("GET", f"dags/{dag_id}/dagRuns/{_part(run_id)}/hitlDetails", response_received="false")
        return answer["hitl_details"]


_tokens: dict[str, str] = {}
_one_change = threading.Lock()
"""Two changes at once can wait for each other in the API server until SQLite gives up: one holds the file, the other
the server's event loop."""


def progress_line(instance: Json, zone: ZoneInfo | None = None) -> str:
    """`backfill of 2013-01-01  publish[0]  success  1.9 s`; the run by its kind and the day (in `zone`) whose data it
    reads."""
    kind, _, moment = instance["dag_run_id"].partition("__")
    logical = instance.get("logical_date")
    if logical:
        moment = datetime.fromisoformat(logical).astimezone(zone).isoformat()
    task = instance["task_id"] + (f"[{instance['map_index']}]" if instance["map_index"] >= 0 else "")
    again = f" (try {instance['try_number']})" if instance["try_number"] > 1 else ""
    took = f"  {instance['duration']:.1f} s" if instance.get("duration") else ""
    return f"{kind} of {moment[:10]}  {task:<12}{instance['state']}{again}{took}"


def http(method: str, url: str, body: Json | None = None, token: str | None = None, timeout: float = 90) -> Json:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(
        url, json.dumps(body).encode() if body is not None else None, headers, method=method
    )
    try:
        with _opener.open(request, timeout=timeout) as response:
            text = response.read()
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")[:1000]
        raise AirflowError(f"asking Airflow to {method} {url}: {error.code} {said}", error.code) from error
    except urllib.error.URLError as error:
        raise AirflowError(f"asking Airflow to {method} {url}: {error.reason} (is it running?)") from error
    return json.loads(text) if text else {}


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback only: a proxy of the environment is not for it."""


def _part(text: str) -> str:
    return urllib.parse.quote(text, safe="~")
