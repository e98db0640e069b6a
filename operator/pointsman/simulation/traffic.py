"""Seeded traffic of many rollouts at once: what both arms count in every look, and what stable's pods counted in the hour before."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pointsman.evidence.model import Flags, Integers, LatencyLook, Look, Numbers, RateLook
from pointsman.simulation.world import Noise, Regression, World, tail_factor

_BURST, _INCIDENT = 90.0, 90.0  # seconds
_LOAD_MEMORY, _RATE_MEMORY = 300.0, 600.0
_MOST_FAILING = 0.6
MOST_PODS = 50


@dataclass(frozen=True, kw_only=True)
class Arms:
    """What a step is: the candidate's share of the traffic and the pods of both arms; arrays over the steps."""

    share: Numbers
    candidate_pods: Integers
    stable_pods: Integers


@dataclass
class _Weather:
    """What both arms share and what changes from look to look; shape (R,)."""

    noise: Noise
    interval: float
    rng: np.random.Generator
    runs: int
    load: Numbers = field(init=False)
    rate: Numbers = field(init=False)
    slow: Numbers = field(init=False)
    burst: Numbers = field(init=False)
    incident: Numbers = field(init=False)

    def __post_init__(self) -> None:
        """Begin in the stationary state."""
        self.load, self.rate, self.slow = (
            self.rng.normal(0, 1, self.runs) * sd for sd in (self.noise.load_sd, self.noise.rate_sd, self.noise.slow_sd)
        )
        self.burst, self.incident = np.zeros(self.runs), np.zeros(self.runs)

    def pass_(self) -> None:
        """One look later."""
        self.load = self._wander(self.load, self.noise.load_sd, _LOAD_MEMORY)
        self.rate = self._wander(self.rate, self.noise.rate_sd, _RATE_MEMORY)
        self.slow = self._wander(self.slow, self.noise.slow_sd, _RATE_MEMORY)
        self.burst = self._strike(self.burst, self.noise.bursts, _BURST)
        self.incident = self._strike(self.incident, self.noise.incidents, _INCIDENT)

    def _wander(self, value: Numbers, sd: float, memory: float) -> Numbers:
        if sd == 0:
            return value
        kept = math.exp(-self.interval / memory)
        return np.asarray(kept * value + self.rng.normal(0, sd * math.sqrt(1 - kept**2), self.runs))

    def _strike(self, left: Numbers, per_hour: float, seconds: float) -> Numbers:
        """Seconds that an event still lasts."""
        if per_hour == 0:
            return left
        begins = self.rng.random(self.runs) < per_hour * self.interval / 3600
        return np.where(begins, self.rng.exponential(seconds, self.runs), np.maximum(0, left - self.interval))

    @property
    def requests(self) -> Numbers:
        """Expected requests of a look, times the traffic."""
        return np.asarray(self.interval * np.exp(self.load) * np.where(self.burst > 0, 3.0, 1.0))

    @property
    def failing(self) -> Numbers:
        """Times the base rate."""
        drift = np.exp(self.rate - self.noise.rate_sd**2 / 2)
        return np.asarray(drift * np.where(self.incident > 0, 10.0, 1.0))

    @property
    def slowness(self) -> Numbers:
        """Times the latency."""
        return np.asarray(np.exp(self.slow) * np.where(self.incident > 0, 2.0, 1.0))


@dataclass(frozen=True, kw_only=True)
class Hour:
    """What stable's pods counted before the rollout: H hours of T intervals and P pods.

    requests, bad  (H, T, P)
    buckets        (H, T, P, B), not cumulative; None where no gate asks
    odd            (H, P) each pod's own failure rate, times what is usual

    Of a model with more pods than `MOST_PODS`, so many of them: more say no more about the noise.
    """

    requests: Integers
    bad: Integers
    buckets: Integers | None
    odd: Numbers


def hour(
    world: World, *, hours: int, intervals: int, interval: float, histograms: Sequence[str], seed: Sequence[int]
) -> Hour:
    """Draw what a range query would have found.

    Args:
        world: what serves.
        hours: how many, H.
        intervals: in each of them, T.
        interval: seconds.
        histograms: names of the gates on latency; without any the buckets are left out.
        seed: of all randomness.
    """
    rng = np.random.default_rng(seed)
    weather = _Weather(world.noise, interval, rng, hours)
    odd = np.exp(rng.normal(0, world.noise.pod_spread, (hours, min(world.replicas, MOST_PODS))))
    requests, bad, buckets = [], [], []
    for _ in range(intervals):
        weather.pass_()
        mean = world.traffic * weather.requests / world.replicas
        served = rng.poisson(np.broadcast_to(mean[:, None], odd.shape))
        requests.append(served)
        bad.append(_failures(rng, served, world.base_rate * weather.failing[:, None] * odd, world.noise.clusters))
        if histograms:
            buckets.append(_buckets(rng, world, served, weather.slowness[:, None] * np.sqrt(odd), Regression()))
    return Hour(
        requests=np.stack(requests, axis=1),
        bad=np.stack(bad, axis=1),
        buckets=np.stack(buckets, axis=1) if buckets else None,
        odd=odd,
    )


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a simulated rollout is about.

    rates, histograms  names of the gates on failures and on latency
    interval           seconds between looks
    warmup             requests that each of the candidate's pods serves before it counts
    """

    world: World
    regression: Regression
    arms: Arms
    rates: Sequence[str]
    histograms: Sequence[str]
    interval: float
    warmup: int


@dataclass(frozen=True, kw_only=True)
class _Arm:
    """Of one look: requests, pods, and how the arm's pods differ from the usual; shape (R,)."""

    served: Integers
    pods: Integers
    odd: Numbers


@dataclass(frozen=True, kw_only=True)
class _Look:
    candidate: _Arm
    stable: _Arm
    worse: Regression
    warm: Flags
    elapsed: float


class SimulatedTraffic:
    """Implements `course.Traffic`: the increments of every look, drawn as the looks go by."""

    def __init__(self, script: Script, *, stable_odd: Numbers, seed: Sequence[int], seen: Callable[[], None]) -> None:
        """Begin before the first look.

        Args:
            script: what is simulated.
            stable_odd: of each run the stable pods' own failure rates, (R, P), as in its hour before.
            seed: of all randomness.
            seen: called after every look.
        """
        runs, world = len(stable_odd), script.world
        self._script, self._seen, self._rng = script, seen, np.random.default_rng(seed)
        self._weather = _Weather(world.noise, script.interval, self._rng, runs)
        candidate_odd = np.exp(
            self._rng.normal(0, world.noise.pod_spread, (runs, int(script.arms.candidate_pods.max())))
        )
        self._odd = (
            _of_first(candidate_odd, script.arms.candidate_pods),
            _of_first(stable_odd, script.arms.stable_pods),
        )
        self._cold = np.full(runs, float(script.warmup))
        self._lag = self._rng.random(runs) if world.noise.late else np.zeros(runs)
        self._late: dict[str, Integers] = {}
        self._requests: list[Integers] = []

    def look(self, index: int, step: Integers) -> Mapping[str, Look]:
        """The increments of a look; see `course.Traffic`."""
        script, weather, rng = self._script, self._weather, self._rng
        weather.pass_()
        elapsed = (index + 1) * script.interval
        total = rng.poisson(script.world.traffic * weather.requests)
        candidate = rng.binomial(total, script.arms.share[step])
        self._requests.append(candidate)
        pods = (script.arms.candidate_pods[step], script.arms.stable_pods[step])
        odd = [np.take_along_axis(of, step[:, None], axis=1)[:, 0] for of in self._odd]
        drawn = _Look(
            candidate=_Arm(served=candidate, pods=pods[0], odd=odd[0]),
            stable=_Arm(served=total - candidate, pods=pods[1], odd=odd[1]),
            worse=script.regression if elapsed > script.regression.after else Regression(),
            warm=self._cold <= 0,
            elapsed=elapsed,
        )
        self._cold = self._cold - candidate / pods[0]
        looks: dict[str, Look] = {name: self._rate(name, drawn) for name in script.rates}
        looks.update({name: self._histogram(name, drawn) for name in script.histograms})
        self._seen()
        return looks

    def exposed(self, seconds: Numbers) -> Integers:
        """Requests that the candidate had served so many seconds after the first step, counted or not, shape (R,)."""
        served = np.cumsum(np.stack(self._requests), axis=0)
        last = np.clip(np.rint(seconds / self._script.interval).astype(np.int64) - 1, 0, len(served) - 1)
        return np.asarray(np.take_along_axis(served, last[None, :], axis=0)[0])

    def _rate(self, name: str, drawn: _Look) -> RateLook:
        world, rng, candidate, stable = self._script.world, self._rng, drawn.candidate, drawn.stable
        rate = world.base_rate * self._weather.failing
        bad = _failures(rng, candidate.served, rate * candidate.odd * drawn.worse.errors, world.noise.clusters)
        counted = self._arrived(name, np.stack([bad, candidate.served - bad], axis=-1)) * drawn.warm[:, None]
        return RateLook(
            candidate_requests=counted.sum(axis=-1),
            candidate_bad=counted[:, 0],
            stable_requests=stable.served,
            stable_bad=_failures(rng, stable.served, rate * stable.odd, world.noise.clusters),
            candidate_pods=candidate.pods,
            stable_pods=stable.pods,
            elapsed=drawn.elapsed,
            at=drawn.elapsed,
        )

    def _histogram(self, name: str, drawn: _Look) -> LatencyLook:
        world, rng, candidate, stable = self._script.world, self._rng, drawn.candidate, drawn.stable
        slowness = self._weather.slowness
        counted = _buckets(rng, world, candidate.served, slowness * np.sqrt(candidate.odd), drawn.worse)
        return LatencyLook(
            edges=world.edges,
            candidate=self._arrived(name, counted) * drawn.warm[:, None],
            stable=_buckets(rng, world, stable.served, slowness * np.sqrt(stable.odd), Regression()),
            candidate_pods=candidate.pods,
            stable_pods=stable.pods,
            elapsed=drawn.elapsed,
            at=drawn.elapsed,
        )

    def _arrived(self, name: str, counted: Integers) -> Integers:
        """What of the candidate's counts is scraped in time, with what the look before had missed."""
        if not self._script.world.noise.late:
            return counted
        late = self._rng.binomial(counted, self._lag[:, None])
        before = self._late.get(name, np.zeros_like(counted))
        self._late[name] = late
        return np.asarray(counted - late + before)


def _of_first(odd: Numbers, pods: Integers) -> Numbers:
    """The mean over an arm's first pods, at every step: (R, P) -> (R, steps)."""
    return np.stack([odd[:, : max(1, count)].mean(axis=1) for count in pods.tolist()], axis=1)


def _failures(rng: np.random.Generator, served: Integers, rate: Numbers, clusters: int) -> Integers:
    rate = np.minimum(rate, _MOST_FAILING)
    if clusters <= 1:
        return np.asarray(rng.binomial(served, rate))
    sizes = np.arange(1, clusters + 1)
    weights = 0.6**sizes / np.sum(0.6**sizes)
    events = served * rate / np.sum(sizes * weights)
    failed = rng.poisson(events[..., None] * weights) @ sizes
    return np.asarray(np.minimum(failed, served))


def _buckets(
    rng: np.random.Generator, world: World, served: Integers, slowness: Numbers, worse: Regression
) -> Integers:
    """Requests per bucket, (..., B): log-logistic latency."""
    edges = np.asarray(world.edges[:-1]) / (world.median * worse.latency)

    def faster(slower: float) -> Numbers:
        with np.errstate(over="ignore"):  # hardly any spread: all are slower than an edge, or none
            return np.asarray(1 / (1 + (edges / (slowness[..., None] * slower)) ** (-1 / world.shape)))

    below = faster(1.0)
    if worse.tail > 1:
        below = 0.95 * below + 0.05 * faster(tail_factor(world.shape, worse.tail))
    whole = np.ones((*below.shape[:-1], 1))
    return np.asarray(rng.multinomial(served, np.diff(np.concatenate([0 * whole, below, whole], axis=-1), axis=-1)))
