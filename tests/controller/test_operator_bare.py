"""The operator's process against the real API server: it starts, works, keeps still, hands over and stops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pointsman.cluster.answers import Missing
from pointsman.cluster.kinds import (
    EVENT,
    GATEWAY,
    GATEWAY_CLASS,
    LEASE,
    MODEL_DEPLOYMENT,
    MODEL_REVISION,
    SERVICE,
    WORKLOAD,
    Kind,
)
from pointsman.controller import news
from tests.controller.operators import Place, Running, place, until

__all__ = ["place"]

pytestmark = pytest.mark.bare


async def quiet(running: Running) -> dict[str, float]:
    """The writes so far, once there were none for longer than anything that is to be written waits."""
    before: dict[str, float] | None = None
    async with asyncio.timeout(60):
        while (now := await running.writes()) != before:
            before = now
            await asyncio.sleep(news.PAUSE.total_seconds() + 1)
    return now


async def test_a_model_serves_and_then_nothing_is_written(place: Place) -> None:
    running = await place.leading()
    await place.model("churn", replicas=2)
    await until(lambda: place.is_("churn", Accepted="True", Ready="True", UpToDate="True"))
    (revision,) = await place.names(MODEL_REVISION)
    assert await place.names(WORKLOAD) == [revision]
    assert await place.names(SERVICE) == ["churn", revision]
    events = (await place.client.list(EVENT, place.namespace)).items
    assert [e["reason"] for e in events if e["regarding"]["kind"] == "ModelDeployment"] == ["FirstVersion"]
    before = await quiet(running)
    await asyncio.sleep(6)  # longer than a renewal of the lease: the only write there may be
    assert await running.writes() == before
    assert (await running.get("/healthz")).text == "ok\n"
    assert not [line for line in running.lines if line["level"] != "info" and place.namespace in line.get("key", "")]


async def test_a_restart_writes_nothing(place: Place) -> None:
    first = await place.leading()
    await place.model("churn")
    await until(lambda: place.is_("churn", Ready="True", UpToDate="True"))
    await quiet(first)
    assert await first.stop() == 0
    second = await place.leading()
    await until(lambda: reconciled(second))
    assert await quiet(second) == {}


async def reconciled(running: Running) -> bool:
    return 'pointsman_reconciles_total{result="ok"}' in (await running.get("/metrics")).text


@pytest.mark.parametrize("kind", [WORKLOAD, SERVICE], ids=lambda kind: kind.name)
async def test_a_child_that_is_deleted_or_edited_by_hand_is_set_back(place: Place, kind: Kind) -> None:
    await place.leading()
    await place.model("churn")
    await until(lambda: place.is_("churn", Ready="True"))
    (revision,) = await place.names(MODEL_REVISION)
    before = await place.get(kind, revision)
    await place.client.delete(kind, place.namespace, revision, uid=before["metadata"]["uid"])

    async def is_back() -> bool:
        try:
            found = await place.get(kind, revision)
        except Missing:
            return False
        return bool(found["metadata"]["uid"] != before["metadata"]["uid"])

    await until(is_back)
    edited = {"spec": {"replicas": 7}} if kind is WORKLOAD else {"spec": {"selector": {"by": "hand"}}}
    await place.client.merge(kind, place.namespace, revision, edited)

    async def is_set_back() -> bool:
        spec = (await place.get(kind, revision))["spec"]
        return bool(spec["replicas"] == 1 if kind is WORKLOAD else "by" not in spec["selector"])

    await until(is_set_back)


async def test_who_waits_for_a_hostname_gets_it_when_its_holder_goes(place: Place) -> None:
    await place.leading()
    await place.apply(
        GATEWAY, "models", gatewayClassName="none", listeners=[{"name": "http", "port": 80, "protocol": "HTTP"}]
    )
    traffic = {"parentRefs": [{"name": "models"}], "hostnames": ["churn.example.com"]}
    older = await place.model("older", traffic=traffic)
    await until(lambda: place.is_("older", Accepted="True"))
    await asyncio.sleep(1.1)  # creationTimestamps have seconds
    await place.model("a-newer", traffic=traffic)
    await until(lambda: place.is_("a-newer", Accepted="False"))
    assert f"{place.namespace}/older" in (await place.condition("a-newer", "Accepted"))["message"]
    assert await place.is_("older", Accepted="True")
    await place.client.delete(MODEL_DEPLOYMENT, place.namespace, "older", uid=older["metadata"]["uid"])
    await until(lambda: place.is_("a-newer", Accepted="True"))


async def test_a_shadow_is_refused_until_the_gateways_class_says_that_it_mirrors(place: Place) -> None:
    await place.leading()
    listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
    await place.apply(GATEWAY, "models", gatewayClassName=place.namespace, listeners=listeners)
    rollout = {"steps": [{"shadow": {"percent": 20}}, {"canary": {"percent": 5}}]}
    await place.model("churn", traffic={"parentRefs": [{"name": "models"}]}, rollout=rollout)

    async def is_said(sentence: str) -> bool:
        return sentence in str(await place.condition("churn", "Accepted"))

    await until(lambda: is_said(f"GatewayClass '{place.namespace}' is not there"))
    with gateway_class(place) as says:
        says("HTTPRouteRequestMirror")
        await until(lambda: is_said("does not list HTTPRouteRequestPercentageMirror"))
        says("HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror")
        await until(lambda: is_said("this operator was not told its image"))
    await until(lambda: is_said(f"GatewayClass '{place.namespace}' is not there"))


@contextmanager
def gateway_class(place: Place) -> Iterator[Callable[..., None]]:
    """A GatewayClass named as the namespace; what it yields makes it say what it supports."""
    manifest = place.folder / "gatewayclass.json"
    meta, spec = {"name": place.namespace}, {"controllerName": "pointsman.dev/tests"}
    kind = {"apiVersion": GATEWAY_CLASS.api_version, "kind": GATEWAY_CLASS.name}
    manifest.write_text(json.dumps({**kind, "metadata": meta, "spec": spec}))
    place.kubectl("create", "-f", str(manifest))

    def says(*features: str) -> None:
        status = {"status": {"supportedFeatures": [{"name": feature} for feature in features]}}
        words = ("--subresource=status", "--type=merge", "-p", json.dumps(status))
        place.kubectl("patch", "gatewayclass", place.namespace, *words)

    try:
        yield says
    finally:
        place.kubectl("delete", "gatewayclass", place.namespace)


async def test_somebody_elses_object_is_not_taken(place: Place) -> None:
    meta = {"name": "churn", "namespace": place.namespace}
    spec = {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}
    await place.client.post({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    await place.leading()
    await place.model("churn")

    async def is_said() -> bool:
        events = (await place.client.list(EVENT, place.namespace)).items
        return any(e["reason"] == "WriteRefused" and "conflict" in e["note"] for e in events)

    await until(is_said)
    assert (await place.get(SERVICE, "churn"))["spec"]["selector"] == {"app": "theirs"}


async def test_a_standby_is_ready_and_takes_over_from_a_leader_that_stops(place: Place) -> None:
    first = await place.leading()
    second = await place.operator()
    await place.model("churn")
    await until(lambda: place.is_("churn", Ready="True"))
    assert (await second.get("/readyz")).status_code == 200
    assert "pointsman_leading 0.0" in (await second.get("/metrics")).text
    assert not await second.writes()
    assert await first.stop() == 0
    await until(lambda: second.said("leading"))
    lease = await place.client.get(LEASE, place.namespace, "pointsman")
    assert lease["spec"]["holderIdentity"] == second.said("leading")[0]["identity"]
    await place.model("fraud")
    await until(lambda: place.is_("fraud", Ready="True"))


async def test_who_loses_the_lease_ends(place: Place) -> None:
    running = await place.leading()
    lease = await place.client.get(LEASE, place.namespace, "pointsman")
    thief = {"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 3600}}
    await place.client.merge(LEASE, place.namespace, lease["metadata"]["name"], thief)
    assert await asyncio.wait_for(running.process.wait(), 30) == 1
    (ended,) = running.said("ended by itself")
    assert (ended["part"], ended["error"]) == ("lease", "the lease pointsman was taken by thief")
    lease = await place.client.get(LEASE, place.namespace, "pointsman")
    assert lease["spec"]["holderIdentity"] == "thief"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--prometheus-url", "prometheus"], "write one such as http://prometheus"),
        (["--gateway-metrics", "nginx"], "envoy-gateway"),
    ],
)
async def test_a_mistake_in_the_settings_is_a_sentence(place: Place, options: list[str], sentence: str) -> None:
    running = await place.operator(*options)
    assert await running.stop() == 1
    (ended,) = running.said("ended")
    assert sentence in ended["error"]
