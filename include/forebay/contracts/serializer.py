"""How rows become record values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from forebay.contracts.settings import Settings
from forebay.model import Column

if TYPE_CHECKING:
    import pyarrow as pa

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Encoded:
    """`values[i]` is row i's record value; where `causes[i]` (a list of the fields of `Cause`) is not null the row
    could not be encoded and its value is null."""

    values: pa.BinaryArray
    causes: pa.ListArray


@dataclass(frozen=True, slots=True)
class SqlEncoding:
    """A serializer as DuckDB expressions over one row: `value` (VARCHAR; null where refused) and `causes` (the
    type `contracts.causes.SQL`; null where encoded)."""

    value: str
    causes: str


class Serializer(ABC, Generic[S]):
    """Encodes columns into record values, whole Arrow tables at a time. Deterministic: the same rows give the same
    bytes."""

    Config: ClassVar[type[Settings]]
    content_type: ClassVar[str]

    def __init__(self, config: S, columns: tuple[Column, ...]) -> None:
        """`columns` are those of the value, in order."""
        self.config = config
        self.columns = columns

    @abstractmethod
    def encode(self, rows: pa.Table) -> Encoded:
        """One value per row, in order. `rows` has at least the serializer's columns; slicing or re-chunking it changes
        nothing."""

    def sql(self, schema: pa.Schema, identifiers: Sequence[str]) -> SqlEncoding | None:
        """The same encoding as DuckDB expressions, for text; None when it has none: then rows are read into Arrow and
        given to `encode`.

        `identifiers[i]` is the SQL name of `schema`'s field i. Reading, encoding and filtering in one query is twice as
        fast, and `causes` finds the rows to quarantine without encoding any.
        """
        return None
