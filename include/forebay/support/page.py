"""The frame that every page of forebay has, as a template of Jinja: one style sheet, allowed by its hash, and nothing
that runs or is loaded. Quality pages and Data Docs extend it, each with rules of their own for what only they show.

It lies here because those who make pages are blind to each other.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
NAME = "frame.html"
"""What a template extends."""


@cache
def template() -> str:
    """Blocks `title`, `header`, `main` and `footer`; wants `style` (as `style`) and `policy` (as `policy`)."""
    return (HERE / "page.html").read_text(encoding="utf-8")


@cache
def style(own: Path) -> str:
    """The style sheet of pages whose own rules stand in that file."""
    return (HERE / "page.css").read_text(encoding="utf-8") + own.read_text(encoding="utf-8")


@cache
def policy(own: Path) -> str:
    """The content security policy of those pages: the style sheet by its hash, no script, no network."""
    digest = base64.b64encode(hashlib.sha256(style(own).encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
