"""Looks at many rollouts folded at once say what each says alone."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pointsman.evidence import gate as evidence
from pointsman.evidence.gate import State
from pointsman.evidence.model import (
    LatencyGate,
    LatencyHistory,
    LatencyLook,
    Margin,
    Noise,
    RateGate,
    RateHistory,
    RateLook,
)
from pointsman.evidence.replays import AgreementGate, AgreementLook
from pointsman.evidence.together import Fold, alike
from pointsman.evidence.verdict import GateVerdict

EDGES = (0.01, 0.05, 0.1, 0.5, math.inf)
OTHERS = (0.02, 0.05, 0.2, math.inf)
ROUNDING = 3e-6  # running logs are kept to six decimals


def rates(rng: np.random.Generator, **changes: Any) -> RateGate:
    """A gate of one rollout, calibrated by an hour of its own."""
    history = RateHistory(int(rng.integers(0, 50_000)), int(rng.integers(0, 500)))
    noise = Noise(
        phi=1 + rng.random(), tau=rng.random() / 5, assumed=bool(rng.random() < 0.3), pods=int(rng.integers(6))
    )
    return RateGate(Margin(1.5, 0.005), history=history, noise=noise, shares=(0.1, 0.5), deadline_test=True, **changes)


def latencies(rng: np.random.Generator, *, edges: tuple[float, ...] = EDGES, known: bool = True) -> LatencyGate:
    counts = tuple(int(one) for one in rng.integers(1, 5_000, len(edges)))
    history = LatencyHistory(edges, counts) if known else LatencyHistory()
    return LatencyGate(quantiles=(0.5, 0.99), history=history, noise=Noise(1 + rng.random(), 0.1), deadline_test=True)


def look(gate: evidence.AnyGate, rng: np.random.Generator, index: int, *, edges: tuple[float, ...]) -> evidence.AnyLook:
    """The look at this number, of an attempt that began when it did."""
    pods, at = (int(rng.integers(1, 4)), int(rng.integers(1, 4))), 100.0 + 10 * index
    elapsed = 10.0 * index + float(rng.integers(0, 3000))
    if isinstance(gate, AgreementGate):
        return AgreementLook(50, int(rng.integers(0, 5)), elapsed=elapsed)
    if isinstance(gate, RateGate):
        requests = rng.integers(0, 300, 2)
        bad = rng.binomial(requests, 0.03)
        return RateLook(int(requests[0]), int(bad[0]), int(requests[1]), int(bad[1]), *pods, elapsed=elapsed, at=at)
    buckets = rng.integers(0, 60, (2, len(edges)))
    return LatencyLook(edges, tuple(buckets[0].tolist()), tuple(buckets[1].tolist()), *pods, elapsed=elapsed, at=at)


def values(state: State) -> list[float]:
    """All numbers of a state, in their order."""
    found: list[float] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict | list):
            for one in value.values() if isinstance(value, dict) else value:
                walk(one)
        else:
            found.append(float(value) if not isinstance(value, str) or value in ("inf", "-inf", "nan") else math.nan)

    walk(json.loads(evidence.dumps(state)))
    return found


def said(verdict: GateVerdict) -> object:
    """All that a verdict says, to the last but a few digits."""
    told = [verdict.log_harm, verdict.log_safe, verdict.excess_bound, verdict.allowed_excess, verdict.needed_requests]
    numbers = [None if number is None else float(f"{number:.9g}") for number in told]
    return (
        numbers,
        (verdict.safe, verdict.safe_level, verdict.unanswerable, verdict.deadline_p),
        (verdict.counts, verdict.step_counts, verdict.step_seconds),
        repr(verdict.aside),
    )


@pytest.mark.parametrize("seed", range(8))
def test_each_says_what_it_says_alone(seed: int) -> None:
    """Rates and latencies, of two bucket layouts, with and without an hour before, and answers, looked at together eight times."""
    rng = np.random.default_rng(seed)
    gates: list[tuple[evidence.AnyGate, tuple[float, ...]]] = [
        *((rates(rng), ()) for _ in range(5)),
        *((latencies(rng), EDGES) for _ in range(4)),
        *((latencies(rng, edges=OTHERS), OTHERS) for _ in range(3)),
        *((latencies(rng, known=False), EDGES) for _ in range(3)),
        (rates(rng, weight=0.5), ()),
        (AgreementGate(), ()),
    ]
    alone = [evidence.start(gate) for gate, _ in gates]
    alone = [
        evidence.next_step(gate, state, deadline_test_at=None if isinstance(gate, AgreementGate) else 150.0)
        for (gate, _), state in zip(gates, alone, strict=True)
    ]
    together = list(alone)
    for index in range(1, 9):
        looks = [look(gate, rng, index, edges=edges) for gate, edges in gates]
        folds = [Fold(gate, state, one) for (gate, _), state, one in zip(gates, together, looks, strict=True)]
        found = evidence.fold_all(folds)
        assert not any(isinstance(one, ValueError) for one in found)
        folded = [one for one in found if not isinstance(one, ValueError)]
        together = [one.state for one in folded]
        alone = [evidence.fold(gate, state, one) for (gate, _), state, one in zip(gates, alone, looks, strict=True)]
        for (gate, _), one, other in zip(gates, folded, alone, strict=True):
            assert values(one.state) == pytest.approx(values(other), abs=index * ROUNDING, rel=1e-9, nan_ok=True)
            text = evidence.dumps(one.state)
            assert evidence.dumps(evidence.loads(text)) == text
            assert said(one.verdict) == said(evidence.verdict(gate, one.state))
            by_itself = evidence.verdict(gate, other)
            assert (one.verdict.safe, one.verdict.counts, one.verdict.aside.notes) == (
                by_itself.safe,
                by_itself.counts,
                by_itself.aside.notes,
            )


def test_most_are_done_at_once() -> None:
    """Else the rest of this file would say nothing: one fold of arrays for each kind of gate."""
    rng = np.random.default_rng(1)
    gates = [*(rates(rng) for _ in range(6)), *(latencies(rng) for _ in range(6))]
    folds = [Fold(gate, evidence.start(gate), replace(look(gate, rng, 1, edges=EDGES), elapsed=10.0)) for gate in gates]
    assert len({alike(one) for one in folds}) == 2


def test_who_has_no_deadline_test_keeps_no_sums_for_one_beside_who_has() -> None:
    rng = np.random.default_rng(3)
    gates = [rates(rng) for _ in range(3)]
    looks = [replace(look(gate, rng, 1, edges=()), elapsed=10.0) for gate in gates]
    due = (None, 300.0, None)  # the second is in its last step
    states = [
        evidence.next_step(gate, evidence.start(gate), deadline_test_at=at) for gate, at in zip(gates, due, strict=True)
    ]
    folds = [Fold(*one) for one in zip(gates, states, looks, strict=True)]
    assert len({alike(one) for one in folds}) == 1
    for one, after in zip(folds, evidence.fold_all(folds), strict=True):
        assert not isinstance(after, ValueError)
        assert values(after.state) == pytest.approx(values(evidence.fold(*one)), abs=ROUNDING, rel=1e-9, nan_ok=True)


def test_what_one_is_at_fault_for_is_said_of_it_alone() -> None:
    rng = np.random.default_rng(2)
    gates = [rates(rng) for _ in range(3)]
    looks = [replace(look(gate, rng, 1, edges=()), elapsed=10.0) for gate in gates]
    other = evidence.start(replace(gates[1], shares=(0.1,)))  # the evidence of a policy with other steps
    states = [evidence.start(gates[0]), other, evidence.start(gates[2])]
    first, second, third = evidence.fold_all([Fold(*one) for one in zip(gates, states, looks, strict=True)])
    assert "other steps: start the gate anew" in str(second)
    for index, one in ((0, first), (2, third)):
        assert not isinstance(one, ValueError)
        assert evidence.dumps(one.state) == evidence.dumps(evidence.fold(gates[index], states[index], looks[index]))


def test_no_fold_at_all() -> None:
    assert evidence.fold_all([]) == []
