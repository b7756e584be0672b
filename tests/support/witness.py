"""What the second witness of a format must find: a reader that drops, doubles, swaps or bends rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import pytest

from forebay.contracts import Format
from forebay.errors import CorruptFileError
from forebay.testing.formats import COLUMNS, Rows, rows, sample, staged

_OTHER = (
    "SELECT * EXCLUDE (n__) REPLACE (CASE WHEN n__ = 7 THEN {other} ELSE {{text}} END AS {{text}}) FROM {{numbered}} "
    "ORDER BY n__"
)
DAMAGES = {
    "drops a row": "(SELECT * EXCLUDE (n__) FROM {numbered} WHERE n__ <> 7 ORDER BY n__)",
    "doubles a row": (
        "(SELECT * EXCLUDE (n__, u__) FROM (SELECT *, unnest(range(CASE WHEN n__ = 7 THEN 2 ELSE 1 END)) AS u__ FROM "
        "{numbered}) ORDER BY n__)"
    ),
    "swaps two rows": "(SELECT * EXCLUDE (n__) FROM {numbered} ORDER BY CASE WHEN n__ = 7 THEN 12.5 ELSE n__ END)",
    "drops one and doubles another": "(SELECT * EXCLUDE (n__, u__) FROM (SELECT *, unnest(range(CASE n__ WHEN 7 "
    "THEN 2 WHEN "
    "12 THEN 0 "
    "ELSE 1 END)) "
    "AS u__ FROM {numbered})"
    " ORDER BY n__)",
    "truncates a cell": f"({_OTHER.format(other='left({text}, length({text}) - 1)')})",
    "swaps CR LF for LF": f"({_OTHER.format(other='replace({text}, chr(13) || chr(10), chr(10))')})",
}
"""Faults of a reader, as SQL over its answer."""


class WitnessContract(ABC):
    """A vendor's reader that lies is found out. Inherit this beside `FormatContract`, and say where text stands in the
    reader's answer."""

    text_column: ClassVar[str]
    """SQL name of a column with text, in what the format's reader gives."""

    @abstractmethod
    def make_format(self) -> Format[Any]: ...

    @abstractmethod
    def encode(self, table: Rows) -> bytes: ...

    def breaks(self, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
        """Make every answer of the reader wrong from now on. Formats that do not read by `_staging.select` break their
        own reader here."""
        from forebay.formats import _staging

        select = _staging.select

        def damaged(cells: Any, source: str, *besides: Any) -> str:
            return select(
                cells,
                DAMAGES[damage].format(
                    text=self.text_column, numbered=f"(SELECT *, row_number() OVER () AS n__ FROM {source})"
                ),
                *besides,
            )

        monkeypatch.setattr(_staging, "select", damaged)

    def unwatched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take the witness away."""
        from forebay.formats import _witness

        monkeypatch.setattr(_witness, "parted", lambda *_: None)

    @pytest.mark.parametrize("damage", DAMAGES)
    @pytest.mark.parametrize("count", [20, 5_000])
    def test_a_reader_that_lies_is_found_out(
        self, damage: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = self.encode([row | {"name": f"row {row['id']}\r\nend"} for row in sample(count)])
        self.breaks(monkeypatch, damage)
        with pytest.raises(CorruptFileError, match=str(count)):
            staged(self.make_format(), data, COLUMNS, tmp_path)

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_control_without_the_witness_it_is_believed(
        self, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        table = [row | {"name": f"row {row['id']}\r\nend"} for row in sample(20)]
        self.breaks(monkeypatch, damage)
        self.unwatched(monkeypatch)
        stage = staged(self.make_format(), self.encode(table), COLUMNS, tmp_path)
        assert rows(stage) != [row | {"__row": n} for n, row in enumerate(table, 1)]
