"""`make up`, `make demo-up` and `make down`: Airflow and the broker left running, with whatever runs the home holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools")]

import airflow_home  # noqa: E402 (a neighbour of this script)


def forebay(*words: str) -> None:
    subprocess.run([str(Path(sys.executable).with_name("forebay")), *words], cwd=ROOT, check=False)


def up() -> None:
    """Start both (or find them running) and say where to click."""
    forebay("broker", "start")
    airflow = airflow_home.Airflow(ROOT)
    airflow.start()
    print(f"Airflow  {airflow.url}   user {airflow.user}   password {airflow.password}")
    home = f"FOREBAY_HOME={os.environ['FOREBAY_HOME']} " if os.environ.get("FOREBAY_HOME") else ""
    print(f"Kafka    eval $({home}.venv/bin/forebay broker env)")
    print("Look at  DAG `flights` → a run → Graph; a run that waits for a steward is under `Required Actions`")
    print("Stop     make down")


def demo_up() -> None:
    """As `up`, in the demo's home."""
    os.environ["FOREBAY_HOME"] = str(airflow_home.DEMO_HOME)
    up()


def down() -> None:
    """Stop both, here and in the demo's home; what they hold stays."""
    _down()
    if airflow_home.DEMO_HOME.is_dir():
        os.environ["FOREBAY_HOME"] = str(airflow_home.DEMO_HOME)
        _down()


def _down() -> None:
    airflow_home.Airflow(ROOT).stop()
    forebay("broker", "stop")


if __name__ == "__main__":
    {"up": up, "demo-up": demo_up, "down": down}[sys.argv[1]]()
