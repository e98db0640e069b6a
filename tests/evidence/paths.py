"""Every outcome of a few looks at once, on the batch axis, with each path's chance: expectations are then exact sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from pointsman.evidence import gate as evidence
from pointsman.evidence.latency import LatencyState
from pointsman.evidence.model import Gate, LatencyGate, LatencyLook, RateGate, RateLook
from pointsman.evidence.rate import RateState


@dataclass(frozen=True)
class Arms:
    """Requests of candidate and stable in one look, and their true rates; bad requests come in clusters of ``cluster``."""

    candidate: int
    stable: int
    candidate_rate: float
    stable_rate: float
    cluster: int = 1


@dataclass(frozen=True, eq=False)
class Paths:
    """Bad requests of every path, shape (looks, paths), and the chance of each path."""

    looks: tuple[Arms, ...]
    candidate_bad: np.ndarray
    stable_bad: np.ndarray
    chance: np.ndarray

    def expected(self, values: np.ndarray) -> float:
        """Return the exact expectation of what each path gave."""
        return float(self.chance @ values)

    def look(self, i: int, *, elapsed: float, at: float = 0.0, pods: tuple[int, int] = (2, 3)) -> RateLook:
        """Return the look of all paths."""
        arms = self.looks[i]
        return RateLook(
            arms.candidate, self.candidate_bad[i], arms.stable, self.stable_bad[i], *pods, elapsed=elapsed, at=at
        )


def every_path(looks: Sequence[Arms]) -> Paths:
    """Return every path of these looks; bad requests of an arm are binomial, in clusters where asked; what has no chance is left out."""
    outcomes = [
        [
            (x_c * one.cluster, x_s * one.cluster, chance_c * chance_s)
            for (x_c, chance_c), (x_s, chance_s) in product(
                enumerate(binomial(one.candidate // one.cluster, one.candidate_rate)),
                enumerate(binomial(one.stable // one.cluster, one.stable_rate)),
            )
            if chance_c * chance_s > 0
        ]
        for one in looks
    ]
    table = np.array(list(product(*outcomes)))  # paths, looks, 3
    return Paths(
        looks=tuple(looks),
        candidate_bad=table[:, :, 0].T.astype(np.int64),
        stable_bad=table[:, :, 1].T.astype(np.int64),
        chance=table[:, :, 2].prod(axis=1),
    )


def binomial(n: int, p: float) -> np.ndarray:
    """Return the chances of 0 ... n."""
    return np.array([math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n + 1)])


def fold_rates(gate: RateGate, paths: Paths, *, elapsed: Sequence[float] = (10.0, 20.0, 30.0)) -> RateState:
    """Return the gate's state at the end of all paths."""
    state: evidence.State = evidence.start(gate, paths.chance.shape)
    for i in range(len(paths.looks)):
        state = evidence.fold(gate, state, paths.look(i, elapsed=elapsed[i]))
    assert isinstance(state, RateState)
    return state


Shape = tuple[tuple[float, ...], tuple[float, ...]]
"""Chances of the buckets for a request to the candidate, and for one to stable."""


@dataclass(frozen=True, eq=False)
class Histograms:
    """Requests per bucket of every path, shape (looks, paths, B), and the chance of each path."""

    edges: tuple[float, ...]
    candidate: np.ndarray
    stable: np.ndarray
    chance: np.ndarray

    def expected(self, values: np.ndarray) -> float:
        """Return the exact expectation of what each path gave."""
        return float(self.chance @ values)

    def look(self, i: int, *, pods: tuple[int, int] = (2, 3)) -> LatencyLook:
        """Return the look of all paths."""
        at = 10.0 * (i + 1)
        return LatencyLook(self.edges, self.candidate[i], self.stable[i], *pods, elapsed=at, at=at)


def every_histogram(edges: tuple[float, ...], shapes: Sequence[Shape], *, requests: int = 2) -> Histograms:
    """Return every path of looks with so many requests to each arm; what has no chance is left out."""
    every = [h for h in product(range(requests + 1), repeat=len(edges)) if sum(h) == requests]
    outcomes = [
        [
            (candidate, stable, multinomial(candidate, p_c) * multinomial(stable, p_s))
            for candidate in every
            if multinomial(candidate, p_c) > 0
            for stable in every
            if multinomial(stable, p_s) > 0
        ]
        for p_c, p_s in shapes
    ]
    paths = list(product(*outcomes))
    candidate, stable = (np.array([[look[arm] for look in path] for path in paths]) for arm in (0, 1))
    chance = np.array([math.prod(look[2] for look in path) for path in paths])
    return Histograms(edges, candidate.swapaxes(0, 1), stable.swapaxes(0, 1), chance)


def multinomial(counts: tuple[int, ...], chances: tuple[float, ...]) -> float:
    """Return the chance of one histogram."""
    ways = math.factorial(sum(counts)) / math.prod(math.factorial(i) for i in counts)
    return ways * math.prod(p**i for i, p in zip(counts, chances, strict=True))


def fold_histograms(gate: LatencyGate, paths: Histograms, *, pods: tuple[int, int] = (2, 3)) -> LatencyState:
    """Return the gate's state at the end of all paths."""
    state: evidence.State = evidence.start(gate, paths.chance.shape)
    for i in range(len(paths.candidate)):
        state = evidence.fold(gate, state, paths.look(i, pods=pods))
    assert isinstance(state, LatencyState)
    return state


def safe_level(gate: Gate) -> float:
    """Return the log that safety must reach."""
    return math.log(1 / gate.false_promotion)


def largest(chance: np.ndarray, copies: np.ndarray) -> float:
    """Return the largest expectation of any copy: where none is over 1, no mixture of them is."""
    return float(np.max(chance @ np.exp(copies)))
