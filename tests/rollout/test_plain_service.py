"""Without a gateway: a Service, and pods whose number makes the share."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rollout.examples import rollout, serving
from tests.rollout.surroundings import Behaviour
from tests.rollout.world import World


def plain(replicas: int = 4, **changes: Any) -> World:
    found = {**rollout(**changes), "replicas": replicas}
    del found["traffic"]
    return serving(spec=found)


def selected(world: World) -> str | None:
    """The revision that the Service selects; None: all pods of the model."""
    only: str | None = world.objects["Service", "churn"]["spec"]["selector"].get("pointsman.dev/revision")
    return only


def promoted(world: World) -> bool:
    return world.outcomes == [("2", "Promoted", "Proven")]


def holds(world: World) -> list[tuple[int, int, int, object]]:
    """Of each step that held: its number, the pods of stable and candidate, and the percentage that status shows."""
    seen: dict[int, tuple[int, int, int, object]] = {}

    def look(w: World) -> None:
        if w.status.rollout and w.running.phase == "Canary" and w.running.hold_started_at:
            seen[w.running.step] = (w.running.step, w.pod_count("1"), w.pod_count("2"), w.running.percent)

    world.watchers.append(look)
    assert world.run(1800, until=promoted), world.running
    return list(seen.values())


@pytest.mark.parametrize(
    ("replicas", "steps"),
    [
        (4, [(1, 4, 1, 20), (2, 3, 1, 25), (3, 2, 2, 50)]),
        (1, [(1, 1, 1, 50)]),  # three steps, one split of pods: one hold
        (2, [(1, 2, 1, "33.33"), (3, 1, 1, 50)]),  # 5 % and 25 % are the same pods
    ],
)
def test_steps_are_splits_of_pods_and_equal_ones_are_merged(replicas: int, steps: list[tuple[object, ...]]) -> None:
    world = plain(replicas)
    world.apply(version="2")
    assert holds(world) == steps
    world.run(10)
    assert selected(world) == world.revision("2")
    assert world.failed_requests == 0


def test_the_service_selects_stable_until_the_first_step_then_both_then_the_new_version() -> None:
    world = plain()
    seen: list[str | None] = []
    world.watchers.append(lambda w: seen.append(selected(w)))
    assert selected(world) == world.revision("1")
    world.apply(version="2")
    assert world.run(1800, until=promoted)
    world.run(5)
    assert list(dict.fromkeys(seen)) == [world.revision("1"), None, world.revision("2")]
    assert ("HTTPRoute", "churn") not in world.objects


def test_abort_is_one_write() -> None:
    world = plain()
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.status.rollout is not None and w.running.step == 3)
    world.annotate("abort", f"{world.revision('2')}/1")
    plans = len(world.plans)
    world.tick_once()
    first = world.plans[plans].lower[0]
    assert getattr(first, "object", {}).get("kind") == "Service"
    assert selected(world) == world.revision("1")
    assert "/1/Aborted/" in world.objects["Service", "churn"]["metadata"]["annotations"]["pointsman.dev/decided"]
    world.run(30)
    assert (world.outcomes, world.pod_count("1"), world.pod_count("2")) == ([("2", "Aborted", "Aborted")], 4, 0)


def test_harm_takes_the_traffic_back() -> None:
    world = plain()
    world.behaviour["2"] = Behaviour(failures=0.3)
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.outcomes == [("2", "RolledBack", "Harm")])
    assert selected(world) == world.revision("1")


def test_no_pod_beyond_capacity_and_none_missing() -> None:
    world = plain()
    counts: list[tuple[int, int]] = []
    world.watchers.append(
        lambda w: counts.append(
            (sum(map(len, w.pods.values())), sum(w.is_ready(name, p) for name, pods in w.pods.items() for p in pods))
        )
    )
    world.apply(version="2")
    assert world.run(1800, until=promoted)
    assert max(pods for pods, _ in counts) <= 5
    assert min(ready for _, ready in counts) >= 4


def test_the_first_step_may_be_an_approval() -> None:
    world = plain(steps=[{"approval": {}}, {"canary": {"percent": 25}, "hold": "20s"}])
    world.apply(version="2")
    assert world.run(120, until=lambda w: w.status.rollout is not None and w.running.phase == "AwaitingApproval")
    assert selected(world) == world.revision("1")
    world.annotate("approve", f"{world.revision('2')}/1/1")
    assert world.run(900, until=promoted)


def test_equal_steps_around_an_approval_keep_the_approval() -> None:
    steps: list[dict[str, Any]] = [
        {"canary": {"percent": 5}, "hold": "20s"},
        {"approval": {}},
        {"canary": {"percent": 50}, "hold": "20s"},
    ]
    world = plain(1, steps=steps)
    world.apply(version="2")
    assert world.run(600, until=lambda w: w.status.rollout is not None and w.running.phase == "AwaitingApproval")
    world.annotate("approve", f"{world.revision('2')}/1/2")
    assert world.run(600, until=lambda w: bool(w.outcomes))
    assert world.outcomes == [("2", "Promoted", "Approved")]
