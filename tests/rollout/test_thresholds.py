"""Threshold gates: a plain comparison, held for a while, that says so; in a table and in rollouts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from pointsman.api.gates import Threshold
from pointsman.api.modelrevision import Verdict
from pointsman.rollout import thresholds
from pointsman.rollout.thresholds import Standing
from pointsman.signals.reading import Measured
from tests.rollout.examples import rollout, serving
from tests.rollout.surroundings import START
from tests.rollout.world import World

MEMORY = {"query": 'max(gpu_memory_ratio{revision="$revision"})', "max": "0.9", "for": "1m"}
ERRORS = {"name": "errors", "signal": "Errors", "tolerance": {"ratio": "1.5", "points": "0.5"}}


@dataclass(frozen=True)
class Case:
    """Looks (seconds, values) at a threshold, and what they come to."""

    says: str
    looks: tuple[tuple[float, tuple[float, ...]], ...]
    verdict: Verdict
    limits: dict[str, str]
    pauses: bool = False


LIMITS = {"query": "x", "max": "0.9", "for": "1m"}
BAND = {"query": "x", "min": "-1", "max": "1", "for": "1m"}
CASES = [
    Case("inside, not long enough", ((0, (0.5,)), (50, (0.5,))), "Undecided", LIMITS),
    Case("inside long enough", ((0, (0.5,)), (30, (0.9,)), (60, (0.5,))), "Safe", LIMITS),
    Case("outside, not long enough", ((0, (0.95,)), (50, (0.95,))), "Undecided", LIMITS),
    Case("outside long enough", ((0, (0.95,)), (30, (0.95,)), (60, (0.95,))), "Undecided", LIMITS, pauses=True),
    Case(
        "and it rolls back where the gate says so",
        ((0, (0.95,)), (30, (0.95,)), (60, (0.95,))),
        "Harm",
        {**LIMITS, "action": "Rollback"},
    ),
    Case("one look on the other side begins anew", ((0, (0.5,)), (30, (0.95,)), (60, (0.5,))), "Undecided", LIMITS),
    Case("nobody looked for a while: anew", ((0, (0.5,)), (200, (0.5,))), "Undecided", LIMITS),
    Case(
        "who stands still goes on to, whatever was not seen",
        ((0, (0.95,)), (60, (0.95,)), (600, (0.95,))),
        "Undecided",
        LIMITS,
        pauses=True,
    ),
    Case("nobody looked, and it is inside", ((0, (0.95,)), (60, (0.95,)), (600, (0.5,))), "Undecided", LIMITS),
    Case("outside for less, and nobody looked: anew", ((0, (0.95,)), (600, (0.95,))), "Undecided", LIMITS),
    Case("one series outside is outside", ((0, (0.1, 0.95)), (60, (0.95, 0.1))), "Undecided", LIMITS, pauses=True),
    Case("below the least", ((0, (-2.0,)), (60, (0.0, -1.5))), "Undecided", BAND, pauses=True),
    Case("within both", ((0, (-1.0,)), (60, (1.0,))), "Safe", BAND),
    Case("infinite is outside", ((0, (math.inf,)), (60, (math.inf,))), "Undecided", LIMITS, pauses=True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_verdicts(case: Case) -> None:
    limits = Threshold.model_validate(case.limits)
    standing: Standing | None = None
    for at, values in case.looks:
        now = START + timedelta(seconds=at)
        standing = thresholds.fold(standing, limits, Measured(values), at=now, within=timedelta(seconds=90))
        standing = Standing.load(standing.dump())  # an operator that starts anew knows the same
    assert standing is not None
    assert thresholds.verdict(standing, limits) == case.verdict
    assert thresholds.pauses(standing, limits) == case.pauses
    assert "no error rate is claimed" in thresholds.say(standing, limits)


def test_a_new_step_has_to_show_anew_what_is_inside_and_keeps_what_is_not() -> None:
    inside = Standing(inside=True, since=START, at=START, value=0.5)
    outside = Standing(inside=False, since=START, at=START, value=0.95)
    assert [thresholds.next_step(one) for one in (None, inside, outside)] == [None, None, outside]


def watched(threshold: dict[str, str], **gate: Any) -> World:
    gates = [ERRORS, {"name": "memory", "signal": "Threshold", "threshold": threshold, **gate}]
    world = serving(spec=rollout(gates=gates))
    world.answers["memory"] = 0.5
    return world


def step(number: int) -> Any:
    return lambda w: w.status.rollout is not None and w.running.step >= number


def test_inside_it_is_promoted_and_the_record_says_what_was_compared() -> None:
    world = watched(MEMORY)
    world.apply(version="2")
    assert world.run(1800, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")]), world.status
    (attempt,) = world.objects["ModelRevision", world.revision("2")]["status"].attempts
    (record,) = [gate for gate in attempt.gates if gate.name == "memory"]
    assert (record.verdict, record.value, record.harm_evidence) == ("Safe", "0.5", None)
    assert record.held_since is not None
    assert record.message.startswith("memory: Safe: the answer is 0.5, as it should be (at most 0.9), for ")
    assert "a plain comparison, no error rate is claimed" in world.status.history[0].message


def test_outside_it_stands_still_and_goes_on_when_it_is_inside_again() -> None:
    world = watched({**MEMORY, "for": "10s"}, required=False)  # it pauses, whether promotion waits for it or not
    world.apply(version="2")
    assert world.run(300, until=step(2))
    world.answers["memory"] = 0.95
    assert not world.run(1200, until=lambda w: step(3)(w) or w.outcomes)
    assert world.share == 0.25
    assert "standing still: memory is Undecided (the query's answer is outside its limits)" in world.running.message
    world.answers["memory"] = 0.5
    assert world.run(900, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")]), world.status


def test_outside_it_rolls_back_where_the_gate_says_so() -> None:
    world = watched({**MEMORY, "action": "Rollback"})
    world.apply(version="2")
    assert world.run(300, until=step(1))
    world.answers["memory"] = 0.95
    assert world.run(120, until=lambda w: w.outcomes == [("2", "RolledBack", "Harm")]), world.status
    said = world.status.history[0]
    assert said.gate == "memory"
    assert "memory: Harm: the answer is 0.95, which it should not be (at most 0.9), for 60 s of 60 s" in said.message
    assert "no error rate is claimed" in said.message


def test_no_answer_is_no_data_and_holds() -> None:
    world = watched(MEMORY)
    world.apply(version="2")
    assert world.run(300, until=step(1))
    world.silent.add("memory")
    assert not world.run(900, until=step(2))
    assert world.condition("Observed") == ("False", "NoData")
    assert 'query: max(gpu_memory_ratio{revision="' in world.message("Observed")
    assert 'namespace="ml"})' in world.message("Observed")
    world.silent.clear()
    assert world.run(900, until=step(2))


def test_the_deadline_promotes_nothing_that_stands_still() -> None:
    world = serving(
        spec=rollout(
            gates=[ERRORS, {"name": "memory", "signal": "Threshold", "threshold": MEMORY, "required": False}],
            deadline="10m",
            whenUndecided="Promote",
        ),
        rps=1.0,
    )
    world.apply(version="2")
    assert world.run(300, until=step(1))
    world.answers["memory"] = 0.95
    assert not world.run(1800, until=lambda w: bool(w.outcomes))


def test_it_goes_on_standing_still_while_nobody_answers() -> None:
    world = watched({**MEMORY, "for": "10s"}, required=False)
    world.apply(version="2")
    assert world.run(300, until=step(2))
    world.answers["memory"] = 0.95
    assert world.run(60, until=lambda w: "standing still" in w.running.message)
    world.silent.add("memory")
    assert not world.run(900, until=lambda w: step(3)(w) or w.outcomes)
    assert "standing still: memory is NoData (the query's answer is outside its limits" in world.running.message
    world.silent.clear()
    assert not world.run(60, until=step(3)), "it is outside still, and nobody saw it inside"
    world.answers["memory"] = 0.5
    assert world.run(900, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")]), world.status


@pytest.mark.parametrize("steps", [["approval", 25], [5, "approval", 25]])
def test_an_approval_does_not_end_while_it_stands_still(steps: list[str | int]) -> None:
    course = [{"approval": {}} if one == "approval" else {"canary": {"percent": one}, "hold": "30s"} for one in steps]
    gates = [ERRORS, {"name": "memory", "signal": "Threshold", "threshold": {**MEMORY, "for": "10s"}}]
    world = serving(spec=rollout(steps=course, gates=gates))
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.running.phase == "AwaitingApproval")
    world.answers["memory"] = 0.95
    world.run(30)
    world.annotate("approve", f"{world.revision('2')}/1/{world.running.step}")
    assert not world.run(300, until=lambda w: w.running.phase != "AwaitingApproval")
    assert "approved; standing still: memory" in world.running.message
    world.answers["memory"] = 0.5
    assert world.run(60, until=lambda w: w.running.phase == "Canary")


def test_a_step_before_an_approval_does_not_end_while_it_stands_still() -> None:
    course = [{"canary": {"percent": 5}, "hold": "30s"}, {"approval": {}}]
    gates = [ERRORS, {"name": "memory", "signal": "Threshold", "threshold": {**MEMORY, "for": "10s"}}]
    world = serving(spec=rollout(steps=course, gates=gates))
    world.apply(version="2")
    assert world.run(300, until=step(1))
    world.answers["memory"] = 0.95
    assert not world.run(300, until=lambda w: w.running.phase == "AwaitingApproval")
    world.answers["memory"] = 0.5
    assert world.run(60, until=lambda w: w.running.phase == "AwaitingApproval")


def test_nobody_gets_requests_while_it_stands_still() -> None:
    gates = [ERRORS, {"name": "memory", "signal": "Threshold", "threshold": {**MEMORY, "for": "10s"}}]
    world = serving(spec=rollout(gates=gates, warmup={"duration": "60s", "requests": 20}))
    world.answers["memory"] = 0.95
    world.apply(version="2")
    assert not world.run(300, until=step(1))
    assert "standing still" in world.running.message
    world.answers["memory"] = 0.5
    assert world.run(60, until=step(1))
