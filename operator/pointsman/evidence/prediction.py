"""The evidence of one gate on the distribution of predictions: its state, how a look changes it, its verdict.

Of every prediction, every tail over and up to an edge (of categories, every share and its opposite) is an event, and is compared
between the two versions by the margin e-process with R = 1 and d the tolerance, as exceedances of latency are. Harm is the
average over the events, an e-process; Safe needs every event, so that no correction is needed.

Both versions answer the same requests, while the margin e-process takes them as independent. Where the answers to one request tend to
go the same way, its expectation is only smaller; where they go opposite ways, which a version that keeps the distribution yet answers
upside down does, it may exceed 1: that version is one for the gate on agreement.

A histogram of many bins, as without a reference, is joined to those that say something by the first look, which then is no evidence.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace

import numpy as np

from pointsman.evidence.bins import Bins, counted
from pointsman.evidence.clock import Clock
from pointsman.evidence.margin import HARM_FACTORS, SAFE_WEIGHTS, Arms, Line, log_e, log_e_safe
from pointsman.evidence.model import Integers, Numbers, harm_level, safe_level
from pointsman.evidence.process import Harm, fold_safe, log_mean, log_mixture, looks_needed
from pointsman.evidence.profile import coarse, joined
from pointsman.evidence.replays import Histograms, PredictionGate, PredictionLook, Shift
from pointsman.evidence.verdict import Aside, Counts, GateVerdict

_MANY = 24  # bins of one prediction, from which those that say the same are joined


@dataclass(frozen=True, eq=False)
class PredictionState:
    """All that a prediction gate remembers; ``...`` is the batch shape, E events of all predictions, 0 before the first look.

    Attributes:
        layout: the bins that are told apart of each prediction, and which of them each bin of the looks belongs to, as JSON.
        harm: harm's copies over the whole attempt, (..., E, 8).
        safe: logs of this step's safety copies, shape (..., E, 8).
        totals, step: candidate's requests and those of the event, stable's requests and those of the event, shape (..., E, 4).
        clock: time used up.
    """

    layout: str
    harm: Harm
    safe: Numbers
    totals: Integers
    step: Integers
    clock: Clock


def start(gate: PredictionGate, batch: tuple[int, ...] = ()) -> PredictionState:  # noqa: ARG001  as every gate's
    """Return the state before the first look."""
    return _empty("[]", batch, 0)


def fold(gate: PredictionGate, state: PredictionState, look: PredictionLook) -> PredictionState:
    """Return the state after one look.

    Raises:
        ValueError: the bins are not those of the looks before.
    """
    if not _known(state):
        state = _with_layout(state, look)
        if any(one.bins.size > _MANY for one in look.outputs) or not _known(state):
            return replace(state, clock=state.clock.tick(look.elapsed))
    counts = _counts(state, look)
    arms = Arms(*(counts[..., i].astype(float) for i in range(4))).spread(1)
    phi, clock = np.asarray(gate.noise.phi)[..., None, None], state.clock.tick(look.elapsed)
    line, stable = _line(gate), _stable(state)[..., None]
    return replace(
        state,
        harm=state.harm.fold(
            log_e(arms, line, stable, HARM_FACTORS) / phi,
            level=harm_level(gate) + math.log(counts.shape[-2]),
            phase=clock.elapsed / gate.deadline,
        ),
        safe=fold_safe(
            state.safe, log_e_safe(arms, line, stable) / phi, level=safe_level(gate), log_weights=SAFE_WEIGHTS
        ),
        totals=state.totals + counts,
        step=state.step + counts,
        clock=clock,
    )


def next_step(state: PredictionState) -> PredictionState:
    """Return the state for a new step: safety anew, the rest goes on."""
    return replace(state, safe=np.zeros_like(state.safe), step=np.zeros_like(state.step), clock=state.clock.next_step())


def resume_step(state: PredictionState, earlier: PredictionState) -> PredictionState:
    """Return ``state`` with the step's evidence of ``earlier``."""
    clock = state.clock.resume_step(earlier.clock)
    if not earlier.safe.shape[-2]:
        return replace(state, safe=np.zeros_like(state.safe), step=np.zeros_like(state.step), clock=clock)
    if earlier.layout != state.layout:
        raise ValueError("the bins of the predictions changed since that step: begin it anew")
    return replace(state, safe=earlier.safe, step=earlier.step, clock=clock)


def log_harm(state: PredictionState) -> Numbers:
    """Return the log of the events' average e-process, shape (...)."""
    logs = state.harm.log_value()
    return log_mean(logs) if logs.shape[-1] else np.zeros(logs.shape[:-1])


def log_safe(state: PredictionState) -> Numbers:
    """Return the log of the least proven event's e-process of this step, shape (...)."""
    return np.asarray(
        np.min(log_mixture(state.safe, SAFE_WEIGHTS), axis=-1, initial=math.inf if _known(state) else 0.0)
    )


def verdict(gate: PredictionGate, state: PredictionState) -> GateVerdict:
    """Return what the gate says now, for one rollout."""
    log_s, level = float(log_safe(state)), safe_level(gate)
    shift, at = _shift(state.step if np.any(state.step) else state.totals, state)
    counts = _named(state.step, at)
    return GateVerdict(
        log_harm=float(log_harm(state)),
        log_safe=log_s,
        safe_level=level,
        safe=log_s >= level,
        unanswerable=None,
        counts=_named(state.totals, at),
        step_counts=counts,
        tell=lambda: Aside(
            estimate=None if shift is None else shift.candidate - shift.stable,
            interval=None,
            tolerance=gate.tolerance,
            harm_ratio=gate.tolerance,
            shift=shift,
        ),
        forecast=lambda: _needed(gate, state),
        step_seconds=state.clock.elapsed - float(state.clock.step_began),
    )


def expected_requests(gate: PredictionGate) -> float:
    """Return the replayed requests expected until Safe if both versions predict alike: those of a tail of one half, the hardest."""
    return looks_needed(
        np.zeros_like(SAFE_WEIGHTS),
        _growth(gate, np.asarray([0.5]))[0],
        level=safe_level(gate),
        log_weights=SAFE_WEIGHTS,
    )


def _needed(gate: PredictionGate, state: PredictionState) -> float | None:
    """Return further requests until Safe if both versions predict alike; None if that cannot be, or nothing is known."""
    if not _known(state):
        return None
    growth = _growth(gate, _stable(state))
    level = safe_level(gate)
    most = max(
        looks_needed(copies, own, level=level, log_weights=SAFE_WEIGHTS)
        for copies, own in zip(state.safe, growth, strict=True)
    )
    return most if math.isfinite(most) else None


def _growth(gate: PredictionGate, stable: Numbers) -> Numbers:
    """Return the expected log e-value of each safety copy per request if the candidate's shares are stable's, shape (E, 8)."""
    one = np.ones_like(stable)
    return log_e_safe(Arms(one, stable, one, stable).spread(1), _line(gate), stable[..., None]) / float(gate.noise.phi)


def _line(gate: PredictionGate) -> Line:
    return Line(np.asarray(1.0), np.asarray(gate.tolerance))


def _stable(state: PredictionState) -> Numbers:
    """Return the guess of stable's share of each event from earlier looks, inside (0, 1), shape (..., E)."""
    return np.asarray((state.totals[..., 3] + 0.5) / (state.totals[..., 2] + 1))


def _known(state: PredictionState) -> bool:
    return bool(state.safe.shape[-2])


def _layout(state: PredictionState) -> list[tuple[Bins, list[int]]]:
    """Return each prediction's bins that are told apart, and the group of each bin of the looks."""
    return [
        (Bins(one["name"], tuple(one["edges"]), tuple(one["categories"])), one["groups"])
        for one in json.loads(state.layout)
    ]


def _counts(state: PredictionState, look: PredictionLook) -> Integers:
    """Return requests and events of both versions, shape (..., E, 4).

    Raises:
        ValueError: the predictions or their bins are not those of the looks before.
    """
    layout = _layout(state)
    if len(layout) != len(look.outputs) or not all(map(_fits, layout, look.outputs)):
        raise ValueError("the predictions or their bins are not those of the looks before: start the gate anew")
    parts = []
    for one, (bins, groups) in zip(look.outputs, layout, strict=True):
        both = []
        for given in (one.candidate, one.stable):
            events = counted(bins, joined(np.asarray(given), groups))
            both += [np.broadcast_to(np.sum(given, axis=-1)[..., None], events.shape), events]
        parts.append(np.stack(both, axis=-1))
    return np.concatenate(parts, axis=-2).astype(np.int64)


def _fits(kept: tuple[Bins, list[int]], given: Histograms) -> bool:
    bins, groups = kept
    same = set(bins.edges) <= set(given.bins.edges) and set(bins.categories) <= set(given.bins.categories)
    return bins.name == given.bins.name and len(groups) == given.bins.size and same


def _with_layout(state: PredictionState, look: PredictionLook) -> PredictionState:
    """Return the state with a place for every event, once every prediction has some requests."""
    kept = []
    for one in look.outputs:
        counts = np.reshape(np.asarray(one.candidate) + np.asarray(one.stable), (-1, one.bins.size)).sum(axis=0)
        if not counts.any():
            return state
        every = one.bins, tuple(range(one.bins.size))
        kept.append(coarse(one.bins, counts) if one.bins.size > _MANY else every)
    layout = json.dumps([{**asdict(bins), "groups": groups} for bins, groups in kept], separators=(",", ":"))
    fresh = _empty(layout, state.clock.step_began.shape, sum(len(bins.events()) for bins, _ in kept))
    return replace(fresh, clock=state.clock)


def _empty(layout: str, batch: tuple[int, ...], events: int) -> PredictionState:
    return PredictionState(
        layout=layout,
        harm=Harm.begin((*batch, events, len(HARM_FACTORS))),
        safe=np.zeros((*batch, events, len(SAFE_WEIGHTS))),
        totals=np.zeros((*batch, events, 4), dtype=np.int64),
        step=np.zeros((*batch, events, 4), dtype=np.int64),
        clock=Clock.begin(batch),
    )


def _shift(counts: Integers, state: PredictionState) -> tuple[Shift | None, int]:
    """Return the event of which the candidate has most more than stable, and its index; None before both have requests."""
    n_c, x_c, n_s, x_s = (counts[..., i].astype(float) for i in range(4))
    both = (n_c > 0) & (n_s > 0)
    if not np.any(both):
        return None, 0
    shares = x_c / np.maximum(n_c, 1), x_s / np.maximum(n_s, 1)
    at = int(np.argmax(np.where(both, shares[0] - shares[1], -math.inf)))
    first = 0
    for bins, _ in _layout(state):
        events = len(bins.events())
        if at < first + events:
            return Shift(bins.name, bins.event(at - first), float(shares[0][at]), float(shares[1][at])), at
        first += events
    raise ValueError("the stored evidence has events of no prediction: start the gate anew")


def _named(counts: Integers, event: int) -> Counts:
    return Counts(*(int(c) for c in counts[event])) if counts.size else Counts()
