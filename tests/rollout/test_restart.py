"""The operator dies at any write, its status is lost, plans are carried out twice: the end is the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pointsman.api.modeldeployment import ModelDeploymentStatus
from pointsman.api.modelrevision import ModelRevisionStatus
from pointsman.rollout.decision import decide
from pointsman.rollout.plan import Apply, Plan
from tests.rollout.examples import LEAST, rollout, serving
from tests.rollout.surroundings import Behaviour
from tests.rollout.world import World

QUICK: dict[str, Any] = {
    "steps": [{"canary": {"percent": 25}, "hold": "10s"}, {"canary": {"percent": 50}, "hold": "10s"}],
    "gates": [{"name": "errors", "signal": "Errors", "tolerance": {"ratio": "1.5", "points": "1"}}],
    "warmup": {"duration": "3s", "requests": 10},
    "interval": "5s",
    "keepPrevious": "0s",
}


def promotion() -> World:
    return serving(spec=rollout(**QUICK))


def harm() -> World:
    return serving(spec=rollout(**QUICK), behaviour={"2": Behaviour(failures=0.4)})


def abort(world: World) -> None:
    if world.share == 0.25 and "pointsman.dev/abort" not in world.annotations:
        world.annotate("abort", f"{world.revision('2')}/1")


def supersede(world: World) -> None:
    if world.share == 0.25 and world.spec["model"]["version"] == "2":
        world.apply(version="3")


def nothing(_: World) -> None:
    pass


STORIES: dict[str, tuple[Callable[[], World], Callable[[World], None], list[tuple[str, str, str]]]] = {
    "promotion": (promotion, nothing, [("2", "Promoted", "Proven")]),
    "harm": (harm, nothing, [("2", "RolledBack", "Harm")]),
    "abort": (promotion, abort, [("2", "Aborted", "Aborted")]),
    "supersession": (promotion, supersede, [("2", "Superseded", "SpecChanged"), ("3", "Promoted", "Proven")]),
}


def live(world: World, act: Callable[[World], None], ends: list[tuple[str, str, str]]) -> bool:
    """Let a story go on to its end and come to rest."""

    def ended(w: World) -> bool:
        act(w)
        return w.outcomes == ends

    done = world.run(600, until=ended)
    world.watchers.clear()
    world.run(15)
    return done


class Decisions:
    """What was decided on the route for an attempt, and whether that attempt had a share again afterwards."""

    def __init__(self, world: World) -> None:
        self.final: set[str] = set()
        self.undone: list[str] = []
        world.watchers.append(self.look)

    def look(self, world: World) -> None:
        meta = world.objects["HTTPRoute", "churn"]["metadata"]
        decided = meta["annotations"].get("pointsman.dev/decided")
        if decided:
            self.final.add(decided.rsplit("/", 2)[0])
        if world.status.candidate is not None and world.share > 0:
            attempt = f"{world.status.candidate.revision}/{world.running.attempt}"
            if attempt in self.final:
                self.undone.append(attempt)


def deciders(world: World) -> list[tuple[str, str | None]]:
    """Who ended each revision's attempts, as the record says."""
    revisions = sorted(name for kind, name in world.objects if kind == "ModelRevision")
    records = {name: world.objects["ModelRevision", name]["status"].attempts for name in revisions}
    return [(name, attempt.decided_by) for name, attempts in records.items() for attempt in attempts]


@pytest.mark.parametrize("story", STORIES)
def test_a_crash_before_any_write_changes_nothing_about_the_end(story: str) -> None:
    make, act, ends = STORIES[story]
    world = make()
    world.forks = []
    world.apply(version="2")
    assert live(world, act, ends)
    forks, world.forks = world.forks, None
    assert len(forks) >= 10
    wrong = []
    for number, fork in enumerate(forks):
        decisions, raised = Decisions(fork), Raises(fork)
        if not live(fork, act, ends) or decisions.undone or raised.without_look:
            wrong.append((number, world.writes[number][1:], fork.outcomes, decisions.undone, raised.without_look))
        elif {key for key in fork.objects if key[0] != "ModelRevision"} != {
            key for key in world.objects if key[0] != "ModelRevision"
        }:
            wrong.append((number, world.writes[number][1:], sorted(fork.objects), [], []))
        elif deciders(fork) != deciders(world):
            wrong.append((number, world.writes[number][1:], deciders(fork), [], []))
    assert wrong == []


class Raises:
    """Raises of a route to what status already said, with no look since the crash; all but the least of stable's is all."""

    def __init__(self, world: World) -> None:
        self.share = world.share
        self.looked = False
        self.without_look: list[float] = []
        self.committed = float(world.running.percent) / 100 if world.status.rollout else 0.0
        world.watchers.append(self.look)

    def look(self, world: World) -> None:
        plan = world.plans[-1]
        self.looked = self.looked or (plan.evidence is not None and plan.evidence.looked_at == world.now)
        if self.share < world.share <= self.committed and self.share != 1 - LEAST and not self.looked:
            self.without_look.append(world.share)
        self.share = world.share


def test_nothing_is_counted_twice() -> None:
    """However often the operator dies, the evidence never holds more requests than the candidate served."""
    world = promotion()
    world.forks = []
    world.apply(version="2")
    assert world.run(600, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")])
    counted = {}
    for number, fork in enumerate(world.forks):
        fork.run(600, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")])
        attempt = fork.objects["ModelRevision", fork.revision("2")]["status"].attempts[-1]
        counted[number] = (attempt.gates[0].candidate_requests, fork.served[fork.revision("2")])
    assert [pair for pair in counted.values() if not 0 < pair[0] <= pair[1]] == []


def test_evidence_is_resumed_from_the_record() -> None:
    world = promotion()
    world.apply(version="2")
    assert world.run(100, until=lambda w: w.share == 0.5)
    served, stored = world.served[world.revision("2")], world.objects["ModelRevision", world.revision("2")]["status"]
    assert json.loads(stored.evidence)["attempt"] == 1
    again = world.fork()
    again.tick_once()
    assert again.evidence is not None
    assert again.evidence.looked_at == stored.looked_at
    assert again.evidence.gates["errors"].state is not None
    assert served > 0


def test_a_step_that_is_resumed_after_its_hold_is_not_promoted_on_the_evidence_of_the_step_before() -> None:
    """The record is written when a step begins, with the evidence so far; of the step itself it may hold nothing."""
    world = serving(spec=rollout(**QUICK), rps=3000.0)
    world.apply(version="2")
    assert world.run(100, until=lambda w: w.share == 0.5)
    world.rps = 0.0
    for _ in range(20):
        again = world.fork()
        again.tick_once()
        assert (again.running.phase, again.running.step) == ("Canary", 2)
        world.tick_once()


def test_a_decision_that_lowers_nothing_is_on_the_route_as_well() -> None:
    """Else the first step's raise, decided before by a leader that slept meanwhile, would land after the abort."""
    world = promotion()
    world.apply(version="2")
    assert world.run(100, until=lambda w: w.status.rollout is not None and w.running.phase == "Warming")
    before = world.objects["HTTPRoute", "churn"]["metadata"]["resourceVersion"]
    abort = f"{world.revision('2')}/1"
    world.annotate("abort", abort)
    world.run(1)
    meta = world.objects["HTTPRoute", "churn"]["metadata"]
    assert meta["annotations"]["pointsman.dev/decided"] == f"{abort}/Aborted/Aborted"
    assert meta["resourceVersion"] != before


@pytest.mark.parametrize("when", ["serving", "canary", "refused"])
def test_a_status_that_is_lost_is_found_again(when: str) -> None:
    world = harm() if when == "refused" else promotion()
    if when != "serving":
        world.apply(version="2")
        assert world.run(100, until=lambda w: bool(w.outcomes) if when == "refused" else w.share == 0.25)
        world.run(20 if when == "refused" else 0)
    world.status, world.evidence, world.watch, world.dirty = ModelDeploymentStatus(), None, None, True
    world.failed_requests = 0
    world.run(10)
    assert world.serves == "1"
    if when == "refused":
        world.run(200)
        assert (world.status.candidate, world.share) == (None, 0)
    elif when == "canary":
        assert world.running.attempt == 1
        assert world.run(300, until=lambda w: w.serves == "2")
        assert world.failed_requests == 0


@pytest.mark.parametrize("story", STORIES)
def test_a_plan_carried_out_twice_does_no_more_than_once(story: str) -> None:
    """Whatever a plan leaves, the next decision finds nothing to do until something happens."""
    make, act, ends = STORIES[story]
    world = make()
    again: list[tuple[object, ...]] = []

    def look(w: World) -> None:
        if not w.dirty:
            plan = decide(w.observed(), w.now)
            again.extend(
                work
                for work in (plan.lower, plan.prepare, plan.after, tuple(plan.revisions), plan.events)
                if work or plan.status is not None
            )

    world.watchers.append(look)
    world.apply(version="2")

    def ended(w: World) -> bool:
        act(w)
        return w.outcomes == ends

    assert world.run(600, until=ended)
    assert again == []


def test_a_rollout_whose_stable_is_lost_without_a_trace_is_forgotten() -> None:
    world = promotion()
    world.apply(version="2")
    world.run(60, until=lambda w: w.share == 0.25)
    world.objects["ModelRevision", world.revision("1")]["status"] = ModelRevisionStatus()
    world.status = world.status.model_copy(update={"stable": None})
    world.run(600)
    assert world.status.rollout is None
    assert world.status.stable is not None
    assert world.status.stable.version == "2"


def test_a_settled_model_is_left_alone() -> None:
    world = promotion()
    world.apply(version="2")
    assert world.run(300, until=lambda w: w.serves == "2")
    world.run(30)
    world.writes.clear()
    for _ in range(60):
        world.dirty = True
        world.run(60)
    plan = decide(world.observed(), world.now)
    assert world.writes == []
    assert (plan.lower, plan.prepare, plan.after, plan.revisions, plan.status, plan.events) == (
        (),
        (),
        (),
        {},
        None,
        (),
    )
    assert (plan.wake_at, plan.watch) == (None, None)


def test_a_route_that_changed_since_it_was_read_means_a_new_decision() -> None:
    """The gateway writes its status between our reading and our writing, every second time."""
    world = promotion()
    conflicts: list[bool] = []
    carry_out = world.carry_out

    def interrupted(plan: Plan) -> None:
        kinds = {write.object["kind"] for write in (*plan.lower, *plan.after) if isinstance(write, Apply)}
        if "HTTPRoute" in kinds:
            conflicts.append(len(conflicts) % 2 == 0)
            if conflicts[-1]:
                world._touch(world.objects["HTTPRoute", "churn"])
        carry_out(plan)

    world.carry_out = interrupted  # type: ignore[method-assign]
    world.apply(version="2")
    assert world.run(600, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")])
    assert sum(conflicts) >= 3
