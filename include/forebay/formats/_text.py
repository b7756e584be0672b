"""A text file as UTF-8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forebay.formats._encoding import refuse_other_mark, transcode


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file in UTF-8, its line ends as they came."""

    path: Path
    notes: tuple[str, ...] = ()


def decoded(plain: Path, folder: Path, encoding: str, uri: str) -> Decoded:
    """The file as UTF-8: `plain` itself, or a copy in `folder`.

    Raises `CorruptFileError` as `refuse_other_mark` and `transcode` do. Single bad UTF-8 sequences are left for
    the parser, which quarantines their rows.
    """
    refuse_other_mark(plain, encoding, uri)
    if encoding == "utf-8":
        return Decoded(plain)
    notes = transcode(plain, folder / "text", encoding, uri)
    return Decoded(folder / "text", tuple(notes))
