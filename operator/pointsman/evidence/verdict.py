"""What comes out of the evidence: counts, what each gate says of them, and what all of them say together, as frozen values.

Shares are fractions, times are seconds, evidence is in natural logarithms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointsman.evidence.replays import Shift, SliceVerdict


@dataclass(frozen=True)
class Counts:
    """Requests and bad ones of both arms; for latency, bad is slower than the edges of the gate's hardest quantile."""

    candidate_requests: int = 0
    candidate_bad: int = 0
    stable_requests: int = 0
    stable_bad: int = 0


@dataclass(frozen=True)
class Unanswerable:
    """Why this gate cannot reach Safe however long it waits: a CamelCase reason and a sentence with what would help."""

    reason: str
    message: str


@dataclass(frozen=True)
class QuantileVerdict:
    """One quantile of a latency gate.

    Attributes:
        quantile: the level, 0.99 for p99.
        lower, upper: the edges around the stable arm's quantile, seconds (lower is 0 below the first edge).
        edge: the candidate is compared at this edge, seconds.
        tolerance: the slow-down in force for this quantile, at least the gate's, the widest of this step; inf where no ratio
            can be claimed (below the first edge, beyond the last).
        log_safe: evidence of this quantile; Safe needs ``GateVerdict.safe_level``.
        note: what the buckets do not allow to say, or "".
    """

    quantile: float
    lower: float
    upper: float
    edge: float
    tolerance: float
    log_safe: float
    note: str


@dataclass(frozen=True)
class Aside:
    """What people are told beside a verdict: nothing is decided by it, and it takes longer to work out than the verdict.

    For agreement, ``estimate``, ``interval``, ``tolerance`` and ``harm_ratio`` are shares of requests answered differently, not
    ratios; for predictions they are differences of shares, and there is no interval.

    Attributes:
        estimate: ratio candidate/stable of the rates (Mantel-Haenszel over looks), for latency of the worst quantile; None
            while either arm has too little.
        interval: anytime-valid interval of that ratio (None for latency, or while it says nothing); an end may be 0 or inf.
        tolerance: the ratio in force for Safe (RateGate: ratio after the pod margin; LatencyGate: the widest slow-down).
        harm_ratio: the ratio in force for Harm after the pod margin.
        quantiles: latency only.
        slices: agreement only.
        shift: predictions only, None before both versions have some.
        notes: sentences that belong beside the verdict.
    """

    estimate: float | None
    interval: tuple[float, float] | None
    tolerance: float
    harm_ratio: float
    quantiles: tuple[QuantileVerdict, ...] = ()
    slices: tuple[SliceVerdict, ...] = ()
    shift: Shift | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateVerdict:
    """What one gate says at one look.

    Attributes:
        log_harm: log of the harm e-process (whole attempt, current value); the decision averages it over gates.
        log_safe: log of the safety e-process of this step; the least of them where several are needed.
        safe_level: ``log_safe`` that proves Safe, ln(1/false_promotion).
        safe: log_safe >= safe_level and the gate is answerable.
        unanswerable: why it can never be Safe (a quantile beyond the buckets), or None.
        counts: counts of the whole attempt.
        step_counts: counts of this step.
        tell: works out ``aside``, and
        forecast: ``needed_requests``, which take as long as the rest and are seldom asked for.
        excess_bound: U, the smallest excess failure rate that is excluded; 1.0 while nothing is; None for latency.
        allowed_excess: B, the excess that the tolerance allows at full traffic; None for latency.
        step_seconds: how much of the deadline this step has used up.
        deadline_p: p-value of the deadline test once it was carried out, else None.
    """

    log_harm: float
    log_safe: float
    safe_level: float
    safe: bool
    unanswerable: Unanswerable | None
    counts: Counts
    step_counts: Counts
    tell: Callable[[], Aside] = field(repr=False, compare=False)
    forecast: Callable[[], float | None] = field(repr=False, compare=False)
    excess_bound: float | None = None
    allowed_excess: float | None = None
    step_seconds: float = 0.0
    deadline_p: float | None = None

    @cached_property
    def aside(self) -> Aside:
        """What people are told beside it."""
        return self.tell()

    @cached_property
    def needed_requests(self) -> float | None:
        """Further candidate requests expected until Safe if both arms are equal; 0 when Safe, None if never so."""
        return self.forecast()

    @property
    def needed_seconds(self) -> float | None:
        """The same at this step's rate of candidate requests; None if unknown."""
        counted = self.step_counts.candidate_requests
        if self.needed_requests is None or counted <= 0 or self.step_seconds <= 0:
            return None
        return self.needed_requests * self.step_seconds / counted


@dataclass(frozen=True)
class Combination:
    """What all gates' harm evidence says together.

    Attributes:
        log_average: log of the weighted average of the gates' harm e-processes.
        level: what it must reach, ln(1/false_rollback), more where deadline tests share the level (``TEST_SHARE``).
        harmful: the gates named Harm, empty while there is no rollback.
        rule: "EProcess" or "DeadlineTest" where it is a rollback, else "".
    """

    log_average: float
    level: float
    harmful: tuple[str, ...]
    rule: str

    @property
    def rollback(self) -> bool:
        """Whether the candidate is proven harmful."""
        return bool(self.rule)
