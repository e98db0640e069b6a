"""The gate on the distribution of predictions: its promises added up over every path, its events, and what it says."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from pointsman.evidence import gate as evidence
from pointsman.evidence import words
from pointsman.evidence.bins import Bins, counted
from pointsman.evidence.prediction import PredictionState
from pointsman.evidence.replays import Histograms, PredictionGate, PredictionLook

SCORE = Bins("score", edges=(0.2, 0.5))
LABEL = Bins("label", categories=("de", "fr"))

EVENTS = [
    (SCORE, [1, 2, 4], {"over 0.2": 6, "over 0.5": 4, "up to 0.2": 1, "up to 0.5": 3}),
    (LABEL, [1, 2, 4], {"is de": 1, "is fr": 2, "is other": 4, "is not de": 6, "is not fr": 5, "is not other": 3}),
]


@pytest.mark.parametrize(("bins", "counts", "events"), EVENTS)
def test_every_tail_and_every_category_in_both_directions(
    bins: Bins, counts: list[int], events: dict[str, int]
) -> None:
    happened = counted(bins, np.array(counts))
    assert {bins.event(i): int(n) for i, n in enumerate(happened)} == events


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Bins("x"), "x: give edges"),
        (lambda: Bins("x", (1.0,), ("a",)), "one of the two"),
        (lambda: Bins("x", (2.0, 1.0)), "must rise"),
        (lambda: Bins("x", (1.0, math.inf)), "must be finite"),
        (lambda: Bins("x", (), ("a", "a")), "each category once"),
        (lambda: counted(SCORE, np.array([1, 2])), "3 bins"),
        (lambda: Histograms(SCORE, (1, 2), (1, 2, 3)), "the candidate needs 3 counts"),
        (lambda: PredictionGate(tolerance=0.0), "5 points are 0.05"),
    ],
)
def test_what_cannot_be_is_said(wrong: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wrong()  # type: ignore[operator]  # a table of calls


# ---------------------------------------------------------------- every path of two looks of 2 + 2 requests

SHAPES = {"same": ((0.3, 0.3, 0.4), (0.3, 0.3, 0.4)), "on the line": ((0.2, 0.3, 0.5), (0.3, 0.3, 0.4))}
BEYOND = {"up": ((0.1, 0.1, 0.8), (0.3, 0.3, 0.4)), "on the line": ((0.2, 0.3, 0.5), (0.3, 0.3, 0.4))}
GATES = {
    "plain": PredictionGate(tolerance=0.1, deadline=24.0),
    "cap at work": PredictionGate(tolerance=0.1, false_rollback=0.9, false_promotion=0.9, deadline=24.0),
}


def folded(
    gate: PredictionGate, shapes: list[tuple[tuple[float, ...], tuple[float, ...]]]
) -> tuple[PredictionState, np.ndarray]:
    """Fold every path of looks of two requests with these chances of bins (candidate, stable)."""
    histograms = [h for h in product(range(3), repeat=3) if sum(h) == 2]

    def chance(h: tuple[int, ...], p: tuple[float, ...]) -> float:
        ways = 2 / math.prod(math.factorial(n) for n in h)
        return ways * math.prod(q**n for n, q in zip(h, p, strict=True))

    looks = [[(c, s, chance(c, one[0]) * chance(s, one[1])) for c in histograms for s in histograms] for one in shapes]
    paths = list(product(*looks))
    weight = np.array([math.prod(step[2] for step in path) for path in paths])
    state: evidence.State = evidence.start(gate, weight.shape)
    for i in range(len(shapes)):
        candidate, stable = (np.array([path[i][arm] for path in paths]) for arm in range(2))
        look = PredictionLook((Histograms(SCORE, candidate, stable),), elapsed=12.0 * (i + 1))
        state = evidence.fold(gate, state, look)
    assert isinstance(state, PredictionState)
    return state, weight


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("shapes", list(product(SHAPES, repeat=2)))
def test_harm_is_an_e_process_while_no_tail_moved_further(name: str, shapes: tuple[str, str]) -> None:
    state, weight = folded(GATES[name], [SHAPES[shape] for shape in shapes])
    assert weight.sum() == pytest.approx(1)
    assert float(weight @ np.exp(evidence.log_harm(state))) <= 1 + 1e-9


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("shapes", list(product(BEYOND, repeat=2)))
def test_safety_is_an_e_process_while_a_tail_is_beyond(name: str, shapes: tuple[str, str]) -> None:
    state, weight = folded(GATES[name], [BEYOND[shape] for shape in shapes])
    moved = [SCORE.event(i) for i in range(4)].index("over 0.5")
    assert np.max(np.tensordot(weight, np.exp(state.safe[:, moved]), 1)) <= 1 + 1e-9
    assert float(weight @ np.exp(evidence.log_safe(GATES[name], state))) <= 1 + 1e-9


# ---------------------------------------------------------------- what it says


def after(looks: int, candidate: tuple[int, ...], stable: tuple[int, ...]) -> evidence.State:
    gate, state = PredictionGate(), evidence.start(PredictionGate())
    for i in range(looks):
        outputs = (Histograms(SCORE, candidate, stable), Histograms(LABEL, (50, 40, 10), (50, 40, 10)))
        state = evidence.fold(gate, state, PredictionLook(outputs, elapsed=10.0 * (i + 1)))
    return state


SAID = [
    (0, (0, 0, 0), (0, 0, 0), "no replayed requests in this step"),
    (
        3,
        (30, 40, 30),
        (30, 40, 30),
        (
            "score over 0.2: 70 % of the candidate's predictions, 70 % of stable's: not yet proven to keep every tail of the "
            "predictions within 5 points; if both are equal, about 2,200 more replayed requests (4 min)"
        ),
    ),
    (
        40,
        (30, 40, 30),
        (30, 40, 30),
        "score over 0.2: 70 % of the candidate's predictions, 70 % of stable's: proven to keep every tail of the predictions within 5 points",
    ),
]


@pytest.mark.parametrize(("looks", "candidate", "stable", "said"), SAID)
def test_a_verdict_in_words(looks: int, candidate: tuple[int, ...], stable: tuple[int, ...], said: str) -> None:
    assert words.standing(PredictionGate(), evidence.verdict(PredictionGate(), after(looks, candidate, stable))) == said


def test_harm_names_the_prediction_and_the_edge() -> None:
    verdict = evidence.verdict(PredictionGate(), after(20, (30, 20, 50), (30, 40, 30)))
    assert verdict.log_harm > math.log(100)
    assert words.harm(PredictionGate(), verdict) == (
        "score over 0.5: 50 % of the candidate's predictions, 30 % of stable's: proven that a tail of the predictions moved by more than 5 points"
    )


def test_steps_returns_and_storage() -> None:
    first = after(40, (30, 40, 30), (30, 40, 30))
    second = evidence.next_step(PredictionGate(), first)
    assert not evidence.verdict(PredictionGate(), second).safe
    assert evidence.verdict(PredictionGate(), evidence.resume_step(second, first)).safe
    text = evidence.dumps(first)
    assert evidence.dumps(evidence.loads(text)) == text
    with pytest.raises(ValueError, match="start the gate anew"):
        evidence.fold(PredictionGate(), first, PredictionLook((Histograms(LABEL, (1, 1, 1), (1, 1, 1)),)))


def test_a_histogram_of_many_bins_is_joined_by_the_first_look() -> None:
    gate, grid = PredictionGate(), Bins("score", edges=tuple(i / 20 for i in range(1, 60)))
    counts = np.zeros(60, dtype=np.int64)
    counts[4:8] = (30, 10, 30, 30)
    state = evidence.start(gate)
    for i in range(3):
        state = evidence.fold(gate, state, PredictionLook((Histograms(grid, counts, counts),), elapsed=10.0 * (i + 1)))
    verdict = evidence.verdict(gate, state)
    assert verdict.step_counts.candidate_requests == 200, "the first look only chose the bins"
    assert isinstance(state, PredictionState)
    assert len(state.safe) == 2 * 5
    assert len(evidence.dumps(state)) < 4_000


def test_looks_without_predictions_change_nothing() -> None:
    gate, state = PredictionGate(), evidence.start(PredictionGate())
    for outputs in ((), (Histograms(SCORE, (0, 0, 0), (0, 0, 0)),)):
        state = evidence.fold(gate, state, PredictionLook(outputs, elapsed=10.0))
    assert evidence.verdict(gate, state).counts.candidate_requests == 0
    assert words.standing(gate, evidence.verdict(gate, state)) == "no replayed requests in this step"
