"""The frame of every Data Docs page: our one style sheet, allowed by its hash, and nothing that runs or is loaded."""

from __future__ import annotations

import base64
import hashlib
import html
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from forebay.support.words import printable

_FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<p class="where">{where}</p>
<h1>{title}</h1>
<p>{told}</p>
</header>
<main>
{main}
</main>
</body>
</html>
"""


def frame(title: str, where: str, told: str, main: str) -> str:
    """A page. `title` and `told` are text; `where` (links) and `main` are HTML."""
    texts = {"title": html.escape(title), "told": html.escape(told)}
    return _FRAME.format(policy=html.escape(policy()), style=style(), where=where, main=main, **texts)


def readable(text: str) -> str:
    """A name as its partner wrote it: without percent-encoding, and with what a page would not show written as its
    escape."""
    return printable(unquote(text))


@cache
def policy() -> str:
    """The pages' content security policy: the style sheet by its hash, no script, no network."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def style() -> str:
    return (Path(__file__).parent / "docs.css").read_text(encoding="utf-8")
