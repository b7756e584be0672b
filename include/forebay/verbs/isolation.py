"""Where an error ends: with the file that was worked on, or with the run.

Whatever a file holds is the file's matter, also what nobody thought of: it fails with its reason, and the others go on.
Only what would fail every file alike ends the run: a broker, an index or a ledger that cannot be used, a login, a
topic, a project or a pipeline that must change.
"""

from __future__ import annotations

import errno
import logging
import traceback
from collections.abc import Callable, Collection, Iterable

from forebay import events
from forebay.errors import (
    BrokerUnavailableError,
    ConfigError,
    FatalError,
    ForebayError,
    IndexUnavailableError,
    LedgerError,
    NotAuthorizedError,
    OutOfResourcesError,
    PreflightError,
    RetryableError,
    SettingsError,
    TopicMissingError,
    UnknownPluginError,
)
from forebay.model import FileRun, Status
from forebay.support.words import MESSAGE, shown
from forebay.verbs.hidden import without_values

Step = Callable[[FileRun], FileRun]
"""A verb on one file, all else given."""

_OF_THE_RUN = (
    BrokerUnavailableError,
    IndexUnavailableError,
    LedgerError,
    PreflightError,
    SettingsError,
    TopicMissingError,
    UnknownPluginError,
)
_UNLESS_OF_A_URI = (ConfigError, NotAuthorizedError)
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE}

_log = logging.getLogger("forebay")


def attempt(
    file: FileRun, steps: Iterable[Step], *, known: Collection[str] | None = None
) -> tuple[FileRun, ForebayError | None]:
    """The file as the last step that succeeded has left it, and the error of its own that ended it there, if any did.

    Raises an error that is the run's. `known` as in `failed`.
    """
    try:
        for step in steps:
            file = step(file)
    except Exception as error:
        return file, _own(error, file, known)
    return file, None


def _own(error: Exception, file: FileRun, known: Collection[str] | None) -> ForebayError:
    """The error as this file's own: a `RetryableError` where trying again may help. Raises the error itself if it is
    the run's.

    An error that nobody foresaw is told by its type and words; where it came from is in the log.
    """
    if isinstance(error, ForebayError):
        if _of_the_run(error):
            raise error
        return without_values(error, known)
    uri, what = file.file.uri, _told(error, known is not None)
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _NO_ROOM):
        return OutOfResourcesError(
            f"working on `{uri}`: {what} (make room for it, or raise what limits it, and try again)", uri=uri
        )
    places = [
        *traceback.format_tb(error.__traceback__),
        *getattr(error, "__notes__", ()),
    ]  # a child's places come as a note
    _log.error("working on `%s`: %s\n%s", uri, what, "".join(places))
    return FatalError(
        f"working on `{uri}`: {what} (not foreseen: report it with the log, which FOREBAY_LOG=ERROR shows)", uri=uri
    )


def failed(file: FileRun, error: Exception, *, known: Collection[str] | None = None) -> FileRun:
    """The file FAILED by that error (`again` where trying again may help), as events tell it. Raises the error if it is
    the run's.

    Where there are redacted columns, `known` are the words that may be quoted (`hidden.shown`), and no other text of
    the file is in the error.
    """
    own = _own(error, file, known)
    words = shown(own.message, MESSAGE)
    events.emit(events.FILE_FAILED, level=logging.ERROR, uri=file.file.uri, error=words)
    return file.but(status=Status.FAILED, error=words, again=isinstance(own, RetryableError))


def _of_the_run(error: ForebayError) -> bool:
    return isinstance(error, _OF_THE_RUN) or (isinstance(error, _UNLESS_OF_A_URI) and "uri" not in error.where)


def _told(error: Exception, hide: bool) -> str:
    words = "" if hide else " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
