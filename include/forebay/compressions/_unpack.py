"""placeholder until the compressions land"""
from pathlib import Path
def unpack(path: Path, name: str, setting: str, into: Path) -> Path:
    return path
