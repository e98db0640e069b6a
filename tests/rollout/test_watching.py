"""A version that serves alone is watched: what leaves its norm is found and named, and taken back where the policy says so."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from pointsman.api import conditions, names
from pointsman.rollout import vigil
from tests.rollout.examples import MLSERVER, rollout, serving
from tests.rollout.surroundings import AGES, Behaviour
from tests.rollout.world import World

WATCH: dict[str, Any] = {
    "percent": 20,
    "interval": "10s",
    "meanTimeBetweenFalseAlarms": "24h",
    "tolerance": {"points": "3"},
}
RUNTIMES = {
    "mlserver": {**MLSERVER, "protocol": "OpenInference"},
    "vllm": {**MLSERVER, "formats": [{"name": "llm", "autoSelect": True}], "protocol": "OpenAI"},
}
OLDER = (0.15, 0.25, 0.25, 0.35)
HIGHER = (0.25, 0.3, 0.2, 0.25)
REFERENCE = {"reference": {"configMap": "churn-1-reference"}}
STEPS = [{"canary": {"percent": 50}, "hold": "30s"}]
"""Of requests with those ages, and of answers."""


def watched(*, model: dict[str, Any] | None = None, **changes: Any) -> World:
    """A world whose first version serves and is watched."""
    spec = rollout(**{"watch": WATCH, "steps": STEPS, "compare": {"protocol": "OpenInference"}, **changes})
    spec = {**spec, "model": {**spec["model"], **(REFERENCE if model is None else model)}}
    return serving(spec=spec, runtimes=RUNTIMES, rps=300.0)


def mirrored(world: World) -> dict[str, int]:
    """Percent of the requests that are copied, by inspector."""
    filters = world.found("HTTPRoute")["churn"]["spec"]["rules"][0].get("filters", ())
    copies = [one["requestMirror"] for one in filters]
    return {one["backendRef"]["name"]: one["percent"] for one in copies}


def inspectors(world: World) -> set[str]:
    """The inspectors that are there."""
    ours = {names.inspector(name) for name in world.found("ModelRevision")}
    return ours & (world.found("Deployment").keys() | world.found("Service").keys())


def of(world: World, version: str) -> str:
    """The inspector of a version."""
    return names.inspector(world.revision(version))


def drifted(world: World) -> bool:
    """Whether the condition says so."""
    return world.condition(conditions.DRIFTED)[0] == "True"


def told(world: World, reason: str) -> list[str]:
    """The Events with this reason."""
    return [event.message for event in world.events if event.reason == reason]


def test_the_first_version_is_watched_and_nothing_else_changes() -> None:
    world = watched()
    assert mirrored(world) == {of(world, "1"): 20}
    assert world.run(60, until=lambda w: w.condition(conditions.DRIFTED) == ("False", "NoDrift"))
    assert (world.outcomes, world.status.rollout, world.failed_requests) == ([], None, 0)
    assert world.condition(conditions.UP_TO_DATE) == ("True", "UpToDate")


@pytest.mark.parametrize(
    ("ages", "scores", "kind", "says"),
    [
        (OLDER, None, "Inputs", "the inputs drifted and no prediction did: /age "),
        (OLDER, HIGHER, "InputsAndPredictions", "the inputs drifted, and predictions with them: "),
        (None, HIGHER, "Model", "predictions drifted while every watched input stayed: look at the model"),
    ],
)
def test_what_moved_is_told_apart_and_named(
    ages: tuple[float, ...] | None, scores: tuple[float, ...] | None, kind: str, says: str
) -> None:
    world = watched()
    world.run(120)
    world.ages = ages or world.ages
    world.behaviour["1"] = Behaviour(scores=scores) if scores else Behaviour()
    assert world.run(600, until=drifted)
    world.run(60)
    assert world.condition(conditions.DRIFTED) == ("True", kind)
    message = world.message(conditions.DRIFTED)
    assert message.startswith(says)
    assert re.search(r"\+\d+(\.\d)? points where 3 are allowed", message)
    assert "nothing is proven about the cause" in message
    assert told(world, "Drifted")[-1] == message
    assert (world.outcomes, world.serves) == ([], "1")


def test_a_drift_that_is_over_is_said_once_and_the_words_do_not_change_with_every_look() -> None:
    world = watched()
    world.run(60)
    world.ages = OLDER
    assert world.run(600, until=drifted)
    world.run(30)
    world.writes.clear()
    world.run(120)
    assert [kind for _, kind, _ in world.writes if kind == "ModelDeployment/status"] == []
    world.ages = AGES
    assert world.run(1800, until=lambda w: not drifted(w))
    assert world.condition(conditions.DRIFTED) == ("False", "NoDrift")
    assert (len(told(world, "Drifted")), len(told(world, "DriftOver"))) == (1, 1)


def promoted(**changes: Any) -> World:
    """A world in which version 2 was promoted, is watched, and then answers otherwise than before."""
    world = watched(**{"keepPrevious": "1h", **changes})
    world.apply(version="2")
    assert world.run(600, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")])
    assert world.run(120, until=lambda w: w.condition(conditions.DRIFTED) == ("False", "NoDrift"))
    world.behaviour["2"] = Behaviour(scores=HIGHER)
    return world


def test_a_model_that_changed_is_taken_back_where_the_policy_says_so() -> None:
    world = promoted(watch={**WATCH, "onPredictionDrift": "Rollback"})
    assert world.run(600, until=lambda w: w.serves == "1")
    assert world.outcomes == [("2", "Promoted", "Proven"), ("2", "RolledBack", "PredictionDrift")]
    message = world.status.history[0].message
    assert "predictions drifted while every watched input stayed" in message
    assert "no error rate is claimed for the cause" in message
    assert (
        told(world, "Drifted")[-1] in message
    )  # before it is shown that the inputs stayed, predictions alone are said
    world.run(120)
    assert mirrored(world) == {of(world, "1"): 20}
    assert (world.condition(conditions.UP_TO_DATE)[1], world.serves) == ("RolledBack", "1")
    assert world.failed_requests == 0


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="the policy only alerts"),
        pytest.param(
            {"watch": {**WATCH, "onPredictionDrift": "Rollback"}, "keepPrevious": "0s"}, id="nothing was kept"
        ),
    ],
)
def test_a_model_that_changed_and_stays(changes: dict[str, Any]) -> None:
    world = promoted(**changes)
    assert world.run(600, until=drifted)
    assert world.run(300, until=lambda w: w.condition(conditions.DRIFTED)[1] == "Model")
    world.run(60)
    assert (world.serves, world.condition(conditions.DRIFTED)[1]) == ("2", "Model")


def test_the_world_that_changed_is_no_reason_to_take_a_version_back() -> None:
    world = promoted(watch={**WATCH, "onPredictionDrift": "Rollback"})
    world.ages = OLDER
    assert world.run(600, until=drifted)
    world.run(120)
    assert (world.serves, world.condition(conditions.DRIFTED)[1]) == ("2", "InputsAndPredictions")


def test_taking_back_survives_a_crash_at_every_write() -> None:
    world = promoted(watch={**WATCH, "onPredictionDrift": "Rollback"})
    world.forks = []
    assert world.run(600, until=lambda w: w.outcomes[-1][1] == "RolledBack")
    forks, world.forks = world.forks, None
    assert len(forks) > 3
    taken, two = 0, world.revision("2")
    for fork in forks[-12:]:
        if fork.shares().get(two, 0) == 0:
            taken += 1
            fork.watchers.append(lambda w: _has_nothing(w, two))
        assert fork.run(600, until=lambda w: w.serves == "1" and w.status.rollout is None), fork.status
        assert fork.outcomes == [("2", "Promoted", "Proven"), ("2", "RolledBack", "PredictionDrift")]
    assert taken > 1


def _has_nothing(world: World, revision: str) -> None:
    assert world.shares().get(revision, 0) == 0, "it was taken back, and gets traffic again"


def test_a_rollout_takes_the_mirror_and_gives_it_back() -> None:
    world = watched(steps=[{"shadow": {"percent": 50}, "hold": "30s"}, *STEPS], gates=None)
    world.run(60)
    world.apply(version="2")
    seen: list[dict[str, int]] = []
    world.watchers.append(lambda w: seen.append(mirrored(w)) if mirrored(w) not in seen[-1:] else None)
    assert world.run(20, until=lambda w: w.status.rollout is not None)
    world.run(5)
    assert world.condition(conditions.DRIFTED) == ("Unknown", "RolloutRuns")
    assert mirrored(world) == {}
    assert world.run(600, until=lambda w: bool(w.outcomes))
    world.run(120)
    assert seen == [{}, {of(world, "2"): 50}, {}, {of(world, "2"): 20}]
    assert inspectors(world) == {of(world, "2")}


def test_a_rollout_that_is_taken_back_loses_nothing_of_what_was_known() -> None:
    world = watched(model={})
    world.run(60)
    before = world.vigil
    world.apply(version="2")
    world.behaviour["2"] = Behaviour(failures=0.5)
    assert world.run(600, until=lambda w: w.outcomes == [("2", "RolledBack", "Harm")])
    assert world.run(120, until=lambda w: mirrored(w) == {of(w, "1"): 20})
    world.run(30)
    assert before is not None
    assert world.vigil is not None
    assert world.vigil.learning_until == before.learning_until


def _without_watch(world: World) -> None:
    spec = {**world.spec, "rollout": {key: value for key, value in world.spec["rollout"].items() if key != "watch"}}
    world.spec, world.generation, world.dirty = spec, world.generation + 1, True


@pytest.mark.parametrize(
    ("ends", "condition"),
    [
        pytest.param(_without_watch, None, id="the policy watches nothing any more"),
        pytest.param(lambda w: w.annotate("pause", ""), ("Unknown", "Paused"), id="paused"),
    ],
)
def test_the_mirror_goes_before_the_inspector(ends: Any, condition: tuple[str, str] | None) -> None:
    world = watched()
    ends(world)
    world.run(10)
    assert (mirrored(world), inspectors(world)) == ({}, set())
    found = [(c.status, c.reason) for c in world.status.conditions if c.type == conditions.DRIFTED]
    assert found == ([] if condition is None else [condition])
    gone = [kind for _, kind, name in world.writes if name in ("churn", of(world, "1"))]
    assert gone.index("apply HTTPRoute") < gone.index("delete Deployment")


def test_bodies_are_read_as_the_runtime_of_the_version_that_serves_says() -> None:
    """Not as that of the version which the spec names and which was refused."""
    world = watched(compare={"features": ["/age"]}, gates=[])
    world.spec, world.generation = {**world.spec, "runtime": "vllm"}, world.generation + 1
    world.dirty = True
    assert world.run(30, until=lambda w: w.status.rollout is not None)
    assert world.status.candidate is not None
    world.annotate("abort", f"{world.status.candidate.revision}/1")
    assert world.run(60, until=lambda w: w.status.rollout is None)
    world.run(20)
    (name,) = inspectors(world)
    container = world.found("Deployment")[name]["spec"]["template"]["spec"]["containers"][0]
    assert json.loads(container["env"][0]["value"])["protocol"] == "OpenInference"


def test_a_spec_that_is_refused_changes_nothing_that_is_watched() -> None:
    world = watched()
    world.run(60)
    ours = inspectors(world)
    world.spec, world.generation, world.dirty = {**world.spec, "runtime": "nobody"}, world.generation + 1, True
    world.run(60)
    assert world.condition(conditions.ACCEPTED)[0] == "False"
    assert (inspectors(world), set(mirrored(world))) == (ours, ours)
    world.ages = OLDER
    assert world.run(600, until=drifted)


def test_without_a_pod_of_the_model_nothing_is_mirrored() -> None:
    world = watched()
    world.stopped.add(world.revision("1"))
    assert world.run(10, until=lambda w: mirrored(w) == {})


def test_an_inspector_that_does_not_start_is_no_data_and_says_why() -> None:
    world = watched(watch={**WATCH, "percent": 50})
    name = of(world, "1")
    world.stopped.add(name)
    world.run(30)
    assert world.condition(conditions.DRIFTED) == ("Unknown", "InspectorNotReady")
    assert (world.failed_requests, world.condition(conditions.READY)[0]) == (0, "True")


def test_a_reference_that_is_not_of_these_requests() -> None:
    world = watched()
    world.ages = None
    world.evict(of(world, "1"))
    assert world.run(120, until=lambda w: w.condition(conditions.DRIFTED) == ("Unknown", "ReferenceMismatch"))
    assert "the reference names feature /age, and no request or answer has it" in world.message(conditions.DRIFTED)


def test_without_a_reference_a_week_is_learnt_first() -> None:
    world = watched(model={})
    assert world.run(60, until=lambda w: w.condition(conditions.DRIFTED) == ("Unknown", "Learning"))
    assert "until 2026-01-08 12:0" in world.message(conditions.DRIFTED)
    world.ages = OLDER
    world.run(600)
    assert world.condition(conditions.DRIFTED) == ("Unknown", "Learning")


def test_what_is_known_survives_the_operator() -> None:
    world = watched()
    world.run(700)  # it is written every ten minutes
    stored = world.found("ModelRevision")[world.revision("1")]["status"].drift
    assert stored is not None
    assert len(stored) < 20_000
    known = vigil.load(stored, revision=world.revision("1"))
    assert known.state is not None
    assert known.dump() == stored
    world.ages = OLDER
    world.run(20)  # not enough to be found
    world.vigil, world.watch, world.dirty = None, None, True
    world.run(1)
    assert world.vigil is not None
    assert world.vigil.looked_at is not None
    assert world.now - world.vigil.looked_at < vigil.SAVE_EVERY + timedelta(seconds=60)
    assert world.run(600, until=drifted)


def test_what_cannot_be_read_is_begun_anew() -> None:
    assert vigil.load("nonsense", revision="churn-1") == vigil.Vigil(revision="churn-1")


def test_prometheus_that_is_silent_is_no_drift_and_no_proof_of_none() -> None:
    world = watched()
    world.run(60)
    world.prometheus = False
    assert world.run(120, until=lambda w: w.condition(conditions.DRIFTED) == ("Unknown", "NoData"))
    assert "Prometheus did not answer" in world.message(conditions.DRIFTED)
