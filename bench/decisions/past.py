"""The stable arm's hour before a rollout, pod by pod: what calibration reads. Of the ingredients of ``bench.traffic``.

Each interval's load (its daily cycle, slow drift, bursts) is split evenly at random over ``PODS`` pods. All pods share the drifting base
rate and the incidents; with ``pods`` noise each has its own factor, with ``clustered`` noise failures come in runs within one
pod. In the noises with common drift each pod is scraped up to 10 s late, for the whole hour by the same delay. As in ``traffic``, the
latency of one pod is that of another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from bench import traffic
from bench.decisions.cells import PODS, Cell

INTERVALS, STEP = 360, 10.0
"""As the operator reads the past at an interval of 10 s."""
Integers = NDArray[np.int64]


def rates(cell: Cell, runs: int, seed: int, *, base: float = 0.005) -> tuple[Integers, Integers]:
    """Return requests and failures per interval and pod, each (runs, 360, PODS)."""
    rng, kind = np.random.default_rng(seed), traffic.NOISE[cell.noise]
    requests = _requests(rng, cell, runs)
    p = np.full((runs, INTERVALS), base)
    if kind["common"]:
        drift = traffic.ar1(rng, runs, INTERVALS, 0.4, 600 / STEP) - 0.08
        p = p * np.exp(drift) * traffic.incidents(rng, runs, INTERVALS, STEP, 0.5, 90, 10.0)
    each = np.minimum(p[..., None] * np.exp(rng.normal(0, kind["tau"], (runs, 1, PODS))), 0.6)
    if kind["clusters"]:
        drawn = [
            size * rng.poisson(requests * each * share / traffic.CL_MEAN)
            for size, share in zip(traffic.CL_S, traffic.CL_Q, strict=True)
        ]
        bad = np.minimum(sum(drawn), requests)
    else:
        bad = rng.binomial(requests, each)
    if kind["common"]:
        good, bad = _late(rng, requests - bad, bad)
        requests = good + bad
    return requests, bad


def latencies(cell: Cell, runs: int, seed: int, edges: NDArray[np.float64]) -> Integers:
    """Return requests per interval, pod and bucket, (runs, 360, PODS, B); ``edges`` as in ``arms.latencies``."""
    rng, kind = np.random.default_rng(seed), traffic.NOISE[cell.noise]
    requests = _requests(rng, cell, runs)
    common = np.zeros((runs, INTERVALS))
    if kind["common"]:
        common = traffic.ar1(rng, runs, INTERVALS, 0.10, 600 / STEP)
        common += np.log(traffic.incidents(rng, runs, INTERVALS, STEP, 0.5, 90, 2.0))
    inner = norm.cdf((np.log(edges[1:-1] / traffic.MED) - common[..., None]) / traffic.SIG)
    ends = np.zeros((*common.shape, 1))
    shares = np.diff(np.concatenate([ends, inner, ends + 1], axis=-1), axis=-1)
    counts = rng.multinomial(requests, shares[:, :, None, :])
    return _late(rng, counts)[0] if kind["common"] else counts


def _requests(rng: np.random.Generator, cell: Cell, runs: int) -> Integers:
    total, _ = traffic.load(rng, runs, INTERVALS, STEP, cell.rps, 1.0, traffic.NOISE[cell.noise]["common"])
    return np.asarray(rng.multinomial(total, np.full(PODS, 1 / PODS)), dtype=np.int64)


def _late(rng: np.random.Generator, *counts: Integers) -> list[Integers]:
    """Move each pod's share of every interval into the next one; arrays (runs, 360, PODS, ...)."""
    share = rng.uniform(0, traffic.SCRAPE / STEP, (counts[0].shape[0], 1, PODS))
    moved = []
    for one in counts:
        held = rng.binomial(one, share.reshape(*share.shape, *(1,) * (one.ndim - 3)))
        kept = one - held
        kept[:, 1:] += held[:, :-1]
        moved.append(kept)
    return moved
