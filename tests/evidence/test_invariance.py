"""What evidence must not depend on: the order of pods, a look told twice, a look that was split in two; and sizes of 10^9."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.api.modelruntime import Metrics
from pointsman.api.rolloutpolicy import RolloutFields
from pointsman.evidence import gate as evidence
from pointsman.evidence.model import LatencyGate, LatencyHistory, LatencyLook, Noise, RateGate, RateHistory, RateLook
from pointsman.evidence.rate import RateState
from pointsman.rollout import folding, weighing
from pointsman.rollout import policy as policies
from pointsman.rollout.record import Evidence
from pointsman.signals.ledger import Increments, Ledger, fold
from pointsman.signals.own import Names
from pointsman.signals.reading import ArmCounts, Counts, PodCount, RatePast, Reading
from tests.rollout.examples import MLSERVER
from tests.sizes import examples

START = datetime(2026, 3, 1, tzinfo=UTC)
GATE = RateGate(history=RateHistory(10_000, 50), noise=Noise(phi=1.2, tau=0.1), shares=(0.1, 0.5))

growths = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 400)), min_size=4, max_size=4)
"""What four pods, two of each arm, count in a look: failed requests and others."""


def counts(cumulative: np.ndarray, order: tuple[int, ...], *, at: datetime) -> Counts:
    """Return a look at two pods of stable and two of the candidate, listed in this order; cumulative (4, 2)."""
    shown = {f"pod-{i}": PodCount(1.0, (int(cumulative[i, 0]), int(cumulative[i].sum()))) for i in order}
    arms = [{name: shown[name] for name in shown if int(name[-1]) // 2 == arm} for arm in (0, 1)]
    return Counts((), stable=ArmCounts(arms[0], newest=at), candidate=ArmCounts(arms[1], newest=at))


def told(looks: list[Counts]) -> tuple[Ledger, evidence.State]:
    """Return the ledger and the evidence after these looks, ten seconds apart."""
    ledger, state = Ledger(), evidence.start(GATE)
    for i, look in enumerate(looks):
        at = START + timedelta(seconds=10 * i)
        ledger, increments = fold(ledger, look, at=at, warmup=0)
        assert isinstance(increments, Increments)
        stable, candidate = increments.stable, increments.candidate
        of_both = (candidate.requests, candidate.failed, stable.requests, stable.failed)
        pods = (max(1, candidate.pods), max(1, stable.pods))
        state = evidence.fold(GATE, state, RateLook(*of_both, *pods, elapsed=10.0 * i, at=at.timestamp()))
    return ledger, state


@settings(max_examples=examples(40))
@given(grown=st.lists(growths, min_size=1, max_size=5), orders=st.lists(st.permutations(range(4)), min_size=6))
def test_the_order_of_pods_does_not_matter(grown: list[list[tuple[int, int]]], orders: list[list[int]]) -> None:
    cumulative = np.cumsum([np.zeros((4, 2), dtype=int), *np.array(grown)], axis=0)
    plain, shuffled = (
        told([counts(c, tuple(order), at=START) for c, order in zip(cumulative, by, strict=False)])
        for by in ([[0, 1, 2, 3]] * 6, orders)
    )
    assert evidence.dumps(shuffled[1]) == evidence.dumps(plain[1])
    assert shuffled[0].dump() == plain[0].dump()


@settings(max_examples=examples(40))
@given(
    parts=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=2, max_size=6),
    per_part=st.tuples(st.integers(30, 90), st.integers(30, 900)),
)
def test_a_look_split_in_two_counts_the_same(parts: list[tuple[int, int]], per_part: tuple[int, int]) -> None:
    # As long as the split of the traffic stands still, counts, estimate, interval and deadline test are sums over requests.
    # Not the same: the e-processes, as the guess of stable's rate learns between the parts, and the cap holds for each look.
    n_c, n_s = per_part
    gate = replace(GATE, deadline_test=True)

    def after(looks: list[tuple[int, int, int, int]]) -> RateState:
        state = evidence.next_step(gate, evidence.start(gate), deadline_test_at=1.0)
        for i, look in enumerate(looks):
            last = i == len(looks) - 1
            state = evidence.fold(gate, state, RateLook(*look, 2, 2, elapsed=10.0, at=1.0 if last else 0.0))
        assert isinstance(state, RateState)
        return state

    split = after([(n_c, x_c, n_s, x_s) for x_c, x_s in parts])
    bad_c, bad_s = (sum(part[arm] for part in parts) for arm in (0, 1))
    whole = after([(n_c * len(parts), bad_c, n_s * len(parts), bad_s)])
    assert split.totals.tolist() == whole.totals.tolist()
    assert split.step.tolist() == whole.step.tolist()
    assert split.mantel == pytest.approx(whole.mantel)
    assert split.contrast == pytest.approx(whole.contrast)
    assert float(split.test.p) == pytest.approx(float(whole.test.p))
    said, as_whole = (evidence.verdict(gate, state) for state in (split, whole))
    assert (said.counts, said.aside.estimate is None) == (as_whole.counts, as_whole.aside.estimate is None)


@settings(max_examples=examples(40))
@given(grown=st.lists(growths, min_size=2, max_size=6), missed=st.sets(st.integers(1, 5)))
def test_looks_that_were_missed_are_in_the_next_one(grown: list[list[tuple[int, int]]], missed: set[int]) -> None:
    cumulative = np.cumsum([np.zeros((4, 2), dtype=int), *np.array(grown)], axis=0)
    looks = [counts(c, (0, 1, 2, 3), at=START) for c in cumulative]
    seen = [look for i, look in enumerate(looks) if i not in missed or i == len(looks) - 1]
    every, some = told(looks)[1], told(seen)[1]
    assert isinstance(every, RateState)
    assert isinstance(some, RateState)
    assert some.totals.tolist() == every.totals.tolist()


# ---------------------------------------------------------------- the same reading again


def test_a_reading_told_twice_or_late_changes_nothing() -> None:
    fields = RolloutFields.model_validate({"gates": [{"name": "errors", "signal": "Errors"}]})
    metrics = Metrics.model_validate(MLSERVER["metrics"])
    policy = policies.resolve(policies.effective(fields, None, metrics))
    names = Names(
        namespace="ml",
        deployment="churn",
        stable="churn-1",
        candidate="churn-2",
        stable_version="1",
        candidate_version="2",
    )
    asked = weighing.questions(policy, stable=metrics, candidate=metrics, names=names, gateway=None, routed=True)

    def reading(i: int) -> Reading:
        at = START + timedelta(seconds=10 * i)
        grown = np.array([[2 * i, 900 * i], [i, 900 * i], [3 * i, 300 * i], [i, 300 * i]])
        past = RatePast(60.0, ("a", "b", "c"), np.full((60, 3), 1000), np.full((60, 3), 5))
        return Reading(at, {"errors": counts(grown, (0, 1, 2, 3), at=at)}, {"errors": past})

    def folded(*told: int) -> Evidence:
        known = Evidence(revision="v2", attempt=1, step=1)
        for n, i in enumerate(told):
            now = reading(max(told[: n + 1])).at
            look = folding.Look(
                evidence=known, reading=reading(i), policy=policy, asked=asked, elapsed=10.0 * i, now=now
            )
            known = folding.fold(look).evidence
        return known

    once, again = folded(1, 2, 3, 4), folded(1, 2, 2, 3, 1, 3, 2, 4, 4)
    assert once.gates["errors"].state is not None
    assert once.dump() == again.dump()
    assert weighing.weigh(once, policy, asked, now=reading(4).at) == weighing.weigh(
        again, policy, asked, now=reading(4).at
    )


# ---------------------------------------------------------------- sizes

MANY = 10**9
EDGES = (0.01, 0.02, 0.04, 0.08, math.inf)
SHAPES = [(MANY, 0, 0, 0, 0), (0, 0, 0, 0, MANY), (0, MANY, 0, MANY, 0), (MANY,) * 5, (0,) * 5]


@pytest.mark.parametrize("candidate", SHAPES)
@pytest.mark.parametrize("stable", SHAPES)
@pytest.mark.parametrize("had", [(), SHAPES[2], SHAPES[3]])
def test_a_thousand_million_latencies_overflow_nothing(
    candidate: tuple[int, ...], stable: tuple[int, ...], had: tuple[int, ...]
) -> None:
    history = LatencyHistory(EDGES, had) if had else LatencyHistory()
    gate = LatencyGate(history=history, noise=Noise(phi=1.1, tau=0.02), deadline_test=True)
    state = evidence.next_step(gate, evidence.start(gate), deadline_test_at=30.0)
    for i in range(4):
        state = evidence.fold(gate, state, LatencyLook(EDGES, candidate, stable, 3, 3, 10.0 * i, 10.0 * i))
    verdict = evidence.verdict(gate, state)
    assert math.isfinite(verdict.log_harm)
    assert not math.isnan(verdict.log_safe)
    assert verdict.deadline_p is not None
    assert 0 <= verdict.deadline_p <= 1
    assert evidence.dumps(evidence.loads(evidence.dumps(state))) == evidence.dumps(state)


@pytest.mark.parametrize("phi", [1.0, 3.0])
@pytest.mark.parametrize(("bad", "stable_bad"), [(0, 0), (MANY, 0), (0, MANY), (MANY, MANY), (5_000_000, 5_100_000)])
def test_a_thousand_million_requests_overflow_no_deadline_test_and_no_interval(
    bad: int, stable_bad: int, phi: float
) -> None:
    gate = RateGate(deadline_test=True, noise=Noise(phi=phi))
    state = evidence.next_step(gate, evidence.start(gate), deadline_test_at=30.0)
    for i in range(4):
        state = evidence.fold(gate, state, RateLook(MANY, bad, MANY, stable_bad, 3, 3, 10.0 * i, 10.0 * i))
    verdict = evidence.verdict(gate, state)
    assert verdict.deadline_p is not None
    assert 0 <= verdict.deadline_p <= 1
    assert (verdict.deadline_p < 1e-6) == (bad > 1.25 * stable_bad)
    if verdict.aside.interval is not None:
        low, high = verdict.aside.interval
        assert 0 <= low <= high
        assert low <= max(bad, 1) / max(stable_bad, 1) <= high
