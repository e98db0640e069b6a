"""Many rollouts of one policy at once: the steps they take, and how and when each ends, by the evidence that decides real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pointsman.evidence import gate as gates
from pointsman.evidence.model import Flags, Gate, Integers, Look, Numbers, RateGate, RateLook, safe_level

HOLD, ROLLBACK, PROMOTE = 0, 1, 2
_SLACK = 1e-6  # seconds


@dataclass(frozen=True)
class Stage:
    """A canary step: the candidate's share of the traffic, and how long it holds at least, in seconds."""

    share: float
    hold: float


@dataclass(frozen=True, kw_only=True)
class Course:
    """A policy in numbers; ``gates`` are calibrated, each run by itself where their history and noise carry the runs' axis.

    required: the gates that promotion waits for, all by default
    warmup_requests: without a required gate on rates, a step lasts until the candidate has had so many
    """

    gates: Mapping[str, Gate]
    stages: tuple[Stage, ...]
    interval: float
    deadline: float
    false_rollback: float
    required: tuple[str, ...] | None = None
    warmup_requests: int = 50

    def waited_for(self) -> tuple[str, ...]:
        """The gates that promotion waits for."""
        return tuple(self.gates) if self.required is None else self.required


class Traffic(Protocol):
    """What both arms count."""

    def look(self, index: int, step: Integers) -> Mapping[str, Look]:
        """The increments of a look, for every gate that has data.

        Args:
            index: from 0.
            step: which stage each run is in during the look, from 0, shape (R,).
        """


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """How each run ended; shape (R,).

    decision  HOLD (no verdict within the deadline), ROLLBACK or PROMOTE
    seconds   when, since the first step; the deadline where there was no verdict
    exposed   candidate requests until then
    step      the stage it was in, from 0
    """

    decision: Integers
    seconds: Numbers
    exposed: Integers
    step: Integers


@dataclass
class _Runs:
    """What changes from look to look; a run whose decision is made stands still."""

    states: dict[str, gates.State]
    step: Integers
    began: Numbers
    decision: Integers
    seconds: Numbers
    exposed: Integers
    in_step: Integers
    tests: tuple[str, ...]


def run(course: Course, traffic: Traffic, *, runs: int, promotes: bool = True) -> Outcomes:
    """Take all runs from their first step to their decision or to the deadline.

    Args:
        course: the policy.
        traffic: what is counted.
        runs: how many, R.
        promotes: whether a proven candidate is promoted, which ends its run; without it every run is watched to the deadline.
    """
    now = _begin(course, runs)
    for index in range(int(course.deadline / course.interval + _SLACK)):
        open_runs = now.decision == HOLD
        if not np.any(open_runs):
            break
        elapsed = (index + 1) * course.interval
        looks = traffic.look(index, now.step)
        for name, look in looks.items():
            now.states[name] = gates.fold(course.gates[name], now.states[name], look)
        _expose(now, looks, open_runs)
        _end(now, open_runs & _harmful(course, now), ROLLBACK, elapsed)
        over = (now.decision == HOLD) & (elapsed - now.began >= _holds(course)[now.step] - _SLACK)
        last = now.step == len(course.stages) - 1
        if promotes:
            _end(now, over & last & _safe(course, now), PROMOTE, elapsed)
        _advance(course, now, over & ~last, elapsed)
    return Outcomes(decision=now.decision, seconds=now.seconds, exposed=now.exposed, step=now.step)


def _begin(course: Course, runs: int) -> _Runs:
    tests = tuple(name for name, gate in course.gates.items() if gate.deadline_test)
    now = _Runs(
        states={name: gates.start(gate, (runs,)) for name, gate in course.gates.items()},
        step=np.zeros(runs, dtype=np.int64),
        began=np.zeros(runs),
        decision=np.full(runs, HOLD, dtype=np.int64),
        seconds=np.full(runs, course.deadline),
        exposed=np.zeros(runs, dtype=np.int64),
        in_step=np.zeros(runs, dtype=np.int64),
        tests=tests,
    )
    if len(course.stages) == 1:
        _new_step(course, now, np.ones(runs, dtype=bool), last=True)
    return now


def _holds(course: Course) -> Numbers:
    return np.asarray([stage.hold for stage in course.stages])


def _harmful(course: Course, now: _Runs) -> Flags:
    return gates.is_harmful(
        {name: gates.log_harm(state) for name, state in now.states.items()},
        {name: gates.deadline_p(now.states[name]) for name in now.tests},
        weights={name: gate.weight for name, gate in course.gates.items()},
        false_rollback=course.false_rollback,
    )


def _safe(course: Course, now: _Runs) -> Flags:
    safe = np.ones(now.step.shape, dtype=bool)
    for name in course.waited_for():
        gate = course.gates[name]
        safe &= gates.log_safe(gate, now.states[name]) >= safe_level(gate)
    return safe


def _advance(course: Course, now: _Runs, over: Flags, elapsed: float) -> None:
    """Take the runs whose hold is over and whose failures leave room to their next step."""
    shares = np.asarray([stage.share for stage in course.stages])
    coming = shares[np.minimum(now.step + 1, len(shares) - 1)]
    waited_for = course.waited_for()
    for name in waited_for:
        over = over & gates.room_for(course.gates[name], now.states[name], coming)
    if not any(isinstance(course.gates[name], RateGate) for name in waited_for):
        over = over & (now.in_step >= course.warmup_requests)
    if not np.any(over):
        return
    now.step = now.step + over
    now.began = np.where(over, elapsed, now.began)
    now.in_step = np.where(over, 0, now.in_step)
    reached_last = over & (now.step == len(shares) - 1)
    _new_step(course, now, over & ~reached_last, last=False)
    _new_step(course, now, reached_last, last=True)


def _new_step(course: Course, now: _Runs, where: Flags, *, last: bool) -> None:
    if not np.any(where):
        return
    for name, gate in course.gates.items():
        at = course.deadline - course.interval if last and gate.deadline_test else None
        now.states[name] = gates.next_step(gate, now.states[name], deadline_test_at=at, where=where)


def _expose(now: _Runs, looks: Mapping[str, Look], open_runs: Flags) -> None:
    """Count the candidate's requests by the gate that saw most of them."""
    counted = np.zeros_like(now.exposed)
    for look in looks.values():
        requests = look.candidate_requests if isinstance(look, RateLook) else np.sum(look.candidate, axis=-1)
        counted = np.maximum(counted, requests)
    now.exposed = now.exposed + np.where(open_runs, counted, 0)
    now.in_step = now.in_step + counted


def _end(now: _Runs, where: Flags, decision: int, elapsed: float) -> None:
    now.decision = np.where(where, decision, now.decision)
    now.seconds = np.where(where, elapsed, now.seconds)
