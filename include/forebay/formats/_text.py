"""Makes a text file fit to be parsed: UTF-8, and one kind of line end outside quotes.

DuckDB takes one kind of line end per file; another one outside quotes stops it, or loses the file in silence. A file that is already as it
should be (nearly all are) is only looked at, once, with a few comparisons of whole blocks that leave other threads free to run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.formats._encoding import refuse_other_mark, transcode

if TYPE_CHECKING:
    import numpy as np

_BLOCK = 1 << 20
_LOOK = 1 << 18  # a block that is compared with something fits a core's cache together with the answer


@dataclass(frozen=True, slots=True)
class Text:
    """A file in UTF-8 with uniform line ends. `lines` counts its physical lines, `gaps` says that some may be empty."""

    path: Path
    lines: int
    gaps: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file in UTF-8, its line ends as they came."""

    path: Path
    notes: tuple[str, ...] = ()


def decoded(plain: Path, folder: Path, encoding: str, uri: str) -> Decoded:
    """The file as UTF-8: `plain` itself, or a copy in `folder`.

    Raises `CorruptFileError` as `refuse_other_mark` and `transcode` do. Single bad UTF-8 sequences are left for
    the parser, which sets their rows aside.
    """
    refuse_other_mark(plain, encoding, uri)
    if encoding == "utf-8":
        return Decoded(plain)
    notes = transcode(plain, folder / "text", encoding, uri)
    return Decoded(folder / "text", tuple(notes))


def prepare(plain: Path, folder: Path, encoding: str, quote: str | None, uri: str) -> Text:
    """The file as UTF-8 with uniform line ends: `plain` itself if it is that, else a copy in `folder`. Raises as `decoded` does."""
    found = decoded(plain, folder, encoding, uri)
    path, notes = found.path, list(found.notes)
    ends = _Ends.of(path)
    if not ends.uniform:
        path = _one_line_end(path, folder / "lines", quote)
        ends = _Ends.of(path)
        if ends.changed_from(plain) and encoding == "utf-8":
            notes.append("line ends are mixed; CR and CRLF outside quotes were read as LF")
    return Text(path, ends.lines, ends.gaps, tuple(notes))


def blocks(path: Path, size: int = _BLOCK) -> Iterator[bytes]:
    """The bytes of a file, a block at a time."""
    with path.open("rb") as file:
        while block := file.read(size):
            yield block


@dataclass(frozen=True, slots=True)
class _Ends:
    """How many line ends of each kind a file has, quoted ones included."""

    size: int
    feeds: int
    returns: int
    pairs: int
    gaps: bool
    open_end: bool

    @classmethod
    def of(cls, path: Path) -> _Ends:
        import numpy as np

        feeds = returns = pairs = size = 0
        gaps, tail = False, b"\n"  # a first line that is empty is a gap, too
        for block in blocks(path, _LOOK):
            found = np.frombuffer(block, np.uint8) == ord("\n")
            feeds += int(np.count_nonzero(found))
            if b"\r" in block or tail.endswith(b"\r"):
                returns += block.count(b"\r")
                pairs += block.count(b"\r\n") + (tail.endswith(b"\r") and block.startswith(b"\n"))
                gaps = gaps or b"\n\r\n" in block
            seam = tail[-2:] + block[:2]
            gaps = gaps or b"\n\n" in seam or b"\n\r\n" in seam or bool((found[1:] & found[:-1]).any())
            tail = block[-2:] if len(block) > 1 else tail[-1:] + block
            size += len(block)
        return cls(size, feeds, returns, pairs, gaps, bool(size) and not tail.endswith(b"\n"))

    @property
    def uniform(self) -> bool:
        return self.returns == 0 or self.returns == self.pairs == self.feeds

    @property
    def lines(self) -> int:
        return self.feeds + self.open_end

    def changed_from(self, other: Path) -> bool:
        """Whether the file had both kinds, and the copy is another text than the original (a file of only CR is as uniform as any)."""
        return self.size != other.stat().st_size


def _one_line_end(path: Path, to: Path, quote: str | None) -> Path:
    """Write CR LF and CR outside quotes as LF. Within quotes they are data and stay."""
    import numpy as np

    mark = ord(quote) if quote else -1
    inside, held = False, b""
    with to.open("wb") as sink:
        for block in blocks(path):
            data = np.frombuffer(held + block, dtype=np.uint8)
            # the last byte waits for the next block: it may be the CR of a CR LF
            body, held = data[:-1], data[-1:].tobytes()
            quotes = np.cumsum(body == mark, dtype=np.int64) + inside
            sink.write(_feeds_only(data, body, quotes % 2 == 0))
            inside = bool(quotes[-1] % 2) if len(quotes) else inside
        sink.write(held if inside else held.replace(b"\r", b"\n"))
    return to


def _feeds_only(data: np.ndarray, body: np.ndarray, outside: np.ndarray) -> bytes:
    import numpy as np

    returns = (body == 13) & outside
    before_feed = returns & (data[1:] == 10)
    return np.where(returns, np.uint8(10), body)[~before_feed].tobytes()
