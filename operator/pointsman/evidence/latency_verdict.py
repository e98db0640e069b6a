"""What a latency gate's evidence means: per quantile its edges, tolerance and evidence, and what is still needed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pointsman.evidence.buckets import Brackets, quantile, shares_over, tails
from pointsman.evidence.latency import (
    WEIGHTS,
    LatencyState,
    brackets,
    coarse_e,
    log_harm,
    log_safe_by_quantile,
    look_of,
    safe_e,
    safety_of,
    seen_before,
    slowdown,
    start,
    tolerances,
    wide,
)
from pointsman.evidence.margin import SAFE_WEIGHTS
from pointsman.evidence.model import safe_level
from pointsman.evidence.pods import pods_needed
from pointsman.evidence.process import looks_needed
from pointsman.evidence.verdict import Aside, Counts, GateVerdict, QuantileVerdict, Unanswerable

if TYPE_CHECKING:
    from pointsman.evidence.clock import Clock
    from pointsman.evidence.model import Integers, LatencyGate, Numbers

_ENOUGH = 100  # requests of either arm before a ratio of quantiles is worth showing


@dataclass(frozen=True)
class Values:
    """What a verdict is made of, shapes (...): ``log_safe`` of the least proven quantile."""

    where: Brackets
    log_harm: Numbers
    log_safe: Numbers


def values(gate: LatencyGate, state: LatencyState) -> Values:
    """Return what the gate's verdict is made of."""
    where = brackets(gate, state.edges, seen_before(gate, state), safety_of(gate, state.clock))
    return Values(
        where=where,
        log_harm=log_harm(state),
        log_safe=np.asarray(np.min(log_safe_by_quantile(gate, state, where), axis=-1)),
    )


def verdict(gate: LatencyGate, state: LatencyState, values: Values) -> GateVerdict:
    """Return what the gate says now, for one rollout."""
    where, least = values.where, float(values.log_safe)
    level, p = safe_level(gate), float(state.test.p)
    cannot = _unanswerable(gate, state, where)
    clock = state.clock
    hardest = int(np.argmax(gate.quantiles))
    return GateVerdict(
        log_harm=float(values.log_harm),
        log_safe=least,
        safe_level=level,
        safe=least >= level and cannot is None,
        unanswerable=cannot,
        counts=_counts(state.candidate, state.stable, where, hardest),
        step_counts=_counts(state.step_candidate, state.step_stable, where, hardest),
        tell=lambda: _aside(gate, state, where),
        forecast=lambda: None if cannot or np.any(where.blurred) else _needed(gate, state, where),
        step_seconds=clock.elapsed - float(clock.step_began),
        deadline_p=None if math.isnan(p) else p,
    )


def _aside(gate: LatencyGate, state: LatencyState, where: Brackets) -> Aside:
    quantiles = _quantiles(gate, state, where)
    return Aside(
        estimate=_estimate(gate, state),
        interval=None,
        tolerance=max((q.tolerance for q in quantiles if math.isfinite(q.tolerance)), default=gate.tolerance),
        harm_ratio=float(slowdown(gate, state.clock)),
        quantiles=quantiles,
        notes=_notes(gate, quantiles, _pods(gate, state, where)),
    )


def _quantiles(gate: LatencyGate, state: LatencyState, where: Brackets) -> tuple[QuantileVerdict, ...]:
    ends = state.edges or (math.inf,)
    evidence, in_force = log_safe_by_quantile(gate, state, where), tolerances(state, where)
    out = []
    for i, level in enumerate(gate.quantiles):
        upper, edge = (ends[min(int(j[i]), len(ends) - 1)] for j in (where.upper, where.edge))
        known = bool(where.known[i]) and bool(state.edges)
        note = (
            f"no more than {_seconds(edge)} in both: the histogram measures nothing finer"
            if known and where.lower[i] < 0
            else ""
        )
        out.append(
            QuantileVerdict(
                quantile=level,
                lower=float(where.lower_seconds[i]) if known else 0.0,
                upper=upper if known else math.inf,
                edge=edge if known else math.inf,
                tolerance=(float(in_force[i]) or math.inf) if known else gate.tolerance,
                log_safe=float(evidence[i]),
                note=note,
            )
        )
    return tuple(out)


def _unanswerable(gate: LatencyGate, state: LatencyState, where: Brackets) -> Unanswerable | None:
    for i, level in enumerate(gate.quantiles):
        if not (state.edges and where.known[i] and where.beyond[i]):
            continue
        name, top = _name(level), _seconds(state.edges[-2])
        if where.upper[i] == len(state.edges) - 1:
            said = f"stable's {name} lies above the histogram's last edge, {top}"
        else:
            said = f"stable's {name} lies in the histogram's last bucket, up to {top}"
        return Unanswerable(
            "BeyondBuckets",
            f"{said}; to compare it the histogram needs a finite edge above {top}: add one, or leave {name} out of the gate",
        )
    return None


def _counts(candidate: Integers, stable: Integers, where: Brackets, hardest: int) -> Counts:
    if not candidate.size:
        return Counts()
    upper = int(where.upper[hardest])
    slow = [int(tails(counts)[upper]) for counts in (candidate, stable)]
    return Counts(int(candidate.sum()), slow[0], int(stable.sum()), slow[1])


def _estimate(gate: LatencyGate, state: LatencyState) -> float | None:
    """Return the worst ratio of the arms' quantiles, interpolated in their buckets: for people, no test uses it."""
    if min(state.candidate.sum(), state.stable.sum()) < _ENOUGH:
        return None
    pairs = [
        (quantile(state.edges, state.candidate, q), quantile(state.edges, state.stable, q)) for q in gate.quantiles
    ]
    ratios = [c / s for c, s in pairs if c is not None and s]
    return max(ratios) if ratios else None


def _needed(gate: LatencyGate, state: LatencyState, where: Brackets) -> float | None:
    """Return further candidate requests until Safe if both arms are as stable is, at this step's split."""
    requests, others = float(state.step_candidate.sum()), float(state.step_stable.sum())
    if requests <= 0 or others <= 0:
        return None
    if np.all(log_safe_by_quantile(gate, state, where) >= safe_level(gate)):
        return 0.0
    needed = _further(gate, state, where, others=others / requests)
    return needed if math.isfinite(needed) else None


def expected_requests(gate: LatencyGate, clock: Clock, *, share: float) -> float:
    """Return the candidate requests expected until Safe if both arms are as stable was in the hour before; inf where none suffice.

    Args:
        gate: the gate, calibrated, of one rollout.
        clock: the pods that are expected.
        share: the candidate's share of the traffic.
    """
    state = replace(start(gate), clock=clock)
    where = brackets(gate, state.edges, seen_before(gate, state), safety_of(gate, clock))
    if np.any(where.blurred) or np.any(where.beyond):
        return math.inf
    return _further(gate, state, where, others=(1 - share) / share)


def _further(gate: LatencyGate, state: LatencyState, where: Brackets, *, others: float) -> float:
    """Return further candidate requests until Safe, with ``others`` requests to stable for each; inf if never, or unknown."""
    seen = seen_before(gate, state)
    if not np.all(where.known):
        return math.inf
    shape = seen / seen.sum()
    one = look_of(shape, shape * others)
    level, phi = safe_level(gate), float(gate.noise.phi)
    shares = shares_over(seen)
    own, coarse = safe_e(gate, shares, where, one) / phi, coarse_e(gate, shares, where, one) / phi
    needed = [
        looks_needed(copies, growth, level=level, log_weights=WEIGHTS)
        for copies, growth in zip(state.safe, own, strict=True)
    ]
    needed += [
        looks_needed(copies, growth, level=level, log_weights=SAFE_WEIGHTS)
        for copies, growth, needs in zip(state.coarse, coarse, wide(gate, state, where), strict=True)
        if needs
    ]
    return max(needed)


def _pods(gate: LatencyGate, state: LatencyState, where: Brackets) -> str:
    """Return how many pods it takes where these differ by as much as the tolerance in force, else ""."""
    if not np.any(where.blurred):
        return ""
    clock = state.clock
    hardest = float(np.min(where.widest[where.blurred]))
    return pods_needed(gate.noise, int(clock.candidate_pods), int(clock.stable_pods), hardest)


def _notes(gate: LatencyGate, quantiles: tuple[QuantileVerdict, ...], pods: str) -> tuple[str, ...]:
    notes = [pods] if pods else []
    notes += [f"{_name(q.quantile)} {q.note}" for q in quantiles if q.note]
    notes += [
        f"{_name(q.quantile)} lies between {_seconds(q.lower)} and {_seconds(q.upper)}: with these buckets only a slow-down beyond "
        f"{q.tolerance:.2g}x is excluded, and more than {gate.coarse.ratio:g}x as many requests over {_seconds(q.upper)} "
        f"(plus {gate.coarse.excess:.2%})"
        for q in quantiles
        if q.lower > 0 and gate.tolerance * (1 + 1e-9) < q.tolerance < math.inf and q.edge < math.inf
    ]
    if gate.noise.assumed:
        notes.append("proven for these pods: how far pods differ was not measured")
    return tuple(notes)


def _name(level: float) -> str:
    return f"p{100 * level:g}"


def _seconds(value: float) -> str:
    return f"{value * 1000:g} ms" if value < 1 else f"{value:g} s"
