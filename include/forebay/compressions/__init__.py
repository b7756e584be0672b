"""Compressions are plug-ins, a file each; `unpack` reads whatever is packed by one of them."""

from forebay.compressions._unpack import MAX_BYTES, MAX_RATIO, unpack, unpack_head

__all__ = ["MAX_BYTES", "MAX_RATIO", "unpack", "unpack_head"]
