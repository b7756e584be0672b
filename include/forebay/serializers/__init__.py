"""Serializers are plug-ins, a file each; `text` is how keys and values write one value."""

from forebay.serializers._text import text

__all__ = ["text"]
