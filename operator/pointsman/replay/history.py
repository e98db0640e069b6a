"""Stable's recorded rows before the rollout as the past that calibrates its gates, read as a range query of Prometheus is."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from typing import Final

from pointsman.replay.recording import Recording, Track
from pointsman.rollout.folding import HISTORY
from pointsman.signals import past
from pointsman.signals.matching import FAILED, PART, STARTED
from pointsman.signals.profiles import Shape
from pointsman.signals.queries import STEPS, Span
from pointsman.signals.reading import Past
from pointsman.signals.samples import Series

_SECONDS: Final = HISTORY.total_seconds()
_SHORTEST: Final = Span(seconds=1.0, step=1.0)
_POD: Final = "pod"


def before(recording: Recording, gate: str, shape: Shape, *, at: datetime, warmup: int) -> Past:
    """What stable's pods counted in the hour before the first look; where nothing was recorded, a past of nothing.

    Args:
        recording: the whole of it.
        gate: its name.
        shape: what the gate asks; only its signal matters.
        at: the first look.
        warmup: requests of a process that do not count.
    """
    track = recording.tracks.get(gate)
    span = _span(recording)
    if track is None or span is None:
        return past.read(shape, (), at=at, span=_SHORTEST, warmup=warmup, pod=_POD)
    series = _series(track, begins=recording.begins, span=span)
    return past.read(shape, series, at=at, span=span, warmup=warmup, pod=_POD)


def _span(recording: Recording) -> Span | None:
    """The grid that the rows before the rollout lie on; None where there are no two of them."""
    times = [time for time in recording.times if recording.begins - _SECONDS <= time <= recording.begins]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    if not gaps:
        return None
    step = statistics.median(gaps)
    step *= max(1, math.ceil((times[-1] - times[0]) / step / STEPS))
    return Span(seconds=step * max(1, math.floor((times[-1] - times[0]) / step + 0.5)), step=step)


def _series(track: Track, *, begins: float, span: Span) -> list[Series]:
    values: dict[tuple[str, str, str], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    names = [f"{edge:g}" if math.isinf(edge) else repr(edge) for edge in track.edges]
    for time in sorted(time for time in track.rows if begins - span.seconds - span.step < time <= begins):
        for pod, count in track.rows[time].get("stable", {}).items():
            cells = zip(names, count.cells, strict=True) if names else zip((FAILED, ""), count.cells, strict=True)
            found = [(("le" if names else PART), name, float(cell)) for name, cell in cells]
            if count.started is not None:
                found.append((PART, STARTED, count.started))
            for label, name, value in found:
                times, counted = values[pod, label, name]
                times.append(time)
                counted.append(value)
    return [
        Series(labels={_POD: pod, **({label: name} if name else {})}, times=tuple(times), values=tuple(counted))
        for (pod, label, name), (times, counted) in values.items()
    ]
