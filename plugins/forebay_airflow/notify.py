"""Airflow notifiers that a pipeline names (`quality.notify`, `type: airflow`), and the pages people are sent to."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import quote

from forebay.config.pipeline import Pipeline

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

STEWARD = "steward"
"""The task that asks."""


def faults(pipeline: Pipeline) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Notifiers that this Airflow does not have: where in the pipeline's file, and what is wrong.

    The class itself is looked up when it is used: a provider may take a second to import.
    """
    for number, section in enumerate(pipeline.quality.notify):
        path = str(section.options.get("notifier", "")) if section.type == "airflow" else ""
        if path and not _there(path.rpartition(".")[0]):
            yield (
                ("quality", "notify", number),
                f"`{path}` is not installed in this Airflow (install its provider, or mend the path)",
            )


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def link(context: Context) -> str:
    """Where the run is seen in Airflow's interface."""
    return f"{interface()}/dags/{context['dag'].dag_id}/runs/{quote(context['run_id'])}"


def question(context: Context) -> str:
    """Where a question about files of the run is answered."""
    return f"{link(context)}/tasks/{STEWARD}/required_actions"


def interface() -> str:
    """Where Airflow's pages are for people (`[api] base_url`), without a slash at the end."""
    from airflow.sdk.configuration import conf

    return str(conf.get("api", "base_url", fallback="")).rstrip("/")
