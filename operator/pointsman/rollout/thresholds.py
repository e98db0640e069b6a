"""Threshold gates: on which side of its limits a query's answer is, and for how long; plain comparisons without an error rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pointsman.api.gates import Threshold
from pointsman.api.modelrevision import Verdict
from pointsman.api.values import seconds
from pointsman.evidence import words
from pointsman.signals.reading import Measured

DEFAULT_FOR = "5m"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the looks saw without a break: the side, since when, until which look, and the value furthest out in that one."""

    inside: bool
    since: datetime
    at: datetime
    value: float

    def dump(self) -> list[Any]:
        """As JSON; `load` gives the same back."""
        return [self.inside, self.since.isoformat(), self.at.isoformat(), repr(self.value)]

    @staticmethod
    def load(dumped: list[Any]) -> Standing:
        """What `dump` wrote.

        Raises:
            ValueError: it is not one of ours.
        """
        inside, since, at, value = dumped
        return Standing(
            inside=bool(inside),
            since=datetime.fromisoformat(since),
            at=datetime.fromisoformat(at),
            value=float(value),
        )


def fold(
    before: Standing | None, limits: Threshold, measured: Measured, *, at: datetime, within: timedelta
) -> Standing:
    """One look more; one that comes later than `within` after the last begins anew, because nobody saw what was between.

    A rollout that stands still goes on standing still: it was outside when it was seen last, and is when it is seen again.
    """
    value = max(measured.values, key=lambda one: _beyond(one, limits))
    inside = _beyond(value, limits) <= 0
    same = before is not None and before.inside == inside
    goes_on = before is not None and same and (at - before.at <= within or pauses(before, limits))
    return Standing(inside=inside, since=before.since if before is not None and goes_on else at, at=at, value=value)


def next_step(standing: Standing | None) -> Standing | None:
    """What a new step keeps: being inside has to be shown anew, being outside goes on."""
    return None if standing is None or standing.inside else standing


def verdict(standing: Standing, limits: Threshold) -> Verdict:
    """Safe or Harm once the answer was on one side for long enough."""
    if not lasts(standing, limits):
        return "Undecided"
    if standing.inside:
        return "Safe"
    return "Harm" if limits.action == "Rollback" else "Undecided"


def pauses(standing: Standing, limits: Threshold) -> bool:
    """Whether the rollout has to stand still."""
    return not standing.inside and lasts(standing, limits) and limits.action != "Rollback"


def lasts(standing: Standing, limits: Threshold) -> bool:
    """Whether it is on its side for as long as the gate asks."""
    return standing.at - standing.since >= seconds(limits.for_ or DEFAULT_FOR)


def say(standing: Standing, limits: Threshold) -> str:
    """What was compared, for how long, and what that does not claim."""
    low, high = limits.min, limits.max
    bounds = f"between {low} and {high}" if low and high else f"at least {low}" if low else f"at most {high}"
    lasted = words.duration((standing.at - standing.since).total_seconds())
    asked = words.duration(seconds(limits.for_ or DEFAULT_FOR).total_seconds())
    side = "as it should be" if standing.inside else "which it should not be"
    text = f"the answer is {standing.value:.6g}, {side} ({bounds}), for {lasted} of {asked}"
    if pauses(standing, limits):
        text += "; the rollout stands still meanwhile"
    return f"{text}; a plain comparison, no error rate is claimed"


def _beyond(value: float, limits: Threshold) -> float:
    """How far a value is outside; 0 or less inside."""
    above = -math.inf if limits.max is None else value - float(limits.max)
    below = -math.inf if limits.min is None else float(limits.min) - value
    return max(above, below)
