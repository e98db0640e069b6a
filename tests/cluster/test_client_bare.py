"""The client's guards, as the real API server enforces them."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pointsman.cluster.answers import Missing, Refused, Taken
from pointsman.cluster.client import Client
from pointsman.cluster.connection import connect
from pointsman.cluster.kinds import EVENT, LEASE, MODEL_REVISION, SERVICE
from pointsman.cluster.lease import Leadership, LeaseLost, Terms
from pointsman.cluster.recorder import Recorder, occurrence
from pointsman.errors import Conflict, Terminal, Unavailable

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

pytestmark = pytest.mark.bare


@dataclass(frozen=True)
class Place:
    client: Client
    namespace: str
    tally: Counter[tuple[str, str, int]]

    def service(self, name: str = "churn", **selector: str) -> dict[str, Any]:
        spec = {"selector": selector or {"app": "churn"}, "ports": [{"port": 80}]}
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }

    def revision(self, name: str = "churn-1") -> dict[str, Any]:
        spec = {"deployment": "churn", "model": {"version": "1"}, "template": {}, "port": "http"}
        meta = {"name": name, "namespace": self.namespace}
        return {"apiVersion": MODEL_REVISION.api_version, "kind": "ModelRevision", "metadata": meta, "spec": spec}


@pytest.fixture
async def place(crds: Cluster) -> AsyncIterator[Place]:
    namespace = f"client-{uuid.uuid4().hex[:8]}"
    crds.kubectl("create", "namespace", namespace)
    tally: Counter[tuple[str, str, int]] = Counter()
    client = Client(await connect(str(crds.kubeconfig)), lambda *what: tally.update([what]))
    yield Place(client, namespace, tally)
    await client.close()
    crds.kubectl("delete", "namespace", namespace, "--wait=false")


async def test_who_may_not_write_may_read(place: Place, crds: Cluster) -> None:
    def lost() -> None:
        raise LeaseLost("somebody else leads")

    service = await place.client.create(place.service())
    late = Client(await connect(str(crds.kubeconfig)), guard=lost)
    version, uid = service["metadata"]["resourceVersion"], service["metadata"]["uid"]
    changed = place.service(app="other")
    for write in (
        late.create(place.service("late")),
        late.apply(changed, uid=uid, resource_version=version),
        late.delete(SERVICE, place.namespace, "churn", uid=uid),
        late.merge(SERVICE, place.namespace, "churn", {"metadata": {"labels": {"a": "b"}}}),
    ):
        with pytest.raises(LeaseLost, match="somebody else leads"):
            await write
    assert [found["metadata"]["name"] for found in (await late.list(SERVICE, place.namespace)).items] == ["churn"]
    assert (await late.get(SERVICE, place.namespace, "churn"))["metadata"]["resourceVersion"] == version
    await late.close()


async def test_an_apply_without_change_is_no_write(place: Place) -> None:
    made = await place.client.create(place.service())
    meta = made["metadata"]
    same = await place.client.apply(place.service(), uid=meta["uid"], resource_version=meta["resourceVersion"])
    assert same["metadata"]["resourceVersion"] == meta["resourceVersion"]
    assert place.tally["apply", "Service", 201] == place.tally["apply", "Service", 200] == 1


async def test_an_apply_over_something_newer_is_a_conflict(place: Place) -> None:
    made = await place.client.create(place.service())
    guard = {"uid": made["metadata"]["uid"], "resource_version": made["metadata"]["resourceVersion"]}
    await place.client.apply(place.service(app="other"), **guard)
    with pytest.raises(Conflict):
        await place.client.apply(place.service(app="third"), **guard)


async def test_an_apply_of_what_is_gone_does_not_create_it(place: Place) -> None:
    made = await place.client.create(place.service())
    meta = made["metadata"]
    await place.client.delete(SERVICE, place.namespace, "churn", uid=meta["uid"])
    with pytest.raises(Conflict):
        await place.client.apply(place.service(), uid=meta["uid"], resource_version=meta["resourceVersion"])
    with pytest.raises(Missing):
        await place.client.get(SERVICE, place.namespace, "churn")


async def test_create_does_not_take_what_is_somebody_elses(place: Place) -> None:
    await place.client.post(place.service(app="theirs"))
    with pytest.raises(Taken, match=r"\.spec\.selector"):
        await place.client.create(place.service(app="ours"))
    theirs = await place.client.get(SERVICE, place.namespace, "churn")
    assert theirs["spec"]["selector"] == {"app": "theirs"}


async def test_a_refusal_is_in_the_api_servers_words(place: Place) -> None:
    bad = place.service()
    bad["spec"]["ports"] = []
    with pytest.raises(Refused, match=r"spec\.ports: Required value"):
        await place.client.create(bad)
    with pytest.raises(Missing, match='namespaces "nowhere" not found'):
        await place.client.create({**bad, "metadata": {"name": "a", "namespace": "nowhere"}})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("selecter", {"app": "churn"}, 'unknown field "spec.selecter"'), ("ports", [{"port": "x"}], "cannot be handled")],
)
async def test_what_an_apply_cannot_decode_is_refused_and_not_the_api_servers_fault(
    place: Place, field: str, value: Any, words: str
) -> None:
    bad = place.service()
    bad["spec"][field] = value
    with pytest.raises(Refused, match=words):
        await place.client.create(bad)
    with pytest.raises(Missing):
        await place.client.get(SERVICE, place.namespace, "churn")


async def test_a_status_is_replaced_whole_and_the_spec_is_left_alone(place: Place) -> None:
    made = await place.client.create(place.revision())
    full = await place.client.update_status(made, {"state": "Candidate", "evidence": "x"})
    same = await place.client.update_status(full, {"state": "Candidate", "evidence": "x"})
    assert same["metadata"]["resourceVersion"] == full["metadata"]["resourceVersion"]
    less = await place.client.update_status(same, {"state": "Stable"})
    assert less["status"] == {"state": "Stable"}
    assert less["spec"] == made["spec"]
    with pytest.raises(Conflict):
        await place.client.update_status(full, {"state": "Retired"})


async def test_a_status_of_what_is_gone_is_missing(place: Place) -> None:
    made = await place.client.create(place.revision())
    await place.client.delete(MODEL_REVISION, place.namespace, "churn-1", uid=made["metadata"]["uid"])
    with pytest.raises(Missing):
        await place.client.update_status(made, {"state": "Stable"})


async def test_only_the_object_that_was_seen_is_deleted(place: Place) -> None:
    made = await place.client.create(place.revision())
    with pytest.raises(Conflict, match="UID"):
        await place.client.delete(MODEL_REVISION, place.namespace, "churn-1", uid="another")
    await place.client.delete(MODEL_REVISION, place.namespace, "churn-1", uid=made["metadata"]["uid"])
    with pytest.raises(Missing):
        await place.client.delete(MODEL_REVISION, place.namespace, "churn-1", uid=made["metadata"]["uid"])


async def test_a_list_comes_in_pages_and_says_what_its_items_are(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.cluster.client.PAGE", 2)
    for number in range(5):
        await place.client.create(place.revision(f"churn-{number}"))
    listing = await place.client.list(MODEL_REVISION, place.namespace)
    assert [item["metadata"]["name"] for item in listing.items] == [f"churn-{number}" for number in range(5)]
    assert {(item["apiVersion"], item["kind"]) for item in listing.items} == {
        (MODEL_REVISION.api_version, MODEL_REVISION.name)
    }
    assert int(listing.resource_version) >= max(int(i["metadata"]["resourceVersion"]) for i in listing.items)
    assert place.tally["list", "ModelRevision", 200] == 3


async def test_an_event_and_its_series(place: Place) -> None:
    revision = await place.client.create(place.revision())
    recorder = Recorder(place.client, instance="test")
    for _ in range(3):
        recorder.record(occurrence(revision, type_="Warning", reason="Harm", action="Rollback", note="slow"))
        await recorder.flush()
    listing = await place.client.list(EVENT, place.namespace)
    (event,) = listing.items
    assert (event["note"], event["reason"], event["series"]["count"]) == ("slow", "Harm", 3)


async def test_two_contenders_for_one_lease(place: Place) -> None:
    terms = Terms(duration=15, deadline=10, retry=0.01)

    def contender(identity: str) -> Leadership:
        return Leadership(place.client, namespace=place.namespace, name="lead", identity=identity, terms=terms)

    contenders = {identity: contender(identity) for identity in ("a", "b")}
    tries = {identity: asyncio.create_task(one.acquire()) for identity, one in contenders.items()}
    await asyncio.wait(tries.values(), return_when=asyncio.FIRST_COMPLETED)
    lease = await place.client.get(LEASE, place.namespace, "lead")
    winner = lease["spec"]["holderIdentity"]
    loser = ({"a", "b"} - {winner}).pop()
    await contenders[winner]._renew()
    assert not tries[loser].done()
    await contenders[winner].release()
    await asyncio.wait_for(tries[loser], 10)
    with pytest.raises(LeaseLost, match=f"taken by {loser}"):
        await contenders[winner]._renew()


async def test_nobody_there_is_unavailable(tmp_path: Any, crds: Cluster) -> None:
    nobody = tmp_path / "kubeconfig"
    nobody.write_text(crds.kubeconfig.read_text().replace(crds.server, "https://127.0.0.1:9"))
    client = Client(await connect(str(nobody)))
    with pytest.raises(Unavailable, match="no answer from the API server to get /api/v1/namespaces/ml/services/a"):
        await client.get(SERVICE, "ml", "a")
    await client.close()


async def test_without_credentials_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Terminal, match="set --kubeconfig or KUBECONFIG"):
        await connect()
    with pytest.raises(Terminal, match=r"the kubeconfig .*absent"):
        await connect(str(tmp_path / "absent"))
