"""A notice as JSON to a program's standard input."""

from __future__ import annotations

import json
import subprocess

from pydantic import Field

from forebay.contracts import Notice, Notifier, Settings
from forebay.errors import RetryableError


class CommandConfig(Settings):
    """Which program is told."""

    command: tuple[str, ...] = Field(min_length=1)
    """The program and its arguments; no shell reads them. It finds the notice on its standard input, and `FOREBAY_*`
    and all else in its environment."""
    timeout: float = Field(default=30, gt=0, le=300)
    """After so many seconds it is ended."""


class Command(Notifier[CommandConfig]):
    """Starts a program and hands it the notice as one JSON object on standard input; what it prints is dropped, and
    exit code 0 is taken for an answer."""

    Config = CommandConfig

    def tell(self, notice: Notice) -> None:
        program = self.config.command[0]
        body = json.dumps(notice.to_json(), ensure_ascii=False) + "\n"
        try:
            done = subprocess.run(
                self.config.command,
                input=body.encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=self.config.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RetryableError(f"telling `{program}`: it took more than {self.config.timeout:g} s") from None
        except (OSError, ValueError) as error:
            raise RetryableError(f"telling `{program}`: it cannot be started: {type(error).__name__}") from None
        if done.returncode:
            raise RetryableError(f"telling `{program}`: it ended with exit code {done.returncode}")
