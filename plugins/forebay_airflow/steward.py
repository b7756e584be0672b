"""What the steward is asked, and what the answer means."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

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


def question(files: Iterable[FileRun]) -> str:
    """The files that are held back, in Markdown: name, counts, why, and where the quality report lies."""
    asked = list(files)
    lines = [f"**{len(asked)} file(s) are held back.** *{PASSING}* sets the rows aside that failed a critical rule; "
             f"*{ALL}* publishes them too (unreadable rows stay aside); *{REJECT}* publishes nothing of these files.", ""]  # fmt: skip
    lines += [_line(file) for file in asked[:_LISTED]]
    if len(asked) > _LISTED:
        lines.append(f"- … and {len(asked) - _LISTED} more")
    return "\n".join(lines)


def _line(file: FileRun) -> str:
    counts = f"{file.rows_in:,} rows, {file.quarantined:,} to be set aside"
    docs = f"; quality report: `{file.docs}`" if file.docs else ""
    return f"- **{plain(file.file.uri)}**: {counts}. {plain(file.decision_reason or file.reason)}{docs}"


def plain(text: str) -> str:
    """Text that a partner chose (file names, values), so that Markdown and HTML show it and do nothing with it."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~<>])", r"\\\1", html.escape(text, quote=False).replace("\n", " "))


def decision(answer: dict[str, Any] | None) -> tuple[Decision, str, str] | None:
    """Decision, who and why of the HITL operator's XCom; None when nobody was asked."""
    if not answer:
        return None
    user = answer.get("responded_by_user") or {}
    who = user.get("name") or user.get("id") if isinstance(user, dict) else getattr(user, "name", str(user))
    reason = (answer.get("params_input") or {}).get("reason") or ""
    return (
        OPTIONS[answer["chosen_options"][0]],
        who or NOBODY,
        reason or (f"no answer before the time was up: {answer['chosen_options'][0]}" if not who else ""),
    )
