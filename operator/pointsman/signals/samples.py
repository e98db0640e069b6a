"""What Prometheus answered, parsed: the border between its JSON and everything that counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Native:
    """A native histogram as Prometheus tells it.

    count    of all observations, NaNs included
    buckets  the populated ones, each (lower, upper, count) and not cumulative; an observation is above `lower` and at most
             `upper`, but the bucket around zero contains its lower bound, too
    """

    count: float
    buckets: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value at the look's time; NaN and infinities are kept, whoever counts judges them.

    The value of a native histogram is its count.
    """

    labels: Mapping[str, str]
    value: float
    histogram: Native | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A query without a usable answer: unreachable, slow, refused, nonsense or partial. `reason` is a sentence."""

    reason: str


Answer: TypeAlias = tuple[Sample, ...] | Failed
"""Samples in any order, `()` where no series matched, or why there is no answer."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series over a range: Unix seconds, rising, and the value at each of them.

    histograms  of a native histogram, whose values are its counts; else ()
    """

    labels: Mapping[str, str]
    times: tuple[float, ...]
    values: tuple[float, ...]
    histograms: tuple[Native, ...] = ()


RangeAnswer: TypeAlias = tuple[Series, ...] | Failed
"""The answer to a range query; a time at which a series had no sample is missing in it."""
