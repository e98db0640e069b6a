"""A spec that changes while a rollout runs."""

from __future__ import annotations

import pytest

from pointsman.rollout.plan import Apply
from tests.rollout.examples import serving
from tests.rollout.surroundings import Behaviour
from tests.rollout.world import World


def at(share: float) -> World:
    world = serving()
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.share == share)
    return world


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_old_candidate_is_at_zero_in_the_same_plan_and_its_pods_go_first(share: float) -> None:
    world = at(share)
    second = world.revision("2")
    most: list[int] = []
    world.watchers.append(lambda w: most.append(sum(len(pods) for pods in w.pods.values())))
    world.apply(version="3")
    plans = len(world.plans)
    world.tick_once()
    tried, plan = world.plans[plans : plans + 2]
    assert tried.lower == ()
    assert next(write.object["spec"].get("replicas") for write in tried.prepare if isinstance(write, Apply)) == 0
    assert next(write.object["kind"] for write in plan.lower if isinstance(write, Apply)) == "HTTPRoute"
    assert world.shares()[world.revision("1")] == 1.0
    decided = world.objects["HTTPRoute", "churn"]["metadata"]["annotations"]["pointsman.dev/decided"]
    assert decided == f"{second}/1/Superseded/SpecChanged"
    assert world.outcomes == [("2", "Superseded", "SpecChanged")]
    assert world.status.candidate is not None
    assert world.status.candidate.version == "3"
    assert (world.running.attempt, world.running.step) == (1, 0)
    assert world.run(60, until=lambda w: w.share == 0.05)
    assert ("Deployment", second) not in world.objects
    assert max(most) <= 5
    assert world.failed_requests == 0


def test_the_old_candidate_serves_what_a_slow_gateway_still_sends_it() -> None:
    world = at(0.25)
    world.gateway = False
    world.apply(version="3")
    world.run(60)
    assert ("Deployment", world.revision("2")) in world.objects
    world.gateway = True
    world.run(10)
    assert ("Deployment", world.revision("2")) not in world.objects
    assert world.failed_requests == 0


def test_the_new_candidate_starts_without_evidence() -> None:
    world = at(0.5)
    world.apply(version="3")
    assert world.run(100, until=lambda w: w.share == 0.05)
    assert world.evidence is not None
    assert (world.evidence.revision, world.evidence.step) == (world.revision("3"), 0)


def test_the_spec_back_at_the_serving_version_ends_the_rollout() -> None:
    world = at(0.25)
    world.apply(version="1")
    world.tick_once()
    assert world.shares()[world.revision("1")] == 1.0
    world.run(20)
    assert world.outcomes == [("2", "Superseded", "SpecReverted")]
    assert world.condition("UpToDate") == ("True", "UpToDate")
    assert world.condition("Stalled")[0] == "False"
    assert (world.pod_count("1"), world.pod_count("2")) == (4, 0)
    assert world.failed_requests == 0


def test_a_superseded_version_may_come_again() -> None:
    world = at(0.25)
    world.apply(version="1")
    world.run(20)
    world.apply(version="2")
    world.run(20)
    assert world.running.attempt == 2


def test_two_quick_supersessions() -> None:
    world = at(0.25)
    world.apply(version="3")
    world.tick_once()
    world.apply(version="4")
    world.run(30)
    assert [outcome[:2] for outcome in world.outcomes] == [("2", "Superseded"), ("3", "Superseded")]
    assert world.status.candidate is not None
    assert world.status.candidate.version == "4"
    assert set(world.pods) == {world.revision("1"), world.revision("4")}
    assert world.failed_requests == 0


def test_back_and_forth_within_one_look() -> None:
    """Nobody decided anything in between: the rollout goes on as if nothing had happened."""
    world = at(0.25)
    world.apply(version="3")
    world.apply(version="2")
    world.run(5)
    assert (world.outcomes, world.share) == ([], 0.25)


def test_the_fix_of_a_version_that_never_starts_needs_no_comparison() -> None:
    world = World(**vars_of_a_broken_first_version())
    world.run(120)
    assert world.condition("Ready") == ("False", "NoReadyPod")
    assert "ImagePullBackOff" in world.message("Ready")
    assert world.outcomes == []
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.serves == "2")
    assert world.outcomes == [("2", "Promoted", "StableUnavailable")]
    world.run(60)
    assert world.condition("UpToDate") == ("True", "UpToDate")
    assert world.pod_count("2") == 4


def vars_of_a_broken_first_version() -> dict[str, object]:
    found = serving()
    return {
        "spec": found.spec,
        "runtimes": found.runtimes,
        "behaviour": {"1": Behaviour(starts=False)},
    }


@pytest.mark.parametrize("end", ["abort", "supersede"])
def test_a_stable_that_is_down_does_not_block_its_second_fix(end: str) -> None:
    """The first fix cannot start either; the second one can."""
    world = serving(behaviour={"2": Behaviour(starts=False)})
    world.stopped.add(world.revision("1"))
    world.apply(version="2")
    world.run(30)
    if end == "abort":
        world.annotate("abort", f"{world.revision('2')}/1")
        world.run(30)
    world.apply(version="3")
    assert world.run(240, until=lambda w: w.serves == "3"), world.status
    assert world.outcomes[-1] == ("3", "Promoted", "StableUnavailable")


def test_a_version_that_the_api_server_rejects_supersedes_nothing() -> None:
    world = serving(rejected={"3": "spec.template: no"})
    world.apply(version="2")
    assert world.run(120, until=lambda w: w.share == 0.05)
    world.apply(version="3")
    world.run(10)
    assert world.condition("Accepted") == ("False", "TemplateRejected")
    assert (world.share, world.running.step) == (0.05, 1)
    assert world.status.candidate is not None
    assert world.status.candidate.version == "2"
    world.rejected.clear()
    assert world.run(120, until=lambda w: w.status.candidate is not None and w.status.candidate.version == "3")


@pytest.mark.parametrize("version", ["1", "3"])
def test_a_candidate_that_may_not_go_yet_leaves_room_for_stable(version: str) -> None:
    """The gateway does not obey yet, so the old candidate stays; all pods together stay within replicas and surge."""
    world = serving()
    world.apply(version="2")
    assert world.run(400, until=lambda w: w.share == 0.5)
    world.run(20)
    world.gateway = False
    asked: list[int] = []
    world.watchers.append(lambda w: asked.append(sum(o["spec"]["replicas"] for o in w.found("Deployment").values())))
    world.apply(version=version)
    world.run(30)
    assert max(asked) <= 5
