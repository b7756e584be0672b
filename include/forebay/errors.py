"""What can go wrong, by what to do about it.

* ForebayError
  x ConfigError          fix the pipeline file, suite or settings; never retried            exit 2
    - SettingsError      faults of one or more files, all together
    - UnknownPluginError
    - PreflightError     topic, partition count, permission or suite does not fit
  x RetryableError       the same call may succeed later                                    exit 4
    - SourceUnavailableError, BrokerUnavailableError, DeliveryError, OutcomeUnknownError, FencedError,
      IndexUnavailableError, OutOfResourcesError
  x FatalError           the run cannot go on; retrying repeats it                          exit 1
    - CorruptFileError, FileChangedError, TopicMissingError, NotAuthorizedError, PlanChangedError, SupersededError,
      LedgerError, ReconcileError
  x QualityError         the file failed its expectations                                   exit 3

Message grammar: gerund and object: what was found (the way out, and its price). Lower case, no full stop, values in
backticks. Rows that are bad are no exception: they are quarantined, all of a chunk at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


class ForebayError(Exception):
    """Root of all errors that forebay raises on purpose; `exit_code` is the command line's (design: 0 done, 1, 2, 3,
    4)."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, **where: Any) -> None:
        """`where` keeps what the words name (uri, row, topic, partition …) as attributes for programs."""
        super().__init__(message)
        self.message = message
        self.where = where

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.where))


def _rebuild(cls: type[ForebayError], message: str, where: dict[str, Any]) -> ForebayError:
    return cls(message, **where)


class ConfigError(ForebayError):
    """Something a person wrote must change; retrying repeats it."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a file that people write: where it is (1-based line, or None) and what is wrong, with the way
    out."""

    path: str
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}" if self.line else f"{self.path}: {self.message}"


class SettingsError(ConfigError):
    """All faults of the files that were read, together."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults

    def __reduce__(self) -> tuple[Any, ...]:
        return (SettingsError, (self.faults,))


class UnknownPluginError(ConfigError):
    """No plug-in of that kind has that name."""


class PreflightError(ConfigError):
    """Topic, partition count, permission or suite does not fit what the pipeline says."""


class RetryableError(ForebayError):
    """The same call may succeed later."""

    exit_code = 4


class SourceUnavailableError(RetryableError):
    """The source cannot be listed or read just now."""


class BrokerUnavailableError(RetryableError):
    """No broker could be reached in time."""


class DeliveryError(RetryableError):
    """Records were not acknowledged; the transaction was aborted and nothing of it is visible."""


class OutcomeUnknownError(RetryableError):
    """A commit's outcome could not be learnt; the ledger decides at the next attempt."""


class FencedError(RetryableError):
    """Another owner works on the same lane."""


class IndexUnavailableError(RetryableError):
    """The index cannot be read or written just now (disk full, locked, no server)."""


class OutOfResourcesError(RetryableError):
    """The machine has no memory, or no thread, left for it just now."""


class FatalError(ForebayError):
    """The run cannot go on, and retrying repeats it."""


class CorruptFileError(FatalError):
    """The bytes cannot be read as what the pipeline says they are (truncated, not gzip, wrong encoding, unclosed
    quotes)."""


class FileChangedError(FatalError):
    """The file changed while it was being read; nothing of it was published."""


class TopicMissingError(FatalError):
    """A topic that must exist does not."""


class NotAuthorizedError(FatalError):
    """Credentials are wrong, or the principal lacks a permission."""


class PlanChangedError(FatalError):
    """Part of the file is committed under another plan: going on would overlap or skip rows (rule C4)."""


class SupersededError(FatalError):
    """Other bytes of the file's name were published since it was listed: its rows would come after those of the later
    content (rule C6)."""


class LedgerError(FatalError):
    """The ledger cannot be trusted as it is (recreated, repartitioned, compacted away, unreadable)."""


class ReconcileError(FatalError):
    """What the topic holds is not what the ledger says."""


class QualityError(ForebayError):
    """The file failed its expectations and waits for a person, or was rejected."""

    exit_code = 3
