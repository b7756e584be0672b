"""Characters that a CSV file does not hold: in the copy of its clean records they stand for what another reader would
take for syntax (`Dialect.stand_ins`)."""

from __future__ import annotations

from forebay.errors import CorruptFileError
from forebay.formats._csv.parts import BLOCK, Part
from forebay.support.sql import literal

_CONTROLS = bytes(b for b in (*range(0x1F, 0x0D, -1), 0x0C, 0x0B, *range(8, 0, -1)))


def unused(part: Part, uri: str) -> bytes:
    """Seven control characters that the file does not hold. Raises `CorruptFileError` if it holds too many."""
    left = bytearray(_CONTROLS)
    with part.path.open("rb") as file:
        while block := file.read(BLOCK):
            left = bytearray(byte for byte in left if byte not in block)
    if len(left) < 7:
        raise CorruptFileError(
            f"reading `{uri}`: it holds nearly every control character (a file of text has few)", uri=uri
        )
    return bytes(left[:7])


def characters(text: bytes) -> str:
    """SQL: these characters."""
    return "concat(" + ", ".join(f"chr({ord(sign)})" for sign in text.decode()) + ")" if text else literal("")
