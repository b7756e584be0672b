"""Formats are plug-ins, a file each."""

from forebay.formats._encoding import one_byte_lines

__all__ = ["one_byte_lines"]
