"""`forebay broker start|stop|status|env|train`: the embedded broker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from forebay.cli.common import JsonOption, ProjectOption, exit_codes, project, show
from forebay.cli.progress import follow
from forebay.errors import BrokerUnavailableError, ConfigError

app = typer.Typer(no_args_is_help=True, help="The embedded broker: a real Apache Kafka on this machine's loopback.")

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", help="Folder of the broker's data, without a project (its jars then lie in DIR/cache)."
    ),
]
NodesOption = Annotated[
    int | None, typer.Option("--nodes", min=1, max=9, help="How many nodes; 3 make a replicated cluster (default: 1).")
]


@app.command("start")
def start(
    root: ProjectOption = None, home: HomeOption = None, nodes: NodesOption = None, as_json: JsonOption = False
) -> None:
    """Start the broker, or find the one that runs; it outlives this command."""
    from forebay.kafka.embedded import broker

    with exit_codes(as_json):
        at, cache = _folders(root, home)
        with follow():
            started = broker.start(at, cache, nodes)
        show(started.to_json(), as_json, lambda console: _render(console, started))


@app.command("stop")
def stop(root: ProjectOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Stop the broker; its data stays for the next start."""
    from forebay.kafka.embedded import broker

    with exit_codes(as_json):
        at, _ = _folders(root, home)
        stopped = broker.stop(at)
        show(
            {"stopped": stopped, "home": str(at)},
            as_json,
            lambda console: console.print("stopped" if stopped else "no broker was running"),
        )


@app.command("status")
def status(root: ProjectOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Say whether the broker runs, and where."""
    from forebay.kafka.embedded import broker

    with exit_codes(as_json):
        at, _ = _folders(root, home)
        state = broker.status(at)
        document: dict[str, Any] = {
            "running": state is not None,
            **(state.to_json() if state else {"home": str(at)}),
        }
        show(
            document,
            as_json,
            lambda console: _render(console, state) if state else console.print("no broker is running"),
        )


@app.command("env")
def env(root: ProjectOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Print what a shell needs to talk to the broker: `eval "$(forebay broker env)"`."""
    from forebay.kafka.embedded import broker

    with exit_codes(as_json):
        at, _ = _folders(root, home)
        running = broker.status(at)
        if not running:
            raise BrokerUnavailableError(
                f"looking for the broker of `{at}`: none runs (start it: forebay broker start)"
            )
        variables = {"KAFKA_BOOTSTRAP_SERVERS": running.bootstrap}
        show(variables, as_json, lambda console: console.print(f"export KAFKA_BOOTSTRAP_SERVERS={running.bootstrap}"))


@app.command("train")
def train(root: ProjectOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Halve every later start: write the JVM's AOT cache once (some 10 s, 60 MB)."""
    from forebay.kafka.embedded import broker

    with exit_codes(as_json):
        _, cache = _folders(root, home)
        with follow():
            written = broker.train(cache)
        show({"aot_cache": str(written)}, as_json, lambda console: console.print(f"wrote {written}", markup=False))


def _folders(root: Path | None, home: Path | None) -> tuple[Path, Path]:
    """The broker's home and the cache of its jars."""
    if home is None:
        where = project(root)
        return where.broker, where.cache
    if root is not None:
        raise ConfigError("reading the options: --project and --home exclude each other (give one of them)")
    try:
        cache = project(None).cache
    except ConfigError:
        cache = home / "cache"
    return home.resolve(), cache


def _render(console: Console, status: Any) -> None:
    from rich.table import Table

    console.print(f"Apache Kafka {status.version} at {status.bootstrap}")
    table = Table(box=None, pad_edge=False)
    for title in ("node", "port", "pid"):
        table.add_column(title, justify="right")
    for node, (port, pid) in enumerate(zip(status.ports, status.pids, strict=True), 1):
        table.add_row(str(node), str(port), str(pid) if pid else "[red]down[/]")
    console.print(table)
    console.print(f"data in {status.home}; stop it: forebay broker stop", markup=False)
