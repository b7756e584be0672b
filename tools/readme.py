"""Fills README's marked blocks from the files they show, so that what is shown is what is there: `python tools/readme.py [--check]`.

    <!-- pipeline: PATH -->     that file, as YAML
    <!-- session -->            docs/session.txt, a session of `make demo` as it was printed

What stands between a marker and its `<!-- end -->` is replaced; a marker without an end gets one. A source that is not there leaves its
block empty.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SESSION = "docs/session.txt"
_BLOCK = re.compile(r"(?P<marker><!-- (?:pipeline: (?P<path>\S+)|session) -->)\n(?:(?:(?!<!-- ).*\n)*?<!-- end -->\n)?")


def filled(text: str, root: Path) -> str:
    """The text with every marked block as its file says."""
    return _BLOCK.sub(lambda found: _block(found["marker"], found["path"], root), text)


def _block(marker: str, path: str | None, root: Path) -> str:
    source = root / (path or SESSION)
    if not source.exists():
        return f"{marker}\n<!-- end -->\n"
    fence = "~~~" if "```" in source.read_text("utf-8") else "```"
    return f"{marker}\n{fence}{'yaml' if path else 'text'}\n{source.read_text('utf-8').rstrip()}\n{fence}\n<!-- end -->\n"


def main(check: bool) -> int:
    """Write README.md anew; with `check` only say whether that would change it (exit 1)."""
    readme = ROOT / "README.md"
    old = readme.read_text("utf-8")
    new = filled(old, ROOT)
    if check:
        print("README.md is current" if new == old else "README.md is not what its sources say (run `make docs`)")
        return int(new != old)
    readme.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
