"""The partition that Kafka's Java client gives a key: `toPositive(murmur2(key)) % partitions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from forebay.contracts import Partitioner, Settings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SEED, M, R = 0x9747B28C, 0x5BD1E995, 24


class Murmur2Config(Settings):
    """murmur2 has no settings."""


class Murmur2(Partitioner[Murmur2Config]):
    """The Java client's default for records with a key (BuiltInPartitioner.partitionForKey), so joins with Java's
    topics meet."""

    Config: ClassVar[type[Settings]] = Murmur2Config

    def assign(self, keys: pa.BinaryArray, partitions: int) -> pa.Int32Array:
        """One partition per key. Keys repeat a lot, so each distinct one is hashed once."""
        import numpy as np
        import pyarrow as pa

        distinct = keys.dictionary_encode()
        places = (murmur2(distinct.dictionary) & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)
        assigned = places.astype(np.int32)[distinct.indices.to_numpy()]
        return pa.Array.from_buffers(
            pa.int32(), len(assigned), [None, pa.py_buffer(assigned)]
        )  # `pa.array` of numpy would import pandas (0.15 s)


def murmur2(keys: pa.BinaryArray) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """`org.apache.kafka.common.utils.Utils.murmur2` of every key, as uint32 (Java's int has the same bits).

    All keys go forward together, four bytes a step; sorted by length, those still going are always the first ones.
    """
    import numpy as np

    starts, lengths, words = _buffers(keys)
    order = np.argsort(-lengths, kind="stable")
    at, blocks = starts[order], lengths[order] // 4
    h = np.uint32(SEED) ^ lengths[order].astype(np.uint32)
    for step in range(int(blocks[0]) if len(blocks) else 0):
        going = np.searchsorted(-blocks, -step, side="left")  # blocks > step
        k = words[at[:going] + 4 * step] * np.uint32(M)
        k ^= k >> np.uint32(R)
        h[:going] = h[:going] * np.uint32(M) ^ k * np.uint32(M)
    hashes = np.empty_like(h)
    hashes[order] = _finish(h, words[at + 4 * blocks], lengths[order] % 4)
    return hashes


def _finish(h: Any, word: Any, rest: Any) -> Any:
    """Mix in the last one to three bytes of each key, and the final avalanche."""
    import numpy as np

    tail = word & np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], np.uint32)[rest]
    h = np.where(rest > 0, (h ^ tail) * np.uint32(M), h)
    h ^= h >> np.uint32(13)
    h *= np.uint32(M)
    return h ^ (h >> np.uint32(15))


def _buffers(keys: pa.BinaryArray) -> tuple[Any, Any, Any]:
    """Where each key starts, its length, and the bytes as a little-endian uint32 at every position (overlapping, not
    aligned)."""
    import numpy as np

    _, offsets, data = keys.buffers()
    ends = (
        np.frombuffer(offsets, np.int32)[keys.offset : keys.offset + len(keys) + 1].astype(np.int64)
        if len(keys)
        else np.zeros(1, np.int64)
    )
    used = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]] if data is not None and ends[-1] else np.zeros(0, np.uint8)
    padded = np.concatenate([used, np.zeros(4, np.uint8)])
    words = np.ndarray((len(padded) - 3,), "<u4", buffer=padded, strides=(1,))
    return ends[:-1] - ends[0], np.diff(ends), words
