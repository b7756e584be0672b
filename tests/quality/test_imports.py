"""Great Expectations is imported fast, and what was made lazy still works."""

from __future__ import annotations

import subprocess
import sys

LAZY = """
import sys, importlib.util
from forebay.quality.imports import great_expectations, LazyFinder
great_expectations()
lazy = importlib.util._LazyModule
assert type(sys.modules["scipy.stats"]) is lazy and type(sys.modules["altair"]) is lazy
assert not any(isinstance(finder, LazyFinder) for finder in sys.meta_path)
import gc
assert gc.isenabled()
from scipy import stats
assert abs(stats.norm.cdf(0) - 0.5) < 1e-9
assert type(sys.modules["scipy.stats"]) is not lazy
import altair
assert altair.Chart.__name__ == "Chart"
great_expectations()
print("works")
"""

LOADED_BEFORE = """
import sys, scipy.stats
from forebay.quality.imports import great_expectations
before = sys.modules["scipy.stats"]
great_expectations()
assert sys.modules["scipy.stats"] is before and before.norm
print("works")
"""


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_lazy_modules_load_when_something_of_theirs_is_used() -> None:
    assert run(LAZY) == "works"


def test_modules_that_are_loaded_stay_as_they_are() -> None:
    assert run(LOADED_BEFORE) == "works"


def test_who_collects_no_garbage_still_does_not_after_the_import() -> None:
    code = (
        "import gc; gc.disable(); from forebay.quality.imports import uncollected\nwith uncollected(): "
        "pass\nprint(gc.isenabled())"
    )
    assert run(code) == "False"


def test_it_is_imported_once_a_process() -> None:
    """`ahead` imports nothing that is there, and asks for no thread then."""
    code = """
from forebay.quality import imports
imports.great_expectations()
imports.ThreadPoolExecutor = None
with imports.ahead():
    print("works")
"""
    assert run(code) == "works"
