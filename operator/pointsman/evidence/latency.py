"""The evidence of one gate on latency: its state, how a look at two histograms changes it, and the logs of its e-processes.

A quantile is compared by exceedance: the share of requests slower than an edge. Edges are chosen from earlier looks only.

Harm: for every level q, bad is slower than g u on the candidate and slower than u on stable, u the edge over stable's quantile;
the margin e-process with R = 1, d = 0 is an e-process for every candidate that is at most g times slower, at any u.

Safe: for each quantile of the gate, half of the copies compare P_c(> v) with P_s(> u_hi), v = max(next edge over u_hi, last edge
within g u_lo). The other half take, look by look, the smaller of two one-sample e-values: of P_s(> u_lo) <= 1 - q, and of
P_c(> v) >= 1 - q. A candidate whose quantile is beyond the tolerance in force makes one of the two nulls true in every look, so
their minimum is an e-value; it is what proves Safe where no request of stable is slower than u_hi. Below the first edge only
P_c(> v) >= 1 - q is tested, v the first edge clearly over the quantile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pointsman.evidence import binomial
from pointsman.evidence.batch import spread
from pointsman.evidence.buckets import (
    Brackets,
    bracket,
    index_at_least,
    index_at_most,
    shares_over,
    stable_upper,
    tails,
    take,
)
from pointsman.evidence.clock import Clock, DeadlineTest
from pointsman.evidence.margin import (
    HARM_FACTORS,
    SAFE_FACTORS,
    SAFE_WEIGHTS,
    Arms,
    Line,
    and_equal,
    bernoulli,
    bernoulli_safe,
    log_e_safe,
    odds_times,
    one_sample,
)
from pointsman.evidence.model import (
    LATENCY_LEVELS,
    Flags,
    Integers,
    LatencyGate,
    LatencyLook,
    Numbers,
    harm_level,
    safe_level,
)
from pointsman.evidence.pods import harm_margin, safety_margin
from pointsman.evidence.process import Harm, fold_safe, log_mixture

_HISTORY_WEIGHT = 10_000
_LEVELS: Numbers = np.asarray(LATENCY_LEVELS)
_EQUAL = Line(np.asarray(1.0), np.asarray(0.0))
WEIGHTS: Numbers = np.concatenate([SAFE_WEIGHTS, SAFE_WEIGHTS]) + math.log(0.5)
"""Logs of the weights of the two-sample copies and of the one-sample copies."""


@dataclass(frozen=True, eq=False)
class LatencyState:
    """All that a latency gate remembers; ``...`` is the batch shape, () for one rollout; B = 0 before the first look.

    Attributes:
        edges: bucket edges in seconds, +Inf last.
        harm: harm's copies over the whole attempt, 4 levels x 8 factors.
        safe: logs of this step's safety copies, shape (..., Q, 16): two-sample, then one-sample.
        coarse: logs of this step's copies against the coarse margin, shape (..., Q, 8).
        widest: widest tolerance in force in this step, 0 before the first comparison, shape (..., Q).
        candidate, stable, step_candidate, step_stable: requests per bucket of attempt and step, shape (..., B).
        test: the last step's deadline test, one per level.
        clock: time used up, and pods.
    """

    edges: tuple[float, ...]
    harm: Harm
    safe: Numbers
    coarse: Numbers
    widest: Numbers
    candidate: Integers
    stable: Integers
    step_candidate: Integers
    step_stable: Integers
    test: DeadlineTest
    clock: Clock


class Exceedances(NamedTuple):
    """A look's counts ready for comparison: requests of both arms (...), and those slower than each edge (..., B)."""

    candidate: Numbers
    candidate_over: Numbers
    stable: Numbers
    stable_over: Numbers

    def arms(self, candidate_edge: Integers, stable_edge: Integers) -> Arms:
        """Return what was slower than the candidate's and the stable arm's edges, shapes (..., Q)."""
        x_c, x_s = take(self.candidate_over, candidate_edge), take(self.stable_over, stable_edge)
        return Arms(self.candidate[..., None] + 0 * x_c, x_c, self.stable[..., None] + 0 * x_s, x_s)


def look_of(candidate: Integers | Numbers, stable: Integers | Numbers) -> Exceedances:
    """Return the exceedances of requests per bucket, shapes (..., B)."""
    return Exceedances(
        np.asarray(candidate.sum(axis=-1), dtype=float),
        tails(candidate),
        np.asarray(stable.sum(axis=-1), dtype=float),
        tails(stable),
    )


def start(gate: LatencyGate, batch: tuple[int, ...] = ()) -> LatencyState:
    """Return the state before the first look."""
    q, edges = len(gate.quantiles), tuple(float(e) for e in gate.history.edges)
    empty = np.zeros((*batch, len(edges)), dtype=np.int64)
    return LatencyState(
        edges=edges,
        harm=Harm.begin((*batch, len(_LEVELS) * len(HARM_FACTORS))),
        safe=np.zeros((*batch, q, len(WEIGHTS))),
        coarse=np.zeros((*batch, q, len(SAFE_WEIGHTS))),
        widest=np.zeros((*batch, q)),
        candidate=empty,
        stable=empty,
        step_candidate=empty,
        step_stable=empty,
        test=DeadlineTest.begin(batch, len(_LEVELS)),
        clock=Clock.begin(batch),
    )


def fold(gate: LatencyGate, state: LatencyState, look: LatencyLook) -> LatencyState:
    """Return the state after one look; a look without requests in either arm, or without earlier ones, only counts."""
    state = _with_edges(state, look.edges)
    new_c, new_s = np.asarray(look.candidate, dtype=np.int64), np.asarray(look.stable, dtype=np.int64)
    counts = look_of(new_c, new_s)
    seen, phi = seen_before(gate, state), gate.noise.phi
    shares = shares_over(seen)
    clock = state.clock.fold(look)
    harm_arms, harm_e = _harm(state.edges, seen, counts, slowdown(gate, clock))
    where = brackets(gate, state.edges, seen, safety_of(gate, clock))
    usable = where.known & ~where.beyond & ~where.blurred
    level = safe_level(gate)
    used = np.where(usable & counts.arms(where.edge, where.upper).both(), where.tolerance, 0.0)
    return replace(
        state,
        harm=state.harm.fold(
            np.reshape(harm_e, (*harm_e.shape[:-2], -1)) / spread(phi),
            level=harm_level(gate),
            phase=clock.elapsed / gate.deadline,
        ),
        safe=fold_safe(
            state.safe,
            np.where(usable[..., None], safe_e(gate, shares, where, counts), 0.0) / spread(phi, 2),
            level=level,
            log_weights=WEIGHTS,
        ),
        coarse=fold_safe(
            state.coarse,
            np.where(usable[..., None], coarse_e(gate, shares, where, counts), 0.0) / spread(phi, 2),
            level=level,
            log_weights=SAFE_WEIGHTS,
        ),
        widest=np.maximum(state.widest, used),
        candidate=state.candidate + new_c,
        stable=state.stable + new_s,
        step_candidate=state.step_candidate + new_c,
        step_stable=state.step_stable + new_s,
        test=state.test.fold(binomial.strata(harm_arms, 1.0), at=look.at, phi=phi),
        clock=clock,
    )


def next_step(state: LatencyState, deadline_test_at: float | None) -> LatencyState:
    """Return the state for a new step: safety and the deadline test anew, the rest goes on."""
    return replace(
        state,
        safe=np.zeros_like(state.safe),
        coarse=np.zeros_like(state.coarse),
        widest=np.zeros_like(state.widest),
        step_candidate=np.zeros_like(state.step_candidate),
        step_stable=np.zeros_like(state.step_stable),
        test=DeadlineTest.begin(state.test.p.shape, len(_LEVELS), deadline_test_at),
        clock=state.clock.next_step(),
    )


def resume_step(state: LatencyState, earlier: LatencyState) -> LatencyState:
    """Return ``state`` with the step's evidence of ``earlier``."""
    if earlier.edges != state.edges:
        raise ValueError("the histogram's edges changed since that step: begin it anew")
    return replace(
        state,
        safe=earlier.safe,
        coarse=earlier.coarse,
        widest=earlier.widest,
        step_candidate=earlier.step_candidate,
        step_stable=earlier.step_stable,
        test=earlier.test,
        clock=state.clock.resume_step(earlier.clock),
    )


def log_harm(state: LatencyState) -> Numbers:
    """Return the log of the harm e-process, shape (...)."""
    return state.harm.log_value()


def log_safe(gate: LatencyGate, state: LatencyState) -> Numbers:
    """Return the log of the least proven quantile's e-process of this step, shape (...); -inf where one is beyond the buckets."""
    where = brackets(gate, state.edges, seen_before(gate, state), safety_of(gate, state.clock))
    by_quantile = np.where(where.beyond & where.known, -math.inf, log_safe_by_quantile(gate, state, where))
    return np.asarray(np.min(by_quantile, axis=-1))


def log_safe_by_quantile(gate: LatencyGate, state: LatencyState, where: Brackets) -> Numbers:
    """Return each quantile's evidence, shape (..., Q): where buckets widen the tolerance, the lesser of it and the coarse margin's."""
    own = log_mixture(state.safe, WEIGHTS)
    return np.where(wide(gate, state, where), np.minimum(own, log_mixture(state.coarse, SAFE_WEIGHTS)), own)


def tolerances(state: LatencyState, where: Brackets) -> Numbers:
    """Return the slow-down in force for each quantile, shape (..., Q): the widest of this step's looks, see ``Brackets``."""
    return np.maximum(state.widest, where.tolerance)


def wide(gate: LatencyGate, state: LatencyState, where: Brackets) -> Flags:
    """Return where buckets widened the gate's own tolerance in this step, so that the coarse margin must be proven too."""
    return np.asarray(tolerances(state, where) > gate.tolerance * (1 + 1e-9))


def safety_of(gate: LatencyGate, clock: Clock) -> Numbers:
    """Return the pod margin that tightens safety with the pods of the last look, shape (...)."""
    return safety_margin(gate.noise, clock.candidate_pods, clock.stable_pods)


def slowdown(gate: LatencyGate, clock: Clock) -> Numbers:
    """Return the slow-down in force for harm, shape (...): the gate's, or the pod margin where that is wider."""
    pods = clock.candidate_pods, clock.stable_pods
    return np.maximum(gate.harm, harm_margin(gate.noise, *pods, false_rollback=gate.false_rollback))


def seen_before(gate: LatencyGate, state: LatencyState) -> Numbers:
    """Return the stable arm's requests per bucket known so far, the hour before at a limited weight, shape (..., B)."""
    if not len(gate.history.counts) or gate.history.edges != state.edges:
        return state.stable.astype(float)
    had = np.asarray(gate.history.counts, dtype=float)
    total = had.sum(axis=-1, keepdims=True)
    return np.asarray(had * np.minimum(1.0, _HISTORY_WEIGHT / np.maximum(total, 1.0)) + state.stable)


def brackets(gate: LatencyGate, edges: tuple[float, ...], seen: Numbers, margin: Numbers) -> Brackets:
    """Return the edges around the gate's quantiles, shapes (..., Q); nothing is known without edges."""
    return bracket(
        edges or (1.0, math.inf),
        seen if edges else np.zeros((*seen.shape[:-1], 2)),
        np.asarray(gate.quantiles),
        slowdown=gate.tolerance,
        margin=margin,
    )


def safe_e(gate: LatencyGate, shares: Numbers, where: Brackets, counts: Exceedances) -> Numbers:
    """Return a look's log e-values of the safety copies, untempered, shape (..., Q, 16); ``shares`` as ``shares_over`` of earlier looks."""
    arms, under = counts.arms(where.edge, where.upper), np.maximum(where.lower, 0)
    stable = take(shares, where.upper)[..., None]
    alike = take(shares, where.edge)[..., None]
    two = bernoulli_safe(arms.spread(1), _EQUAL, candidate=alike, stable=stable)
    null = 1 - np.asarray(gate.quantiles)
    own = one_sample(
        arms.candidate_requests[..., None],
        arms.candidate_bad[..., None],
        null=null[:, None],
        guess=and_equal(null[:, None] * SAFE_FACTORS, null[:, None], equal=alike),
    )
    over = one_sample(
        arms.stable_requests,
        take(counts.stable_over, under),
        null=null,
        guess=np.maximum(null, take(shares, under)),
    )
    one = np.where(
        arms.both()[..., None], np.where((where.lower < 0)[..., None], own, np.minimum(own, over[..., None])), 0.0
    )
    return np.concatenate([np.where(where.alone[..., None], one, two), one], axis=-1)


def coarse_e(gate: LatencyGate, shares: Numbers, where: Brackets, counts: Exceedances) -> Numbers:
    """Return a look's log e-values against the coarse margin at the edge over each quantile, shape (..., Q, 8)."""
    line = Line(np.asarray(gate.coarse.ratio), np.asarray(gate.coarse.excess))
    arms = counts.arms(where.upper, where.upper)
    return log_e_safe(arms.spread(1), line, take(shares, where.upper)[..., None])


def _harm(edges: tuple[float, ...], seen: Numbers, counts: Exceedances, slower: Numbers) -> tuple[Arms, Numbers]:
    """Return the counts compared for harm, (..., 4), and their log e-values, (..., 4, 8); 0 where nothing can be compared."""
    by = spread(slower)
    highest = index_at_most(edges[:-1], edges[-2] / by)  # the last edge whose multiple still has an edge over it
    upper, known = stable_upper(seen, _LEVELS)
    upper = np.minimum(upper, np.maximum(highest, 0))
    candidate = index_at_least(edges, np.asarray(edges)[upper] * by)
    arms = counts.arms(candidate.astype(np.int64), upper)
    stable = take(shares_over(seen), upper)[..., None]
    e = bernoulli(arms.spread(1), _EQUAL, candidate=odds_times(stable, HARM_FACTORS), stable=stable)
    usable = known & (highest >= 0)
    return Arms(*(np.where(usable, a, 0.0) for a in arms)), np.where(usable[..., None], e, 0.0)


def _with_edges(state: LatencyState, edges: tuple[float, ...]) -> LatencyState:
    if state.edges == edges:
        return state
    if state.candidate.any() or state.stable.any():
        raise ValueError(f"the histogram's edges changed from {state.edges} to {edges}: start the gate anew")
    empty = np.zeros((*state.candidate.shape[:-1], len(edges)), dtype=np.int64)
    return replace(
        state,
        edges=tuple(float(e) for e in edges),
        candidate=empty,
        stable=empty,
        step_candidate=empty,
        step_stable=empty,
    )
