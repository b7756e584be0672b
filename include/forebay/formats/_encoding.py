"""How the bytes of a text file become characters: any text codec of Python's, decoded in blocks."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from encodings.aliases import aliases
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from forebay.errors import CorruptFileError
from forebay.support.words import meant

BLOCK = 1 << 20
MOST = 1_000_000
"""So many places that cannot be decoded cost their rows; a file with more is not written in that encoding at all."""

_CALLED = {
    "iso8859-1": "latin-1",
    "utf-8-sig": "utf-8",
    "utf-16-le": "utf-16le",
    "utf-16-be": "utf-16be",
    "utf-32-le": "utf-32le",
    "utf-32-be": "utf-32be",
} | {f"cp{number}": f"windows-{number}" for number in range(1250, 1259)}
"""Names that people know better than Python's own."""
_USUAL = (
    "utf-8",
    "latin-1",
    "windows-1252",
    "utf-16",
    "utf-16le",
    "utf-16be",
    "utf-32",
    "iso-8859-15",
    "shift_jis",
    "gb18030",
    "big5",
    "koi8-r",
    "cp437",
)
_SUCH = ", ".join(_USUAL[:4])
_OF_NAMES = {"idna", "punycode", "undefined", "mbcs", "oem"}
"""Text codecs of host names, of nothing, and of Windows alone."""
_STATEFUL = ("iso2022", "hz", "utf-7", "unicode_escape", "raw_unicode_escape", "unicode-escape", "raw-unicode-escape")
"""Codecs in which a damaged byte changes the meaning of those behind it."""
_WINDOWS = {
    "iso8859-1": 1252,
    "iso8859-15": 1252,
    "iso8859-2": 1250,
    "iso8859-5": 1251,
    "iso8859-7": 1253,
    "iso8859-9": 1254,
}
"""What is taken for the ISO code page when it is really Windows'."""
_ASIDE = "forebay.aside"
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8",
}


def _known(value: object) -> object:
    """The usual name of a codec. Raises `ValueError`, with the nearest name, for what is none of a text file's."""
    if not isinstance(value, str):
        return value
    try:
        codec = codecs.lookup(value)
    except (LookupError, ValueError):
        codec = None
    if codec is None or not codec._is_text_encoding or codec.name in _OF_NAMES:
        names = {*_USUAL, *aliases, *aliases.values()} - _OF_NAMES
        close = meant(value.lower(), names, _of_text)
        raise ValueError(
            f"`{value}` is no text encoding ({f'did you mean `{close}`?' if close else f'write one such as {_SUCH}'})"
        )
    return _CALLED.get(codec.name, codec.name)


def _of_text(name: str) -> bool:
    try:
        return codecs.lookup(name)._is_text_encoding
    except LookupError:
        return False


Encoding = Annotated[str, BeforeValidator(_known)]
"""A text codec of Python's by any of its names: `windows-1252`, `latin-1`, `utf-16le`, `shift_jis`, `cp037` …"""


def one_byte_lines(encoding: str) -> bool:
    """Whether a line ends with the byte 0x0A, and that byte means nothing else."""
    return "\n".encode(encoding) == b"\n"


def refuse_other_mark(plain: Path, encoding: str, uri: str) -> None:
    """Raise `CorruptFileError` if the file begins with the byte order mark of another encoding."""
    with plain.open("rb") as file:
        head = file.read(4)
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            if not encoding.startswith(name):
                raise CorruptFileError(
                    f"reading `{uri}`: it begins with a {name} byte order mark (set format.encoding: {name})", uri=uri
                )
            return


def transcode(plain: Path, to: Path, encoding: str, uri: str) -> list[str]:
    """Write the file as UTF-8, without a byte order mark; returns what is to be noted.

    A byte that the encoding does not have becomes invalid UTF-8 on purpose: the parser then quarantines its row, and
    the byte can be told from its raw text (`_aside`). Raises `CorruptFileError` where that cannot be: in encodings with
    shift states, and behind a million such bytes.
    """
    decoding = _Decoding(encoding, uri)
    with plain.open("rb") as source, to.open("wb") as sink:
        for text in decoding.texts(iter(lambda: source.read(BLOCK), b"")):
            sink.write(text.encode("utf-8", "surrogatepass"))
    return [f"decoded from {encoding}; raw text of quarantined rows is UTF-8", *decoding.notes()]


class _Decoding:
    """One file's decoding: what could not be, and what looks like another code page."""

    def __init__(self, encoding: str, uri: str) -> None:
        self.encoding = encoding
        self.uri = uri
        self.name = codecs.lookup(encoding).name
        self.stateful = self.name.startswith(_STATEFUL)
        self.decoder = codecs.getincrementaldecoder(encoding)("strict" if self.stateful else _ASIDE)
        self.bad = self.controls = 0

    def texts(self, blocks: Iterator[bytes]) -> Iterator[str]:
        at, first = 0, True
        for block in self._ended(blocks):
            held = len(self.decoder.getstate()[0])
            try:
                text = self.decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise self._refused(at - held + error.start + 1, error.reason) from error
            except UnicodeError as error:  # of utf-16 and utf-32 alone
                words, way_out = (
                    "it has no byte order mark",
                    f"set format.encoding: {self.encoding}le, or {self.encoding}be",
                )
                raise CorruptFileError(f"reading `{self.uri}`: {words} ({way_out})", uri=self.uri) from error
            at += len(block)
            self._count(block, text, at)
            yield text.removeprefix("\ufeff") if first else text
            first = first and not text

    def _ended(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        yield from blocks
        yield b""

    def _count(self, block: bytes, text: str, at: int) -> None:
        self.bad += _lone(text)
        if self.bad > MOST:
            raise self._refused(at, f"up to here {self.bad:,} bytes are not")
        if self.name.startswith("iso8859"):
            import numpy as np

            data = np.frombuffer(block, np.uint8)
            self.controls += int(np.count_nonzero((data >= 0x80) & (data < 0xA0)))

    def _refused(self, byte: int, why: str) -> CorruptFileError:
        words = f"reading `{self.uri}`: it is not {self.encoding} at byte {byte}: {why}"
        return CorruptFileError(
            f"{words} (set format.encoding to what it is written in, or ask for it again)", uri=self.uri
        )

    def notes(self) -> Iterator[str]:
        if self.bad:
            yield (
                f"{self.bad} bytes are not {self.encoding}; their rows are quarantined, "
                "and their raw text has U+DC00 and the byte's value for each of them"
            )
        if self.controls:
            meant = _WINDOWS.get(self.name, 1252)
            yield (
                f"{self.controls} bytes from 0x80 to 0x9F are control characters in {self.encoding}: "
                f"the file is probably windows-{meant} "
                f"(set format.encoding: windows-{meant})"
            )


_LONE = re.compile("[\udc00-\udcff]")


def _lone(text: str) -> int:
    """How many bytes in a decoded text stand for themselves."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return len(_LONE.findall(text))
    return 0


def _aside(error: UnicodeError) -> tuple[str, int]:
    """A half of a surrogate pair for each byte, which no UTF-8 has: U+DC00 and its value, as Python's `surrogateescape`
    has it."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_ASIDE, _aside)
