from __future__ import annotations

from typing import Any

import confluent_kafka
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.partitioners.murmur2 import Murmur2, Murmur2Config, murmur2
from forebay.testing.partitioners import PartitionerContract

# org.apache.kafka.common.utils.UtilsTest.testMurmur2
JAVA = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


class TestMurmur2(PartitionerContract):
    def make_partitioner(self, **options: Any) -> Murmur2:
        return Murmur2(Murmur2Config(**options))

    def test_java_vectors_together(self) -> None:
        found = murmur2(pa.array([key.encode() for key in JAVA], pa.binary()))
        assert found.view(np.int32).tolist() == list(JAVA.values())

    @pytest.mark.parametrize(("key", "java"), JAVA.items())
    def test_java_partition(self, key: str, java: int) -> None:
        assert self.assign([key.encode()], 12) == [(java & 0x7FFFFFFF) % 12]

    @given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 5000))
    def test_as_the_client_library(self, keys: list[bytes], partitions: int) -> None:
        assert self.assign(keys, partitions) == [confluent_kafka.murmur2(key, partitions) for key in keys]
