from __future__ import annotations

from forebay.settlements.keep import Keep, KeepConfig
from forebay.testing.settlements import DS, SettlementContract


class TestKeep(SettlementContract):
    keeps = True

    def make_settlement(self) -> Keep:
        return Keep(KeepConfig())

    def test_the_file_stays(self) -> None:
        file = self.a_file()
        assert self.make_settlement().settle(self.source, file, DS) == "kept in place"
        assert list(self.source.list("drops/*")) == [file]
