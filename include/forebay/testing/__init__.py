"""Contract suites: what every plug-in of a kind must do, as tests that a plug-in's test class inherits.

    from forebay.testing import SourceContract

    class TestSftp(SourceContract):
        def make_source(self) -> Sftp: ...

This is the only package that imports pytest and Hypothesis (`pip install forebay[testing]`); no other part imports it.
"""

import pytest

# before the modules are imported, else a failing assertion shows no values
pytest.register_assert_rewrite(
    "forebay.testing.compressions",
    "forebay.testing.formats",
    "forebay.testing.notifiers",
    "forebay.testing.partitioners",
    "forebay.testing.serializers",
    "forebay.testing.settlements",
    "forebay.testing.sources",
)

from forebay.testing.compressions import CompressionContract  # noqa: E402 after the line above
from forebay.testing.formats import FormatContract  # noqa: E402
from forebay.testing.notifiers import NotifierContract  # noqa: E402
from forebay.testing.partitioners import PartitionerContract  # noqa: E402
from forebay.testing.serializers import SerializerContract  # noqa: E402
from forebay.testing.settlements import SettlementContract  # noqa: E402
from forebay.testing.sources import SourceContract  # noqa: E402

__all__ = [
    "CompressionContract",
    "FormatContract",
    "NotifierContract",
    "PartitionerContract",
    "SerializerContract",
    "SettlementContract",
    "SourceContract",
]
