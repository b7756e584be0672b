"""Records by the thousand: librdkafka's own `rd_kafka_produce_batch`, called on Arrow's buffers without a Python object
per record.

confluent-kafka has no way there, so this reaches for the handle inside its `Producer`: private, and so only taken where
`usable` finds the version that this was written for and a trial of it right. Everywhere else the publisher's loop of
`produce` does the same, at twice the CPU of the call. The call knows no headers and no timestamps.
`FOREBAY_PRODUCE=loop` in the environment says never to take it.

Values are lent, not copied (copying them costs a quarter of the whole): librdkafka reads them where Arrow put them,
until they are delivered or the producer is closed. So a `BatchTopic` is kept until then.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from forebay.kafka.publish.records import Records

TESTED = "2.16."  # of confluent-kafka; another one may keep its handle elsewhere
SLICE = 4_000  # records described at a time: their descriptions fit a core's cache
METADATA = 10.0  # seconds to learn the topic's partitions

_PARTITION = 0x8  # rdkafka.h: RD_KAFKA_MSG_F_PARTITION, each message names its own; neither F_COPY nor F_FREE
_PRODUCER = 0  # rdkafka.h: rd_kafka_type_t
_TOO_LARGE, _QUEUE_FULL = 10, -184
_FIELDS = (  # rdkafka.h: struct rd_kafka_message_s on a machine of 64 bits: name, type, place
    ("err", "i4", 0),
    ("rkt", "u8", 8),
    ("partition", "i4", 16),
    ("payload", "u8", 24),
    ("len", "u8", 32),
    ("key", "u8", 40),
    ("key_len", "u8", 48),
    ("offset", "i8", 56),
    ("private", "u8", 64),
)


class BatchTopic:
    """One topic of one producer whose partitions are known, and the records of one chunk.

    Keep it until they are delivered, or the producer is closed: librdkafka reads the values where they lie.
    """

    def __init__(self, library: Any, topic: int, records: Records, partitions: np.ndarray) -> None:
        import numpy as np

        self._library, self._topic = library, topic
        self._values, self._keys, self._partitions = _Bytes.of(records.values), _Bytes.of(records.keys), partitions
        self._messages = np.zeros(SLICE, _layout())

    def send(self, start: int, stop: int) -> int:
        """Hand over records `start` to `stop`, in order; returns how many there was room for (from `start` on).

        Raises `KafkaException` as `produce` does, and `BufferError` if records were left out between others: the
        transaction must be given up then.
        """
        stop = min(stop, start + SLICE)
        described = self._describe(start, stop)
        taken = self._library.rd_kafka_produce_batch(self._topic, -1, _PARTITION, described.ctypes.data, stop - start)
        return taken if taken == stop - start else _prefix(described["err"], taken)

    def _describe(self, start: int, stop: int) -> np.ndarray:
        messages = self._messages[: stop - start]
        messages["err"] = 0
        messages["partition"] = self._partitions[start:stop]
        self._values.into(messages["payload"], messages["len"], start, stop)
        self._keys.into(messages["key"], messages["key_len"], start, stop)
        return messages


def _prefix(errors: np.ndarray, taken: int) -> int:
    """`taken` if exactly the first ones were, and the others had no room; raises for everything else."""
    import numpy as np
    from confluent_kafka import KafkaError, KafkaException

    failed = np.flatnonzero(errors)
    other = failed[errors[failed] != _QUEUE_FULL]
    if len(other):
        raise KafkaException(KafkaError(int(errors[other[0]]), "Unable to produce message"))
    if len(failed) and failed[0] != taken:
        raise BufferError("records were left out between others")
    return taken


class _Bytes:
    """Where the values of a binary array, in one piece or several, lie in memory. They stay there as long as this
    does."""

    def __init__(self, pieces: list[pa.Array]) -> None:
        import numpy as np

        self._pieces = pieces
        self._starts = np.cumsum([0, *map(len, pieces)])
        self._offsets = [_offsets(piece) for piece in pieces]

    @classmethod
    def of(cls, column: pa.Array | pa.ChunkedArray) -> _Bytes:
        return cls([piece for piece in getattr(column, "chunks", [column]) if len(piece)])

    def into(self, address: np.ndarray, length: np.ndarray, start: int, stop: int) -> None:
        """Fill in address and length of the values `start` to `stop`."""
        at = int(self._starts.searchsorted(start, side="right")) - 1
        filled = 0
        while filled < stop - start:
            first = start + filled - self._starts[at]
            offsets = self._offsets[at][first : first + stop - start - filled + 1]
            here = slice(filled, filled + len(offsets) - 1)
            address[here] = offsets[:-1]
            length[here] = offsets[1:] - offsets[:-1]
            filled, at = here.stop, at + 1


def _offsets(piece: pa.Array) -> np.ndarray:
    """The addresses at which the values of an array begin, and where the last one ends."""
    import numpy as np

    _, places, data = piece.buffers()
    return np.frombuffer(places, "i4", len(piece) + 1, piece.offset * 4).astype("u8") + np.uint64(data.address)


def _fits(column: pa.Array | pa.ChunkedArray) -> bool:
    """Whether it is binary, without nulls, and has bytes to point at."""
    import pyarrow as pa

    pieces = [piece for piece in getattr(column, "chunks", [column]) if len(piece)]
    return (
        column.type == pa.binary() and not column.null_count and all(piece.buffers()[2] is not None for piece in pieces)
    )


@contextmanager
def opened(producer: Any, topic: str, records: Records, partitions: np.ndarray) -> Iterator[BatchTopic | None]:
    """The way to send these records by `rd_kafka_produce_batch`; None where they cannot go that way.

    The topic's partitions are asked for first: in a transaction the call would register a partition that librdkafka
    does not know yet as -1.
    """
    library = (
        usable()
        if records.timestamps is None and len(records) and _fits(records.values) and _fits(records.keys)
        else None
    )
    handle = _handle(producer) if library else None
    if library is None or handle is None:
        yield None
        return
    opened = library.rd_kafka_topic_new(handle, topic.encode(), None)
    try:
        within = opened and int(partitions.max()) < _partitions(producer, topic)
        yield BatchTopic(library, opened, records, partitions) if within else None
    finally:
        if opened:
            library.rd_kafka_topic_destroy(opened)


def _partitions(producer: Any, topic: str) -> int:
    """How many there are; librdkafka knows them itself once this is answered. 0 if nobody says: `produce` is the one to
    say why."""
    from confluent_kafka import KafkaException

    try:
        known = producer.list_topics(topic, METADATA).topics.get(topic)
    except KafkaException:
        return 0
    return len(known.partitions) if known is not None and known.error is None else 0


@cache
def usable() -> Any:
    """librdkafka as confluent-kafka has loaded it, if the call can be made here and does what it says; else None. Found
    out once per process."""
    import confluent_kafka
    from confluent_kafka import cimpl

    if os.environ.get("FOREBAY_PRODUCE") == "loop" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    if not str(confluent_kafka.version()).startswith(TESTED):
        return None
    try:
        library = _declared(ctypes.CDLL(cimpl.__file__))  # finds the functions of the librdkafka that it is linked to
        return library if library.rd_kafka_version() == confluent_kafka.libversion()[1] and _tried(library) else None
    except (OSError, AttributeError, TypeError):
        return None


def _declared(library: Any) -> Any:
    pointer, number = ctypes.c_void_p, ctypes.c_int
    types: dict[str, tuple[Any, list[Any]]] = {
        "rd_kafka_version": (number, []),
        "rd_kafka_name": (ctypes.c_char_p, [pointer]),
        "rd_kafka_type": (number, [pointer]),
        "rd_kafka_topic_new": (pointer, [pointer, ctypes.c_char_p, pointer]),
        "rd_kafka_topic_destroy": (None, [pointer]),
        "rd_kafka_produce_batch": (number, [pointer, ctypes.c_int32, number, pointer, number]),
    }
    for name, (result, arguments) in types.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _handle(producer: Any) -> int | None:
    """The `rd_kafka_t *` of a producer: the first field of confluent-kafka's object (confluent_kafka.h, `Handle`)."""
    return ctypes.c_void_p.from_address(id(producer) + object.__basicsize__).value


def _tried(library: Any) -> bool:
    """Whether handle and layout are what they are taken for: on a producer without a broker, whose second of three
    records is too large."""
    import numpy as np
    import pyarrow as pa
    from confluent_kafka import Producer

    from forebay.kafka.client import Log
    from forebay.kafka.publish.records import Records

    name = f"forebay-trial-{os.getpid()}"
    settings = {
        "bootstrap.servers": "127.0.0.1:1",
        "client.id": name,
        "message.max.bytes": 1000,
        "log.connection.close": False,
    }
    trial = Producer({**settings, "logger": Log(), "error_cb": lambda error: None})
    handle = _handle(trial)
    if not handle or handle % 8 or not library.rd_kafka_name(handle).startswith(f"{name}#producer-".encode()):
        return False
    topic = library.rd_kafka_topic_new(handle, b"trial", None)
    try:
        rows = pa.array([1, 2, 3])
        records = Records(
            pa.array([b"a", b"b" * 2000, b"c"], pa.binary()),
            pa.array([b"k"] * 3, pa.binary()),
            pa.array([0] * 3, pa.int32()),
            rows,
        )
        batch = BatchTopic(library, topic, records, np.zeros(3, np.int32))
        described = batch._describe(0, 3)
        taken = library.rd_kafka_produce_batch(topic, -1, _PARTITION, described.ctypes.data, 3)
        return (
            library.rd_kafka_type(handle) == _PRODUCER
            and taken == 2
            and described["err"].tolist() == [0, _TOO_LARGE, 0]
        )
    finally:
        library.rd_kafka_topic_destroy(topic)
        trial.purge()
        trial.close()


@cache
def _layout() -> np.dtype[Any]:
    import numpy as np

    names, formats, offsets = zip(*_FIELDS, strict=True)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": 72})
