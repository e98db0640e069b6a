from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.api.modeldeployment import ModelDeploymentSpec
from pointsman.api.modelruntime import ModelRuntimeSpec
from pointsman.errors import Terminal
from pointsman.render.merge import lay
from pointsman.render.template import Finished, finished_template, port_number

Json = dict[str, Any]

PORTS = [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 8082}]
METRICS = {"port": "metrics", "path": "/m", "requests": {"counter": "c", "failed": {"code": "5.."}}}


def model(**fields: Any) -> Json:
    return {"name": "model", "image": "x", "ports": PORTS, **fields}


def pod(*containers: Json, **fields: Any) -> Json:
    return {"spec": {"containers": list(containers), **fields}}


def finished(
    template: Json | None = None,
    *,
    runtime: Json | None = None,
    uri: str | None = None,
    version: str = "7",
    **spec: Any,
) -> Finished:
    """A finished template: of a template alone, or laid over a runtime's."""
    if runtime is None:
        spec = {"port": "http", **spec}
    parsed = ModelDeploymentSpec.model_validate(
        {"model": {"version": version, "storageUri": uri}, "template": template, **spec}
    )
    return finished_template(
        deployment="churn",
        revision="churn-5f3a9c1b",
        spec=parsed,
        runtime=None if runtime is None else ModelRuntimeSpec.model_validate({"port": "http", **runtime}),
        initializer_image="registry.example/storage-initializer:v1",
    )


def container(result: Finished, name: str = "model", *, of: str = "containers") -> Json:
    return next(one for one in result.template["spec"][of] if one["name"] == name)


def env(result: Finished) -> dict[str, Any]:
    return {one["name"]: one.get("value") for one in container(result)["env"]}


def test_the_environment_comes_first_so_that_all_that_follows_can_expand_it() -> None:
    result = finished(pod(model(env=[{"name": "URL", "value": "/v2/models/$(MODEL_NAME)"}])))
    assert list(env(result).items()) == [
        ("MODEL_NAME", "churn"),
        ("MODEL_VERSION", "7"),
        ("MODEL_PATH", "/mnt/models"),
        ("URL", "/v2/models/$(MODEL_NAME)"),
    ]


def test_a_version_is_text_whatever_is_in_it() -> None:
    assert env(finished(pod(model()), version="7-$(HOME)"))["MODEL_VERSION"] == "7-$$(HOME)"


def test_who_writes_our_variables_means_it() -> None:
    result = finished(pod(model(env=[{"name": "OTHER", "value": "x"}, {"name": "MODEL_NAME", "value": "mine"}])))
    assert list(env(result)) == ["MODEL_NAME", "MODEL_VERSION", "MODEL_PATH", "OTHER"]
    assert env(result)["MODEL_NAME"] == "mine"


def test_only_the_serving_container_gets_the_environment() -> None:
    assert "env" not in container(finished(pod(model(), {"name": "sidecar"})), "sidecar")


def test_the_users_template_lies_over_the_runtimes() -> None:
    result = finished(
        pod({"name": "model", "image": "mine"}), runtime={"template": pod(model(image="theirs", tty=True))}
    )
    assert (container(result)["image"], container(result)["tty"]) == ("mine", True)


def test_labels_of_ours_win() -> None:
    template = {**pod(model()), "metadata": {"labels": {"team": "a", "pointsman.dev/revision": "other"}}}
    assert finished(template).template["metadata"]["labels"] == {
        "team": "a",
        "app.kubernetes.io/name": "churn",
        "app.kubernetes.io/component": "model",
        "app.kubernetes.io/managed-by": "pointsman",
        "pointsman.dev/deployment": "churn",
        "pointsman.dev/revision": "churn-5f3a9c1b",
    }


def test_annotations_say_where_the_metrics_are() -> None:
    template = {**pod(model()), "metadata": {"annotations": {"a": "b", "prometheus.io/port": "1"}}}
    assert finished(template, metrics=METRICS).template["metadata"]["annotations"] == {
        "a": "b",
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "8082",
        "prometheus.io/path": "/m",
    }
    assert finished(template).template["metadata"]["annotations"] == {"a": "b", "prometheus.io/port": "1"}


def test_port_and_metrics_follow_their_source() -> None:
    from_runtime = finished(runtime={"template": pod(model()), "metrics": METRICS})
    assert from_runtime.port == "http"
    assert from_runtime.metrics is not None
    alone = finished(pod(model()), port=8080)
    assert (alone.port, alone.metrics) == (8080, None)


SECURITY: dict[str, tuple[Json, Json, Json]] = {
    # pod fields, container fields -> what is expected of automount, service links and privilege escalation
    "nothing said": ({}, {}, {"automount": False, "links": False, "escalation": False}),
    "all of it said": (
        {"automountServiceAccountToken": True, "enableServiceLinks": True},
        {"securityContext": {"allowPrivilegeEscalation": True}},
        {"automount": True, "links": True, "escalation": True},
    ),
    "a service account": ({"serviceAccountName": "x"}, {}, {"automount": None, "links": False, "escalation": False}),
    "its old name": ({"serviceAccount": "x"}, {}, {"automount": None, "links": False, "escalation": False}),
    "privileged": ({}, {"securityContext": {"privileged": True}}, {"automount": False, "links": False, "escalation": None}),
    "an administrator": (
        {},
        {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}},
        {"automount": False, "links": False, "escalation": None},
    ),
    "windows": ({"os": {"name": "windows"}}, {}, {"automount": False, "links": False, "escalation": None}),
    "nonsense": (
        {},
        {"securityContext": {"capabilities": {"add": [{}]}}},
        {"automount": False, "links": False, "escalation": False},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("of_pod", "of_container", "expected"), SECURITY.values(), ids=SECURITY)
def test_defaults_only_where_nothing_is_said(of_pod: Json, of_container: Json, expected: Json) -> None:
    result = finished(pod(model(**of_container), **of_pod))
    assert {
        "automount": result.template["spec"].get("automountServiceAccountToken"),
        "links": result.template["spec"].get("enableServiceLinks"),
        "escalation": container(result).get("securityContext", {}).get("allowPrivilegeEscalation"),
    } == expected


DRAIN: dict[str, tuple[Json, Json, int, Any]] = {
    "nothing said": ({}, {}, 60, {"sleep": {"seconds": 10}}),
    "long": ({"terminationGracePeriodSeconds": 600}, {}, 600, {"sleep": {"seconds": 10}}),
    "short": ({"terminationGracePeriodSeconds": 5}, {}, 5, {"sleep": {"seconds": 2}}),
    "at once": ({"terminationGracePeriodSeconds": 0}, {}, 0, None),
    "a hook of its own": (
        {},
        {"lifecycle": {"preStop": {"exec": {"command": ["x"]}}}},
        60,
        {"exec": {"command": ["x"]}},
    ),
    "another hook": ({}, {"lifecycle": {"stopSignal": "SIGINT"}}, 60, {"sleep": {"seconds": 10}}),
}


@pytest.mark.parametrize(("of_pod", "of_container", "grace", "hook"), DRAIN.values(), ids=DRAIN)
def test_every_container_answers_on_while_it_leaves_the_endpoints(
    of_pod: Json, of_container: Json, grace: int, hook: Any
) -> None:
    result = finished(pod(model(**of_container), {"name": "proxy", **of_container}, **of_pod))
    assert result.template["spec"]["terminationGracePeriodSeconds"] == grace
    for name in ("model", "proxy"):
        assert container(result, name).get("lifecycle", {}).get("preStop") == hook


def test_credentials_for_the_initializer_come_from_runtime_and_user() -> None:
    runtime = pod(model(), initContainers=[{"name": "storage-initializer", "env": [{"name": "A", "value": "1"}]}])
    user = {"spec": {"initContainers": [{"name": "storage-initializer", "env": [{"name": "B", "value": "2"}]}]}}
    init = container(
        finished(user, runtime={"template": runtime}, uri="s3://b/m"), "storage-initializer", of="initContainers"
    )
    assert [one["name"] for one in init["env"]] == ["HOME", "A", "B"]
    assert init["image"] == "registry.example/storage-initializer:v1"


def test_files_are_fetched_before_any_other_init_container_runs() -> None:
    result = finished(pod(model(), initContainers=[{"name": "convert", "image": "x"}]), uri="s3://b/m")
    assert [one["name"] for one in result.template["spec"]["initContainers"]] == ["storage-initializer", "convert"]


@pytest.mark.parametrize("uri", [None, "pvc://claim", "oci://image"])
def test_credentials_for_the_initializer_are_left_out_where_nothing_is_fetched(uri: str | None) -> None:
    template = pod(model(), initContainers=[{"name": "storage-initializer", "env": []}, {"name": "mine", "image": "x"}])
    result = finished(template, uri=uri)
    assert [one["name"] for one in result.template["spec"]["initContainers"]] == ["mine"]


def test_an_initializer_of_the_users_own_stays() -> None:
    template = pod(model(), initContainers=[{"name": "storage-initializer", "image": "mine"}])
    assert container(finished(template), "storage-initializer", of="initContainers")["image"] == "mine"


def test_the_volume_of_the_files_can_be_limited_or_replaced() -> None:
    limited = {"spec": {"volumes": [{"name": "model-files", "emptyDir": {"sizeLimit": "1Gi"}}], **pod(model())["spec"]}}
    result = finished(limited, uri="s3://b/m")
    assert {"name": "model-files", "emptyDir": {"sizeLimit": "1Gi"}} in result.template["spec"]["volumes"]


SAID = {
    "no container named model": (
        {"template": pod({"name": "server"}, {"name": "proxy"})},
        (
            "spec.template has no container named `model` (it has: `server`, `proxy`);"
            " name the one that answers requests so"
        ),
    ),
    "no container in the runtime": (
        {"runtime": {"template": {}}},
        (
            "the ModelRuntime's spec.template has no container named `model` (it has: none);"
            " name the one that answers requests so"
        ),
    ),
    "the user's mistake is told from the runtime's": (
        {"template": {"spec": []}, "runtime": {"template": pod(model())}},
        "spec.template.spec is a list; write an object",
    ),
    "the runtime's mistake": (
        {"runtime": {"template": {"spec": []}}},
        "the ModelRuntime's spec.template.spec is a list; write an object",
    ),
    "a port that no container has": (
        {"template": pod(model()), "port": "grpc"},
        'no container has a TCP port named "grpc" (there are: "http", "metrics")',
    ),
    "a number in quotes": (
        {"template": pod(model(ports=[])), "port": "8080"},
        'no container has a TCP port named "8080" (there are: none); write 8080 without quotes for the number',
    ),
    "a number that is none": (
        {"template": pod(model()), "port": 0},
        "the port 0 does not exist; write a number from 1 to 65535",
    ),
    "a port of the metrics that no container has": (
        {"template": pod(model()), "metrics": {**METRICS, "port": "prom"}},
        'no container has a TCP port named "prom" (there are: "http", "metrics")',
    ),
    "one name for two ports": (
        {"template": pod({"name": "model", "ports": [{"name": "http", "containerPort": 9}]}), "runtime": {"template": pod(model())}},
        (
            'the port "http" is 8080 and 9 at once; give the containers\' ports different names'
            " (ports are merged by number: take the runtime's out with `$patch: delete`)"
        ),
    ),
    "a port number in quotes in the container": (
        {"template": pod(model(ports=[{"name": "http", "containerPort": "80"}]))},
        'the port "http" has the containerPort "80"; write a number without quotes',
    ),
    "no port": (
        {"template": pod(model()), "port": None},
        "spec.port is missing; a template alone needs the port that requests go to, by name or number",
    ),
    "another volume where the files are": (
        {"template": pod(model(volumeMounts=[{"mountPath": "/mnt/models/", "name": "mine"}])), "uri": "pvc://claim"},
        (
            "/mnt/models is where spec.model.storageUri is mounted, but the template mounts the volume `mine` there;"
            " take out one of the two"
        ),
    ),
    "a path": (
        {"template": pod(model()), "uri": "pvc://claim/../x"},
        (
            'spec.model.storageUri "pvc://claim/../x" has `.` or `..` in its path, which would lead out of it; write the'
            " path from the volume's root, such as pvc://models/churn/7"
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("said", "sentence"), SAID.values(), ids=SAID)
def test_refuses_with_a_sentence(said: Json, sentence: str) -> None:
    with pytest.raises(Terminal) as refused:
        finished(**said)
    assert str(refused.value) == sentence


def test_a_sidecars_port_counts_but_an_init_containers_does_not() -> None:
    ports = [{"name": "proxy", "containerPort": 9090}]
    sidecar = pod(model(), initContainers=[{"name": "proxy", "restartPolicy": "Always", "ports": ports}])
    assert port_number(lay({}, sidecar), "proxy") == 9090
    with pytest.raises(Terminal, match='no container has a TCP port named "proxy"'):
        port_number(lay({}, pod(model(), initContainers=[{"name": "proxy", "ports": ports}])), "proxy")


def test_a_port_of_another_protocol_does_not_count() -> None:
    ports = [{"name": "udp", "containerPort": 80, "protocol": "UDP"}]
    with pytest.raises(Terminal, match='no container has a TCP port named "udp"'):
        port_number(lay({}, pod(model(ports=ports))), "udp")


def test_one_port_declared_twice_is_one_port() -> None:
    assert port_number(lay({}, pod(model(), {"name": "b", "ports": PORTS})), "http") == 8080


WHOLE: Json = {
    "metadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}},
    "spec": {
        "os": {"name": "linux"},
        "terminationGracePeriodSeconds": 30,
        "initContainers": [{"name": "storage-initializer", "image": "x", "restartPolicy": "Always", "ports": []}],
        "containers": [
            model(
                env=[{"name": "A", "value": "1"}],
                lifecycle={"preStop": {"sleep": {"seconds": 1}}},
                securityContext={"privileged": False, "capabilities": {"add": ["X"]}},
                volumeMounts=[{"name": "v", "mountPath": "/v"}],
                resources={"limits": {"cpu": 1}},
            )
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
    },
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "$patch", "x"]), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, child in items for deeper in paths(child, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    items = dict(value) if isinstance(value, dict) else list(value)
    items[path[0]] = replaced(value[path[0]], path[1:], new)
    return items


@given(st.sampled_from(paths(WHOLE)[1:]), JSON, st.sampled_from([None, "pvc://claim", "s3://b/m"]))
def test_whatever_stands_anywhere_is_laid_or_refused(path: tuple[Any, ...], new: Any, uri: str | None) -> None:
    try:
        result = finished(replaced(WHOLE, path, new), uri=uri, metrics=METRICS)
    except Terminal:
        return
    assert container(result)["env"]
