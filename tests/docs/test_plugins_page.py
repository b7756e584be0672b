"""The example of docs/plugins.md, taken by its word: its two files, laid where the page says, pass the inherited suite
and the guards."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = re.compile(r"<!-- file: (\S+) -->\n```python\n(.+?)```", re.S)


def test_the_example_is_a_plugin_as_written(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "include", tmp_path / "include", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for part in ("__init__.py", "partitioners/__init__.py"):
        origin, copy = ROOT / "tests" / part, tmp_path / "tests" / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(origin, copy) if origin.is_dir() else shutil.copy(origin, copy)
    files = dict(FILE.findall((ROOT / "docs/plugins.md").read_text("utf-8")))
    for path, text in files.items():
        (tmp_path / path).write_text(text, "utf-8")
    assert set(files) == {"include/forebay/partitioners/prefix.py", "tests/partitioners/test_prefix.py"}
    known = (
        'from forebay import registry\nassert registry.names("partitioners") == ("murmur2", "prefix"), '
        'registry.names("partitioners")'
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'include'}{os.pathsep}{tmp_path}"}
    subprocess.run([sys.executable, "-c", known], check=True, env=environment, cwd=tmp_path)
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/partitioners"]
    done = subprocess.run(suite, check=False, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b1[0-9] passed", done.stdout), done.stdout
