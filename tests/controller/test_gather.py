from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pointsman.api.modeldeployment import ModelDeploymentStatus
from pointsman.cluster.cache import Cache, Change
from pointsman.cluster.kinds import (
    GATEWAY,
    GATEWAY_CLASS,
    MODEL_RUNTIME,
    ROLLOUT_POLICY,
    ROUTE,
    SERVICE,
    WORKLOAD,
)
from pointsman.controller.claims import Claims
from pointsman.controller.gateways import features_of
from pointsman.controller.gather import Gatherer
from pointsman.controller.keys import deployment
from pointsman.controller.memory import Memory
from pointsman.errors import Terminal
from pointsman.rollout.observed import Gateway, Settings
from tests.cluster.objects import model, obj, revision

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = deployment(("ml", "churn"))
OURS = {"labels": {"pointsman.dev/deployment": "churn"}}
GOING = {**OURS, "deletionTimestamp": "2026-01-01T00:00:00Z"}
TRAFFIC = {"parentRefs": [{"name": "models", "namespace": "gateways"}], "hostnames": ["churn.example.com"]}
RUNTIME = {
    "formats": [{"name": "sklearn"}],
    "template": {"spec": {"containers": [{"name": "model", "image": "x"}]}},
    "port": "http",
}


class Scene:
    def __init__(self, *objects: dict[str, Any]) -> None:
        self.cache, self.claims = Cache(), Claims()
        self.gatherer = Gatherer(self.cache, self.claims, Settings(storage_initializer="x"))
        for one in objects:
            self.cache.put(one)
            if one["kind"] == "ModelDeployment":
                self.claims.update(Change(before=None, after=one))

    def observe(self, memory: Memory | None = None, at: datetime = NOW) -> Any:
        return self.gatherer.observe(KEY, memory or Memory(), at)


USERS = {"labels": {"pointsman.dev/deployment": "churn", "team": "ml"}}
MADE = {"labels": {"pointsman.dev/deployment": "churn", "app.kubernetes.io/managed-by": "pointsman"}}
OF_ANOTHER = {"labels": {"pointsman.dev/deployment": "fraud"}}
REFERRED: dict[str, tuple[str, list[Any], tuple[str | None, str | None]]] = {
    "a route of the user's": ("mine", [obj(ROUTE, "mine", metadata=USERS, spec={})], (None, "mine")),
    "beside one of ours": (
        "mine",
        [obj(ROUTE, "mine", metadata=USERS, spec={}), obj(ROUTE, "churn", metadata=MADE, spec={})],
        ("churn", "mine"),
    ),
    "of our own name": ("churn", [obj(ROUTE, "churn", metadata=USERS, spec={})], (None, "churn")),
    "ours is none of the user's": ("churn", [obj(ROUTE, "churn", metadata=MADE, spec={})], ("churn", None)),
    "for another model": ("mine", [obj(ROUTE, "mine", metadata=OF_ANOTHER, spec={})], (None, None)),
    "on its way out": (
        "mine",
        [obj(ROUTE, "mine", metadata={**USERS, "deletionTimestamp": "2026-01-01T00:00:00Z"})],
        (None, None),
    ),
    "of another namespace": ("mine", [obj(ROUTE, "mine", namespace="other", metadata=USERS, spec={})], (None, None)),
}


@pytest.mark.parametrize(("named", "there", "found"), REFERRED.values(), ids=REFERRED.keys())
def test_the_route_that_is_referred_to(
    named: str, there: list[dict[str, Any]], found: tuple[str | None, str | None]
) -> None:
    seen = Scene(model("churn", traffic={"routeRef": {"name": named}}), *there).observe()
    routes = (seen.route, seen.users_route)
    assert tuple(None if one is None else one["metadata"]["name"] for one in routes) == found


def test_the_gateways_of_a_route_that_is_referred_to() -> None:
    spec = {"parentRefs": [{"name": "edge", "namespace": "gateways"}]}
    seen = Scene(
        model("churn", traffic={"routeRef": {"name": "mine"}}),
        obj(ROUTE, "mine", metadata=USERS, spec=spec),
        obj(GATEWAY, "edge", namespace="gateways", spec={"gatewayClassName": "eg"}),
    ).observe()
    assert list(seen.gateways) == ["gateways/edge"]


def test_what_belongs_to_it_and_nothing_else() -> None:
    scene = Scene(
        model("churn", traffic=TRAFFIC),
        model("fraud"),
        revision("churn-1", "churn"),
        revision("fraud-1", "fraud"),
        obj(WORKLOAD, "churn-1", metadata=OURS),
        obj(WORKLOAD, "churn-2", metadata=GOING),
        obj(SERVICE, "churn", metadata=OURS),
        obj(SERVICE, "churn-1", metadata=OURS),
        obj(SERVICE, "churn-1", namespace="other", metadata=OURS),
        obj(ROUTE, "churn", metadata=OURS),
        obj(GATEWAY, "models", namespace="gateways", spec={"gatewayClassName": "eg"}),
        obj(GATEWAY, "others", namespace="gateways", spec={"gatewayClassName": "eg"}),
        obj(MODEL_RUNTIME, "mlserver", metadata={"generation": 3}, spec=RUNTIME),
        obj(ROLLOUT_POLICY, "careful", spec={}),
    )
    seen = scene.observe()
    assert seen.deployment.name == "churn"
    assert seen.deployment.written["model"] == {"version": "1"}
    assert set(seen.revisions) == {"churn-1"}
    assert set(seen.workloads) == {"churn-1"}
    assert set(seen.services) == {"churn", "churn-1"}
    assert seen.route["metadata"]["name"] == "churn"
    assert seen.gateways == {"gateways/models": Gateway(gateway_class="eg", features=None)}
    assert seen.runtimes["mlserver"].generation == 3
    assert set(seen.policies) == {"careful"}
    assert (seen.holder, seen.evidence, seen.reading, seen.pods) == (None, None, None, {})


def test_who_holds_its_hostname() -> None:
    held = Scene(model("churn", since=2, traffic=TRAFFIC), model("older", since=1, traffic=TRAFFIC)).observe().holder
    assert (held.hostname, held.gateway, held.deployment) == ("churn.example.com", "gateways/models", "ml/older")


@pytest.mark.parametrize(
    ("status", "features"),
    [
        ({"supportedFeatures": [{"name": "HTTPRoute"}, {"name": "Mesh"}]}, {"HTTPRoute", "Mesh"}),
        ({"supportedFeatures": ["HTTPRoute", "Mesh"]}, {"HTTPRoute", "Mesh"}),  # Gateway API before 1.2
        ({"supportedFeatures": []}, set()),
        ({"supportedFeatures": [{"name": "HTTPRoute"}, 7, {"name": None}, None]}, {"HTTPRoute"}),
        ({"supportedFeatures": "HTTPRoute"}, None),
        ({"supportedFeatures": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_what_its_gateways_class_says_it_can(status: Any, features: set[str] | None) -> None:
    scene = Scene(
        model("churn", traffic=TRAFFIC),
        obj(GATEWAY, "models", namespace="gateways", spec={"gatewayClassName": "eg"}),
        obj(GATEWAY_CLASS, "eg", **({} if status is None else {"status": status})),
        obj(GATEWAY_CLASS, "other", status={"supportedFeatures": [{"name": "Nothing"}]}),
    )
    assert scene.observe().gateways == {"gateways/models": Gateway(gateway_class="eg", features=features)}


def test_what_is_known_of_a_class_that_says_nothing_counts() -> None:
    def features(**status: Any) -> frozenset[str] | None:
        return features_of(obj(GATEWAY_CLASS, "eg", spec={"controllerName": envoy}, status=status))

    envoy = "gateway.envoyproxy.io/gatewayclass-controller"
    assert features() == {"HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"}
    assert features(supportedFeatures=[]) == set()
    envoy = "example.com/gateway"
    assert features() is None


def test_refusals_are_believed_for_a_while() -> None:
    scene, memory = Scene(model("churn")), Memory()
    memory.refuse("churn-2", "no", NOW)
    assert scene.observe(memory).refusals == {"churn-2": "no"}
    assert scene.observe(memory, NOW + timedelta(minutes=2)).refusals == {}


def test_an_object_is_read_again_only_when_it_has_changed() -> None:
    scene = Scene(model("churn"), revision("churn-1", "churn", 5))
    first = scene.observe().revisions["churn-1"]
    assert scene.observe().revisions["churn-1"] is first
    scene.cache.put({**revision("churn-1", "churn", 6), "status": {"state": "Stable"}})
    again = scene.observe().revisions["churn-1"]
    assert (first.status.state, again.status.state) == (None, "Stable")


BAD = [
    ({"metadata": {"generation": 1}, "spec": {}}, r"ModelDeployment ml/churn: spec\.model: Field required"),
    (
        {"metadata": {"generation": 1}, "spec": {"model": {"version": "1"}, "replicas": "two"}},
        r"ModelDeployment ml/churn: spec\.replicas: .*integer",
    ),
]


@pytest.mark.parametrize(("parts", "sentence"), BAD)
def test_what_its_schema_should_have_prevented_is_a_sentence(parts: dict[str, Any], sentence: str) -> None:
    bad = {**model("churn"), "spec": parts["spec"]}
    with pytest.raises(Terminal, match=sentence + ".*apply it again"):
        Scene(bad).observe()


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        ({"candidate": {"revision": 5}, "observedGeneration": 3}, {"observedGeneration": 3}),
        ({"rollout": {"step": "one"}, "history": "none", "actions": []}, {"actions": []}),
    ],
)
def test_what_hands_wrote_into_a_status_stops_nothing(status: dict[str, Any], kept: dict[str, Any]) -> None:
    seen = Scene({**model("churn"), "status": status}).observe()
    assert seen.deployment.status == ModelDeploymentStatus.model_validate(kept)


def test_gone_or_going_there_is_nothing_to_decide() -> None:
    assert Scene().observe() is None
    going = model("churn")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert Scene(going).observe() is None
