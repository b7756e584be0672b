"""What the steward is asked, and what the answer means."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from forebay.config.pipeline import Pipeline
from forebay.model import Decision, FileRun

PASSING = "Publish passing rows"
ALL = "Publish all rows"
REJECT = "Reject"
OPTIONS = {PASSING: Decision.PUBLISH, ALL: Decision.PUBLISH_ALL, REJECT: Decision.REJECT}

NOBODY = "nobody in time"

_LISTED = 50


def default_option(pipeline: Pipeline) -> str:
    """What happens when nobody answers in time."""
    return PASSING if pipeline.quality.steward.default == "publish" else REJECT


def question(files: Iterable[FileRun], reports: Path, airflow: str = "") -> str:
    """The files that are held back, in Markdown: name, counts, why, and their quality report, on forebay's pages of the Airflow at that address."""
    asked = list(files)
    lines = [f"**{len(asked)} file(s) are held back.** *{PASSING}* sets the rows aside that failed a critical rule; "
             f"*{ALL}* publishes them too (unreadable rows stay aside); *{REJECT}* publishes nothing of these files.", ""]  # fmt: skip
    lines += [_line(file, reports, airflow) for file in asked[:_LISTED]]
    if len(asked) > _LISTED:
        lines.append(f"- … and {len(asked) - _LISTED} more")
    return "\n".join(lines)


def _line(file: FileRun, reports: Path, airflow: str) -> str:
    counts = f"{file.rows_in:,} rows, {file.quarantined:,} to be set aside"
    return f"- **{plain(file.file.uri)}**: {counts}. {plain(file.decision_reason or file.reason)}{_docs(file.docs, reports, airflow)}"


def _docs(page: Path | None, reports: Path, airflow: str) -> str:
    if page is None or not page.is_relative_to(reports):
        return ""
    return f" ([quality report]({airflow}/forebay/reports/{quote(page.relative_to(reports).as_posix())}))"


def plain(text: str) -> str:
    """Text that a partner chose (file names, values), so that Markdown and HTML show it and do nothing with it."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~<>])", r"\\\1", html.escape(text, quote=False).replace("\n", " "))


def decision(answer: dict[str, Any] | None) -> tuple[Decision, str, str, datetime | None] | None:
    """Decision, who, why and when of the HITL operator's XCom; None when nobody was asked."""
    if not answer:
        return None
    user = answer.get("responded_by_user") or {}
    who = user.get("name") or user.get("id") if isinstance(user, dict) else getattr(user, "name", str(user))
    reason = (answer.get("params_input") or {}).get("reason") or ""
    return OPTIONS[answer["chosen_options"][0]], who or NOBODY, reason, _moment(answer.get("responded_at"))


def _moment(value: Any) -> datetime | None:
    """XCom may carry it as text; as Airflow's own kind of datetime it would need pendulum wherever it is read."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return datetime.fromtimestamp(found.timestamp(), UTC) if found else None
