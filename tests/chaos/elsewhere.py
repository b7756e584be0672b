"""Rows of the fault matrix that the chaos runner does not run: where they are tested, or why they could not be had."""

from __future__ import annotations

ELSEWHERE: list[tuple[str, str, str]] = []
NOT_HAD: list[tuple[str, str, str]] = []
