"""A local Airflow for one project: prepared, started, asked and stopped by plain Python (it never imports Airflow
itself).

Everything lies in `HOME/airflow` (HOME is forebay's, default PROJECT/.forebay): configuration, SQLite metadata, logs,
password, `state.json`. The four components are started side by side, each in a session of its own, and outlive the
command that starts them.

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
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from airflow_api import AirflowError, Api, Json, http
from airflow_processes import descendants, is_java, same
from forebay.support.folders import private

CODE = Path(__file__).resolve().parents[1]
"""Where dags/, plugins/ and include/ lie."""
DEMO_HOME = CODE / ".forebay-demo"
"""The demo's own home: it begins with an empty one, and so must never be anybody's."""

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
"""The scheduler's start: its executor's workers are forked from it, and tasks from those, so what it has imported no
task imports again."""
PRELOADED = (
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.standard.operators.hitl",
    "confluent_kafka",
    "duckdb",
    "pyarrow.parquet",
    "forebay.config.load",
    "forebay.quality.imports:great_expectations",
    "forebay.verbs.run",
)
HEALTH = {
    "api-server": "metadatabase",
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}
USER = "admin"
LOCAL_SETTINGS = "forebay_sqlite"
"""A module of the home's config/ folder. A writer that waits 5 s for SQLite (the default) gives up on a busy machine:
creating a backfill then deletes the runs that the scheduler is already working on, which ends the scheduler
(models/backfill.py:736, tried with 3.3.2)."""
SQLITE = '''\
"""Written by forebay: how this Airflow's processes share one SQLite file."""

from sqlalchemy import event
from sqlalchemy.engine import Engine

SQLITE = {"timeout": 30}  # seconds a writer waits for another one


@event.listens_for(Engine, "savepoint")
def _begin(connection, name):
    """A savepoint alone begins a transaction that reads first: its write then fails at once, whatever the timeout, if another process has written meanwhile."""
    raw = connection.connection.dbapi_connection
    if getattr(raw, "in_transaction", True) is False:
        raw.execute("BEGIN IMMEDIATE")
'''  # noqa: E501
POOLS = {"forebay_inspect": "files being staged and checked", "forebay_publish": "transactions at once"}


@dataclass(frozen=True)
class Airflow(Api):
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
            private(self.home)
            _write_private(path, json.dumps({USER: secrets.token_urlsafe(9)}))
        return json.loads(path.read_text("utf-8"))[USER]

    @property
    def port(self) -> int:
        """The port of interface and API: chosen free at the first start, kept from then on."""
        return self._state().get("port") or self._choose_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def timezone(self, dag_id: str) -> str:
        from forebay.config.home import Project
        from forebay.config.load import load_pipeline

        return load_pipeline(Project.find(self.project), dag_id).timezone

    # ---- life --------------------

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
        return {name: pid for name, (pid, born) in kept.items() if same(pid, born)}

    def revive(self) -> list[str]:
        """Start components that have died since `start`; returns their names. Airflow's own `standalone` would leave
        them dead."""
        dead = sorted(set(COMPONENTS) - set(self.status())) if self._state().get("pids") else []
        if dead:
            self._save(pids=self._state()["pids"] | {name: self._spawn(name, COMPONENTS[name]) for name in dead})
        return dead

    def health(self) -> dict[str, str]:
        """Airflow's own view of its components: healthy, unhealthy, or down."""
        try:
            said = http("GET", f"{self.url}/api/v2/monitor/health", timeout=5)
        except (AirflowError, OSError):
            said = {}
        return {name: (said.get(key) or {}).get("status") or "down" for name, key in HEALTH.items()}

    def stop(self, grace: float = 3) -> bool:
        """End all of it, task processes included (they have process groups of their own). False if nothing ran."""
        processes = self._processes()
        for process in processes:
            with suppress(psutil.Error):
                process.terminate()
        _, alive = psutil.wait_procs(processes, timeout=grace)
        for process in {*alive, *self._processes()}:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=grace)
        self._save(pids={})
        return bool(processes)

    def _processes(self) -> list[psutil.Process]:
        """Components, executor workers, supervisors and tasks, also orphaned ones: known by their parent, or by their
        environment.

        The embedded broker, which a task may have started, is another program and lives on.
        """
        mine = [psutil.Process(pid) for pid in self.status().values()]
        processes = {child for process in mine for child in descendants(process)} | set(mine)
        home = str(self.home)
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get("AIRFLOW_HOME") == home:
                    processes.add(process)
        return [process for process in processes if process.pid != os.getpid() and not is_java(process)]

    def environ(self) -> dict[str, str]:
        """The environment of every process of this Airflow; with it, `airflow …` by hand speaks to the same home.

        SPT_NOENV: setproctitle would write its titles over the environment, by which `stop` knows orphans.
        """
        config = self.home / "config" / f"{LOCAL_SETTINGS}.py"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(SQLITE, "utf-8")
        foreign = (
            "AIRFLOW__",
            "_AIRFLOW_",
        )  # settings, and what Airflow leaves behind in a process that has parsed or run a DAG
        base = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
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
        sections: dict[str, dict[str, object]] = {
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
            "database": {
                "sql_alchemy_conn": f"sqlite:///{self.home / 'airflow.db'}",
                "sql_alchemy_connect_args": f"{LOCAL_SETTINGS}.SQLITE",
            },
            "dag_processor": {"min_file_process_interval": 15, "refresh_interval": 15, "parsing_processes": 1},
            "scheduler": {
                "scheduler_idle_sleep_time": 0.2,
                "task_instance_heartbeat_timeout": 60,
                "scheduler_health_check_threshold": 60,
                "orphaned_tasks_check_interval": 30,
            },
            # a supervisor that misses its task's end looks again only so much later (5 s by default), and holds a
            # worker until then
            "workers": {"min_heartbeat_interval": 1},
            "logging": {"colored_console_log": False, "namespace_levels": "great_expectations=WARNING"},
            "usage_data_collection": {"enabled": False},
        }
        return {
            f"AIRFLOW__{s.upper()}__{k.upper()}": str(v)
            for s, settings in sections.items()
            for k, v in settings.items()
        }

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
                f"running `airflow {' '.join(arguments)}`: it ended with "
                f"{done.returncode}\n{(done.stdout + done.stderr)[-2000:]}"
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
                self.ask(
                    "POST",
                    "pools",
                    {"name": name, "slots": slots, "description": f"forebay: {why}", "include_deferred": False},
                )

    def _state(self) -> Json:
        path = self.home / "state.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}

    def _save(self, **changes: Any) -> None:
        private(self.home)
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


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Components that this very process started: kept, so that they are reaped when they end."""


def _command(name: str, arguments: Iterable[str]) -> list[str]:
    if name == "scheduler":
        return [sys.executable, "-c", PRELOAD, ",".join(PRELOADED), *arguments]
    return [str(Path(sys.executable).parent / "airflow"), *arguments]


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
