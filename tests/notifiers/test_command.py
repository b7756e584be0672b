"""A notice to a program's standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from forebay.contracts import Notifier
from forebay.notifiers.command import Command, CommandConfig
from forebay.testing.notifiers import NOTICE, SECRET, NotifierContract

KEEP = "import sys; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read())"


class TestCommand(NotifierContract):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "taken; touch x"

    def make_notifier(self) -> Notifier[Any]:
        return Command(CommandConfig(command=(sys.executable, "-c", KEEP, str(self.path))))

    def taken(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]

    def make_failing(self) -> list[Notifier[Any]]:
        loud = f"import sys; print('{SECRET}'); print('{SECRET}', file=sys.stderr); sys.exit(3)"
        commands = [("/no/such/program", SECRET), (sys.executable, "-c", loud), (str(self.path.parent), SECRET)]
        return [Command(CommandConfig(command=command)) for command in commands]

    def make_slow(self) -> Notifier[Any]:
        return Command(CommandConfig(command=(sys.executable, "-c", "import time; time.sleep(60)"), timeout=0.2))

    def test_what_it_prints_is_dropped(self, capfd: pytest.CaptureFixture[str]) -> None:
        Command(CommandConfig(command=(sys.executable, "-c", "print('noise')"))).tell(NOTICE)
        assert capfd.readouterr() == ("", "")

    def test_a_program_that_reads_nothing_is_no_failure(self) -> None:
        Command(CommandConfig(command=("true",))).tell(NOTICE)
