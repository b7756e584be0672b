"""Great Expectations, imported once per process, on use, and without what it does not need for this work.

`import great_expectations` loads scipy (1 s) and altair (0.3 s) for a few expectations and charts. Here both become
lazy modules: they load when something of theirs is first used. Nothing else is made lazy, because a lazy module is
process-wide: only packages that forebay itself never touches from other threads are safe.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.abc
import importlib.util
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

LAZY = frozenset({"scipy", "altair"})

_lock = threading.Lock()


class LazyFinder(importlib.abc.MetaPathFinder):
    """Finds modules of some packages as the other finders would, and lets them load on first use
    (`importlib.util.LazyLoader`)."""

    def __init__(self, packages: frozenset[str]) -> None:
        self.packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in self.packages:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = importlib.util.LazyLoader(spec.loader)  # type: ignore[arg-type]
        return spec


@contextmanager
def lazily(packages: frozenset[str]) -> Iterator[None]:
    """Within it, modules of these packages that are not loaded yet are imported lazily."""
    finder = LazyFinder(packages)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def quietly() -> Iterator[None]:
    """Within it, Great Expectations' deprecation warnings and log lines below ERROR are not shown; its errors are
    raised by `check`.

    Nor does it print: standard output belongs to the command's answer (UnexpectedRowsExpectation prints a hint there).
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def uncollected() -> Iterator[None]:
    """Within it, Python does not look for garbage: an import makes half a million objects that stay, and looking
    through them again and again is a sixth of its time. Process-wide, and short."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextmanager
def ahead(wanted: bool = True) -> Iterator[None]:
    """Import Great Expectations (2 to 3 s) in a thread while the body runs, which must be what comes before the check
    anyway: fetching, staging.

    Joined at the end of the body: what the import redirects for the whole process is back in place before anybody else
    does so. Meanwhile threads take turns ten times as often: a body that calls C for each block would else wait 5 ms
    each time it comes back to Python.
    """
    if not wanted or "great_expectations" in sys.modules:
        yield
        return
    interval = sys.getswitchinterval()
    with ThreadPoolExecutor(1, thread_name_prefix="forebay-import") as pool:
        imported = pool.submit(great_expectations)
        try:
            sys.setswitchinterval(interval / 10)
            yield
        finally:
            sys.setswitchinterval(interval)
        imported.result()


def great_expectations() -> ModuleType:
    """The package, with forebay's DuckDB data source known to it."""
    with _lock, quietly(), lazily(LAZY), uncollected():
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        os.environ.setdefault(
            "TQDM_DISABLE", "1"
        )  # read when tqdm is imported; the context's progress_bars do the rest
        logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
        import great_expectations
        import great_expectations.expectations  # registers the expectations

        from forebay.quality import engine, providers

        del engine, providers  # imported for what they register
        return great_expectations
