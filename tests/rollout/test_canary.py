"""A canary by weights: what the gateway has to say, what capacity allows, and what becomes of the pods."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pointsman.rollout.steps import GATEWAY_GRACE
from tests.rollout.examples import LEAST, rollout, serving
from tests.rollout.world import World


def promoted(world: World) -> bool:
    return world.outcomes[-1:] == [("2", "Promoted", "Proven")]


def steps_seen(world: World) -> list[tuple[int, int, int, float]]:
    """Of each step: its number, the pods of stable and candidate and the candidate's share, at the end of its hold."""
    seen: dict[int, tuple[int, int, int, float]] = {}

    def look(w: World) -> None:
        if w.status.rollout and w.running.phase == "Canary" and w.running.hold_started_at:
            seen[w.running.step] = (w.running.step, w.pod_count("1"), w.pod_count("2"), w.share)

    world.watchers.append(look)
    world.run(1800, until=promoted)
    return list(seen.values())


@pytest.mark.parametrize(
    ("surge", "unavailable", "steps"),
    [
        (1, 0, [(1, 4, 1, 0.05), (2, 3, 1, 0.25), (3, 2, 2, 0.5)]),
        (4, 0, [(1, 4, 1, 0.05), (2, 4, 2, 0.25), (3, 4, 4, 0.5)]),
        (0, 1, [(1, 3, 1, 0.05), (2, 3, 1, 0.25), (3, 2, 2, 0.5)]),
    ],
)
def test_pods_and_share_at_each_step(surge: int, unavailable: int, steps: list[tuple[int, int, int, float]]) -> None:
    world = serving(spec=rollout(capacity={"maxSurge": surge, "maxUnavailable": unavailable}))
    most: list[int] = []
    world.watchers.append(lambda w: most.append(sum(len(pods) for pods in w.pods.values())))
    world.apply(version="2")
    assert steps_seen(world) == steps
    assert max(most) <= 4 + surge
    assert world.failed_requests == 0


def test_a_first_step_that_needs_stables_room_starts_with_the_pods_that_fit() -> None:
    """Before it has a share only one pod fits beside stable's four; the second comes when stable gives one up."""
    world = serving(spec=rollout(steps=[{"canary": {"percent": 50}, "hold": "30s"}]))
    world.apply(version="2")
    assert steps_seen(world) == [(1, 2, 2, 0.5)]
    assert world.failed_requests == 0


def test_a_share_too_high_for_capacity_is_carried_by_the_pods_that_fit() -> None:
    room = {"maxSurge": 0, "maxUnavailable": 1}
    world = serving(spec=rollout(steps=[{"canary": {"percent": 90}, "hold": "30s"}], capacity=room))
    world.apply(version="2")
    assert steps_seen(world) == [(1, 1, 3, 0.9)]
    assert world.failed_requests == 0


def test_thirds_do_not_hold_a_pod_too_many() -> None:
    world = serving(spec={**rollout(), "replicas": 3})
    world.apply(version="2")
    assert steps_seen(world) == [(1, 3, 1, 0.05), (2, 3, 1, 0.25), (3, 2, 2, 0.5)]
    assert world.failed_requests == 0


def test_one_replica_is_replaced_without_a_gap() -> None:
    world = serving(spec={**rollout(), "replicas": 1})
    world.apply(version="2")
    assert steps_seen(world) == [(1, 1, 1, 0.05), (2, 1, 1, 0.25), (3, 1, 1, 0.5)]
    assert world.failed_requests == 0


def test_a_model_is_loaded_once() -> None:
    """Promotion changes weights and replica counts: every candidate pod that was started still serves afterwards."""
    world = serving()
    started: set[str] = set()
    world.watchers.append(lambda w: started.update(pod.name for pod in w.pods.get(w.revision("2"), ())))
    world.apply(version="2")
    assert world.run(1800, until=promoted)
    world.run(60)
    assert {pod.name for pod in world.pods[world.revision("2")]} == started
    assert len(started) == 4


def test_a_step_counts_only_once_the_gateway_has_accepted_its_share() -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(60, until=lambda w: w.status.rollout is not None and w.running.phase == "Warming")
    world.gateway = False
    world.run(60)
    assert (world.running.step, world.running.hold_started_at, world.share) == (1, None, LEAST)
    assert world.condition("Ready") == ("True", "Serving")
    silent = world.now
    world.gateway = True
    assert world.run(10, until=lambda w: w.running.hold_started_at is not None)
    assert world.running.hold_started_at is not None
    assert world.running.hold_started_at >= silent
    assert world.run(1800, until=promoted)


def test_a_share_begins_with_the_least_there_is_until_the_gateway_knows_the_candidate() -> None:
    """Requests that come before it does fail; with the least share that is one in ten thousand."""
    world = serving()
    shares: list[float] = []
    world.watchers.append(lambda w: shares.append(w.share) if w.share not in shares[-1:] else None)
    world.apply(version="2")
    assert world.run(1800, until=promoted)
    assert shares[:4] == [0.0, LEAST, 0.05, 0.25]
    assert LEAST not in shares[2:]


def test_all_traffic_comes_after_all_but_the_least() -> None:
    """A gateway forgets a backend before its proxies stop sending to it: only the least may be lost then."""
    world = serving()
    shares: list[float] = []
    world.watchers.append(lambda w: shares.append(w.share) if w.share not in shares[-1:] else None)
    world.apply(version="2")
    assert world.run(1800, until=lambda w: w.share == 1 - LEAST)
    begun = world.now
    world.tick(timedelta(seconds=0.2))
    world.reconcile()
    assert (world.share, world.wake) == (1 - LEAST, begun + GATEWAY_GRACE)
    assert world.run(60, until=promoted)
    assert shares[-4:] == [0.75, 1 - LEAST, 1.0, 0.0]  # nobody is a candidate any more


def test_stable_keeps_the_least_and_a_pod_until_the_gateway_has_taken_that() -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(1800, until=lambda w: w.share == 1 - LEAST)
    world.gateway = False
    pods = world.pod_count("1")
    world.run(30)
    assert (world.share, world.pod_count("1")) == (1 - LEAST, pods)
    assert pods > 0
    world.gateway = True
    assert world.run(60, until=promoted)


def test_the_least_share_lasts_a_moment_longer_than_the_gateway_says() -> None:
    """It has told its proxies then; they still ask where the candidate is."""
    world = serving()
    world.apply(version="2")
    assert world.run(120, until=lambda w: w.share == LEAST)
    begun = world.now
    world.tick(timedelta(seconds=0.2))
    world.reconcile()
    assert (world.share, world.wake) == (LEAST, begun + GATEWAY_GRACE)
    world.tick(GATEWAY_GRACE)
    assert world.share == 0.05


def test_no_pod_of_stable_goes_before_the_gateway_has_accepted_the_raise() -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(120, until=lambda w: w.share == 0.05)
    world.run(5)
    world.gateway = False
    assert world.run(120, until=lambda w: w.share == 0.25)
    world.run(30)
    assert (world.pod_count("1"), world.pod_count("2")) == (4, 1)


@pytest.mark.parametrize(
    ("gateway", "says"),
    [
        (
            {"gateway": False},
            "it was not ready for 2 min in total: Gateway gw/models has not taken the newest weights yet",
        ),
        ({"gateway_problem": "NotAllowedByListeners"}, "Gateway gw/models refuses the route: NotAllowedByListeners"),
    ],
)
def test_a_gateway_that_does_not_obey_ends_the_attempt_at_the_progress_deadline(
    gateway: dict[str, Any], says: str
) -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(60, until=lambda w: w.status.rollout is not None and w.running.phase == "Warming")
    for name, value in gateway.items():
        setattr(world, name, value)
    assert world.run(180, until=lambda w: bool(w.outcomes)), world.running
    assert world.outcomes == [("2", "RolledBack", "CandidateUnavailable")]
    assert says in world.status.history[0].message
    assert world.shares()[world.revision("1")] == 1.0


def test_a_gateway_that_obeys_again_in_time_heals_the_attempt() -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(60, until=lambda w: w.status.rollout is not None and w.running.phase == "Warming")
    world.gateway_problem = "NotAllowedByListeners"
    world.run(60)
    assert "NotAllowedByListeners" in world.running.message
    world.gateway_problem = None
    assert world.run(1800, until=promoted)


def test_a_promotion_may_take_longer_than_the_progress_deadline() -> None:
    """Pods that load for a minute come up one after the other: each of them has the deadline for itself."""
    world = serving(spec={**rollout(progressDeadline="90s"), "replicas": 6})
    world.boot = timedelta(seconds=60)
    world.apply(version="2")
    assert world.run(1800, until=lambda w: bool(w.outcomes))
    assert promoted(world), world.status.history


def test_the_previous_version_keeps_the_pods_that_surge_leaves_room_for() -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(1800, until=promoted)
    world.run(10)
    assert (world.pod_count("1"), world.pod_count("2")) == (1, 4)
    assert world.status.previous is not None
    assert world.status.previous.version == "1"
    world.run(300)
    assert world.status.previous is None
    assert ("Deployment", world.revision("1")) not in world.objects
    assert ("Service", world.revision("1")) not in world.objects
    assert world.failed_requests == 0


def test_keep_previous_of_zero_keeps_nothing() -> None:
    world = serving(spec=rollout(keepPrevious="0s"))
    world.apply(version="2")
    assert world.run(1800, until=promoted)
    world.run(10)
    assert (world.status.previous, world.pod_count("1")) == (None, 0)
    assert world.failed_requests == 0


def test_a_new_candidate_takes_the_pods_of_the_kept_previous_version() -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(1800, until=promoted)
    world.run(10)
    world.apply(version="3")
    world.run(3)
    assert world.status.previous is None
    assert (world.pod_count("1"), world.pod_count("2"), world.pod_count("3")) == (0, 4, 1)


def test_the_kept_previous_version_can_be_the_next_candidate() -> None:
    """Its pods are still there: they are compared, not started again."""
    world = serving()
    world.apply(version="2")
    assert world.run(1800, until=promoted)
    world.run(10)
    kept = {pod.name for pod in world.pods[world.revision("1")]}
    world.apply(version="1")
    assert world.run(60, until=lambda w: w.share == 0.05)
    assert {pod.name for pod in world.pods[world.revision("1")]} == kept
    assert world.run(1800, until=lambda w: w.outcomes[-1] == ("1", "Promoted", "Proven"))
    assert world.failed_requests == 0


def test_replicas_are_no_part_of_a_version() -> None:
    world = serving()
    world.spec = {**world.spec, "replicas": 6}
    world.apply()
    world.run(10)
    assert world.pod_count("1") == 6
    assert world.status.candidate is None
    assert [kind for _, kind, _ in world.writes if kind.startswith("apply")] == ["apply Deployment"]


@pytest.mark.parametrize("replicas", [2, 8])
def test_replicas_may_change_during_a_rollout(replicas: int) -> None:
    world = serving()
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.share == 0.25)
    world.spec = {**world.spec, "replicas": replicas}
    world.apply()
    assert world.run(1800, until=promoted), world.running
    world.run(10)
    assert world.pod_count("2") == replicas
    assert world.failed_requests == 0


def test_pods_stay_within_capacity_between_two_writes_of_a_plan() -> None:
    """At 60 % the candidate has five pods of eight; promoted it needs four, and stable is kept with four."""
    steps = [{"canary": {"percent": share}, "hold": "5s"} for share in (20, 60)]
    world = serving(spec=rollout(steps=steps, gates=[], capacity={"maxSurge": 4}))
    world.forks = []
    world.apply(version="2")
    assert world.run(200, until=lambda w: w.serves == "2")
    asked = [sum(one["spec"]["replicas"] for one in fork.found("Deployment").values()) for fork in world.forks]
    assert max(asked) == 8
