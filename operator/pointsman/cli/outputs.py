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


class Form(StrEnum):
    """How a forecast is printed."""

    TABLE = "table"
    JSON = "json"


class Shown(StrEnum):
    """How what is in the cluster is printed."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


class Noise(StrEnum):
    """How a simulated cluster differs from independent requests; `simulation.world.NOISES` says in numbers."""

    IID = "iid"
    REALISTIC = "realistic"
    CLUSTERED = "clustered"
    PODS = "pods"
