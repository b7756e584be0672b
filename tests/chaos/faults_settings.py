"""Settings that change in mid-file: another plan, other lanes beside a zombie (matrix.py, rows 38, 43)."""

from __future__ import annotations

import signal
from random import Random
from typing import Any

from tests.chaos.faults import fault, many_chunks, place
from tests.chaos.lab import File, Lab, Unmet

# row 38: another plan


def _other_plan(lab: Lab, rng: Random) -> tuple[File, dict[str, Any]]:
    file = lab.file(rng, rows=900, chunk=300)
    lab.attempt(file, f"{place('after_commit', rng.randrange(2))}:kill9").must(-signal.SIGKILL)
    return file, {"chunk": rng.choice([130, 220, 410])}


@fault(
    "38", "the chunk plan changes between two attempts at one file: refused; the old plan finishes it", harm="change"
)
def plan_changed(lab: Lab, rng: Random) -> int:
    file, other = _other_plan(lab, rng)
    answer = lab.attempt(file, **other)
    if answer.said.get("error") != "PlanChangedError":
        raise Unmet(f"not refused: {answer}")
    lab.finish(file)
    return 1


@fault("38", "control: the same, the plan not compared (rule C4 off)", harm="change", finds="torn duplicate lost-write")
def control_plan_unchecked(lab: Lab, rng: Random) -> int:
    file, other = _other_plan(lab, rng)
    lab.attempt(file, off=["check_plan"], **other)
    return 1


# row 43: settings changed in mid-file


def _settings(rng: Random, but: int) -> dict[str, Any]:
    """Settings that decide no record, drawn anew; `lanes` is another number than `but`."""
    lanes = rng.choice([n for n in range(1, 65) if n != but])
    client = {
        "linger.ms": rng.choice([0, 5, 100]),
        "compression.type": rng.choice(["none", "lz4", "zstd"]),
        "batch.size": rng.choice([16_384, 10**6]),
    }
    return {"lanes": lanes, "timeout": rng.choice(["5s", "10s", "20s"]), "config": client}


@fault(
    "43",
    "settings changed beside a zombie: SIGSTOP at a random step, a successor with other settings runs to the "
    "end, SIGCONT",
    harm="zombie",
    seconds=5,
)
def settings_beside_zombie(lab: Lab, rng: Random) -> int:
    """Lanes, transaction timeout and the client's settings are others for each of the two."""
    _zombie_and_successor(lab, rng, {})
    return 1


@fault(
    "43", "the same, the first attempt one of a version whose ids came from `publish.lanes`", harm="zombie", seconds=6
)
def settings_beside_earlier_zombie(lab: Lab, rng: Random) -> int:
    _zombie_and_successor(lab, rng, {"earlier": True}, home=str(lab.scratch / f"home-{rng.randrange(10**9)}"))
    return 1


def _zombie_and_successor(lab: Lab, rng: Random, first: dict[str, Any], **more: Any) -> None:
    file = lab.file(rng)
    lanes = rng.randint(1, 64)
    step = rng.choice(["after_barrier", "mid_produce", "after_flush", "after_ledger"])
    chunk = 0 if step == "after_barrier" else rng.randrange(file.chunks)
    zombie = lab.start(file, f"{place(step, chunk)}:stop", lanes=lanes, **first)
    zombie.stops()
    lab.finish(file, **_settings(rng, lanes), **more)
    zombie.send(signal.SIGCONT)
    zombie.answer(60)


@fault(
    "43", "settings changed between kills: each attempt dies with other ones, then one finishes", harm="kill", seconds=5
)
def settings_between_kills(lab: Lab, rng: Random) -> int:
    file = many_chunks(lab, rng, rng.randint(5, 7))
    kills = sorted(rng.sample(range(file.chunks), rng.randint(2, 4)))
    lanes = 2
    for chunk in kills:
        new = _settings(rng, lanes)
        lanes = new["lanes"]
        lab.attempt(
            file,
            f"{place(rng.choice(['mid_produce', 'after_flush', 'after_ledger', 'after_commit']), chunk)}:kill9",
            **new,
        ).must(-signal.SIGKILL)
    lab.finish(file, **_settings(rng, lanes))
    return len(kills)


@fault(
    "43",
    "control: the same beside a zombie, with ids that move with `publish.lanes`",
    harm="zombie",
    finds="duplicate",
    seconds=6,
)
def control_ids_move(lab: Lab, rng: Random) -> int:
    file = lab.file(rng, rows=900, chunk=300)
    zombie = lab.start(file, f"{place('after_flush', rng.randrange(3))}:stop", lanes=4, earlier=True, timeout="60s")
    zombie.stops()
    lab.finish(file, lanes=_other_lane(file, 4), earlier=True)
    zombie.send(signal.SIGCONT)
    zombie.answer(90)
    return 1


def _other_lane(file: File, lanes: int) -> int:
    """A number of lanes under which an earlier version took another lane for this file."""
    first = int(file.want.fingerprint[:8], 16)
    return next(n for n in range(2, 65) if first % n != first % lanes)
