"""What a plug-in must do: one ABC a kind, each with a test suite that a plug-in's test inherits
(`forebay.testing`)."""

from forebay.contracts.compression import Compression
from forebay.contracts.connections import Connections
from forebay.contracts.format import Format, StageWriter, Tolerance
from forebay.contracts.notifier import Notice, Notifier
from forebay.contracts.partitioner import Partitioner
from forebay.contracts.serializer import Encoded, Serializer, SqlEncoding
from forebay.contracts.settings import Settings
from forebay.contracts.settlement import Settlement
from forebay.contracts.source import Source

__all__ = [
    "Compression",
    "Connections",
    "Encoded",
    "Format",
    "Notice",
    "Notifier",
    "Partitioner",
    "Serializer",
    "Settings",
    "Settlement",
    "Source",
    "SqlEncoding",
    "StageWriter",
    "Tolerance",
]
