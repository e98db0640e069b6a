from __future__ import annotations

from typing import Any

import pytest

from pointsman.cluster.cache import Cache, Change
from pointsman.cluster.kinds import (
    AUTOSCALER,
    GATEWAY,
    GATEWAY_CLASS,
    MODEL_DEPLOYMENT,
    MODEL_RUNTIME,
    ROLLOUT_POLICY,
    SERVICE,
    WORKLOAD,
)
from pointsman.controller.claims import Claims
from pointsman.controller.keys import Key
from pointsman.controller.routing import concerned
from tests.cluster.objects import model, obj, revision

TRAFFIC = {"parentRefs": [{"name": "models", "namespace": "gateways"}], "hostnames": ["a"]}
MODELS = [
    model("named", runtime="mlserver", rollout={"policy": "careful"}),
    model("routed", runtime="triton", traffic=TRAFFIC),
    {**model("by-format"), "spec": {"model": {"version": "1", "format": {"name": "sklearn"}}}},
    {**model("template"), "spec": {"model": {"version": "1"}, "template": {}}},
]


def child(kind: Any, owner: str) -> dict[str, Any]:
    return obj(kind, "x", metadata={"labels": {"pointsman.dev/deployment": owner}})


def generation(number: int) -> dict[str, Any]:
    return {"generation": number}


def new(after: dict[str, Any]) -> Change:
    return Change(before=None, after=after)


def gone(before: dict[str, Any]) -> Change:
    return Change(before=before, after=None)


def hpa(owner: str, version: int = 1, **spec: Any) -> dict[str, Any]:
    return obj(AUTOSCALER, "x", version, metadata={"labels": {"pointsman.dev/deployment": owner}}, spec=spec)


def gateway(of_class: str, version: int = 1) -> dict[str, Any]:
    return obj(GATEWAY, "models", version, namespace="gateways", spec={"gatewayClassName": of_class})


def gateway_class(name: str, version: int = 1, *features: str) -> dict[str, Any]:
    status = {"supportedFeatures": [{"name": feature} for feature in features]}
    return obj(GATEWAY_CLASS, name, version, status=status)


CHANGES = [
    pytest.param(new(model("churn")), {"churn"}, id="a ModelDeployment: itself"),
    pytest.param(gone(model("churn")), {"churn"}, id="gone: itself, to be forgotten"),
    pytest.param(new(revision("churn-1", "churn")), {"churn"}, id="a revision: its ModelDeployment"),
    pytest.param(new(child(WORKLOAD, "churn")), {"churn"}, id="a Deployment: its ModelDeployment"),
    pytest.param(gone(child(SERVICE, "churn")), {"churn"}, id="a Service that was deleted by hand"),
    pytest.param(
        Change(before=child(SERVICE, "churn"), after=child(SERVICE, "fraud")), {"churn", "fraud"}, id="changed hands"
    ),
    pytest.param(new(obj(SERVICE, "x")), set(), id="nobody's"),
    pytest.param(
        new(obj(MODEL_RUNTIME, "mlserver")), {"named", "by-format"}, id="a runtime: who names it, or finds it by format"
    ),
    pytest.param(new(obj(ROLLOUT_POLICY, "careful")), {"named"}, id="a policy: who names it"),
    pytest.param(
        Change(
            before=obj(MODEL_RUNTIME, "mlserver", metadata=generation(1)),
            after=obj(MODEL_RUNTIME, "mlserver", 2, metadata=generation(1)),
        ),
        set(),
        id="a runtime's status: nobody",
    ),
    pytest.param(new(obj(GATEWAY, "models", namespace="gateways")), {"routed"}, id="a Gateway appears"),
    pytest.param(gone(obj(GATEWAY, "models", namespace="gateways")), {"routed"}, id="a Gateway goes"),
    pytest.param(
        Change(
            before=obj(GATEWAY, "models", namespace="gateways"), after=obj(GATEWAY, "models", 2, namespace="gateways")
        ),
        set(),
        id="a Gateway's status: nobody",
    ),
    pytest.param(
        Change(before=gateway("eg"), after=gateway("contour", 2)), {"routed"}, id="a Gateway changes its class"
    ),
    pytest.param(new(gateway_class("eg")), {"routed"}, id="a GatewayClass appears: who is on its Gateways"),
    pytest.param(gone(gateway_class("eg")), {"routed"}, id="a GatewayClass goes"),
    pytest.param(new(gateway_class("contour")), set(), id="a GatewayClass that no Gateway has: nobody"),
    pytest.param(
        Change(before=gateway_class("eg"), after=gateway_class("eg", 2, "Mesh")),
        {"routed"},
        id="a class learns to do more",
    ),
    pytest.param(
        Change(before=gateway_class("eg"), after=gateway_class("eg", 2)), set(), id="another status of a class: nobody"
    ),
    pytest.param(
        Change(before=hpa("churn"), after=hpa("churn", 2)), set(), id="an HPA says what it sees, all the time: nobody"
    ),
    pytest.param(
        Change(before=hpa("churn"), after=hpa("churn", 2, maxReplicas=9)), {"churn"}, id="an HPA edited: its owner"
    ),
    pytest.param(gone(hpa("churn")), {"churn"}, id="an HPA that was deleted by hand"),
]


@pytest.mark.parametrize(("change", "names"), CHANGES)
def test_whom_a_change_concerns(change: Change, names: set[str]) -> None:
    cache, claims = Cache(), Claims()
    cache.put(gateway("eg"))
    for one in MODELS:
        cache.put(one)
        claims.update(new(one))
    found = concerned(change, cache, claims)
    assert {key.name for key in found if key.kind == MODEL_DEPLOYMENT.name} == names


def test_a_runtime_or_policy_is_judged_itself_and_a_runtime_with_all_the_others() -> None:
    cache = Cache()
    for name in ("mlserver", "triton"):
        cache.put(obj(MODEL_RUNTIME, name))
    for kind, name, judged in (
        (MODEL_RUNTIME, "triton", {"mlserver", "triton"}),
        (ROLLOUT_POLICY, "careful", {"careful"}),
    ):
        assert {key.name for key in concerned(new(obj(kind, name)), cache, Claims())} == judged


@pytest.mark.parametrize("kind", [MODEL_RUNTIME, ROLLOUT_POLICY])
def test_a_status_that_somebody_wrote_over_ours_is_judged_again(kind: Any) -> None:
    cache, meta = Cache(), generation(1)
    edited = Change(before=obj(kind, "a", metadata=meta), after=obj(kind, "a", 2, metadata=meta))
    assert concerned(edited, cache, Claims()) == {Key(kind.name, "", "a")}
