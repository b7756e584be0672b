"""A steward at work: told by a notifier, in Airflow's own pages in a real Chromium, and what is kept of each answer."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_api import AirflowError, http
from airflow_home import Airflow
from tests.e2e.airflow.lab import NIGHT, Lab, Trial, until
from tests.harness.checker import Expectation

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.airflow, pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]
ANSWERS = {
    "Publish passing rows": "known names are missing",
    "Publish all rows": "names come later",
    "Reject": "wrong night",
}
NIGHTS = {option: NIGHT + timedelta(days=number) for number, option in enumerate(ANSWERS)}
ROWS = 150


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium is installed (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def trial(lab: Lab) -> Iterator[Trial]:
    made = lab.trial("steward")
    yield made
    made.close()


@pytest.fixture(scope="module")
def asked(trial: Trial) -> dict[str, str]:
    """Three nights, each with a clean file and one that is held back; their runs by the answer that each will get, when
    all wait."""
    for day in NIGHTS.values():
        trial.drop("EWR", ROWS, day, nth=5)
        trial.drop("JFK", ROWS, day)
    runs = dict(zip(NIGHTS, trial.backfill(NIGHT, max(NIGHTS.values())), strict=True))
    until(
        lambda: {q["task_instance"]["dag_run_id"] for q in trial.airflow.asked(trial.name)} == set(runs.values()),
        "not all runs asked",
    )
    time.sleep(
        3
    )  # an answer in the first second of waiting is not taken (apache/airflow): a person is never that quick
    return runs


@pytest.fixture(scope="module")
def answered(asked: dict[str, str], trial: Trial, browser: Any) -> dict[str, str]:
    """The states of the three runs after `ann` has answered them in the browser."""
    page = signed_in(browser, trial.airflow, "ann")
    for option, run in asked.items():
        answer(page, told(trial, run, "waiting")["link"], option, ANSWERS[option])
    page.context.close()  # Airflow's pages ask and draw all the time
    return trial.airflow.wait(trial.name, asked.values(), 300)


def signed_in(browser: Any, airflow: Airflow, user: str) -> Any:
    page = browser.new_context(viewport={"width": 1366, "height": 900}, locale="en-US").new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{airflow.url}/")
    page.get_by_role("textbox").first.fill(user)
    page.locator("input[type=password]").fill(passwords(airflow)[user])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Dags", exact=True).first.wait_for()
    return page


def passwords(airflow: Airflow) -> dict[str, str]:
    found: dict[str, str] = json.loads((airflow.home / "passwords.json").read_text("utf-8"))
    return found


REQUIRED = re.compile("This field is required|flexibleForm.validationErrorRequired")
"""Airflow draws it once, by its key where the words of its language are not there yet."""


def answer(page: Any, link: str, option: str, reason: str) -> None:
    """Open the question; without a reason no answer can be given; give one."""
    from playwright.sync_api import expect

    page.goto(link)
    page.get_by_text("EWR.csv").first.wait_for()
    assert page.get_by_text("JFK.csv").count() == 0, "what passed is not asked about"
    button, field = page.get_by_role("button", name=option, exact=True), page.locator("#element_reason")
    button.wait_for()
    page.get_by_text(REQUIRED).wait_for()
    for other in ANSWERS:
        expect(page.get_by_role("button", name=other, exact=True)).to_be_disabled(timeout=60_000)
    field.fill("x")
    expect(button).to_be_enabled(timeout=60_000)
    field.fill("")
    expect(button).to_be_disabled(timeout=60_000)
    field.fill(reason)
    assert until(lambda: clicked(page, button) == 200, "the answer was never taken", pause=2)


def clicked(page: Any, button: Any) -> int:
    """The answer's HTTP status; 500 and 503 where Airflow's SQLite is busy, and a person clicks again."""
    with page.expect_response(lambda response: response.request.method == "PATCH") as sent:
        button.click()
    status: int = sent.value.status
    assert status in {200, 500, 503}, sent.value.text()
    return status


def calls(trial: Trial, run: str, event: str) -> list[dict[str, Any]]:
    """What the pipeline's notifier was told of a run, in order."""
    place = trial.lab.project / f"{trial.name}.told"
    lines = [json.loads(line) for line in place.read_text("utf-8").splitlines()] if place.exists() else []
    return [line for line in lines if (line["run"], line["event"]) == (run, event)]


def told(trial: Trial, run: str, event: str) -> dict[str, Any]:
    return until(lambda: calls(trial, run, event), f"nobody was told of {event} in {run}")[0]


def test_only_those_who_are_named_may_answer(asked: dict[str, str], trial: Trial) -> None:
    """`oda` may answer other pipelines' questions, and is not among this one's stewards."""
    with pytest.raises(AirflowError) as refused:
        put(trial, "oda", asked["Reject"], "Publish all rows", {"reason": "me too"})
    assert refused.value.status == 403
    assert "not a respondent" in str(refused.value)


def _settled(trial: Trial, run: str) -> bool:
    return trial.tasks(run).get("settle") == "success"


def test_what_passed_is_published_while_the_question_stands(asked: dict[str, str], trial: Trial) -> None:
    """The clean file of each night, to its end, as the command line does it; of the one that is held back nothing."""
    for run in asked.values():
        until(partial(_settled, trial, run), "what passed never came to its end")
        assert trial.files(run).keys() == {"JFK.csv"}
        assert trial.files(run)["JFK.csv"]["status"] == "done"
    assert {json.loads(record.value)["airport"] for record in trial.records() if record.topic == "data"} == {"JFK"}


def test_where_an_answer_is_expected_and_until_when(asked: dict[str, str], trial: Trial) -> None:
    found = {file["run_id"]: file for file in said(trial, "waiting", trial.name)["files"]}
    assert found.keys() == set(asked.values())
    for run, file in found.items():
        assert file["answer_at"] == told(trial, run, "waiting")["link"]
        assert (
            timedelta(0)
            < datetime.fromisoformat(file["until"]) - datetime.fromisoformat(file["since"])
            < timedelta(hours=2)
        )
        assert file["default"] == "reject"


def put(trial: Trial, user: str, run: str, option: str, params: dict[str, Any]) -> None:
    """An answer by the API, as a bot gives it: no form looks at it."""
    url = trial.airflow.url
    token = http("POST", f"{url}/auth/token", {"username": user, "password": passwords(trial.airflow)[user]})[
        "access_token"
    ]
    path = f"{url}/api/v2/dags/{trial.name}/dagRuns/{quote(run)}/taskInstances/steward/-1/hitlDetails"
    http("PATCH", path, {"chosen_options": [option], "params_input": params}, token)


def by_option(trial: Trial, option: str) -> tuple[Expectation, Expectation]:
    """What must come of the night's two files after that answer: of the one held back, and of the clean one."""
    number = list(NIGHTS).index(option)
    held, clean = trial.wanted[2 * number : 2 * number + 2]
    return held, clean


def test_each_answer_goes_the_rest_of_the_way(answered: dict[str, str], asked: dict[str, str], trial: Trial) -> None:
    """Passing rows, all rows, or none; the clean file of each night in any case. Then consumers are asked."""
    assert {option: answered[run] for option, run in asked.items()} == dict.fromkeys(ANSWERS, "success")
    all_rows, _ = by_option(trial, "Publish all rows")
    rejected, _ = by_option(trial, "Reject")
    day = NIGHTS["Publish all rows"]
    everything = dataclasses.replace(
        all_rows,
        aside=frozenset(),
        value_ok=lambda row, value: json.loads(value)["id"] == row and json.loads(value)["day"] == f"{day}",
    )
    trial.wanted = [everything if want is all_rows else want for want in trial.wanted if want is not rejected]
    assert trial.anomalies() == []


EXPECTED = {
    "Publish passing rows": ("publish", ROWS - ROWS // 5, ROWS // 5, 0, "done"),
    "Publish all rows": ("publish all", ROWS, 0, 0, "done"),
    "Reject": ("reject", 0, 0, ROWS, "rejected"),
}


@pytest.mark.parametrize("option", ANSWERS)
def test_who_when_and_why_are_kept_in_index_lineage_and_ledger(
    answered: dict[str, str], asked: dict[str, str], trial: Trial, option: str
) -> None:
    run, began = asked[option], datetime.now(UTC) - timedelta(hours=1)
    (indexed,) = [
        f
        for f in said(trial, "files", trial.name)["files"]
        if f["run_id"] == run and f["file"]["uri"].endswith("EWR.csv")
    ]
    counts = tuple(indexed[name] for name in ("decision", "published", "quarantined", "rejected", "status"))
    assert counts == EXPECTED[option]
    assert (indexed["decided_by"], indexed["decision_reason"]) == ("ann", ANSWERS[option])
    at = datetime.fromisoformat(indexed["decided_at"])
    assert began < at < datetime.now(UTC)
    tags = lineage(trial, run)["EWR.csv"]
    assert (tags["forebay.decided_by"], tags["forebay.decision_reason"]) == ("ann", ANSWERS[option])
    assert datetime.fromisoformat(tags["forebay.decided_at"]) == at
    assert "forebay.decided_by" not in lineage(trial, run)["JFK.csv"], "nobody decided about the clean file"
    entries = {e["fingerprint"]: e["completion"] for e in said(trial, "ledger", "show", trial.name)["files"]}
    if option == "Reject":
        assert indexed["fingerprint"] not in entries, "nothing of it was published"
    else:
        kept = entries[indexed["fingerprint"]]
        assert (kept["decision"], kept["decided_by"], kept["decision_reason"]) == (counts[0], "ann", ANSWERS[option])
        assert datetime.fromisoformat(kept["decided_at"]) == at


def said(trial: Trial, *words: str) -> dict[str, Any]:
    command = trial.lab.forebay(*words)
    out, err = command.communicate(timeout=120)
    assert command.returncode == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


def lineage(trial: Trial, run: str) -> dict[str, dict[str, str]]:
    """Tags of each input file in the run's last OpenLineage event, by file name."""
    events = [
        json.loads(line)
        for line in (trial.lab.project / ".forebay/lineage/events.jsonl").read_text("utf-8").splitlines()
    ]
    of_run = [
        e
        for e in events
        if any(t["value"] == run for t in e["run"]["facets"]["tags"]["tags"]) and e["job"]["name"] == trial.name
    ]
    return {
        Path(data["name"]).name: {tag["key"]: tag["value"] for tag in data["facets"].get("tags", {}).get("tags", [])}
        for data in of_run[-1]["inputs"]
    }


def test_the_notifier_tells_what_is_asked_and_where(asked: dict[str, str], trial: Trial) -> None:
    for run in asked.values():
        call = told(trial, run, "waiting")
        assert call["pipeline"] == "steward"
        assert call["link"].startswith(f"{trial.airflow.url}/dags/steward/runs/")
        assert "EWR.csv" in call["text"]
        assert call["said"].startswith(f"waiting {call['link']} steward ")


@pytest.mark.long
def test_what_is_published_cannot_be_rejected_when_the_question_is_asked_again(
    answered: dict[str, str], asked: dict[str, str], trial: Trial
) -> None:
    """Somebody clears the steward's task and answers otherwise: consumers have seen the rows. The same answer goes
    through, and repeats nothing."""
    run, before = asked["Publish passing rows"], trial.visible()
    for option, state in (("Reject", "failed"), ("Publish passing rows", "success")):
        trial.airflow.clear_task(trial.name, run, "steward")
        question(trial, run)
        time.sleep(3)
        put(trial, "ann", run, option, {"reason": ANSWERS["Publish passing rows"]})
        assert trial.ended([run]) == state, trial.failures(run)
        if state == "failed":
            assert "ann has answered it in Airflow" in trial.airflow.xcom(trial.name, run, "decide", "error")
    assert trial.visible() == before


# ---- answers that are none


@pytest.fixture
def waiting(lab: Lab, request: pytest.FixtureRequest) -> Iterator[tuple[Trial, str]]:
    """A trial of the pipeline that the test names, and its run, which asks."""
    made = lab.trial(request.param)
    made.drop("EWR", ROWS, nth=5)
    (run,) = made.backfill()
    yield made, run
    made.close()


@pytest.mark.parametrize("waiting", ["impatient"], indirect=True)
def test_when_nobody_answers_in_time_the_default_holds_and_says_so(waiting: tuple[Trial, str]) -> None:
    trial, run = waiting
    assert trial.ended([run]) == "success", trial.failures(run)
    file = trial.files(run, "decide")["EWR.csv"]
    assert (file["decision"], file["status"], file["decided_by"]) == ("reject", "rejected", "nobody in time")
    assert file["decision_reason"] == "no answer within 0:00:20: Reject"
    assert datetime.fromisoformat(file["decided_at"]) <= datetime.now(UTC)
    assert trial.visible() == 0
    trial.wanted.clear()
    assert trial.anomalies() == []


@pytest.mark.parametrize("waiting", ["hasty"], indirect=True)
def test_an_answer_without_a_reason_is_asked_again_and_one_too_early_is_never_lost_in_silence(
    waiting: tuple[Trial, str],
) -> None:
    """By the API, where no form is in between. The second answer comes at once, which Airflow 3.3.2 may not be able to
    take: then it asks a third time."""
    trial, run = waiting
    question(trial, run)
    time.sleep(3)
    put(trial, "admin", run, "Publish passing rows", {"reason": ""})
    again = until(lambda: calls(trial, run, "waiting")[1:], "it was not asked again")
    assert "Asked again. The answer of admin was not taken: it had no reason." in again[0]["text"]
    question(trial, run)
    put(trial, "admin", run, "Publish passing rows", {"reason": "known"})
    end = time.monotonic() + 240
    while (state := trial.airflow.state(trial.name, run)) not in {"success", "failed"}:
        assert time.monotonic() < end, trial.tasks(run)
        if len(calls(trial, run, "waiting")) > 2 and trial.airflow.asked(trial.name, run):
            time.sleep(3)
            put(trial, "admin", run, "Publish passing rows", {"reason": "known"})
        time.sleep(0.5)
    assert state == "success", trial.failures(run)
    assert trial.anomalies() == []
    assert all("came too early" in call["text"] for call in calls(trial, run, "waiting")[2:])


def question(trial: Trial, run: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = until(
        lambda: trial.airflow.asked(trial.name, run), "the steward was never asked", pause=0.05
    )
    return found[0]


@pytest.mark.parametrize("waiting", ["untold"], indirect=True)
def test_a_run_that_failed_is_told_too(waiting: tuple[Trial, str]) -> None:
    trial, run = waiting
    question(trial, run)
    until(
        lambda: trial.tasks(run)["steward"] == "awaiting_input", "the steward never waited"
    )  # marked before, its state is overwritten
    trial.airflow.mark(trial.name, run, "steward", "failed")
    assert trial.ended([run]) == "failed"
    call = told(trial, run, "run_failed")
    assert call["link"] == f"{trial.airflow.url}/dags/untold/runs/{quote(run)}"
    assert "EWR.csv" in trial.airflow.xcom(trial.name, run, "decide", "error")
    assert trial.visible() == 0


@pytest.mark.parametrize("waiting", ["contested"], indirect=True)
def test_what_was_rejected_with_the_command_is_not_published_in_airflow(waiting: tuple[Trial, str]) -> None:
    """Once 275 rows went out that a person had rejected. The second answer is refused and hears whose the first one
    was; the same one ends the run well."""
    trial, run = waiting
    question(trial, run)
    rejected = trial.lab.forebay("decide", trial.name, "--reject", "--reason", "wrong night")
    assert rejected.wait(120) == 0, rejected.communicate()
    put(trial, "admin", run, "Publish passing rows", {"reason": "looks fine"})
    assert trial.ended([run]) == "failed"
    error = trial.airflow.xcom(trial.name, run, "decide", "error")
    assert "has answered it in the command line" in error
    assert "reject, wrong night; the first answer stands" in error
    assert trial.visible() == 0
    trial.airflow.clear_task(trial.name, run, "steward")
    question(trial, run)
    time.sleep(3)
    put(trial, "admin", run, "Reject", {"reason": "so be it"})
    assert trial.ended([run]) == "success", trial.failures(run)
    assert trial.files(run, "decide")["EWR.csv"]["decision_reason"] == "wrong night"
    trial.wanted.clear()
    assert trial.anomalies() == []
