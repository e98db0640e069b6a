"""Whole rollouts in a model cluster: what a user sees from apply to the end."""

from __future__ import annotations

from tests.rollout.examples import serving
from tests.rollout.surroundings import SLOW, Behaviour


def outcome(world: object) -> str:
    history = world.status.history  # type: ignore[attr-defined]
    return history[0].outcome if history else ""


def test_first_version_serves_without_comparison() -> None:
    world = serving()
    assert world.status.stable is not None
    assert world.status.stable.version == "1"
    assert world.shares() == {world.revision("1"): 1.0}
    assert world.condition("Ready") == ("True", "Serving")


def test_good_version_is_promoted_step_by_step() -> None:
    world = serving()
    seen: list[int | str] = []
    world.watchers.append(lambda w: seen.append(w.status.rollout.percent) if w.status.rollout else None)
    world.apply(version="2")
    assert world.run(1800, until=lambda w: outcome(w) == "Promoted"), world.status.rollout
    assert [step for step in dict.fromkeys(seen) if step in (5, 25, 50)] == [5, 25, 50]
    assert world.status.stable is not None
    assert world.status.stable.version == "2"
    assert world.failed_requests == 0
    world.run(30)
    assert world.shares()[world.revision("2")] == 1.0


def test_failing_version_is_rolled_back_by_errors() -> None:
    world = serving(behaviour={"2": Behaviour(failures=0.2)})
    world.apply(version="2")
    assert world.run(900, until=lambda w: outcome(w) == "RolledBack"), world.status.rollout
    entry = world.status.history[0]
    assert (entry.reason, entry.gate) == ("Harm", "errors")
    assert world.share == 0
    assert world.status.stable is not None
    assert world.status.stable.version == "1"


def test_slow_version_is_rolled_back_by_latency() -> None:
    world = serving(behaviour={"2": Behaviour(latency=SLOW)})
    world.apply(version="2")
    assert world.run(900, until=lambda w: outcome(w) == "RolledBack"), world.status.rollout
    assert (world.status.history[0].reason, world.status.history[0].gate) == ("Harm", "latency")


def test_version_that_cannot_start_gets_no_request() -> None:
    world = serving(behaviour={"2": Behaviour(starts=False)})
    world.apply(version="2")
    assert world.run(300, until=lambda w: outcome(w) == "RolledBack"), world.status.rollout
    assert world.status.history[0].reason == "CandidateUnavailable"
    assert "ImagePullBackOff" in world.status.history[0].message
    assert world.served.get(world.revision("2"), 0) == 0
