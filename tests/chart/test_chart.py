"""The chart renders what it says, refuses wrong values with their path, and the API server takes all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml

from hack.cluster import binaries
from tests.chart.conftest import setting
from tests.render.examples import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.cluster.fixtures import Cluster
    from tests.chart.conftest import Helm

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "charts" / "pointsman"
PROMETHEUS = "prometheus.url=http://prometheus:9090"


def only(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [obj for obj in objects if obj["kind"] == kind]
    return found


def container(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_lint_has_nothing_to_say(helm: Helm) -> None:
    done = helm("lint", "--strict", CHART, "--set", PROMETHEUS)
    assert not done.returncode, done.stdout


def test_the_crds_are_the_generated_ones() -> None:
    generated = {file.name: file.read_text() for file in (REPOSITORY / "crds").glob("*.yaml")}
    shipped = {file.name: file.read_text() for file in (CHART / "crds").glob("*.yaml")}
    assert len(generated) == 4
    assert shipped == generated, "run: python -m pointsman.api.crd charts/pointsman/crds"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("prometheus.url=", "at '/prometheus/url': '' does not match pattern"),
        (
            "prometheus.url=prometheus:9090",
            "at '/prometheus/url': 'prometheus:9090' does not match pattern '^https?://",
        ),
        ("gateway.metrics=istio", "at '/gateway/metrics': value must be one of '', 'envoy-gateway'"),
        ("replicas=0", "at '/replicas': minimum: got 0, want 1"),
        ("replicas=two", "at '/replicas': got string, want integer"),
        (
            "image.pullPolicy=Sometimes",
            "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
        ("image.name=x", "at '/image': additional properties 'name' not allowed"),
        ("storageInitializer.image=", "at '/storageInitializer/image': '' does not match pattern"),
        ("runtimes.vlm.enabled=true", "at '/runtimes': additional properties 'vlm' not allowed"),
        ("podMonitor.interval=often", "at '/podMonitor/interval': 'often' does not match pattern"),
        ("prometeus.url=http://x", "additional properties 'prometeus' not allowed"),
        ("prometheus.url=http://me:secret@prometheus:9090", "at '/prometheus/url': 'http://me:secret@prometheus:9090'"),
        ("prometheus.headers.X-Scope-OrgID= a", "at '/prometheus/headers/X-Scope-OrgID': ' a' does not match pattern"),
        ("prometheus.ca.secret=A", "at '/prometheus/ca/secret': 'A' does not match pattern"),
        ("namespaces={Ml}", "at '/namespaces/0': 'Ml' does not match pattern"),
        ("namespaces={ml,ml}", "at '/namespaces': items at 0 and 1 are equal"),
        (
            "networkPolicy.apiServer.ports:=[70000]",
            "at '/networkPolicy/apiServer/ports/0': maximum: got 70,000, want 65,535",
        ),
        (
            'networkPolicy.prometheus.to:=[{"pod":{}}]',
            "at '/networkPolicy/prometheus/to/0': additional properties 'pod'",
        ),
        ("logLevel=loud", "at '/logLevel': value must be one of 'debug', 'info', 'warning', 'error'"),
        ("affinity.pods=near", "at '/affinity': additional properties 'pods' not allowed"),
        ("dashboards.labels.grafana=1", "at '/dashboards/labels/grafana': got number, want string"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(helm: Helm, value: str, complaint: str) -> None:
    done = helm("template", CHART, "--set", PROMETHEUS, *setting(value))
    assert done.returncode
    assert complaint in done.stderr


@pytest.mark.parametrize(
    ("value", "argument"),
    [
        ("replicas=1", "--prometheus-url=http://prometheus:9090"),
        ("gateway.metrics=envoy-gateway", "--gateway-metrics=envoy-gateway"),
        ("storageInitializer.image=mirror/init:1", "--storage-initializer=mirror/init:1"),
        ("inspector.image=mirror/inspector:1", "--inspector-image=mirror/inspector:1"),
        ("namespaces={ml,gateways}", "--namespaces=ml,gateways"),
        ("logLevel=debug", "--log-level=debug"),
    ],
)
def test_what_is_set_reaches_the_operator(helm: Helm, value: str, argument: str) -> None:
    assert argument in container(helm.render(value))["args"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("replicas=1", "serves all namespaces"),
        ("namespaces={ml,gateways}", "serves the namespaces ml, gateways"),
        ("crds.upgrade=false", "The CRDs are yours to upgrade"),
        ("gateway.metrics=envoy-gateway", "helm test pointsman --namespace pointsman"),
    ],
)
def test_the_notes_say_what_is_there_and_what_to_do_next(helm: Helm, value: str, said: str) -> None:
    words = ("--namespace", "pointsman", "--dry-run=client", "--set", PROMETHEUS, "--set", value)
    done = helm("install", "pointsman", CHART, *words)
    assert said in done.stdout.partition("NOTES:")[2], done.stderr


def test_two_authorities_are_one_too_many(helm: Helm) -> None:
    done = helm("template", CHART, "--set", PROMETHEUS, "--set", "prometheus.ca.secret=a,prometheus.ca.configMap=b")
    assert "prometheus.ca: write `secret` or `configMap`, not both" in done.stderr


def test_credentials_are_mounted_and_named_by_path_alone(helm: Helm) -> None:
    values = ("prometheus.bearerToken.secret=mimir", "prometheus.headersSecret=more", "prometheus.headers.X-A=b")
    objects = helm.render(*values, "prometheus.ca.configMap=authority")
    pods = {
        "operator": only(objects, "Deployment")["spec"]["template"]["spec"],
        "test": only(objects, "Pod")["spec"],
    }
    for who, spec in pods.items():
        (told,) = spec["containers"]
        for flag in ("token-file=/etc/pointsman/token/token", "headers-folder=/etc/pointsman/headers"):
            assert f"--prometheus-{flag}" in told["args"], who
        assert "--prometheus-ca-file=/etc/pointsman/authority/ca.crt" in told["args"]
        assert {mount["name"] for mount in told["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
        assert "secretKeyRef" not in json.dumps(told), "an environment is shown by `kubectl describe`, and not replaced"
    (made,) = (obj for obj in objects if obj["kind"] == "ConfigMap")
    assert made["data"] == {"X-A": "b"}
    assert "volumes" not in only(helm.render(), "Deployment")["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://prometheus:9090", 9090),
        ("https://mimir.example.com/prometheus", 443),
        ("http://prometheus", 80),
        ("http://prometheus.monitoring:9090/prefix", 9090),
    ],
)
def test_the_network_policy_lets_through_the_port_of_prometheus(helm: Helm, url: str, port: int) -> None:
    rules = only_operators(helm.render("networkPolicy.enabled=true", f"prometheus.url={url}"))["spec"]["egress"]
    assert port in [one["port"] for one in rules[2]["ports"]]
    told = helm.render("networkPolicy.enabled=true", f"prometheus.url={url}", "networkPolicy.prometheus.port=8080")
    assert [one["port"] for one in only_operators(told)["spec"]["egress"][2]["ports"]] == [8080]


def only_operators(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The NetworkPolicy of the operator, not that of the hook."""
    (found,) = [obj for obj in objects if obj["kind"] == "NetworkPolicy" and obj["metadata"]["name"] == "pointsman"]
    return found


def test_one_replica_can_be_evicted_and_more_only_one_by_one(helm: Helm) -> None:
    assert "PodDisruptionBudget" not in {obj["kind"] for obj in helm.render()}
    objects = helm.render("replicas=2")
    selector = only(objects, "Deployment")["spec"]["selector"]
    assert only(objects, "PodDisruptionBudget")["spec"] == {"maxUnavailable": 1, "selector": selector}
    (spread,) = only(objects, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert (spread["labelSelector"], spread["whenUnsatisfiable"]) == (selector, "ScheduleAnyway")


def test_the_operators_image_has_the_charts_version_unless_told_otherwise(helm: Helm) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert container(helm.render())["image"] == f"pointsman:{version}"
    told = container(helm.render("image.repository=here/it", "image.tag=v2"))
    assert told["image"] == "here/it:v2"
    assert "--inspector-image=here/it:v2" in told["args"]


def test_the_operators_image_is_pulled_with_the_secrets_of_the_values_and_so_is_that_of_inspectors(helm: Helm) -> None:
    objects = helm.render("image.pullSecrets={mine,theirs}")
    pod = only(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "mine"}, {"name": "theirs"}]
    assert "--inspector-pull-secrets=mine,theirs" in container(objects)["args"]
    assert "imagePullSecrets" not in only(helm.render(), "Deployment")["spec"]["template"]["spec"]


def test_the_catalogue_takes_the_image_of_the_values(helm: Helm) -> None:
    for runtime in ("mlserver", "tensorflow-serving"):
        objects = helm.render(f"runtimes.{runtime}.image=mirror/it:1")
        images = {
            obj["metadata"]["name"]: container.get("image")
            for obj in objects
            if obj["kind"] == "ModelRuntime"
            for container in obj["spec"]["template"]["spec"]["containers"]
        }
        assert [name for name, image in images.items() if image == "mirror/it:1"] == [runtime]


def test_the_catalogue_can_be_left_out(helm: Helm) -> None:
    everything = {obj["metadata"]["name"] for obj in helm.render() if obj["kind"] == "ModelRuntime"}
    assert everything == {file.stem for file in (CHART / "runtimes").glob("*.yaml")}
    off = [f"runtimes.{name}.enabled=false" for name in everything]
    kinds = {obj["kind"] for obj in helm.render(*off, "policies.standard.enabled=false")}
    assert not kinds & {"ModelRuntime", "RolloutPolicy"}


def test_the_pod_monitor_copies_the_labels_that_separate_the_arms(helm: Helm) -> None:
    assert "PodMonitor" not in {obj["kind"] for obj in helm.render()}
    objects = helm.render("podMonitor.enabled=true", "podMonitor.labels.release=kps")
    monitor, inspectors = (obj for obj in objects if obj["kind"] == "PodMonitor")
    assert {one["metadata"]["labels"]["release"] for one in (monitor, inspectors)} == {"kps"}
    assert monitor["spec"]["podTargetLabels"] == ["pointsman.dev/deployment", "pointsman.dev/revision"]
    # The port and the path that the operator writes on the pods: those of runtimes differ.
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert "port" not in endpoint
    port, path = endpoint["relabelings"]
    assert (port["action"], port["targetLabel"]) == ("keepequal", "__meta_kubernetes_pod_annotation_prometheus_io_port")
    assert path["sourceLabels"] == ["__meta_kubernetes_pod_annotation_prometheus_io_path"]
    pod = EXAMPLES["churn-inspector"]["spec"]["template"]
    assert inspectors["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert set(inspectors["spec"]["podTargetLabels"]) <= set(pod["metadata"]["labels"])
    ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
    scraped = inspectors["spec"]["podMetricsEndpoints"][0]["port"]
    assert str(ports[scraped]) == pod["metadata"]["annotations"]["prometheus.io/port"]


@pytest.fixture(scope="module")
def crds(bare: Cluster) -> Cluster:
    bare.kubectl("apply", "--server-side", "--force-conflicts", "-f", CHART / "crds")
    bare.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", CHART / "crds")
    return bare


@pytest.fixture(scope="module")
def monitoring(bare: Cluster) -> None:
    """The Prometheus operator's own CRDs, of what the chart has of its kinds."""
    folder = binaries.sources(
        binaries.MONITORING, "github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd"
    )
    files = [
        folder / f"monitoring.coreos.com_{kind}.yaml" for kind in ("podmonitors", "servicemonitors", "prometheusrules")
    ]
    words = [word for file in files for word in ("-f", file)]
    bare.kubectl("apply", "--server-side", *words)
    bare.kubectl("wait", "--for=condition=Established", "--timeout=30s", *words)


@pytest.fixture(scope="module")
def restricted(bare: Cluster) -> Iterator[str]:
    """A namespace that takes only pods that keep the strictest of Kubernetes' pod security standards."""
    name = f"chart-{uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    bare.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "pointsman", "namespace": name}}
    bare.kubectl("apply", "-f", "-", stdin=json.dumps(account))
    yield name
    bare.kubectl("delete", "namespace", name, "--wait=false")


MONITORED = ("podMonitor.enabled=true", "serviceMonitor.enabled=true", "prometheusRule.enabled=true")
SECURED = (
    "prometheus.url=https://mimir.example.com/prometheus",
    "prometheus.bearerToken.secret=mimir",
    "prometheus.headers.X-Scope-OrgID=ml",
    "prometheus.headersSecret=more",
    "prometheus.ca.configMap=authority",
)
PLACED = (
    "priorityClassName=system-cluster-critical",
    "nodeSelector.pool=system",
    'tolerations:=[{"key":"system","operator":"Exists","effect":"NoSchedule"}]',
    'affinity:={"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"rack"}]}}',
    'topologySpreadConstraints:=[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule"}]',
    'env:=[{"name":"HTTPS_PROXY","value":"http://proxy:3128"}]',
)
WALLED = (
    "networkPolicy.enabled=true",
    'networkPolicy.apiServer.to:=[{"ipBlock":{"cidr":"10.0.0.1/32"}}]',
    'networkPolicy.prometheus.to:=[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"monitoring"}}}]',
    'networkPolicy.metricsFrom:=[{"podSelector":{}}]',
)
MATRIX: dict[str, tuple[str, ...]] = {
    "as it comes": (),
    "everything that is monitored": (*MONITORED, "dashboards.enabled=true"),
    "a Prometheus that asks who we are": SECURED,
    "highly available, in its place": ("replicas=3", *PLACED),
    "walled in": WALLED,
    "walled in, with nobody to tell": ("networkPolicy.enabled=true", "networkPolicy.webhooks.ports:=[]"),
    "some namespaces, with CRDs that somebody else looks after": ("namespaces={{namespace}}", "crds.upgrade=false"),
    "all at once": (
        *MONITORED,
        *SECURED,
        *WALLED,
        "replicas=2",
        "namespaces={{namespace}}",
        "image.pullSecrets={mine}",
    ),
}


@pytest.mark.bare
@pytest.mark.usefixtures("monitoring")
@pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX)
def test_the_api_server_takes_every_object(helm: Helm, crds: Cluster, restricted: str, values: tuple[str, ...]) -> None:
    objects = helm.render(
        *(value.replace("{namespace}", restricted) for value in values), "gateway.metrics=envoy-gateway"
    )
    for obj in objects:
        if "namespace" in obj["metadata"]:
            obj["metadata"]["namespace"] = restricted
    everything = yaml.safe_dump_all(objects)
    answer = crds.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=everything)
    assert len(answer.splitlines()) == len(objects)


@pytest.mark.bare
@pytest.mark.parametrize("who", ["operator", "crds", "test", "inspector"])
def test_our_pods_keep_the_restricted_standard(helm: Helm, bare: Cluster, restricted: str, who: str) -> None:
    objects = helm.render()
    spec = {
        "operator": lambda: only(objects, "Deployment")["spec"]["template"]["spec"],
        "crds": lambda: only(objects, "Job")["spec"]["template"]["spec"],
        "test": lambda: only(objects, "Pod")["spec"],
        "inspector": lambda: EXAMPLES["churn-inspector"]["spec"]["template"]["spec"],
    }[who]()
    spec = {**spec, "serviceAccountName": "pointsman"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": restricted}, "spec": spec}
    assert "dry run" in bare.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
