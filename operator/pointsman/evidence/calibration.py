"""What the stable arm's hour before a rollout says of its noise: base rate, dispersion phi, spread between pods tau.

Dispersion compares what a pod counted in an interval with its share of what all pods counted in it: incidents that hit all pods
cancel, as they do between the arms. It is measured over single intervals and over longer and longer runs of them, because a
pod's failures may come in bursts that last for minutes; a longer scale counts where it is significantly worse. The statistics
are Pearson's for a table of pods and intervals with both margins fitted (McCullagh and Nelder, "Generalized Linear Models",
1989, 4.5); the spread between pods is the moment estimate of DerSimonian and Laird, "Meta-analysis in clinical trials" (1986),
of the pods' totals, counted only where they differ significantly. The pods of one arm, not the arms, are compared: nothing
here depends on the candidate.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pointsman.evidence.buckets import shares_over, stable_upper, tails, take
from pointsman.evidence.model import (
    LATENCY_LEVELS,
    Calibration,
    Flags,
    Integers,
    LatencyHistory,
    Noise,
    Numbers,
    RateHistory,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

ASSUMED_PHI, ASSUMED_TAU = 1.5, 0.1
LEAST_PODS, LEAST_SECONDS, LEAST_BAD = 3, 600.0, 30
_LEAST_RUNS = 10  # a scale is measured on at least so many runs of intervals
_FITS = 6  # rounds of proportional fitting of both margins
_CLEARLY = 2.5  # standard deviations: five scales are compared
_PRIOR = 10  # bad requests
_BURSTS = 1.5  # a burst weighs more in the tail than in the variance (docs/adr/0011)
_MISTAKEN = 0.05  # how often a spread between pods is seen where there is none


class _Table(NamedTuple):
    """Requests and bad ones of pods in intervals, floats of shape (..., P, T); nothing counted where there was no sample.

    The intervals are the last axis: sums along a few pods are quick only over long rows.
    """

    requests: Numbers
    bad: Numbers

    def joined(self, intervals: int) -> _Table:
        """Return the table over runs of so many intervals; a last run that is not full is left out."""
        runs = self.requests.shape[-1] // intervals

        def join(values: Numbers) -> Numbers:
            kept = values[..., : runs * intervals]
            return np.asarray(sum(kept[..., start::intervals] for start in range(intervals)))

        return _Table(join(self.requests), join(self.bad))


class _Spread(NamedTuple):
    """Dispersion of single intervals and of the worst scale, and tau of the log rate; shape (...)."""

    phi: Numbers
    tau: Numbers


def of_rates(requests: Integers, bad: Integers, *, interval: float) -> Calibration:
    """Return what a rate gate takes over from the stable arm's pods.

    Args:
        requests: increments per interval and pod, shape (..., T, P); -1 where a pod has none (no sample, a restart).
        bad: bad ones of them, same shape.
        interval: seconds between two samples.
    """
    table = _table(requests, bad)
    spread = _spread(table, of=1)
    total, total_bad = _total(table.requests), _total(table.bad)
    pods, seconds = _pods(table), _intervals(table) * interval
    assumed = (pods < LEAST_PODS) | (seconds < LEAST_SECONDS) | ~_enough(total, total_bad)
    return Calibration(
        history=RateHistory(requests=_plain(total), bad=_plain(total_bad)),
        noise=_noise(spread.phi, spread.tau, assumed, pods),
        seconds=float(np.max(seconds)),
        pods=_plain(pods),
        requests=_plain(total),
        bad=_plain(total_bad),
    )


def of_latency(
    edges: tuple[float, ...], counts: Integers, *, quantiles: tuple[float, ...], interval: float
) -> Calibration:
    """Return what a latency gate takes over from the stable arm's pods: bad is slower than the edge over a quantile.

    Every level that the harm process uses and that has enough slow requests over a finite edge is measured, and the worst
    counts. A spread of the rate over an edge becomes one of the quantile by the slope of the distribution there.

    Args:
        edges: seconds, rising, +Inf last.
        counts: increments per interval, pod and bucket, shape (..., T, P, B); -1 where a pod has none.
        quantiles: those of the gate.
        interval: seconds between two samples.
    """
    known = np.where(counts < 0, 0, counts)
    histogram = known.sum(axis=(-3, -2))
    if not histogram.any() or len(edges) == 1:
        return _unknown(histogram.shape[:-1])
    levels = np.asarray(sorted({*LATENCY_LEVELS, *quantiles}))
    upper, placed = stable_upper(histogram.astype(float), levels)
    upper = np.minimum(upper, len(edges) - 2)
    over = tails(known)
    requests = known.sum(axis=-1)
    missing = np.any(counts < 0, axis=-1)
    slope = _slope(edges, histogram, upper)
    shape = histogram.shape[:-1]
    phi, tau, highest, measured = np.ones(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
    for i in range(len(levels)):
        at = upper[..., i][..., None, None, None]
        slow = np.take_along_axis(over, np.broadcast_to(at, (*over.shape[:-1], 1)), axis=-1)[..., 0]
        table = _table(np.where(missing, -1, requests), slow)
        spread, bad = _spread(table, of=len(levels)), _total(table.bad)
        enough = placed[..., i] & _enough(_total(table.requests), bad)
        measured = measured | enough
        phi = np.where(enough, np.maximum(phi, spread.phi), phi)
        tau = np.where(enough & (slope[..., i] > 0), np.maximum(tau, spread.tau / np.maximum(slope[..., i], 1e-9)), tau)
        highest = np.where(placed[..., i], bad, highest)
    table = _table(np.where(missing, -1, requests), np.zeros_like(requests))
    pods, seconds = _pods(table), _intervals(table) * interval
    assumed = (pods < LEAST_PODS) | (seconds < LEAST_SECONDS) | ~measured
    return Calibration(
        history=LatencyHistory(edges=edges, counts=histogram if histogram.ndim > 1 else tuple(histogram.tolist())),
        noise=_noise(phi, tau, assumed, pods),
        seconds=float(np.max(seconds)),
        pods=_plain(pods),
        requests=_plain(histogram.sum(axis=-1)),
        bad=_plain(highest),
    )


def of_runs(known: Calibration, runs: Integers) -> Calibration:
    """Return a batch in which each run has one of these calibrations, shape (R,).

    Args:
        known: a batch.
        runs: which of it each run has, shape (R,).
    """
    noise, history = known.noise, known.history
    taken = Noise(*(np.asarray(one)[runs] for one in (noise.phi, noise.tau, noise.assumed, noise.pods)))
    if isinstance(history, RateHistory):
        had = RateHistory(requests=np.asarray(history.requests)[runs], bad=np.asarray(history.bad)[runs])
        return replace(known, noise=taken, history=had)
    return replace(known, noise=taken, history=replace(history, counts=np.asarray(history.counts)[runs]))


def _unknown(batch: tuple[int, ...]) -> Calibration:
    """Return what is assumed of a latency gate whose stable arm has served nothing."""
    nothing = _plain(np.zeros(batch))
    noise = _noise(np.ones(batch), np.zeros(batch), np.ones(batch, dtype=bool), np.zeros(batch))
    return Calibration(LatencyHistory(), noise, seconds=0.0, pods=nothing, requests=nothing, bad=nothing)


def _table(requests: Integers, bad: Integers | Numbers) -> _Table:
    """Return the table of increments of shape (..., T, P)."""
    known = requests >= 0
    return _Table(*(np.ascontiguousarray(np.swapaxes(np.where(known, a, 0.0), -1, -2)) for a in (requests, bad)))


def _noise(phi: Numbers, tau: Numbers, assumed: Flags, pods: Integers | Numbers) -> Noise:
    phi, tau = np.where(assumed, ASSUMED_PHI, phi), np.where(assumed, ASSUMED_TAU, tau)
    if phi.ndim == 0:
        return Noise(phi=float(phi), tau=float(tau), assumed=bool(assumed), pods=int(pods))
    return Noise(phi=phi, tau=tau, assumed=assumed, pods=np.asarray(pods, dtype=np.int64))


def _spread(table: _Table, *, of: int) -> _Spread:
    """Return what one of so many tables says, of which the worst will count."""
    looks = np.maximum(_intervals(table), 1)
    single, _ = _dispersion(table)
    phi = single * (1 + 2 / np.sqrt(looks))
    intervals = 2
    worst = single
    while table.requests.shape[-1] // intervals >= _LEAST_RUNS:
        runs, deviation = _dispersion(table.joined(intervals))
        significant = runs > single * (1 + _CLEARLY * deviation)
        heavier = np.minimum(_BURSTS, np.sqrt(runs / single))
        phi = np.where(significant, np.maximum(phi, heavier * runs), phi)
        worst = np.where(significant, np.maximum(worst, runs), worst)
        intervals *= 2
    return _Spread(phi=np.maximum(1.0, phi), tau=_between(table, np.maximum(1.0, worst), mistaken=_MISTAKEN / of))


def _dispersion(table: _Table) -> tuple[Numbers, Numbers]:
    """Return the variance of counts around each pod's share of an interval, in units of the binomial's, and its standard deviation.

    It is drawn towards 1 by ``_PRIOR`` bad requests: a handful of intervals with more than one says little.
    """
    expected = _fitted(table)
    total = table.bad.sum(axis=-2, keepdims=True)
    rate = np.where(table.requests > 0, expected / np.maximum(table.requests, 1), 0.0)
    share = expected / np.maximum(expected.sum(axis=-2, keepdims=True), 1e-300)
    several = total > 1  # one bad request falls on one pod whatever the dispersion
    around = np.where(several, (table.bad - expected) ** 2, 0.0).sum(axis=(-2, -1))
    allowed = np.where(several, expected * (1 - share) * (1 - np.minimum(rate, 0.999)), 0.0).sum(axis=(-2, -1))
    rows = np.asarray(total[..., 0, :] > 0).sum(axis=-1)
    fitted = np.maximum(rows, 2) / np.maximum(rows - 1, 1)  # the pods' own rates are fitted
    freedom = np.maximum(np.asarray(several[..., 0, :]).sum(axis=-1) * (_pods(table) - 1), 1)
    deviation = np.sqrt(2 / freedom + 1 / np.maximum(_total(table.bad), 1))
    return np.asarray((around * fitted + _PRIOR) / (allowed + _PRIOR)), deviation


def _fitted(table: _Table) -> Numbers:
    """Return expected bad requests with every interval's and every pod's total as counted (iterative proportional fitting)."""
    of_interval, of_pod = table.bad.sum(axis=-2, keepdims=True), table.bad.sum(axis=-1, keepdims=True)
    rate = np.ones_like(of_pod)
    for _ in range(_FITS):
        level = of_interval / np.maximum((table.requests * rate).sum(axis=-2, keepdims=True), 1e-300)
        rate = of_pod / np.maximum((table.requests * level).sum(axis=-1, keepdims=True), 1e-300)
    level = of_interval / np.maximum((table.requests * rate).sum(axis=-2, keepdims=True), 1e-300)
    return np.asarray(table.requests * level * rate)


def _between(table: _Table, phi: Numbers, *, mistaken: float) -> Numbers:
    """Return the sd of the pods' log rates beyond counting noise of dispersion ``phi``, 0 where it is not significant."""
    level = table.bad.sum(axis=-2, keepdims=True) / np.maximum(table.requests.sum(axis=-2, keepdims=True), 1)
    expected = (table.requests * level).sum(axis=-1)
    variance = (table.requests * level * (1 - level)).sum(axis=-1)
    counted = table.bad.sum(axis=-1)
    q = np.where(variance > 0, (counted - expected) ** 2 / np.maximum(variance, 1e-300), 0.0).sum(axis=-1) / phi
    freedom = np.maximum((expected > 0).sum(axis=-1) - 1, 0)
    total = expected.sum(axis=-1)
    weight = total - (expected**2).sum(axis=-1) / np.maximum(total, 1e-300)
    noise = variance.sum(axis=-1)  # none where every request is bad
    weight = np.where(noise > 0, weight * total / np.where(noise > 0, noise, 1.0), 0.0)
    significant = q > freedom + NormalDist().inv_cdf(1 - mistaken) * np.sqrt(2 * freedom)
    squared = np.where(significant & (weight > 0), phi * (q - freedom) / np.maximum(weight, 1e-300), 0.0)
    return np.sqrt(np.log1p(squared))


def _slope(edges: tuple[float, ...], histogram: Integers, upper: Integers) -> Numbers:
    """Return by how much the log of the share over an edge falls per unit of log time there, shape (..., Q); 0 where unknown."""
    shares = np.log(shares_over(histogram))
    over = tails(histogram)
    ends = np.log(np.asarray(edges[:-1]))
    last = len(ends) - 1
    above = np.where(take(over, np.minimum(upper + 1, last)) > 0, np.minimum(upper + 1, last), upper)
    below = np.maximum(upper - 1, 0)
    width = ends[above] - ends[below]
    fall = take(shares, below) - take(shares, above)
    return np.where(width > 0, fall / np.maximum(width, 1e-9), 0.0)


def _enough(requests: Numbers, bad: Numbers) -> Flags:
    """Return where enough requests were bad to see how they vary; where all were, nothing can vary."""
    return np.asarray(np.minimum(bad, requests - bad) >= LEAST_BAD)


def _total(values: Numbers) -> Numbers:
    return np.asarray(values.sum(axis=(-2, -1)))


def _pods(table: _Table) -> Integers:
    return np.asarray((table.requests.sum(axis=-1) > 0).sum(axis=-1))


def _intervals(table: _Table) -> Integers:
    return np.asarray((table.requests.sum(axis=-2) > 0).sum(axis=-1))


def _plain(values: NDArray[np.float64] | Integers) -> int | Integers:
    return int(values) if np.ndim(values) == 0 else np.asarray(values, dtype=np.int64)
