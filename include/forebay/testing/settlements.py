"""What every settlement must do. A settlement's test inherits `SettlementContract` and says how to make one."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from forebay.config.connections import EnvironmentConnections
from forebay.contracts import Settings, Settlement, Source
from forebay.errors import FileChangedError
from forebay.model import SourceFile
from forebay.sources.local import Local, LocalConfig

DS = "2013-01-02"
CONTENT = b"id\n1\n"


class SettlementContract:
    """The inherited suite, over a real local folder. `keeps` says whether the bytes remain somewhere."""

    keeps: bool

    def make_settlement(self) -> Settlement[Any]:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.project = tmp_path / "project"
        (self.project / "drops").mkdir(parents=True)
        self.source: Source[Any] = Local(LocalConfig(), EnvironmentConnections({}), self.project)

    def a_file(self, content: bytes = CONTENT) -> SourceFile:
        (self.project / "drops" / "a.csv").write_bytes(content)
        (file,) = self.source.list("drops/*.csv")
        return file

    def everything(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.project.rglob("*")) if path.is_file()]

    def test_a_repeat_is_a_no_op_that_says_the_same(self) -> None:
        file = self.a_file()
        said = self.make_settlement().settle(self.source, file, DS)
        after = self.everything()
        assert self.make_settlement().settle(self.source, file, DS) == said
        assert self.everything() == after

    def test_the_bytes_remain_if_it_is_reversible_and_only_then(self) -> None:
        self.make_settlement().settle(self.source, self.a_file(), DS)
        assert self.everything() == ([CONTENT] if self.keeps else [])
        assert type(self.make_settlement()).reversible is self.keeps

    def test_a_later_delivery_is_left_in_place(self) -> None:
        file = self.a_file()
        self.a_file(b"later delivery")
        with contextlib.suppress(FileChangedError):
            self.make_settlement().settle(self.source, file, DS)
        assert (self.project / "drops" / "a.csv").read_bytes() == b"later delivery"

    def test_its_settings_are_strict(self) -> None:
        config = type(self.make_settlement()).Config
        assert issubclass(config, Settings)
        assert config.model_config["extra"] == "forbid"

    def test_it_says_what_was_done_in_a_few_words(self) -> None:
        said = self.make_settlement().settle(self.source, self.a_file(), DS)
        assert said == said.strip()
        assert 0 < len(said.partition("file://")[0]) < 40
