"""What serves is taken away or changed in the middle of a canary: it is set back, and the rollout ends as it should."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from bench.lab.api import Json
from hack.cluster import pretence
from tests.controller.operators import until
from tests.faults.chronicle import overfull, shares, starved, unearned
from tests.faults.scraped import scraped
from tests.faults.stories import Telling, ended
from tests.faults.world import SURGE, Site, World, namespaces, template, world

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

pytestmark = [pytest.mark.bare, pytest.mark.asyncio(loop_scope="module")]

REPLICAS = 4  # 4 + 1 pods at 20 %, 2 + 2 at 50 %
ALL = [0, 20, 50, 100]
"""Percent. On the way from one to the next it may be the candidate's share of the ready pods."""

OWN = {"key": "faults.pointsman.dev/own", "effect": "NoSchedule"}  # of nodes that only their own pods may be on


# -- what every story has in common


async def canary(here: World, name: str, **spec: Json) -> str:
    """A rollout that has come to 20 %; its candidate."""
    await here.apply(name, "1", replicas=REPLICAS, **spec)
    await here.until_serves(name, "1")
    await here.apply(name, "2", replicas=REPLICAS, **spec)
    return await here.until_share(name, 20)


async def ends_well(here: World, name: str, candidate: str) -> None:
    """Promoted at the first attempt, with all its pods and children, and never more of them than the capacity rule allows."""
    await here.until_outcome(name, "2", "Promoted")
    await here.until_serves(name, "2")
    assert here.outcomes(name) == [("2", "Promoted")]
    assert here.outcome(name)["attempt"] == 1
    assert here.share(name, candidate) == 100
    assert {candidate, name} <= here.chronicle.objects["Service"].keys()
    workload = here.chronicle.objects["Deployment"][candidate]
    assert (workload["spec"]["replicas"], workload["status"]["readyReplicas"]) == (REPLICAS, REPLICAS)


def climbs(here: World, name: str, candidate: str) -> list[list[float]]:
    """Those of the steps' shares that a candidate was given, a new list after every fall."""
    found: list[list[float]] = [[]]
    for share in shares(here.chronicle, name, candidate):
        if share not in ALL:
            continue
        if found[-1] and share < found[-1][-1]:
            found.append([])
        found[-1].append(share)
    return found


def full(here: World, revision: str) -> int:
    """The version at which a Deployment had all its pods first; its route is there from the first one on."""
    return next(
        entry.version
        for entry in here.chronicle.of("Deployment", revision)
        if (entry.obj.get("status") or {}).get("readyReplicas") == REPLICAS
    )


def pods(here: World, revision: str) -> dict[str, Json]:
    """The pods of a revision that are not going."""
    return {
        name: pod
        for name, pod in here.chronicle.objects["Pod"].items()
        if name.startswith(f"{revision}-") and "deletionTimestamp" not in pod["metadata"]
    }


# -- what befalls it


async def evicted(here: World, name: str) -> None:
    """The candidate's only pod has to leave its node: no share for nobody, and the step again when it is back."""
    candidate = await canary(here, name)
    (pod,) = pods(here, candidate)
    where = f"/api/v1/namespaces/{here.namespace}/pods/{pod}"
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": here.namespace}}
    await here.api.send("POST", f"{where}/eviction", body)
    await here.chronicle.until(
        lambda: pod not in pods(here, candidate) and pods(here, candidate), "another pod is there"
    )
    await ends_well(here, name, candidate)
    assert climbs(here, name, candidate) in ([ALL], [[0, 20], ALL])  # the other pod may be ready before anybody looks
    assert not unearned(here.chronicle, name, candidate)
    assert not overfull(here.chronicle, name, REPLICAS + SURGE)


async def node_lost(here: World, name: str) -> None:
    """One of two nodes dies with what runs on it: its pods are never confirmed gone, others take their place."""
    async with two_nodes(here) as nodes:
        tolerations: list[Json] = [OWN | {"operator": "Exists"}]
        tolerations += [
            {"key": f"node.kubernetes.io/{how}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
            for how in ("not-ready", "unreachable")
        ]
        pinned = {"nodeSelector": {OWN["key"]: here.namespace}, "tolerations": tolerations}
        spec = {"template": {"spec": template()["spec"] | pinned}}
        candidate = await canary(here, name, **spec)
        await die(here, next(node for node in nodes if on(here, node)))
        await ends_well(here, name, candidate)
        assert not unearned(here.chronicle, name, candidate)
        assert not overfull(here.chronicle, name, REPLICAS + SURGE)


async def scaled(here: World, name: str) -> None:
    """Somebody takes stable's pods and gives the candidate more: both are set back, and the share stays what it was."""
    candidate = await canary(here, name)
    stable = here.stable(name)
    for workload, wrong in ((stable, 1), (candidate, 9)):
        await here.api.merge("Deployment", here.namespace, workload, patch={"spec": {"replicas": wrong}})
    await here.chronicle.until(
        lambda: all(len(asked(here, workload)) >= 3 for workload in (stable, candidate)), "both are set back"
    )
    # To what the step asks for, which may be the next one by then: stable's pods have to be there before others go.
    assert asked(here, stable)[:3] in ([4, 1, 4], [4, 1, 3], [4, 1, 2])
    assert asked(here, candidate)[:3] in ([1, 9, 1], [1, 9, 2])
    await ends_well(here, name, candidate)
    assert climbs(here, name, candidate) == [ALL]
    assert not unearned(here.chronicle, name, candidate)


def asked(here: World, workload: str) -> list[int]:
    """The numbers of pods that a Deployment was asked for, from the time when it had any; repeats left out."""
    found: list[int] = []
    for entry in here.chronicle.of("Deployment", workload):
        replicas = entry.obj["spec"]["replicas"]
        if (found or replicas) and found[-1:] != [replicas]:
            found.append(replicas)
    return found


async def route_edited(here: World, name: str) -> None:
    """Somebody gives the candidate everything: for a moment it has it, and then what it had before."""
    candidate = await canary(here, name)
    rules = copy.deepcopy(here.chronicle.objects["HTTPRoute"][name]["spec"]["rules"])
    for backend in rules[0]["backendRefs"]:
        backend["weight"] = 100 if backend["name"] == candidate else 0
    await here.api.merge("HTTPRoute", here.namespace, name, patch={"spec": {"rules": rules}})
    await ends_well(here, name, candidate)
    assert climbs(here, name, candidate) == [[0, 20, 100], ALL[1:]]
    assert len({moment.split(" at ")[0] for moment in unearned(here.chronicle, name, candidate)}) == 1  # the person's
    assert not overfull(here.chronicle, name, REPLICAS + SURGE)


async def route_deleted(here: World, name: str) -> None:
    """The HTTPRoute is deleted: the next one gives the candidate no more than it had."""
    candidate = await canary(here, name)
    await here.api.delete("HTTPRoute", here.namespace, name)
    await ends_well(here, name, candidate)
    assert not unearned(here.chronicle, name, candidate)
    assert not overfull(here.chronicle, name, REPLICAS + SURGE)


async def services_deleted(here: World, name: str) -> None:
    """The Services of both revisions and the model's own are deleted: they are there again, and nothing else has changed."""
    candidate, stable = await canary(here, name), here.stable(name)
    services = here.chronicle.objects["Service"]
    before = {service: services[service]["metadata"]["uid"] for service in (name, candidate, stable)}
    for service in before:
        await here.api.delete("Service", here.namespace, service)
    await here.chronicle.until(
        lambda: all(
            service in services and services[service]["metadata"]["uid"] != uid for service, uid in before.items()
        ),
        "all of them are back",
    )
    await ends_well(here, name, candidate)
    assert climbs(here, name, candidate) == [ALL]
    assert not unearned(here.chronicle, name, candidate)
    assert not overfull(here.chronicle, name, REPLICAS + SURGE)
    assert not starved(here.chronicle, name, REPLICAS, since=full(here, stable))


async def workload_deleted(here: World, name: str) -> None:
    """The candidate's Deployment is deleted: no share for nobody, and the step again when it is back."""
    candidate = await canary(here, name)
    await here.api.delete("Deployment", here.namespace, candidate)
    await ends_well(here, name, candidate)
    assert climbs(here, name, candidate) in ([ALL], [[0, 20], ALL])
    assert not unearned(here.chronicle, name, candidate)
    assert not overfull(here.chronicle, name, REPLICAS + SURGE)


# -- nodes


@asynccontextmanager
async def two_nodes(here: World) -> AsyncIterator[tuple[str, str]]:
    """Two pretended nodes for the pods that ask for them."""
    names = (f"{here.namespace}-one", f"{here.namespace}-other")
    for name in names:
        meta = {"name": name, "labels": {**pretence.LABEL, OWN["key"]: here.namespace}}
        meta["annotations"] = {"kwok.x-k8s.io/node": "fake"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {"taints": [OWN]}}
        await here.api.send("POST", "/api/v1/nodes", node)
    try:
        yield names
    finally:
        for name in names:
            await here.api.send("DELETE", f"/api/v1/nodes/{name}")


def on(here: World, node: str) -> list[Json]:
    """The pods of a node."""
    return [pod for pod in here.chronicle.objects["Pod"].values() if pod["spec"].get("nodeName") == node]


async def die(here: World, node: str) -> None:
    """Nobody speaks for the node any more, and the cluster has noticed: its pods are to go."""
    await here.api.send(
        "PATCH",
        f"/api/v1/nodes/{node}",
        {"metadata": {"labels": dict.fromkeys(pretence.LABEL), "annotations": {"kwok.x-k8s.io/node": None}}},
        content="application/merge-patch+json",
    )

    unknown = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "by the test"}

    async def is_noticed() -> (
        bool
    ):  # said again and again: the pretence may still have a last word, a heartbeat of before
        where = f"/api/v1/nodes/{node}/status"
        patch = {"status": {"conditions": [unknown]}}
        await here.api.send("PATCH", where, patch, content="application/strategic-merge-patch+json")
        return any("deletionTimestamp" in pod["metadata"] for pod in on(here, node))

    await until(is_noticed, 120)


STORIES: dict[str, Callable[[World, str], Awaitable[None]]] = {
    "candidate evicted": evicted,
    "node lost": node_lost,
    "scaled by hand": scaled,
    "route edited": route_edited,
    "route deleted": route_deleted,
    "Services deleted": services_deleted,
    "Deployment deleted": workload_deleted,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stories(crds: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Telling]:
    folder, (namespace,) = tmp_path_factory.mktemp("children"), namespaces(1)
    async with scraped(crds.kubeconfig, [namespace], folder) as sight:
        site = Site(kubeconfig=crds.kubeconfig, folder=folder, namespace=namespace, sight=sight)
        async with world(site) as here:
            await here.until_led()
            begun = {
                what: asyncio.ensure_future(story(here, what.lower().replace(" ", "-")))
                for what, story in STORIES.items()
            }
            try:
                yield begun
                assert not here.operator.crashes()
            finally:
                await ended(list(begun.values()))


@pytest.mark.parametrize("what", STORIES)
async def test_it_is_set_back_and_the_rollout_goes_on(stories: Telling, what: str) -> None:
    await stories[what]
