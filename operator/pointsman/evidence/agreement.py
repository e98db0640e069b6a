"""The evidence of one gate on how many replayed requests are answered differently: its state, how a look changes it, its verdict.

One sample against a number: in every look and every slice, likelihood ratios of guessed shares to the allowed one, which are
e-values for every share on their null's side (``margin.one_sample``), so that share may change from look to look. Harm is the
average of the slices' e-processes, half of it all requests together and half shared by the slots that slices may take, filled
or not; an average of e-processes is one. Safe needs all requests together and every slice with traffic enough, so that no
correction is needed: where one is beyond what is allowed, its own e-process must be wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from pointsman.evidence import share
from pointsman.evidence.bins import OTHER
from pointsman.evidence.clock import Clock
from pointsman.evidence.dispersion import Dispersion
from pointsman.evidence.margin import HARM_FACTORS, SAFE_FACTORS, SAFE_WEIGHTS, and_equal, odds_times, one_sample
from pointsman.evidence.model import Flags, Integers, Numbers, harm_level, safe_level
from pointsman.evidence.process import STARTS, Harm, fold_safe, log_mixture, log_sum, looks_needed
from pointsman.evidence.rate import INTERVAL_ERROR
from pointsman.evidence.replays import AgreementGate, AgreementLook, SliceVerdict
from pointsman.evidence.verdict import Aside, Counts, GateVerdict

_ALL = 0.5  # of the average is on all requests together where there are slices
_EXPECTED = 0.5  # of what is allowed is expected to differ, before anything is known


@dataclass(frozen=True, eq=False)
class AgreementState:
    """All that an agreement gate remembers; ``...`` is the batch shape, S = 1 + slices known so far, the first all requests.

    Attributes:
        names: of the slices.
        slots: how many slices there may be, ``other`` included.
        harm: harm's copies over the whole attempt, (..., S, 8).
        safe: logs of this step's safety copies, shape (..., S, 8).
        totals, step: compared and disagreed, of attempt and step, shape (..., S, 2).
        dispersion: of disagreement between looks, shape (..., S).
        clock: time used up.
    """

    names: tuple[str, ...]
    slots: int
    harm: Harm
    safe: Numbers
    totals: Integers
    step: Integers
    dispersion: Dispersion
    clock: Clock


def start(gate: AgreementGate, batch: tuple[int, ...] = ()) -> AgreementState:
    """Return the state before the first look."""
    return AgreementState(
        names=(),
        slots=gate.slices + 1 if gate.slices else 0,
        harm=Harm.begin((*batch, 1, len(HARM_FACTORS))),
        safe=np.zeros((*batch, 1, len(SAFE_WEIGHTS))),
        totals=np.zeros((*batch, 1, 2), dtype=np.int64),
        step=np.zeros((*batch, 1, 2), dtype=np.int64),
        dispersion=Dispersion.begin((*batch, 1), 2),
        clock=Clock.begin(batch),
    )


def fold(gate: AgreementGate, state: AgreementState, look: AgreementLook) -> AgreementState:
    """Return the state after one look; slices beyond ``gate.slices`` count as ``other``.

    Raises:
        ValueError: the state was started by a gate with another number of slices.
    """
    if state.slots != (gate.slices + 1 if gate.slices else 0):
        raise ValueError("the stored evidence belongs to a gate with other slices: start the gate anew")
    state = _with_slices(state, look)
    counts = _counts(state, look)
    n, x = (counts[..., i].astype(float)[..., None] for i in range(2))
    phi = dispersion(state)[..., None]
    null = np.asarray(gate.harm * gate.allowed)
    clock = state.clock.tick(look.elapsed)
    return replace(
        state,
        harm=state.harm.fold(
            one_sample(n, x, null=null, guess=odds_times(null, HARM_FACTORS)) / phi,
            level=harm_level(gate) - _log_weights(state)[:, None],
            phase=clock.elapsed / gate.deadline,
        ),
        safe=fold_safe(
            state.safe,
            _safe_e(gate, n, x, differ=differing(gate, state)) / phi,
            level=safe_level(gate),
            log_weights=SAFE_WEIGHTS,
        ),
        totals=state.totals + counts,
        step=state.step + counts,
        dispersion=state.dispersion.fold(np.stack([n - x, x], axis=-1)[..., 0, :]),
        clock=clock,
    )


def next_step(state: AgreementState) -> AgreementState:
    """Return the state for a new step: safety anew, the rest goes on."""
    return replace(state, safe=np.zeros_like(state.safe), step=np.zeros_like(state.step), clock=state.clock.next_step())


def resume_step(state: AgreementState, earlier: AgreementState) -> AgreementState:
    """Return ``state`` with the step's evidence of ``earlier``; a slice that it did not know has none."""
    known = 1 + len(earlier.names)
    if state.names[: known - 1] != earlier.names:
        raise ValueError("the slices are not those of that step: begin it anew")
    safe, step = np.zeros_like(state.safe), np.zeros_like(state.step)
    safe[..., :known, :], step[..., :known, :] = earlier.safe, earlier.step
    return replace(state, safe=safe, step=step, clock=state.clock.resume_step(earlier.clock))


def log_harm(state: AgreementState) -> Numbers:
    """Return the log of the slices' average e-process, shape (...); slots without a slice stand at 1."""
    logs = state.harm.log_value() + _log_weights(state)
    empty = state.slots - len(state.names)
    if not empty:
        return log_sum(logs)
    return np.logaddexp(log_sum(logs), math.log((1 - _ALL) * empty / state.slots))


def log_safe(gate: AgreementGate, state: AgreementState) -> Numbers:
    """Return the log of the least proven e-process of this step that counts, shape (...)."""
    own = log_mixture(state.safe, SAFE_WEIGHTS)
    return np.asarray(np.min(np.where(enough(gate, state), own, math.inf), axis=-1))


def dispersion(state: AgreementState) -> Numbers:
    """Return phi of each slice, shape (..., S): its own, or that of all requests while it has too little to measure."""
    own = state.dispersion.phi()
    return np.where(state.dispersion.known(), own, np.maximum(own, own[..., :1]))


def differing(gate: AgreementGate, state: AgreementState) -> Numbers:
    """Return the guess of each slice's share of different answers from earlier looks, inside (0, 1), shape (..., S).

    It begins at half of what is allowed, and forgets that after some 1/allowed requests.
    """
    n, x = state.totals[..., 0], state.totals[..., 1]
    return np.asarray((x + _EXPECTED) / (n + 1 / gate.allowed))


def enough(gate: AgreementGate, state: AgreementState) -> Flags:
    """Return which slices must be proven Safe, shape (..., S): all requests, and those that can be within the deadline.

    At the slice's traffic so far, the deadline brings as many requests as it takes if every answer is alike. A slice is not let
    off because its requests are yet to come.
    """
    alike = _safe_e(gate, np.ones((1, 1)), np.zeros((1, 1)), differ=np.full(1, _EXPECTED * gate.allowed))[0]
    least = looks_needed(np.zeros_like(alike), alike, level=safe_level(gate), log_weights=SAFE_WEIGHTS)
    coming = state.totals[..., 0] * max(1.0, gate.deadline / max(state.clock.elapsed, 1.0))
    judged = coming >= least * dispersion(state)
    judged[..., 0] = True
    return np.asarray(judged)


def verdict(gate: AgreementGate, state: AgreementState) -> GateVerdict:
    """Return what the gate says now, for one rollout."""
    compared, disagreed = (int(c) for c in state.totals[0])
    step = [int(c) for c in state.step[0]]
    log_s, level = float(log_safe(gate, state)), safe_level(gate)
    return GateVerdict(
        log_harm=float(log_harm(state)),
        log_safe=log_s,
        safe_level=level,
        safe=log_s >= level,
        unanswerable=None,
        counts=Counts(compared, disagreed, compared, 0),
        step_counts=Counts(step[0], step[1], step[0], 0),
        tell=lambda: _aside(gate, state),
        forecast=lambda: _needed(gate, state),
        step_seconds=state.clock.elapsed - float(state.clock.step_began),
    )


def _aside(gate: AgreementGate, state: AgreementState) -> Aside:
    compared, disagreed = (int(c) for c in state.totals[0])
    slices, phi = _slices(gate, state), float(dispersion(state)[0])
    return Aside(
        estimate=disagreed / compared if compared else None,
        interval=share.interval(compared, disagreed, error=INTERVAL_ERROR, phi=phi),
        tolerance=gate.allowed,
        harm_ratio=gate.harm * gate.allowed,
        slices=slices,
        notes=_notes(slices),
    )


def expected_requests(gate: AgreementGate) -> float:
    """Return the replayed requests expected until Safe if half of what is allowed differs: nothing is known beforehand."""
    state = start(gate)
    share_now = np.full(1, _EXPECTED * gate.allowed)
    growth = _safe_e(gate, np.ones((1, 1)), share_now[:, None], differ=share_now)[0] / dispersion(state)[0]
    return looks_needed(np.zeros_like(growth), growth, level=safe_level(gate), log_weights=SAFE_WEIGHTS)


def _needed(gate: AgreementGate, state: AgreementState) -> float | None:
    """Return further requests until Safe if every slice goes on as so far; None if that cannot be."""
    rates, phi, judged = differing(gate, state), dispersion(state), enough(gate, state)
    requests = state.step[..., 0]
    if requests[0] <= 0:
        return None
    most = 0.0
    for i in np.flatnonzero(judged):
        growth = _safe_e(gate, np.ones((1, 1)), rates[i : i + 1, None], differ=rates[i : i + 1])[0] / phi[i]
        own = looks_needed(state.safe[i], growth, level=safe_level(gate), log_weights=SAFE_WEIGHTS)
        most = max(most, own * float(requests[0]) / float(requests[i]) if own else 0.0)
    return most if math.isfinite(most) else None


def _slices(gate: AgreementGate, state: AgreementState) -> tuple[SliceVerdict, ...]:
    judged, harm, safe = enough(gate, state), state.harm.log_value(), log_mixture(state.safe, SAFE_WEIGHTS)
    return tuple(
        SliceVerdict(
            name=name,
            compared=int(state.step[i, 0]),
            disagreed=int(state.step[i, 1]),
            log_harm=float(harm[i]),
            log_safe=float(safe[i]),
            enough=bool(judged[i]),
        )
        for i, name in enumerate(state.names, 1)
    )


def _notes(slices: tuple[SliceVerdict, ...]) -> tuple[str, ...]:
    few = ", ".join(one.name for one in slices if not one.enough)
    return (f"too little traffic to judge these slices on their own: {few}",) if few else ()


def _safe_e(gate: AgreementGate, n: Numbers, x: Numbers, *, differ: Numbers) -> Numbers:
    """Return the log e-values of the safety copies, shape (..., S, 8); the last guesses that the share stays ``differ``."""
    null = np.full((*differ.shape, 1), gate.allowed)
    return one_sample(n, x, null=null, guess=and_equal(odds_times(null, SAFE_FACTORS), null, equal=differ[..., None]))


def _log_weights(state: AgreementState) -> Numbers:
    """Return the logs of the shares of all requests and of each known slice in the average, shape (S,)."""
    if not state.slots:
        return np.zeros(1)
    return np.log([_ALL, *np.full(len(state.names), (1 - _ALL) / state.slots)])


def _counts(state: AgreementState, look: AgreementLook) -> Integers:
    """Return compared and disagreed of all requests and of each slice, shape (..., S, 2)."""
    rows = {"": np.asarray(np.stack(np.broadcast_arrays(look.compared, look.disagreed), axis=-1), dtype=np.int64)}
    for name in state.names:
        rows[name] = np.zeros_like(rows[""])
    if state.slots:
        for name, two in look.slices.items():
            place = name if name in rows else OTHER
            rows[place] = rows[place] + np.stack(np.broadcast_arrays(*two), axis=-1)
    return np.stack(list(rows.values()), axis=-2)


def _with_slices(state: AgreementState, look: AgreementLook) -> AgreementState:
    """Return the state with a place for every slice of the look; the last place is kept for ``other``."""
    names = list(state.names)
    for name in look.slices if state.slots else ():
        if name in names:
            continue
        room = state.slots - 1 - sum(known != OTHER for known in names)
        if name == OTHER or room > 0:
            names.append(name)
        elif OTHER not in names:
            names.append(OTHER)
    more = len(names) - len(state.names)
    if not more:
        return state
    batch = state.totals.shape[:-2]
    fresh = Harm.begin((*batch, more, len(HARM_FACTORS)))
    begun = math.log(state.harm.started / STARTS) if state.harm.started else -math.inf
    empty = Dispersion.begin((*batch, more), 2)
    return replace(
        state,
        names=tuple(names),
        harm=replace(
            state.harm,
            first=np.concatenate([state.harm.first, fresh.first], axis=-2),
            later=np.concatenate([state.harm.later, np.full_like(fresh.later, begun)], axis=-2),
        ),
        safe=np.concatenate([state.safe, np.zeros((*batch, more, len(SAFE_WEIGHTS)))], axis=-2),
        totals=np.concatenate([state.totals, np.zeros((*batch, more, 2), dtype=np.int64)], axis=-2),
        step=np.concatenate([state.step, np.zeros((*batch, more, 2), dtype=np.int64)], axis=-2),
        dispersion=state.dispersion.joined(empty, axis=len(batch)),
        clock=state.clock,
    )
