"""The ledger's local copy on a real broker: it answers as the topic does, and whatever is wrong with it costs time,
never truth."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from forebay.config.pipeline import Pipeline
from forebay.errors import LedgerError
from forebay.kafka.ledger import backup, cache
from forebay.kafka.ledger import reader as ledger_reader
from forebay.kafka.ledger.cache import CacheLostError
from forebay.kafka.ledger.guard import Guard, LedgerHome
from forebay.kafka.ledger.view import LedgerView
from tests.harness.generated import make_pipeline
from tests.support import ledger as made
from tests.support.kafka import Cluster, create_topic, describe, fresh

pytestmark = pytest.mark.kafka


@pytest.fixture
def pipeline(kafka: Cluster) -> Pipeline:
    found = make_pipeline(fresh("snap").lower(), ledger_partitions=2)
    create_topic(kafka.config, found.ledger_topic, 2, cleanup_policy="compact")
    return found


@pytest.fixture
def keep(tmp_path: Path, kafka: Cluster) -> LedgerHome:
    return LedgerHome.of(tmp_path, kafka.bootstrap)


def fill(kafka: Cluster, pipeline: Pipeline, first: int, last: int) -> None:
    made.fill(kafka.config, pipeline.pipeline, pipeline.ledger_topic, first, last, 2)


def caught_up(reader: ledger_reader.LedgerReader) -> LedgerView:
    """The reader's view with all that is committed; a commit's markers come a moment after it."""
    assert reader.read_to(reader.watermarks(), 30)
    return reader.look()


def look(
    kafka: Cluster, pipeline: Pipeline, keep: LedgerHome, numbers: range, fingerprint: str | None = None
) -> tuple[list[int], int]:
    """The numbers of those files that the reader's view has, asked by content and by name; and how many records it read
    for that."""
    reader = ledger_reader.LedgerReader(kafka.config, pipeline, fingerprint, keep)
    try:
        view = caught_up(reader)
        found = [
            n
            for n in numbers
            if view.file(made.fingerprint(n)) and view.by_uri(made.uri(n)) and view.has_size(made.size(n))
        ]
        assert [n for n in numbers if view.receipts(made.fingerprint(n))] == found
        assert view.positions() != {}, "not read from the local cache"
        return found, sum(count for count, _ in view.moves.values())
    finally:
        reader.close()


def copies(keep: LedgerHome) -> list[Path]:
    return sorted(keep.folder.glob("*.sqlite"))


def test_the_copy_is_followed_and_not_read_again(kafka: Cluster, pipeline: Pipeline, keep: LedgerHome) -> None:
    fill(kafka, pipeline, 0, 50)
    assert look(kafka, pipeline, keep, range(60)) == (list(range(50)), 100)
    assert look(kafka, pipeline, keep, range(60)) == (list(range(50)), 0)
    fill(kafka, pipeline, 50, 55)
    assert look(kafka, pipeline, keep, range(60)) == (list(range(55)), 10)
    assert len(copies(keep)) == 1


def test_a_reader_of_one_file_reads_only_its_partition(kafka: Cluster, pipeline: Pipeline, keep: LedgerHome) -> None:
    fill(kafka, pipeline, 0, 50)
    inside = [n for n in range(50) if ledger_reader.partition_of(made.fingerprint(n), 2) == 1]
    found, read = look(kafka, pipeline, keep, range(50), made.fingerprint(inside[0]))
    assert (found, read) == (inside, 2 * len(inside))
    assert look(kafka, pipeline, keep, range(50)) == (list(range(50)), 100 - read)


def test_two_readers_share_a_copy(kafka: Cluster, pipeline: Pipeline, keep: LedgerHome) -> None:
    readers = [ledger_reader.LedgerReader(kafka.config, pipeline, keep=keep) for _ in range(2)]
    for turn in range(4):
        fill(kafka, pipeline, turn * 10, turn * 10 + 10)
        for reader in readers[: 1 + turn % 2]:
            view = caught_up(reader)
            assert all(view.file(made.fingerprint(n)) for n in range(turn * 10 + 10))
    for reader in readers:
        assert caught_up(reader).file(made.fingerprint(39))
        reader.close()
    assert len(copies(keep)) == 1
    assert look(kafka, pipeline, keep, range(41)) == (list(range(40)), 0)


def test_what_is_open_or_aborted_is_not_in_the_copy(kafka: Cluster, pipeline: Pipeline, keep: LedgerHome) -> None:
    fill(kafka, pipeline, 0, 10)
    producer = Producer({**kafka.config, "transactional.id": fresh("open")})
    producer.init_transactions(30)
    producer.begin_transaction()
    for partition, raw_key, value in made.records(pipeline.pipeline, 100, 101, 2):
        producer.produce(pipeline.ledger_topic, value, raw_key, partition=partition)
    assert producer.flush(30) == 0
    fill(kafka, pipeline, 10, 20)
    reader = ledger_reader.LedgerReader(kafka.config, pipeline, keep=keep)
    assert not reader.read_to(reader.watermarks(), 1.0)
    reader.close()
    producer.abort_transaction(30)
    producer.close()
    found, _ = look(kafka, pipeline, keep, range(101))
    assert found == list(range(20))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:6000])


def _scribble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(b ^ 0x5A for b in data[4096:])
    path.write_bytes(data)


def _lose_a_row(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM record WHERE rowid = (SELECT max(place) - 1 FROM record)")
    db.close()


def _other_layout(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = '0' WHERE name = 'layout'")
    db.close()


def _other_past(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE record SET generation = 7 WHERE place = (SELECT max(place) FROM record)")
    db.close()


@pytest.mark.parametrize("harm", [_truncate, _scribble, _lose_a_row, _other_layout, _other_past, Path.unlink])
def test_a_harmed_copy_is_read_anew(
    kafka: Cluster, pipeline: Pipeline, keep: LedgerHome, harm: Callable[[Path], None]
) -> None:
    fill(kafka, pipeline, 0, 30)
    look(kafka, pipeline, keep, range(0))
    [path] = copies(keep)
    harm(path)
    assert look(kafka, pipeline, keep, range(40)) == (list(range(30)), 60)
    [new] = copies(keep)
    assert new != path


def _harm_blocks(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE block SET value = substr(value, 1, length(value) - 8) || x'0000000000000000'")
    db.close()


def test_a_block_that_is_found_harmed_by_a_question_is_said_once(
    kafka: Cluster, pipeline: Pipeline, keep: LedgerHome
) -> None:
    fill(kafka, pipeline, 0, 30)
    reader = ledger_reader.LedgerReader(kafka.config, pipeline, keep=keep)
    view = caught_up(reader)
    [path] = copies(keep)
    _harm_blocks(path)
    with pytest.raises(CacheLostError, match="try again: it is only a cache"):
        view.file(made.fingerprint(3))
    reader.close()
    assert copies(keep) == []
    assert look(kafka, pipeline, keep, range(40)) == (list(range(30)), 60)


def test_a_copy_that_fails_while_it_is_used_is_read_anew(kafka: Cluster, pipeline: Pipeline, keep: LedgerHome) -> None:
    fill(kafka, pipeline, 0, 10)
    reader = ledger_reader.LedgerReader(kafka.config, pipeline, keep=keep)
    assert caught_up(reader).file(made.fingerprint(3))
    [path] = copies(keep)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE position SET upto = 0")  # as if another process had begun it anew
    db.close()
    fill(kafka, pipeline, 10, 20)
    view = caught_up(reader)
    assert all(view.file(made.fingerprint(n)) for n in range(20))
    reader.close()


def test_without_a_place_for_the_copy_the_topic_is_read(
    kafka: Cluster, pipeline: Pipeline, keep: LedgerHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(cache.CacheFile, "open", full)
    fill(kafka, pipeline, 0, 10)
    reader = ledger_reader.LedgerReader(kafka.config, pipeline, keep=keep)
    assert caught_up(reader).file(made.fingerprint(3))
    reader.close()
    assert copies(keep) == []


def until(condition: Callable[[], bool]) -> None:
    """A topic that was made or deleted is so for every broker some moments later, and how many depends on what else the
    machine does."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def delete(kafka: Cluster, topic: str) -> None:
    admin = kafka.admin()
    admin.delete_topics([topic])[topic].result(30)
    until(lambda: describe(kafka.config, topic) is None)


def test_a_ledger_that_is_gone_or_recreated_is_refused_until_accepted(
    kafka: Cluster, pipeline: Pipeline, keep: LedgerHome
) -> None:
    fill(kafka, pipeline, 0, 5)
    look(kafka, pipeline, keep, range(0))
    delete(kafka, pipeline.ledger_topic)
    with pytest.raises(LedgerError, match=r"is gone .*forebay ledger restore"):
        ledger_reader.LedgerReader(kafka.config, pipeline, keep=keep)
    create_topic(kafka.config, pipeline.ledger_topic, 2, cleanup_policy="compact")
    for _ in range(2):
        with pytest.raises(LedgerError, match=r"was recreated.*forebay ledger accept"):
            ledger_reader.LedgerReader(kafka.config, pipeline, keep=keep)
    ledger_reader.accept(kafka.config, pipeline, keep, "its records are not needed")
    assert look(kafka, pipeline, keep, range(5)) == ([], 0)


def test_a_ledger_that_ends_earlier_or_has_another_past_is_refused(
    kafka: Cluster, pipeline: Pipeline, keep: LedgerHome
) -> None:
    fill(kafka, pipeline, 0, 5)
    look(kafka, pipeline, keep, range(0))
    path = keep.folder / f"{pipeline.pipeline}.json"
    before = path.read_text()
    [known] = Guard(keep, pipeline.pipeline)._known
    further = max(known.ends, key=known.ends.__getitem__)
    path.write_text(before.replace(f'"{further}": {known.ends[further]}', f'"{further}": 1000'))
    with pytest.raises(LedgerError, match="it was read up to 1000 before"):
        look(kafka, pipeline, keep, range(0))
    path.write_text(before.replace(known.tails[further].digest, "0" * 16))
    with pytest.raises(LedgerError, match="no longer has the record that was seen at offset"):
        look(kafka, pipeline, keep, range(0))
    ledger_reader.accept(kafka.config, pipeline, keep, "seen and understood")
    assert look(kafka, pipeline, keep, range(6))[0] == list(range(5))


def test_a_record_that_somebody_deleted_is_refused_and_the_rest_can_be_saved(
    kafka: Cluster, pipeline: Pipeline, keep: LedgerHome, tmp_path: Path
) -> None:
    fill(kafka, pipeline, 0, 5)
    partition, raw_key, _ = next(made.records(pipeline.pipeline, 3, 4, 2))
    producer = Producer({**kafka.config, "transactional.id": fresh("tombstone")})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(pipeline.ledger_topic, None, raw_key, partition=partition)
    producer.commit_transaction(30)
    for place in (keep, None):
        with (
            pytest.raises(LedgerError, match=r"was deleted by another writer.*forebay ledger restore"),
            ledger_reader.opened(kafka.config, pipeline, place),
        ):
            pass
    assert backup.export(kafka.config, pipeline, tmp_path / "left.jsonl") == 10


def test_a_grown_ledger_is_refused(kafka: Cluster, pipeline: Pipeline, keep: LedgerHome) -> None:
    from confluent_kafka.admin import NewPartitions

    look(kafka, pipeline, keep, range(0))
    admin = kafka.admin()
    admin.create_partitions([NewPartitions(pipeline.ledger_topic, 3)])[pipeline.ledger_topic].result(30)
    until(lambda: len(describe(kafka.config, pipeline.ledger_topic).partitions) == 3)
    with pytest.raises(LedgerError, match="has 3 partitions and had 2"):
        look(kafka, pipeline, keep, range(0))


def test_another_cluster_has_a_ledger_of_its_own(kafka: Cluster, pipeline: Pipeline, keep: LedgerHome) -> None:
    guard = Guard(LedgerHome(keep.folder, "other:9092"), pipeline.pipeline)
    guard.check("another-topic", 1, lambda: "another-cluster")
    look(kafka, pipeline, keep, range(0))
    with pytest.raises(LedgerError, match="was recreated"):
        Guard(LedgerHome(keep.folder, "other:9092"), pipeline.pipeline).check("third", 1, lambda: "third-cluster")


REMEMBER = """
import sys
from pathlib import Path
from forebay.kafka.ledger.guard import Guard, LedgerHome, Tail
for n in range(int(sys.argv[2]), 200, 2):
    guard = Guard(LedgerHome(Path(sys.argv[1]), "b:1"), "p")
    guard.check("t", 1, lambda: "c")
    guard.saw("t", {n % 3: n}, {n % 3: Tail.of(n, b"k")})
"""


def test_two_processes_may_remember_at_once(tmp_path: Path) -> None:
    children = [subprocess.Popen([sys.executable, "-c", REMEMBER, str(tmp_path), str(start)]) for start in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    found = Guard(LedgerHome(tmp_path, "b:1"), "p").known("t")
    assert found is not None
    assert found.ends == {"0": 198, "1": 199, "2": 197}
    assert {p: tail.offset for p, tail in found.tails.items()} == {"0": 198, "1": 199, "2": 197}


READ = """
import json, re, sys, time
from pathlib import Path
from forebay.kafka.ledger import reader as ledger
from forebay.kafka.ledger.guard import LedgerHome
from tests.harness.generated import make_pipeline
from tests.support import ledger as made

bootstrap, name, home, files, fingerprint = *sys.argv[1:4], int(sys.argv[4]), sys.argv[5]
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = peak()
wall, cpu = time.monotonic(), time.process_time()
reader = ledger.LedgerReader({"bootstrap.servers": bootstrap}, make_pipeline(name), fingerprint or None, LedgerHome.of(Path(home), bootstrap))
assert reader.read_to(reader.watermarks(), 60)
view = reader.look()
assert not view.by_uri("file:///new.csv") and not view.has_size(1) and not view.started("e" * 64)
assert view.file(made.fingerprint(7)) and view.by_uri(made.uri(files - 1)) and view.has_size(made.size(files // 2))
reader.close()
print(json.dumps({"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu, "grown": peak() - before, "peak": peak()}))
"""  # noqa: E501


def measured(*arguments: object) -> dict[str, float]:
    """Seconds, and MiB, of a reader in a process of its own."""
    command = [sys.executable, "-c", READ, *map(str, arguments)]
    return {
        k: round(v, 2)
        for k, v in json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout).items()
    }


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_million_entries_are_read_once_in_bounded_memory(kafka: Cluster, tmp_path: Path) -> None:
    """Prints what it took. Asserts on memory alone (MiB), which a busy machine does not change: ten times the ledger
    needs no more of it."""
    grown = {}
    for files in (50_000, 500_000):
        pipeline, home = make_pipeline(fresh("long").lower()), tmp_path / str(files)
        create_topic(kafka.config, pipeline.ledger_topic, 1, cleanup_policy="compact")
        made.fill(kafka.config, pipeline.pipeline, pipeline.ledger_topic, 0, files)
        told = (kafka.bootstrap, pipeline.pipeline, home, files)
        cold, warm, one = measured(*told, ""), measured(*told, ""), measured(*told, "e" * 64)
        megabytes = sum(path.stat().st_size for path in (home / "ledger").iterdir()) / 1e6
        print(
            f"\n{2 * files:,} ledger records: cold {cold}, warm {warm}, to publish one file {one}; "
            f"copy {megabytes:.0f} MB"
        )
        assert max(warm["grown"], one["grown"]) < 60
        grown[files] = cold["grown"]
    assert max(grown.values()) < 150
    assert grown[500_000] < grown[50_000] + 40
