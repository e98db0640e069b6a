"""What is simulated: the traffic of a model, how often and how slowly it answers, its noise, and what a new version does worse."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, math.inf)
"""Seconds; the default buckets of Prometheus' client libraries."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How a cluster differs from independent requests at a constant rate. Zeros are such requests.

    load_sd        sd of the log of the load, which wanders over minutes
    rate_sd        sd of the log of the failure rate, which wanders over minutes, for both versions alike
    slow_sd        sd of the log of the latency, likewise
    bursts         per hour: three times the load for 90 s
    incidents      per hour: ten times the failures and twice the latency for 90 s, for both versions alike
    late           whether the candidate's counters arrive up to one look later than stable's
    clusters       how many failures come at once, at most: retries and batches
    pod_spread     sd of the log of a pod's own failure rate; of its latency half as much
    """

    load_sd: float = 0.0
    rate_sd: float = 0.0
    slow_sd: float = 0.0
    bursts: float = 0.0
    incidents: float = 0.0
    late: bool = False
    clusters: int = 1
    pod_spread: float = 0.0


_REALISTIC: Final = Noise(load_sd=0.15, rate_sd=0.4, slow_sd=0.1, bursts=1.0, incidents=0.5, late=True)
NOISES: Final = {
    "iid": Noise(),
    "realistic": _REALISTIC,
    "clustered": replace(_REALISTIC, clusters=5),
    "pods": replace(_REALISTIC, pod_spread=0.2),
}


@dataclass(frozen=True, kw_only=True)
class Regression:
    """What the new version does worse; ones are an equal version.

    errors   times stable's failure rate
    latency  times stable's latency, of every request
    tail     times stable's p99, because one request in twenty is slower
    after    seconds of the rollout after which it begins
    """

    errors: float = 1.0
    latency: float = 1.0
    tail: float = 1.0
    after: float = 0.0

    @property
    def name(self) -> str:
        """As people say it."""
        parts = [
            f"{said} x{factor:g}"
            for said, factor in (("failures", self.errors), ("latency", self.latency), ("p99", self.tail))
            if factor != 1
        ]
        if not parts:
            return "equal"
        return " and ".join(parts) + (f", after {self.after:g} s" if self.after else "")


@dataclass(frozen=True, kw_only=True)
class World:
    """A model as it serves.

    traffic    requests per second, both versions together
    base_rate  stable's failure rate, a fraction
    replicas   pods
    median     stable's median latency, seconds; the distribution is log-logistic
    shape      of that distribution: p99 is median * 99 ** shape
    edges      of the latency histogram, seconds, rising, +Inf last
    noise      beyond independent requests
    """

    traffic: float
    base_rate: float
    replicas: int
    median: float = 0.05
    shape: float = 0.3
    edges: tuple[float, ...] = BUCKETS
    noise: Noise = Noise()


def tail_factor(shape: float, p99: float, *, share: float = 0.05) -> float:
    """How many times slower a `share` of requests has to be so that the whole p99 is `p99` times what it was.

    For the log-logistic distribution P(T > t) = 1 / (1 + (t / median) ** (1 / shape)).
    """
    if p99 <= 1:
        return 1.0
    faster = math.log(99) + math.log(p99) / shape  # log odds of being faster than the new p99, for a request as before
    over = (
        0.01 - (1 - share) / (1 + math.exp(min(faster, 700.0)))
    ) / share  # so many of the slow ones have to be over it
    return p99 * math.exp(shape * (math.log(99) + math.log(over / (1 - over))))
