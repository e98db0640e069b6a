"""A route of the user's, kept in Git, through a rollout: they apply it again as they please, the shares stay the operator's."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pointsman.api.names import DEPLOYMENT
from pointsman.cluster.kinds import ROUTE
from tests.api.conftest import Site
from tests.api.operator_model import GATEWAY, QUICK, Model
from tests.api.operator_server import Object, eventually

pytestmark = pytest.mark.bare

HOLDING = QUICK | {"steps": [{"canary": {"percent": 20}, "hold": "10m"}]}
HEADERS = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-team", "value": "ml"}]}}
OTHERS = [
    {"matches": [{"path": {"type": "Exact", "value": "/healthz"}}], "backendRefs": [{"name": "prober", "port": 8080}]},
    {
        "matches": [{"path": {"type": "PathPrefix", "value": "/docs"}}],
        "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "docs.example.com"}}],
    },
]


def manifest(name: str, *, timeout: str = "3s") -> Object:
    """What the team has in Git."""
    predict = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/v2"}}],
        "filters": [HEADERS],
        "timeouts": {"request": timeout},
        "backendRefs": [{"name": name, "port": 80}],
    }
    return {
        "apiVersion": ROUTE.api_version,
        "kind": "HTTPRoute",
        "metadata": {"name": name, "labels": {DEPLOYMENT: name, "team": "churn"}},
        "spec": {
            "parentRefs": [{"name": GATEWAY}],
            "hostnames": [f"{name}.example.com"],
            "rules": [predict, *OTHERS],
        },
    }


def client_side(site: Site, route: Object) -> None:
    """`kubectl apply`, which compares with what it applied last."""
    site.cluster.kubectl("apply", "--namespace", site.server.namespace, "--filename=-", stdin=json.dumps(route))


def server_side(site: Site, route: Object) -> None:
    """`kubectl apply --server-side --force-conflicts`, as Argo CD and Flux do it."""
    site.server.apply(route)


Apply = Callable[[Site, Object], None]


@pytest.fixture(params=[client_side, server_side], ids=["kubectl apply", "server-side apply"])
def apply(request: pytest.FixtureRequest) -> Apply:
    chosen: Apply = request.param
    return chosen


@pytest.fixture
def churn(site: Site, model: Callable[..., Model], apply: Apply) -> Iterator[Model]:
    """A model whose first version serves behind the team's own route."""
    churn = model(rollout=HOLDING)
    churn.spec |= {"traffic": {"routeRef": {"name": churn.name}}}
    apply(site, manifest(churn.name))
    churn.apply("1")
    churn.until_serves("1")
    yield churn
    site.server.delete(ROUTE, churn.name)


def theirs(site: Site, name: str) -> Any:
    """All of the route but the model's backends."""
    route = site.server.get(ROUTE, name)
    assert route is not None
    spec = copy.deepcopy(route["spec"])
    del spec["rules"][0]["backendRefs"]
    return spec, route["metadata"]["labels"], route["metadata"].get("ownerReferences")


def test_a_canary_and_its_promotion_leave_the_rest_of_the_route_alone(site: Site, churn: Model, apply: Apply) -> None:
    before = theirs(site, churn.name)
    generation = (site.server.get(ROUTE, churn.name) or {})["metadata"]["generation"]
    assert generation == 1  # while nothing is switched nothing is written
    churn.apply("2")
    candidate = churn.until_percent(20)["candidate"]["revision"]
    assert theirs(site, churn.name) == before

    apply(site, manifest(churn.name, timeout="9s"))
    eventually(lambda: churn.share(candidate), lambda share: share == 20)
    changed = theirs(site, churn.name)
    assert changed[0]["rules"][0].pop("timeouts") == {"request": "9s"}
    assert before[0]["rules"][0].pop("timeouts") == {"request": "3s"}
    assert changed == before
    churn.until_event("SetBack", f"HTTPRoute {churn.name}", "docs/gitops.md")

    churn.annotate("promote", f"{candidate}/1")
    churn.until_serves("2")
    assert churn.share(candidate) == 100
    apply(site, manifest(churn.name, timeout="9s"))
    churn.until_serves("2")
    # By the Service of the model's name, or its own: the gateway sends nothing anywhere else.
    eventually(
        lambda: site.gateway.split()[churn.name], lambda split: {k for k, w in split.items() if w} == {candidate}
    )


def test_abort_after_the_manifest_was_applied_again(site: Site, churn: Model, apply: Apply) -> None:
    churn.apply("2")
    candidate = churn.until_percent(20)["candidate"]["revision"]
    apply(site, manifest(churn.name))
    churn.annotate("abort", f"{candidate}/1")
    churn.until_ended("Aborted")
    assert churn.share(candidate) == 0
    churn.until_says("Ready", "True", "Serving", "version 1")
    apply(site, manifest(churn.name))
    churn.until_says("UpToDate", "False", "Aborted")
    assert churn.share(candidate) == 0


def test_what_the_team_has_to_write(site: Site, model: Callable[..., Model], apply: Apply) -> None:
    churn = model()
    churn.spec |= {"traffic": {"routeRef": {"name": churn.name}}}
    churn.apply("1")
    churn.until_says("Accepted", "False", "RouteNotFound", f"`{DEPLOYMENT}: {churn.name}`")
    without = manifest(churn.name)
    without["spec"]["rules"] = OTHERS
    apply(site, without)
    churn.until_says("Accepted", "False", "RouteUnusable", f"write `backendRefs: [{{name: {churn.name}, port: 80}}]`")
    apply(site, manifest(churn.name))
    assert churn.until_serves("1")["url"] == f"http://{churn.name}.example.com"
    site.server.delete(ROUTE, churn.name)
    churn.until_says("Accepted", "False", "RouteNotFound")
    churn.until_says("Ready", "False", "RouteNotAccepted", "is not there")
