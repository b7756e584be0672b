"""How the names of a file's columns meet the declared ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from forebay.errors import CorruptFileError
from forebay.model import Column
from forebay.support.words import meant, shown, some

_TOLD = 20
"""Names that a message has: a way out behind hundreds of them would be cut off."""
_DELIMITERS = (";", "\t", "|", ",")


def positions(header: Sequence[str], declared: Sequence[Column], uri: str) -> list[int]:
    """Where each declared column lies. Raises `CorruptFileError` if one is missing or named twice."""
    places = {name: place for place, name in reversed(list(enumerate(header)))}
    missing = [column.name for column in declared if column.name not in places]
    if missing:
        raise CorruptFileError(
            f"reading the header of `{uri}`: {_missing(missing, header)}", uri=uri, columns=tuple(missing)
        )
    counts = Counter(header)
    twice = [column.name for column in declared if counts[column.name] > 1]
    if twice:
        raise CorruptFileError(
            f"reading the header of `{uri}`: column `{twice[0]}` is there twice", uri=uri, columns=tuple(twice)
        )
    return [places[column.name] for column in declared]


def _missing(missing: Sequence[str], names: Sequence[str]) -> str:
    close = [name for name in names if name.strip().lower() == missing[0].strip().lower()]
    close = close or [name for name in [meant(missing[0], names)] if name]
    hint = f"did you mean `{shown(close[0])}`?" if close else f"it has {_named(names)}{_other_delimiter(names)}"
    several = len(missing) > 1
    return f"column{'s' if several else ''} {_named(missing)} {'are' if several else 'is'} missing ({hint})"


def _named(names: Sequence[str]) -> str:
    return some([f"`{shown(name)}`" for name in names], _TOLD)


def _other_delimiter(names: Sequence[str]) -> str:
    """The way out where the whole header was read as one column, because its fields are delimited otherwise, or where a
    line above it was read for it."""
    likely = [delimiter for delimiter in _DELIMITERS if len(names) == 1 and delimiter in names[0]]
    ways = [f"set format.delimiter: {likely[0]!r}"] if likely else []
    if names and names[0].startswith("sep="):
        ways.append("raise format.preamble_lines by one, as a line `sep=` stands above the header")
    return f"; {', and '.join(ways)}" if ways else ""


def unknown(header: Sequence[str], declared: Sequence[Column]) -> list[str]:
    """Columns of the file that the schema does not know, in file order."""
    known = {column.name for column in declared}
    return [name for name in header if name not in known]
