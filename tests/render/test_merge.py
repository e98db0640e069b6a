import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import Terminal
from pointsman.render.merge import DEPTH_LIMIT, lay

Json = dict[str, Any]


def container(**fields: Any) -> Json:
    return {"spec": {"containers": [{"name": "model", **fields}]}}


MERGED = {
    "a field is replaced": (container(image="a"), container(image="b"), container(image="b")),
    "a field of the lower template stays": (container(image="a"), container(), container(image="a")),
    "null deletes a field": (container(image="a", tty=True), container(tty=None), container(image="a")),
    "null deletes a whole list": (container(env=[{"name": "A", "value": "1"}]), container(env=None), container()),
    "null of what is not there does nothing": (container(), container(env=None), container()),
    "a null in a lower layer is gone": ({}, container(env=None), container()),
    "env is merged by name, in place, new ones follow": (
        container(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
        container(env=[{"name": "C", "value": "3"}, {"name": "A", "value": "9"}]),
        container(env=[{"name": "A", "value": "9"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"}]),
    ),
    "an env variable has a value or a source: the last one named counts": (
        container(env=[{"name": "A", "value": "1"}]),
        container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
        container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
    ),
    "a probe has one way to ask, its times stay": (
        container(readinessProbe={"httpGet": {"port": 80}, "periodSeconds": 5}),
        container(readinessProbe={"exec": {"command": ["true"]}}),
        container(readinessProbe={"periodSeconds": 5, "exec": {"command": ["true"]}}),
    ),
    "a probe's way to ask is merged with itself": (
        container(readinessProbe={"httpGet": {"port": 80, "path": "/a"}}),
        container(readinessProbe={"httpGet": {"path": "/b"}}),
        container(readinessProbe={"httpGet": {"port": 80, "path": "/b"}}),
    ),
    "a volume has one source: another kind replaces it": (
        {"spec": {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}},
        {"spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}},
        {"spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}},
    ),
    "a volume of the same kind is merged": (
        {"spec": {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}},
        {"spec": {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]}},
        {"spec": {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}]}},
    ),
    "args have no key and are replaced whole": (container(args=["a", "b"]), container(args=["c"]), container(args=["c"])),
    "tolerations have no key and are replaced whole": (
        {"spec": {"tolerations": [{"key": "gpu"}]}},
        {"spec": {"tolerations": [{"key": "spot"}]}},
        {"spec": {"tolerations": [{"key": "spot"}]}},
    ),
    "ports are merged by number and protocol, TCP where none is given": (
        container(ports=[{"name": "http", "containerPort": 80}]),
        container(ports=[{"containerPort": 80, "protocol": "TCP", "hostPort": 8}, {"containerPort": 80, "protocol": "UDP"}]),
        container(
            ports=[
                {"name": "http", "containerPort": 80, "protocol": "TCP", "hostPort": 8},
                {"containerPort": 80, "protocol": "UDP"},
            ]
        ),
    ),
    "$patch: delete takes an item out of a keyed list": (
        container(ports=[{"name": "http", "containerPort": 80}]),
        container(ports=[{"containerPort": 80, "$patch": "delete"}, {"name": "http", "containerPort": 81}]),
        container(ports=[{"name": "http", "containerPort": 81}]),
    ),
    "$patch: delete takes a field away, as null does": (
        container(image="a", resources={"limits": {"cpu": 1}}),
        container(resources={"$patch": "delete"}),
        container(image="a"),
    ),
    "$patch: replace takes an object as it is": (
        container(image="a", env=[{"name": "A", "value": "1"}]),
        container(image="b", **{"$patch": "replace"}),
        container(image="b"),
    ),
    "$patch: replace on the whole template forgets the lower one": (
        {"metadata": {"labels": {"a": "b"}}, **container(image="a")},
        {"$patch": "replace", **container(image="b")},
        container(image="b"),
    ),
    "volume mounts are merged by path": (
        container(volumeMounts=[{"mountPath": "/a", "name": "v", "readOnly": True}]),
        container(volumeMounts=[{"mountPath": "/a", "subPath": "x"}]),
        container(volumeMounts=[{"mountPath": "/a", "name": "v", "readOnly": True, "subPath": "x"}]),
    ),
    "image pull secrets are added": (
        {"spec": {"imagePullSecrets": [{"name": "a"}]}},
        {"spec": {"imagePullSecrets": [{"name": "b"}]}},
        {"spec": {"imagePullSecrets": [{"name": "a"}, {"name": "b"}]}},
    ),
    "host aliases are merged by ip": (
        {"spec": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}]}},
        {"spec": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["b"]}]}},
        {"spec": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["b"]}]}},
    ),
    "spread constraints are merged by both keys": (
        {"spec": {"topologySpreadConstraints": [{"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 1}]}},
        {"spec": {"topologySpreadConstraints": [{"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 2}]}},
        {"spec": {"topologySpreadConstraints": [{"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 2}]}},
    ),
    "labels, selectors and resources are merged by name": (
        {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"nodeSelector": {"x": "1"}}},
        {"metadata": {"labels": {"b": None, "c": "3"}}, "spec": {"nodeSelector": {"y": "2"}}},
        {"metadata": {"labels": {"a": "1", "c": "3"}}, "spec": {"nodeSelector": {"x": "1", "y": "2"}}},
    ),
    "a field that this table does not know is merged as an object": (
        {"spec": {"fromTheFuture": {"a": 1, "list": [1]}}},
        {"spec": {"fromTheFuture": {"b": 2, "list": [2]}}},
        {"spec": {"fromTheFuture": {"a": 1, "b": 2, "list": [2]}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("base", "over", "expected"), MERGED.values(), ids=MERGED)
def test_lays_one_template_over_another(base: Json, over: Json, expected: Json) -> None:
    before = copy.deepcopy((base, over))
    assert lay(base, over) == expected
    assert list(lay(base, over)) == list(expected)
    assert (base, over) == before, "the inputs are not touched"


REFUSED: dict[str, tuple[Any, str]] = {
    "a template that is no object": ([], "template is a list; write an object"),
    "spec": ({"spec": "x"}, "template.spec is a string; write an object"),
    "containers": (
        {"spec": {"containers": {"name": "model"}}},
        "template.spec.containers is an object; write a list of objects, each with `name`",
    ),
    "an item that is no object": (
        {"spec": {"containers": ["model"]}},
        "template.spec.containers[0] is a string; write an object",
    ),
    "an item of a plain list of objects": (
        {"spec": {"tolerations": [None]}},
        "template.spec.tolerations[0] is null; write an object",
    ),
    "an item without its key": (
        {"spec": {"containers": [{"image": "x"}]}},
        "template.spec.containers[0] has no `name`; its list is merged by `name`, so every item needs one",
    ),
    "a key of a wrong type": (
        {"spec": {"containers": [{"name": ["x"]}]}},
        "template.spec.containers[0].name is a list; write a plain value",
    ),
    "a key twice": (
        container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        "template.spec.containers[name=model].env[name=A] is there twice; keep one",
    ),
    "args": (container(args="--x"), "template.spec.containers[name=model].args is a string; write a list"),
    "labels": ({"metadata": {"labels": ["a"]}}, "template.metadata.labels is a list; write an object"),
    "limits": (
        container(resources={"limits": 3}),
        "template.spec.containers[name=model].resources.limits is a number; write an object",
    ),
    "another directive of strategic merge": (
        {"spec": {"$patch": "merge"}},
        (
            "template.spec has a `$patch` that does not work there; `$patch: replace` takes an object as it is,"
            " `$patch: delete` takes away a field, or an item of a list that is merged by key"
        ),
    ),
    "deleting everything": (
        {"$patch": "delete"},
        (
            "template has a `$patch` that does not work there; `$patch: replace` takes an object as it is,"
            " `$patch: delete` takes away a field, or an item of a list that is merged by key"
        ),
    ),
    "deleting from a list without keys": (
        {"spec": {"tolerations": [{"key": "gpu", "$patch": "delete"}]}},
        (
            "template.spec.tolerations[0] has a `$patch` that does not work there; `$patch: replace` takes an object as it"
            " is, `$patch: delete` takes away a field, or an item of a list that is merged by key"
        ),
    ),
}


@pytest.mark.parametrize(("over", "sentence"), REFUSED.values(), ids=REFUSED)
def test_refuses_with_the_place_and_what_to_write(over: Any, sentence: str) -> None:
    with pytest.raises(Terminal) as refused:
        lay({}, over)
    assert str(refused.value) == sentence


def test_refuses_bottomless_nesting() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Terminal, match=rf"^spec\.template is nested deeper than {DEPTH_LIMIT} levels"):
        lay({}, {"spec": {"fromTheFuture": deep}}, where="spec.template")


word = st.sampled_from("abc")
value = st.sampled_from(["1", "2"])
env = st.lists(
    st.one_of(
        st.fixed_dictionaries({"name": word, "value": value}),
        st.fixed_dictionaries({"name": word, "valueFrom": st.fixed_dictionaries({"fieldRef": st.just({"fieldPath": "x"})})}),
    ),
    max_size=3,
    unique_by=lambda item: item["name"],
)  # fmt: skip
containers = st.lists(
    st.fixed_dictionaries(
        {"name": word},
        optional={"env": env, "args": st.lists(value, max_size=2), "resources": st.fixed_dictionaries({"limits": st.dictionaries(word, value)})},
    ),
    max_size=3,
    unique_by=lambda item: item["name"],
)  # fmt: skip
volumes = st.lists(
    st.one_of(
        st.fixed_dictionaries({"name": word, "emptyDir": st.dictionaries(word, value)}),
        st.fixed_dictionaries({"name": word, "configMap": st.dictionaries(word, value)}),
    ),
    max_size=2,
    unique_by=lambda item: item["name"],
)
templates = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.fixed_dictionaries({}, optional={"labels": st.dictionaries(word, value)}),
        "spec": st.fixed_dictionaries({}, optional={"containers": containers, "volumes": volumes, "unknown": st.lists(value)}),
    },
)  # fmt: skip


def with_nulls(template: Json) -> st.SearchStrategy[Json]:
    def delete(names: list[str]) -> Json:
        changed = copy.deepcopy(template)
        for item in changed.get("spec", {}).get("containers", []):
            item.update(dict.fromkeys(names))
        return changed

    return st.lists(st.sampled_from(["env", "args", "resources", "tty"]), max_size=2).map(delete)


overlays = templates.flatmap(with_nulls)


@given(templates)
def test_laying_nothing_changes_nothing(base: Json) -> None:
    assert lay(base, {}) == base


@given(templates)
def test_laying_over_nothing_changes_nothing(over: Json) -> None:
    assert lay({}, over) == over


@given(templates, overlays)
def test_laying_twice_is_laying_once(base: Json, over: Json) -> None:
    once = lay(base, over)
    assert lay(once, over) == once
