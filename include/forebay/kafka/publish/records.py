"""What the publisher is given for one chunk: encoded records in columns, and the headers they carry."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forebay.errors import ReconcileError
from forebay.model import Identity, SourceFile

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Header = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Records:
    """The accepted rows of a chunk as records, in file order; all columns have one length.

    `values`, `keys`: binary arrays. `partitions`: int32, each within the topic's count. `rows`: int64, 1-based physical
    record numbers, strictly increasing. `timestamps`: int64, milliseconds since the epoch (UTC), or None for the time
    of publishing.
    """

    values: pa.BinaryArray
    keys: pa.BinaryArray
    partitions: pa.Int32Array
    rows: pa.Int64Array
    timestamps: pa.Int64Array | None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """The rows of a chunk that were quarantined, in file order.

    `values`: binary, the raw text or the typed row as JSON. `rows`: int64. `reasons`: for each row its `q_…` headers
    without the raw value (`q_stage`, `q_rule`, `q_reason`, `q_suite`, `q_rowhash`). `keys`: binary or None, then the
    row's id is the key.
    """

    values: pa.BinaryArray
    rows: pa.Int64Array
    reasons: Sequence[Sequence[Header]]
    keys: pa.BinaryArray | None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class EncodedChunk:
    """All rows of one chunk, each either a record or quarantined: `rows_in == len(records) + len(quarantine)`.

    `places`: the row numbers that the records bear, in order, where these are not the plan's own (repaired rows bear
    those of their origin).
    """

    first_row: int
    last_row: int
    rows_in: int
    records: Records
    quarantine: Quarantined
    places: pa.Int64Array | None = None

    def check(self, chunk: int, bounds: tuple[int, int]) -> None:
        """Nothing is lost between reading and producing. Raises `ReconcileError`."""
        if (self.first_row, self.last_row) != bounds:
            raise ReconcileError(
                f"encoding chunk {chunk}: got rows {self.first_row}–{self.last_row}, "
                f"the plan says {bounds[0]}–{bounds[1]} (a fault in forebay)"
            )
        if (
            self.rows_in != len(self.records) + len(self.quarantine)
            or self.rows_in != self.last_row - self.first_row + 1
        ):
            raise ReconcileError(
                f"encoding chunk {chunk}: {self.rows_in} rows came in, {len(self.records)} are records and "
                f"{len(self.quarantine)} quarantined "
                "(a fault in forebay: a row would be lost)"
            )
        self._check_rows(chunk)

    def _check_rows(self, chunk: int) -> None:
        """Which rows, not only how many: each of the chunk's once, the records in file order, and so the quarantined
        ones."""
        import numpy as np

        sent, aside = numbers(self.records.rows), numbers(self.quarantine.rows)
        for what, rows in (("records", sent), ("quarantined rows", aside)):
            if (np.diff(rows) <= 0).any():
                raise ReconcileError(
                    f"encoding chunk {chunk}: {what} are not in the order of the file (a fault in forebay)"
                )
        seen = np.zeros(self.rows_in + 1, np.bool_)
        places = np.concatenate([sent, aside]) - self.first_row
        if self.places is not None:
            own = numbers(self.places)
            at = np.minimum(np.searchsorted(own, sent), len(own) - 1)
            places = np.where(own[at] == sent, at, -1)
        seen[np.where((places < 0) | (places >= self.rows_in), self.rows_in, places)] = True
        missing = np.flatnonzero(~seen[:-1])
        if len(missing):  # as many rows as there are places: where one is twice, or a stranger, another is missing
            raise ReconcileError(
                f"encoding chunk {chunk}: row {self.first_row + missing[0]} is neither a record nor quarantined (a "
                "fault in forebay: it would be lost)"
            )

    @property
    def content_hash(self) -> str:
        """sha256 of the row numbers as little-endian int64: of the records in order, then the word `quarantined`, then
        of the quarantined rows.

        It depends on which rows became what and in which order, not on their values: those are the fingerprint's
        matter.
        """
        digest = hashlib.sha256(numbers(self.records.rows).astype("<i8").tobytes())
        digest.update(b"quarantined")
        digest.update(numbers(self.quarantine.rows).astype("<i8").tobytes())
        return digest.hexdigest()


def numbers(array: pa.Array) -> np.ndarray:
    """An integer array (or chunked array) as numpy."""
    return array.to_numpy(zero_copy_only=False) if hasattr(array, "buffers") else array.to_numpy()


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of each record of a file: `ce_id` is `row_id` and the row's number, the others are the same for all
    rows."""

    profile: str
    row_id: bytes
    constants: tuple[Header, ...]

    @classmethod
    def of(
        cls,
        profile: str,
        pipeline: str,
        file: SourceFile,
        fingerprint: str,
        generation: int,
        identity: Identity,
        content_type: str = "application/json",
        schema: str | None = None,
    ) -> Headers:
        """Headers of profile `standard`, `minimal` or `none` (CloudEvents' binary mode for Kafka; no wall-clock time,
        so that attempts agree)."""
        source = file.uri + (f"#versionId={file.version}" if file.version else "")
        row_id = f"{fingerprint[:16]}:{generation}:".encode()
        if profile != "standard":
            short = hashlib.sha256(source.encode()).hexdigest()[:16]
            return cls(profile, row_id, (("ce_source", short.encode()),))
        named = {
            "ce_specversion": "1.0",
            "ce_source": source,
            "ce_type": f"{pipeline}.row.v1",
            "content-type": content_type,
        }
        named |= {"ce_dataschema": schema} if schema else {}
        named |= {"ce_runid": identity.lineage_run}
        return cls(profile, row_id, tuple((name, value.encode()) for name, value in named.items()))

    def id_of(self, row: int) -> bytes:
        """`{fp16}:{generation}:{row}`: which row of which content; the same in every attempt."""
        return b"%b%d" % (self.row_id, row)
