"""What one look says about one rollout: exact counts per pod, or which of the third answers it is and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from pointsman.signals.own import Asked

_SHORTEST = timedelta(seconds=60)

Cells: TypeAlias = tuple[int, ...]
"""Cumulative counters of one pod that never fall from left to right.

Errors and Events: (failed, total). Latency: requests at most as slow as each edge, the last one +Inf. So the last cell is
the number of requests in all of them.
"""


@dataclass(frozen=True, slots=True)
class NoData:
    """Prometheus has nothing usable: no target, a target that is down, old samples or a failed query."""

    reason: str


@dataclass(frozen=True, slots=True)
class Faulty:
    """The samples contradict themselves: NaN, one pod under two targets, buckets that fall."""

    reason: str


@dataclass(frozen=True, slots=True)
class PodCount:
    """One pod's counters; `started`: when the counting process started, Unix seconds, where it says so."""

    started: float | None
    cells: Cells


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """An arm's pods whose target is up and fresh.

    pods     by pod name; a pod without a matching series has counted zero
    newest   the newest scrape of any of them
    series   how many series matched
    missing  pods that are not counted in this look, and why
    """

    pods: Mapping[str, PodCount]
    newest: datetime
    series: int = 0
    missing: Mapping[str, str] = field(default_factory=dict)


Newcomers: TypeAlias = Literal["Baseline", "FromZero"]


@dataclass(frozen=True, slots=True)
class Scale:
    """How the values of an output or a feature are counted.

    edges       of numbers: finite upper edges of bins, rising; the last bin holds what is over the last edge
    categories  of everything else; the last bin holds all others
    """

    name: str
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Distribution:
    """What one process has counted of an output or a feature since it started.

    counts   of each bin, one more than there are edges or categories
    missing  values that were not there, or no number among numbers
    norm     the share over an edge, or of a category (all others are `other`): what is expected, and how far it may be
             from that, fractions; of bins that say the same one is left, and none where the process has no reference
    """

    scale: Scale
    counts: tuple[int, ...]
    missing: int = 0
    norm: Mapping[float | str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Served:
    """What the inspector of a version that serves alone has counted since it started."""

    pod: str
    started: float | None
    features: tuple[Distribution, ...]
    predictions: tuple[Distribution, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """Both arms of one gate.

    edges      Latency: in seconds, rising, +Inf last; only +Inf while no pod has a series. Errors, Events: ()
    note       a sentence where no pod of either arm has a matching series
    newcomers  what counts of a counter that is met after the first look and does not say since when it counts: nothing
               before the look after (Baseline), or all of it (FromZero)
    slices     Agreement by slice: of the candidate, by the slice's name
    outputs    PredictionDrift: whose bins the cells are, one after the other, each cell with all those before it; `edges`
               number them
    """

    edges: tuple[float, ...]
    stable: ArmCounts
    candidate: ArmCounts
    note: str | None = None
    newcomers: Newcomers = "Baseline"
    slices: Mapping[str, ArmCounts] = field(default_factory=dict)
    outputs: tuple[Scale, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """What a user's query answered: the values of its series, none of them NaN."""

    values: tuple[float, ...]


Answered: TypeAlias = Counts | Served | Measured | NoData | Faulty


Whole: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class RatePast:
    """What stable's pods counted in the time before a look, for an Errors gate.

    seconds   length of one of the T intervals, the last one ends at the look
    pods      the P pods, by name
    requests  (T, P); -1 where the pod has no sample, was not warm or started anew in that interval
    bad       (T, P); of these, the failures; -1 where `requests` is
    """

    seconds: float
    pods: tuple[str, ...]
    requests: Whole
    bad: Whole


@dataclass(frozen=True, slots=True, eq=False)
class LatencyPast:
    """The same for a latency signal.

    edges   (B,) in seconds, rising, +Inf last: those that all of the pods have
    counts  (T, P, B) requests per bucket, not cumulative; -1 in all buckets where a `RatePast` has -1
    """

    seconds: float
    pods: tuple[str, ...]
    edges: tuple[float, ...]
    counts: Whole


Past: TypeAlias = RatePast | LatencyPast


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at one rollout.

    gates  an entry for each question of its watch, by gate name
    past   likewise, where the watch asked for it
    """

    at: datetime
    gates: Mapping[str, Answered]
    past: Mapping[str, Past | NoData] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watch:
    """One active rollout, or a version that serves alone: the revisions (by name) and what to ask about them.

    candidate    "" where a version serves alone
    stale_after  how old the newest scrape may be
    calibrate    read also what stable's pods counted in this long before the look; for a rollout's first look
    interval     between two looks, and the shortest interval of what is read of the past
    warmup       requests that a process serves before it counts
    """

    namespace: str
    stable: str
    candidate: str
    questions: tuple[Asked, ...]
    stale_after: timedelta = _SHORTEST
    calibrate: timedelta | None = None
    interval: timedelta = timedelta(seconds=10)
    warmup: int = 0


def stale_after(interval: timedelta) -> timedelta:
    """How old the newest scrape may be: three looks, and at least a minute because Prometheus may scrape less often than we look."""
    return max(3 * interval, _SHORTEST)
