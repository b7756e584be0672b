"""What the steward is asked, and what the answer means."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from forebay.config.pipeline import Pipeline
from forebay.model import Answer, Decision, FileRun
from forebay.support.words import counted

PASSING = "Publish passing rows"
ALL = "Publish all rows"
REJECT = "Reject"
OPTIONS = {PASSING: Decision.PUBLISH, ALL: Decision.PUBLISH_ALL, REJECT: Decision.REJECT}

NOBODY = "nobody in time"

_LISTED = 50


def default_option(pipeline: Pipeline) -> str:
    """What happens when nobody answers in time."""
    return PASSING if pipeline.quality.steward.default == "publish" else REJECT


def question(
    files: Iterable[FileRun], reports: Path, airflow: str = "", before: Mapping[str, str] | None = None
) -> str:
    """The files that are held back, in Markdown: name, counts, why, and their quality report, on forebay's pages of the
    Airflow at that address.

    `before`: what was answered when the same content was asked about earlier, by uri.
    """
    asked = list(files)
    lines = [
        f"**{len(asked)} file(s) are held back.** *{PASSING}* quarantines the rows that failed a critical rule; "
        f"*{ALL}* publishes them too (unreadable rows stay quarantined); *{REJECT}* publishes nothing of these files.",
        "",
    ]
    for file in asked[:_LISTED]:
        lines.append(_line(file, reports, airflow))
        if before and file.file.uri in before:
            lines.append(f"    - asked before: {plain(before[file.file.uri])}")
    if len(asked) > _LISTED:
        lines.append(f"- … and {len(asked) - _LISTED} more")
    return "\n".join(lines)


def _line(file: FileRun, reports: Path, airflow: str) -> str:
    counts = f"{counted(file.counts.rows_in, 'row')}, {file.counts.quarantined:,} to be quarantined"
    return (
        f"- **{plain(file.file.uri)}**: {counts}. "
        f"{plain((file.answer and file.answer.reason) or file.reason)}{_docs(file.docs, reports, airflow)}"
    )


def _docs(page: Path | None, reports: Path, airflow: str) -> str:
    if page is None or not page.is_relative_to(reports):
        return ""
    return f" ([quality report]({airflow}/forebay/reports/{quote(page.relative_to(reports).as_posix())}))"


def plain(text: str) -> str:
    """Text that a partner chose (file names, values), so that Markdown and HTML show it and do nothing with it."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~<>])", r"\\\1", html.escape(text, quote=False).replace("\n", " "))


def answer(said: dict[str, Any] | None) -> Answer | None:
    """The HITL operator's XCom as an answer; None when nobody was asked."""
    if not said:
        return None
    user = said.get("responded_by_user") or {}
    who = user.get("name") or user.get("id") if isinstance(user, dict) else getattr(user, "name", str(user))
    reason = (said.get("params_input") or {}).get("reason") or ""
    at = _moment(said.get("responded_at")) or datetime.now(UTC)
    return Answer(OPTIONS[said["chosen_options"][0]], who or NOBODY, reason, at, "Airflow", bool(who))


def _moment(value: Any) -> datetime | None:
    """XCom may carry it as text; as Airflow's own kind of datetime it would need pendulum wherever it is read."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return datetime.fromtimestamp(moment.timestamp(), UTC) if moment else None
