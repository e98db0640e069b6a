"""What Prometheus answered, parsed: the border between its JSON and everything that counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value at the look's time; NaN and infinities are kept, whoever counts judges them."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A query without a usable answer: unreachable, slow, refused, nonsense or partial. `reason` is a sentence."""

    reason: str


Answer: TypeAlias = tuple[Sample, ...] | Failed
"""Samples in any order, `()` where no series matched, or why there is no answer."""
