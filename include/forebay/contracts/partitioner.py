"""Which partition a key belongs to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from forebay.contracts.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

S = TypeVar("S", bound=Settings)


class Partitioner(ABC, Generic[S]):
    """A pure function of key bytes and partition count, the same in every process."""

    Config: ClassVar[type[Settings]]

    def __init__(self, config: S) -> None:
        self.config = config

    @abstractmethod
    def assign(self, keys: pa.BinaryArray, partitions: int) -> pa.Int32Array:
        """One partition in `[0, partitions)` per key. Keys are never null: rows with a null key part are quarantined
        before."""
