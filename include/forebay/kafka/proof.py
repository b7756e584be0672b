"""Offset ranges read again and held against what the ledger says of them.

Records may be gone without being lost: the topic's retention has taken them, or the topic is compacted and keeps the
last record of each key. What neither explains is a difference.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from forebay.kafka import client, topics
from forebay.kafka.reader import RangeCount, RangeReader
from forebay.model import OffsetRange

if TYPE_CHECKING:
    import numpy as np


def ids_of(fingerprint: str, generation: int) -> str:
    """What the `ce_id` of a content's records begins with; the row's number follows. Quarantine records carry it in
    every header profile."""
    return f"{fingerprint[:16]}:{generation}:"


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found at ranges of one content.

    Ranges whose offsets the ledger does not know (rule F16) are never held against what was found.
    """

    counts: tuple[RangeCount, ...]
    compacted_topics: frozenset[str] = frozenset()
    """Of those whose ranges lack records."""

    @property
    def present(self) -> int:
        return sum(count.present for count in self.counts)

    @property
    def expired(self) -> int:
        """Records that the topic's retention has taken."""
        return sum(count.missing for count in self.counts if count.range.complete and count.expired)

    @property
    def compacted(self) -> int:
        """Records that are gone from a compacted topic, where later ones of their keys stay."""
        return sum(count.missing for count in self.counts if self._is_compacted(count))

    def _is_compacted(self, count: RangeCount) -> bool:
        lacks = count.range.complete and count.missing > 0 and not count.expired
        return lacks and count.range.topic in self.compacted_topics

    @property
    def difference(self) -> RangeCount | None:
        """The first range that holds another number of records than the ledger says, if neither retention nor
        compaction explains it."""
        different = (count for count in self.counts if count.range.complete and count.present != count.range.count)
        unexplained = (c for c in different if not (c.missing and (c.expired or self._is_compacted(c))))
        return next(unexplained, None)

    @property
    def by_ids(self) -> bool:
        """Whether every range was read by ids."""
        return all(count.rows is not None for count in self.counts)

    @property
    def row_numbers(self) -> list[int]:
        """The rows that the records' ids name, ascending; of ranges that were read by ids."""
        return sorted(int(row) for count in self.counts if count.rows is not None for row in count.rows)

    def misplaced(self, rows: int) -> tuple[int, OffsetRange] | None:
        """The first record's row that came before, stands behind a later row of its range, or is none of 1 to `rows`;
        and where it lies. Every range must have been read by ids."""
        import numpy as np

        seen = np.zeros(rows + 1, np.bool_)
        for count in self.counts:
            numbers = _numbers(count)
            for wrong in (
                numbers[1:][np.diff(numbers) <= 0],
                numbers[(numbers < 1) | (numbers > rows)],
                numbers[seen[np.clip(numbers, 0, rows)]],
            ):
                if len(wrong):
                    return int(wrong[0]), count.range
            seen[numbers] = True
        return None

    def absent(self, rows: int) -> np.ndarray:
        """Those of the rows 1 to `rows` of which there is no record; every range must have been read by ids."""
        import numpy as np

        seen = np.zeros(rows + 1, np.bool_)
        for count in self.counts:
            seen[_numbers(count)] = True
        return np.flatnonzero(~seen[1:]) + 1


def _numbers(count: RangeCount) -> np.ndarray:
    assert count.rows is not None, "it was read by ids"
    return count.rows


def words(count: RangeCount) -> str:
    """Where a range lies, what it holds, and what the ledger says."""
    place = count.range
    return (
        f"`{place.topic}` partition {place.partition} offsets {place.first} to {place.last} hold {count.present} "
        f"records of it, the ledger says {place.count}"
    )


class Prover:
    """Reads ranges again, for as many contents as there are; a context manager. It asks a topic once whether it is
    compacted, and only where records are missing."""

    def __init__(self, config: client.Config) -> None:
        self._reader = RangeReader(config)
        self._compacted = functools.cache(lambda topic: topics.compacted(config, topic))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._reader.close()

    def read(self, *parts: tuple[Sequence[OffsetRange], str | None], left: bool = False) -> Reading:
        """The ranges of one content, each part with what its records' ids begin with (None: counted without ids).

        Raises as `RangeReader.count`; of ranges that have expired, `left` counts what is left.
        """
        counts = tuple(count for ranges, ids in parts for count in self._reader.count(ranges, ids, left=left))
        lacking = {
            count.range.topic for count in counts if count.range.complete and count.missing and not count.expired
        }
        return Reading(counts, frozenset(topic for topic in lacking if self._compacted(topic)))
