"""Objects of ours that somebody edits or deletes, and those that nobody needs any more."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.rollout.examples import rollout, serving, spec
from tests.rollout.world import World

Edit = Callable[[dict[str, Any]], None]


def weights(candidate: int) -> Edit:
    def edit(found: dict[str, Any]) -> None:
        stable, other = found["rules"][0]["backendRefs"]
        stable["weight"], other["weight"] = 100 - candidate, candidate

    return edit


def canary(**changes: Any) -> World:
    world = serving(spec=rollout(**changes))
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.share == 0.25)
    world.run(3)
    return world


def name_of(world: World, which: str) -> str:
    return {"stable": world.revision("1"), "candidate": world.revision("2")}.get(which, which)


EDITS: list[tuple[str, str, Edit]] = [
    ("Deployment", "stable", lambda s: s.update(replicas=1)),
    ("Deployment", "candidate", lambda s: s.update(replicas=9)),
    ("Deployment", "stable", lambda s: s["template"]["spec"]["containers"][0].update(image="other:1")),
    ("Service", "candidate", lambda s: s.update(selector={"app": "other"})),
    ("Service", "churn", lambda s: s.update(selector={"app": "other"})),
    ("HTTPRoute", "churn", lambda s: s.update(hostnames=["other.example.com"])),
    ("HTTPRoute", "churn", weights(0)),
    ("HTTPRoute", "churn", weights(10)),
    ("HTTPRoute", "churn", weights(90)),
    ("HTTPRoute", "churn", weights(100)),
]


@pytest.mark.parametrize(("kind", "which", "edit"), EDITS)
def test_an_edit_by_hand_is_set_back_with_an_event(kind: str, which: str, edit: Edit) -> None:
    world = canary()
    name = name_of(world, which)
    before = copy.deepcopy(world.objects[kind, name]["spec"])
    world.edit(kind, name, edit)
    world.events.clear()
    world.run(15)  # a lowered share rises only with the next look
    assert world.objects[kind, name]["spec"] == before
    event = next(event for event in world.events if event.reason == "SetBack")
    assert (event.type, f"{kind} {name} was changed by somebody else" in event.message) == ("Warning", True)
    assert world.outcomes == []


def test_a_share_that_somebody_raised_is_lowered_at_once_and_one_lowered_waits_for_a_look() -> None:
    world = canary()
    world.edit("HTTPRoute", "churn", weights(90))
    world.reconcile()
    assert world.share == 0.25
    world.prometheus = False
    world.edit("HTTPRoute", "churn", weights(10))
    world.run(60)
    assert world.share == 0.1
    world.prometheus = True
    world.run(15)
    assert world.share == 0.25


DELETES = [
    ("Deployment", "stable"),
    ("Deployment", "candidate"),
    ("Service", "stable"),
    ("Service", "candidate"),
    ("Service", "churn"),
    ("HTTPRoute", "churn"),
    ("ModelRevision", "stable"),
    ("ModelRevision", "candidate"),
]


@pytest.mark.parametrize(("kind", "which"), DELETES)
def test_what_is_deleted_by_hand_comes_back(kind: str, which: str) -> None:
    world = canary()
    name = name_of(world, which)
    world.delete(kind, name)
    world.run(60)
    assert (kind, name) in world.objects
    assert world.run(900, until=lambda w: ("2", "Promoted", "Proven") in w.outcomes), world.running
    world.run(10)
    assert world.condition("UpToDate") == ("True", "UpToDate")


def test_the_record_of_a_stable_that_the_spec_does_not_name_is_found_again() -> None:
    """Version 2 was refused, version 1 serves, and somebody deletes version 1's ModelRevision."""
    world = canary()
    world.annotate("abort", f"{world.revision('2')}/1")
    world.run(30)
    pods = {pod.name for pod in world.pods[world.revision("1")]}
    template = world.objects["Deployment", world.revision("1")]["spec"]["template"]
    world.delete("ModelRevision", world.revision("1"))
    world.run(30)
    found = world.objects["ModelRevision", world.revision("1")]
    assert (found["spec"]["model"]["version"], found["status"].state) == ("1", "Stable")
    assert world.objects["Deployment", world.revision("1")]["spec"]["template"] == template
    assert {pod.name for pod in world.pods[world.revision("1")]} == pods
    world.writes.clear()
    world.run(60)
    assert world.writes == []


def test_a_revision_is_found_again_without_its_record_and_its_service() -> None:
    world = serving()
    world.delete("ModelRevision", world.revision("1"))
    world.delete("Service", world.revision("1"))
    world.apply(version="2")
    assert world.run(900, until=lambda w: ("2", "Promoted", "Proven") in w.outcomes)


REFUSED = {"runtime": "nobody"}


@pytest.mark.parametrize("refused", [REFUSED, {}])
def test_the_record_of_a_stable_that_is_deleted_comes_back_with_what_measures_it(refused: dict[str, Any]) -> None:
    """Whether the spec is refused at that moment or names stable again: the next rollout can be judged."""
    world = canary()
    world.delete("ModelRevision", world.revision("1"))
    accepted, world.spec = world.spec, {**world.spec, **refused}
    world.run(10)
    world.spec = accepted
    world.apply(version="1")
    world.run(30)
    world.apply(version="3")
    assert world.run(900, until=lambda w: ("3", "Promoted", "Proven") in w.outcomes), world.running


def test_an_attempt_whose_record_is_deleted_while_the_spec_is_refused_goes_on() -> None:
    """By the policy that the spec still says: its pods stay."""
    world = canary()
    candidate = world.revision("2")
    world.delete("ModelRevision", candidate)
    world.spec, world.dirty = {**world.spec, **REFUSED}, True
    world.run(20)
    assert (world.share, len(world.pods[candidate]), world.failed_requests) == (0.25, 1, 0)


def test_the_record_of_a_candidate_that_ends_at_that_moment_is_not_written_to() -> None:
    world = canary()
    world.delete("ModelRevision", world.revision("2"))
    world.annotate("abort", f"{world.revision('2')}/1")
    world.run(30)
    assert (world.outcomes, world.share) == ([("2", "Aborted", "Aborted")], 0)


def test_a_refused_candidate_whose_record_is_deleted_during_its_attempt_is_not_tried_again() -> None:
    world = canary()
    world.delete("ModelRevision", world.revision("2"))
    world.run(5)
    world.annotate("abort", f"{world.revision('2')}/1")
    world.run(300)
    assert world.outcomes == [("2", "Aborted", "Aborted")]
    assert world.status.candidate is None


def test_an_attempt_whose_record_is_deleted_gives_its_number_to_no_other() -> None:
    """Else an abort of the first would abort the second."""
    world = canary()
    world.annotate("abort", f"{world.revision('2')}/1")
    world.run(30)
    world.delete("ModelRevision", world.revision("2"))
    world.run(60, until=lambda w: w.status.rollout is not None)
    assert (world.running.attempt, world.running.phase) == (2, "Preparing")


def test_nothing_that_traffic_can_reach_is_deleted() -> None:
    """The gateway does not take the newest weights: it may still send requests to the old candidate."""
    world = canary()
    second = world.revision("2")
    world.gateway = False
    world.annotate("abort", f"{second}/1")
    world.run(120)
    assert world.share == 0
    assert ("Deployment", second) in world.objects
    assert ("Service", second) in world.objects
    assert world.pod_count("2") == 1  # as many as surge leaves room for
    world.gateway = True
    world.run(10)
    assert ("Deployment", second) not in world.objects
    assert ("Service", second) not in world.objects
    assert [backend["name"] for backend in route(world)] == [world.revision("1")]


def route(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.objects["HTTPRoute", "churn"]["spec"]["rules"][0]["backendRefs"]
    return found


def test_a_service_goes_only_after_no_route_lists_it() -> None:
    """A gateway answers for a missing backend with errors."""
    world = canary()
    orphans: list[str] = []

    def look(w: World) -> None:
        orphans.extend(b["name"] for b in route(w) if ("Service", b["name"]) not in w.objects)

    world.watchers.append(look)
    world.annotate("abort", f"{world.revision('2')}/1")
    world.run(30)
    world.apply(version="3")
    world.run(900, until=lambda w: w.serves == "3")
    world.run(400)
    assert orphans == []
    assert {name for kind, name in world.objects if kind == "Service"} == {"churn", world.revision("3")}


def test_a_history_of_ten_records_is_kept() -> None:
    quick = rollout(steps=[{"canary": {"percent": 50}, "hold": "1s"}], gates=[], keepPrevious="0s")
    world = serving(spec={**quick, "replicas": 1})
    for version in range(2, 15):
        world.apply(version=str(version))
        assert world.run(200, until=lambda w, v=str(version): w.serves == v)  # type: ignore[misc]
    world.run(10)
    records = [name for kind, name in world.objects if kind == "ModelRevision"]
    assert len(records) == 11  # the one that serves, and ten
    assert world.revision("1") not in records
    assert world.revision("4") in records
    assert [entry.version for entry in world.status.history] == [str(v) for v in range(14, 4, -1)]


def test_minimal_spec_has_one_of_everything() -> None:
    world = serving(spec=spec())
    assert sorted(kind for kind, _ in world.objects) == [
        "Deployment",
        "HTTPRoute",
        "ModelRevision",
        "Service",
        "Service",
    ]
