"""A pipeline's nights and rules over time, from the index's rows: pure functions.

A night is judged by the last word on each of its files, whichever run said it; a later run that merely finds a file
published says nothing new. A replay is no file of the night: its rows are counted with the file that they come from.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from forebay.model import Fate, Severity, Status
from forebay.pages import freshness
from forebay.pages.values import Night, RuleNight, RuleTrend, State, Watch

Row = dict[str, Any]

PASSIVE = {Fate.PUBLISHED.value, Fate.DUPLICATE.value, Fate.IGNORED.value}
ABANDONED = timedelta(days=1)
"""A run that began longer ago and has not ended never will."""


def last_words(files: Iterable[Row]) -> dict[str, list[Row]]:
    """The files of each day (`ds`), each once, without replays. `files`: the last word last."""
    active: dict[tuple[str, str], Row] = {}
    passive: dict[tuple[str, str], Row] = {}
    for row in (row for row in files if row["origin"] is None):
        (passive if row["fate"] in PASSIVE else active)[row["ds"], row["uri"]] = row
    words: dict[str, list[Row]] = defaultdict(list)
    for (ds, _), row in sorted((passive | active).items()):
        words[ds].append(row)
    return words


def replays(files: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """The replays of each content, by its uri and `fingerprint[:16]`: with those digits a replay's own fingerprint
    begins."""
    by_origin: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in files:
        if row["origin"] and row["published"]:
            by_origin[row["origin"], row["fingerprint"][:16]].append(row)
    return by_origin


def _replayed(file: Row, repaired: dict[tuple[str, str], list[Row]]) -> int:
    """How many of a file's quarantined rows are published by now: no row is replayed twice."""
    repairs = repaired.get((file["uri"], (file["fingerprint"] or "")[:16]), [])
    return min(file["quarantined"], sum(repair["published"] for repair in repairs))


def nights(runs: list[Row], files: list[Row], rules: list[Row], watched: Watch | None, now: datetime) -> list[Night]:
    """The days that have a run other than a replay, oldest first. Rows as `queries.night_runs`, `night_files` and
    `night_rules` give them."""
    words = last_words(files)
    failed = _failed_rules(words, rules)
    first_run = datetime.fromisoformat(runs[0]["started"]) if runs else now
    ended = _first_good_end(runs, files)
    by_day: dict[str, list[Row]] = defaultdict(list)
    for run in runs:
        if run["trigger"] != "replay":
            by_day[run["ds"]].append(run)
    days, repaired = [], replays(files)
    for ds in sorted(by_day):
        rows = [file | {"replayed": _replayed(file, repaired)} for file in words.get(ds, [])]
        night = _night(date.fromisoformat(ds), by_day[ds], rows, failed.get(ds, 0), now)
        late = freshness.late_hours(watched, night.day, first_run, ended[ds]) if watched and ds in ended else None
        days.append(dataclasses.replace(night, late_hours=late))
    return days


def _night(day: date, runs: list[Row], files: list[Row], failed_rules: int, now: datetime) -> Night:
    seen = [file for file in files if file["fate"] != Fate.IGNORED.value]
    state, note = judged(runs[-1], seen, failed_rules, now)
    sums = {
        name: sum(file[name] for file in seen)
        for name in ("rows_in", "published", "quarantined", "rejected", "replayed")
    }
    ended = max((datetime.fromisoformat(run["ended"]) for run in runs if run["ended"]), default=None)
    return Night(day, state, files=len(seen), failed_rules=failed_rules, ended=ended, note=note, **sums)


def judged(run: Row, files: list[Row], failed_rules: int, now: datetime) -> tuple[State, str]:
    """The night's state, the worst first, and why. `run` is its last run."""
    if run["status"] == "running":
        began = datetime.fromisoformat(run["started"])
        if now - began < ABANDONED:
            return State.RUNNING, f"run {run['run_id']} began {began:%Y-%m-%d %H:%M}"
        return State.FAILED, f"run {run['run_id']} began {began:%Y-%m-%d %H:%M} and never ended"
    for status, state in (
        (Status.FAILED, State.FAILED),
        (Status.WAITING, State.WAITING),
        (Status.REJECTED, State.REJECTED),
    ):
        reasons = [file["error"] or file["reason"] for file in files if file["status"] == status.value]
        if reasons:
            return state, _first(reasons)
    if run["status"] in {"failed", "interrupted"}:
        return State.FAILED, run["note"] or ""
    waiting = [file["reason"] for file in files if file["fate"] == Fate.INCOMPLETE.value]
    if waiting or (not files and run["status"] == "not ready"):
        return State.INCOMPLETE, _first(waiting) if waiting else run["note"]
    return _well(files, failed_rules), ("" if files else run["note"] or "")


def _well(files: list[Row], failed_rules: int) -> State:
    if not files:
        return State.EMPTY
    if any(file["quarantined"] > file["replayed"] for file in files):
        return State.QUARANTINED
    if any(file["quarantined"] for file in files):
        return State.REPAIRED
    if failed_rules:
        return State.WARNINGS
    return State.QUIET if all(file["status"] == Status.SKIPPED.value for file in files) else State.OK


def _first(reasons: list[str]) -> str:
    """What the first of several files says, and how many others say something else."""
    others = len(reasons) - reasons.count(reasons[0])
    return f"{reasons[0]} (and {others} more file{'s' if others > 1 else ''})" if others else reasons[0]


def _first_good_end(runs: list[Row], files: list[Row]) -> dict[str, datetime]:
    """By day: when the first run ended that brought a file of it to its end."""
    brought = {(file["ds"], file["run_id"]) for file in files if file["status"] == Status.DONE.value}
    ends: dict[str, datetime] = {}
    for run in runs:
        if run["ended"] and (run["ds"], run["run_id"]) in brought:
            ended = datetime.fromisoformat(run["ended"])
            ends[run["ds"]] = min(ended, ends.get(run["ds"], ended))
    return ends


def _spoken(words: dict[str, list[Row]], rules: Iterable[Row]) -> Iterable[Row]:
    """The rules' answers that belong to the last word on a file."""
    valid = {(file["run_id"], file["uri"]) for files in words.values() for file in files}
    return (rule for rule in rules if (rule["run_id"], rule["uri"]) in valid)


def _failed_rules(words: dict[str, list[Row]], rules: Iterable[Row]) -> dict[str, int]:
    """How many rules failed by day; those of severity `info` are no reason to look, and are not counted."""
    failed: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for rule in _spoken(words, rules):
        if not rule["success"] and rule["severity"] != Severity.INFO.value:
            failed[rule["ds"]].add((rule["rule"], rule["position"]))
    return {ds: len(names) for ds, names in failed.items()}


def trends(files: list[Row], rules: list[Row]) -> list[RuleTrend]:
    """Every rule over the nights, in the order of the newest suite; a rule is known by name, columns, severity and its
    place among its equals."""
    answers: dict[tuple[str, str, str, str, int], dict[date, list[Row]]] = defaultdict(lambda: defaultdict(list))
    newest: dict[tuple[str, str, str, str, int], tuple[str, int]] = {}
    twins: dict[tuple[Any, ...], int] = defaultdict(int)
    for rule in _spoken(last_words(files), rules):
        name = (rule["rule"], rule["columns"], rule["severity"], rule["kind"])
        place = (rule["run_id"], rule["uri"], *name)
        key = (*name, twins[place])
        twins[place] += 1
        answers[key][date.fromisoformat(rule["ds"])].append(rule)
        newest[key] = max(newest.get(key, ("", 0)), (rule["ds"], -rule["position"]))
    order = sorted(answers, key=lambda key: newest[key], reverse=True)
    return [
        RuleTrend(k[0], k[1], Severity(k[2]), k[3], {day: _over(given) for day, given in answers[k].items()})
        for k in order
    ]


def _over(answers: list[Row]) -> RuleNight:
    """One rule's answer over all files of a night."""
    success = all(answer["success"] for answer in answers)
    observed = next((answer["observed"] for answer in answers if not answer["success"]), answers[-1]["observed"])
    counted = [answer for answer in answers if answer["unexpected"] is not None]
    if not counted:
        return RuleNight(success, observed=observed)
    return RuleNight(success, sum(o["unexpected"] for o in counted), sum(o["checked"] or 0 for o in counted), observed)
