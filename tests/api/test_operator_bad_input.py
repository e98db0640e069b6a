"""Bad input: a condition says what is wrong and what to do, what serves stays as it is, and all is well once the cause is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from pointsman.api.names import REVISION
from pointsman.api.values import API_VERSION
from pointsman.cluster.kinds import GATEWAY as GATEWAY_KIND
from pointsman.cluster.kinds import MODEL_RUNTIME, POD, ROLLOUT_POLICY, ROUTE
from tests.api.conftest import Cleanup, Site, gateway, runtime
from tests.api.operator_model import GATEWAY, QUICK, Model
from tests.api.operator_server import CLAIM, QUOTA, VOLUME, Object, Server, eventually

pytestmark = pytest.mark.bare

Make = Callable[..., Model]

LATENCY = {"name": "latency", "signal": "Latency"}


@dataclass(frozen=True)
class Mistake:
    """A spec that cannot be acted on.

    spec    the fields that are wrong; `NAME` stands for a name of the test's own
    reason  of `Accepted=False`
    words   in its message
    before  what is there already
    cure    what somebody else does about it, whereupon the spec is acted on
    """

    spec: Object
    reason: str
    words: tuple[str, ...]
    cure: Callable[[Server, str], Any]
    before: Callable[[Server, str], Any] = lambda _server, _name: None


def policy(name: str) -> Object:
    return {"apiVersion": API_VERSION, "kind": "RolloutPolicy", "metadata": {"name": name}, "spec": QUICK}


def measure_latency(server: Server, name: str) -> None:
    metrics = {"latency": {"histogram": "inference_seconds"}}
    server.merge(MODEL_RUNTIME, name, {"spec": {"metrics": metrics}})


MISTAKES = {
    "unknown runtime": Mistake(
        spec={"runtime": "NAME"},
        reason="RuntimeNotFound",
        words=("spec.runtime: no ModelRuntime is named 'NAME'", "there are: "),
        cure=lambda server, name: server.create(runtime(name)),
    ),
    "unknown policy": Mistake(
        spec={"rollout": {"policy": "NAME"}},
        reason="PolicyNotFound",
        words=("spec.rollout.policy: no RolloutPolicy is named 'NAME'", "there are: "),
        cure=lambda server, name: server.create(policy(name)),
    ),
    "gate that the runtime cannot answer": Mistake(
        spec={"runtime": "NAME", "rollout": QUICK | {"gates": [LATENCY]}},
        reason="GateUnanswerable",
        words=("gate 'latency' cannot be answered", "latency"),
        before=lambda server, name: server.create(runtime(name)),
        cure=measure_latency,
    ),
    "missing Gateway": Mistake(
        spec={"traffic": {"parentRefs": [{"name": "NAME"}], "hostnames": ["elsewhere.example.com"]}},
        reason="GatewayNotFound",
        words=("spec.traffic.parentRefs: there is no Gateway", "/NAME; create it or name another"),
        cure=lambda server, name: server.create(gateway(name)),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_spec_that_names_what_is_not_there(site: Site, model: Make, cleanup: Cleanup, mistake: Mistake) -> None:
    churn = model()
    name = f"own-{churn.name}"
    for kind in (MODEL_RUNTIME, ROLLOUT_POLICY, GATEWAY_KIND):
        cleanup(kind, name)
    churn.apply("1")
    churn.until_serves("1")
    before = churn.serving()
    mistake.before(site.server, name)
    churn.apply("2", **named(mistake.spec, name))
    words = [word.replace("NAME", name) for word in mistake.words]
    churn.until_says("Accepted", "False", mistake.reason, *words)
    churn.until_says("Stalled", "True", mistake.reason, *words)
    churn.until_says("UpToDate", "False", "NotAccepted")
    churn.until_says("Ready", "True", "Serving", "version 1")
    assert churn.serving() == before
    assert "rollout" not in churn.status
    mistake.cure(site.server, name)
    churn.until_says("Accepted", "True", "Accepted")
    churn.until(lambda s: s.get("candidate", {}).get("version") == "2")


def test_hostname_of_an_older_model(model: Make) -> None:
    older, newer = model(), model()
    older.apply("1")
    older.until_serves("1")
    newer.apply("1")
    newer.until_serves("1")
    before = (older.serving(), newer.serving())
    newer.apply("1", traffic=older.spec["traffic"])
    holder = f"{older.server.namespace}/{older.name}"
    newer.until_says(
        "Accepted", "False", "HostnameTaken", f"{older.name}.example.com", f"ModelDeployment {holder}", "choose another"
    )
    older.until_says("Accepted", "True", "Accepted")
    assert (older.serving(), newer.serving()) == before
    older.delete()
    newer.until_says("Accepted", "True", "Accepted")
    newer.until(lambda _: hostnames(newer) == [f"{older.name}.example.com"])
    newer.until_says("Ready", "True", "Serving")


def test_first_version_on_the_hostname_of_an_older_model_makes_nothing(model: Make) -> None:
    older = model()
    older.apply("1")
    newer = model(traffic=older.spec["traffic"])
    older.until_serves("1")
    newer.apply("1")
    newer.until_says("Accepted", "False", "HostnameTaken", older.name)
    newer.until_says("Ready", "False", "NotAccepted", "nothing serves")
    assert newer.children() == {}
    older.delete()
    newer.until_serves("1")


def test_gateway_that_refuses_the_route_of_a_first_version(site: Site, model: Make) -> None:
    churn = model()
    site.gateway.refuse(churn.name, "NotAllowedByListeners", "no listener takes routes of this namespace")
    churn.apply("1")
    churn.until_says(
        "Ready",
        "False",
        "RouteNotAccepted",
        f"/{GATEWAY} refuses the route",
        "NotAllowedByListeners: no listener takes",
    )
    site.gateway.accept(churn.name)
    churn.until_serves("1")


def test_gateway_that_refuses_the_route_during_a_canary(site: Site, model: Make) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    site.gateway.refuse(churn.name, "UnsupportedValue", "weights are not supported")
    churn.apply("2")
    message = churn.until_says("UpToDate", "False", "InProgress", "UnsupportedValue: weights are not supported")
    assert "canary at 20 %" in message
    site.looks(3)  # more than the hold
    assert churn.status["rollout"]["step"] == 1
    assert churn.status["stable"]["replicas"] == 1
    site.gateway.accept(churn.name)
    assert churn.until_ended("Promoted")["version"] == "2"


def test_gateway_that_goes_on_refusing_ends_the_rollout(site: Site, model: Make) -> None:
    churn = model(rollout=QUICK | {"progressDeadline": "3s"})
    churn.apply("1")
    churn.until_serves("1")
    site.gateway.refuse(churn.name, "UnsupportedValue", "weights are not supported")
    churn.apply("2")
    churn.until_says("UpToDate", "False", "RolledBack", "UnsupportedValue: weights are not supported")
    site.gateway.accept(churn.name)
    assert churn.until_ended("RolledBack")["reason"] == "CandidateUnavailable"
    churn.until_says("Ready", "True", "Serving", "version 1")


def test_claim_that_does_not_exist(site: Site, model: Make, cleanup: Cleanup) -> None:
    churn = model()
    claim = f"models-{churn.name}"
    cleanup(VOLUME, claim)
    churn.apply("1")
    churn.until_serves("1")
    before = churn.serving()
    churn.apply(model={"version": "2", "storageUri": f"pvc://{claim}/churn/2"})
    message = churn.until_says("UpToDate", "False", "InProgress", "0 of 1 candidate pods are ready", claim)
    assert "not found" in message
    assert churn.serving() == before
    volume, wanted = storage(claim)
    site.server.post(VOLUME, volume)
    site.server.post(CLAIM, wanted)
    churn.until(lambda s: s.get("candidate", {}).get("readyReplicas") == 1)
    assert churn.until_ended("Promoted")["version"] == "2"


def test_image_that_cannot_be_pulled_heals_when_it_can(site: Site, model: Make) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    before = churn.serving()
    churn.apply("2", template=waiting("ImagePullBackOff"))
    churn.until_says("UpToDate", "False", "InProgress", "0 of 1 candidate pods are ready: ImagePullBackOff")
    assert churn.serving() == before
    (pod,) = site.server.every(POD, {REVISION: churn.revision("candidate")})
    site.server.merge(POD, pod["metadata"]["name"], waiting(None))
    churn.until_percent(20)


def test_image_that_cannot_be_pulled_ends_the_rollout_before_any_request(site: Site, model: Make) -> None:
    churn = model(rollout=QUICK | {"progressDeadline": "3s"})
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2", template=waiting("ImagePullBackOff"))
    entry = churn.until_ended("RolledBack")
    assert entry["reason"] == "CandidateUnavailable"
    assert "not ready for 3 s in total: ImagePullBackOff" in entry["message"]
    assert max(site.models.totals(entry["revision"]), default=0) == 0
    churn.until_event("RolledBack", "ImagePullBackOff")
    churn.until_says("Ready", "True", "Serving", "version 1")


def test_first_version_that_cannot_start_is_replaced_by_the_next(model: Make) -> None:
    churn = model()
    churn.apply("1", template=waiting("ImagePullBackOff"))
    churn.until_says("Ready", "False", "NoReadyPod", "ImagePullBackOff")
    churn.apply("2", template=None)
    churn.until_serves("2")


def test_no_room_for_the_candidates_pods(site: Site, model: Make, cleanup: Cleanup) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    before = churn.serving()
    cleanup(QUOTA, "none")
    site.server.post(QUOTA, {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    eventually(lambda: site.server.get(QUOTA, "none"), lambda quota: quota is not None and quota.get("status"))
    churn.apply("2")
    churn.until_says("UpToDate", "False", "InProgress", "0 of 1 candidate pods are ready", "exceeded quota: none")
    assert churn.serving() == before
    site.server.delete(QUOTA, "none")
    churn.until(lambda s: s.get("candidate", {}).get("readyReplicas") == 1)


UNACCEPTABLE: dict[str, tuple[Object, str]] = {
    "port out of range": ({"ports": [{"name": "more", "containerPort": 99_999}]}, "containerPort"),
    "no name of a variable": ({"env": [{"name": "not=a name", "value": "1"}]}, "env"),
    "volume that nobody declares": ({"volumeMounts": [{"name": "data", "mountPath": "/data"}]}, "volumeMounts"),
    "unknown field": ({"imagePullPolcy": "Always"}, "imagePullPolcy"),
    "value of a wrong type": ({"resources": {"limits": {"cpu": "much"}}}, "quantities"),
}


@pytest.mark.parametrize(("container", "field"), UNACCEPTABLE.values(), ids=UNACCEPTABLE)
def test_template_that_the_api_server_rejects(model: Make, container: Object, field: str) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    before, children = churn.serving(), set(churn.children())
    churn.apply("2", template={"spec": {"containers": [{"name": "model", **container}]}})
    churn.until_says("Accepted", "False", "TemplateRejected", "the API server refuses what this spec renders to", field)
    churn.until_says("Ready", "True", "Serving", "version 1")
    assert churn.serving() == before
    churn.until(lambda _: set(churn.children()) == children)
    churn.apply("2", template=None)
    churn.until_says("Accepted", "True", "Accepted")
    churn.until(lambda s: s.get("candidate", {}).get("version") == "2")


def test_first_version_that_the_api_server_rejects_leaves_nothing_behind(model: Make) -> None:
    churn = model()
    container, field = UNACCEPTABLE["port out of range"]
    churn.apply("1", template={"spec": {"containers": [{"name": "model", **container}]}})
    churn.until_says("Accepted", "False", "TemplateRejected", field)
    assert churn.children() == {}
    churn.apply("1", template=None)
    churn.until_serves("1")


def test_template_that_is_larger_than_etcd_stores(site: Site, model: Make, cleanup: Cleanup) -> None:
    large = {"name": "LARGE", "value": "x" * 900_000}
    offered = runtime(f"large-{site.runtime}")
    cleanup(MODEL_RUNTIME, offered["metadata"]["name"])
    offered["spec"]["template"]["spec"]["containers"][0]["env"] = [large]
    site.server.create(offered)
    more = {"spec": {"containers": [{"name": "model", "env": [large | {"name": "MORE"}]}]}}
    churn = model(runtime=offered["metadata"]["name"], template=more)
    churn.apply("1")
    churn.until_says("Accepted", "False", "TemplateRejected", "larger than etcd can store")
    assert churn.children() == {}


def test_template_without_the_serving_container(model: Make) -> None:
    churn = model(runtime=None, port="http", template={"spec": {"containers": [{"name": "main", "image": "server:1"}]}})
    churn.apply("1")
    churn.until_says("Accepted", "False", "InvalidTemplate", "has no container named `model` (it has: `main`)")
    assert churn.children() == {}


def named(spec: Any, name: str) -> Any:
    """The spec with NAME replaced."""
    if isinstance(spec, dict):
        return {key: named(value, name) for key, value in spec.items()}
    if isinstance(spec, list):
        return [named(value, name) for value in spec]
    return spec.replace("NAME", name) if isinstance(spec, str) else spec


def waiting(reason: str | None) -> Object:
    """A pod that the pretended nodes never make ready, and why; None: take that back."""
    return {"metadata": {"annotations": {"pretend.pointsman.dev/waiting": reason}}}


def hostnames(model: Model) -> Any:
    """Those of the route."""
    route = model.server.get(ROUTE, model.name)
    return None if route is None else route["spec"]["hostnames"]


def storage(name: str) -> tuple[Object, Object]:
    """A volume and the claim to it."""
    size = {"storage": "1Gi"}
    volume = {
        "capacity": size,
        "accessModes": ["ReadOnlyMany"],
        "hostPath": {"path": "/models"},
        "storageClassName": "",
    }
    claim = {
        "accessModes": ["ReadOnlyMany"],
        "storageClassName": "",
        "volumeName": name,
        "resources": {"requests": size},
    }
    return (
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": volume},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": claim},
    )
