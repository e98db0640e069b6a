"""What one look says about one rollout: exact counts per pod, or which of the third answers it is and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from pointsman.signals.profiles import Question

_SHORTEST = timedelta(seconds=60)

Cells: TypeAlias = tuple[int, ...]
"""Cumulative counters of one pod that never fall from left to right.

Errors: (failed, total). Latency: requests at most as slow as each edge, the last one +Inf. So the last cell is the number
of requests in both.
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


@dataclass(frozen=True, slots=True)
class Counts:
    """Both arms of one gate.

    edges  Latency: in seconds, rising, +Inf last; only +Inf while no pod has a series. Errors: ()
    note   a sentence where no pod of either arm has a matching series
    """

    edges: tuple[float, ...]
    stable: ArmCounts
    candidate: ArmCounts
    note: str | None = None


Answered: TypeAlias = Counts | NoData | Faulty


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at one rollout: an entry for each question of its watch, by gate name."""

    at: datetime
    gates: Mapping[str, Answered]


@dataclass(frozen=True, slots=True)
class Watch:
    """One active rollout: the two revisions (by name) and what to ask about them."""

    namespace: str
    stable: str
    candidate: str
    questions: tuple[Question, ...]
    stale_after: timedelta = _SHORTEST


def stale_after(interval: timedelta) -> timedelta:
    """How old the newest scrape may be: three looks, and at least a minute because Prometheus may scrape less often than we look."""
    return max(3 * interval, _SHORTEST)
