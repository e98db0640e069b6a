import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.render.drift import covers, difference
from tests.render.examples import EXAMPLES

Json = dict[str, Any]


def deployment(**spec: Any) -> Json:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}


def container(**fields: Any) -> Json:
    return deployment(template={"spec": {"containers": [{"name": "model", **fields}]}})


def service(*ports: Json, **selector: str) -> Json:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"ports": list(ports), "selector": selector}}


def custom(**spec: Any) -> Json:
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "x"}, "spec": spec}


def metadata(**fields: Any) -> Json:
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": fields}


def owner(uid: str, **fields: Any) -> Json:
    return {"kind": "ModelRevision", "name": "x", "uid": uid, **fields}


COVERED = {
    "defaults that the server adds": (
        container(image="a", terminationMessagePath="/dev/termination-log", imagePullPolicy="Always"),
        container(image="a"),
    ),
    "a container that a webhook added": (
        deployment(template={"spec": {"containers": [{"name": "sidecar"}, {"name": "model", "image": "a"}]}}),
        container(image="a"),
    ),
    "a port's protocol": (
        container(ports=[{"containerPort": 80, "protocol": "TCP"}]),
        container(ports=[{"containerPort": 80}]),
    ),
    "defaults inside a list that is replaced whole": (
        deployment(template={"spec": {"tolerations": [{"key": "a", "operator": "Equal"}]}}),
        deployment(template={"spec": {"tolerations": [{"key": "a"}]}}),
    ),
    "half a CPU": (
        container(resources={"limits": {"cpu": "500m", "memory": "1Gi", "gpu": "1"}}),
        container(resources={"limits": {"cpu": "0.5", "memory": "1024Mi", "gpu": 1}}),
    ),
    "a fraction of a thousandth": (
        container(resources={"limits": {"cpu": "1m"}}),
        container(resources={"limits": {"cpu": "0.0001"}}),
    ),
    "an exponent": (
        container(resources={"limits": {"memory": "1e3"}}),
        container(resources={"limits": {"memory": "1k"}}),
    ),
    "empty values that the server drops": (
        container(),
        container(env=[], stdin=False, workingDir="", image=None),
    ),
    "an empty value of a variable": (
        container(env=[{"name": "A"}]),
        container(env=[{"name": "A", "value": ""}]),
    ),
    "empty maps that the server drops": (
        deployment(template={"spec": {}}),
        deployment(template={"spec": {"nodeSelector": {}}}),
    ),
    "labels and annotations of others": (
        metadata(labels={"a": "1", "b": "2"}, annotations={"deployment.kubernetes.io/revision": "1"}),
        metadata(labels={"a": "1"}),
    ),
    "owners beside ours": (
        metadata(ownerReferences=[owner("1"), owner("2", controller=True)]),
        metadata(ownerReferences=[owner("2", controller=True)]),
    ),
    "status and identity": (
        {**deployment(replicas=1), "status": {"replicas": 1}},
        deployment(replicas=1),
    ),
    "an item of a list answer, which says no kind": (
        {"metadata": {"name": "x"}, "spec": {"replicas": 1}},
        deployment(replicas=1),
    ),
    "fields of a custom resource that others set": (custom(a={"x": 1, "y": 2}), custom(a={"x": 1})),
}


@pytest.mark.parametrize(("live", "desired"), COVERED.values(), ids=COVERED)
def test_is_no_difference(live: Json, desired: Json) -> None:
    assert difference(live, desired) == []
    assert covers(live, desired)


DIFFERENT = {
    "another value": (container(image="b"), container(image="a"), "spec.template.spec.containers[name=model].image"),
    "an item that is gone": (
        deployment(template={"spec": {"containers": []}}),
        container(image="a"),
        "spec.template.spec.containers[name=model]",
    ),
    "a field that is gone": (container(), container(image="a"), "spec.template.spec.containers[name=model].image"),
    "a word more": (
        container(args=["a", "b"]),
        container(args=["a"]),
        "spec.template.spec.containers[name=model].args",
    ),
    "another word": (
        container(args=["a", "b"]),
        container(args=["a", "c"]),
        "spec.template.spec.containers[name=model].args[1]",
    ),
    "another amount": (
        container(resources={"limits": {"cpu": "501m"}}),
        container(resources={"limits": {"cpu": "0.5"}}),
        "spec.template.spec.containers[name=model].resources.limits.cpu",
    ),
    "an amount that is none": (
        container(resources={"limits": {"cpu": "1"}}),
        container(resources={"limits": {"cpu": "one"}}),
        "spec.template.spec.containers[name=model].resources.limits.cpu",
    ),
    "no replicas, where the default is 1": (deployment(), deployment(replicas=0), "spec.replicas"),
    "replicas that should be none": (deployment(replicas=1), deployment(replicas=0), "spec.replicas"),
    "a token that should not be there": (
        deployment(template={"spec": {}}),
        deployment(template={"spec": {"automountServiceAccountToken": False}}),
        "spec.template.spec.automountServiceAccountToken",
    ),
    "a volume's source": (
        deployment(template={"spec": {"volumes": [{"name": "v"}]}}),
        deployment(template={"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
        "spec.template.spec.volumes[name=v].emptyDir",
    ),
    "a selector that selects less": (service(app="a", more="b"), service(app="a"), "spec.selector.more"),
    "another target": (
        service({"port": 80, "protocol": "TCP", "targetPort": 8080}),
        service({"port": 80, "protocol": "TCP", "targetPort": "http"}),
        "spec.ports[port=80].targetPort",
    ),
    "another shape": (
        {**deployment(), "spec": []},
        deployment(replicas=1),
        "spec",
    ),
    "a custom resource's list with an item more": (custom(hostnames=["a", "b"]), custom(hostnames=["a"]), "spec.hostnames"),
    "a custom resource's list with a field more": (
        custom(parentRefs=[{"name": "a", "sectionName": "b"}]),
        custom(parentRefs=[{"name": "a"}]),
        "spec.parentRefs",
    ),
    "an empty list where a custom resource has one": (custom(hostnames=["a"]), custom(hostnames=[]), "spec.hostnames"),
    "another label": (metadata(labels={"a": "1"}), metadata(labels={"a": "2"}), "metadata.labels.a"),
    "no owner": (metadata(), metadata(ownerReferences=[owner("2")]), "metadata.ownerReferences"),
    "another owner": (
        metadata(ownerReferences=[owner("1")]),
        metadata(ownerReferences=[owner("2")]),
        "metadata.ownerReferences[uid=2]",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("live", "desired", "path"), DIFFERENT.values(), ids=DIFFERENT)
def test_is_a_difference(live: Json, desired: Json, path: str) -> None:
    assert difference(live, desired) == [path]
    assert not covers(live, desired)


def managed(obj: Json, fields: Json, **entry: str) -> Json:
    """The object, with `fields` written by an apply of ours."""
    mine = {"manager": "pointsman", "operation": "Apply", "fieldsV1": fields, **entry}
    return {**obj, "metadata": {**obj["metadata"], "managedFields": [mine]}}


ANNOTATED = {"f:metadata": {"f:annotations": {"f:a": {}, "f:b": {}}}}
PORTS = {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:name": {}}}}}

MANAGED = {
    "an annotation of ours that is over": (
        managed(metadata(annotations={"a": "1", "b": "2"}), ANNOTATED),
        metadata(annotations={"a": "1"}),
        ["metadata.annotations.b"],
    ),
    "an annotation that is still wanted": (
        managed(metadata(annotations={"a": "1", "b": "2"}), ANNOTATED),
        metadata(annotations={"a": "1", "b": "2"}),
        [],
    ),
    "an annotation of somebody else's": (
        managed(metadata(annotations={"a": "1", "b": "2"}), ANNOTATED, manager="kubectl"),
        metadata(annotations={"a": "1"}),
        [],
    ),
    "what another kind of write of ours left": (
        managed(metadata(annotations={"a": "1", "b": "2"}), ANNOTATED, operation="Update"),
        metadata(annotations={"a": "1"}),
        [],
    ),
    "status that we applied": (
        managed(metadata(annotations={"a": "1", "b": "2"}), ANNOTATED, subresource="status"),
        metadata(annotations={"a": "1"}),
        [],
    ),
    "an item that is over": (
        managed(service({"port": 80, "protocol": "TCP", "name": "http"}), PORTS),
        service(),
        ["spec.ports[port=80]"],
    ),
    "a field of an item that is over": (
        managed(service({"port": 80, "protocol": "TCP", "name": "http"}), PORTS),
        service({"port": 80}),
        ["spec.ports[port=80].name"],
    ),
    "an item that is still wanted": (
        managed(service({"port": 80, "protocol": "TCP", "name": "http"}), PORTS),
        service({"port": 80, "name": "http"}),
        [],
    ),
}


@pytest.mark.parametrize(("live", "desired", "paths"), MANAGED.values(), ids=MANAGED)
def test_what_we_wrote_once_and_no_longer_want(live: Json, desired: Json, paths: list[str]) -> None:
    assert difference(live, desired) == paths


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_object_covers_itself(name: str) -> None:
    assert difference(EXAMPLES[name], EXAMPLES[name]) == []


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        return [leaf for key, child in value.items() for leaf in leaves(child, (*path, key))]
    if isinstance(value, list) and value:
        return [leaf for index, child in enumerate(value) for leaf in leaves(child, (*path, index))]
    return [path]


def edited(value: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(value)
    parent = changed
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = "edited"
    return changed


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_edit_of_a_single_value_goes_unnoticed(name: str) -> None:
    example = EXAMPLES[name]
    paths = [path for path in leaves(example) if path[0] not in ("apiVersion", "kind")]
    assert [path for path in paths if covers(edited(example, path), example)] == []


@given(st.text(alphabet="0123456789.eE+-mkMGKi", max_size=40), st.text(alphabet="0123456789.eE+-mkMGKi", max_size=40))
def test_any_text_can_stand_where_a_quantity_should(have: str, want: str) -> None:
    live, desired = (container(resources={"limits": {"cpu": text}}) for text in (have, want))
    assert covers(live, live)
    if have != want:
        assert covers(live, desired) == covers(desired, live)
