"""A project with a year of nights in its index, as real ones go: good, late, missing, blocked, failed; for tests and
for looking at."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from forebay.config.home import Project
from forebay.config.load import load_pipeline
from forebay.contracts import Connections
from forebay.index import projection
from forebay.model import (
    Answer,
    Counts,
    Decision,
    Fate,
    FileRun,
    Replay,
    RuleResult,
    RunReport,
    Severity,
    SourceFile,
    Status,
    Verdict,
    Window,
)
from forebay.pages.store import Pages
from forebay.pages.values import QuarantinedRow, RowList
from forebay.verbs.context import Context

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
COLUMNS = ("order_id", "customer", "amount", "currency", "email", "country", "placed_at", "quantity", "sku", "discount")
HOSTILE = (
    '<img src=x onerror="document.title=1">',
    "</script><script>document.title=2</script>",
    "\"><svg onload=alert(1)>'",
    "</style><b>bold</b>",
    "{{ 7 * 7 }} {% raw %}",
    "a\u202egpj.exe\x00\x1b[31m\nb",
)
PIPELINE = """\
pipeline: {name}
owner: {owner}
description: {about}
schedule: {schedule}
source: {{type: local, path: "drops/{{{{ ds }}}}/*.csv"}}
format: {{type: csv}}
record: {{key: order_id}}
topic: {{name: {name}}}
{more}
"""


@dataclass(frozen=True)
class Made:
    """A project whose pipelines have a history."""

    project: Project

    @classmethod
    def at(cls, root: Path) -> Made:
        (root / "include" / "pipelines").mkdir(parents=True)
        return cls(Project(root, root / ".forebay"))

    @property
    def pages(self) -> Pages:
        return Pages(self.project.reports)

    def pipeline(
        self,
        name: str,
        schedule: str = '{cron: "0 2 * * *"}',
        owner: str = "shop",
        about: str = "Orders of a night.",
        more: str = "",
    ) -> Context:
        """A pipeline that nobody can run: every connection is refused."""
        text = PIPELINE.format(name=name, schedule=schedule, owner=owner, about=about, more=more)
        (self.project.pipelines / f"{name}.yaml").write_text(text)
        return Context.of(load_pipeline(self.project, name), self.project, Refused())

    def year(self, ctx: Context, rules: int = 20, nights: int = 365, files: int = 1, seed: int = 1) -> None:
        """Nights up to yesterday of `NOW`; whole years are as alike as two pipelines of one company."""
        luck = random.Random(seed)
        for back in range(nights, 0, -1):
            day = NOW.date() - timedelta(days=back)
            if luck.random() > 0.015:
                self.night(ctx, day, luck, rules, files)

    def night(self, ctx: Context, day: date, luck: random.Random, rules: int = 20, files: int = 1) -> None:
        """One night with something of everything."""
        started = datetime(day.year, day.month, day.day, 2, 0, 5, tzinfo=UTC) + timedelta(days=1)
        ended = started + timedelta(hours=luck.uniform(8, 20) if luck.random() < 0.03 else luck.uniform(0.02, 0.4))
        run = RunReport(
            f"scheduled__{day}", ctx.pipeline.pipeline, Window.of_day(day), "done", started, ended, "scheduled"
        )
        made = [self._file(run, n, luck, rules) for n in range(files)]
        statuses = {file.status for file in made}
        failed, waits = Status.FAILED in statuses, Status.WAITING in statuses
        status = "failed" if failed else "held back" if waits else "rejected" if Status.REJECTED in statuses else "done"
        projection.project_run(self.project.index, RunReport.from_json(run.to_json() | {"status": status}))
        projection.project_files(self.project.index, made)

    def _file(self, run: RunReport, number: int, luck: random.Random, rules: int) -> FileRun:
        rows = int(luck.gauss(48_000, 6_000) * (0.55 if run.window.day.weekday() > 4 else 1))
        answers = tuple(_rule(n, rows, luck) for n in range(rules))
        aside = min(rows, sum(r.unexpected or 0 for r in answers if r.severity is Severity.CRITICAL))
        file = FileRun(
            run.run_id,
            run.pipeline,
            run.window,
            SourceFile(f"file:///drops/{run.window.day}/shop-{number}.csv", rows * 90, 1.5),
            Fate.NEW,
            "never seen before",
            Status.DONE,
            f"{luck.getrandbits(256):064x}",
            answer=Answer(
                Decision.PUBLISH, "gate", f"{sum(r.success for r in answers)} of {rules} rules of suite `orders` passed"
            ),
            counts=Counts(rows, rows - aside, aside),
        )
        fate = luck.random()
        if fate < 0.01:
            file = file.but(
                status=Status.FAILED,
                published=0,
                quarantined=0,
                error="decompressing `shop-0.csv.gz`: its end is missing",
            )
        elif fate < 0.02:
            why = f"{aside} of {rows} rows would be quarantined: 6.1 %, the limit is 5 %"
            file = file.but(
                status=Status.REJECTED,
                counts=Counts(rows, rejected=rows),
                reason=why,
                answer=Answer(Decision.REJECT, "gate", why),
            )
        elif fate < 0.025:
            file = file.but(
                status=Status.WAITING,
                published=0,
                reason="critical rule expect_table_row_count_to_be_between(table) failed",
            )
        elif fate < 0.03:
            file = file.but(
                fate=Fate.INCOMPLETE,
                status=Status.SKIPPED,
                rows_in=0,
                published=0,
                quarantined=0,
                reason="1 of 2 files are there",
            )
        if file.counts.rows_in and rules:
            projection.project_verdict(
                self.project.index, file, Verdict(file.fingerprint or "", "orders", "h" * 64, answers)
            )
        if file.counts.quarantined:
            self.pages.save_rows(
                run.pipeline,
                run.run_id,
                file.file.uri,
                RowList(file.counts.quarantined, tuple(_aside(file.counts.quarantined, luck))),
            )
        return file

    def historical(self, ctx: Context, observed: dict[date, str | None]) -> None:
        """Nights on which `drift` was measured; above 0.1 it failed, None is a night without a verdict."""
        for day, value in observed.items():
            run = RunReport(f"scheduled__{day}", ctx.pipeline.pipeline, Window.of_day(day), "done", NOW, NOW)
            source = SourceFile(f"file:///drops/{day}/a.csv", 9, 1.5)
            file = FileRun(
                run.run_id, run.pipeline, run.window, source, Fate.NEW, "never seen before", Status.DONE, "ab" * 32
            )
            good = float(value or 0) <= 0.1
            rule = RuleResult("history_drift", ("country",), Severity.WARNING, "table", good, observed=value)
            projection.project_run(self.project.index, run)
            projection.project_files(self.project.index, [file.but(rows_in=10, published=10)])
            projection.project_verdict(self.project.index, file, Verdict("ab" * 32, "orders", "h" * 64, (rule,)))

    def repaired(
        self, ctx: Context, day: date, rows: tuple[int, ...], replayed: tuple[str, ...], ignored: str = "_SUCCESS"
    ) -> None:
        """A night of one file with these quarantined rows, of which those were replayed, each by a run of its own."""
        run = RunReport(f"scheduled__{day}", ctx.pipeline.pipeline, Window.of_day(day), "done", NOW, NOW)
        source = SourceFile("file:///drops/a.csv", 9, 1.5)
        file = FileRun(
            run.run_id, run.pipeline, run.window, source, Fate.NEW, "never seen before", Status.DONE, "ab" * 32
        )
        file = file.but(rows_in=10, published=10 - len(rows), quarantined=len(rows))
        marker = file.but(
            file=SourceFile(f"file:///drops/{ignored}", 0, 1.5),
            fate=Fate.IGNORED,
            reason="the marker",
            status=Status.SKIPPED,
        )
        marker = marker.but(fingerprint=None, rows_in=0, published=0, quarantined=0)
        projection.project_run(self.project.index, run)
        projection.project_files(self.project.index, [file, marker])
        causes = ("expect_a(amount): min_value 0", 'expect_b(state): value_set ["new"]')
        kept = [
            QuarantinedRow(n, "expectation", "amount, state", "r", "r", "raw", 'amount: -5, state: "lost"', causes)
            for n in rows
        ]
        self.pages.save_rows(run.pipeline, run.run_id, source.uri, RowList(len(kept), tuple(kept)))
        for number in replayed:
            self._replay(file, number)

    def _replay(self, origin: FileRun, rows: str) -> None:
        told = Replay(origin.fingerprint or "", 1, rows, "fixed.csv", "cd" * 32)
        file = origin.but(
            run_id=f"replay__{rows}",
            file=SourceFile("replay+" + origin.file.uri, 9, 1.5),
            replay=told,
            origin=origin.file.uri,
            counts=Counts(1, 1),
        )
        file = file.but(
            fingerprint="ab" * 8 + f"{int(rows):048x}", answer=Answer(Decision.PUBLISH, "eve", "typing errors", NOW)
        )
        run = RunReport(
            file.run_id, file.pipeline, file.window, "done", NOW, NOW, "replay", note="replay: typing errors"
        )
        projection.project_run(self.project.index, run)
        projection.project_files(self.project.index, [file])

    def hostile(self, ctx: Context, day: date) -> None:
        """A night on which everything that a partner can name is an attack."""
        bad = " ".join(HOSTILE)
        run = RunReport(
            f"manual__{bad}", ctx.pipeline.pipeline, Window.of_day(day), "failed", NOW, NOW, trigger=bad[:40], note=bad
        )
        file = FileRun(
            run.run_id,
            run.pipeline,
            run.window,
            SourceFile(f"file:///drops/{bad}.csv", 1, 1.5),
            Fate.NEW,
            bad,
            Status.FAILED,
        )
        file = file.but(
            fingerprint="ab" * 32,
            rows_in=3,
            quarantined=3,
            error=bad,
            answer=Answer(Decision.PUBLISH, bad, bad),
        )
        rule = RuleResult("expect_column_values_to_match_regex", (bad,), Severity.CRITICAL, "row", False, 3, 3, bad)
        table = RuleResult("expect_table_columns_to_match_set", (), Severity.WARNING, "table", False, observed=bad)
        projection.project_run(self.project.index, run)
        projection.project_file(self.project.index, file)
        projection.project_verdict(self.project.index, file, Verdict("ab" * 32, bad, "h" * 64, (rule, table)))
        row = QuarantinedRow(1, "expectation", bad, bad, bad, bad, bad, (bad, bad))
        told = Replay("ab" * 32, 1, "1", bad, "cd" * 32)
        repaired = file.but(
            run_id=f"replay__{bad}",
            file=SourceFile("replay+" + file.file.uri, 1, 1.5),
            replay=told,
            origin=file.file.uri,
            published=1,
            quarantined=0,
        )
        done = repaired.but(
            status=Status.DONE, fingerprint="ab" * 8 + "cd" * 24, answer=Answer(Decision.PUBLISH, bad, bad, NOW)
        )
        projection.project_file(self.project.index, done)
        ignored = file.but(
            file=SourceFile(f"file:///drops/_{bad}", 0, 1.5), fate=Fate.IGNORED, status=Status.SKIPPED, fingerprint=None
        )
        projection.project_file(self.project.index, ignored)
        self.pages.save_rows(run.pipeline, run.run_id, file.file.uri, RowList(3, (row,)))


class Refused(Connections):
    """Whoever asks for a connection here has done too much: pages come from the index and the files of the project."""

    def kafka(self, name: str | None) -> dict[str, Any]:
        raise AssertionError("a page asked for Kafka")

    def s3(self, name: str | None) -> dict[str, Any]:
        raise AssertionError("a page asked for S3")


def _rule(number: int, rows: int, luck: random.Random) -> RuleResult:
    column = COLUMNS[number % len(COLUMNS)]
    severity = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)[number % 3]
    if number % 5 == 4:
        good = luck.random() > 0.02
        return RuleResult("expect_table_row_count_to_be_between", (), severity, "table", good, observed=str(rows))
    name = ("not_be_null", "be_between", "match_regex", "be_in_set", "be_unique")[number // len(COLUMNS) % 5]
    failing = int(rows * 0.002 * luck.expovariate(1)) if luck.random() < 0.04 + 0.25 * (number in {2, 3}) else 0
    return RuleResult(f"expect_column_values_to_{name}", (column,), severity, "row", not failing, failing, rows)


def _aside(total: int, luck: random.Random) -> list[QuarantinedRow]:
    numbers = sorted(luck.sample(range(1, 40_000), min(total, 50)))
    rule = "expect_column_values_to_be_between(amount)"
    why = f'{rule} {{"min_value": 0}}'
    raw = '{{"order_id":{0},"customer":"c{1}","amount":-{1}.50,"currency":"EUR","email":"a.long.address.of.somebody@example.org","country":"DE"}}'  # noqa: E501
    return [QuarantinedRow(n, "expectation", "amount", rule, why, raw.format(n, n % 97)) for n in numbers]
