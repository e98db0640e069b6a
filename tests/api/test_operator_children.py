"""What the operator owns stays as it made it, and is not written again while nothing changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pointsman.cluster.kinds import ROUTE, SERVICE, WORKLOAD, Kind
from tests.api.conftest import Site
from tests.api.operator_model import QUICK, Model
from tests.api.operator_server import Object, eventually

pytestmark = pytest.mark.bare

Make = Callable[..., Model]

HOLDING = QUICK | {"steps": [{"canary": {"percent": 20}, "hold": "10m"}]}


def edits(revision: str, name: str) -> dict[str, tuple[Kind, str, Object]]:
    """By hand, to what serves."""
    more = {"spec": {"replicas": 3}}
    other = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 45}}}}
    return {
        "replicas": (WORKLOAD, revision, more),
        "template": (WORKLOAD, revision, other),
        "selector": (SERVICE, revision, {"spec": {"selector": {"app": "other"}}}),
        "hostnames": (ROUTE, name, {"spec": {"hostnames": ["other.example.com"]}}),
        "owner": (ROUTE, name, {"metadata": {"ownerReferences": []}}),
    }


@pytest.mark.parametrize("what", list(edits("", "")))
def test_edit_by_hand_is_set_back_with_an_event(model: Make, what: str) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    before = owned(churn)
    kind, name, patch = edits(churn.revision(), churn.name)[what]
    churn.edit(kind, name, patch)
    churn.until_event("SetBack", f"{kind.name} {name}")
    eventually(lambda: owned(churn), lambda now: now == before)


@pytest.mark.parametrize("kind", [WORKLOAD, SERVICE, ROUTE], ids=lambda kind: kind.name)
def test_deleted_child_comes_back(model: Make, kind: Kind) -> None:
    churn = model()
    churn.apply("1")
    churn.until_serves("1")
    before = owned(churn)
    name = churn.name if kind is ROUTE else churn.revision()
    churn.server.delete(kind, name)
    eventually(lambda: set(owned(churn)), lambda now: now == set(before))
    churn.until_serves("1")
    assert churn.share(churn.revision()) == 100


def test_weights_changed_by_hand_during_a_canary_are_set_back(model: Make) -> None:
    churn = model(rollout=HOLDING)
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2")
    candidate = churn.until_percent(20)["candidate"]["revision"]
    route = churn.server.get(ROUTE, churn.name)
    assert route is not None
    rules = route["spec"]["rules"]
    for backend in rules[0]["backendRefs"]:
        backend["weight"] = 50
    churn.edit(ROUTE, churn.name, {"spec": {"rules": rules}})
    churn.until_event("SetBack", f"HTTPRoute {churn.name}")
    eventually(lambda: churn.share(candidate), lambda share: share == 20)


def test_nothing_is_written_while_nothing_changes(site: Site, model: Make) -> None:
    quiet, waiting = model(), model(rollout=HOLDING)
    for one in (quiet, waiting):
        one.apply("1")
    for one in (quiet, waiting):
        one.until_serves("1")
    waiting.apply("2")
    waiting.until_percent(20)
    site.looks(1)  # the first look of the step is recorded
    site.settled()
    before, versions = site.operator.writes(), [resource_versions(one) for one in (quiet, waiting)]
    site.looks(3)
    for one in (quiet, waiting):
        one.annotate("note", "of no meaning to the operator, which looks at it nevertheless")
        site.reconciles(1)
    assert site.operator.writes() == before
    assert [resource_versions(one) for one in (quiet, waiting)] == versions


def test_every_child_is_strictly_valid_and_owned(model: Make) -> None:
    churn = model(rollout=HOLDING)
    churn.apply("1")
    churn.until_serves("1")
    churn.apply("2")
    churn.until_percent(20)
    children = churn.children()
    assert (
        len(children) == 8
    )  # a Deployment, a Service and a ModelRevision each, the Service and the route of the model
    for (kind, name), obj in children.items():
        assert [(o["kind"], o["name"], o["controller"]) for o in obj["metadata"]["ownerReferences"]] == [
            ("ModelDeployment", churn.name, True)
        ], (kind, name)
        managers = {entry["manager"] for entry in obj["metadata"]["managedFields"] if "subresource" not in entry}
        assert "pointsman" in managers, (kind, name)


def owned(model: Model) -> dict[tuple[str, str], Object]:
    """Spec and owners of all children."""
    return {
        key: {"spec": obj["spec"], "owners": obj["metadata"].get("ownerReferences")}
        for key, obj in model.children().items()
    }


def resource_versions(model: Model) -> dict[tuple[str, str], str]:
    """The version of every child and of the status."""
    return {key: obj["metadata"]["resourceVersion"] for key, obj in model.children().items()} | {
        ("ModelDeployment", model.name): str(model.status)
    }
