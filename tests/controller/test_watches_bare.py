"""Kinds that come and go while the operator runs, with one more optional kind that the test can install and remove."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pointsman.cluster.connection import connect, watching_session
from pointsman.cluster.kinds import MODEL_DEPLOYMENT, Json
from tests.controller.operators import Place, place, until

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

__all__ = ["place"]

pytestmark = pytest.mark.bare

SCRIPT = """
import sys
from pointsman.cluster import kinds
from pointsman.controller import process, wiring
from pointsman.controller.settings import Settings
from pointsman.rollout import decision

_, group, namespace = sys.argv
thing = kinds.Kind(api_version=f"{group}/v1", name="Thing", plural="things", optional=True)
kinds._BY_NAME[thing.api_version, thing.name] = thing
wiring.WATCHED = (*wiring.WATCHED, thing)
settings = Settings(namespaces=(namespace,), lease_namespace=namespace, probes_port=0, relist_every=0.5)
sys.exit(process.main(settings, decision))
"""


def definition(group: str) -> str:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"kind": "Thing", "plural": "things"}
    spec: dict[str, Any] = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    meta = {"name": f"things.{group}"}
    return json.dumps(
        {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": meta, "spec": spec}
    )


async def test_a_kind_that_appears_is_watched_and_a_watch_that_dies_ends_the_process(
    place: Place, crds: Cluster
) -> None:
    group = f"{uuid.uuid4().hex[:8]}.example.com"
    running = await place.run("-c", SCRIPT, group, place.namespace)
    await until(lambda: running.said("leading"))
    await place.model("before")
    await until(lambda: place.is_("before", Ready="True"))
    crds.kubectl("apply", "-f", "-", stdin=definition(group))
    try:
        await until(lambda: running.said("watching anew"))
        assert "Thing" in running.said("watching anew")[0]["kinds"]
        await place.model("after")
        await until(lambda: place.is_("after", Ready="True"))
    finally:
        crds.kubectl("delete", "crd", f"things.{group}")
    assert await asyncio.wait_for(running.process.wait(), 30) == 1
    (ended,) = running.said("ended by itself")
    assert ended["part"] == "watches"
    assert "404" in ended["error"]


async def test_without_rights_it_says_so_and_ends(place: Place) -> None:
    """Nobody but a service account without any rights."""
    place.kubectl("create", "serviceaccount", "nobody")
    token = place.kubectl("create", "token", "nobody").strip()
    running = await place.run("-m", "pointsman", "operator", "--probes-port", "0", token=token)
    await until(lambda: running.said("ended"))
    assert "cannot get resource" in running.said("ended")[0]["error"]
    assert await running.process.wait() == 1


@dataclass
class Heard:
    """What a watching session has told."""

    paths: list[str] = field(default_factory=list)
    pages: list[tuple[list[str], bool]] = field(default_factory=list)

    def heard(self, path: str) -> None:
        self.paths.append(path)

    def listed(self, path: str, answer: Json, *, first: bool) -> None:
        assert path == self.paths[-1]
        self.pages.append(([item["metadata"]["name"] for item in answer["items"]], first))


async def test_bookmarks_are_heard(place: Place) -> None:
    told = Heard()
    api = await connect(str(place.cluster.kubeconfig))
    path = MODEL_DEPLOYMENT.path(place.namespace)
    async with (
        await watching_session(api, told) as session,
        session.get(f"{api.configuration.host}{path}", params={"watch": "true"}) as answer,
    ):
        assert told.paths == [path]  # that it is answered is something
        await place.model("churn")
        async for chunk in answer.content.iter_chunked(1 << 20):
            assert b"churn" in chunk
            break
    assert told.paths == [path, path]
    await api.close()


async def test_who_lists_gets_none_of_the_objects_and_the_version_to_watch_from(place: Place) -> None:
    for name in ("churn", "fraud"):
        await place.model(name)
    told = Heard()
    api = await connect(str(place.cluster.kubeconfig))
    url = api.configuration.host + MODEL_DEPLOYMENT.path(place.namespace)
    async with await watching_session(api, told) as session:
        async with session.get(url, params={"limit": "1"}) as answer:
            first = await answer.json()
        async with session.get(url, params={"limit": "1", "continue": first["metadata"]["continue"]}) as answer:
            last = await answer.json()
    assert first["items"] == last["items"] == []
    assert int(last["metadata"]["resourceVersion"]) > 0
    assert told.pages == [(["churn"], True), (["fraud"], False)]
    await api.close()
