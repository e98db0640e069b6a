"""Readiness acts by itself: candidates that cannot serve, and a stable that is down."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rollout.examples import rollout, serving
from tests.rollout.surroundings import Behaviour
from tests.rollout.world import World

ONE_STEP: dict[str, Any] = {"steps": [{"canary": {"percent": 25}, "hold": "60s"}]}


def at_first_step(**changes: Any) -> World:
    world = serving(spec=rollout(**{**ONE_STEP, **changes}))
    world.apply(version="2")
    assert world.run(120, until=lambda w: w.share == 0.25)
    world.run(5)
    return world


def test_a_candidate_without_a_ready_pod_gets_no_traffic_at_once_and_comes_back_when_warm() -> None:
    world = at_first_step()
    world.stopped.add(world.revision("2"))
    lost = world.now
    world.tick_once()
    assert world.share == 0
    assert world.running.phase == "Canary"
    assert world.events[-1].reason == "CandidateNotReady"
    world.run(10)
    world.stopped.clear()
    assert world.run(60, until=lambda w: w.share == 0.25)
    assert world.running.returns == 1
    assert (world.running.hold_started_at or lost) >= lost or world.running.hold_started_at is None


def test_it_comes_back_twice_and_no_more() -> None:
    world = at_first_step()
    for _ in range(2):
        world.stopped.add(world.revision("2"))
        world.run(3)
        world.stopped.clear()
        assert world.run(60, until=lambda w: w.share == 0.25), world.running
    world.stopped.add(world.revision("2"))
    world.run(3)
    assert world.outcomes == [("2", "RolledBack", "CandidateUnavailable")]
    assert "lost its last ready pod 3 times" in world.status.history[0].message


def test_not_ready_for_the_progress_deadline_in_total() -> None:
    """Twice for half of it, with a good minute in between."""
    world = at_first_step(progressDeadline="60s")
    world.stopped.add(world.revision("2"))
    world.run(35)
    world.stopped.clear()
    assert world.run(30, until=lambda w: w.share == 0.25)
    world.stopped.add(world.revision("2"))
    assert world.run(28, until=lambda w: bool(w.outcomes)), world.running
    assert world.outcomes == [("2", "RolledBack", "CandidateUnavailable")]


def test_a_fault_that_heals_in_time_costs_nothing() -> None:
    world = serving(behaviour={"2": Behaviour(starts=False)})
    world.apply(version="2")
    world.run(60)
    assert "ImagePullBackOff: no such image" in world.running.message
    world.behaviour.clear()
    assert world.run(60, until=lambda w: w.share == 0.05)


def test_after_the_progress_deadline_only_retry_helps() -> None:
    world = serving(behaviour={"2": Behaviour(starts=False)})
    world.apply(version="2")
    assert world.run(130, until=lambda w: bool(w.outcomes))
    world.behaviour.clear()
    world.run(60)
    assert (world.pod_count("2"), world.status.candidate) == (0, None)
    world.annotate("retry", f"{world.revision('2')}/1")
    assert world.run(60, until=lambda w: w.share == 0.05)


def test_no_step_ends_within_hold_of_a_restart() -> None:
    world = at_first_step()
    world.run(50)
    world.crash_container("2")
    crashed = world.now
    assert world.run(900, until=lambda w: w.status.rollout is None or w.running.phase == "Promoting")
    assert (world.now - crashed).total_seconds() >= 60


def test_the_third_restart_and_more_than_stables_rolls_back() -> None:
    world = at_first_step()
    for _ in range(3):
        assert world.outcomes == []
        world.crash_container("2")
        world.run(30)
    assert world.outcomes == [("2", "RolledBack", "CandidateCrashing")]
    assert "restarted 3 times" in world.status.history[0].message


@pytest.mark.parametrize("stables", [1, 2])
def test_restarts_of_stable_as_often_excuse_the_candidates(stables: int) -> None:
    """Two pods each: something else kills those of both, or stable's less often."""
    world = serving(spec=rollout(steps=[{"canary": {"percent": 50}, "hold": "5m"}]))
    world.apply(version="2")
    assert world.run(200, until=lambda w: w.pod_count("1") == 2)
    for turn in range(3):
        world.crash_container("2")
        for _ in range(stables if turn else 1):
            world.crash_container("1")
        world.run(30)
    assert world.outcomes == ([] if stables == 2 else [("2", "RolledBack", "CandidateCrashing")])


def test_containers_that_die_while_cold_are_not_restarts_of_a_warm_pod() -> None:
    world = at_first_step()
    for _ in range(2):
        world.crash_container("2", ran_for=5)
        world.run(30)
    assert world.running.restarts == 0


def test_a_stable_that_is_down_is_replaced_after_a_minute_and_gets_its_traffic_back() -> None:
    world = at_first_step(progressDeadline="5m")
    world.stopped.add(world.revision("1"))
    world.run(58)
    assert world.share == 0.25
    world.run(5)
    assert world.share == 1.0
    assert (world.running.phase, world.running.step) == ("Canary", 1)
    assert world.condition("Ready") == ("False", "NoReadyPod")
    world.stopped.clear()
    world.run(3)
    assert (world.share, world.outcomes) == (0.25, [])


def test_a_stable_that_is_down_for_good_is_replaced_without_a_comparison() -> None:
    world = at_first_step(progressDeadline="2m")
    world.stopped.add(world.revision("1"))
    assert world.run(240, until=lambda w: w.serves == "2")
    assert world.outcomes == [("2", "Promoted", "StableUnavailable")]
    assert "nothing was compared" in world.status.history[0].message


def test_a_stable_that_is_down_is_not_replaced_for_good_while_paused() -> None:
    world = at_first_step(progressDeadline="2m")
    world.annotate("pause", "")
    world.stopped.add(world.revision("1"))
    world.run(240)
    assert (world.serves, world.share, world.running.phase) == ("1", 1.0, "Canary")


def test_a_stable_that_is_down_is_not_replaced_for_good_while_an_approval_is_open() -> None:
    steps: list[dict[str, Any]] = [{"canary": {"percent": 25}, "hold": "10s"}, {"approval": {}}]
    world = at_first_step(progressDeadline="2m", steps=steps)
    assert world.run(120, until=lambda w: w.running.phase == "AwaitingApproval")
    world.stopped.add(world.revision("1"))
    world.run(240)
    assert (world.serves, world.share, world.running.phase) == ("1", 1.0, "AwaitingApproval")
    world.annotate("approve", f"{world.revision('2')}/1/2")
    assert world.run(60, until=lambda w: w.serves == "2")


def test_abort_while_stable_is_down_lets_the_candidate_serve_until_stables_first_pod() -> None:
    world = at_first_step(progressDeadline="30m")
    world.stopped.add(world.revision("1"))
    world.annotate("abort", f"{world.revision('2')}/1")
    assert world.run(60, until=lambda w: w.status.rollout is not None and w.running.phase == "RollingBack")
    world.run(3)
    assert world.share > 0
    assert world.condition("UpToDate") == ("False", "WaitingForStable")
    world.stopped.clear()
    world.run(2)
    assert world.shares()[world.revision("1")] == 1.0
    world.run(10)
    assert world.condition("UpToDate") == ("False", "Aborted")
    assert world.status.candidate is None
