"""The bodies of a pipeline's tasks. Each builds a context, calls the verb of its own name and translates; nothing is
decided here.

Files travel as `FileRun` documents in XCom. A task hands on what it knows before it fails, so one bad file never costs
the others their way, and every task that has one is red.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow.sdk import PokeReturnValue, get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forebay.config.home import Project
from forebay.config.pipeline import Pipeline
from forebay.errors import ConfigError, FatalError, ForebayError
from forebay.model import Decision, FileRun, RunReport, Status
from forebay.notifiers.airflow import within
from forebay.verbs.context import Context, Pages
from forebay.verbs.hidden import shown
from forebay_airflow import guard, notify, steward, translate
from forebay_airflow.connections import AirflowConnections

Documents = list[dict[str, Any]]

INSPECT_BYTES = 512 << 20
"""Bytes of source files that one `inspect` task takes on: an Airflow task costs half a second, an import of Great
Expectations two."""
PUBLISH_BYTES = 256 << 20
"""Up to so many bytes one `publish` task serves every lane in turn; above, each lane has its own."""
_UNITS = 500  # Airflow maps over at most [core] max_map_length (1024) items

_MAPPED_BY = {"inspect": "discover", "publish": "select"}
_ORDER = ("discover", "inspect", "select", "publish", "reconcile", "settle", "decide")


@dataclass(frozen=True)
class Steps:
    """The tasks of one pipeline."""

    pipeline: Pipeline
    project: Project

    @property
    def context(self) -> Context:
        logging.getLogger("great_expectations").setLevel(logging.WARNING)
        airflow = get_current_context()
        pages = Pages(notify.link(airflow), notify.question(airflow))
        return Context.of(self.pipeline, self.project, AirflowConnections(), starts=True, pages=pages)

    def discover(self) -> PokeReturnValue:
        """Which files, and why or why not; the files to do, grouped by bytes. A scheduled run waits until its window is
        complete."""
        from forebay.verbs import report as reporting
        from forebay.verbs.discover import discover, group, note_of, to_do
        from forebay.verbs.run import prepare

        with reporting_errors() as airflow:
            ctx, run = self.context, airflow["dag_run"]
            prepare(ctx)
            window = translate.window_of(airflow, self.pipeline)
            plan = discover(ctx, window, run.run_id, generation=self._generation(airflow))
            if waiting := translate.waits_for(plan):
                _wait(translate.trigger(run), waiting)
                return PokeReturnValue(is_done=False)
            reporting.begin(ctx, self._report(airflow, ()), translate.identity(airflow), translate.lineage_transport())
            airflow["ti"].xcom_push("others", translate.dump(f for f in plan.files if not to_do(f)))
            airflow["ti"].xcom_push("note", note_of(plan))
            size = max(INSPECT_BYTES, sum(f.file.size for f in plan.files) // _UNITS)
            return PokeReturnValue(is_done=True, xcom_value=[translate.dump(unit) for unit in group(plan, size)])

    def inspect(self, unit: Documents) -> None:
        """Fetch, stage and check each file of a work unit."""
        from forebay.verbs.inspect import inspect

        self._each(translate.read(unit), inspect)

    def gate(self) -> list[str]:
        """Files that passed go on; the steward is asked about those that are held back, if there are any."""
        from forebay.verbs.decide import before, told_of

        airflow = get_current_context()
        if not _discovered(airflow):
            raise AirflowSkipException("discover did not finish")
        held = _held(airflow)
        if not held:
            return ["select"]
        earlier = {file.file.uri: told_of(answer) for file in held if (answer := before(self.project, file))}
        airflow["ti"].xcom_push("question", steward.question(held, self.project.reports, notify.interface(), earlier))
        return ["select", "steward", "decide"]

    def asked(self, airflow: Any, until: datetime, again: str) -> None:
        """Note where the answer is expected, and until when (`forebay waiting`); tell people if it is asked again."""
        from forebay.index import projection
        from forebay.verbs.notices import notify as tell

        link, default = notify.question(airflow), steward.OPTIONS[steward.default_option(self.pipeline)]
        for file in _held(airflow):
            if again:
                with within(airflow):
                    tell(self.context, _asked_again(file, again))
            if file.question:
                question = replace(file.question, link=link, deadline=until, default=default)
                projection.project_question(self.project.index, file.but(question=question))

    def select(self) -> list[Documents]:
        """The files to publish now, grouped so that no two units share a lane."""
        airflow = get_current_context()
        files = [file for file in latest(airflow, "inspect") if not _waits(file)]
        airflow["ti"].xcom_push("others", translate.dump(f for f in files if not _to_publish(f)))
        return [translate.dump(unit) for unit in self.by_lane([f for f in files if _to_publish(f)])]

    def publish(self, unit: Documents) -> None:
        """One transaction per chunk of each file. Dies with its supervisor, and waits while another process of this
        machine has its lane."""
        guard.die_with_parent()
        self._each(translate.read(unit), self._publish)

    def _publish(self, ctx: Context, file: FileRun) -> FileRun:
        from forebay.verbs.publish import publish

        patience = 5 * self.pipeline.publish.transaction_timeout.total_seconds()
        with guard.only_one(self.project.home / "locks", self.pipeline.transactional_id(self.lane(file)), patience):
            return publish(ctx, file, translate.identity(get_current_context()))

    def decide(self, *, outlet_events: Any = None) -> None:
        """The rest of the way of the files that were held back, by the first answer to their question; fails if any of
        them comes to no good end.

        The answer is taken right before the file is published: one that came after another (`forebay decide`) makes its
        file FAILED, unless it says the same.
        """
        from forebay.verbs.decide import carried_out, not_settled_otherwise, take
        from forebay.verbs.reconcile import reconcile
        from forebay.verbs.settle import settle

        guard.die_with_parent()
        airflow = get_current_context()
        held, said = _held(airflow), steward.answer(airflow["ti"].xcom_pull(task_ids="steward"))
        if not held:
            raise AirflowSkipException("nobody was asked")

        def to_its_end(ctx: Context, file: FileRun) -> FileRun:
            if said is None:
                raise FatalError(
                    "its question has no answer (see the `steward` task; clear it to ask again)", uri=file.file.uri
                )
            decided = take(ctx, file, said)
            published = not_settled_otherwise(ctx, carried_out(ctx, decided) or self._publish(ctx, decided))
            return settle(ctx, reconcile(ctx, published) if published.status is Status.PUBLISHED else published)

        done = self._each(held, to_its_end)
        _announce(airflow, [file for file in done if file.counts.published])

    def reconcile(self, *, outlet_events: Any = None) -> None:
        """Re-read what was published and compare it with the ledger; then the topic's asset is updated. Skipped when
        nothing was published."""
        from forebay.verbs.reconcile import reconcile

        airflow = get_current_context()
        published = [file for file in latest(airflow, "publish") if file.status is Status.PUBLISHED]
        if not published:
            raise AirflowSkipException("nothing was published in this run")
        self._each(published, reconcile)
        _announce(airflow, published)

    def settle(self) -> None:
        """Archive, delete or keep each file but those that wait; fails if any of them did not come to a good end."""
        from forebay.verbs.run import conclude
        from forebay.verbs.settle import settle

        def to_its_end(ctx: Context, file: FileRun) -> FileRun:
            return file if file.status is Status.FAILED else settle(ctx, file)

        with reporting_errors() as airflow:
            if not _discovered(airflow):
                raise AirflowFailException("settling: discover did not finish (see its log, then clear it)")
            passed = [file for file in latest(airflow, "reconcile") if not _waits(file)]
            settled = translate.unfinished(self._each(passed, to_its_end))
            airflow["ti"].xcom_push("return_value", translate.dump(settled))
            conclude(settled)

    def report(self) -> None:
        """Index, lineage and quality pages of the run, whatever became of it."""
        from forebay.verbs import report as reporting

        with reporting_errors() as airflow:
            files = translate.unfinished(latest(airflow, "decide")) if _discovered(airflow) else ()
            errors = [e for task in _ORDER for e in _flat(airflow["ti"].xcom_pull(task_ids=task, key="error"))]
            error = None if _discovered(airflow) else (errors[0] if errors else "discover failed (see its log)")
            run = self._report(airflow, files)
            reporting.report(self.context, run, translate.identity(airflow), error, translate.lineage_transport())

    def lane(self, file: FileRun) -> int:
        """The number of the lane, hence the transactional.id, that publishes this content."""
        from forebay.kafka.ledger.reader import lane_of

        return lane_of(file.fingerprint or "0")

    def by_lane(self, files: list[FileRun]) -> list[list[FileRun]]:
        """Files in their order, in at most `publish.lanes` units, a lane's files all in one of them; all in one while
        they are small."""
        if not files:
            return []
        if sum(file.file.size for file in files) <= PUBLISH_BYTES:
            return [files]
        units = [self.lane(file) % self.pipeline.publish.lanes for file in files]
        return [[file for file, own in zip(files, units, strict=True) if own == unit] for unit in sorted(set(units))]

    def _each(self, files: list[FileRun], verb: Callable[[Context, FileRun], FileRun]) -> list[FileRun]:
        """The verb on every file. What became of them is handed on even if this task fails then, for a retry or for a
        file that failed here."""
        with reporting_errors() as airflow:
            ctx = self.context
            done, again = translate.each(files, lambda file: verb(ctx, file), known=shown(self.pipeline))
            airflow["ti"].xcom_push("return_value", translate.dump(done))
            if again:
                raise again
            before = {file.file.uri for file in files if file.status is Status.FAILED}
            failed = [
                f"`{f.file.uri}`: {f.error}" for f in done if f.status is Status.FAILED and f.file.uri not in before
            ]
            if failed:
                raise FatalError(
                    f"{len(failed)} of {len(files)} files failed here, the others go on: " + "; ".join(failed)
                )
            return done

    def _generation(self, airflow: Any) -> Any:
        from forebay.verbs.discover import GenerationRequest

        params = airflow["params"]
        if params.get("generation") != translate.NEW:
            return None
        reason = str(params.get("reason") or "").strip()
        if not reason:
            raise ConfigError(
                "starting a new generation: the param `reason` is empty (say why; it is kept in the ledger)"
            )
        return GenerationRequest(reason=reason)

    def _report(self, airflow: Any, files: tuple[FileRun, ...]) -> RunReport:
        run = airflow["dag_run"]
        window = translate.window_of(airflow, self.pipeline)
        note = airflow["ti"].xcom_pull(task_ids="discover", key="note")
        return RunReport(
            run.run_id,
            self.pipeline.pipeline,
            window,
            "running",
            translate.started(run),
            trigger=translate.trigger(run),
            files=files,
            note=note,
        )


@contextmanager
def reporting_errors() -> Iterator[Any]:
    """The task's context; a ForebayError is left in XCom (`error`) for the report, then goes its way."""
    airflow = get_current_context()
    try:
        with within(airflow):
            yield airflow
    except (ForebayError, AirflowFailException) as error:
        airflow["ti"].xcom_push("error", translate.message(error))
        raise


def latest(airflow: Any, through: str) -> list[FileRun]:
    """Every file of the run as the last task that had it left it, in the order of discovery.

    Only tasks up to `through` count: what later ones said before the run was cleared still lies in XCom. So do
    instances that the run no longer has; a mapped task is read as far as its units go, and `decide`, which may be
    skipped now, is believed of files that wait.
    """
    ti, files = airflow["ti"], dict[str, FileRun]()
    for task in _ORDER[: _ORDER.index(through) + 1]:
        said = [ti.xcom_pull(task_ids=task, key="others")] if task in _MAPPED_BY.values() else []
        said.append(_mapped(ti, task) if task in _MAPPED_BY else ti.xcom_pull(task_ids=task))
        for file in translate.read(said):
            if task != "decide" or _waits(files.get(file.file.uri)):
                files[file.file.uri] = file
    return list(files.values())


def _mapped(ti: Any, task: str) -> list[Any]:
    units = ti.xcom_pull(task_ids=_MAPPED_BY[task]) or []
    return ti.xcom_pull(task_ids=task, map_indexes=range(len(units))) if units else []


def _wait(trigger: str, what: str) -> None:
    """A scheduled run came on time and waits for its files. Who starts a run by hand means now."""
    if trigger != "scheduled":
        raise AirflowFailException(f"discovering: the window is not complete: {what} (run it again when it is)")
    logging.getLogger(__name__).info("the window is not complete, looking again in a minute: %s", what)


def _held(airflow: Any) -> list[FileRun]:
    return [file for file in latest(airflow, "inspect") if _waits(file)]


def _waits(file: FileRun | None) -> bool:
    """Whether it is held back for the steward. What settles without it leaves its word as the gate has given it."""
    return file is not None and file.status is Status.WAITING


def _to_publish(file: FileRun) -> bool:
    return file.status is Status.INSPECTED and file.decision in {Decision.PUBLISH, Decision.PUBLISH_ALL}


def _discovered(airflow: Any) -> bool:
    return airflow["ti"].xcom_pull(task_ids="discover") is not None


def _asked_again(file: FileRun, why: str) -> FileRun:
    """The file as people are told of it when they are asked once more."""
    return file.but(answer=replace(file.answer, reason=f"{why} {file.answer.reason}")) if file.answer else file


def _announce(airflow: Any, published: list[FileRun]) -> None:
    """Update the topic's asset, for whom it concerns downstream."""
    for asset in airflow["task"].outlets if published else ():
        event = airflow["outlet_events"][asset]
        event.extra = {
            "run_id": airflow["dag_run"].run_id,
            "files": len(published),
            "records": sum(f.counts.published for f in published),
        }
        event.add_partitions([published[0].window.day.isoformat()])


def _flat(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else [str(v) for v in value if v]
