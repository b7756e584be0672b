"""A reader of CSV written from the policy in `formats/_csv/record.py`, without haste; it shares no code with the
reader it judges."""

from __future__ import annotations

from dataclasses import dataclass

LF, CR, BLANK = b"\n", b"\r", b" "


@dataclass(frozen=True)
class Oracle:
    """`width` columns; a record has at most `most` bytes."""

    width: int
    delimiter: bytes = b","
    quote: bytes = b'"'
    most: int = 2_000_000
    escape: bytes = b""
    multiline: bool = True

    def read(self, data: bytes) -> tuple[list[tuple[int, list[bytes]]], list[tuple[int, bytes]]]:
        """Rows with their fields' bytes, and other records with their own, each with its number."""
        rows, others, at, number = [], [], 0, 0
        while at < len(data):
            stop = self.stop(data, at)
            if stop == at and self.width > 1:
                at = self.behind(data, stop)
                continue
            number += 1
            stop, fields = self.record(data, at)
            if fields is None or stop - at > self.most or not _utf8(data[at:stop]):
                lines = self.lines(data[at:stop])
                others += [(number + place, line) for place, line in enumerate(lines)]
                number += len(lines) - 1
            else:
                rows.append((number, fields))
            at = self.behind(data, stop)
        return rows, others

    def lines(self, text: bytes) -> list[bytes]:
        """The record that is none, or its lines that end with CR alone, where two could be rows."""
        lines, within = [(b"", 1)], False
        for place, sign in enumerate(text):
            within ^= sign == self.quote[0]
            line, columns = lines[-1]
            if not within and sign == CR[0] and text[place + 1 : place + 2] != LF:
                lines.append((b"", 1))
            else:
                lines[-1] = line + bytes([sign]), columns + (not within and sign == self.delimiter[0])
        several = [columns for line, columns in lines if line].count(self.width) > 1
        return [line for line, _ in lines if line] if several else [text]

    def stop(self, data: bytes, at: int) -> int:
        """Where the line ends: at the next LF or the end, or at a CR right before either."""
        end = data.find(LF, at)
        end = len(data) if end < 0 else end
        return end - 1 if end > at and data[end - 1 : end] == CR else end

    def behind(self, data: bytes, stop: int) -> int:
        return stop + (2 if data[stop : stop + 2] == CR + LF else 1)

    def ends(self, data: bytes, at: int) -> bool:
        return (
            at >= len(data)
            or data[at : at + 1] in {self.delimiter, LF}
            or data[at : at + 2] == CR + LF
            or (at == len(data) - 1 and data[at : at + 1] == CR)
        )

    def blanks(self, data: bytes, at: int) -> int:
        while data[at : at + 1] == BLANK and self.delimiter != BLANK:
            at += 1
        return at

    def next(self, data: bytes, at: int) -> int:
        stop = self.stop(data, at)
        found = data.find(self.delimiter, at, stop)
        return stop if found < 0 else found

    def closing(self, data: bytes, at: int, limit: int) -> int:
        """The quote that closes the one before `at`; -1: none."""
        while self.escape and at < limit and data[at : at + 1] != self.quote:
            at += 2 if data[at : at + 1] == self.escape else 1
        if self.escape:
            return at if at < limit else -1
        while (at := data.find(self.quote, at, limit)) >= 0:
            if data[at + 1 : at + 2] != self.quote:
                return at
            at += 2
        return -1

    def record(self, data: bytes, start: int) -> tuple[int, list[bytes] | None]:
        """Where the record ends, and its fields if it is a row."""
        limit, first = min(len(data), start + self.most), self.stop(data, start)
        limit = limit if self.multiline else min(limit, first)
        fields: list[bytes] = []
        bare: list[bytes] = []
        at, broken, odd = start, False, False
        while True:
            opening = self.blanks(data, at)
            if data[opening : opening + 1] == self.quote:
                close = self.closing(data, opening + 1, limit)
                if close < 0:
                    return first, None
                behind = self.blanks(data, close + 1)
                if self.ends(data, behind):
                    value = self.value(data[opening + 1 : close])
                    fields.append(value or b"")
                    odd |= value is None
                    at = behind
                elif LF in data[opening:close]:
                    broken = True
                    goes_on = self.fragment(data, start, self.stop(data, opening), limit, True)
                    if goes_on < 0:
                        return first, None
                    at = self.next(data, goes_on)
                else:
                    broken = True
                    at = self.next(data, behind)
            else:
                behind = self.next(data, at)
                fields.append(data[at:behind])
                bare.append(data[at:behind])
                at = behind
            if data[at : at + 1] == self.delimiter:
                at += 1
                continue
            if not broken:
                return at, None if odd else self.row(fields, bare, data[start:at])
            goes_on = self.fragment(data, start, at, limit, False)
            if goes_on < 0:
                return at, None
            at = self.next(data, goes_on)
            if data[at : at + 1] != self.delimiter:
                return at, None
            at += 1

    def value(self, text: bytes) -> bytes | None:
        """What stands in a field with quotes; None: an escape may mean more than the byte behind it."""
        if not self.escape:
            return text.replace(self.quote * 2, self.quote)
        held = b""
        while text:
            if text[:1] == self.escape:
                text = text[1:]
                if not text or text[:1].isalnum():
                    return None
            held, text = held + text[:1], text[1:]
        return held

    def row(self, fields: list[bytes], bare: list[bytes], text: bytes) -> list[bytes] | None:
        more = len(fields) - self.width
        if any(CR in field for field in bare) or more < 0:
            return None
        return fields[: self.width] if not more or text.endswith(self.delimiter * more) else None

    def fragment(self, data: bytes, start: int, stop: int, limit: int, open_: bool) -> int:
        """Behind which quote a broken record goes on after the line that stops there; -1: it does not."""
        if not self.multiline:
            return -1
        if not open_ and data[start:stop].count(self.quote) % 2 == 0:
            return -1
        below = self.behind(data, stop)
        found = data.find(self.quote, below, limit)
        if found < 0:
            return -1
        line = data.rfind(LF, 0, found) + 1
        before = data[line:found].rstrip(BLANK)
        if not before or before.endswith(self.delimiter):
            return -1
        prose = all(between.count(self.delimiter) != self.width - 1 for between in data[below:line].split(LF)[:-1])
        closes = self.ends(data, self.blanks(data, found + 1))
        return found + 1 if closes or line == below or prose else -1


def _utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
