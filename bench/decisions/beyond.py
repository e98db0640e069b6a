"""Noise that ``bench.traffic`` does not have, pod by pod: bursts of failures in one pod, slow pods, failures with load, a cold candidate.

Both versions are equal; only their pods differ. Twenty pods of each version have a rate and a latency of their own at every look, an
arm's requests go to all of its pods evenly, and the hour before is drawn from stable's pods in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from bench import traffic
from bench.decisions import arms, rollouts
from bench.decisions.cells import PODS, Cell, candidate_pods, every
from bench.decisions.past import INTERVALS, STEP
from bench.decisions.report import Figure, error_rate, mean
from bench.decisions.rollouts import CLASSIC, ROLLBACK, Policy
from bench.decisions.work import Arrays, Gathered, Job, Size, split
from pointsman.evidence import calibration

TABLE = "P(rolled back | equal), other noise, the whole rollout within 1 h"
NOTES = {
    TABLE: "as the first table, beside realistic noise; bursts: each pod fails 10 x as often for a minute, once an hour; slow pods: "
    "sd .1 of the log latency; load: failures grow as load^1.5; cold: latency 1.5 x at first, gone after minutes (printed)"
}
LEVELS = (0.01, 0.05)
BASE = 0.005
Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How pods differ from each other.

    Attributes:
        bursts: by how much a pod fails more often in its burst, 1 for none.
        slow: sd of the pods' log latency.
        load: power of the load that the failure rate follows.
        cold: by how much a candidate's pod is slower at the first request; it halves every minute.
    """

    bursts: float = 1.0
    slow: float = 0.0
    load: float = 0.0
    cold: float = 1.0
    judged: bool = True


NOISES: Mapping[str, Noise] = MappingProxyType(
    {
        "bursts": Noise(bursts=10.0),
        "slow pods": Noise(slow=0.1),
        "load": Noise(load=1.5),
        "cold": Noise(cold=1.5, judged=False),
    }
)


@dataclass(frozen=True, kw_only=True)
class Pods:
    """One version's pods: rate of failures and log latency beyond the median, (R, T, PODS)."""

    rate: Numbers
    latency: Numbers

    @staticmethod
    def draw(rng: np.random.Generator, noise: Noise, common: tuple[Numbers, Numbers], look: float) -> Pods:
        """Draw pods on a common rate and latency, each (R, T)."""
        runs, looks = common[0].shape
        bursts = traffic.incidents(rng, runs * PODS, looks, look, 1.0, 60, noise.bursts)
        rate = common[0][..., None] * bursts.reshape(runs, PODS, looks).transpose(0, 2, 1)
        latency = common[1][..., None] + rng.normal(0, noise.slow, (runs, 1, PODS))
        return Pods(rate=np.minimum(rate, 0.6), latency=latency)

    def shares(self) -> Numbers:
        """Return the share of each pod's requests in each bucket, (R, T, PODS, B)."""
        inner = norm.cdf((np.log(CLASSIC[1:-1] / traffic.MED) - self.latency[..., None]) / traffic.SIG)
        ends = np.zeros((*self.latency.shape, 1))
        return np.diff(np.concatenate([ends, inner, ends + 1], axis=-1), axis=-1)


def jobs(size: Size) -> list[Job]:
    return [
        job
        for cell in _cells(size)
        for name in NOISES
        for job in split(("beyond", cell, name), whole_rollout, size.beyond_runs, cell=cell, name=name)
    ]


def _cells(size: Size) -> list[Cell]:
    return every([noise for noise in size.noises if noise == "realistic"], look=size.look) if size.beyond_runs else []


def whole_rollout(cell: Cell, name: str, *, runs: int, chunk: int) -> Arrays:
    noise, rng = NOISES[name], np.random.default_rng(cell.seed(name, chunk))
    total, common = _common(rng, noise, cell, (runs, INTERVALS), STEP)
    stable = Pods.draw(rng, noise, common, STEP)
    requests = rng.multinomial(total, np.full(PODS, 1 / PODS))
    known = {
        "errors": calibration.of_rates(requests, rng.binomial(requests, stable.rate), interval=STEP),
        "latency": calibration.of_latency(
            arms.seconds(CLASSIC),
            rng.multinomial(requests, stable.shares()),
            quantiles=rollouts.QUANTILES,
            interval=STEP,
        ),
    }
    staged = _staged(rng, noise, cell, runs)
    found: Arrays = {}
    for level in LEVELS:
        policy = Policy(shares=tuple(staged.shares), false_rollback=level)
        found[f"{level}"] = rollouts.decide(cell, policy, staged, known, runs=runs).decision
    return found


def _common(
    rng: np.random.Generator, noise: Noise, cell: Cell, shape: tuple[int, int], look: float
) -> tuple[arms.Integers, tuple[Numbers, Numbers]]:
    """Draw what all pods share, as realistic noise does: requests of both arms, failure rate and log latency, each (R, T)."""
    total, _ = traffic.load(rng, *shape, look, cell.rps, 1.0, common=True)
    rate = BASE * np.exp(traffic.ar1(rng, *shape, 0.4, 600 / look) - 0.08)
    rate = rate * traffic.incidents(rng, *shape, look, 0.5, 90, 10.0)
    if noise.load:
        rate = rate * np.minimum((total / (cell.rps * look)) ** noise.load, 20.0)
    latency = traffic.ar1(rng, *shape, 0.10, 600 / look)
    return total, (rate, latency + np.log(traffic.incidents(rng, *shape, look, 0.5, 90, 2.0)))


def _staged(rng: np.random.Generator, noise: Noise, cell: Cell, runs: int) -> arms.Staged:
    total, common = _common(rng, noise, cell, (runs, cell.looks), cell.interval)
    cold = np.log(noise.cold) * 0.5 ** (np.arange(cell.looks) * cell.interval / 60)
    versions = (
        Pods.draw(rng, noise, (common[0], common[1] + cold), cell.interval),
        Pods.draw(rng, noise, common, cell.interval),
    )
    buckets = [version.shares() for version in versions]
    shares = rollouts.steps(cell.share)
    rates, latencies = [], []
    for share in shares:
        pods = candidate_pods(share), PODS - candidate_pods(share)
        candidate = rng.binomial(total, share)
        requests = candidate, total - candidate
        bad = [rng.binomial(n, v.rate[..., :k].mean(axis=-1)) for n, v, k in zip(requests, versions, pods, strict=True)]
        counts = [rng.multinomial(n, b[:, :, :k].mean(axis=2)) for n, b, k in zip(requests, buckets, pods, strict=True)]
        rates.append(arms.Rates(*(np.ascontiguousarray(a.T) for a in (bad[0], requests[0], bad[1], requests[1]))))
        latencies.append(arms.Latencies(*(np.ascontiguousarray(np.swapaxes(a, 0, 1)) for a in counts)))
    return arms.Staged(cell=cell, shares=shares, rates=rates, latencies=latencies, edges=arms.seconds(CLASSIC))


def figures(gathered: Gathered, size: Size) -> list[Figure]:
    found: list[Figure] = []
    for name, noise in NOISES.items():
        for level in LEVELS if size.beyond_runs else ():
            column, target = f"{name}, {level:.0%}", level if noise.judged else None
            cells = [
                error_rate(
                    TABLE,
                    f"{cell.rps}/s {cell.share:.0%}",
                    column,
                    gathered["beyond", cell, name][f"{level}"] == ROLLBACK,
                    target,
                )
                for cell in _cells(size)
            ]
            found += [*cells, mean(TABLE, column, cells, target)]
    return found
