"""What is installed elsewhere: the wheel holds every module of the engine, the suites and the types included."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def _wheel(folder: Path) -> Path:
    """A wheel of a copy of the sources: setuptools leaves files of its own beside them."""
    hide = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "include/forebay", folder / "include/forebay", ignore=hide)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    subprocess.run([sys.executable, "-c", BUILD, folder], cwd=folder, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def test_the_wheel_holds_every_module_and_its_types(tmp_path: Path) -> None:
    with zipfile.ZipFile(_wheel(tmp_path)) as wheel:
        held = {name for name in wheel.namelist() if name.startswith("forebay/")}
        [metadata] = [wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA")]
    modules = {str(path.relative_to(ROOT / "include")) for path in (ROOT / "include/forebay").rglob("*.py")}
    assert {"forebay/py.typed", "forebay/testing/sources.py", *modules} <= held
    assert "Provides-Extra: testing" in metadata
