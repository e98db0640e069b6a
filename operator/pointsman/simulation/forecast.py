"""What a policy would do: many simulated rollouts, each calibrated by its own hour before, and how they end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pointsman.api.values import WHOLE
from pointsman.evidence import calibration, model
from pointsman.evidence.model import Integers, Numbers
from pointsman.rollout import capacity, numbers, reach
from pointsman.rollout.folding import HISTORY
from pointsman.rollout.policy import Policy, room
from pointsman.signals.queries import STEPS
from pointsman.signals.reading import LatencyPast, RatePast
from pointsman.simulation import course
from pointsman.simulation.traffic import MOST_PODS, Arms, Hour, Script, SimulatedTraffic, hour
from pointsman.simulation.world import Regression, World

_HOUR: Final = HISTORY.total_seconds()
_MOST_CELLS: Final = 6_000_000
_MOST_HOURS: Final = 40


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """How the rollouts of one version ended; R of them.

    regression  what the version does worse
    decision    (R,) `course.HOLD` is no verdict within the deadline
    seconds     (R,) from the first step to the decision or the deadline
    exposed     (R,) candidate requests until then
    """

    regression: Regression
    decision: Integers
    seconds: Numbers
    exposed: Integers

    def chance(self, decision: int) -> float:
        """The share of the rollouts that ended so."""
        return float(np.mean(self.decision == decision))

    def time(self, decision: int, quantile: float) -> float | None:
        """Seconds within which this share of the rollouts that ended so did; None where none did."""
        ended = self.seconds[self.decision == decision]
        return float(np.quantile(ended, quantile, method="inverted_cdf")) if ended.size else None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A policy in a world, ready to be run: gates calibrated run by run."""

    policy: Policy
    world: World
    course: course.Course
    arms: Arms
    stable_odd: Numbers
    rates: tuple[str, ...]
    histograms: tuple[str, ...]
    calibrations: Mapping[str, model.Calibration]

    @property
    def looks(self) -> int:
        """Of one version, at most."""
        return int(self.course.deadline / self.course.interval)


def prepare(policy: Policy, world: World, *, runs: int, seed: int) -> Prepared:
    """Simulate the hour before and calibrate every gate by it.

    As many hours are drawn as fit into memory, at most `runs`; runs share them in turn.
    """
    rates = tuple(gate.name for gate in policy.gates if gate.signal == "Errors")
    histograms = tuple(gate.name for gate in policy.gates if gate.signal != "Errors")
    interval = max(policy.interval.total_seconds(), math.ceil(_HOUR / STEPS))
    intervals = max(1, int(_HOUR / interval))
    cells = intervals * min(world.replicas, MOST_PODS) * (len(world.edges) if histograms else 1)
    hours = max(4, min(runs, _MOST_HOURS, _MOST_CELLS // cells))
    before = hour(world, hours=hours, intervals=intervals, interval=interval, histograms=histograms, seed=(seed, 0))
    turn = np.arange(runs) % hours
    known = {gate.name: _calibration(policy, gate.name, before, world, interval) for gate in policy.gates}
    calibrations = {name: calibration.of_runs(one, turn) for name, one in known.items()}
    arms = _arms(policy, world)
    return Prepared(
        policy=policy,
        world=world,
        course=_course(policy, world, calibrations),
        arms=arms,
        stable_odd=before.odd[turn],
        rates=rates,
        histograms=histograms,
        calibrations=calibrations,
    )


def split(prepared: Prepared, runs: int) -> list[Prepared]:
    """The same in parts of so many runs, to be run one by one or side by side."""
    total = len(prepared.stable_odd)
    parts = []
    for begin in range(0, total, runs):
        taken = np.arange(begin, min(begin + runs, total))
        known = {name: calibration.of_runs(one, taken) for name, one in prepared.calibrations.items()}
        parts.append(
            replace(
                prepared,
                course=_course(prepared.policy, prepared.world, known),
                stable_odd=prepared.stable_odd[taken],
                calibrations=known,
            )
        )
    return parts


def joined(parts: Sequence[Forecast]) -> Forecast:
    """The forecasts of all parts of one version as one."""
    return Forecast(
        regression=parts[0].regression,
        decision=np.concatenate([part.decision for part in parts]),
        seconds=np.concatenate([part.seconds for part in parts]),
        exposed=np.concatenate([part.exposed for part in parts]),
    )


def run(
    prepared: Prepared, regression: Regression, *, seed: Sequence[int], seen: Callable[[], None] = lambda: None
) -> Forecast:
    """Simulate the rollouts of one version.

    Args:
        prepared: the policy and the world.
        regression: what the version does worse.
        seed: of its traffic.
        seen: called after every look.
    """
    script = Script(
        world=prepared.world,
        regression=regression,
        arms=prepared.arms,
        rates=prepared.rates,
        histograms=prepared.histograms,
        interval=prepared.course.interval,
        warmup=prepared.policy.warmup_requests,
    )
    traffic = SimulatedTraffic(script, stable_odd=prepared.stable_odd, seed=seed, seen=seen)
    ended = course.run(prepared.course, traffic, runs=len(prepared.stable_odd))
    return Forecast(
        regression=regression,
        decision=ended.decision,
        seconds=ended.seconds,
        exposed=traffic.exposed(ended.seconds),
    )


def out_of_reach(prepared: Prepared) -> str:
    """Which gates are not expected to be proven at this traffic, and what would do; "" where all are."""
    stages = [
        reach.Stage(share=stage.share, hold=stage.hold, candidate_pods=int(candidate), stable_pods=int(stable))
        for stage, candidate, stable in zip(
            prepared.course.stages, prepared.arms.candidate_pods, prepared.arms.stable_pods, strict=True
        )
    ]
    asked = {
        name: reach.Asked(gate=_first(prepared.course.gates[name]), rps=prepared.world.traffic)
        for name in prepared.course.waited_for()
    }
    return reach.sentence(asked, stages, deadline=prepared.course.deadline)


def _course(policy: Policy, world: World, known: Mapping[str, model.Calibration]) -> course.Course:
    stages = tuple(stage for stage in policy.stages if stage.kind == "Canary")
    made = {
        gate.name: numbers.gate_numbers(policy, gate, known[gate.name], world.edges if gate.signal != "Errors" else ())
        for gate in policy.gates
    }
    return course.Course(
        gates={name: gate for name, gate in made.items() if isinstance(gate, model.Gate)},
        stages=tuple(course.Stage(share=stage.share / WHOLE, hold=stage.hold.total_seconds()) for stage in stages),
        interval=policy.interval.total_seconds(),
        deadline=policy.deadline.total_seconds(),
        false_rollback=policy.false_rollback,
        required=tuple(gate.name for gate in policy.required),
        warmup_requests=policy.warmup_requests,
    )


def _arms(policy: Policy, world: World) -> Arms:
    stages = [stage for stage in policy.stages if stage.kind == "Canary"]
    pods = [capacity.at_share(room(policy, world.replicas), stage.share) for stage in stages]
    return Arms(
        share=np.asarray([stage.share / WHOLE for stage in stages]),
        candidate_pods=np.asarray([split.candidate for split in pods]),
        stable_pods=np.asarray([split.stable for split in pods]),
    )


def _calibration(policy: Policy, name: str, before: Hour, world: World, interval: float) -> model.Calibration:
    gate = next(gate for gate in policy.gates if gate.name == name)
    pods = tuple(str(pod) for pod in range(before.odd.shape[1]))
    if gate.signal == "Errors":
        return numbers.calibrate(gate, RatePast(seconds=interval, pods=pods, requests=before.requests, bad=before.bad))
    if before.buckets is None:
        raise AssertionError("buckets are drawn where a gate asks for them")
    return numbers.calibrate(gate, LatencyPast(seconds=interval, pods=pods, edges=world.edges, counts=before.buckets))


def _first(gate: model.Gate) -> model.Gate:
    """The gate of the run whose noise is in the middle."""
    phi = np.asarray(gate.noise.phi)
    middle = int(np.argsort(phi)[phi.size // 2])
    noise = model.Noise(
        phi=float(phi[middle]),
        tau=float(np.asarray(gate.noise.tau)[middle]),
        assumed=bool(np.asarray(gate.noise.assumed)[middle]),
        pods=int(np.asarray(gate.noise.pods)[middle]),
    )
    if isinstance(gate, model.RateGate):
        history = model.RateHistory(
            requests=int(np.asarray(gate.history.requests)[middle]), bad=int(np.asarray(gate.history.bad)[middle])
        )
        return replace(gate, history=history, noise=noise)
    counts = tuple(int(count) for count in np.asarray(gate.history.counts)[middle])
    return replace(gate, history=model.LatencyHistory(edges=gate.history.edges, counts=counts), noise=noise)
