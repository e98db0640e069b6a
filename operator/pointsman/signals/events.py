"""From samples to the counters of events: every series of all events is one of its own, with the bad ones among them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from pointsman.signals.counters import FaultError, whole
from pointsman.signals.matching import FAILED, PART, SCRAPED
from pointsman.signals.own import EventsQuestion
from pointsman.signals.queries import Labels, pasted
from pointsman.signals.reading import ArmCounts, Counts, Faulty, NoData, PodCount, Watch
from pointsman.signals.samples import Sample

Identity: TypeAlias = frozenset[tuple[str, str]]

MOST_SERIES: Final = 1000
"""Of one rollout: each is an entry in the stored evidence."""


@dataclass(frozen=True, slots=True)
class _Arm:
    pods: Mapping[str, PodCount]
    newest: float  # Unix seconds, of the scrapes of what counts all events; 0 where there is none


def read(
    question: EventsQuestion,
    watch: Watch,
    *,
    stable: Sequence[Sample],
    candidate: Sequence[Sample],
    at: datetime,
    labels: Labels,
) -> Counts | NoData | Faulty:
    """What both versions counted so far.

    A candidate without a series has counted none as long as stable's are there: the exporter names a version with its first event.

    Args:
        question: the gate's.
        watch: the rollout.
        stable: its samples, with the parts of the answer.
        candidate: likewise.
        at: the look's time.
        labels: what the scrape calls things, for the sentence that says what is missing.
    """
    found = sum(sample.labels.get(PART) != SCRAPED for sample in (*stable, *candidate))
    if found > MOST_SERIES:
        return Faulty(
            f"gate {question.gate}: its counters have {found:,} series, more than {MOST_SERIES:,}: sum them with a"
            " recording rule, or select fewer"
        )
    try:
        ours, theirs = _arm(question, stable), _arm(question, candidate)
    except FaultError as fault:
        return Faulty(f"gate {question.gate}: {fault}")
    if not ours.newest:
        query = pasted(question, "stable", namespace=watch.namespace, revision=watch.stable, labels=labels)
        return NoData(
            f"no event of the stable version is counted yet, `{query}` is empty: are label and selector right?"
        )
    for arm, name in ((ours, "stable"), (theirs, "candidate")):
        if arm.newest and at.timestamp() - arm.newest > watch.stale_after.total_seconds():
            return NoData(
                f"the last scrape of {question.shape.total.metric} of the {name} version is over"
                f" {watch.stale_after.total_seconds():.0f} s old"
            )
    return Counts(
        edges=(),
        stable=_counts(ours, at),
        candidate=_counts(theirs, at),
        newcomers="FromZero",
    )


def _arm(question: EventsQuestion, samples: Sequence[Sample]) -> _Arm:
    """Each series of all events with its bad ones: they are counted together or not at all."""
    totals: dict[Identity, int] = {}
    scraped = [0.0]
    for sample in samples:
        part = sample.labels.get(PART)
        if part == SCRAPED and math.isfinite(sample.value):
            scraped.append(sample.value)
        elif part is None:
            totals[identity(sample.labels)] = whole("", sample)
    bad, names = dict.fromkeys(totals, 0), names_of(totals)
    for sample in samples:
        if sample.labels.get(PART) == FAILED:
            own = owner(sample.labels, totals, names)
            if own is None:
                raise FaultError(_nobodys(question, sample))
            bad[own] += whole("", sample)
    pods = {_short(own): PodCount(started=None, cells=(bad[own], total)) for own, total in totals.items()}
    return _Arm(pods=pods, newest=max(scraped))


def identity(labels: Mapping[str, str]) -> Identity:
    """What tells a series of all events from the others."""
    return frozenset((name, value) for name, value in labels.items() if name not in ("__name__", PART) and value)


def names_of(totals: Iterable[Identity]) -> frozenset[str]:
    """The labels that series of all events have."""
    return frozenset(name for one in totals for name, _ in one)


def owner(labels: Mapping[str, str], totals: Collection[Identity], names: Collection[str]) -> Identity | None:
    """The series of all events that these bad ones are a part of: theirs has the same labels, and none that they lack."""
    mine = frozenset((name, value) for name, value in identity(labels) if name in names)
    return mine if mine in totals else None


def _nobodys(question: EventsQuestion, sample: Sample) -> str:
    bad, total = question.shape.bad.metric, question.shape.total.metric
    labels = ",".join(f'{name}="{value}"' for name, value in sorted(identity(sample.labels)))
    return (
        f"{bad}{{{labels}}} is a part of no series of {total}: both have to come from one target with the same labels,"
        f" of which {bad} may have more"
    )


def _short(own: Identity) -> str:
    """A series in few characters, since the evidence keeps it: 64 bits of its labels."""
    return hashlib.blake2b(repr(sorted(own)).encode(), digest_size=8).hexdigest()


def _counts(arm: _Arm, at: datetime) -> ArmCounts:
    newest = datetime.fromtimestamp(arm.newest, tz=UTC) if arm.newest else at
    return ArmCounts(pods=arm.pods, newest=newest, series=len(arm.pods))
