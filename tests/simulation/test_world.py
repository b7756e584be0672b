"""The model's own rules, one by one: what a partition shows, who is fenced, and what a late request may still do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.world import (
    ABORTED,
    CLEANED,
    COMMITTED,
    COMPLETE_ABORT,
    COMPLETE_COMMIT,
    MARKER,
    ONGOING,
    OPEN,
    PREPARE_COMMIT,
    Clock,
    Coordinator,
    Partition,
)


class Cluster:
    """A coordinator and two partitions; markers take a tenth of a second."""

    def __init__(self, verification: bool = True) -> None:
        self.clock = Clock()
        self.coordinator = Coordinator(self.clock, lambda what: 0.1 if what == "marker" else 0.0, verification)
        self.a, self.b = Partition("a", self.clock), Partition("b", self.clock)

    def owner(self, tid: str = "t", timeout: float = 60.0) -> tuple[int, int]:
        """The producer id and epoch of a new owner, once the one before it has ended."""
        while True:
            error, found = self.coordinator.init(tid, timeout)
            if error is None:
                return found
            assert error == "CONCURRENT_TRANSACTIONS"
            self.wait(1.0)

    def write(
        self, owner: tuple[int, int], partition: Partition, sequence: int = 0, *values: Any, tid: str = "t"
    ) -> Any:
        """Add the partition and produce a batch."""
        self.coordinator.add(tid, *owner, [partition])
        return self.coordinator.produce(tid, *owner, partition, sequence, values or ("x",))

    def wait(self, seconds: float) -> None:
        now = self.clock.now + seconds
        self.clock.run(now)
        self.clock.now = now


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_events_happen_in_the_order_of_their_times_and_then_of_their_planning() -> None:
    clock = Clock()
    seen: list[str] = []
    for delay, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (9.0, "late")):
        clock.after(delay, seen.append, name)
    assert clock.run(until=5.0) is False
    assert seen == ["a", "b", "c"]
    assert clock.run(until=10.0) is True


# partitions


def test_the_last_stable_offset_is_the_first_open_transaction_whoevers_it_is(cluster: Cluster) -> None:
    first, second = cluster.owner("t"), cluster.owner("u")
    cluster.write(first, cluster.a, 0, "open")
    cluster.write(second, cluster.a, 0, "committed behind it", tid="u")
    cluster.coordinator.end("u", *second, True)
    cluster.wait(1.0)
    assert cluster.a.states == [OPEN, COMMITTED, MARKER]
    assert (cluster.a.stable, cluster.a.high) == (0, 3)
    assert cluster.a.committed() == []
    cluster.coordinator.end("t", *first, False)
    cluster.wait(1.0)
    assert cluster.a.states == [ABORTED, COMMITTED, MARKER, MARKER]
    assert cluster.a.committed() == [(1, "committed behind it")]


def test_readers_are_shown_committed_records_once_and_never_aborted_ones(cluster: Cluster) -> None:
    shown: list[Any] = []
    cluster.a.watch = lambda offset, value: shown.append((offset, value))
    for n, commit in enumerate((True, False, True)):
        owner = cluster.owner()
        cluster.write(owner, cluster.a, 0, n)
        cluster.coordinator.end("t", *owner, commit)
        cluster.wait(1.0)
    assert shown == [(0, 0), (4, 2)]


def test_a_batch_that_is_known_is_answered_but_not_appended_again(cluster: Cluster) -> None:
    owner = cluster.owner()
    assert cluster.write(owner, cluster.a, 0, "x", "y") == (None, 0)
    assert cluster.write(owner, cluster.a, 2, "z") == (None, 2)
    assert cluster.write(owner, cluster.a, 0, "x", "y") == (None, 0)
    assert cluster.a.values == ["x", "y", "z"]


def test_a_gap_in_the_sequence_is_refused(cluster: Cluster) -> None:
    owner = cluster.owner()
    cluster.write(owner, cluster.a, 0)
    assert cluster.write(owner, cluster.a, 5)[0] == "OUT_OF_ORDER_SEQUENCE_NUMBER"


def test_a_new_epoch_begins_its_sequence_anew_and_shuts_the_old_one_out(cluster: Cluster) -> None:
    old = cluster.owner()
    cluster.write(old, cluster.a, 0)
    new = cluster.owner()
    assert new == (old[0], old[1] + 2)  # the epoch in between fenced the open transaction, and is nobody's
    assert cluster.a.append(*new, 3, ("x",))[0] == "OUT_OF_ORDER_SEQUENCE_NUMBER"
    assert cluster.a.append(*new, 0, ("x",))[0] is None
    assert cluster.a.append(*old, 1, ("x",))[0] == "INVALID_PRODUCER_EPOCH"


def test_a_marker_of_an_older_epoch_is_refused(cluster: Cluster) -> None:
    cluster.a.append(1, 5, 0, ("x",))
    assert cluster.a.mark(1, 4, commit=True) is False
    assert cluster.a.states == [OPEN]
    assert cluster.a.mark(1, 5, commit=True) is True


def test_compaction_keeps_offsets_and_the_last_record_of_a_key(cluster: Cluster) -> None:
    for key, commit in (("k", True), ("gone", False), ("k", True)):
        owner = cluster.owner()
        cluster.write(owner, cluster.a, 0, key)
        cluster.coordinator.end("t", *owner, commit)
        cluster.wait(1.0)
    assert cluster.a.compact(lambda value: value) == 2
    assert cluster.a.states == [CLEANED, MARKER, CLEANED, MARKER, COMMITTED, MARKER]
    assert cluster.a.committed() == [(4, "k")]


# the coordinator


def test_a_commit_is_answered_before_its_markers_are_written(cluster: Cluster) -> None:
    owner = cluster.owner()
    cluster.write(owner, cluster.a)
    assert cluster.coordinator.end("t", *owner, True) == (None, None)
    assert cluster.coordinator.transactions["t"].state == PREPARE_COMMIT
    assert cluster.a.stable == 0
    assert cluster.coordinator.init("t", 60.0)[0] == "CONCURRENT_TRANSACTIONS"
    assert cluster.coordinator.add("t", *owner, [cluster.b])[0] == "CONCURRENT_TRANSACTIONS"
    assert cluster.coordinator.end("t", *owner, True)[0] == "CONCURRENT_TRANSACTIONS"
    cluster.wait(1.0)
    assert cluster.coordinator.transactions["t"].state == COMPLETE_COMMIT
    assert cluster.a.stable == cluster.a.high == 2


def test_a_repeated_end_is_answered_alike_and_the_opposite_one_refused(cluster: Cluster) -> None:
    owner = cluster.owner()
    cluster.write(owner, cluster.a)
    cluster.coordinator.end("t", *owner, True)
    cluster.wait(1.0)
    assert cluster.coordinator.end("t", *owner, True) == (None, None)
    assert cluster.coordinator.end("t", *owner, False)[0] == "INVALID_TXN_STATE"
    assert cluster.a.high == 2  # no further marker


def test_a_new_owner_aborts_the_transaction_of_the_old_one_and_fences_it(cluster: Cluster) -> None:
    old = cluster.owner()
    cluster.write(old, cluster.a)
    assert cluster.coordinator.init("t", 60.0)[0] == "CONCURRENT_TRANSACTIONS"
    cluster.wait(1.0)
    assert cluster.a.states == [ABORTED, MARKER]
    for answer in (
        cluster.coordinator.end("t", *old, True),
        cluster.coordinator.add("t", *old, [cluster.b]),
    ):
        assert answer[0] == "PRODUCER_FENCED"
    assert cluster.coordinator.produce("t", *old, cluster.b, 0, ("x",))[0] == "INVALID_PRODUCER_EPOCH"


def test_a_new_owner_waits_for_a_commit_that_is_decided(cluster: Cluster) -> None:
    old = cluster.owner()
    cluster.write(old, cluster.a)
    cluster.coordinator.end("t", *old, True)
    cluster.owner()
    assert cluster.a.states == [COMMITTED, MARKER]


@pytest.mark.parametrize(("timeout", "swept"), [(5.0, 10.0), (10.0, 20.0), (60.0, 70.0)])
def test_a_transaction_that_times_out_is_aborted_by_the_next_sweep(
    cluster: Cluster, timeout: float, swept: float
) -> None:
    cluster.wait(1.0)
    owner = cluster.owner(timeout=timeout)
    cluster.write(owner, cluster.a)
    cluster.wait(swept - 1.0 - 0.01)
    assert cluster.coordinator.transactions["t"].state == ONGOING
    cluster.wait(0.2)
    assert cluster.coordinator.transactions["t"].state == COMPLETE_ABORT
    assert cluster.coordinator.end("t", *owner, True)[0] == "PRODUCER_FENCED"


def test_the_sweep_leaves_the_next_transaction_of_the_same_owner_alone(cluster: Cluster) -> None:
    owner = cluster.owner(timeout=15.0)
    cluster.write(owner, cluster.a)
    cluster.wait(9.0)
    cluster.coordinator.end("t", *owner, True)
    cluster.wait(1.0)
    cluster.write(owner, cluster.a, 1)
    cluster.wait(11.0)
    assert cluster.coordinator.transactions["t"].state == ONGOING


def test_a_late_commit_hits_the_next_transaction_of_the_same_epoch_as_in_kafka_17754(cluster: Cluster) -> None:
    owner = cluster.owner()
    cluster.write(owner, cluster.a, 0, "first")
    cluster.coordinator.end("t", *owner, True)
    cluster.wait(1.0)
    cluster.write(owner, cluster.a, 1, "half of the second")
    assert cluster.coordinator.end("t", *owner, True) == (None, None)  # the duplicate of the first commit
    cluster.wait(1.0)
    assert [value for _, value in cluster.a.committed()] == ["first", "half of the second"]


def test_a_new_epoch_makes_the_same_late_commit_harmless(cluster: Cluster) -> None:
    old = cluster.owner()
    cluster.write(old, cluster.a, 0, "first")
    cluster.coordinator.end("t", *old, True)
    new = cluster.owner()
    cluster.write(new, cluster.a, 0, "half of the second")
    assert cluster.coordinator.end("t", *old, True)[0] == "PRODUCER_FENCED"
    assert cluster.coordinator.transactions["t"].state == ONGOING


def test_a_late_batch_that_opens_a_transaction_nobody_knows_is_refused_by_verification(cluster: Cluster) -> None:
    owner = cluster.owner()
    cluster.write(owner, cluster.a)
    cluster.coordinator.end("t", *owner, False)
    cluster.wait(1.0)
    assert cluster.coordinator.produce("t", *owner, cluster.b, 0, ("late",))[0] == "INVALID_TXN_STATE"
    assert cluster.b.high == 0


def test_without_verification_the_same_late_batch_hangs_its_partition() -> None:
    cluster = Cluster(verification=False)
    owner = cluster.owner()
    cluster.write(owner, cluster.a)
    cluster.coordinator.end("t", *owner, False)
    cluster.wait(1.0)
    assert cluster.coordinator.produce("t", *owner, cluster.b, 0, ("late",)) == (None, 0)
    cluster.wait(100.0)
    assert (cluster.b.stable, cluster.b.high) == (0, 1)


def test_another_producers_id_is_told_from_ours(cluster: Cluster) -> None:
    _, epoch = cluster.owner()
    assert cluster.coordinator.end("t", 99, epoch, True)[0] == "INVALID_PRODUCER_ID_MAPPING"
    assert cluster.coordinator.end("nobody", 1, 0, True)[0] == "INVALID_PRODUCER_ID_MAPPING"


def test_how_long_a_transaction_held_a_partition_is_measured(cluster: Cluster) -> None:
    owner = cluster.owner()
    cluster.write(owner, cluster.a)
    cluster.wait(3.0)
    cluster.coordinator.end("t", *owner, True)
    cluster.wait(1.0)
    [(size, committed, held)] = cluster.a.held
    assert (size, committed) == (1, True) and held == pytest.approx(3.1)
