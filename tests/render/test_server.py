"""What the real API server makes of the rendered objects."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pointsman.api import names
from pointsman.render import generate, kinds
from pointsman.render.drift import covers, difference
from tests.render.examples import EXAMPLES

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

pytestmark = pytest.mark.bare

Json = dict[str, Any]
Apply = Callable[..., Json]

NAMESPACE = "render-tests"


@pytest.fixture(scope="module")
def apply(crds: Cluster) -> Iterator[Apply]:
    """Server-side apply as the operator does it, refusing unknown fields; returns the object with managedFields."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    crds.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(namespace))

    def run(obj: Json, *flags: str, manager: str = names.MANAGER) -> Json:
        words = ["apply", "--server-side", "--validate=strict", "--force-conflicts", f"--field-manager={manager}"]
        answer = crds.kubectl(*words, *flags, "--show-managed-fields", "-o", "json", "-f", "-", stdin=json.dumps(obj))
        live: Json = json.loads(answer)
        return live

    yield run
    crds.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def example(name: str) -> Json:
    """An example in this module's namespace, without its owner: the garbage collector would look for that."""
    obj = copy.deepcopy(EXAMPLES[name])
    obj["metadata"]["namespace"] = NAMESPACE
    del obj["metadata"]["ownerReferences"]
    return obj


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_server_takes_it_and_what_it_stores_covers_it(apply: Apply, name: str) -> None:
    obj = copy.deepcopy(EXAMPLES[name])
    obj["metadata"]["namespace"] = NAMESPACE
    assert difference(apply(obj, "--dry-run=server"), obj) == []


EDITS: dict[str, tuple[str, Json, str]] = {
    "another weight": (
        "churn-route-fraction",
        {"spec": {"rules": [{"backendRefs": [{"name": "churn-5f3a9c1b", "port": 80}]}]}},
        "spec.rules",
    ),
    "another percentage": (
        "churn-route-mirrored-percent",
        {"spec": {"rules": [{"filters": [{"type": "RequestMirror", "requestMirror": {"percent": 21, "backendRef": {"name": "churn-i81d0aa3", "port": 80}}}]}]}},
        "spec.rules",
    ),
    "another image": (
        "churn-deployment",
        {"spec": {"template": {"spec": {"containers": [{"name": "model", "image": "other"}]}}}},
        "spec.template.spec.containers[name=model].image",
    ),
    "another number of replicas": ("churn-deployment", {"spec": {"replicas": 9}}, "spec.replicas"),
    "another maximum": ("churn-autoscaler", {"spec": {"maxReplicas": 99}}, "spec.maxReplicas"),
    "another target": (
        "churn-autoscaler",
        {"spec": {"metrics": [{"type": "Pods", "pods": {"metric": {"name": "a"}, "target": {"type": "AverageValue", "averageValue": "2.5"}}}]}},
        "spec.metrics[0].pods.metric.name",
    ),
    "another selector": (
        "churn-stable-service",
        {"spec": {"selector": {names.DEPLOYMENT: "churn", names.REVISION: "churn-5f3a9c1b", "more": "1"}}},
        "spec.selector.more",
    ),
    "another label": ("churn-revision", {"metadata": {"labels": {names.MANAGED_BY: "me"}}}, f"metadata.labels.{names.MANAGED_BY}"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "edit", "path"), EDITS.values(), ids=EDITS)
def test_a_hand_edit_is_found_and_set_back(apply: Apply, name: str, edit: Json, path: str) -> None:
    obj = example(name)
    assert covers(apply(obj), obj)
    identity = {**obj, "metadata": {key: obj["metadata"][key] for key in ("name", "namespace")}, "spec": {}}
    edit = {**identity, **edit, "metadata": {**identity["metadata"], **edit.get("metadata", {})}}
    assert difference(apply(edit, manager="hand"), obj) == [path]
    assert covers(apply(obj), obj)


def test_a_decision_that_is_over_is_found_and_taken_away(apply: Apply) -> None:
    decided, over = example("churn-route-decided"), example("churn-route-alone")
    live = apply(decided)
    assert difference(live, over) == ["spec.rules", "metadata.annotations"]
    live = apply(over)
    assert covers(live, over)
    assert names.DECIDED not in live["metadata"].get("annotations", {})


def test_a_metric_that_the_profile_no_longer_has_is_found_and_taken_away(apply: Apply) -> None:
    with_metrics, without = example("churn-revision"), example("churn-revision")
    without["spec"]["metrics"]["requests"]["failed"] = {"code": "5.."}
    assert difference(apply(with_metrics), without) == [
        "spec.metrics.requests.failed.code",
        "spec.metrics.requests.failed.status_code",
    ]
    assert covers(apply(without), without)


def test_the_table_of_kinds_is_the_servers(crds: Cluster) -> None:
    paths = ("apis/apps/v1", "api/v1", "apis/autoscaling/v2")
    documents = [json.loads(crds.kubectl("get", "--raw", f"/openapi/v3/{path}")) for path in paths]
    assert generate.table(documents) == kinds.KINDS
