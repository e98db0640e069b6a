"""The traffic of both arms: arrays of ``bench.traffic`` for a cell, spliced where the harm begins late, and as looks of a rollout.

A run that is at step k at a look sees that look of the arrays drawn for the share of step k. The latency arrays are drawn straight
into the buckets asked for: a merged multinomial is the multinomial of the merged shares, at a fraction of the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import traffic
from bench.decisions.cells import PODS, Cell, candidate_pods
from pointsman.evidence import model

Integers = NDArray[np.int64]
Edges = NDArray[np.float64]
TAIL, SHIFT = "tail", "shift"


class Rates(NamedTuple):
    """Increments of both arms, each (T, R): looks first, so that one look lies together in memory."""

    candidate_bad: Integers
    candidate: Integers
    stable_bad: Integers
    stable: Integers


class Latencies(NamedTuple):
    """Requests per bucket of both arms, each (T, R, B)."""

    candidate: Integers
    stable: Integers


def rates(cell: Cell, share: float, runs: int, seed: int, *, ratio: float = 1.0) -> Rates:
    """Draw requests and failures; the candidate fails ``ratio`` times as often."""
    drawn = traffic.errors(seed, runs, cell.looks, cell.interval, cell.rps, share, cell.noise, rr=ratio)
    return Rates(*(np.ascontiguousarray(a.T) for a in drawn))


def late(healthy: Rates, harmed: Rates, begins: int) -> Rates:
    """Splice: ``healthy`` up to look ``begins``, ``harmed`` from there on."""
    return Rates(*(np.concatenate([a[:begins], b[begins:]]) for a, b in zip(healthy, harmed, strict=True)))


def latencies(
    cell: Cell, share: float, runs: int, seed: int, *, edges: Edges, shape: str = SHIFT, k99: float = 1.0
) -> Latencies:
    """Draw histograms over ``edges`` (ms; the first and the last one only close the outer buckets, as in ``traffic``)."""
    with _buckets(edges):
        drawn = traffic.latency(
            seed, runs, cell.looks, cell.interval, cell.rps, share, cell.noise, shape=shape, k99=k99
        )
    return Latencies(*(np.ascontiguousarray(np.swapaxes(a, 0, 1)) for a in drawn))


def seconds(edges: Edges) -> tuple[float, ...]:
    """Return the upper edges of the buckets of ``traffic.latency`` in seconds, +Inf last."""
    return (*(float(e) / 1000 for e in edges[1:-1]), math.inf)


def classic(factor: float, first: float = 5.0, last: float = 10_000.0) -> NDArray[np.float64]:
    """Return classic bucket edges in ms: ``first`` times powers of ``factor`` up to ``last``, closed on both sides for ``traffic``."""
    finite = first * factor ** np.arange(math.floor(math.log(last / first) / math.log(factor)) + 1)
    return np.asarray([finite[0] / factor, *finite, finite[-1] * factor])


def common_latency(cell: Cell, share: float, runs: int, seed: int) -> NDArray[np.float64]:
    """Return what ``traffic.latency`` adds to both arms' log latency with this seed, (T, R): its draws, made again."""
    shape = (runs, cell.looks)
    if not traffic.NOISE[cell.noise]["common"]:
        return np.zeros(shape[::-1])
    rng = np.random.default_rng(seed)
    traffic.load(rng, *shape, cell.interval, cell.rps, share, common=True)
    added = traffic.ar1(rng, *shape, 0.10, 600 / cell.interval)
    added += np.log(traffic.incidents(rng, *shape, cell.interval, 0.5, 90, 2.0))
    return np.ascontiguousarray(added.T)


@dataclass(frozen=True, kw_only=True)
class Staged:
    """The looks of R rollouts, each at its own step; arrays for one step or more, in the order of the steps' shares."""

    cell: Cell
    shares: Sequence[float]
    rates: Sequence[Rates] = ()
    latencies: Sequence[Latencies] = ()
    edges: tuple[float, ...] = ()

    def look(self, index: int, step: Integers) -> Mapping[str, model.Look]:
        """Return look ``index`` (from 0) of every gate; ``step`` (R,) is where each run is, from 0."""
        candidate = np.asarray([candidate_pods(share) for share in self.shares])[step]
        pods, now = (candidate, PODS - candidate), (index + 1) * self.cell.interval
        looks: dict[str, model.Look] = {}
        if self.rates:
            bad, requests, stable_bad, stable = _at(self.rates, index, step)
            looks["errors"] = model.RateLook(requests, bad, stable, stable_bad, *pods, now, now)
        if self.latencies:
            new, old = _at(self.latencies, index, step)
            looks["latency"] = model.LatencyLook(self.edges, new, old, *pods, now, now)
        return looks


def one_step(cell: Cell, runs: int, chunk: int, *, ratio: float = 1.0) -> tuple[Rates, Staged]:
    """Draw errors for a rollout of one step at the cell's share."""
    counts = rates(cell, cell.share, runs, cell.seed(f"errors x{ratio:g}", chunk), ratio=ratio)
    return counts, Staged(cell=cell, shares=(cell.share,), rates=[counts])


def one_step_latency(
    cell: Cell, runs: int, chunk: int, *, edges: Edges, shape: str = SHIFT, k99: float = 1.0
) -> tuple[Latencies, Staged]:
    """Draw histograms for a rollout of one step at the cell's share."""
    seed = cell.seed(f"latency {shape} x{k99:g}", chunk)
    counts = latencies(cell, cell.share, runs, seed, edges=edges, shape=shape, k99=k99)
    return counts, Staged(cell=cell, shares=(cell.share,), latencies=[counts], edges=seconds(edges))


def _at(steps: Sequence[tuple[Integers, ...]], index: int, step: Integers) -> list[Integers]:
    """Return each array's look, taken for every run from the arrays of its step."""
    if len(steps) == 1:
        return [a[index] for a in steps[0]]
    run = np.arange(len(step))
    return [np.stack([a[index] for a in same])[step, run] for same in zip(*steps, strict=True)]


@contextmanager
def _buckets(edges: Edges) -> Iterator[None]:
    """Let ``traffic`` draw into other buckets than its own."""
    before = traffic.EDGES
    traffic.EDGES = edges
    try:
        yield
    finally:
        traffic.EDGES = before
