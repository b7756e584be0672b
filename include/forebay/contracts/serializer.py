"""How rows become record values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from forebay.contracts.settings import Settings
from forebay.model import Column

if TYPE_CHECKING:
    import pyarrow as pa

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Encoded:
    """`values[i]` is row i's record value; where `reasons[i]` is not null the row could not be encoded and its value is null."""

    values: pa.BinaryArray
    reasons: pa.StringArray


class Serializer(ABC, Generic[S]):
    """Encodes columns into record values, whole Arrow tables at a time. Deterministic: the same rows give the same bytes."""

    Config: ClassVar[type[Settings]]
    content_type: ClassVar[str]

    def __init__(self, config: S, columns: tuple[Column, ...]) -> None:
        """`columns` are those of the value, in order."""
        self.config = config
        self.columns = columns

    @abstractmethod
    def encode(self, rows: pa.Table) -> Encoded:
        """One value per row, in order. `rows` has at least the serializer's columns; slicing or re-chunking it changes nothing."""
