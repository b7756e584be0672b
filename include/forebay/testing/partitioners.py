"""What every partitioner must do; a plug-in's test inherits `PartitionerContract` and supplies `make_partitioner`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from forebay.contracts import Partitioner

KEYS = [
    b"",
    b"a",
    b"ab",
    b"abc",
    b"abcd",
    b"abcde",
    b"\x00",
    b"\xff" * 7,
    b"x" * 10_000,
    "ключ".encode(),
    b"a",
    b"",
] + [b"%d" % n for n in range(500)]

OTHER_PROCESS = """
import json, sys, importlib
import pyarrow as pa
module, name, config = sys.argv[1:4]
plugin = getattr(importlib.import_module(module), name)
keys = pa.array([bytes.fromhex(k) for k in json.load(sys.stdin)], pa.binary())
print(json.dumps(plugin(plugin.Config(**json.loads(config))).assign(keys, 12).to_pylist()))
"""


class PartitionerContract:
    """A pure function of key bytes and partition count."""

    def make_partitioner(self, **options: Any) -> Partitioner[Any]:
        raise NotImplementedError

    def assign(self, keys: list[bytes], partitions: int) -> list[int]:
        return self.make_partitioner().assign(pa.array(keys, pa.binary()), partitions).to_pylist()

    @pytest.mark.parametrize("partitions", [1, 2, 3, 12, 997, 100_000])
    def test_one_int32_per_key_in_range(self, partitions: int) -> None:
        assigned = self.make_partitioner().assign(pa.array(KEYS, pa.binary()), partitions)
        assert assigned.type == pa.int32()
        assert len(assigned) == len(KEYS)
        assert assigned.null_count == 0
        assert 0 <= pc.min(assigned).as_py() <= pc.max(assigned).as_py() < partitions

    def test_equal_keys_go_together(self) -> None:
        partition_of = dict(zip(KEYS, self.assign(KEYS, 12), strict=True))
        assert [partition_of[key] for key in KEYS] == self.assign(KEYS, 12)

    def test_slicing_changes_nothing(self) -> None:
        keys, partitioner = pa.array(KEYS, pa.binary()), self.make_partitioner()
        whole = partitioner.assign(keys, 12)
        assert partitioner.assign(keys.slice(5, 9), 12).equals(whole.slice(5, 9))
        assert [partitioner.assign(keys.slice(n, 1), 12)[0].as_py() for n in range(len(keys))] == whole.to_pylist()

    def test_no_keys(self) -> None:
        assert self.assign([], 3) == []

    def test_the_same_in_another_process(self) -> None:
        plugin = type(self.make_partitioner())
        call = [
            sys.executable,
            "-c",
            OTHER_PROCESS,
            plugin.__module__,
            plugin.__name__,
            self.make_partitioner().config.model_dump_json(),
        ]
        keys = json.dumps([key.hex() for key in KEYS])
        done = subprocess.run(
            call, input=keys, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "4711"}
        )
        assert json.loads(done.stdout) == self.assign(KEYS, 12)

    def test_settings_are_strict(self) -> None:
        with pytest.raises(ValidationError, match="no_such_setting"):
            self.make_partitioner(no_such_setting=1)
