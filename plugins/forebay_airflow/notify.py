"""Airflow notifiers that a pipeline names (`quality.steward.notify`): loaded when there is something to tell, never
while a DAG is parsed."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk.bases.notifier import BaseNotifier

from forebay.config.pipeline import Pipeline
from forebay.config.quality import Notify

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

_log = logging.getLogger(__name__)

WAITING, FAILED = "waiting", "failed"
"""Values of `on`: a steward is asked; the DAG run has failed."""


class Named(BaseNotifier):
    """A notifier by its import path. What goes wrong in it is logged and stops nothing: the question stands whether or
    not somebody was told."""

    def __init__(self, settings: Notify, pipeline: str, event: str) -> None:
        super().__init__()
        self.settings, self.pipeline, self.event = settings, pipeline, event

    def notify(self, context: Context) -> None:
        """The notifier sees Airflow's context and `forebay`: event, pipeline, link, text."""
        told = {
            "event": self.event,
            "pipeline": self.pipeline,
            "link": link(context, self.event),
            "text": text(context, self.event),
        }
        try:
            load(self.settings.notifier)(**self.settings.arguments)({**context, "forebay": told})
        except (
            Exception
        ):  # a mail server that is away must not take the question with it (Airflow's operator would fail)
            _log.exception(
                "telling by `%s` failed; `%s` is asked for at %s all the same",
                self.settings.notifier,
                self.pipeline,
                told["link"],
            )
        else:
            _log.info("told by %s: %s", self.settings.notifier, told["link"])


def on_failure(pipeline: Pipeline) -> list[Callable[[Context], None]] | None:
    """What Airflow's DAG processor calls when a run has failed."""
    return [*notifiers(pipeline, FAILED)] or None


def notifiers(pipeline: Pipeline, event: str) -> list[BaseNotifier]:
    """Whom the pipeline wants told of this event."""
    return [
        Named(settings, pipeline.pipeline, event)
        for settings in pipeline.quality.steward.notify
        if event in settings.on
    ]


def faults(pipeline: Pipeline) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Notifiers that this Airflow does not have: where in the pipeline's file, and what is wrong.

    The class itself is looked up when it is used: a provider may take a second to import.
    """
    for number, settings in enumerate(pipeline.quality.steward.notify):
        if not _there(settings.notifier.rpartition(".")[0]):
            yield (
                ("quality", "steward", "notify", number),
                f"`{settings.notifier}` is not installed in this Airflow (install its provider, or mend the path)",
            )


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def load(path: str) -> type[BaseNotifier]:
    """The class of that path. Raises `ImportError`, `AttributeError`."""
    module, _, name = path.rpartition(".")
    found: type[BaseNotifier] = getattr(importlib.import_module(module), name)
    return found


def link(context: Context, event: str) -> str:
    """Where the question, or the failed run, is seen in Airflow's interface."""
    dag, run = context["dag"].dag_id, quote(context["run_id"])
    place = f"{interface()}/dags/{dag}/runs/{run}"
    return f"{place}/tasks/{context['task'].task_id}/required_actions" if event == WAITING else place


def interface() -> str:
    """Where Airflow's pages are for people (`[api] base_url`), without a slash at the end."""
    from airflow.sdk.configuration import conf

    return str(conf.get("api", "base_url", fallback="")).rstrip("/")


def text(context: Context, event: str) -> str:
    """The question in Markdown, or Airflow's word for the failure."""
    return (
        str(getattr(context["task"], "body", ""))
        if event == WAITING
        else f"the run failed: {context.get('reason') or 'see its failed tasks'}"
    )
