"""What stable's pods counted before a rollout: the samples of a range query as increments on a common grid of time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pointsman.signals import classic, events, histogram, native
from pointsman.signals.counters import FaultError, are_counts
from pointsman.signals.ledger import SAME_START, SETTLED
from pointsman.signals.matching import FAILED, PART, STARTED
from pointsman.signals.profiles import Shape, Unit
from pointsman.signals.queries import Span
from pointsman.signals.reading import LatencyPast, Past, RatePast
from pointsman.signals.samples import Series

Numbers: TypeAlias = npt.NDArray[np.float64]
Truths: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Track:
    """One pod's cumulative counters over the T + 1 times of the grid, nan or infinite where it has no sample to count.

    edges    of the columns, () for Errors whose columns are (failed, all)
    cells    (T + 1, B)
    started  (T + 1,) when the process started, Unix seconds
    """

    edges: tuple[float, ...]
    cells: Numbers
    started: Numbers


def read(shape: Shape, series: Iterable[Series], *, at: datetime, span: Span, warmup: int, pod: str) -> Past:
    """The increments of one revision's pods.

    Only what one process counted between two neighbouring samples is an increment. Counters that fall started anew or came
    from a store that stepped back: nothing counts until they have passed their old maximum, the process is seen to be
    another one, or they stayed lower for longer than a store can be behind. A fault of the past is no news: samples that are no
    counts are missing ones, a pod whose histogram cannot be read is left out, and of two targets one is read.

    Args:
        shape: what was asked.
        series: the revision's.
        at: the last time of the grid.
        span: the grid.
        warmup: requests of a process that do not count.
        pod: the label with the pod's name.
    """
    grid = _Grid(begin=at.timestamp() - span.seconds, step=span.step, length=round(span.seconds / span.step) + 1)
    tracks = _tracks(shape, _by_pod(series, pod), grid)
    growths = {name: _growth(track, span, warmup) for name, track in sorted(tracks.items())}
    known = {name: growth for name, growth in growths.items() if (growth.cells >= 0).any()}
    pods = tuple(known)
    intervals = round(span.seconds / span.step)
    if shape.signal == "Errors":
        if not known:
            nothing = np.zeros((intervals, 0), dtype=np.int64)
            return RatePast(seconds=span.step, pods=(), requests=nothing, bad=nothing)
        both = np.stack([growth.cells for growth in known.values()], axis=1)
        return RatePast(seconds=span.step, pods=pods, requests=both[..., 1], bad=both[..., 0])
    first = known[pods[0]].edges if known else ()
    edges = tuple(edge for edge in first if all(edge in growth.edges for growth in known.values()))
    if edges in ((), (math.inf,)):  # no pod counted, or they changed their buckets within the hour
        nothing = np.zeros((intervals, 0, 1), dtype=np.int64)
        return LatencyPast(seconds=span.step, pods=(), edges=(math.inf,), counts=nothing)
    counts = np.stack([_per_bucket(growth, edges) for growth in known.values()], axis=1)
    return LatencyPast(seconds=span.step, pods=pods, edges=edges, counts=counts)


def read_events(series: Iterable[Series], *, at: datetime, span: Span) -> RatePast:
    """The increments of events, by the targets that export them in place of pods: each series counts for itself, then they add up."""
    grid = _Grid(begin=at.timestamp() - span.seconds, step=span.step, length=round(span.seconds / span.step) + 1)
    told = tuple(series)
    totals = {events.identity(one.labels): one for one in told if PART not in one.labels}
    bad: dict[events.Identity, list[Series]] = defaultdict(list)
    names = events.names_of(totals)
    for one in told:
        if PART in one.labels and (own := events.owner(one.labels, totals, names)) is not None:
            bad[own].append(one)
    nothing = np.full((grid.length - 1, 2), -1, dtype=np.int64)
    by_target: dict[str, npt.NDArray[np.int64]] = defaultdict(nothing.copy)
    for own, one in totals.items():
        track = _Track(edges=(), cells=_errors(grid, [one, *bad[own]]), started=np.full(grid.length, np.nan))
        grown, name = _growth(track, span, 0).cells, "/".join(_target(one))
        known = by_target[name]
        by_target[name] = np.where(grown < 0, known, np.maximum(known, 0) + grown)
    both = np.stack(list(by_target.values()), axis=1) if by_target else np.zeros((grid.length - 1, 0, 2), np.int64)
    return RatePast(seconds=span.step, pods=tuple(by_target), requests=both[..., 1], bad=both[..., 0])


@dataclass(frozen=True, slots=True)
class _Growth:
    """Increments of the cumulative cells, (T, B); -1 in a whole row that does not count."""

    edges: tuple[float, ...]
    cells: npt.NDArray[np.int64]


def _by_pod(series: Iterable[Series], label: str) -> Mapping[str, Sequence[Series]]:
    pods: dict[str, list[Series]] = defaultdict(list)
    for one in series:
        pods[one.labels.get(label) or one.labels.get("instance", "")].append(one)
    return pods


def _tracks(shape: Shape, pods: Mapping[str, Sequence[Series]], grid: _Grid) -> dict[str, _Track]:
    """The counters of the pods that export any."""
    counters = {pod: [one for one in own if one.labels.get(PART) in (None, FAILED)] for pod, own in pods.items()}
    exporting = {pod: _of_one_target(own) for pod, own in counters.items() if own}
    laid: Mapping[str, tuple[tuple[float, ...], Numbers]]
    if shape.signal == "Errors":
        laid = {pod: ((), _errors(grid, own)) for pod, own in exporting.items()}
    elif _are_native(exporting):
        laid = _native(grid, exporting, shape.unit)
    else:
        laid = _classic(grid, exporting, shape.unit)
    return {
        pod: _Track(edges=edges, cells=cells, started=_started(grid, exporting[pod][0], pods[pod]))
        for pod, (edges, cells) in laid.items()
    }


def _of_one_target(series: Sequence[Series]) -> Sequence[Series]:
    """Those of the target with the most samples: two may have taken turns, as when a job is renamed."""
    samples: dict[tuple[str, str], int] = defaultdict(int)
    for one in series:
        samples[_target(one)] += len(one.times)
    longest = max(sorted(samples), key=lambda target: samples[target])
    return [one for one in series if _target(one) == longest]


def _started(grid: _Grid, counter: Series, series: Sequence[Series]) -> Numbers:
    starts = [one for one in series if one.labels.get(PART) == STARTED and _target(one) == _target(counter)]
    if not starts:
        return np.full(grid.length, np.nan)
    (laid,) = grid.lay(starts[:1])
    return np.where(np.isfinite(laid), laid, np.nan)


def _errors(grid: _Grid, series: Sequence[Series]) -> Numbers:
    """(T + 1, 2): failed, and all; no series of failures is none."""
    parts = [one for one in series if PART not in one.labels], [one for one in series if PART in one.labels]
    every, failed = _summed(grid, parts).T
    return np.stack([np.where(np.isnan(failed) & ~np.isnan(every), 0.0, failed), every], axis=1)


def _are_native(pods: Mapping[str, Sequence[Series]]) -> bool:
    """Whether native histograms are counted: where every pod has some, or where not every pod has classic ones."""
    native_ones = [any(one.histograms for one in own) for own in pods.values()]
    return all(native_ones) or (any(native_ones) and not all(any(map(_is_classic, own)) for own in pods.values()))


def _is_classic(one: Series) -> bool:
    return not one.histograms and "le" in one.labels


def _classic(
    grid: _Grid, pods: Mapping[str, Sequence[Series]], unit: Unit
) -> dict[str, tuple[tuple[float, ...], Numbers]]:
    laid: dict[str, tuple[tuple[float, ...], Numbers]] = {}
    for pod, own in pods.items():
        of_edge: dict[float, list[Series]] = defaultdict(list)
        for one in filter(_is_classic, own):
            with suppress(FaultError):
                of_edge[classic.edge(pod, one.labels["le"], unit)].append(one)
        edges = tuple(sorted(edge for edge in of_edge if edge > 0))
        if edges and edges[-1] == math.inf:
            laid[pod] = edges, _summed(grid, [of_edge[edge] for edge in edges])
    return laid


def _native(
    grid: _Grid, pods: Mapping[str, Sequence[Series]], unit: Unit
) -> dict[str, tuple[tuple[float, ...], Numbers]]:
    """Native histograms on the edges that they share all the time; several of one pod are added. Pods without any are left out."""
    moments: dict[tuple[str, int], list[histogram.Histogram]] = defaultdict(list)
    for pod, own in pods.items():
        for one in own:
            for index, found in zip(grid.places(one) if one.histograms else (), one.histograms, strict=True):
                if 0 <= index < grid.length:
                    with suppress(FaultError):
                        moments[pod, int(index)].append(native.read(pod, found, one.labels, unit))
    summed = {key: parts[0] if len(parts) == 1 else histogram.add(parts) for key, parts in moments.items() if parts}
    edges = histogram.common_edges(summed.values())
    cells = {pod: np.full((grid.length, len(edges)), np.nan) for pod, _ in summed}
    for (pod, index), one_moment in summed.items():
        cells[pod][index] = histogram.project(one_moment, edges)
    return {pod: (edges, laid) for pod, laid in cells.items()}


def _target(one: Series) -> tuple[str, str]:
    return one.labels.get("job", ""), one.labels.get("instance", "")


@dataclass(frozen=True, slots=True)
class _Grid:
    begin: float
    step: float
    length: int

    def places(self, one: Series) -> npt.NDArray[np.int64]:
        """Which of the grid's times the series' are; some may be outside of it."""
        return np.rint((np.asarray(one.times) - self.begin) / self.step).astype(np.int64)

    def lay(self, series: Sequence[Series]) -> Numbers:
        """The series' values at the grid's times, a row for each: nan where it has none, infinite where that is none."""
        laid, row = np.full((len(series), self.length), np.nan), 0
        for _, alike in groupby(series, key=attrgetter("times")):  # as those of one target mostly are
            own = list(alike)
            index = self.places(own[0])
            inside = (index >= 0) & (index < self.length)
            values = np.nan_to_num([one.values for one in own], nan=np.inf, posinf=np.inf, neginf=np.inf)
            laid[row : row + len(own), index[inside]] = values[:, inside]
            row += len(own)
        return laid


def _summed(grid: _Grid, groups: Sequence[Sequence[Series]]) -> Numbers:
    """(T + 1, groups): the sum of a group's series that have a sample: nan where none has, infinite where one is no count."""
    summed = np.full((len(groups), grid.length), np.nan)
    some = [index for index, own in enumerate(groups) if own]
    if some:
        laid = grid.lay([one for index in some for one in groups[index]])
        begins = np.cumsum([0, *(len(groups[index]) for index in some[:-1])])
        told = ~np.isnan(laid)
        counts = np.where(told, laid, 0.0)
        known = np.logical_and.reduceat(are_counts(counts), begins, axis=0)
        total = np.where(known, np.add.reduceat(counts, begins, axis=0), np.inf)
        summed[some] = np.where(np.logical_or.reduceat(told, begins, axis=0), total, np.nan)
    return np.ascontiguousarray(summed.T)


def _growth(track: _Track, span: Span, warmup: int) -> _Growth:
    seen = np.asarray(np.isfinite(track.cells).all(axis=1))
    cells, started = np.where(seen[:, None], track.cells, np.nan), track.started
    current = _current(cells, started, seen, span)
    step = np.diff(np.where(seen[:, None], cells, 0.0), axis=0)
    together = np.diff(step, axis=1, prepend=0.0)  # per bucket; for Errors: failures, and requests that did not fail
    restarted = np.abs(np.diff(started)) > SAME_START  # nan compares false
    counts = current[1:] & current[:-1] & (together >= 0).all(axis=1) & ~restarted
    counts &= np.nan_to_num(cells[:-1, -1]) >= warmup
    return _Growth(edges=track.edges, cells=np.where(counts[:, None], step, -1.0).astype(np.int64))


def _current(cells: Numbers, started: Numbers, seen: Truths, span: Span) -> Truths:
    """The times at which a sample was the process's newest, (T + 1,)."""
    highest = np.fmax.accumulate(cells, axis=0)
    if not (cells[seen] < highest[seen]).any() and not (np.diff(started[~np.isnan(started)]) < -SAME_START).any():
        return seen
    current = np.zeros_like(seen)
    top, since, held = cells[0], -math.inf, 0.0
    for index in np.flatnonzero(seen):
        now = started[index]
        if now < since - SAME_START:  # a sample of a process that is gone
            continue
        if now > since + SAME_START or (cells[index] >= np.nan_to_num(top)).all():
            held = 0.0
        elif held < SETTLED:
            held += span.step
            continue
        else:
            held = 0.0
        current[index] = True
        top, since = cells[index], since if math.isnan(now) else now
    return current


def _per_bucket(growth: _Growth, edges: tuple[float, ...]) -> npt.NDArray[np.int64]:
    """(T, B) on the shared edges, not cumulative."""
    cells = growth.cells[:, [growth.edges.index(edge) for edge in edges]]
    counted = cells[:, :1] >= 0
    return np.where(counted, np.diff(cells, axis=1, prepend=0), -1)
