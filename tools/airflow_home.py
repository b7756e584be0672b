"""A local Airflow for one project: prepared, started, asked and stopped by plain Python (it never imports Airflow itself).

Everything lies in `HOME/airflow` (HOME is forebay's, default PROJECT/.forebay): configuration, SQLite metadata, logs, password, `state.json`.
The four components are started side by side, each in a session of its own, and outlive the command that starts them.

    airflow = Airflow(Path("."))
    airflow.start()
    runs = airflow.backfill("flights", date(2013, 1, 1), date(2013, 1, 3))
    states = airflow.wait("flights", runs)
    airflow.stop()
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil

CODE = Path(__file__).resolve().parents[1]
"""Where dags/, plugins/ and include/ lie."""

COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),  # its log server has a fixed port, and only other machines need it
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
PRELOAD = """
import importlib, sys
for name in sys.argv.pop(1).split(","):
    module, _, function = name.partition(":")
    found = importlib.import_module(module)
    function and getattr(found, function)()
from airflow.__main__ import main
main()
"""
"""The scheduler's start: its executor's workers are forked from it, and tasks from those, so what it has imported no task imports again."""
PRELOADED = (
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.standard.operators.hitl",
    "confluent_kafka",
    "duckdb",
    "pyarrow.parquet",
    "forebay.config.load",
    "forebay.quality._imports:great_expectations",
    "forebay.verbs.run",
)
HEALTH = {"api-server": "metadatabase", "scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}
USER = "admin"
POOLS = {"forebay_inspect": "files being staged and checked", "forebay_publish": "transactions at once"}
ENDED = frozenset({"success", "failed"})

Json = dict[str, Any]
Progress = Callable[[list[Json]], None]


class AirflowError(RuntimeError):
    """The local Airflow does not do what was asked; the words say what was found and where to look."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """`status` is the HTTP status of a refused request."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Airflow:
    """The local Airflow of one project. `extra` are environment variables for its processes (connections, settings)."""

    project: Path
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def home(self) -> Path:
        base = os.environ.get("FOREBAY_HOME") or self.project.resolve() / ".forebay"
        return Path(base).resolve() / "airflow"

    @property
    def user(self) -> str:
        return USER

    @property
    def password(self) -> str:
        """Made once, kept for the owner's eyes (mode 0600) where Airflow's SimpleAuthManager reads it."""
        path = self.home / "passwords.json"
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            _write_private(path, json.dumps({USER: secrets.token_urlsafe(9)}))
        return json.loads(path.read_text("utf-8"))[USER]

    @property
    def port(self) -> int:
        """The port of interface and API: chosen free at the first start, kept from then on."""
        return self._state().get("port") or self._choose_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # ---- life -------------------------------------------------------------------------------------------------------------------------

    def start(self, timeout: float = 120, on_wait: Callable[[dict[str, str]], None] | None = None) -> None:
        """Start what does not run, and wait until all four components are healthy and the pools exist. Idempotent."""
        if self.status() and all(state == "healthy" for state in self.health().values()):
            return
        self.stop()
        self._free_port()
        self._migrate()
        assert self.password
        pids = {name: self._spawn(name, arguments) for name, arguments in COMPONENTS.items()}
        self._save(pids=pids)
        self._wait_healthy(timeout, on_wait)
        self._make_pools()

    def status(self) -> dict[str, int]:
        """Process ids of the components that run, by name."""
        kept = self._state().get("pids", {})
        return {name: pid for name, (pid, born) in kept.items() if _same(pid, born)}

    def health(self) -> dict[str, str]:
        """Airflow's own view of its components: healthy, unhealthy, or down."""
        try:
            said = _http("GET", f"{self.url}/api/v2/monitor/health", timeout=5)
        except (AirflowError, OSError):
            said = {}
        return {name: (said.get(key) or {}).get("status") or "down" for name, key in HEALTH.items()}

    def stop(self, grace: float = 3) -> bool:
        """End all of it, task processes included (they have process groups of their own). False if nothing ran."""
        found = self._processes()
        for process in found:
            with suppress(psutil.Error):
                process.terminate()
        _, alive = psutil.wait_procs(found, timeout=grace)
        for process in {*alive, *self._processes()}:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=grace)
        self._save(pids={})
        return bool(found)

    def _processes(self) -> list[psutil.Process]:
        """Components, executor workers, supervisors and tasks, also orphaned ones: known by their parent, or by their environment.

        The embedded broker, which a task may have started, is another program and lives on.
        """
        mine = [psutil.Process(pid) for pid in self.status().values()]
        found = {child for process in mine for child in _descendants(process)} | set(mine)
        home = str(self.home)
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get("AIRFLOW_HOME") == home:
                    found.add(process)
        return [process for process in found if process.pid != os.getpid() and not _is_java(process)]

    def environ(self) -> dict[str, str]:
        """The environment of every process of this Airflow; with it, `airflow …` by hand speaks to the same home.

        SPT_NOENV: setproctitle would write its titles over the environment, by which `stop` knows orphans.
        """
        base = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW__")}
        path = os.pathsep.join([str(CODE / "include"), *filter(None, [os.environ.get("PYTHONPATH")])])
        bin_ = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        own = {
            "AIRFLOW_HOME": str(self.home),
            "SPT_NOENV": "1",
            "FOREBAY_PROJECT": str(self.project.resolve()),
            "PYTHONPATH": path,
            "PATH": bin_,
        }
        return {**base, **own, "GX_ANALYTICS_ENABLED": "false", **self._settings(), **dict(self.extra)}

    def _settings(self) -> dict[str, str]:
        """Airflow's settings: small and quick, on this machine only."""
        sections = {
            "core": {
                "dags_folder": CODE / "dags",
                "plugins_folder": CODE / "plugins",
                "load_examples": False,
                "executor": "LocalExecutor",
                "parallelism": 8,
                "simple_auth_manager_users": f"{USER}:admin",
                "simple_auth_manager_passwords_file": self.home / "passwords.json",
                "execution_api_server_url": f"{self.url}/execution/",
                "dags_are_paused_at_creation": True,
            },
            "api": {"host": "127.0.0.1", "port": self.port, "base_url": self.url, "workers": 1},
            "database": {"sql_alchemy_conn": f"sqlite:///{self.home / 'airflow.db'}"},
            "dag_processor": {"min_file_process_interval": 15, "refresh_interval": 15, "parsing_processes": 1},
            "scheduler": {"scheduler_idle_sleep_time": 0.2, "task_instance_heartbeat_timeout": 60, "scheduler_health_check_threshold": 60},
            # a supervisor that misses its task's end looks again only so much later (5 s by default), and holds a worker until then
            "workers": {"min_heartbeat_interval": 1},
            "logging": {"colored_console_log": False, "namespace_levels": "great_expectations=WARNING"},
            "usage_data_collection": {"enabled": False},
        }
        return {f"AIRFLOW__{s.upper()}__{k.upper()}": str(v) for s, settings in sections.items() for k, v in settings.items()}

    def _migrate(self) -> None:
        """Metadata tables of the installed Airflow's version; once per version."""
        from importlib.metadata import version

        done = self.home / "migrated"
        installed = version("apache-airflow")
        if done.exists() and done.read_text("utf-8") == installed and (self.home / "airflow.db").exists():
            return
        self.cli("db", "migrate")
        done.write_text(installed, "utf-8")

    def cli(self, *arguments: str) -> str:
        """`airflow …` on this home; its standard output. Raises `AirflowError` with the end of what it said."""
        command = [str(Path(sys.executable).parent / "airflow"), *arguments]
        done = subprocess.run(command, env=self.environ(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise AirflowError(
                f"running `airflow {' '.join(arguments)}`: it ended with {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}"
            )
        return done.stdout

    def _spawn(self, name: str, arguments: Iterable[str]) -> tuple[int, float]:
        logs = self.home / "components"
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                _command(name, arguments),
                env=self.environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.home,
            )
        _children[process.pid] = process
        return process.pid, psutil.Process(process.pid).create_time()

    def _wait_healthy(self, timeout: float, on_wait: Callable[[dict[str, str]], None] | None) -> None:
        end = time.monotonic() + timeout
        while True:
            health = self.health()
            if all(state == "healthy" for state in health.values()):
                return
            dead = sorted(set(COMPONENTS) - set(self.status()))
            if dead or time.monotonic() > end:
                what = f"`{dead[0]}` ended" if dead else f"not healthy after {timeout:g} s: {health}"
                log = self.home / "components" / f"{dead[0] if dead else 'api-server'}.log"
                tail = log.read_text("utf-8", "replace")[-2000:] if log.exists() else ""
                self.stop()
                raise AirflowError(f"starting Airflow: {what} (see {log})\n{tail}")
            if on_wait:
                on_wait(health)
            time.sleep(0.25)

    def _make_pools(self) -> None:
        slots = max(2, os.cpu_count() or 2)
        for name, why in POOLS.items():
            with suppress(AirflowError):  # it exists: 409
                self.ask("POST", "pools", {"name": name, "slots": slots, "description": f"forebay: {why}", "include_deferred": False})

    # ---- asking -----------------------------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Json | None = None, **query: Any) -> Json:
        """One request of the REST API (`/api/v2/PATH`). Raises `AirflowError` with Airflow's own words."""
        url = f"{self.url}/api/v2/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        key = (self.url, self.password)
        if key not in _tokens:
            _tokens[key] = _http("POST", f"{self.url}/auth/token", {"username": USER, "password": self.password})["access_token"]
        try:
            return _http(method, url, body, token=_tokens[key])
        except AirflowError as error:
            if error.status == 401:
                _tokens.pop(key, None)
            raise

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> Json:
        """The DAG, once the DAG processor has read it. Raises `AirflowError`, with the import errors, when it does not come."""
        end = time.monotonic() + timeout
        while True:
            try:
                return self.ask("GET", f"dags/{dag_id}")
            except AirflowError as error:
                if error.status != 404 or time.monotonic() > end:
                    faults = [found["stack_trace"][-1000:] for found in self.ask("GET", "importErrors")["import_errors"]]
                    raise AirflowError(f"waiting for the DAG `{dag_id}`: {error}\n" + "\n".join(faults), error.status) from error
            time.sleep(0.25)

    def unpause(self, dag_id: str) -> None:
        """Let the DAG run. With a schedule, Airflow then starts the run of the last window too."""
        self.wait_for_dag(dag_id)
        self.ask("PATCH", f"dags/{dag_id}", {"is_paused": False}, update_mask="is_paused")

    def backfill(self, dag_id: str, start: date, end: date, reprocess: str = "none", conf: Json | None = None, runs: int = 3) -> list[str]:
        """Run every window whose local day lies in `start`…`end`, both included; returns the run ids, oldest first.

        `reprocess` (none|completed|failed) says which existing runs are run again; `runs` is how many may run at once.
        """
        self.unpause(dag_id)
        self._end_finished_backfills(dag_id)
        zone = ZoneInfo(self.ask("GET", f"dags/{dag_id}/details").get("timezone") or "UTC")
        first = datetime(start.year, start.month, start.day, tzinfo=zone)
        last = datetime(end.year, end.month, end.day, tzinfo=zone) + timedelta(days=1, seconds=-1)
        body = {
            "dag_id": dag_id,
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            "reprocess_behavior": reprocess,
            "max_active_runs": runs,
            "dag_run_conf": conf or {},
        }
        self.ask("POST", "backfills", body)
        found = self.ask(
            "GET", f"dags/{dag_id}/dagRuns", logical_date_gte=first.isoformat(), logical_date_lte=last.isoformat(), order_by="logical_date"
        )
        return [run["dag_run_id"] for run in found["dag_runs"] if run["run_type"] == "backfill"]

    def _end_finished_backfills(self, dag_id: str) -> None:
        """Airflow marks an ended backfill only twice a minute, and refuses another one until then: cancelling it does the same at once."""
        found = self.ask("GET", "backfills", dag_id=dag_id)["backfills"]
        for backfill in found:
            open_ = [run for state in ("queued", "running") for run in self._runs(dag_id, state=state) if run["run_type"] == "backfill"]
            if backfill["completed_at"] is None and not open_:
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

    def state(self, dag_id: str, run_id: str) -> str:
        return self.ask("GET", f"dags/{dag_id}/dagRuns/{_part(run_id)}")["state"]

    def wait(
        self, dag_id: str, run_ids: Iterable[str] | None = None, timeout: float = 300, on_progress: Progress | None = None
    ) -> dict[str, str]:
        """Wait until the runs (default: all of the DAG) have ended; returns their states by run id.

        `on_progress` gets all their task instances (dag_run_id, task_id, map_index, state …) at each look. Raises `AirflowError` in the end.
        """
        wanted = list(run_ids) if run_ids is not None else [run["dag_run_id"] for run in self._runs(dag_id, limit=100)]
        end = time.monotonic() + timeout
        while True:
            states = {run_id: self.state(dag_id, run_id) for run_id in wanted}
            if on_progress:
                on_progress([instance for run_id in wanted for instance in self.task_instances(dag_id, run_id)])
            if set(states.values()) <= ENDED:
                return states
            if time.monotonic() > end:
                raise AirflowError(f"waiting for `{dag_id}`: after {timeout:g} s {states}")
            time.sleep(0.5)

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
        found = self.ask("GET", f"dags/{dag_id}/dagRuns/{_part(run_id)}/hitlDetails", response_received="false")
        return found["hitl_details"]

    def answer_steward(self, dag_id: str, run_id: str, option: str, reason: str = "", settle: float = 3) -> None:
        """Answer the steward's question of a run. Airflow 3.3.2 can fail a task that is answered in its first second of waiting: so wait."""
        waited = self.asked(dag_id, run_id)
        if not waited:
            raise AirflowError(f"answering the steward of `{dag_id}` `{run_id}`: nothing is asked")
        born = datetime.fromisoformat(waited[0]["created_at"].replace("Z", "+00:00"))
        time.sleep(max(0.0, settle - (datetime.now(born.tzinfo) - born).total_seconds()))
        path = f"dags/{dag_id}/dagRuns/{_part(run_id)}/taskInstances/steward/-1/hitlDetails"
        self.ask("PATCH", path, {"chosen_options": [option], "params_input": {"reason": reason}})

    # ---- state ------------------------------------------------------------------------------------------------------------------------

    def _state(self) -> Json:
        path = self.home / "state.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}

    def _save(self, **changes: Any) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        _write_private(self.home / "state.json", json.dumps({**self._state(), **changes}))

    def _choose_port(self) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self._save(port=port)
        return port

    def _free_port(self) -> None:
        """Keep the port of last time unless another program has it by now."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError:
                self._choose_port()


_tokens: dict[tuple[str, str], str] = {}
_children: dict[int, subprocess.Popen[bytes]] = {}
"""Components that this very process started: kept, so that they are reaped when they end."""


def _command(name: str, arguments: Iterable[str]) -> list[str]:
    if name == "scheduler":
        return [sys.executable, "-c", PRELOAD, ",".join(PRELOADED), *arguments]
    return [str(Path(sys.executable).parent / "airflow"), *arguments]


def _http(method: str, url: str, body: Json | None = None, token: str | None = None, timeout: float = 30) -> Json:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None, headers, method=method)
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


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def _is_java(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.name() == "java"
    return True  # gone meanwhile


def _same(pid: int, born: float) -> bool:
    """Whether the process of that id is the one that was started, and alive."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - born) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _write_private(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def main() -> None:
    """`airflow_home.py start|stop|status [--project DIR]`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("what", choices=["start", "stop", "status"])
    parser.add_argument("--project", type=Path, default=CODE)
    given = parser.parse_args()
    airflow = Airflow(given.project)
    if given.what == "stop":
        print("stopped" if airflow.stop() else "nothing ran")
        return
    if given.what == "start":
        airflow.start()
    running = airflow.status()
    print(f"{airflow.url}  user {airflow.user}  password {airflow.password}" if running else "not running")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main()
