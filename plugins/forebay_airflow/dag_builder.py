"""One DAG per pipeline. Its tasks are the verbs:

    discover ─▶ inspect[unit] ─▶ gate ─▶ select ─▶ publish[lanes] ─▶ reconcile ─▶ settle ─▶ report
                                   └──▶ (steward ─▶ decide) ──────────────────────────────┘

Files that passed go their way at once; `decide` takes those that were held back the rest of theirs, when their question
is answered.

A file that fails makes its task red and costs no other file its way: `gate`, `reconcile`, `settle` and `decide` run
when what is before them is done, however it ended. `settle` fails if any file of the run did not come to a good end,
and `decide` if one that was held back did not, so the run is failed then. `report` is a teardown: it runs always and
does not decide the run's state.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, BaseSensorOperator, Param, PokeReturnValue, TriggerRule, task

from forebay.config.home import Project
from forebay.config.load import load_all
from forebay.config.pipeline import Pipeline
from forebay.errors import SettingsError
from forebay.verbs import check
from forebay_airflow import ask, nights, notify, steward, translate
from forebay_airflow.tasks import Steps

INSPECT_POOL, PUBLISH_POOL = "forebay_inspect", "forebay_publish"
"""Pools that bound memory (one Great Expectations each) and transactions at once. A task whose pool is missing never
starts."""

WINDOW_TIMEOUT = timedelta(hours=12)
"""How long a scheduled run waits for its window to be complete."""
POKE = timedelta(seconds=60)


class WindowSensor(BaseSensorOperator):
    """Looks until the window is complete, giving its worker back between two looks."""

    def __init__(self, *, look: Callable[[], PokeReturnValue], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.look = look

    def poke(self, context: Any) -> PokeReturnValue:
        return self.look()


def project() -> Project:
    """The project whose pipelines are scheduled: `FOREBAY_PROJECT`, else the folder above this plug-in's."""
    return Project.find(None if os.environ.get("FOREBAY_PROJECT") else Path(__file__).parents[2])


def all_dags(only: str | None = None) -> dict[str, DAG]:
    """DAGs by id; `only` builds that one (a task's process needs no other). Pipeline files with faults are left out."""
    here = project()
    pipelines = load_all(here).pipelines
    return {name: build(pipeline, here) for name, pipeline in pipelines.items() if only in {None, name}}


def raise_faults() -> None:
    """Raise `SettingsError` with the faults of all pipeline files, if any: each alone, with its suite and beside the
    others, and with notifiers that this Airflow does not have."""
    checked = check.readable(project())
    faults = [fault for file in checked for fault in file.faults]
    faults += [
        file.file.fault(place, text)
        for file in checked
        if file.file.pipeline
        for place, text in notify.faults(file.file.pipeline)
    ]
    if faults:
        raise SettingsError(tuple(faults))


def build(pipeline: Pipeline, here: Project) -> DAG:
    """The DAG of one pipeline."""
    with DAG(
        dag_id=pipeline.pipeline,
        schedule=nights.timetable(pipeline),
        description=pipeline.description or f"{pipeline.source.path} to the topic {pipeline.topic.name}",
        doc_md=_doc(pipeline),
        start_date=pendulum.datetime(1970, 1, 1, tz=pipeline.timezone),  # the timetable knows which days runs may cover
        catchup=False,
        max_active_runs=2,
        tags={"forebay", *pipeline.tags},
        params=_params(),
        default_args=_defaults(pipeline),
    ) as dag:
        _tasks(Steps(pipeline, here))
    return dag


def _tasks(steps: Steps) -> None:
    pipeline = steps.pipeline
    lanes = pipeline.publish.lanes
    discover = WindowSensor(
        task_id="discover", look=steps.discover, mode="reschedule", poke_interval=POKE, timeout=WINDOW_TIMEOUT
    )
    inspect = task(task_id="inspect", pool=INSPECT_POOL)(steps.inspect).expand(unit=discover.output)
    gate = task.branch(task_id="gate", trigger_rule=TriggerRule.ALL_DONE)(steps.gate)()
    ask = _steward(steps)
    decide = task(task_id="decide", pool=PUBLISH_POOL, trigger_rule=TriggerRule.ALL_DONE, outlets=[asset(pipeline)])(
        steps.decide
    )()
    select = task(task_id="select")(steps.select)()
    publish = task(task_id="publish", pool=PUBLISH_POOL, max_active_tis_per_dag=lanes)(steps.publish).expand(
        unit=select
    )
    reconcile = task(task_id="reconcile", trigger_rule=TriggerRule.ALL_DONE, outlets=[asset(pipeline)])(
        steps.reconcile
    )()
    settle = task(task_id="settle", trigger_rule=TriggerRule.ALL_DONE)(steps.settle)()
    report = task(task_id="report")(steps.report)().as_teardown()
    inspect >> gate >> [select, ask, decide]
    ask >> decide
    publish >> reconcile >> settle
    [settle, decide] >> report


def _steward(steps: Steps) -> ask.StewardOperator:
    pipeline = steps.pipeline
    settings = pipeline.quality.steward
    return ask.StewardOperator(
        task_id=notify.STEWARD,
        subject=f"{pipeline.pipeline}: files are held back ({{{{ dag_run.run_id }}}})",
        body="{{ ti.xcom_pull(task_ids='gate', key='question') }}",
        options=list(steward.OPTIONS),
        defaults=steward.default_option(pipeline),
        asked=steps.asked,
        params=ask.form(),
        response_timeout=settings.timeout,
        assigned_users=[{"id": user, "name": user} for user in settings.users] or None,
        retries=5,  # an answer without a reason, or within the first second of waiting, fails the task: it asks again
        retry_delay=timedelta(seconds=3),
        retry_exponential_backoff=0,
    )


def asset(pipeline: Pipeline) -> Asset:
    """The topic as Airflow's asset; updated once per run, after its records were read back.

    Named, without a URI: a URI makes Airflow import every provider that knows a scheme (boto3 among them) in each parse
    and each task.
    """
    return Asset(name=f"{pipeline.publish.connection or 'kafka'}/{pipeline.topic.name}", group="kafka")


def _defaults(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "owner": pipeline.owner,
        "retries": 5,
        "retry_delay": timedelta(seconds=3),
        "retry_exponential_backoff": 4.0,
        "max_retry_delay": timedelta(minutes=10),
        "retry_policy": translate.retry_policy(),
    }


def _params() -> dict[str, Param]:
    return {
        "generation": Param(
            translate.CURRENT,
            enum=[translate.CURRENT, translate.NEW],
            title="Generation",
            description="`new` deliberately publishes content again that was published before; consumers see both.",
        ),
        "reason": Param(
            None,
            type=["null", "string"],
            title="Reason",
            description="Why; needed for a new generation only, and kept in the ledger then.",
        ),
    }


def _doc(pipeline: Pipeline) -> str:
    suite = f"`include/expectations/{pipeline.quality.suite}.json`" if pipeline.quality.suite else "none"
    return "\n".join(
        [
            f"### {pipeline.pipeline}",
            pipeline.description,
            "",
            f"- **owner** {pipeline.owner}",
            f"- **from** `{pipeline.source.type}` `{pipeline.source.path}` ({pipeline.format.type})",
            f"- **suite** {suite}",
            f"- **to** topic `{pipeline.topic.name}`, key `{', '.join(pipeline.record.key)}`; "
            f"quarantine `{pipeline.quarantine_topic}`,"
            f" ledger `{pipeline.ledger_topic}`",
            f"- **then** {pipeline.settle.type}",
        ]
    )
