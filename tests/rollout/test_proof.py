"""From gates to a decision: missing data, the deadline, what a step needs, and what promotion needs."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from pointsman.api.modelrevision import GateRecord
from tests.rollout.examples import MLSERVER, rollout, serving
from tests.rollout.surroundings import Behaviour
from tests.rollout.world import World

SLOW_LOOKS = {"interval": "60s", "deadline": "30m"}


def step(percent: int, hold: str = "20s") -> dict[str, Any]:
    return {"canary": {"percent": percent}, "hold": hold}


def gate(signal: str, **changes: Any) -> dict[str, Any]:
    tolerance = {"ratio": "1.5", "points": "0.5"} if signal == "Errors" else {"ratio": "1.5"}
    return {"name": signal.lower(), "signal": signal, "tolerance": tolerance, **changes}


def canary(world: World, share: float = 0.05) -> World:
    world.apply(version="2")
    assert world.run(400, until=lambda w: w.share == share), world.running
    return world


@pytest.mark.parametrize("undecided", ["Hold", "Rollback", "Promote"])
def test_missing_data_neither_promotes_nor_rolls_back(undecided: str) -> None:
    """An hour without Prometheus, far over the deadline."""
    world = canary(serving(spec=rollout(**SLOW_LOOKS, whenUndecided=undecided)))
    world.prometheus = False
    world.run(3600)
    assert (world.share, world.outcomes, world.running.step) == (0.05, [], 1)
    assert world.condition("Observed") == ("False", "NoData")
    assert "(query: sum(requests_total{" in world.message("Observed")
    assert "Prometheus did not answer" in world.message("Observed")
    assert world.condition("Ready") == ("True", "Serving")


def test_no_step_begins_without_data() -> None:
    world = serving(prometheus=False)
    world.apply(version="2")
    world.run(600)
    assert (world.running.phase, world.share) == ("Warming", 0)
    assert "every gate has data: errors: Prometheus did not answer" in world.running.message
    world.prometheus = True
    assert world.run(60, until=lambda w: w.share == 0.05)


@pytest.mark.parametrize("interval", ["5m", "2s"])
def test_a_candidate_that_waits_only_for_its_first_data_is_looked_at_soon(interval: str) -> None:
    world = serving(prometheus=False, spec=rollout(interval=interval))
    world.apply(version="2")
    world.run(600)
    assert (world.running.phase, world.share, world.interval) == ("Warming", 0, timedelta(seconds=2))
    world.prometheus = True
    assert world.run(4, until=lambda w: w.share == 0.05)
    world.run(10)
    assert world.interval == {"5m": timedelta(minutes=5), "2s": timedelta(seconds=2)}[interval]


def test_data_that_comes_back_counts_what_was_served_meanwhile() -> None:
    world = canary(serving())
    world.prometheus = False
    world.run(120)
    world.prometheus = True
    assert world.run(600, until=lambda w: ("2", "Promoted", "Proven") in w.outcomes)


@pytest.mark.parametrize(
    ("undecided", "ends"),
    [("Hold", []), ("Rollback", [("2", "RolledBack", "Undecided")]), ("Promote", [("2", "Promoted", "Undecided")])],
)
def test_at_the_deadline_when_undecided_rules(undecided: str, ends: list[tuple[str, str, str]]) -> None:
    spec = rollout(steps=[step(25)], deadline="3m", whenUndecided=undecided, interval="10s")
    world = canary(serving(spec=spec, rps=1.0), 0.25)
    deadline = world.running.deadline_at
    assert deadline is not None
    world.run((deadline - world.now).total_seconds() - 2)
    assert (world.share, world.outcomes) == (0.25, [])
    world.run(60)
    assert world.outcomes == ends
    if undecided == "Hold":
        assert world.condition("UpToDate") == ("False", "Undecided")
        assert "whenUndecided is Hold" in world.running.message
        world.rps = 300.0
        assert world.run(600, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")])  # it does not give up


@pytest.mark.parametrize("undecided", ["Rollback", "Promote"])
def test_what_was_seen_before_the_deadline_does_not_rule_after_it(undecided: str) -> None:
    """Prometheus falls silent between the last look and the deadline: nobody knows what happened since."""
    spec = rollout(steps=[step(25)], deadline="3m", whenUndecided=undecided, interval="5m")
    world = canary(serving(spec=spec, rps=1.0), 0.25)
    world.prometheus = False
    world.run(1800)
    assert (world.share, world.outcomes) == (0.25, [])
    world.prometheus = True
    assert world.run(700, until=lambda w: [reason for _, _, reason in w.outcomes] == ["Undecided"])


def test_at_the_deadline_nothing_is_promoted_in_the_middle_of_a_hold() -> None:
    spec = rollout(steps=[step(25, "10m")], deadline="3m", whenUndecided="Promote", interval="10s")
    world = canary(serving(spec=spec, rps=1.0), 0.25)
    world.run(590)
    assert (world.share, world.outcomes) == (0.25, [])
    assert world.run(400, until=lambda w: w.outcomes == [("2", "Promoted", "Undecided")])


def test_the_deadline_stands_still_while_awaiting_approval() -> None:
    steps = [step(25), {"approval": {}}, step(50)]
    spec = rollout(steps=steps, gates=[gate("Errors")], deadline="3m", whenUndecided="Rollback")
    world = canary(serving(spec=spec), 0.25)
    assert world.run(120, until=lambda w: w.running.phase == "AwaitingApproval")
    world.run(600)
    assert world.outcomes == []
    world.annotate("approve", f"{world.revision('2')}/1/2")
    assert world.run(300, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")])


def test_promotion_needs_proof_from_the_last_step_alone() -> None:
    """An hour at 5 % proves much, but nothing about 50 %."""
    world = canary(serving(spec=rollout(steps=[step(5, "10m"), step(50, "20s")])))
    assert world.run(700, until=lambda w: w.running.step == 2)
    world.rps = 1.0
    assert world.run(60, until=lambda w: w.running.hold_started_at is not None)
    world.run(60)
    assert (world.running.phase, world.running.step) == ("Canary", 2)
    assert "waiting for proof" in world.running.message
    world.rps = 200.0
    assert world.run(600, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")])


def test_a_step_waits_until_what_is_not_excluded_would_be_tolerable_at_the_next_share() -> None:
    world = canary(serving(spec=rollout(steps=[step(5), step(90)], gates=[gate("Errors")]), rps=5.0))
    world.run(60)
    assert (world.running.step, world.share) == (1, 0.05)
    assert "not enough evidence for 90 % yet: errors is Undecided" in world.running.message
    world.rps = 500.0
    assert world.run(300, until=lambda w: w.running.step == 2)


def test_without_an_errors_gate_a_step_needs_the_requests_of_warmup() -> None:
    spec = rollout(steps=[step(25), step(50)], gates=[gate("Latency")], warmup={"duration": "10s", "requests": 200})
    world = canary(serving(spec=spec, rps=2.0), 0.25)
    world.run(60)
    assert world.running.step == 1
    assert "fewer than 200 candidate requests" in world.running.message
    world.rps = 100.0
    assert world.run(120, until=lambda w: w.running.step == 2)


def test_without_any_gate_only_holds_count() -> None:
    world = canary(serving(spec=rollout(gates=[], steps=[step(25, "60s")]), prometheus=False), 0.25)
    assert world.condition("Observed") == ("True", "NoGates")
    world.run(55)
    assert world.outcomes == []
    assert world.run(60, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")])


def test_an_optional_gate_holds_nothing_up() -> None:
    """Latency is a little worse than tolerable, but nobody waits for its proof."""
    worse = (0.09, 0.44, 0.33, 0.1, 0.025, 0.01, 0.005, 0.0, 0.0, 0.0)
    gates = [gate("Errors"), gate("Latency", required=False, tolerance={"ratio": "1.01"}, harm={"ratio": "5"})]
    world = serving(spec=rollout(gates=gates), behaviour={"2": Behaviour(latency=worse)})
    world.apply(version="2")
    assert world.run(900, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")]), world.running


def test_an_optional_gate_still_rolls_back_for_harm() -> None:
    gates = [gate("Errors", required=False), gate("Latency")]
    world = serving(spec=rollout(gates=gates), behaviour={"2": Behaviour(failures=0.3)})
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.outcomes == [("2", "RolledBack", "Harm")])
    assert world.status.history[0].gate == "errors"


def test_a_rollback_names_its_gate_and_says_what_was_counted() -> None:
    slow = (0.0, 0.0, 0.0, 0.0, 0.1, 0.4, 0.4, 0.1, 0.0, 0.0)
    world = serving(behaviour={"2": Behaviour(failures=0.5, latency=slow)})
    world.apply(version="2")
    assert world.run(300, until=lambda w: bool(w.outcomes))
    entry = world.status.history[0]
    assert entry.gate is not None
    for name in entry.gate.split(","):
        assert f"{name}: Harm" in entry.message
    record = world.objects["ModelRevision", world.revision("2")]["status"].attempts[-1]
    assert (record.outcome, record.decided_by, record.message) == ("RolledBack", "evidence", entry.message)
    assert all(kept.candidate_requests > 0 for kept in record.gates)


def test_a_metric_profile_edited_during_an_attempt_starts_hold_and_safety_anew() -> None:
    world = canary(serving(spec=rollout(steps=[step(25, "60s")])), 0.25)
    world.run(50)
    edited = copy.deepcopy(MLSERVER)
    edited["metrics"]["requests"]["counter"] = "other_requests_total"
    world.runtimes = {"mlserver": edited}
    world.dirty = True
    world.run(15)
    assert world.running.hold_started_at is not None
    assert (world.now - world.running.hold_started_at).total_seconds() < 15
    assert world.outcomes == []
    assert world.run(900, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")])


def test_a_policy_edited_during_an_attempt_acts_from_the_next_one() -> None:
    world = serving(policies={"careful": rollout()["rollout"]}, spec={**rollout(), "rollout": {"policy": "careful"}})
    canary(world)
    world.policies = {"careful": {**rollout()["rollout"], "steps": [step(1), step(2)]}}
    world.dirty = True
    assert world.run(300, until=lambda w: w.share == 0.25)


def test_status_does_not_change_with_every_look() -> None:
    """Numbers live in ModelRevision.status, once a minute; ModelDeployment.status follows phase, step, percent, verdict."""
    world = canary(serving(spec=rollout(steps=[step(5, "30m")])))
    world.run(60)
    world.writes.clear()
    world.run(600)
    kinds = [kind for _, kind, _ in world.writes]
    assert set(kinds) <= {"ModelRevision/status"}
    assert len(kinds) == 10


def gate_records(world: World) -> list[GateRecord]:
    return list(world.objects["ModelRevision", world.revision("2")]["status"].attempts[-1].gates)


def test_the_record_shows_what_stable_taught_before_the_attempt() -> None:
    world = canary(serving(behaviour={"1": Behaviour(failures=0.01)}))
    assert world.run(120, until=lambda w: bool(gate_records(w)))
    errors, latency = (kept.calibration for kept in gate_records(world))
    assert errors is not None
    assert latency is not None
    assert (errors.seconds, errors.pods, errors.assumed) == (3600, 4, False)
    assert 0.8 < float(errors.base_rate or 0) < 1.2
    assert 1 <= float(errors.dispersion) < 1.6
    assert (latency.base_rate, latency.bad) == (None, None)
    world.run(120)
    assert gate_records(world)[0].calibration == errors


def test_a_version_without_a_past_is_compared_with_assumed_noise() -> None:
    world = canary(serving(rps=0.05))
    world.run(120)
    calibration = gate_records(world)[0].calibration
    assert calibration is not None
    assert (calibration.assumed, calibration.dispersion, calibration.pod_spread) == (True, "1.5", "0.1")
