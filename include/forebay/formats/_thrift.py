"""Thrift's compact protocol, as far as a Parquet footer needs it: structs as dicts, nothing interpreted.

Source: github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md. What is read is written back bit for
bit.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
_INTEGERS = {I16, I32, I64}

Struct = dict[int, tuple[int, Any]]
"""Field id to (wire type, value), in the order of the ids."""


@dataclass(slots=True)
class Items:
    """A list: the wire type of its items, and the items."""

    type: int
    values: list[Any]


class Reader:
    """Reads values from `data`, from `at` on. Raises `ValueError` (`IndexError`, `struct.error`) on bytes that are not
    Thrift."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def struct(self) -> Struct:
        fields: Struct = {}
        last = 0
        while (head := self._byte()) != 0:
            type_, delta = head & 0x0F, head >> 4
            last = last + delta if delta else self._zigzag()
            fields[last] = (type_, self._value(type_))
        return fields

    def _value(self, type_: int) -> Any:
        if type_ in {TRUE, FALSE}:
            return type_ == TRUE
        if type_ in _INTEGERS:
            return self._zigzag()
        if type_ == BINARY:
            return self._take(self._varint())
        if type_ == STRUCT:
            return self.struct()
        if type_ in {LIST, SET}:
            return self._items()
        if type_ == BYTE:
            return self._byte()
        if type_ == DOUBLE:
            return struct.unpack("<d", self._take(8))[0]
        raise ValueError(f"wire type {type_}")

    def _items(self) -> Items:
        head = self._byte()
        type_, size = head & 0x0F, head >> 4
        count = self._varint() if size == 15 else size
        if type_ in {TRUE, FALSE}:
            return Items(type_, [self._byte() == TRUE for _ in range(count)])
        return Items(type_, [self._value(type_) for _ in range(count)])

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)


class Writer:
    """Writes values behind one another into `data`."""

    def __init__(self) -> None:
        self.data = bytearray()

    def struct(self, fields: Struct) -> bytes:
        last = 0
        for number in sorted(fields):
            type_, value = fields[number]
            wire = (TRUE if value else FALSE) if type_ in {TRUE, FALSE} else type_
            self._head(number - last, number, wire)
            last = number
            if type_ not in {TRUE, FALSE}:
                self._value(type_, value)
        self.data.append(0)
        return bytes(self.data)

    def _head(self, delta: int, number: int, wire: int) -> None:
        if 0 < delta < 16:
            self.data.append(delta << 4 | wire)
        else:
            self.data.append(wire)
            self._zigzag(number)

    def _value(self, type_: int, value: Any) -> None:
        if type_ in _INTEGERS:
            self._zigzag(value)
        elif type_ == BINARY:
            self._varint(len(value))
            self.data += value
        elif type_ == STRUCT:
            self.struct(value)
        elif type_ in {LIST, SET}:
            self._items(value)
        elif type_ == BYTE:
            self.data.append(value)
        else:
            self.data += struct.pack("<d", value)

    def _items(self, items: Items) -> None:
        count = len(items.values)
        self.data.append(min(count, 15) << 4 | items.type)
        if count >= 15:
            self._varint(count)
        for value in items.values:
            if items.type in {TRUE, FALSE}:
                self.data.append(TRUE if value else FALSE)
            else:
                self._value(items.type, value)

    def _varint(self, value: int) -> None:
        while value >= 0x80:
            self.data.append(value & 0x7F | 0x80)
            value >>= 7
        self.data.append(value)

    def _zigzag(self, value: int) -> None:
        self._varint(value << 1 if value >= 0 else (-value << 1) - 1)
