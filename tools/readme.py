"""Fills the marked blocks of README.md and docs/session.md from the files they show, so that what is shown is what is
there: `python tools/readme.py [--check]`.

    <!-- pipeline: PATH -->     that file, as YAML
    <!-- session -->            docs/session.txt, a session of `make demo` as it was printed
    <!-- session: N -->         its part N

What stands between a marker and its `<!-- end -->` is replaced; a marker without an end gets one. A source that is not
there leaves its block empty.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SESSION = "docs/session.txt"
PAGES = ("README.md", "docs/session.md")
_BLOCK = re.compile(
    r"(?P<marker><!-- (?:pipeline: (?P<path>\S+)|session(?:: (?P<part>\d+))?) -->)\n(?:(?:(?!<!-- ).*\n)*?<!-- "
    r"end -->\n)?"
)
_PART = re.compile(r"^── (\d+)\. .*\n((?:(?!── ).*\n?)*)", re.M)


def filled(text: str, root: Path) -> str:
    """The text with every marked block as its file says."""
    return _BLOCK.sub(lambda match: _block(match["marker"], match["path"], match["part"], root), text)


def _block(marker: str, path: str | None, part: str | None, root: Path) -> str:
    source = root / (path or SESSION)
    if not source.exists():
        return f"{marker}\n<!-- end -->\n"
    shown = source.read_text("utf-8")
    if part:
        shown = dict(_PART.findall(shown))[part]
    fence = "~~~" if "```" in shown else "```"
    return f"{marker}\n{fence}{'yaml' if path else 'text'}\n{shown.rstrip()}\n{fence}\n<!-- end -->\n"


def main(check: bool) -> int:
    """Write the pages anew; with `check` only say which of them that would change (exit 1)."""
    stale = [
        page for page in map(ROOT.joinpath, PAGES) if filled(page.read_text("utf-8"), ROOT) != page.read_text("utf-8")
    ]
    for page in stale:
        if check:
            print(f"{page.relative_to(ROOT)} is not what its sources say (run `make docs`)")
        else:
            page.write_text(filled(page.read_text("utf-8"), ROOT), "utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
