"""Apache Kafka's jars: fetched once from Maven Central by exact version, and kept only if their sha256 is the lock
file's.

jgo's own resolver checks SHA-1 and merely warns; so it is given a scratch folder, and a jar moves into the cache
(rename, atomic) after the check against `kafka.lock.json`. A lock on the cache lets two processes that start at once
download once.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache as memo
from pathlib import Path

from forebay import events
from forebay.errors import FatalError, RetryableError
from forebay.support import files
from forebay.support.files import sha256

KAFKA_VERSION = "4.3.1"

_ATTEMPTS = 3
_TIMEOUT = 60
_PARALLEL = 6


@memo
def lock() -> dict[str, str]:
    """`group:artifact:version` → sha256 in hex, of all jars that a broker needs."""
    return json.loads((Path(__file__).parent / "kafka.lock.json").read_text("utf-8"))


@dataclass(frozen=True)
class Supply:
    """Which jars are needed (as `lock`), and what brings one."""

    digests: Mapping[str, str]
    bring: Callable[[str, Path], Path]


def from_maven(coordinate: str, scratch: Path) -> Path:
    """The jar, downloaded from Maven Central into an empty folder. Raises what jgo and requests raise."""
    from jgo.maven import MavenContext, PythonResolver

    group, artifact, version = coordinate.split(":")
    context = MavenContext(repo_cache=scratch, local_repos=[], resolver=PythonResolver(), timeout=_TIMEOUT)
    return Path(context.project(group, artifact).at_version(version).artifact().resolve())


def jars(cache: Path, supply: Supply | None = None) -> Path:
    """The folder of all jars, complete and checked; downloads what is missing. Without `supply`, Kafka's from Maven
    Central.

    Raises `FatalError` when a download is not what the lock file says, `RetryableError` when the repository cannot be
    reached.
    """
    supply, folder = supply or Supply(lock(), from_maven), cache / f"kafka-{KAFKA_VERSION}" / "jars"
    if not _missing(folder, supply):
        return folder
    with locked(cache / f"kafka-{KAFKA_VERSION}" / "lock"):
        missing = _missing(folder, supply)
        if missing:
            _fetch_all(missing, folder, supply)
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock (flock) on a file; it is released when the process dies, however it dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.locked(path):
        yield


def _missing(folder: Path, supply: Supply) -> list[str]:
    return [
        coordinate for coordinate, digest in supply.digests.items() if not _intact(folder / _name(coordinate), digest)
    ]


def _intact(jar: Path, digest: str) -> bool:
    try:
        return sha256(jar) == digest
    except FileNotFoundError:
        return False


def _name(coordinate: str) -> str:
    _, artifact, version = coordinate.split(":")
    return f"{artifact}-{version}.jar"


def _fetch_all(coordinates: list[str], folder: Path, supply: Supply) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    events.emit(
        events.BROKER_FETCHING,
        message=f"downloading Apache Kafka {KAFKA_VERSION} once: {len(coordinates)} jars, some 37 MB, into {folder}",
        jars=len(coordinates),
        folder=str(folder),
    )
    # Scratch beside the jars: a rename within one file system is atomic.
    with (
        tempfile.TemporaryDirectory(dir=folder.parent, prefix="download-") as scratch,
        ThreadPoolExecutor(_PARALLEL) as pool,
    ):
        list(pool.map(lambda coordinate: _fetch(coordinate, Path(scratch), folder, supply), coordinates))


def _fetch(coordinate: str, scratch: Path, folder: Path, supply: Supply) -> None:
    jar = _download(coordinate, scratch, supply)
    digest, expected = sha256(jar), supply.digests[coordinate]
    if digest != expected:
        raise FatalError(
            f"downloading `{coordinate}`: its sha256 is {digest}, the lock file says {expected} "
            "(a proxy or mirror changed it, or it was tampered with; nothing of it was kept)",
            artifact=coordinate,
        )
    jar.replace(folder / _name(coordinate))


def _download(coordinate: str, scratch: Path, supply: Supply) -> Path:
    from requests import RequestException

    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return supply.bring(coordinate, scratch / str(attempt))
        except (RequestException, RuntimeError, OSError) as error:
            if attempt == _ATTEMPTS:
                raise RetryableError(
                    f"downloading `{coordinate}`: {error} (the embedded broker needs Maven Central once; "
                    "or set KAFKA_BOOTSTRAP_SERVERS "
                    "to a broker of your own)",
                    artifact=coordinate,
                ) from error
    raise AssertionError("unreachable")
