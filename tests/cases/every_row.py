"""Writes CSV files whose bad record stands first behind a multiple of 8,000,000 bytes (where a parallel scan cuts), and
prints what must become of them.

python every_row.py FOLDER [SEED] [FILES]        columns: id,a,b ; one JSON line a file: {"file", "rows", "bad", "kind"}
"""

import json
import pathlib
import random
import sys
from typing import NamedTuple

CUT = 8_000_000


class Written(NamedTuple):
    """How many rows a file has, and of how many the kind of fault is `kind`."""

    file: str
    rows: int
    bad: int
    kind: str


def write(path: pathlib.Path, random_: random.Random, kind: str, quoted: bool) -> Written:
    size, width = random_.randrange(8_200_000, 34_000_000), random_.randrange(60, 240)
    last, written, rows, bad, placed, lines = size // CUT * CUT, 7, 0, 0, False, ["id,a,b\n"]
    while written < size:
        rows += 1
        middle = f'"x,{rows % 7}"' if quoted and rows % 3 else f"x{rows % 7}"
        line = f"{rows:09d},{middle},"
        line += "z" * max(1, width - len(line) - 1) + "\n"
        if (not placed and written >= last) or random_.random() < 0.00001:
            placed, bad = placed or written >= last, bad + 1
            line = {"long": f"{rows:09d},x,y,zz\n", "short": f"{rows:09d},x\n", "one": f"{rows:09d}\n"}[kind]
        lines.append(line)
        written += len(line)
    path.write_text("".join(lines))
    return Written(path.name, rows, bad, kind)


if __name__ == "__main__":
    folder, seed, files = pathlib.Path(sys.argv[1]), int([*sys.argv, "1"][2]), int([*sys.argv, "1", "6"][3])
    folder.mkdir(parents=True, exist_ok=True)
    source = random.Random(seed)
    for n in range(files):
        print(json.dumps(write(folder / f"f{n}.csv", source, ["long", "short", "one"][n % 3], bool(n % 2))._asdict()))
