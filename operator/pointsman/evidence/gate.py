"""The one door to the evidence: start a gate, fold looks into its state, read its verdict, combine the gates' verdicts.

    state = start(gate)
    state = fold(gate, state, look)            # at every look; fold_all for those of many rollouts
    state = next_step(gate, state)             # when a new step begins
    state = resume_step(state, earlier)        # or an earlier one is taken up again
    verdict(gate, state) -> GateVerdict        # at every look
    combine(verdicts, tested=..., weights=..., false_rollback=...) -> Combination
    dumps(state) -> str, loads(text) -> state  # kept in ModelRevision.status

States are opaque and immutable. ``start`` takes a batch shape for simulations: counts of looks then carry that leading axis, and
``log_harm``, ``log_safe`` and ``log_average`` give arrays; ``verdict`` and ``combine`` are for one rollout.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pointsman.evidence import agreement, kinds, latency_verdict, prediction, rate, record
from pointsman.evidence.batch import choose
from pointsman.evidence.clock import Clock
from pointsman.evidence.latency import LatencyState
from pointsman.evidence.model import (
    TEST_SHARE,
    Calibration,
    LatencyHistory,
    Noise,
    Numbers,
    RateGate,
    RateHistory,
    e_process_share,
)
from pointsman.evidence.process import log_sum
from pointsman.evidence.rate import RateState
from pointsman.evidence.replays import (
    AgreementGate,
    PredictionGate,
)
from pointsman.evidence.together import Fold, Folded, alike, fold_alike
from pointsman.evidence.verdict import Combination

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pointsman.evidence.model import Flags
    from pointsman.evidence.verdict import GateVerdict

State: TypeAlias = kinds.State
AnyGate: TypeAlias = kinds.AnyGate
AnyLook: TypeAlias = kinds.AnyLook


def start(gate: AnyGate, batch: tuple[int, ...] = ()) -> State:
    """Return the state of a gate before its first look, in its first step; ``batch`` is () for one rollout."""
    return kinds.of(gate).start(gate, batch)


def fold(gate: AnyGate, state: State, look: AnyLook) -> State:
    """Return the state after one look; pure. A look without requests in either arm adds no evidence.

    Raises:
        ValueError: the look is not of the gate's kind, or a histogram's edges are not those of the looks before.
    """
    return kinds.of(gate, state, look).fold(gate, state, look)


def fold_all(folds: Sequence[Fold]) -> list[Folded | ValueError]:
    """Return the states after many looks and their verdicts, in their order: those that are alike at once.

    Where ``fold`` or ``verdict`` raises, what it raises.
    """
    cohorts: dict[object, list[int]] = {}
    for index, one in enumerate(folds):
        cohorts.setdefault(alike(one) or index, []).append(index)
    after: dict[int, Folded | ValueError] = {}
    for members in cohorts.values():
        after |= zip(members, _fold_cohort([folds[index] for index in members]), strict=True)
    return [after[index] for index in range(len(folds))]


def _fold_cohort(folds: Sequence[Fold]) -> list[Folded | ValueError]:
    """Folds that are alike; where one of them is at fault all are folded alone."""
    if len(folds) > 1:
        with contextlib.suppress(ValueError):
            return [*fold_alike(folds)]
    after: list[Folded | ValueError] = []
    for one in folds:
        try:
            state = fold(*one)
            after.append(Folded(state, verdict(one.gate, state)))
        except ValueError as unfit:
            after.append(unfit)
    return after


def next_step(
    gate: AnyGate, state: State, *, deadline_test_at: float | None = None, where: Flags | None = None
) -> State:
    """Return the state for a new step: safety starts anew, harm and the nested bound go on.

    Args:
        gate: the gate.
        state: its state at the end of the step before.
        deadline_test_at: for the last step, the time (``Look.at``) of the one deadline test, which later pauses do not move; None:
            no test.
        where: of a batch, the runs that begin a step, shape (R,); None: all.

    Raises:
        ValueError: a test is asked for that the gate did not announce, or the state is not the gate's.
    """
    if deadline_test_at is not None and not gate.deadline_test:
        raise ValueError("this gate was started without a deadline test: the level it needs was not kept free")
    anew = kinds.of(gate, state).next_step(state, deadline_test_at)
    return anew if where is None else choose(where, anew, state)


def resume_step(state: State, earlier: State) -> State:
    """Return the state on a return to a step: safety of that step as ``earlier`` left it, all else as it is now.

    Args:
        state: the state now, at the end of the step that was left.
        earlier: the state as it was when the step that is taken up again was left.

    Raises:
        ValueError: the two are not states of one gate.
    """
    name = kinds.name(state)
    if kinds.name(earlier) != name:
        raise ValueError(f"the states are of two gates: {type(state).__name__} and {type(earlier).__name__}")
    return kinds.KINDS[name].resume_step(state, earlier)


def verdict(gate: AnyGate, state: State) -> GateVerdict:
    """Return what the gate says now; for one rollout (no batch axis)."""
    return kinds.of(gate, state).verdict(gate, state)


def log_harm(state: State) -> Numbers:
    """Return the log of the harm e-process, of the batch's shape."""
    return kinds.KINDS[kinds.name(state)].log_harm(state)


def log_safe(gate: AnyGate, state: State) -> Numbers:
    """Return the log of this step's safety evidence, of the batch's shape; Safe from ln(1/false_promotion) on."""
    return kinds.of(gate, state).log_safe(gate, state)


def deadline_p(state: State) -> Numbers:
    """Return the p-value of the deadline test, nan until it was carried out and for gates without one, of the batch's shape."""
    if isinstance(state, RateState | LatencyState):
        return state.test.p
    return np.full(state.clock.step_began.shape, math.nan)


def room_for(gate: AnyGate, state: State, share: float | Numbers) -> Flags:
    """Return where a step with this share may begin as far as this gate goes, of the batch's shape; only rates limit it."""
    if isinstance(gate, RateGate) and isinstance(state, RateState):
        return rate.room_for(gate, state, share)
    return np.ones(state.clock.step_began.shape, dtype=bool)


def expected_requests(
    gate: AnyGate, *, share: float, coming: float | None, candidate_pods: int, stable_pods: int
) -> float:
    """Return the candidate requests that a step is expected to need if both arms are as stable was; inf where none suffice.

    Of replayed requests, which every share of the traffic brings to both versions alike, those of the last step.

    Args:
        gate: the gate, calibrated, of one rollout.
        share: the candidate's share of the traffic in this step.
        coming: the next step's share, for which there must be room; None: the last step, in which Safe must be proven.
        candidate_pods: pods of the candidate in this step.
        stable_pods: pods of stable.
    """
    if isinstance(gate, AgreementGate):
        return 0.0 if coming is not None else agreement.expected_requests(gate)
    if isinstance(gate, PredictionGate):
        return 0.0 if coming is not None else prediction.expected_requests(gate)
    clock = replace(Clock.begin(()), candidate_pods=np.asarray(candidate_pods), stable_pods=np.asarray(stable_pods))
    if isinstance(gate, RateGate):
        return rate.expected_requests(gate, clock, share=share, coming=coming)
    return 0.0 if coming is not None else latency_verdict.expected_requests(gate, clock, share=share)


def weights(serving: Collection[str], others: Collection[str] = ()) -> dict[str, float]:
    """Return the gates' shares of the average: half on ``serving`` (Errors and latency kinds), half on ``others``.

    All is on one kind where the other is empty; equal within each. Fixed at the attempt's start.
    """
    half = 0.5 if serving and others else 1.0
    return {name: half / len(kind) for kind in (serving, others) for name in kind}


def log_average(log_harms: Mapping[str, Numbers | float], weights: Mapping[str, float]) -> Numbers:
    """Return the log of the weighted average of the gates' harm e-processes; a gate without one stands at 1.

    The average of e-processes on one clock is an e-process whatever their dependence; running maxima would not be.
    """
    logs = [np.asarray(log_harms.get(name, 0.0), dtype=float) + math.log(share) for name, share in weights.items()]
    return log_sum(np.stack(np.broadcast_arrays(*logs), axis=-1))


def is_harmful(
    log_harms: Mapping[str, Numbers | float],
    deadline_ps: Mapping[str, Numbers | float],
    *,
    weights: Mapping[str, float],
    false_rollback: float,
) -> Flags:
    """Return where all gates' harm evidence together is a rollback, of the batch's shape.

    Where a gate has a deadline test, the tests share ``model.TEST_SHARE`` of false_rollback by their weights, and the average
    keeps the rest (a union bound).

    Args:
        log_harms: log of each gate's harm e-process; a gate of ``weights`` without one stands at 1.
        deadline_ps: p-values of all gates that have a deadline test, nan until it was carried out.
        weights: each gate's share, summing to 1.
        false_rollback: allowed P(rolled back | every gate inside its ``harm``).
    """
    harmful = log_average(log_harms, weights) >= _level(deadline_ps, false_rollback)
    for name, p in deadline_ps.items():
        harmful = harmful | (np.asarray(p) <= _deadline_level(name, deadline_ps, weights, false_rollback))
    return np.asarray(harmful)


def combine(
    verdicts: Mapping[str, GateVerdict], *, tested: Collection[str], weights: Mapping[str, float], false_rollback: float
) -> Combination:
    """Return whether all gates' harm evidence together is a rollback, by the rule of ``is_harmful``, and which gates to name.

    Args:
        verdicts: the gates that have one; a gate of ``weights`` without verdict counts as an e-process that stands at 1.
        tested: the gates that have a deadline test, whether or not they have a verdict yet: the level is fixed at the start.
        weights: each gate's share, summing to 1.
        false_rollback: allowed P(rolled back | every gate inside its ``harm``).

    Raises:
        ValueError: the weights do not sum to 1, or a verdict has no weight.
    """
    if not math.isclose(sum(weights.values()), 1, rel_tol=1e-9) or not set(verdicts) <= set(weights):
        raise ValueError(f"the weights {dict(weights)} must sum to 1 and name every gate of {sorted(verdicts)}")
    level = _level(tested, false_rollback)
    logs = {name: v.log_harm for name, v in verdicts.items()}
    average = float(log_average(logs, weights))
    if average >= level:
        half = average + math.log(0.5)
        contributions = {name: logs.get(name, 0.0) + math.log(share) for name, share in weights.items()}
        named = tuple(name for name, part in contributions.items() if part >= half)
        return Combination(average, level, named or (max(contributions, key=lambda n: contributions[n]),), "EProcess")
    failed = tuple(
        name
        for name, v in verdicts.items()
        if name in tested
        and v.deadline_p is not None
        and v.deadline_p <= _deadline_level(name, tested, weights, false_rollback)
    )
    return Combination(average, level, failed, "DeadlineTest" if failed else "")


def _level(tested: Collection[str], false_rollback: float) -> float:
    return -math.log(false_rollback * e_process_share(tested=bool(tested)))


def _deadline_level(name: str, tested: Collection[str], weights: Mapping[str, float], false_rollback: float) -> float:
    return false_rollback * TEST_SHARE * weights[name] / sum(weights[other] for other in tested)


def dumps(state: State) -> str:
    """Return the state as compact JSON; ``loads`` gives exactly the same state back."""
    return record.to_text(kinds.name(state), state)


def loads(text: str) -> State:
    """Return the state that ``dumps`` wrote.

    Raises:
        ValueError: the text is not one of ours; the gate must start anew.
    """
    name, values = record.from_text(text)
    if name not in kinds.KINDS:
        raise ValueError(f"the stored evidence is of an unknown kind {name!r}: start the gate anew")
    state: State = record.unpack(kinds.KINDS[name].state, values)
    return state


def dumps_calibration(calibration: Calibration) -> str:
    """Return a rollout's calibration as compact JSON; ``loads_calibration`` gives exactly the same back."""
    kind = "rate" if isinstance(calibration.history, RateHistory) else "latency"
    return record.to_text(kind, _Kept.of(calibration))


def loads_calibration(text: str) -> Calibration:
    """Return the calibration that ``dumps_calibration`` wrote.

    Raises:
        ValueError: the text is not one of ours; the stable arm's past must be read anew.
    """
    kind, values = record.from_text(text)
    return record.unpack(_Kept, values).calibration(kind)


@dataclass(frozen=True)
class _Kept:
    """A calibration of one rollout in plain numbers; ``edges`` and ``counts`` are empty for a rate."""

    edges: tuple[float, ...]
    counts: tuple[float, ...]
    phi: float
    tau: float
    assumed: bool
    seconds: float
    pods: int
    requests: int
    bad: int

    @classmethod
    def of(cls, one: Calibration) -> _Kept:
        return cls(
            edges=one.history.edges if isinstance(one.history, LatencyHistory) else (),
            counts=tuple(float(c) for c in one.history.counts) if isinstance(one.history, LatencyHistory) else (),
            phi=float(one.noise.phi),
            tau=float(one.noise.tau),
            assumed=bool(one.noise.assumed),
            seconds=one.seconds,
            pods=int(one.pods),
            requests=int(one.requests),
            bad=int(one.bad),
        )

    def calibration(self, kind: str) -> Calibration:
        history: RateHistory | LatencyHistory = RateHistory(self.requests, self.bad)
        if kind == "latency":
            history = LatencyHistory(self.edges, tuple(int(c) for c in self.counts))
        return Calibration(
            history=history,
            noise=Noise(self.phi, self.tau, self.assumed, self.pods),
            seconds=self.seconds,
            pods=self.pods,
            requests=self.requests,
            bad=self.bad,
        )
