"""What is looked at of a trial: one fact of its outcome."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from forebay.kafka import topics
from forebay.kafka.publish.records import Headers
from forebay.model import Identity, Status
from tests.keys.trial import Trial

Look = Callable[[Trial], Any]


def rows(*names: str) -> Look:
    """Columns of the staged rows."""
    return lambda trial: [
        row[names[0]] if len(names) == 1 else tuple(row[name] for name in names) for row in trial.staged()
    ]


def as_text(name: str) -> Look:
    """A column of the staged rows, as text: NaN is no number equal to itself."""
    return lambda trial: [str(row[name]) for row in trial.staged()]


def types(trial: Trial) -> dict[str, str]:
    return {column.name: column.type for column in trial.stage().columns}


def status(trial: Trial) -> str:
    """Status and decision of the file."""
    file = trial.inspected()
    return f"{file.status.name} {file.decision.name if file.decision else ''}".lower().strip()


def each_status(trial: Trial) -> list[str]:
    """The status of each file."""
    from forebay.verbs.inspect import inspect

    return [inspect(trial.context, file).status.name.lower() for file in trial.plan().files]


def says(*words: str) -> Look:
    """Which of these words are told of the file."""

    def look(trial: Trial) -> list[bool]:
        told = trial.told
        return [word in told for word in words]

    return look


def aside(trial: Trial) -> list[int]:
    """Rows that are quarantined."""
    return [row for row, _ in trial.aside()]


def reasons(*words: str) -> Look:
    """Which of these words stand in the reasons of quarantined rows."""
    return lambda trial: [any(word in reason for _, reason in trial.aside()) for word in words]


def published(column: str) -> Look:
    """A column of the records' values."""
    return lambda trial: [value[column] for value in trial.values()]


def raw(trial: Trial) -> list[str]:
    """The records' values, byte for byte."""
    return [value.decode() for chunk in trial.chunks() for value in chunk.records.values.to_pylist()]


def count(trial: Trial) -> int:
    return trial.inspected().counts.rows_in


def keys(trial: Trial) -> list[str]:
    return [key.decode() for chunk in trial.chunks() for key in chunk.records.keys.to_pylist()]


def partitions(trial: Trial) -> list[int]:
    return [number for chunk in trial.chunks() for number in chunk.records.partitions.to_pylist()]


def times(trial: Trial) -> list[int | None] | None:
    """The records' own times, in milliseconds; None: they have none."""
    (chunk,) = trial.chunks()
    return chunk.records.timestamps.to_pylist() if chunk.records.timestamps is not None else None


def chunk_rows(trial: Trial) -> list[int]:
    return [chunk.rows_in for chunk in trial.chunks()]


def headers(trial: Trial) -> list[str]:
    """What each record would carry beside its id."""
    file = trial.plan().files[0].file
    made = Headers.of(trial.pipeline.record.headers, "keys", file, "ab" * 32, 1, Identity("run-1", "x"))
    return [] if made.profile == "none" else [name for name, _ in made.constants]


def fates(trial: Trial) -> list[str]:
    return [f"{file.file.name} {file.fate.name} {file.status.name}".lower() for file in trial.plan().files]


def window(trial: Trial) -> str:
    return trial.plan().window.start.isoformat()


def faults(trial: Trial) -> str:
    return trial.faults


def ledger(trial: Trial) -> str:
    return trial.pipeline.ledger_topic


def source(trial: Trial) -> str:
    return type(trial.context.source).__name__


def topic(purpose: str, field: str, key: str = "") -> Look:
    """A property of one of the topics as it is made and checked."""

    def look(trial: Trial) -> Any:
        found = next(one for one in topics.wanted(trial.pipeline) if one.purpose == purpose)
        value = getattr(found, field)
        return value.get(key) if key else value

    return look


def broker(trial: Trial) -> str:
    """Whom the pipeline's clients ask."""
    ctx = trial.context
    del ctx.__dict__["kafka"]
    return str(ctx.kafka["bootstrap.servers"])


def store(fact: Callable[[Any], Any]) -> Look:
    """A fact of the client that talks to S3."""
    return lambda trial: fact(trial.context.source._client)  # type: ignore[attr-defined]


def settled(trial: Trial) -> list[str]:
    """Files of the project's drops and archive after settling."""
    from forebay.verbs.settle import settle

    (file,) = trial.plan().files
    settle(trial.context, file.but(status=Status.RECONCILED))
    return sorted(
        str(path.relative_to(trial.root))
        for top in ("drops", "done", "old")
        for path in (trial.root / top).rglob("*.csv")
    )


def historical(fact: Callable[[Any], Any], nights: int = 6) -> Look:
    """What a rule that learns says of the file, after so many nights of ten rows each."""
    from forebay.index import queries
    from forebay.quality import drift

    old = drift.Sketch(10, 0, {"zz": 10})

    def look(trial: Trial) -> Any:
        from forebay.verbs._history_rules import compare_with_history

        days = [f"2025-12-{day:02}" for day in range(nights, 0, -1)]
        counts = [{"ds": day, "name": "a.csv", "observed": str(10 * (n + 1))} for n, day in enumerate(days)]
        sketches = [{"ds": day, "name": "a.csv", "observed": old.text()} for day in days]
        asked = {"counted": counts, "measured": counts, "sketches": sketches}
        file, stage = trial.inspected(), trial.stage()
        with ExitStack() as patched:
            for name, found in asked.items():
                patched.enter_context(patch.object(queries, name, return_value=found))
            (result,) = compare_with_history(trial.context, file, stage)
        return fact(result)

    return look


def expected(result: Any) -> Any:
    return json.loads(result.expected)


def noticed(trial: Trial) -> list[str]:
    """What the notifiers left behind."""
    trial.inspected()
    return sorted(path.name for path in trial.root.glob("told*"))


class Leave:
    """A notifier as Airflow has them, by its import path: it leaves a file."""

    def __init__(self, to: str) -> None:
        self.to = to

    def __call__(self, context: dict[str, Any]) -> None:
        Path(self.to).touch()


def dag(fact: Callable[[Any], Any]) -> Look:
    """A fact of the pipeline's DAG."""

    def look(trial: Trial) -> Any:
        from forebay_airflow.dag_builder import build

        return fact(build(trial.pipeline, trial.project))

    return look


def nights(trial: Trial) -> list[str]:
    """When Airflow starts the first three runs of its own, from a day of 2029 on."""
    from airflow.timetables.base import TimeRestriction
    from pendulum import datetime

    from forebay_airflow.nights import timetable

    table, found, last = timetable(trial.pipeline), [], None
    assert table is not None
    free = TimeRestriction(datetime(2029, 12, 30), None, catchup=False)
    with patch("airflow.timetables.interval.utcnow", lambda: datetime(2029, 12, 30, 12)):
        for _ in range(3):
            info = table.next_dagrun_info(last_automated_data_interval=last, restriction=free)
            if info is None:
                break
            found.append(info.run_after.isoformat()[:16])
            last = info.data_interval
    return found
