"""The gate on answers that differ: its promises added up over every path of small rollouts, its slices, and what it says."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from pointsman.evidence import agreement, share, words
from pointsman.evidence import gate as evidence
from pointsman.evidence.agreement import AgreementState
from pointsman.evidence.replays import AgreementGate, AgreementLook
from tests.evidence.paths import binomial

REQUESTS = [(3, 2), (2, 3), (4, 1)]  # of two slices, in three looks


def folded(gate: AgreementGate, rates: list[tuple[float, float]]) -> tuple[AgreementState, np.ndarray]:
    """Fold every path of REQUESTS with these shares of different answers; return the batch's state and each path's chance."""
    outcomes = [
        list(product(enumerate(binomial(n[0], p[0])), enumerate(binomial(n[1], p[1]))))
        for n, p in zip(REQUESTS, rates, strict=True)
    ]
    paths = list(product(*outcomes))
    chance = np.array([math.prod(a[1] * b[1] for a, b in path) for path in paths])
    state: evidence.State = evidence.start(gate, chance.shape)
    for i, (one, other) in enumerate(REQUESTS):
        a, b = (np.array([path[i][j][0] for path in paths], dtype=np.int64) for j in range(2))
        look = AgreementLook(one + other, a + b, {"a": (one, a), "b": (other, b)}, elapsed=8.0 * (i + 1))
        state = evidence.fold(gate, state, look)
    assert isinstance(state, AgreementState)
    return state, chance


GATES = {
    "plain": AgreementGate(allowed=0.2, deadline=24.0),
    "slices": AgreementGate(allowed=0.2, slices=2, deadline=24.0),
    "one slice too many": AgreementGate(allowed=0.2, slices=1, deadline=24.0),
    "harm beyond": AgreementGate(allowed=0.1, harm=2.0, slices=4, deadline=24.0),
    "cap at work": AgreementGate(allowed=0.2, slices=2, false_rollback=0.9, false_promotion=0.9, deadline=24.0),
}


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("rates", [[(0.2, 0.2)] * 3, [(0.2, 0.0), (0.0, 0.2), (0.1, 0.2)], [(0.0, 0.0)] * 3])
def test_harm_is_an_e_process_while_no_slice_is_over_the_line(name: str, rates: list[tuple[float, float]]) -> None:
    gate = GATES[name]
    state, chance = folded(gate, rates)
    assert chance.sum() == pytest.approx(1)
    assert state.harm.started == 12, "the looks span the whole deadline, so that every later copy takes part"
    assert float(chance @ np.exp(evidence.log_harm(state))) <= 1 + 1e-9
    for copies in (state.harm.first, state.harm.later):
        assert np.max(np.tensordot(chance, np.exp(copies), 1)) <= 1 + 1e-9


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("rates", [[(0.2, 0.2)] * 3, [(0.2, 0.9), (0.3, 0.2), (0.5, 0.2)]])
def test_safety_of_each_slice_is_an_e_process_while_it_is_over_the_line(
    name: str, rates: list[tuple[float, float]]
) -> None:
    state, chance = folded(GATES[name], rates)
    assert np.max(np.tensordot(chance, np.exp(state.safe), 1)) <= 1 + 1e-9
    assert float(chance @ np.exp(evidence.log_safe(GATES[name], state))) <= 1 + 1e-9


def test_one_slice_beyond_is_enough_for_harm() -> None:
    gate = AgreementGate(allowed=0.2, slices=2, deadline=24.0)
    state, chance = folded(gate, [(0.0, 0.9)] * 3)
    assert float(chance @ evidence.log_harm(state)) > 0


def after(gate: AgreementGate, looks: int, look: AgreementLook) -> evidence.State:
    state = evidence.start(gate)
    for i in range(looks):
        state = evidence.fold(
            gate, state, AgreementLook(look.compared, look.disagreed, look.slices, elapsed=10.0 * (i + 1))
        )
    return state


SLICED = AgreementGate(slices=2)
SAID = [
    (AgreementGate(), 0, AgreementLook(0, 0), "no replayed requests in this step"),
    (AgreementGate(), 3, AgreementLook(0, 0), "no replayed requests in this step"),
    (
        AgreementGate(),
        10,
        AgreementLook(50, 0),
        (
            "0 of 500 replayed requests were answered differently (0 %); between 0 % and 2.2 % (95 %): "
            "not yet proven to stay under 1 %; if it goes on so, about 400 more replayed requests (79 s)"
        ),
    ),
    (
        AgreementGate(),
        20,
        AgreementLook(50, 0),
        "0 of 1,000 replayed requests were answered differently (0 %); between 0 % and 1.1 % (95 %): proven to stay under 1 %",
    ),
    (
        AgreementGate(),
        20,
        AgreementLook(50, 1),
        (
            "20 of 1,000 replayed requests were answered differently (2 %); between 0.54 % and 4.8 % (95 %): "
            "not yet proven to stay under 1 %; as things are that cannot be proven"
        ),
    ),
    (
        SLICED,
        20,
        AgreementLook(100, 1, {"a": (90, 0), "b": (10, 1)}),
        (
            "20 of 2,000 replayed requests were answered differently (1 %); between 0.27 % and 2.4 % (95 %), least proven in slice "
            "'b' (20 of 200): not yet proven to stay under 1 % in each of 2 slices; as things are that cannot be proven"
        ),
    ),
]


@pytest.mark.parametrize(("gate", "looks", "look", "said"), SAID)
def test_a_verdict_in_words(gate: AgreementGate, looks: int, look: AgreementLook, said: str) -> None:
    assert words.standing(gate, evidence.verdict(gate, after(gate, looks, look))) == said


def test_harm_names_the_slice() -> None:
    state = after(SLICED, 30, AgreementLook(100, 9, {"acme": (10, 9), "rest": (90, 0)}))
    verdict = evidence.verdict(SLICED, state)
    assert verdict.log_harm > math.log(100)
    assert "most of all in slice 'acme' (270 of 300): proven to be over 1 %" in words.harm(SLICED, verdict)


@pytest.mark.parametrize(
    ("slices", "enough", "safe"),
    [
        ({}, [], True),
        ({"a": (150, 0), "b": (50, 0)}, [True, True], True),
        ({"a": (150, 0), "b": (50, 1)}, [True, True], False),
        ({"a": (180, 0), "b": (20, 0)}, [True, True], False),  # 400 requests prove nothing yet: they are waited for
        (
            {"a": (199, 0), "b": (1, 1)},
            [True, False],
            True,
        ),  # a deadline of 720 requests will not: nobody is kept by them
    ],
)
def test_every_slice_with_traffic_enough_must_agree(
    slices: dict[str, tuple[int, int]],
    enough: list[bool],
    safe: bool,  # noqa: FBT001  a column of the table
) -> None:
    verdict = evidence.verdict(SLICED, after(SLICED, 20, AgreementLook(200, 0, slices)))
    assert ([one.enough for one in verdict.aside.slices], verdict.safe) == (enough, safe)


def test_slices_are_bounded_whatever_their_names() -> None:
    state: evidence.State = evidence.start(SLICED)
    for i in range(50):
        state = evidence.fold(SLICED, state, AgreementLook(10, 1, {f"tenant-{i}": (10, 1)}, elapsed=float(i)))
    assert isinstance(state, AgreementState)
    assert state.names == ("tenant-0", "tenant-1", "other")
    assert state.totals.tolist() == [[500, 50], [10, 1], [10, 1], [480, 48]]
    without = evidence.fold(AgreementGate(), evidence.start(AgreementGate()), AgreementLook(10, 1, {"a": (10, 1)}))
    assert isinstance(without, AgreementState)
    assert without.names == ()


def test_bursts_of_different_answers_are_tempered() -> None:
    steady, bursts = (after(AgreementGate(), 200, AgreementLook(50, 1)) for _ in range(2))
    for i in range(200):
        bursts = evidence.fold(AgreementGate(), bursts, AgreementLook(50, 20 if i % 20 == 0 else 0, elapsed=2000.0 + i))
    assert isinstance(steady, AgreementState)
    assert isinstance(bursts, AgreementState)
    assert agreement.dispersion(steady)[0] < 1.2
    assert agreement.dispersion(bursts)[0] > 5


def test_a_new_step_proves_anew_and_a_return_goes_on() -> None:
    first = after(SLICED, 20, AgreementLook(100, 0, {"a": (100, 0)}))
    second = evidence.next_step(SLICED, first)
    assert not evidence.verdict(SLICED, second).safe
    assert evidence.verdict(SLICED, second).counts.candidate_requests == 2000
    second = evidence.fold(SLICED, second, AgreementLook(10, 0, {"b": (10, 0)}, elapsed=300.0))
    back = evidence.resume_step(second, first)
    assert evidence.verdict(SLICED, back).safe
    assert [one.compared for one in evidence.verdict(SLICED, back).aside.slices] == [2000, 0]


def test_dumped_and_loaded_it_is_the_same() -> None:
    text = evidence.dumps(after(SLICED, 5, AgreementLook(100, 3, {"a": (60, 3), "ü": (40, 0)})))
    assert evidence.dumps(evidence.loads(text)) == text
    assert len(text) < 2500


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: AgreementGate(allowed=0.0), "cannot be proven"),
        (lambda: AgreementGate(allowed=0.6, harm=2.0), "harm x allowed less than 1"),
        (lambda: AgreementGate(harm=0.5), "harm must be 1 or more"),
        (lambda: AgreementGate(slices=-1), "0 or more"),
        (lambda: AgreementLook(3, 4), "the look has 4 of 3"),
        (lambda: AgreementLook(3, 1, {"a": (1, 2)}), "slice 'a' has 2 of 1"),
        (lambda: AgreementLook(3, 1, {"": (1, 1)}), "a slice needs a name"),
        (lambda: evidence.fold(SLICED, evidence.start(AgreementGate()), AgreementLook(3, 1)), "other slices"),
    ],
)
def test_what_cannot_be_is_said(wrong: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wrong()  # type: ignore[operator]  # a table of calls


@pytest.mark.parametrize(("requests", "differing"), [(1, 0), (10, 10), (1000, 0), (1000, 10), (10**9, 10**7)])
def test_the_interval_holds_what_was_seen(requests: int, differing: int) -> None:
    found = share.interval(requests, differing, error=0.05, phi=1.0)
    assert found is not None
    low, high = found
    assert 0 <= low <= differing / requests <= high <= 1


def test_the_interval_misses_rarely_however_often_it_looks() -> None:
    rng, missed = np.random.default_rng(7), 0
    for _ in range(100):
        counted = np.cumsum(rng.binomial(50, np.where(np.arange(40) % 2, 0.01, 0.05)))  # .03 on average
        found = [share.interval(50 * (i + 1), int(counted[i]), error=0.05, phi=1.0) for i in range(3, 40, 4)]
        missed += any(one is not None and not one[0] <= 0.03 <= one[1] for one in found)
    assert missed <= 5
