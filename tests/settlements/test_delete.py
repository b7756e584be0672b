from __future__ import annotations

from forebay.settlements.delete import Delete, DeleteConfig
from forebay.testing.settlements import DS, SettlementContract


class TestDelete(SettlementContract):
    keeps = False

    def make_settlement(self) -> Delete:
        return Delete(DeleteConfig())

    def test_the_file_is_gone(self) -> None:
        assert self.make_settlement().settle(self.source, self.a_file(), DS) == "deleted"
        assert list(self.source.list("drops/*")) == []
