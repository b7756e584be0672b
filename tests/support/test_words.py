"""What a file brought stands in sentences as a person, a terminal and a database can take it."""

from __future__ import annotations

from pathlib import Path

from forebay.errors import CorruptFileError
from forebay.model import Fate, FileRun, SourceFile, Status, Window
from forebay.support.words import MESSAGE, shown, some
from forebay.verbs.isolation import failed


def test_what_cannot_be_printed_is_escaped_and_what_is_long_is_cut() -> None:
    assert shown("größe 10 µm") == "größe 10 µm"
    assert shown("a\0\x1b[31m\n\u202eb") == r"a\x00\x1b[31m\n\u202eb"
    assert shown("x" * 81) == "x" * 80 + "…"


def test_of_many_some_are_named_and_the_rest_is_counted() -> None:
    assert some(["a", "b"], 2) == "a, b"
    assert some(["a", "b", "c", "d"], 2, "; ", " ranges") == "a; b and 2 more ranges"


def test_a_files_error_is_no_megabyte_and_has_no_nul(tmp_path: Path) -> None:
    from datetime import date

    file = FileRun(
        "run",
        "orders",
        Window.of_day(date(2026, 1, 5)),
        SourceFile("file:///a.csv", 1, 0.0),
        Fate.NEW,
        "never seen before",
        Status.DISCOVERED,
    )
    error = failed(file, CorruptFileError(f"reading `file:///a.csv`: it has `{chr(0) * 3}{'y' * 100_000}`")).error or ""
    assert r"it has `\x00\x00\x00y" in error and len(error) < MESSAGE + 20
