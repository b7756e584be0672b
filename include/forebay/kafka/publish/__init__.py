"""Chunks of rows become records, a transaction each."""
