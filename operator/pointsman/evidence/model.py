"""What goes into the evidence: gates, looks and what calibration learnt, as frozen values.

All rates and shares are fractions (0.1 percentage points are ``0.001``), all times are seconds, all evidence is in natural
logarithms. Counts may carry a leading batch axis (many rollouts at once) wherever the type is ``Count``.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pointsman.evidence.replays import ReplayGate

Numbers: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Count: TypeAlias = int | Integers
LATENCY_LEVELS = (0.5, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Margin:
    """The line ``p_candidate = ratio * p_stable + excess`` between two hypotheses; ``excess`` is a fraction of requests."""

    ratio: float
    excess: float = 0.0

    def __post_init__(self) -> None:
        if not (self.ratio > 0 and math.isfinite(self.ratio)):
            raise ValueError(f"a margin's ratio must be a positive number, not {self.ratio}")
        if not 0 <= self.excess < 1:
            raise ValueError(f"a margin's excess must be a fraction in [0, 1), not {self.excess}: 0.1 points are 0.001")


@dataclass(frozen=True)
class Noise:
    """What calibration learnt about the stable arm's noise; arrays of the batch's shape for many rollouts.

    Attributes:
        phi: dispersion of counts between looks beyond Poisson, >= 1; every log e-value is divided by it.
        tau: between-pod standard deviation of the log rate (for latency of the log quantile) beyond counting noise.
        assumed: true where history was too short to measure tau: it then widens harm only.
        pods: on how many pods tau was measured; 0 where it is known.
    """

    phi: float | Numbers = 1.0
    tau: float | Numbers = 0.0
    assumed: bool | Flags = False
    pods: Count = 0

    def __post_init__(self) -> None:
        if not (np.all(np.greater_equal(self.phi, 1)) and np.all(np.greater_equal(self.tau, 0))):
            raise ValueError(f"noise needs phi >= 1 and tau >= 0, not phi {self.phi}, tau {self.tau}")


@dataclass(frozen=True)
class RateHistory:
    """Requests and bad ones of the stable arm in the hour before the rollout: pseudo-counts of the first guess of its rate."""

    requests: Count = 0
    bad: Count = 0


@dataclass(frozen=True)
class LatencyHistory:
    """The stable arm's histogram of the hour before the rollout: ``edges`` in seconds, +Inf last, and requests per bucket (..., B)."""

    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] | Integers = ()


@dataclass(frozen=True)
class Calibration:
    """What the stable arm's hour before the rollout says: what a gate takes over, and how much was looked at.

    Attributes:
        history: requests and bad ones, or the histogram.
        noise: dispersion and spread between pods, measured or assumed.
        seconds: how long the history is.
        pods: how many pods it is of.
        requests, bad: counts of the history; for latency, bad is slower than the edge over the highest quantile.
    """

    history: RateHistory | LatencyHistory
    noise: Noise
    seconds: float
    pods: Count
    requests: Count
    bad: Count


@dataclass(frozen=True)
class RateGate:
    """A gate on a rate of bad requests (Errors, Events: counts of both arms), frozen at the attempt's start.

    Attributes:
        tolerance: Safe is proof of staying inside this margin.
        harm: Harm is proof of being outside this margin.
        false_rollback: allowed P(rolled back | inside ``harm``), for the whole rollout, not only for this gate.
        false_promotion: allowed P(promoted | outside ``tolerance``).
        weight: this gate's share of the average over the gates (see ``gate.weights``).
        deadline: seconds the rollout has; evidence of harm that begins later starts anew every deadline/12.
        shares: the candidate's shares at the steps, so that the nested bound knows which excess rates matter.
        history: the stable arm's counts before the rollout.
        noise: dispersion and between-pod spread.
        deadline_test: whether the last step ends with a deadline test; ``TEST_SHARE`` of ``false_rollback`` is then kept for it.
    """

    tolerance: Margin = Margin(1.5, 0.001)
    harm: Margin = Margin(1.25)
    false_rollback: float = 0.01
    false_promotion: float = 0.05
    weight: float = 1.0
    deadline: float = 7200.0
    shares: tuple[float, ...] = ()
    history: RateHistory = RateHistory()
    noise: Noise = Noise()
    deadline_test: bool = False

    def __post_init__(self) -> None:
        check_errors(self.false_rollback, self.false_promotion, self.weight, self.deadline)
        if self.deadline_test and self.harm.excess > 0:
            raise ValueError("a deadline test needs a harm margin without excess: write harm as a ratio only")


@dataclass(frozen=True)
class LatencyGate:
    """A gate on quantiles of a histogram with fixed bucket edges, frozen at the attempt's start.

    Attributes:
        tolerance: slow-down that still counts as no slower (1.2: up to 20 % slower), per quantile.
        harm: slow-down beyond which the candidate is harmful.
        quantiles: the quantiles that must each be proven Safe.
        coarse: what the share of requests over the stable quantile's bucket must also stay inside, as buckets widen ``tolerance``.
        history: the stable arm's histogram before the rollout; without one the first look only chooses the edges.
        false_rollback, false_promotion, weight, deadline, noise, deadline_test: as in ``RateGate``.
    """

    tolerance: float = 1.2
    harm: float = 1.25
    quantiles: tuple[float, ...] = (0.5, 0.95, 0.99)
    coarse: Margin = Margin(1.5, 0.001)
    false_rollback: float = 0.01
    false_promotion: float = 0.05
    weight: float = 1.0
    deadline: float = 7200.0
    history: LatencyHistory = LatencyHistory()
    noise: Noise = Noise()
    deadline_test: bool = False

    def __post_init__(self) -> None:
        check_errors(self.false_rollback, self.false_promotion, self.weight, self.deadline)
        if not (self.tolerance >= 1 and self.harm >= 1):
            raise ValueError(f"a slow-down must be at least 1, not tolerance {self.tolerance}, harm {self.harm}")
        if not self.quantiles or not all(0 < q < 1 for q in self.quantiles):
            raise ValueError(f"quantiles must lie between 0 and 1 and there must be one, not {self.quantiles}")
        if self.history.edges:
            check_edges(self.history.edges)


Gate: TypeAlias = RateGate | LatencyGate

TEST_SHARE = 0.25
"""Part of false_rollback that the deadline tests share, where a gate has one; the e-processes keep the rest (docs/adr/0009)."""


def e_process_share(*, tested: bool) -> float:
    """Return the part of false_rollback that the average of the e-processes keeps."""
    return 1 - TEST_SHARE if tested else 1.0


def harm_level(gate: Gate | ReplayGate) -> float:
    """Return the log that this gate's harm e-process must reach to roll back alone."""
    return math.log(1 / (gate.false_rollback * e_process_share(tested=gate.deadline_test) * gate.weight))


def safe_level(gate: Gate | ReplayGate) -> float:
    """Return the log that ``log_safe`` must reach."""
    return math.log(1 / gate.false_promotion)


@dataclass(frozen=True)
class RateLook:
    """Exact increments of one look, summed over the pods of each arm; counts are ints or integer arrays of one batch shape.

    Attributes:
        candidate_requests, candidate_bad, stable_requests, stable_bad: increments since the look before.
        candidate_pods, stable_pods: pods that counted in each arm.
        elapsed: seconds of the deadline used up, since the first step (it stands still while paused).
        at: the look's time in seconds on a clock that never stands still; only the deadline test asks for it.
    """

    candidate_requests: Count
    candidate_bad: Count
    stable_requests: Count
    stable_bad: Count
    candidate_pods: Count = 1
    stable_pods: Count = 1
    elapsed: float = 0.0
    at: float = 0.0

    def __post_init__(self) -> None:
        for arm, requests, bad in (
            ("candidate", self.candidate_requests, self.candidate_bad),
            ("stable", self.stable_requests, self.stable_bad),
        ):
            if _is_less(bad, 0) or _is_less(requests, bad):
                raise ValueError(f"a look needs 0 <= bad <= requests; the {arm} has {bad} bad of {requests}")


@dataclass(frozen=True)
class LatencyLook:
    """Exact increments per bucket of one look, summed over the pods of each arm (``latency.per_bucket`` undoes ``le``).

    Attributes:
        edges: upper bucket edges in seconds, rising, +Inf last; B of them.
        candidate, stable: requests in each bucket (not cumulative), shape (..., B).
        candidate_pods, stable_pods, elapsed, at: as in ``RateLook``.
    """

    edges: tuple[float, ...]
    candidate: tuple[int, ...] | NDArray[np.int64]
    stable: tuple[int, ...] | NDArray[np.int64]
    candidate_pods: Count = 1
    stable_pods: Count = 1
    elapsed: float = 0.0
    at: float = 0.0

    def __post_init__(self) -> None:
        check_edges(self.edges)
        for arm, counts in (("candidate", self.candidate), ("stable", self.stable)):
            shape = np.shape(counts)
            if not shape or shape[-1] != len(self.edges):
                raise ValueError(f"the {arm}'s look has {shape} buckets, its edges are {len(self.edges)}")
            if _is_less(min(counts) if isinstance(counts, tuple) else counts, 0):
                raise ValueError(f"the {arm}'s look has a negative bucket: {counts}; are they increments per bucket?")


Look: TypeAlias = RateLook | LatencyLook


def _is_less(one: Count, other: Count) -> bool:
    """Return whether it is so anywhere; of two plain numbers without numpy, which takes ten times as long for them."""
    if isinstance(one, int) and isinstance(other, int):
        return one < other
    return bool(np.any(np.less(one, other)))


def check_edges(edges: tuple[float, ...]) -> None:
    """Raise ValueError unless ``edges`` rise, are positive and end with +Inf after one finite edge or more."""
    rising = all(lower < upper for lower, upper in itertools.pairwise((0.0, *edges)))
    if not rising or edges[-1:] != (math.inf,) or edges[:1] == (math.inf,):
        raise ValueError(f"bucket edges must be positive, rise and end with inf after a finite edge, not {edges}")


def check_errors(false_rollback: float, false_promotion: float, weight: float, deadline: float) -> None:
    """Raise ValueError unless the error rates are fractions, the weight is a share and the deadline positive."""
    for name, value in (("false_rollback", false_rollback), ("false_promotion", false_promotion)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must be a fraction between 0 and 1, not {value}: 1 percent is 0.01")
    if not 0 < weight <= 1:
        raise ValueError(f"a gate's weight must lie in (0, 1], not {weight}")
    if not deadline > 0:
        raise ValueError(f"a deadline must be positive, not {deadline} s")
