"""What a version's inputs and predictions look like, learnt where no reference says it: a week of live counts by hour of the week."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pointsman.evidence import record
from pointsman.evidence.model import Integers
from pointsman.evidence.profile import HOURS, Profile, hour_of_week

if TYPE_CHECKING:
    from pointsman.evidence.bins import Bins
    from pointsman.evidence.drift import DriftLook

WEEK = 7 * 86_400.0


@dataclass(frozen=True)
class Lesson:
    """What is to be learnt: bins of the features and of the predictions."""

    features: tuple[Bins, ...]
    predictions: tuple[Bins, ...]


@dataclass(frozen=True, eq=False)
class Taught:
    """Of one feature or prediction: cumulative counts of the last look, -1 before the first (..., B), and counts by hour (..., 168, B)."""

    last: Integers
    hours: Integers


@dataclass(frozen=True, eq=False)
class LearningState:
    """All that was learnt so far; ``...`` is the batch shape.

    Attributes:
        began, until: Unix seconds of the first and the last look, nan before.
        looked: looks in each hour of the week, shape (168,).
        taught: features, then predictions.
    """

    began: float
    until: float
    looked: Integers
    taught: tuple[Taught, ...]


def start(lesson: Lesson, batch: tuple[int, ...] = ()) -> LearningState:
    """Return the state before the first look, which is where counting begins."""
    return LearningState(
        began=math.nan,
        until=math.nan,
        looked=np.zeros(HOURS, dtype=np.int64),
        taught=tuple(
            Taught(
                last=np.full((*batch, bins.size), -1, dtype=np.int64),
                hours=np.zeros((*batch, HOURS, bins.size), dtype=np.int64),
            )
            for bins in lesson.features + lesson.predictions
        ),
    )


def fold(lesson: Lesson, state: LearningState, look: DriftLook) -> LearningState:
    """Return the state after one look; the same look again teaches nothing. Counts that fell began anew: they count from there.

    Raises:
        ValueError: the state is of another lesson, or counts are not of its bins.
    """
    if len(state.taught) != len(lesson.features) + len(lesson.predictions):
        raise ValueError("what was learnt is of other features or predictions: learn anew")
    hour = int(hour_of_week(look.at))
    given = [look.features.get(bins.name) for bins in lesson.features]
    given += [look.predictions.get(bins.name) for bins in lesson.predictions]
    looked = state.looked.copy()
    looked[hour] += math.isnan(state.until) or look.at > state.until
    return LearningState(
        began=look.at if math.isnan(state.began) else state.began,
        until=look.at if math.isnan(state.until) else max(state.until, look.at),
        looked=looked,
        taught=tuple(
            one if counts is None else _fold(one, bins, np.asarray(counts, dtype=np.int64), hour)
            for one, bins, counts in zip(state.taught, lesson.features + lesson.predictions, given, strict=True)
        ),
    )


def interrupted(state: LearningState) -> LearningState:
    """Return the state before the first look at another process, whose counts say nothing about those of the one before."""
    return replace(state, taught=tuple(replace(one, last=np.full_like(one.last, -1)) for one in state.taught))


def complete(state: LearningState) -> bool:
    """Return whether a week has passed and every hour of it was looked at."""
    return bool(state.until - state.began >= WEEK and (state.looked > 0).all())


def progress(state: LearningState) -> float:
    """Return how much of the week was looked at, 0 to 1."""
    return float(np.mean(state.looked > 0))


def profiles(lesson: Lesson, state: LearningState) -> tuple[tuple[Profile, ...], tuple[Profile, ...]]:
    """Return what was learnt: of the features and of the predictions."""
    both = lesson.features + lesson.predictions
    found = tuple(Profile(bins, one.hours) for bins, one in zip(both, state.taught, strict=True))
    return found[: len(lesson.features)], found[len(lesson.features) :]


def dumps(state: LearningState) -> str:
    """Return the state as compact JSON; ``loads`` gives exactly the same state back."""
    return record.to_text("learning", state)


def loads(text: str) -> LearningState:
    """Return the state that ``dumps`` wrote.

    Raises:
        ValueError: the text is not one of ours; learning must start anew.
    """
    kind, values = record.from_text(text)
    if kind != "learning":
        raise ValueError(f"the stored evidence is of the kind {kind!r}, not what was learnt: learn anew")
    return record.unpack(LearningState, values)


def _fold(taught: Taught, bins: Bins, counts: Integers, hour: int) -> Taught:
    if counts.shape[-1] != bins.size:
        raise ValueError(f"{bins.name}: there are {bins.size} bins, and the counts have {counts.shape[-1]}")
    grown = counts - taught.last
    anew = np.any((taught.last < 0) | (grown < 0), axis=-1, keepdims=True)
    hours = taught.hours.copy()
    hours[..., hour, :] += np.where(anew, 0, grown)
    return replace(taught, last=np.broadcast_to(counts, taught.last.shape), hours=hours)
