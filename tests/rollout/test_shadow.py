"""Shadow steps: copies of requests are answered by both versions, and what they answer is compared before users see any of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pointsman.api import conditions, names
from pointsman.rollout import record
from pointsman.rollout.plan import Apply
from tests.rollout.examples import LEAST, rollout, serving
from tests.rollout.surroundings import SLOW, Behaviour
from tests.rollout.world import World

SHADOW: dict[str, Any] = {"shadow": {"percent": 20}, "hold": "30s"}
CANARY: dict[str, Any] = {"canary": {"percent": 25}, "hold": "30s"}
APPROVAL: dict[str, Any] = {"approval": {}}
ERRORS = {"name": "errors", "signal": "Errors", "tolerance": {"ratio": "1.5", "points": "0.5"}}
LATENCY = {"name": "latency", "signal": "Latency", "tolerance": {"ratio": "1.5"}, "quantiles": ["0.5", "0.9"]}
SCORES = {"name": "scores", "signal": "PredictionDrift", "tolerance": {"points": "5"}}
AGREEMENT = {"name": "answers", "signal": "Agreement", "atLeast": "99"}


def shadowing(*steps: dict[str, Any], **options: Any) -> World:
    """A world whose second version is about to be shadowed."""
    gates = options.pop("gates", [ERRORS, LATENCY, AGREEMENT])
    compare = {"protocol": "OpenInference"}
    world = serving(spec=rollout(steps=list(steps), gates=gates, compare=compare), rps=300.0, **options)
    world.apply(version="2")
    return world


def mirrored(world: World) -> int:
    """Percent of the requests that are copied."""
    filters = world.found("HTTPRoute")["churn"]["spec"]["rules"][0].get("filters", ())
    return sum(one["requestMirror"]["percent"] for one in filters)


def inspected(world: World) -> bool:
    """Whether an inspector is there."""
    name = names.inspector(world.revision("2"))
    return name in world.found("Deployment") and name in world.found("Service")


def seen(world: World) -> list[tuple[str, int, float]]:
    """The phases, what was mirrored and the candidate's share, in the order in which they came."""
    found: list[tuple[str, int, float]] = []

    def look(w: World) -> None:
        now = (w.running.phase, mirrored(w), w.share) if w.status.rollout else ("", mirrored(w), w.share)
        if now not in found[-1:]:
            found.append(now)

    world.watchers.append(look)
    assert world.run(1800, until=lambda w: bool(w.outcomes)), world.status.rollout
    world.run(10)
    return found


def test_a_shadow_and_then_a_canary() -> None:
    world = shadowing(SHADOW, CANARY)
    course = seen(world)
    assert world.outcomes == [("2", "Promoted", "Proven")]
    assert [one for one in course if one[1]] == [("Shadow", 20, 0.0)]
    after = [share for phase, _, share in course if phase == "Canary"]
    assert after[-3:] == [0.0, LEAST, 0.25] or after[-2:] == [LEAST, 0.25]
    assert world.failed_requests == 0
    assert not inspected(world)


def test_a_share_rises_after_the_copies_have_ended_and_its_step_is_written_down() -> None:
    """What takes copies away waits for no status; what gives users to the candidate does."""
    world = shadowing(SHADOW, CANARY)
    seen(world)
    lowering = [
        write.object["spec"]["rules"][0]
        for plan in world.plans
        for write in plan.lower
        if isinstance(write, Apply) and write.object["kind"] == "HTTPRoute"
    ]
    assert [len(rule["backendRefs"]) for rule in lowering] == [1]
    assert "filters" not in lowering[0]


@pytest.mark.parametrize(
    ("behaviour", "gate"),
    [
        pytest.param(Behaviour(differs=0.2), "answers", id="fast, never fails, and wrong"),
        pytest.param(Behaviour(failures=0.3), "errors", id="fails"),
        pytest.param(Behaviour(latency=SLOW), "latency", id="slow"),
    ],
)
def test_harm_is_found_before_a_user_sees_it(behaviour: Behaviour, gate: str) -> None:
    world = shadowing(SHADOW, CANARY, behaviour={"2": behaviour})
    course = seen(world)
    assert world.outcomes == [("2", "RolledBack", "Harm")]
    assert gate in (world.status.history[0].gate or "")
    assert max(share for _, _, share in course) == 0
    assert (mirrored(world), inspected(world)) == (0, False)
    assert world.failed_requests == 0


def test_predictions_that_keep_their_distribution_are_proven_in_the_shadow() -> None:
    world = shadowing(SHADOW, CANARY, gates=[ERRORS, SCORES])
    course = seen(world)
    assert world.outcomes == [("2", "Promoted", "Proven")]
    assert [one for one in course if one[1]] == [("Shadow", 20, 0.0)]


def test_predictions_that_move_are_harm_and_it_is_said_which_and_how_far() -> None:
    behaviour = {"2": Behaviour(scores=(0.4, 0.3, 0.05, 0.25))}
    world = shadowing(SHADOW, CANARY, gates=[ERRORS, SCORES], behaviour=behaviour)
    course = seen(world)
    assert world.outcomes == [("2", "RolledBack", "Harm")]
    assert world.status.history[0].gate == "scores"
    assert re.search(
        r"scores: Harm: score over 0.75: 2\d(\.\d)? % of the candidate's predictions, \d+(\.\d)? % of stable's: proven that a tail of"
        r" the predictions moved by more than 5 points",
        world.status.history[0].message,
    )
    assert max(share for _, _, share in course) == 0


def test_what_predictions_have_shown_survives_the_operator() -> None:
    """Evidence of the inspector's counters is resumed from the revision's record as that of any other gate."""
    world = shadowing(SHADOW, CANARY, gates=[ERRORS, SCORES])
    assert world.run(200, until=lambda w: mirrored(w) == 20)
    world.run(70)  # it is written once a minute
    known = world.evidence
    stored = world.found("ModelRevision")[world.revision("2")]["status"]
    world.evidence = None
    world.run(1)
    assert known is not None
    assert record.load(stored.evidence, revision=known.revision, looked_at=stored.looked_at) is not None
    assert world.run(600, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")])


def test_without_proof_that_the_answers_agree_the_shadow_goes_on() -> None:
    """One percent is what may differ: nobody can say of this version whether it does more."""
    world = shadowing(SHADOW, CANARY, behaviour={"2": Behaviour(differs=0.01)})
    assert world.run(200, until=lambda w: mirrored(w) == 20)
    world.run(300)
    assert (world.running.phase, world.share, world.outcomes) == ("Shadow", 0, [])
    assert "waiting for proof: answers is Undecided" in world.running.message


def test_a_shadow_that_ends_in_approval() -> None:
    world = shadowing(SHADOW, APPROVAL)
    assert world.run(300, until=lambda w: w.running.phase == "AwaitingApproval")
    world.run(60)
    assert (mirrored(world), world.share, world.outcomes) == (20, 0, [])
    world.annotate("approve", f"{world.revision('2')}/1/2")
    assert world.run(300, until=lambda w: w.outcomes == [("2", "Promoted", "Approved")])
    assert mirrored(world) == 0


def test_a_dead_inspector_proves_nothing_and_harms_nobody() -> None:
    world = shadowing(SHADOW, CANARY)
    assert world.run(200, until=lambda w: mirrored(w) == 20)
    name = names.inspector(world.revision("2"))
    world.stopped.add(name)
    world.run(300)
    assert (world.running.phase, world.share, world.outcomes, world.failed_requests) == ("Shadow", 0, [], 0)
    assert "no target for the inspector" in world.running.message
    world.stopped.clear()
    assert world.run(600, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")])


def test_a_candidate_without_pods_gets_no_copies() -> None:
    world = shadowing(SHADOW, CANARY)
    assert world.run(200, until=lambda w: mirrored(w) == 20)
    world.stopped.add(world.revision("2"))
    assert world.run(10, until=lambda w: mirrored(w) == 0)
    assert world.outcomes == []


@pytest.mark.parametrize("prometheus", [True, False])
def test_an_abort_ends_the_shadow(prometheus: bool) -> None:  # noqa: FBT001  a case
    world = shadowing(SHADOW, CANARY)
    assert world.run(200, until=lambda w: mirrored(w) == 20)
    world.prometheus = prometheus
    world.annotate("abort", f"{world.revision('2')}/1")
    world.run(1)
    assert mirrored(world) == 0
    assert world.run(60, until=lambda w: w.outcomes == [("2", "Aborted", "Aborted")] and not inspected(w))


def test_why_an_inspector_is_not_ready_is_said_where_people_look() -> None:
    world = shadowing(SHADOW, CANARY)
    name = names.inspector(world.revision("2"))
    world.stuck.add(name)
    assert world.run(60, until=lambda w: w.status.rollout is not None and w.running.phase == "Shadow")
    world.run(300)
    said = "its inspector is not ready: ImagePullBackOff: no such image (churn-i"
    assert (world.running.phase, mirrored(world), world.outcomes) == ("Shadow", 0, [])
    assert said in world.running.message
    observed = conditions.find(world.status.conditions, conditions.OBSERVED)
    assert observed is not None
    assert (observed.status, said in observed.message) == ("False", True), observed
    world.stuck.clear()
    assert world.run(600, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")])
