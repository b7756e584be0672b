"""A notice by any notifier of Airflow: mail, chat, Apprise …, from its provider or your own class.

The notifier's class is named in the pipeline and imported when there is something to tell, so nothing here needs
Airflow, and a DAG is parsed without it.
"""

from __future__ import annotations

import contextvars
import importlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import Field

from forebay.contracts import Notice, Notifier, Settings
from forebay.errors import RetryableError

_surroundings = contextvars.ContextVar[Mapping[str, Any]]("surroundings")


class AirflowConfig(Settings):
    """Which notifier of Airflow is called. Secrets belong into an Airflow connection that it names."""

    notifier: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$")
    """The notifier's class by its import path, such as `airflow.providers.smtp.notifications.smtp.SmtpNotifier`."""
    arguments: dict[str, Any] = {}
    """The notifier's own; in texts the notice's fields are known: `{{ forebay.event }}`, `{{ forebay.pipeline }}`, `{{
    forebay.uri }}`, `{{ forebay.reason }}`, `{{ forebay.link }}`, `{{ forebay.text }}` (all in one line) and the
    rest."""
    timeout: float = Field(default=30, gt=0, le=300)
    """After so many seconds it is not waited for any longer."""


class Airflow(Notifier[AirflowConfig]):
    """Calls an Airflow notifier with `forebay`, the notice, in its context; in an Airflow task with all of that task's
    context."""

    Config = AirflowConfig

    def tell(self, notice: Notice) -> None:
        """In a thread, as nothing else can be told to end."""
        failure: list[str] = []
        calling = threading.Thread(
            target=contextvars.copy_context().run,
            args=(self._call, notice, failure),
            name="forebay-notify",
            daemon=True,
        )
        calling.start()
        calling.join(self.config.timeout)
        if calling.is_alive():
            raise RetryableError(
                f"telling by `{self.config.notifier}`: it took more than {self.config.timeout:g} s"
            ) from None
        if failure:  # its words may hold a secret
            raise RetryableError(f"telling by `{self.config.notifier}`: {failure[0]}") from None

    def _call(self, notice: Notice, failure: list[str]) -> None:
        try:
            notifier = load(self.config.notifier)(**self.config.arguments)
            notifier({**_surroundings.get({}), "forebay": notice.to_json() | {"text": notice.text}})
        except Exception as error:
            failure.append(type(error).__name__)


@contextmanager
def within(context: Mapping[str, Any]) -> Iterator[None]:
    """What is told meanwhile is told from the Airflow task of that context."""
    before = _surroundings.set(context)
    try:
        yield
    finally:
        _surroundings.reset(before)


def load(path: str) -> Any:
    """The class of that path. Raises `ImportError`, `AttributeError`."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)
