"""The choices of how much a command prints, and in which form."""

from __future__ import annotations

from enum import StrEnum


class Output(StrEnum):
    """How looks are printed."""

    TEXT = "text"
    JSON = "json"


class Extent(StrEnum):
    """Which looks are printed."""

    DECISION = "decision"
    ALL = "all"
    CHANGES = "changes"
