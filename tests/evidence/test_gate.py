"""The door to the evidence, as the rollout uses it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pointsman.evidence import gate as evidence
from pointsman.evidence.model import (
    Gate,
    LatencyGate,
    LatencyHistory,
    LatencyLook,
    Look,
    Margin,
    Noise,
    RateGate,
    RateHistory,
    RateLook,
)
from pointsman.evidence.verdict import GateVerdict

EDGES = (0.005, 0.01, 0.025, 0.05, math.inf)
ERRORS = RateGate(tolerance=Margin(1.5, 0.005), shares=(0.05, 0.25, 0.5), history=RateHistory(36_000, 180))
LATENCY = LatencyGate(history=LatencyHistory(EDGES, (0, 9000, 900, 90, 10)))


def rate_looks(count: int, *, bad: int = 0, stable_bad: int = 0, requests: int = 250) -> list[Look]:
    return [RateLook(requests, bad, requests, stable_bad, 2, 2, 10.0 * (i + 1)) for i in range(count)]


def latency_looks(count: int, candidate: tuple[int, ...], stable: tuple[int, ...]) -> list[Look]:
    return [LatencyLook(EDGES, candidate, stable, 2, 2, 10.0 * (i + 1)) for i in range(count)]


def after(gate: Gate, looks: list[Look]) -> evidence.State:
    state = evidence.start(gate)
    for look in looks:
        state = evidence.fold(gate, state, look)
    return state


def said(gate: Gate, looks: list[Look]) -> GateVerdict:
    return evidence.verdict(gate, after(gate, looks))


CASES: dict[str, tuple[Gate, list[Look]]] = {
    "errors": (ERRORS, rate_looks(7, bad=2, stable_bad=1)),
    "errors, no look": (ERRORS, []),
    "latency": (LATENCY, latency_looks(5, (0, 230, 15, 4, 1), (3, 240, 6, 1, 0))),
    "latency, no look": (LatencyGate(), []),
}


@pytest.mark.parametrize("case", CASES)
def test_a_state_survives_a_restart_bit_for_bit(case: str) -> None:
    gate, looks = CASES[case]
    state = after(gate, looks)
    text = evidence.dumps(state)
    again = evidence.loads(text)
    assert evidence.dumps(again) == text
    assert len(text) < 4096
    further: list[Look] = looks[:1] or (
        rate_looks(1) if isinstance(gate, RateGate) else latency_looks(1, (9, 1, 0, 0, 0), (9, 0, 1, 0, 0))
    )
    assert evidence.dumps(evidence.fold(gate, again, further[0])) == evidence.dumps(
        evidence.fold(gate, state, further[0])
    )


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format":1,"kind":"rate"}', '{"format":1,"kind":"lag"}', '{"format":9,"kind":"rate"}']
)
def test_what_we_did_not_write_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="start the gate anew"):
        evidence.loads(text)


@pytest.mark.parametrize("case", ["errors", "latency"])
def test_folding_leaves_the_old_state_as_it_was(case: str) -> None:
    gate, looks = CASES[case]
    state = after(gate, looks)
    before = evidence.dumps(state)
    evidence.fold(gate, state, looks[0])
    evidence.next_step(gate, state)
    assert evidence.dumps(state) == before


@pytest.mark.parametrize("look", [RateLook(0, 0, 900, 50, elapsed=50.0), RateLook(300, 40, 0, 0, elapsed=50.0)])
def test_a_look_at_one_arm_only_is_counted_but_proves_nothing(look: RateLook) -> None:
    state = after(ERRORS, rate_looks(4))
    then = evidence.fold(ERRORS, state, look)
    assert evidence.log_harm(then) == evidence.log_harm(state)
    assert evidence.log_safe(ERRORS, then) == evidence.log_safe(ERRORS, state)
    counts = evidence.verdict(ERRORS, then).counts
    assert (counts.candidate_requests, counts.stable_requests) == (
        1000 + look.candidate_requests,
        1000 + look.stable_requests,
    )


def test_a_new_step_asks_anew_whether_it_is_safe_and_keeps_the_rest() -> None:
    state = after(ERRORS, rate_looks(12, bad=1, stable_bad=1))
    then = evidence.next_step(ERRORS, state)
    old, new = evidence.verdict(ERRORS, state), evidence.verdict(ERRORS, then)
    assert (old.safe, new.safe, round(new.log_safe, 12)) == (True, False, 0.0)
    assert new.step_counts.candidate_requests == 0
    assert (new.log_harm, new.excess_bound, new.counts, new.aside.interval) == (
        old.log_harm,
        old.excess_bound,
        old.counts,
        old.aside.interval,
    )


def test_the_nested_bound_lets_small_steps_go_before_large_ones() -> None:
    # B = .5 points + .5 x .5 % = .75 points: it takes U <= 3 points for 25 % and 1.5 points for 50 %
    reached: dict[float, int] = {}
    state = evidence.start(ERRORS)
    for i, look in enumerate(rate_looks(40, requests=50)):
        state = evidence.fold(ERRORS, state, look)
        verdict = evidence.verdict(ERRORS, state)
        assert verdict.excess_bound is not None
        assert verdict.allowed_excess == pytest.approx(0.0075)
        for share in (0.25, 0.5):
            if verdict.excess_bound * share <= verdict.allowed_excess:
                reached.setdefault(share, i)
    assert 0 < reached[0.25] < reached[0.5] < 20


def test_harm_that_begins_late_is_found_in_minutes() -> None:
    gate = RateGate(false_rollback=0.01, deadline=7200.0)
    looks = [RateLook(100, 0 if i < 360 else 8, 400, 2, 1, 4, 10.0 * (i + 1)) for i in range(420)]
    state, found = evidence.start(gate), None
    for i, look in enumerate(looks):
        state = evidence.fold(gate, state, look)
        if evidence.log_harm(state) >= math.log(100):
            found = i
            break
    assert found is not None
    assert 0 <= found - 360 < 6


def test_no_single_look_decides() -> None:
    assert said(ERRORS, rate_looks(1, bad=250)).log_harm < math.log(100)
    assert said(ERRORS, rate_looks(1, requests=10**9)).log_safe < math.log(20)


@pytest.mark.parametrize("requests", [10**9])
def test_a_thousand_million_requests_a_look(requests: int) -> None:
    for bad, stable_bad in ((0, 0), (5_000_000, 5_000_000), (requests, 0), (0, requests), (requests, requests)):
        verdict = said(ERRORS, rate_looks(30, bad=bad, stable_bad=stable_bad, requests=requests))
        assert math.isfinite(verdict.log_harm)
        assert math.isfinite(verdict.log_safe)


def test_needed_requests_are_what_it_then_takes() -> None:
    looks = rate_looks(3, bad=1, stable_bad=1)
    state = after(ERRORS, looks)
    needed = evidence.verdict(ERRORS, state).needed_requests
    assert needed is not None
    taken = 0
    while evidence.log_safe(ERRORS, state) < math.log(20):
        state = evidence.fold(ERRORS, state, rate_looks(1, bad=1, stable_bad=1)[0])
        taken += 250
    assert 0.5 * needed <= taken <= 2 * needed + 250


def test_an_impossible_tolerance_needs_forever() -> None:
    gate = replace(ERRORS, tolerance=Margin(1.0))
    assert said(gate, rate_looks(5, bad=1, stable_bad=1)).needed_requests is None


def test_few_pods_that_differ_much_stay_undecided_with_the_pods_it_takes() -> None:
    gate = replace(ERRORS, tolerance=Margin(1.5, 0.001), noise=Noise(tau=0.5))
    verdict = said(gate, rate_looks(5, bad=1, stable_bad=1))
    assert (verdict.safe, verdict.needed_requests) == (False, None)
    assert (
        "with 2 candidate and 2 stable pods that is more than the tolerance; it takes 5 and 5 pods"
        in verdict.aside.notes[0]
    )
    assumed = said(replace(gate, noise=Noise(tau=0.5, assumed=True)), rate_looks(5, bad=1, stable_bad=1))
    assert assumed.needed_requests is not None
    assert assumed.aside.harm_ratio == pytest.approx(math.exp(2.5758 / 2), rel=1e-4)  # two pods beside two, 1 %
    assert "these pods" in assumed.aside.notes[0]


# ---------------------------------------------------------------- many gates, one decision


def verdict_of(log_harm: float, *, p: float | None = None) -> GateVerdict:
    base = said(ERRORS, [])
    return replace(base, log_harm=log_harm, deadline_p=p)


LEVEL = math.log(100)


@pytest.mark.parametrize(
    ("verdicts", "harmful", "rule"),
    [
        ({}, (), ""),
        ({"errors": verdict_of(LEVEL)}, (), ""),  # half of the weight is on latency
        ({"errors": verdict_of(LEVEL + math.log(2))}, ("errors",), "EProcess"),
        ({"errors": verdict_of(3000.0), "latency": verdict_of(-3000.0)}, ("errors",), "EProcess"),
        ({"errors": verdict_of(LEVEL), "latency": verdict_of(LEVEL)}, ("errors", "latency"), "EProcess"),
        ({"errors": verdict_of(LEVEL + math.log(2), p=0.5)}, (), ""),  # a test took a quarter of the level
        ({"errors": verdict_of(LEVEL + math.log(2 / 0.75), p=0.5)}, ("errors",), "EProcess"),
        ({"errors": verdict_of(0.0, p=0.0024)}, ("errors",), "DeadlineTest"),
        ({"errors": verdict_of(0.0, p=0.0026)}, (), ""),
        ({"errors": verdict_of(0.0, p=0.0024), "latency": verdict_of(0.0, p=1.0)}, (), ""),  # .25 % shared by two
    ],
)
def test_the_average_decides_and_names(verdicts: dict[str, GateVerdict], harmful: tuple[str, ...], rule: str) -> None:
    weights = evidence.weights(["errors", "latency"])
    got = evidence.combine(
        verdicts,
        tested=tuple(n for n, v in verdicts.items() if v.deadline_p is not None),
        weights=weights,
        false_rollback=0.01,
    )
    assert (got.harmful, got.rule, got.rollback) == (harmful, rule, bool(rule))


@pytest.mark.parametrize(
    ("serving", "others", "expected"),
    [
        (["errors"], [], {"errors": 1.0}),
        ([], ["scores"], {"scores": 1.0}),
        (["errors", "latency"], ["scores"], {"errors": 0.25, "latency": 0.25, "scores": 0.5}),
        (["errors"], ["scores", "agreement"], {"errors": 0.5, "scores": 0.25, "agreement": 0.25}),
    ],
)
def test_half_of_the_weight_is_on_serving(serving: list[str], others: list[str], expected: dict[str, float]) -> None:
    assert evidence.weights(serving, others) == expected


def test_weights_that_are_no_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        evidence.combine({}, tested=(), weights={"errors": 0.4}, false_rollback=0.01)


# ---------------------------------------------------------------- the deadline test


def test_the_deadline_test_is_carried_out_once_on_the_last_steps_counts() -> None:
    gate = replace(ERRORS, deadline_test=True)
    state = after(gate, rate_looks(3, bad=40, stable_bad=1))
    state = evidence.next_step(gate, state, deadline_test_at=60.0)
    ps = []
    for i, bad in enumerate((12, 12, 12, 0, 0)):
        state = evidence.fold(gate, state, RateLook(250, bad, 250, 2, 2, 2, elapsed=30.0, at=40.0 + 10 * i))
        ps.append(evidence.verdict(gate, state).deadline_p)
    assert ps[:2] == [None, None]
    assert ps[2] is not None
    assert ps[2] < 0.001
    assert ps[2:] == [ps[2]] * 3


def test_a_deadline_test_must_be_announced() -> None:
    with pytest.raises(ValueError, match="without a deadline test"):
        evidence.next_step(ERRORS, evidence.start(ERRORS), deadline_test_at=60.0)
    with pytest.raises(ValueError, match="without excess"):
        RateGate(harm=Margin(1.25, 0.01), deadline_test=True)


# ---------------------------------------------------------------- input that is no input


def test_kinds_must_match() -> None:
    with pytest.raises(ValueError, match="one kind"):
        evidence.fold(ERRORS, evidence.start(LATENCY), RateLook(1, 0, 1, 0))


def test_a_state_of_a_gate_with_other_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="start the gate anew"):
        evidence.fold(replace(ERRORS, shares=(0.1,)), evidence.start(ERRORS), RateLook(1, 0, 1, 0))


@pytest.mark.parametrize(("bad", "of"), [(-1, 10), (11, 10)])
def test_counts_must_make_sense(bad: int, of: int) -> None:
    with pytest.raises(ValueError, match="the stable has"):
        RateLook(10, 0, of, bad)


@pytest.mark.parametrize(
    "edges", [(), (math.inf,), (1.0, 2.0), (2.0, 1.0, math.inf), (0.0, 1.0, math.inf), (1.0, math.inf, math.inf)]
)
def test_edges_must_make_sense(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="edges must"):
        LatencyLook(edges, (0,) * len(edges), (0,) * len(edges))


def test_edges_may_not_change_once_something_was_counted() -> None:
    state = after(LATENCY, latency_looks(1, (1, 1, 0, 0, 0), (1, 1, 0, 0, 0)))
    with pytest.raises(ValueError, match="edges changed"):
        evidence.fold(LATENCY, state, LatencyLook((0.1, math.inf), (1, 0), (1, 0)))


def test_a_batch_is_many_rollouts() -> None:
    bad = np.array([0, 3, 50])
    state = evidence.start(ERRORS, (3,))
    alone = [evidence.start(ERRORS) for _ in bad]
    for i in range(6):
        state = evidence.fold(ERRORS, state, RateLook(250, bad, 250, 2, 2, 2, 10.0 * (i + 1)))
        alone = [
            evidence.fold(ERRORS, one, RateLook(250, int(b), 250, 2, 2, 2, 10.0 * (i + 1)))
            for one, b in zip(alone, bad, strict=True)
        ]
    assert evidence.log_harm(state) == pytest.approx([float(evidence.log_harm(one)) for one in alone])
    assert evidence.log_safe(ERRORS, state) == pytest.approx([float(evidence.log_safe(ERRORS, one)) for one in alone])


def test_a_step_taken_up_again_goes_on_where_it_was() -> None:
    left = after(ERRORS, rate_looks(2))
    other = evidence.fold(ERRORS, evidence.next_step(ERRORS, left), rate_looks(3, bad=1)[2])
    back = evidence.verdict(ERRORS, evidence.resume_step(other, left))
    was, now = evidence.verdict(ERRORS, left), evidence.verdict(ERRORS, other)
    assert (back.log_safe, back.step_counts) == (was.log_safe, was.step_counts)
    assert (back.log_harm, back.counts, back.excess_bound) == (now.log_harm, now.counts, now.excess_bound)
    with pytest.raises(ValueError, match="two gates"):
        evidence.resume_step(other, evidence.start(LATENCY))
