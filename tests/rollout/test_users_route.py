"""A rollout on a route of the user's: our part is switched, theirs stays, and a manifest applied again is no decision."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rollout.examples import LEAST, MLSERVER, rollout, spec
from tests.rollout.surroundings import Behaviour
from tests.rollout.world import World

HEADERS = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-team", "value": "ml"}]}}
OTHERS: dict[str, Any] = {
    "matches": [{"path": {"type": "Exact", "value": "/healthz"}}],
    "backendRefs": [{"name": "prober", "port": 80}],
}
ROUTE: dict[str, Any] = {
    "parentRefs": [{"name": "models", "namespace": "gw"}],
    "hostnames": ["churn.example.com"],
    "rules": [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "filters": [HEADERS],
            "timeouts": {"request": "3s"},
            "backendRefs": [{"name": "churn", "port": 80}],
        },
        OTHERS,
    ],
}
REFERRING = {"routeRef": {"name": "churn"}}


def referring(**options: Any) -> World:
    """A world whose first version serves behind the user's route."""
    world = World(spec={**spec(), "traffic": REFERRING, **options}, runtimes={"mlserver": MLSERVER})
    world.apply_route("churn", ROUTE)
    assert world.run(30, until=lambda w: w.condition("UpToDate")[0] == "True")
    world.run(20)
    world.failed_requests = 0
    return world


def route(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.objects["HTTPRoute", "churn"]["spec"]
    return found


def theirs(world: World) -> dict[str, Any]:
    """The route without the backends of its first rule."""
    first, *others = route(world)["rules"]
    return {**route(world), "rules": [{k: v for k, v in first.items() if k != "backendRefs"}, *others]}


def candidates(world: World) -> float:
    return float(world.shares().get(world.revision("2"), 0.0))


def test_a_promotion_touches_only_the_models_backends() -> None:
    world = referring()
    assert route(world) == ROUTE  # nothing to switch, nothing written
    before = theirs(world)
    seen: list[float] = []

    def look(w: World) -> None:
        assert theirs(w) == before
        seen.extend([candidates(w)] if candidates(w) not in seen[-1:] else [])

    world.watchers.append(look)
    world.apply(version="2")
    assert world.run(1800, until=lambda w: bool(w.outcomes))
    assert world.outcomes == [("2", "Promoted", "Proven")]
    world.run(30)
    assert (seen[:5], seen[-1]) == ([0.0, LEAST, 0.05, 0.25, 0.5], 1.0)
    assert world.failed_requests == 0
    assert world.status.url == "http://churn.example.com"
    assert [b["name"] for b in route(world)["rules"][0]["backendRefs"] if b["weight"]] == [world.revision("2")]


def test_harm_takes_the_traffic_back() -> None:
    world = referring()
    world.behaviour["2"] = Behaviour(failures=0.3)
    world.apply(version="2")
    assert world.run(900, until=lambda w: bool(w.outcomes))
    assert world.outcomes == [("2", "RolledBack", "Harm")]
    assert candidates(world) == 0
    world.run(60)
    assert world.shares() == {world.revision("1"): 1.0}


@pytest.mark.parametrize("prometheus", [True, False], ids=["seen", "blind"])
def test_the_manifest_applied_again_is_safe_and_the_share_returns_after_a_fresh_look(*, prometheus: bool) -> None:
    world = referring()
    world.apply(version="2")
    assert world.run(900, until=lambda w: candidates(w) == 0.25)
    world.prometheus = prometheus
    world.apply_route("churn", {**ROUTE, "rules": [{**ROUTE["rules"][0], "timeouts": {"request": "9s"}}, OTHERS]})
    assert candidates(world) == 0.0
    assert world.run(60, until=lambda w: candidates(w) == 0.25) is prometheus
    assert route(world)["rules"][0]["timeouts"] == {"request": "9s"}
    told = [event.reason for event in world.events if event.reason == "SetBack"]
    assert told == (["SetBack"] if prometheus else [])


def test_the_model_keeps_its_part_of_a_rule() -> None:
    world = referring()
    shared = [{"name": "churn", "port": 80, "weight": 9}, {"name": "legacy", "port": 80, "weight": 1}]
    world.apply_route("churn", {**ROUTE, "rules": [{**ROUTE["rules"][0], "backendRefs": shared}, OTHERS]})
    world.apply(version="2")
    assert world.run(900, until=lambda w: candidates(w) == pytest.approx(0.9 * 0.25))
    assert world.shares()["legacy"] == pytest.approx(0.1)


def test_abort_wins_whatever_was_applied() -> None:
    world = referring()
    world.apply(version="2")
    assert world.run(900, until=lambda w: candidates(w) == 0.25)
    world.annotate("abort", f"{world.revision('2')}/1")
    world.tick_once()
    assert candidates(world) == 0.0
    decided = world.objects["HTTPRoute", "churn"]["metadata"]["annotations"]["pointsman.dev/decided"]
    assert decided == f"{world.revision('2')}/1/Aborted/Aborted"


def test_our_own_route_goes_when_the_users_is_obeyed_and_not_before() -> None:
    world = World(spec=spec(), runtimes={"mlserver": MLSERVER})
    assert world.run(30, until=lambda w: w.condition("UpToDate")[0] == "True")
    world.spec = {**world.spec, "traffic": {"routeRef": {"name": "mine"}}}
    world.apply()
    world.run(5)
    assert world.condition("Accepted") == ("False", "RouteNotFound")
    assert ("HTTPRoute", "churn") in world.objects
    assert world.condition("Ready")[0] == "True"
    world.apply_route("mine", ROUTE)
    world.gateway = False
    world.run(5)
    assert ("HTTPRoute", "churn") in world.objects
    mine = world.objects["HTTPRoute", "mine"]
    world.say("HTTPRoute", "mine", {**world.objects["HTTPRoute", "churn"]["status"]})
    for parent in mine["status"]["parents"]:
        for one in parent["conditions"]:
            one["observedGeneration"] = mine["metadata"]["generation"]
    world._touch(mine)
    world.run(5)
    assert ("HTTPRoute", "churn") not in world.objects
    assert world.condition("Accepted")[0] == "True"


REFUSED = {
    "no route": (None, "RouteNotFound", "has the label `pointsman.dev/deployment: churn`"),
    "no backend": ({**ROUTE, "rules": [OTHERS]}, "RouteUnusable", "write `backendRefs: [{name: churn, port: 80}]`"),
}


@pytest.mark.parametrize(("written", "reason", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_route_that_cannot_be_switched_is_said(written: dict[str, Any] | None, reason: str, said: str) -> None:
    world = World(spec={**rollout(), "traffic": REFERRING}, runtimes={"mlserver": MLSERVER})
    if written is not None:
        world.apply_route("churn", written)
    world.run(10)
    assert world.condition("Accepted") == ("False", reason)
    assert said in world.message("Accepted")


def test_the_gateway_cannot_be_asked_there() -> None:
    gates = [{"name": "errors", "signal": "Errors", "source": "Gateway"}]
    world = World(
        spec={**rollout(gates=gates), "traffic": REFERRING},
        runtimes={"mlserver": MLSERVER},
        gateway_metrics="envoy-gateway",
    )
    world.apply_route("churn", ROUTE)
    world.run(10)
    assert world.condition("Accepted") == ("False", "GateUnanswerable")
    assert "write `source: Runtime`" in world.message("Accepted")


def test_a_route_that_is_deleted_is_its_owners_to_make_again() -> None:
    world = referring()
    world.delete("HTTPRoute", "churn")
    world.run(10)
    assert ("HTTPRoute", "churn") not in world.objects
    assert world.condition("Accepted") == ("False", "RouteNotFound")
    assert world.condition("Ready")[0] == "False"
    world.apply_route("churn", ROUTE)
    world.run(10)
    assert (world.condition("Accepted")[0], world.condition("Ready")[0]) == ("True", "True")
    assert route(world) == ROUTE
