"""The evidence of one gate on a rate of bad requests: its state, how a look changes it, and its verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from pointsman.evidence import binomial, interval
from pointsman.evidence.margin import HARM_FACTORS, SAFE_FACTORS, Arms, Line, log_e
from pointsman.evidence.model import (
    Counts,
    GateVerdict,
    Integers,
    Numbers,
    RateGate,
    RateLook,
)
from pointsman.evidence.pods import pod_margin, pods_needed, safety_margin
from pointsman.evidence.process import Harm, fold_safe, log_mean, looks_needed

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
        safe: logs of this step's safety copies, shape (..., 7).
        nested: logs of the nested safety copies of all steps, shape (..., D, 7), D the excess rates of ``excesses``.
        totals, step: candidate's requests and bad, stable's requests and bad, of attempt and step, shape (..., 4).
        mantel: Mantel-Haenszel numerator and denominator of the ratio, shape (..., 2).
        contrast: sums of ``interval.strata``, shape (..., 43).
        test: sums of ``binomial.strata`` of the last step, shape (..., 3).
        test_p: p-value of the deadline test, nan until it was carried out, shape (...).
        test_at: elapsed seconds at which it is carried out, inf for no test.
        elapsed, step_began: seconds of the deadline used up, now and when the step began.
        candidate_pods, stable_pods: pods at the last look, 0 before the first.
    """

    harm: Harm
    safe: Numbers
    nested: Numbers
    totals: Integers
    step: Integers
    mantel: Numbers
    contrast: Numbers
    test: Numbers
    test_p: Numbers
    test_at: float
    elapsed: float
    step_began: float
    candidate_pods: int
    stable_pods: int


def start(gate: RateGate, batch: tuple[int, ...] = ()) -> RateState:
    """Return the state before the first look."""
    return RateState(
        harm=Harm.begin((*batch, len(HARM_FACTORS))),
        safe=np.zeros((*batch, len(SAFE_FACTORS))),
        nested=np.zeros((*batch, len(excesses(gate)), len(SAFE_FACTORS))),
        totals=np.zeros((*batch, 4), dtype=np.int64),
        step=np.zeros((*batch, 4), dtype=np.int64),
        mantel=np.zeros((*batch, 2)),
        contrast=np.zeros((*batch, 2 + len(interval.RATIOS))),
        test=np.zeros((*batch, 3)),
        test_p=np.full(batch, math.nan),
        test_at=math.inf,
        elapsed=0.0,
        step_began=0.0,
        candidate_pods=0,
        stable_pods=0,
    )


def fold(gate: RateGate, state: RateState, look: RateLook) -> RateState:
    """Return the state after one look; where an arm has no requests, only the totals change.

    Raises:
        ValueError: the state was started by another gate, with other steps or another history.
    """
    if state.nested.shape[-2] != len(excesses(gate)):
        raise ValueError(
            "the stored evidence belongs to a gate with other steps or another history: start the gate anew"
        )
    fields = (look.candidate_requests, look.candidate_bad, look.stable_requests, look.stable_bad)
    counts = np.stack(np.broadcast_arrays(*(np.asarray(c, dtype=np.int64) for c in fields)), axis=-1)
    arms = Arms(*(counts[..., i].astype(float) for i in range(4)))
    stable = stable_rate(gate, state)
    phi = gate.noise.phi
    mixed, nested = arms.spread(1), arms.spread(2)
    guess = stable[..., None]
    margin = safety_margin(gate.noise, look.candidate_pods, look.stable_pods)
    harm_line = Line(np.asarray(harm_ratio(gate, look.candidate_pods, look.stable_pods)), np.asarray(gate.harm.excess))
    safe_line = Line(np.asarray(gate.tolerance.ratio / margin), np.asarray(gate.tolerance.excess))
    nested_line = Line(np.asarray(1 / margin), np.asarray(excesses(gate))[:, None])
    level = safe_level(gate)
    elapsed = max(state.elapsed, look.elapsed)
    tested = state.test + binomial.strata(arms, harm_line.ratio) if math.isfinite(state.test_at) else state.test
    due = elapsed >= state.test_at and bool(np.all(np.isnan(state.test_p)))
    return replace(
        state,
        harm=state.harm.fold(
            log_e(mixed, harm_line, guess, HARM_FACTORS) / phi,
            level=math.log(1 / (gate.false_rollback * gate.weight)),
            phase=elapsed / gate.deadline,
        ),
        safe=fold_safe(
            state.safe, log_e(mixed, safe_line, guess, SAFE_FACTORS) / phi, level=level, count=len(SAFE_FACTORS)
        ),
        nested=fold_safe(
            state.nested,
            log_e(nested, nested_line, guess[..., None], SAFE_FACTORS) / phi,
            level=level,
            count=len(SAFE_FACTORS),
        ),
        totals=state.totals + counts,
        step=state.step + counts,
        mantel=state.mantel + _mantel(arms),
        contrast=state.contrast + interval.strata(arms),
        test=tested,
        test_p=binomial.p_value(tested, phi) if due else state.test_p,
        elapsed=elapsed,
        candidate_pods=look.candidate_pods,
        stable_pods=look.stable_pods,
    )


def next_step(state: RateState, deadline_test_at: float | None) -> RateState:
    """Return the state for a new step: safety and the deadline test anew, the rest goes on."""
    return replace(
        state,
        safe=np.zeros_like(state.safe),
        step=np.zeros_like(state.step),
        test=np.zeros_like(state.test),
        test_p=np.full_like(state.test_p, math.nan),
        test_at=math.inf if deadline_test_at is None else deadline_test_at,
        step_began=state.elapsed,
    )


def resume_step(state: RateState, earlier: RateState) -> RateState:
    """Return ``state`` with the step's evidence of ``earlier``; its time so far counts as this step's again."""
    return replace(
        state,
        safe=earlier.safe,
        step=earlier.step,
        test=earlier.test,
        test_p=earlier.test_p,
        test_at=earlier.test_at,
        step_began=state.elapsed - (earlier.elapsed - earlier.step_began),
    )


def log_harm(state: RateState) -> Numbers:
    """Return the log of the harm e-process, shape (...)."""
    return state.harm.log_value()


def log_safe(state: RateState) -> Numbers:
    """Return the log of this step's safety e-process, shape (...)."""
    return log_mean(state.safe)


def safe_level(gate: RateGate) -> float:
    """Return the log that ``log_safe`` must reach."""
    return math.log(1 / gate.false_promotion)


def harm_ratio(gate: RateGate, candidate_pods: int, stable_pods: int) -> float:
    """Return the ratio in force for harm: the gate's, or the pod margin where that is wider."""
    return max(gate.harm.ratio, pod_margin(gate.noise.tau, candidate_pods, stable_pods))


def stable_rate(gate: RateGate, state: RateState) -> Numbers:
    """Return the guess of the stable arm's rate from the hour before and the looks so far, inside (0, 1), shape (...)."""
    bad, requests = _FIRST_GUESS
    if gate.history.requests > 0:
        share = min(1.0, _HISTORY_WEIGHT / gate.history.requests)
        bad, requests = max(0.5, gate.history.bad * share), gate.history.requests * share + 1
    return np.asarray((bad + state.totals[..., 3]) / (requests + state.totals[..., 2]))


def allowed_excess(gate: RateGate) -> float:
    """Return B = d + (R - 1) t_s, the excess rate that the tolerance allows at full traffic, with the calibrated t_s."""
    rate = gate.history.bad / gate.history.requests if gate.history.requests > 0 else 0.0
    return gate.tolerance.excess + max(0.0, gate.tolerance.ratio - 1) * rate


def excesses(gate: RateGate) -> tuple[float, ...]:
    """Return the excess rates of the nested bound, falling: what the steps' shares need, and a coarse grid for people."""
    needed = {allowed_excess(gate) / share * _UNDER for share in gate.shares if share > 0}
    return tuple(sorted({d for d in (*_EXCESSES, *needed) if 0 < d < 1}, reverse=True))


def excess_bound(gate: RateGate, state: RateState) -> Numbers:
    """Return U, the smallest excess rate rejected with every larger one; 1 where none is; shape (...).

    The nulls ``p_c >= p_s + d`` are nested, so testing them from the largest d down needs no correction: the first true null
    that is rejected is one e-process reaching 1/falsePromotion (fixed-sequence testing).
    """
    rejected = log_mean(state.nested) >= safe_level(gate)
    chain = np.cumprod(rejected, axis=-1).sum(axis=-1)
    bounds: Numbers = np.asarray((1.0, *excesses(gate)))
    return np.asarray(bounds[chain])


def verdict(gate: RateGate, state: RateState) -> GateVerdict:
    """Return what the gate says now, for one rollout."""
    counts = [int(c) for c in state.totals]
    step = [int(c) for c in state.step]
    stable = float(stable_rate(gate, state))
    log_s, level = float(log_safe(state)), safe_level(gate)
    needed = _needed(gate, state, stable)
    p = float(state.test_p)
    return GateVerdict(
        log_harm=float(log_harm(state)),
        log_safe=log_s,
        safe_level=level,
        safe=log_s >= level,
        unanswerable=None,
        counts=Counts(*counts),
        step_counts=Counts(*step),
        estimate=float(state.mantel[0] / state.mantel[1]) if state.mantel[1] > 0 else None,
        interval=interval.ratio_interval(state.contrast, error=INTERVAL_ERROR, phi=gate.noise.phi),
        tolerance=gate.tolerance.ratio / safety_margin(gate.noise, state.candidate_pods, state.stable_pods),
        harm_ratio=harm_ratio(gate, state.candidate_pods, state.stable_pods),
        excess_bound=float(excess_bound(gate, state)),
        allowed_excess=allowed_excess(gate),
        needed_requests=needed,
        needed_seconds=seconds_for(needed, step[0], state.elapsed - state.step_began),
        deadline_test=gate.deadline_test,
        deadline_p=None if math.isnan(p) else p,
        notes=_notes(gate, state, stable),
    )


def seconds_for(requests: float | None, counted: int, seconds: float) -> float | None:
    """Return how long ``requests`` more take at the rate of ``counted`` in ``seconds``; None where that is unknown."""
    if requests is None or counted <= 0 or seconds <= 0:
        return None
    return requests * seconds / counted


def _mantel(arms: Arms) -> Numbers:
    both = arms.both()
    total = np.where(both, arms.candidate_requests + arms.stable_requests, 1.0)
    pair = (arms.candidate_bad * arms.stable_requests / total, arms.stable_bad * arms.candidate_requests / total)
    return np.where(both[..., None], np.stack(pair, axis=-1), 0.0)


def _notes(gate: RateGate, state: RateState, stable: float) -> tuple[str, ...]:
    excess = gate.tolerance.excess
    widest = gate.tolerance.ratio * stable / (stable - excess) if stable > excess else math.inf
    pods = pods_needed(gate.noise, state.candidate_pods, state.stable_pods, widest)
    assumed = "proven for these pods: how far pods differ was not measured" if gate.noise.assumed else ""
    return tuple(note for note in (pods, assumed) if note)


def _needed(gate: RateGate, state: RateState, stable: float) -> float | None:
    """Return further candidate requests until Safe if both arms have the stable arm's rate, at this step's split."""
    requests, _, stable_requests, _ = (float(c) for c in state.step)
    if requests <= 0 or stable_requests <= 0:
        return None
    others = stable_requests / requests
    one = Arms(*(np.asarray(v) for v in (1.0, stable, others, others * stable)))
    margin = safety_margin(gate.noise, state.candidate_pods, state.stable_pods)
    line = Line(np.asarray(gate.tolerance.ratio / margin), np.asarray(gate.tolerance.excess))
    growth = log_e(one.spread(1), line, np.asarray([stable]), SAFE_FACTORS) / gate.noise.phi
    needed = looks_needed(state.safe, growth, level=safe_level(gate))
    return needed if math.isfinite(needed) else None
