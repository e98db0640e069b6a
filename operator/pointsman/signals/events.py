"""From samples to the counters of events: every series one of its own, told apart by the label that names the version."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pointsman.signals.counters import FaultError, whole
from pointsman.signals.own import EventsQuestion
from pointsman.signals.queries import FAILED, PART, SCRAPED, Labels, pasted
from pointsman.signals.reading import ArmCounts, Cells, Counts, Faulty, NoData, PodCount, Watch
from pointsman.signals.samples import Sample

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
        ours, theirs = _arm(stable), _arm(candidate)
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


def _arm(samples: Sequence[Sample]) -> _Arm:
    pods: dict[str, PodCount] = {}
    newest = 0.0
    for sample in samples:
        part = sample.labels.get(PART)
        if part == SCRAPED:
            newest = max(newest, sample.value if math.isfinite(sample.value) else 0.0)
            continue
        count = whole("", sample)
        cells: Cells = (count, count) if part == FAILED else (0, count)
        pods[_identity(sample)] = PodCount(started=None, cells=cells)
    return _Arm(pods=pods, newest=newest)


def _identity(sample: Sample) -> str:
    """A series in few characters, since the evidence keeps it: 64 bits of its labels, the part of the answer among them."""
    labels = sorted((name, value) for name, value in sample.labels.items() if name != "__name__")
    return hashlib.blake2b(repr(labels).encode(), digest_size=8).hexdigest()


def _counts(arm: _Arm, at: datetime) -> ArmCounts:
    newest = datetime.fromtimestamp(arm.newest, tz=UTC) if arm.newest else at
    return ArmCounts(pods=arm.pods, newest=newest, series=len(arm.pods))
