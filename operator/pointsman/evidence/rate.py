"""The evidence of one gate on a rate of bad requests: its state, how a look changes it, and its verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from pointsman.evidence import binomial, interval
from pointsman.evidence.batch import spread
from pointsman.evidence.clock import Clock, DeadlineTest
from pointsman.evidence.margin import HARM_FACTORS, SAFE_WEIGHTS, Arms, Line, log_e, log_e_safe
from pointsman.evidence.model import Flags, Integers, Numbers, RateGate, RateLook, harm_level, safe_level
from pointsman.evidence.pods import harm_margin, pods_needed, safety_margin
from pointsman.evidence.process import Harm, fold_safe, log_mixture, looks_needed
from pointsman.evidence.verdict import Aside, Counts, GateVerdict

INTERVAL_ERROR = 0.05
_HISTORY_WEIGHT = 10_000  # requests that the hour before counts for at most, so that the guess can still learn
_FIRST_GUESS = (0.5, 100.0)  # bad of requests: half a percent, forgotten after a few hundred requests
_UNDER = 1 - 1e-9  # so that U w <= B holds whatever way a caller rounds it
_EXCESSES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)


@dataclass(frozen=True, eq=False)
class RateState:
    """All that a rate gate remembers; ``...`` is the batch shape, () for one rollout.

    Attributes:
        harm: harm's copies over the whole attempt.
        safe: logs of this step's safety copies, shape (..., 8).
        nested: logs of the nested safety copies of all steps, shape (..., D, 8), D the excess rates of ``excesses``.
        totals, step: candidate's requests and bad, stable's requests and bad, of attempt and step, shape (..., 4).
        mantel: Mantel-Haenszel numerator and denominator of the ratio, shape (..., 2).
        contrast: sums of ``interval.strata``, shape (..., 43).
        test: the last step's deadline test.
        clock: time used up, and pods.
    """

    harm: Harm
    safe: Numbers
    nested: Numbers
    totals: Integers
    step: Integers
    mantel: Numbers
    contrast: Numbers
    test: DeadlineTest
    clock: Clock


def start(gate: RateGate, batch: tuple[int, ...] = ()) -> RateState:
    """Return the state before the first look."""
    return RateState(
        harm=Harm.begin((*batch, len(HARM_FACTORS))),
        safe=np.zeros((*batch, len(SAFE_WEIGHTS))),
        nested=np.zeros((*batch, _excess_count(gate), len(SAFE_WEIGHTS))),
        totals=np.zeros((*batch, 4), dtype=np.int64),
        step=np.zeros((*batch, 4), dtype=np.int64),
        mantel=np.zeros((*batch, 2)),
        contrast=np.zeros((*batch, 2 + len(interval.RATIOS))),
        test=DeadlineTest.begin(batch, 1),
        clock=Clock.begin(batch),
    )


def fold(gate: RateGate, state: RateState, look: RateLook) -> RateState:
    """Return the state after one look; where an arm has no requests, only the totals change.

    Raises:
        ValueError: the state was started by another gate, with other steps.
    """
    if state.nested.shape[-2] != _excess_count(gate):
        raise ValueError("the stored evidence belongs to a gate with other steps: start the gate anew")
    fields = (look.candidate_requests, look.candidate_bad, look.stable_requests, look.stable_bad)
    counts = np.stack(np.broadcast_arrays(*(np.asarray(c, dtype=np.int64) for c in fields)), axis=-1)
    arms = Arms(*(counts[..., i].astype(float) for i in range(4)))
    phi = gate.noise.phi
    mixed, nested = arms.spread(1), arms.spread(2)
    guess = stable_rate(gate, state)[..., None]
    clock = state.clock.fold(look)
    harm_line = Line(spread(harm_ratio(gate, clock)), np.asarray(gate.harm.excess))
    nested_line = Line(spread(1 / _margin(gate, clock), 2), excesses(gate)[..., None])
    level = safe_level(gate)
    return replace(
        state,
        harm=state.harm.fold(
            log_e(mixed, harm_line, guess, HARM_FACTORS) / spread(phi),
            level=harm_level(gate),
            phase=clock.elapsed / gate.deadline,
        ),
        safe=fold_safe(
            state.safe,
            log_e_safe(mixed, _safe_line(gate, clock), guess) / spread(phi),
            level=level,
            log_weights=SAFE_WEIGHTS,
        ),
        nested=fold_safe(
            state.nested,
            log_e_safe(nested, nested_line, guess[..., None]) / spread(phi, 2),
            level=level,
            log_weights=SAFE_WEIGHTS,
        ),
        totals=state.totals + counts,
        step=state.step + counts,
        mantel=state.mantel + _mantel(arms),
        contrast=state.contrast + interval.strata(arms),
        test=state.test.fold(binomial.strata(mixed, harm_line.ratio), at=look.at, phi=phi),
        clock=clock,
    )


def next_step(state: RateState, deadline_test_at: float | None) -> RateState:
    """Return the state for a new step: safety and the deadline test anew, the rest goes on."""
    return replace(
        state,
        safe=np.zeros_like(state.safe),
        step=np.zeros_like(state.step),
        test=DeadlineTest.begin(state.test.p.shape, 1, deadline_test_at),
        clock=state.clock.next_step(),
    )


def resume_step(state: RateState, earlier: RateState) -> RateState:
    """Return ``state`` with the step's evidence of ``earlier``."""
    return replace(
        state,
        safe=earlier.safe,
        step=earlier.step,
        test=earlier.test,
        clock=state.clock.resume_step(earlier.clock),
    )


def log_harm(state: RateState) -> Numbers:
    """Return the log of the harm e-process, shape (...)."""
    return state.harm.log_value()


def log_safe(state: RateState) -> Numbers:
    """Return the log of this step's safety e-process, shape (...)."""
    return log_mixture(state.safe, SAFE_WEIGHTS)


def harm_ratio(gate: RateGate, clock: Clock) -> Numbers:
    """Return the ratio in force for harm, shape (...): the gate's, or the pod margin where that is wider."""
    pods = clock.candidate_pods, clock.stable_pods
    return np.maximum(gate.harm.ratio, harm_margin(gate.noise, *pods, false_rollback=gate.false_rollback))


def _margin(gate: RateGate, clock: Clock) -> Numbers:
    return safety_margin(gate.noise, clock.candidate_pods, clock.stable_pods)


def _safe_line(gate: RateGate, clock: Clock) -> Line:
    return Line(spread(gate.tolerance.ratio / _margin(gate, clock)), np.asarray(gate.tolerance.excess))


def stable_rate(gate: RateGate, state: RateState) -> Numbers:
    """Return the guess of the stable arm's rate from the hour before and the looks so far, inside (0, 1), shape (...)."""
    had, had_bad = (np.asarray(count, dtype=float) for count in (gate.history.requests, gate.history.bad))
    share = np.minimum(1.0, _HISTORY_WEIGHT / np.maximum(had, 1.0))
    bad = np.where(had > 0, np.maximum(0.5, had_bad * share), _FIRST_GUESS[0])
    requests = np.where(had > 0, had * share + 1, _FIRST_GUESS[1])
    return np.asarray((bad + state.totals[..., 3]) / (requests + state.totals[..., 2]))


def allowed_excess(gate: RateGate) -> Numbers:
    """Return B = d + (R - 1) t_s, the excess rate that the tolerance allows at full traffic, with the calibrated t_s; shape (...)."""
    rate = np.asarray(gate.history.bad) / np.maximum(gate.history.requests, 1)
    return np.asarray(gate.tolerance.excess + max(0.0, gate.tolerance.ratio - 1) * rate)


def excesses(gate: RateGate) -> Numbers:
    """Return the excess rates of the nested bound, falling, shape (..., D): what the steps' shares need, and a coarse grid for people."""
    needed = allowed_excess(gate)[..., None] * _UNDER / np.asarray(_later_shares(gate))
    rates = np.empty((*needed.shape[:-1], _excess_count(gate)))
    rates[..., : len(_EXCESSES)] = _EXCESSES
    rates[..., len(_EXCESSES) :] = np.minimum(np.maximum(needed, _EXCESSES[-1] / 1e6), _EXCESSES[0])
    return np.asarray(-np.sort(-rates, axis=-1))


def _later_shares(gate: RateGate) -> list[float]:
    return sorted({share for share in gate.shares if share > 0})


def _excess_count(gate: RateGate) -> int:
    return len(_EXCESSES) + len(_later_shares(gate))


def excess_bound(gate: RateGate, state: RateState) -> Numbers:
    """Return U, the smallest excess rate rejected with every larger one; 1 where none is; shape (...).

    The nulls ``p_c >= p_s + d`` are nested, so testing them from the largest d down needs no correction: the first true null
    that is rejected is one e-process reaching 1/falsePromotion (fixed-sequence testing).
    """
    rejected = log_mixture(state.nested, SAFE_WEIGHTS) >= safe_level(gate)
    chain = np.cumprod(rejected, axis=-1).sum(axis=-1)
    rates = np.broadcast_to(excesses(gate), rejected.shape)
    bounds = np.concatenate([np.ones_like(rates[..., :1]), rates], axis=-1)
    return np.take_along_axis(bounds, chain[..., None], axis=-1)[..., 0]


def room_for(gate: RateGate, state: RateState, share: float | Numbers) -> Flags:
    """Return where the failures that are not excluded yet would stay inside the tolerance at this share: U w <= B, shape (...)."""
    return np.asarray(excess_bound(gate, state) * share <= allowed_excess(gate))


@dataclass(frozen=True)
class Values:
    """What a verdict is made of, shapes (...)."""

    stable: Numbers
    log_harm: Numbers
    log_safe: Numbers
    excess_bound: Numbers
    allowed_excess: Numbers


def values(gate: RateGate, state: RateState) -> Values:
    """Return what the gate's verdict is made of."""
    return Values(
        stable=stable_rate(gate, state),
        log_harm=log_harm(state),
        log_safe=log_safe(state),
        excess_bound=excess_bound(gate, state),
        allowed_excess=allowed_excess(gate),
    )


def verdict(gate: RateGate, state: RateState, values: Values) -> GateVerdict:
    """Return what the gate says now, for one rollout."""
    counts = [int(c) for c in state.totals]
    step = [int(c) for c in state.step]
    stable = float(values.stable)
    log_s, level = float(values.log_safe), safe_level(gate)
    p = float(state.test.p)
    clock = state.clock
    return GateVerdict(
        log_harm=float(values.log_harm),
        log_safe=log_s,
        safe_level=level,
        safe=log_s >= level,
        unanswerable=None,
        counts=Counts(*counts),
        step_counts=Counts(*step),
        tell=lambda: _aside(gate, state, stable),
        excess_bound=float(values.excess_bound),
        allowed_excess=float(values.allowed_excess),
        forecast=lambda: _needed(gate, state, stable),
        step_seconds=clock.elapsed - float(clock.step_began),
        deadline_p=None if math.isnan(p) else p,
    )


def _aside(gate: RateGate, state: RateState, stable: float) -> Aside:
    return Aside(
        estimate=float(state.mantel[0] / state.mantel[1]) if state.mantel[1] > 0 else None,
        interval=interval.ratio_interval(state.contrast, error=INTERVAL_ERROR, phi=float(gate.noise.phi)),
        tolerance=float(gate.tolerance.ratio / _margin(gate, state.clock)),
        harm_ratio=float(harm_ratio(gate, state.clock)),
        notes=_notes(gate, state, stable),
    )


def _mantel(arms: Arms) -> Numbers:
    both = arms.both()
    total = np.where(both, arms.candidate_requests + arms.stable_requests, 1.0)
    pair = (arms.candidate_bad * arms.stable_requests / total, arms.stable_bad * arms.candidate_requests / total)
    return np.where(both[..., None], np.stack(pair, axis=-1), 0.0)


def _notes(gate: RateGate, state: RateState, stable: float) -> tuple[str, ...]:
    excess = gate.tolerance.excess
    widest = gate.tolerance.ratio * stable / (stable - excess) if stable > excess else math.inf
    pods = pods_needed(gate.noise, int(state.clock.candidate_pods), int(state.clock.stable_pods), widest)
    assumed = "proven for these pods: how far pods differ was not measured" if gate.noise.assumed else ""
    return tuple(note for note in (pods, assumed) if note)


def _needed(gate: RateGate, state: RateState, stable: float) -> float | None:
    """Return further candidate requests until Safe if both arms have the stable arm's rate, at this step's split."""
    requests, _, stable_requests, _ = (float(c) for c in state.step)
    if requests <= 0 or stable_requests <= 0:
        return None
    line = _safe_line(gate, state.clock)
    growth = _growth(gate, line, stable=stable, others=stable_requests / requests)
    needed = looks_needed(state.safe, growth, level=safe_level(gate), log_weights=SAFE_WEIGHTS)
    return needed if math.isfinite(needed) else None


def expected_requests(gate: RateGate, clock: Clock, *, share: float, coming: float | None) -> float:
    """Return the candidate requests that a step is expected to need if both arms have the calibrated rate; inf where none suffice.

    Args:
        gate: the gate, calibrated, of one rollout.
        clock: the pods that are expected.
        share: the candidate's share of the traffic in this step.
        coming: the next step's share, for which there must be room; None: the last step, in which Safe must be proven.
    """
    stable = float(stable_rate(gate, start(gate)))
    line = _safe_line(gate, clock)
    if coming is not None:
        excess = min(float(allowed_excess(gate)) / coming * _UNDER, _EXCESSES[0])
        line = Line(spread(1 / _margin(gate, clock)), np.asarray(excess))
    growth = _growth(gate, line, stable=stable, others=(1 - share) / share)
    return looks_needed(np.zeros_like(SAFE_WEIGHTS), growth, level=safe_level(gate), log_weights=SAFE_WEIGHTS)


def _growth(gate: RateGate, line: Line, *, stable: float, others: float) -> Numbers:
    """Return the expected log e-value of each safety copy per candidate request if both arms have the rate ``stable``."""
    one = Arms(*(np.asarray(v) for v in (1.0, stable, others, others * stable)))
    return log_e_safe(one.spread(1), line, np.asarray([stable])) / float(gate.noise.phi)
