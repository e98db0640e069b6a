"""Webhooks are told what happens: with the token of a Secret, at least once, whatever becomes of the operator."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pointsman.cluster.kinds import LEASE, SECRET
from tests.api.conftest import Cleanup, Site
from tests.api.operator_model import QUICK, Model
from tests.api.operator_server import Object, eventually
from tests.webhooks.endpoint import Endpoint, Request

pytestmark = pytest.mark.bare

Make = Callable[..., Model]
TOKEN = "hush-" + "0123456789abcdef"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as running:
        yield running


@pytest.fixture
def secret(cleanup: Cleanup) -> str:
    """The name of a Secret that a test may create; it goes with the test."""
    name = f"hook-{uuid.uuid4().hex[:8]}"
    cleanup(SECRET, name)
    return name


def create(site: Site, name: str) -> None:
    meta = {"name": name, "namespace": site.server.namespace}
    data = {"token": base64.b64encode(TOKEN.encode()).decode()}
    site.server.post(SECRET, {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data})


def telling(endpoint: Endpoint, secret: str | None = None, *, on: tuple[str, ...] = ("Started", "Promoted")) -> Object:
    """A quick rollout that tells a webhook."""
    webhook: Object = {"url": endpoint.url, "allowPrivate": True}
    if secret is not None:
        webhook["secretRef"] = {"name": secret, "key": "token"}
    return QUICK | {"notify": [{"webhook": webhook, "when": list(on)}]}


def heard(endpoint: Endpoint) -> list[Object]:
    return [json.loads(request.body) for request in list(endpoint.requests)]


def until_told(endpoint: Endpoint, *occasions: str) -> list[Object]:
    return eventually(
        lambda: heard(endpoint), lambda events: {one["data"]["occasion"] for one in events} >= set(occasions)
    )


def owes_nothing(status: Object) -> Any:
    return not status.get("notifications")


def test_a_rollout_is_told_with_the_token_and_nobody_else_reads_it(
    site: Site, model: Make, endpoint: Endpoint, secret: str
) -> None:
    create(site, secret)
    churn = model(rollout=telling(endpoint, secret))
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2")
    churn.until_ended("Promoted")
    events = until_told(endpoint, "Started", "Promoted")
    status = churn.until(owes_nothing)
    churn.until_says("Notified", "True", "Notified")
    assert sorted(one["type"] for one in events) == ["dev.pointsman.rollout.promoted", "dev.pointsman.rollout.started"]
    assert {one["source"].rpartition("/")[2] for one in events} == {churn.name}
    assert {request.headers["Authorization"] for request in endpoint.requests} == {f"Bearer {TOKEN}"}
    everywhere = [
        json.dumps(status),
        json.dumps(site.server.events(churn.name)),
        json.dumps([churn.record(churn.revision())]),
        site.operator.log.read_text(encoding="utf-8"),
        json.dumps(list(site.operator.metrics())),
    ]
    assert not [text for text in everywhere if TOKEN in text]


def test_killed_between_telling_and_writing_it_down_it_tells_again_with_the_same_id(
    site: Site, model: Make, endpoint: Endpoint
) -> None:
    churn = model(rollout=telling(endpoint, on=("Promoted",)))
    churn.apply("1")
    churn.until_serves("1")

    def kill(_: Request) -> None:
        if not endpoint.requests:
            site.operator.kill()

    endpoint.received = kill
    churn.apply("2")
    (first,) = until_told(endpoint, "Promoted")
    assert [one["id"] for one in churn.status["notifications"]] == [first["id"]]
    site.server.delete(LEASE, "pointsman")
    site.operator.start()
    events = eventually(lambda: heard(endpoint), lambda events: len(events) > 1)
    churn.until(owes_nothing)
    assert events == [first, first]
    assert len(heard(endpoint)) == 2


def test_a_webhook_without_its_secret_is_a_condition_until_the_secret_is_there(
    site: Site, model: Make, endpoint: Endpoint, secret: str
) -> None:
    churn = model(rollout=telling(endpoint, secret, on=("Promoted",)))
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2")
    missing = f"there is no Secret {site.server.namespace}/{secret}: create it"
    churn.until_says("Notified", "False", "NoToken", missing)
    churn.until_ended("Promoted")
    churn.until_says("Notified", "False", "Undelivered", missing)
    assert not endpoint.requests
    create(site, secret)
    until_told(endpoint, "Promoted")
    churn.until_says("Notified", "True", "Notified")


def test_a_webhook_that_leads_into_the_cluster_is_not_called_unless_that_is_meant(
    model: Make, endpoint: Endpoint
) -> None:
    rollout = telling(endpoint)
    del rollout["notify"][0]["webhook"]["allowPrivate"]
    churn = model(rollout=rollout)
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2")
    churn.until_says("Notified", "False", "Undelivered", "127.0.0.1 is a private address")
    assert not endpoint.requests
