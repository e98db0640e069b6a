"""Plays a recording: every recorded time is a look, folded, weighed and decided by the code that runs in the cluster."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from pointsman.api.gates import RATE_SIGNALS, Gate, Signal
from pointsman.api.values import percent
from pointsman.replay import history
from pointsman.replay.recording import Arm, Kind, Pods, Recording
from pointsman.rollout import asking, folding, weighing, wording
from pointsman.rollout.policy import Policy, Stage
from pointsman.rollout.record import Evidence
from pointsman.rollout.weighing import Balance
from pointsman.signals.profiles import Question, Shape
from pointsman.signals.reading import Answered, ArmCounts, Counts, NoData, Past, PodCount, Reading, stale_after

Decision: TypeAlias = Literal["Hold", "Rollback", "Promote"]
ARMS: Final[tuple[Arm, Arm]] = ("stable", "candidate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look says.

    at        seconds, as recorded
    elapsed   seconds since the rollout's first look
    step      of the policy's canary steps, from 1
    share     of that step, basis points
    balance   every gate's verdict
    decision  what the rollout does now; Rollback and Promote are final
    message   what it waits for, or what decided
    """

    at: float
    elapsed: float
    step: int
    share: int
    balance: Balance
    decision: Decision
    message: str


def kinds(gates: tuple[Gate, ...]) -> dict[str, Kind]:
    """What each gate counts."""
    return {gate.name: "Rate" if gate.signal in RATE_SIGNALS else "Histogram" for gate in gates}


def play(recording: Recording, policy: Policy) -> Iterator[Look]:
    """Yield every look from the candidate's first row on, to the end of the recording.

    The steps begin and end as in the cluster, but the recorded shares are what they are: a step only says when safety starts
    anew and when promotion is asked for. Approvals are taken as given. A decision is final: later looks repeat it.

    Args:
        recording: of the gates of `policy`.
        policy: with at least one canary step.
    """
    stages = tuple(stage for stage in policy.stages if stage.kind == "Canary")
    tape = _Tape(recording, policy)
    asked = {gate.name: _question(gate) for gate in policy.gates}
    begins = moment(recording.begins)
    state = _State(evidence=Evidence(revision="recorded", attempt=1), hold_since=begins)
    for time in recording.times:
        reading = tape.reading(time)
        if time < recording.begins:
            continue
        now = moment(time)
        if time == recording.begins:
            reading = replace(reading, past=_past(recording, policy, asked, at=now))
        elapsed = time - recording.begins
        after = folding.fold(
            folding.Look(evidence=state.evidence, reading=reading, policy=policy, asked=asked, elapsed=elapsed, now=now)
        )
        balance = weighing.weigh(after.evidence, policy, asked, now=now, proofs=after.proofs)
        state.evidence = after.evidence
        _enter(state, policy, stages, begins=begins)
        if state.decision == "Hold":
            _decide(state, policy, stages, balance, now=now, begins=begins)
        yield Look(
            at=time,
            elapsed=elapsed,
            step=state.step,
            share=stages[state.step - 1].share,
            balance=balance,
            decision=state.decision,
            message=state.message,
        )


def moment(seconds: float) -> datetime:
    """Recorded seconds as a time."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


@dataclass
class _State:
    """Where the rollout stands between two looks."""

    evidence: Evidence
    hold_since: datetime
    step: int = 1
    decision: Decision = "Hold"
    message: str = ""


def _decide(
    state: _State, policy: Policy, stages: tuple[Stage, ...], balance: Balance, *, now: datetime, begins: datetime
) -> None:
    """What `rollout.steps` does with a look, where pods are always ready, the gateway obeys and people approve at once."""
    if balance.harm:
        named = [gate for gate in balance.gates if gate.gate.name in balance.harmful]
        state.decision, state.message = "Rollback", "; ".join(wording.explain(gate) for gate in named)
        return
    stage = stages[state.step - 1]
    coming = stages[state.step] if state.step < len(stages) else None
    held = now - state.hold_since
    open_question = _unfinished(balance, stage, held=held) or (
        asking.unproven(balance) if coming is None else asking.no_room(balance, policy, coming.share)
    )
    if open_question is not None:
        state.message = open_question
        if now - begins >= policy.deadline:
            overdue = asking.overdue(balance, policy, held=held >= stage.hold)
            if overdue is not None:
                state.decision, state.message = overdue.rules, overdue.message
    elif coming is None:
        state.decision, state.message = "Promote", asking.proof(balance)
    else:
        state.step += 1
        state.hold_since = now
        _enter(state, policy, stages, begins=begins)
        state.message = f"step {state.step} of {len(stages)} begins: canary at {percent(coming.share)} %"


def _enter(state: _State, policy: Policy, stages: tuple[Stage, ...], *, begins: datetime) -> None:
    """Begin the step that the state is in; the last one ends with the deadline test. Nothing where it has begun."""
    last = state.step == len(stages)
    at = begins + policy.deadline - policy.interval if last else None
    state.evidence = folding.next_step(state.evidence, policy, state.step, deadline_test_at=at)


def _past(recording: Recording, policy: Policy, asked: Mapping[str, Question], *, at: datetime) -> dict[str, Past]:
    return {
        gate.name: history.before(
            recording,
            gate.name,
            asked[gate.name].stable,
            at=at,
            warmup=0 if gate.signal == "Events" else policy.warmup_requests,
        )
        for gate in policy.gates
    }


def _unfinished(balance: Balance, stage: Stage, *, held: timedelta) -> str | None:
    if held < stage.hold:
        return f"canary at {percent(stage.share)} % for at least {stage.hold.total_seconds():g} s"
    if not balance.observed:
        return f"waiting for data: {asking.missing(balance)}"
    return None


@dataclass
class _Newest:
    """The newest row of each pod of an arm, when it was recorded, and whether one came since the last counted look."""

    pods: dict[str, PodCount] = field(default_factory=dict)
    at: dict[str, float] = field(default_factory=dict)
    news: bool = False

    def add(self, pods: Pods, time: float) -> None:
        self.pods.update(pods)
        self.at.update(dict.fromkeys(pods, time))
        self.news = True

    def counts(self, since: float) -> ArmCounts | None:
        """The pods with a row no older than this; None: there is none."""
        fresh = {pod: count for pod, count in self.pods.items() if self.at[pod] >= since}
        if not fresh:
            return None
        return ArmCounts(pods=fresh, newest=moment(max(self.at[pod] for pod in fresh)), series=len(fresh))


class _Tape:
    """The recording as looks see it: as in Prometheus, a row is in force until the next one or until it is stale."""

    def __init__(self, recording: Recording, policy: Policy) -> None:
        self._recording = recording
        gaps = [later - earlier for earlier, later in pairwise(recording.times)]
        rhythm = timedelta(seconds=statistics.median(gaps)) if gaps else policy.interval
        self._stale = stale_after(max(policy.interval, rhythm)).total_seconds()
        self._newest: dict[str, dict[Arm, _Newest]] = {
            name: {arm: _Newest() for arm in ARMS} for name in recording.tracks
        }
        self._last: dict[str, Counts] = {}
        self._gates = tuple(gate.name for gate in policy.gates)

    def reading(self, time: float) -> Reading:
        """What is known at this time; times are asked for in their order."""
        answers: dict[str, Answered] = {}
        for name in self._gates:
            track = self._recording.tracks.get(name)
            if track is None:
                answers[name] = NoData("the recording has no row of this gate")
                continue
            rows: Mapping[Arm, Pods] = track.rows.get(time, {})
            for arm, pods in rows.items():
                self._newest[name][arm].add(pods, time)
            answers[name] = self._answer(name, track.edges, time)
        return Reading(at=moment(time), gates=answers)

    def _answer(self, name: str, edges: tuple[float, ...], time: float) -> Answered:
        arms = self._newest[name]
        stable, candidate = (arms[arm].counts(time - self._stale) for arm in ARMS)
        if stable is None or candidate is None:
            silent = "stable" if stable is None else "the candidate"
            return NoData(f"no row of {silent} within {self._stale:g} s")
        if not all(arm.news for arm in arms.values()) and name in self._last:
            return self._last[
                name
            ]  # only one arm has moved: its requests wait for the other's, to be compared with them
        for newest in arms.values():
            newest.news = False
        self._last[name] = Counts(edges=edges, stable=stable, candidate=candidate)
        return self._last[name]


def _question(gate: Gate) -> Question:
    signal: Signal = "Errors" if gate.signal in RATE_SIGNALS else gate.signal
    shape = Shape(source="Runtime", signal=signal, metric="recorded")
    return Question(gate=gate.name, stable=shape, candidate=shape)
