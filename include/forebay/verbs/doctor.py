"""doctor: whether the conditions of the promise are met, here and on the cluster, before anything is published."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from forebay.errors import BrokerUnavailableError
from forebay.kafka.doctor import checks
from forebay.kafka.doctor.checks import Finding, Level
from forebay.support.folders import OTHERS, size_of
from forebay.verbs.context import Context

__all__ = ["Finding", "Level", "doctor", "exit_code"]

LITTLE, NOTHING = 2 * 1024**3, 100 * 1024**2  # bytes


def doctor(ctx: Context) -> tuple[Finding, ...]:
    """Everything that was looked at for one pipeline; changes and starts nothing."""
    here = (_room(ctx.project.home), *_use(ctx.project.home), *_owner(ctx.project.home))
    try:
        config = ctx.kafka
    except BrokerUnavailableError as error:
        return (*here, Finding(Level.FAIL, "connection", error.message, unreachable=True))
    return (*here, *checks.check(config, ctx.pipeline, ctx.keep))


def _room(home: Path) -> Finding:
    """Snapshots and stages of whole files lie in the home."""
    there = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    what = f"{free / 1024**3:.1f} GiB free for `{home}`"
    if free >= LITTLE:
        return Finding(Level.OK, "disk", what)
    level = Level.FAIL if free < NOTHING else Level.WARN
    return Finding(
        level,
        "disk",
        what,
        "each file is copied and staged there before it is published",
        "make room, or set FOREBAY_HOME",
    )


def _use(home: Path) -> tuple[Finding, ...]:
    """What the home holds, folder by folder, the largest first."""
    if not home.is_dir():
        return ()
    sizes = {folder.name: size_of(folder) for folder in home.iterdir() if folder.is_dir() and not folder.is_symlink()}
    parts = [
        f"{name} {size / 1024**2:,.1f} MiB" for name, size in sorted(sizes.items(), key=lambda pair: -pair[1]) if size
    ]
    return (
        Finding(
            Level.OK,
            "disk use",
            f"{sum(sizes.values()) / 1024**2:,.1f} MiB in `{home}`: {', '.join(parts) or 'nothing yet'}",
        ),
    )


def _owner(home: Path) -> tuple[Finding, ...]:
    """Stages, lists and reports hold what partners wrote. forebay makes its folders for their owner alone; a home that
    was there before stays as it is."""
    if not home.is_dir():
        return ()
    mode = home.stat().st_mode & 0o777
    if not mode & OTHERS:
        return (Finding(Level.OK, "home", f"`{home}` is its owner's alone"),)
    what, why = f"`{home}` has mode {mode:04o}", "others of this machine may read rows of files there"
    return (Finding(Level.WARN, "home", what, why, f"chmod -R go-rwx {shlex.quote(str(home))}"),)


def exit_code(findings: tuple[Finding, ...]) -> int:
    """0 when nothing fails, 4 when something could not be reached, else 2."""
    failed = [finding for finding in findings if finding.level is Level.FAIL]
    if not failed:
        return 0
    return 4 if any(finding.unreachable for finding in failed) else 2
