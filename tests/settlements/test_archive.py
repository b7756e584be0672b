from __future__ import annotations

import pytest
from pydantic import ValidationError

from forebay.settlements.archive import Archive, ArchiveConfig
from forebay.testing.settlements import CONTENT, DS, SettlementContract


class TestArchive(SettlementContract):
    keeps = True

    def make_settlement(self) -> Archive:
        return Archive(ArchiveConfig(path="done/{{ ds }}"))

    def test_the_file_lies_in_the_days_folder(self) -> None:
        target = self.project / "done" / DS / "a.csv"
        assert self.make_settlement().settle(self.source, self.a_file(), DS) == f"archived to file://{target}"
        assert target.read_bytes() == CONTENT
        assert list(self.source.list("drops/*")) == []

    def test_an_older_file_of_that_name_stays(self) -> None:
        older = self.project / "done" / DS / "a.csv"
        older.parent.mkdir(parents=True)
        older.write_bytes(b"older")
        assert self.make_settlement().settle(self.source, self.a_file(), DS) == f"archived to file://{older}.1"
        assert older.read_bytes() == b"older"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("done/{{ dss }}/", "did you mean `ds`?"),
        ("done/{{ hour }}/", "`hour` is not known here"),
        ("done/*/", "is no folder"),
        ("/", "is no folder"),
        ("", "is no folder"),
    ],
)
def test_a_path_that_cannot_work_is_refused_when_it_is_read(path: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words.replace("?", r"\?").replace("*", r"\*")):
        ArchiveConfig(path=path)


@pytest.mark.parametrize("path", ["done", "done/", "done//"])
def test_a_folder_ends_with_one_slash(path: str) -> None:
    assert ArchiveConfig(path=path).path == "done/"
