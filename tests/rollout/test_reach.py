"""Whether a policy can reach a verdict: what is said when it cannot, and that what is advised works."""

from __future__ import annotations

import math

import pytest

from pointsman.evidence.model import LatencyGate, LatencyHistory, Margin, Noise, RateGate, RateHistory
from pointsman.rollout import reach
from tests.rollout.examples import rollout, serving

HOUR = 3600.0
ERRORS = RateGate(history=RateHistory(18_000, 90), shares=(0.05, 0.5))
LATENCY = LatencyGate(
    quantiles=(0.5, 0.95),
    history=LatencyHistory((0.005, 0.01, 0.025, 0.05, 0.1, math.inf), (100, 9000, 8000, 800, 90, 10)),
)
STEPS = (
    reach.Stage(share=0.05, hold=300, candidate_pods=1, stable_pods=19),
    reach.Stage(share=0.5, hold=300, candidate_pods=10, stable_pods=10),
)


def said(gate: RateGate | LatencyGate, rps: float, deadline: float, steps: tuple[reach.Stage, ...] = STEPS) -> str:
    asked = {"gate": reach.Asked(gate=gate, rps=rps)}
    return reach.sentence(asked, steps, deadline=deadline)


@pytest.mark.parametrize(
    ("gate", "rps", "deadline", "expected"),
    [
        pytest.param(ERRORS, 50, 2 * HOUR, "", id="enough traffic"),
        pytest.param(ERRORS, 0, 2 * HOUR, "", id="no traffic yet: nobody knows"),
        pytest.param(
            ERRORS,
            1,
            2 * HOUR,
            "no verdict is expected within the deadline of 2h: gate needs about 9,400 candidate requests in the last step"
            ' (1 a second, 50 % of them the candidate\'s), 13 h in all; a deadline of 13h or tolerance ratio: "3.6" for gate would do',
            id="a tolerance too tight for the deadline",
        ),
        pytest.param(
            RateGate(tolerance=Margin(1.0, 0.0001), history=RateHistory(18_000, 90), shares=(0.05, 0.5)),
            50,
            2 * HOUR,
            'tolerance points: "0.',
            id="only points: more points",
        ),
        pytest.param(
            ERRORS,
            50,
            540,
            "no verdict is possible within the deadline of 9m: the canary steps alone hold for 10m; write a longer deadline,"
            " or shorter holds",
            id="holds that are longer than the deadline",
        ),
        pytest.param(LATENCY, 50, 2 * HOUR, "", id="latency"),
        pytest.param(LATENCY, 0.2, 2 * HOUR, "a deadline of", id="latency, little traffic"),
        pytest.param(
            RateGate(history=RateHistory(18_000, 90), noise=Noise(1.0, 1.0), shares=(0.05, 0.5)),
            50,
            2 * HOUR,
            "cannot be proven of an equal version with these pods",
            id="pods that differ by more than the tolerance",
        ),
    ],
)
def test_what_is_out_of_reach_is_said(gate: RateGate | LatencyGate, rps: float, deadline: float, expected: str) -> None:
    got = said(gate, rps, deadline)
    assert expected in got if expected else got == ""


@pytest.mark.parametrize("rps", [1, 5])
def test_what_is_advised_works(rps: float) -> None:
    asked = {"gate": reach.Asked(gate=ERRORS, rps=rps)}
    short = reach.short_of(asked, STEPS, deadline=HOUR)["gate"]
    assert said(ERRORS, rps, short.seconds) == ""
    assert said(ERRORS, rps, short.seconds * 0.99) != ""
    assert short.tolerance is not None
    ratio = float(short.tolerance.split('"')[1])
    wide = RateGate(tolerance=Margin(ratio, 0.001), history=ERRORS.history, shares=ERRORS.shares)
    assert said(wide, rps, HOUR) == ""
    tight = RateGate(tolerance=Margin(ratio * 0.8, 0.001), history=ERRORS.history, shares=ERRORS.shares)
    assert said(tight, rps, HOUR) != ""


def test_a_rollout_that_cannot_reach_a_verdict_is_told_so_and_starts() -> None:
    world = serving(spec=rollout(), rps=0.5)
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.share > 0)
    assert "no verdict is expected within the deadline" in (world.running.outlook or "")
    assert [event.type for event in world.events if event.reason == "VerdictOutOfReach"] == ["Warning"]


def test_a_rollout_with_enough_traffic_is_told_nothing() -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.share > 0)
    assert world.running.outlook is None
    assert not [event for event in world.events if event.reason == "VerdictOutOfReach"]
