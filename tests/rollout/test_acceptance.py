"""A spec that cannot be acted on: the reason and the sentence, nothing that runs changes, and it heals by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pointsman.rollout.decision import decide
from pointsman.rollout.observed import Gateway, Holder
from tests.rollout.examples import MLSERVER, serving, spec
from tests.rollout.world import MIRRORING, World

Change = Callable[[World], None]


@dataclass(frozen=True)
class Fault:
    """A spec or a cluster with one thing wrong.

    spec   what the user applies
    world  what happens in the cluster at that moment
    heal   what makes the cause go away
    """

    reason: str
    says: str
    heal: Change
    spec: dict[str, Any] = field(default_factory=dict)
    world: Change = lambda _: None


def runtime(**changes: Any) -> dict[str, Any]:
    return {**MLSERVER, **changes}


def without_latency() -> dict[str, Any]:
    return runtime(metrics={key: value for key, value in MLSERVER["metrics"].items() if key != "latency"})


def with_rollout(**changes: Any) -> dict[str, Any]:
    return {"rollout": {**spec()["rollout"], **changes}}


FAULTS = [
    Fault(
        reason="RuntimeNotFound",
        says="no ModelRuntime is named 'triton'; there are: mlserver",
        spec={"runtime": "triton"},
        heal=lambda w: w.runtimes.update(triton=MLSERVER),
    ),
    Fault(
        reason="RuntimeNotFound",
        says="no ModelRuntime serves 'onnx' by autoSelect; name one in spec.runtime",
        spec={"model": {"version": "2", "format": {"name": "onnx"}}},
        heal=lambda w: w.runtimes.update(ort=runtime(formats=[{"name": "onnx", "autoSelect": True}])),
    ),
    Fault(
        reason="AmbiguousRuntime",
        says="mlserver and other both serve 'sklearn' by autoSelect; name one in spec.runtime",
        world=lambda w: w.runtimes.update(other=MLSERVER),
        heal=lambda w: w.runtimes.pop("other"),
    ),
    Fault(
        reason="InvalidTemplate",
        says="model",
        spec={"runtime": "empty"},
        world=lambda w: w.runtimes.update(empty=runtime(template={"spec": {"containers": [{"name": "other"}]}})),
        heal=lambda w: w.runtimes.update(empty=MLSERVER),
    ),
    Fault(
        reason="PolicyNotFound",
        says="no RolloutPolicy is named 'careful'; there are: none",
        spec=with_rollout(policy="careful"),
        heal=lambda w: w.policies.update(careful={}),
    ),
    Fault(
        reason="InvalidPolicy",
        says="the rollout policy in force: steps[1].canary.percent is 5",
        spec={"rollout": {"policy": "wrong"}},
        world=lambda w: w.policies.update(wrong={"steps": [{"canary": {"percent": 9}}, {"canary": {"percent": 5}}]}),
        heal=lambda w: w.policies.update(wrong={"steps": [{"canary": {"percent": 5}}]}),
    ),
    Fault(
        reason="GateUnanswerable",
        says="gate 'latency' cannot be answered",
        world=lambda w: w.runtimes.update(mlserver=without_latency()),
        heal=lambda w: w.runtimes.update(mlserver=MLSERVER),
    ),
    Fault(
        reason="HostnameTaken",
        says="churn.example.com on Gateway gw/models belongs to ModelDeployment team/older, which is older",
        world=lambda w: setattr(
            w, "holder", Holder(hostname="churn.example.com", gateway="gw/models", deployment="team/older")
        ),
        heal=lambda w: setattr(w, "holder", None),
    ),
    Fault(
        reason="GatewayNotFound",
        says="there is no Gateway gw/edge; create it or name another",
        spec={"traffic": {"parentRefs": [{"name": "edge", "namespace": "gw"}], "hostnames": ["churn.example.com"]}},
        heal=lambda w: w.gateways.update({"gw/edge": MIRRORING}),
    ),
    Fault(
        reason="TemplateRejected",
        says="the API server refuses what this spec renders to: spec.template: no",
        world=lambda w: w.rejected.update({"2": "spec.template: no"}),
        heal=lambda w: w.rejected.clear(),
    ),
]


def ids(fault: Fault) -> str:
    return fault.reason


def strike(world: World, fault: Fault) -> None:
    fault.world(world)
    world.spec = {**world.spec, **fault.spec}
    world.apply(version="2")


@pytest.mark.parametrize("fault", FAULTS, ids=ids)
def test_a_serving_model_goes_on_and_the_fault_heals(fault: Fault) -> None:
    world = serving()
    running, route = set(world.pods), world.objects["HTTPRoute", "churn"]["spec"]
    strike(world, fault)
    world.run(120)
    assert world.condition("Accepted") == ("False", fault.reason)
    assert fault.says in world.message("Accepted")
    assert world.condition("Stalled") == ("True", fault.reason)
    assert world.condition("Ready") == ("True", "Serving")
    assert [event.type for event in world.events if event.reason == fault.reason] == ["Warning"]
    assert (set(world.pods), world.objects["HTTPRoute", "churn"]["spec"]) == (running, route)
    assert world.failed_requests == 0
    assert {kind for _, kind, _ in world.writes} <= {
        "ModelDeployment/status",
        "apply ModelRevision",  # the metric profile follows its runtime
    }

    fault.heal(world)
    world.dirty = True
    assert world.run(70, until=lambda w: w.status.candidate is not None)
    assert world.condition("Accepted") == ("True", "Accepted")


@pytest.mark.parametrize(
    "fault",
    # The API server's own word comes only when the third version's turn has come; a gate that can no longer be answered
    # is the running rollout's own affair.
    [fault for fault in FAULTS if fault.reason not in ("GateUnanswerable", "TemplateRejected")],
    ids=ids,
)
def test_a_rollout_that_runs_goes_on(fault: Fault) -> None:
    """A refused third version does not disturb the second one's rollout."""
    world = serving()
    second = world.revision("2")
    world.apply(version="2")
    assert world.run(120, until=lambda w: w.share == 0.05)
    strike(world, fault)
    world.apply(version="3")
    world.run(5)
    assert world.condition("Accepted") == ("False", fault.reason)
    assert world.status.candidate is not None
    assert (world.status.candidate.revision, world.share) == (second, 0.05)
    assert world.run(1200, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")]), world.status


@pytest.mark.parametrize("fault", FAULTS, ids=ids)
def test_a_first_version_waits_for_the_fault_to_heal(fault: Fault) -> None:
    world = World(spec=spec(), runtimes={"mlserver": MLSERVER})
    strike(world, fault)
    world.run(5)
    assert world.condition("Accepted") == ("False", fault.reason)
    assert world.condition("Ready")[0] == "False"
    assert not world.pods
    fault.heal(world)
    world.dirty = True
    assert world.run(90, until=lambda w: w.condition("UpToDate") == ("True", "UpToDate"))
    assert world.condition("Ready") == ("True", "Serving")


def test_an_optional_gate_that_nobody_can_answer_is_accepted() -> None:
    gates = [{"name": "errors", "signal": "Errors"}, {"name": "latency", "signal": "Latency", "required": False}]
    world = serving(spec={**spec(), **with_rollout(gates=gates)}, runtimes={"mlserver": without_latency()})
    world.apply(version="2")
    assert world.run(1200, until=lambda w: w.outcomes == [("2", "Promoted", "Proven")]), world.status


def test_a_refused_route_or_service_is_said_and_tried_again() -> None:
    world = serving()
    refused = replace(world.observed(), refusals={"churn": 'Service churn: conflict with "kubectl" using v1'})
    status = decide(refused, world.now).status
    assert status is not None
    said = next(c for c in status.conditions if c.type == "Accepted")
    assert (said.status, said.reason) == ("False", "TrafficRejected")
    assert 'conflict with "kubectl"' in said.message
    world.reconcile()
    assert world.condition("Accepted") == ("True", "Accepted")


SHADOWED = with_rollout(steps=[{"shadow": {"percent": 20}}, {"canary": {"percent": 5}}])
SPEAKING = {"mlserver": runtime(protocol="OpenInference")}


@pytest.mark.parametrize(
    ("changes", "runtimes", "reason", "says"),
    [
        (
            {**SHADOWED, "traffic": None},
            SPEAKING,
            "ShadowUnanswerable",
            "steps[0].shadow mirrors requests at a Gateway",
        ),
        ({**with_rollout(watch={}), "traffic": None}, SPEAKING, "ShadowUnanswerable", "watch mirrors requests"),
        (SHADOWED, {"mlserver": MLSERVER}, "ProtocolUnknown", "(or KServeV1, OpenAI, Json) in ModelRuntime mlserver"),
    ],
)
def test_a_policy_that_mirrors_needs_a_gateway_and_a_protocol(
    changes: dict[str, Any], runtimes: dict[str, Any], reason: str, says: str
) -> None:
    world = World(
        spec={key: value for key, value in {**spec(), **changes}.items() if value is not None}, runtimes=runtimes
    )
    world.apply(version="1")
    world.run(5)
    assert world.condition("Accepted") == ("False", reason)
    assert says in world.message("Accepted")
    assert not world.pods


MIRROR, PERCENT = "HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"
WHOLLY = with_rollout(steps=[{"shadow": {"percent": 100}}, {"canary": {"percent": 5}}])
TWICE = with_rollout(steps=[{"shadow": {"percent": 100}}, {"shadow": {"percent": 20}}, {"canary": {"percent": 5}}])
MESH = {"parentRefs": [{"group": "", "kind": "Service", "name": "churn"}], "hostnames": ["churn.example.com"]}


def featuring(*features: str) -> Gateway:
    return Gateway(gateway_class="contour", features=frozenset(features))


@pytest.mark.parametrize(
    ("changes", "gateway", "says"),
    [
        (SHADOWED, featuring(MIRROR, PERCENT), None),
        (WHOLLY, featuring(MIRROR), None),
        (SHADOWED, featuring(), "steps[0].shadow mirrors requests at Gateway gw/models, and its GatewayClass 'contour' does not"),
        (SHADOWED, featuring(PERCENT), f"does not list {MIRROR} in"),
        (SHADOWED, featuring(MIRROR), f"does not list {PERCENT} in status.supportedFeatures: write `percent: 100` in"),
        (TWICE, featuring(MIRROR), "write `percent: 100` in steps[1].shadow"),
        (with_rollout(watch={}), featuring(MIRROR), "write `percent: 100` in watch"),
        (SHADOWED, Gateway(gateway_class="gone"), "GatewayClass 'gone' is not there or has no status.supportedFeatures"),
        ({**SHADOWED, "traffic": MESH}, featuring(MIRROR, PERCENT), "Service ml/churn is none: leave one of the two out"),
    ],
)  # fmt: skip
def test_a_gateway_is_asked_to_mirror_only_what_its_class_promises(
    changes: dict[str, Any], gateway: Gateway, says: str | None
) -> None:
    world = World(spec={**spec(), **changes}, runtimes=SPEAKING, gateways={"gw/models": gateway})
    world.apply(version="1")
    world.run(5)
    reason, message = world.condition("Accepted")[1], world.message("Accepted")
    assert (reason == "ShadowUnanswerable") == (says is not None), message
    assert says is None or says in message


BESIDE = {"model": {"version": "1", "format": {"name": "sklearn"}, "reference": {"path": "reference.json"}}}
BY_TENANT = {"name": "tenants", "signal": "Agreement", "slices": {"header": "x-tenant"}}
BY_COUNTRY = {"name": "countries", "signal": "Agreement", "slices": {"header": "x-country"}}


@pytest.mark.parametrize(
    ("changes", "image", "says"),
    [
        (SHADOWED, "pointsman:1", None),
        (SHADOWED, None, "needs an inspector, and this operator was not told its image: start it with --inspector-image"),
        ({**SHADOWED, "model": {**BESIDE["model"], "storageUri": "oci://models/churn:1"}}, "pointsman:1", None),
        ({**SHADOWED, "model": {**BESIDE["model"], "storageUri": "s3://models/churn"}}, "pointsman:1",
         "this model's storageUri is s3://; write the file into a ConfigMap"),
        (with_rollout(steps=SHADOWED["rollout"]["steps"], gates=[BY_TENANT]), "pointsman:1", None),
        (with_rollout(steps=SHADOWED["rollout"]["steps"], gates=[BY_TENANT, {**BY_TENANT, "name": "again"}]), "pointsman:1", None),
        (with_rollout(steps=SHADOWED["rollout"]["steps"], gates=[BY_TENANT, BY_COUNTRY]), "pointsman:1",
         "gates 'tenants' and 'countries' have different `slices`"),
    ],
)  # fmt: skip
def test_a_shadow_needs_an_inspector_that_can_be_told_all_of_it(
    changes: dict[str, Any], image: str | None, says: str | None
) -> None:
    world = World(spec={**spec(), **changes}, runtimes=SPEAKING, inspector_image=image)
    world.apply()
    world.run(5)
    reason, message = world.condition("Accepted")[1], world.message("Accepted")
    assert (reason == "ShadowUnanswerable") == (says is not None), message
    assert says is None or says in message
