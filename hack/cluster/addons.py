"""Installs what a model's traffic and its evidence go through: the Gateway API, Envoy Gateway and Prometheus."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any

from hack.cluster import binaries, images
from hack.cluster.clients import apply, helm, kubectl
from hack.cluster.console import step

GATEWAY_API = ("sigs.k8s.io/gateway-api", "config/crd/standard")
CHART = ("github.com/envoyproxy/gateway", "charts/gateway-helm")
CHART_VALUES = "values.tmpl.yaml"  # of the chart's source; a release fills it in as values.yaml
GATEWAY_NAMESPACE = "envoy-gateway-system"
MONITORING_NAMESPACE = "monitoring"
PROMETHEUS_URL = f"http://prometheus.{MONITORING_NAMESPACE}.svc:9090"  # inside the cluster
MANIFESTS = Path(__file__).with_name("manifests")


def fetch_gateway_api() -> None:
    """Download what `install_gateway_api` applies."""
    binaries.sources(binaries.GATEWAY, *GATEWAY_API)


def fetch_chart() -> None:
    """Download what `install_gateway` installs."""
    binaries.sources(binaries.GATEWAY, *CHART)


def install_gateway_api(kubeconfig: Path) -> None:
    """Apply the Gateway API's standard channel, in the version that Envoy Gateway was built with."""
    with step("Gateway API"):
        manifests = binaries.sources(binaries.GATEWAY, *GATEWAY_API)
        kubectl(kubeconfig, "apply", "--server-side", "--validate=false", "-f", manifests)  # pinned: known to be valid
        kubectl(kubeconfig, "wait", "crd", "--all", "--for=condition=Established", "--timeout=60s")


def install_gateway(kubeconfig: Path) -> None:
    """Install Envoy Gateway and a Gateway `models`, and wait until Envoy serves."""
    chart = binaries.sources(binaries.GATEWAY, *CHART)
    values = Template((chart / CHART_VALUES).read_text()).safe_substitute(
        GatewayImage=images.GATEWAY, GatewayImagePullPolicy="IfNotPresent"
    )
    (chart / "values.yaml").write_text(values)
    with step("Envoy Gateway"):
        crds = chart / "charts/crds/crds/generated"
        kubectl(kubeconfig, "apply", "--server-side", "--validate=false", "-f", crds)
        helm(
            kubeconfig,
            "install",
            "eg",
            chart,
            f"--namespace={GATEWAY_NAMESPACE}",
            "--create-namespace",
            "--skip-crds",  # applied above, and the Gateway API's are there already
            "--wait",
            "--timeout=3m",
            "--values=-",
            stdin=json.dumps(gateway_values()),
        )
    with step("gateway `models`"):
        apply(kubeconfig, _manifest("gateway.yaml", envoy=images.ENVOY))
        where = (f"--namespace={GATEWAY_NAMESPACE}", "--timeout=180s")
        kubectl(kubeconfig, "wait", "gateway/models", "--for=condition=Programmed", *where)


def install_prometheus(kubeconfig: Path) -> None:
    """Install Prometheus, which scrapes annotated pods, and wait until it is ready."""
    with step("Prometheus"):
        apply(kubeconfig, _manifest("prometheus.yaml", prometheus=images.PROMETHEUS))
        where = (f"--namespace={MONITORING_NAMESPACE}", "--timeout=120s")
        kubectl(kubeconfig, "rollout", "status", "deployment/prometheus", *where)


def install_adapter(kubeconfig: Path) -> None:
    """Install what gives HPAs metrics from Prometheus (its image has to be loaded), and wait until the API server has them."""
    with step("Prometheus adapter"):
        apply(kubeconfig, _manifest("prometheus-adapter.yaml", adapter=images.ADAPTER, prometheus_url=PROMETHEUS_URL))
        service = "apiservice/v1beta2.custom.metrics.k8s.io"
        kubectl(kubeconfig, "wait", service, "--for=condition=Available", "--timeout=120s")


def gateway_address(kubeconfig: Path) -> str:
    """The address at which the gateway `models` takes requests, from pods and from the host."""
    where = f"--namespace={GATEWAY_NAMESPACE}"
    return kubectl(kubeconfig, "get", "gateway/models", where, "-o", "jsonpath={.status.addresses[0].value}")


def prometheus_url(kubeconfig: Path) -> str:
    """Where Prometheus answers, from the host."""
    where = f"--namespace={MONITORING_NAMESPACE}"
    address = kubectl(kubeconfig, "get", "service/prometheus", where, "-o", "jsonpath={.spec.clusterIP}")
    return f"http://{address}:9090"


def addresses(kubeconfig: Path) -> dict[str, str]:
    """Where the gateway and Prometheus answer, from the host, as environment variables."""
    return {"GATEWAY_URL": f"http://{gateway_address(kubeconfig)}", "PROMETHEUS_URL": prometheus_url(kubeconfig)}


def gateway_values() -> dict[str, Any]:
    """Values for Envoy Gateway's chart: our images, one small replica, nothing that needs another image."""
    manager = {"shutdownManager": {"image": images.GATEWAY}}
    provider = {"type": "Kubernetes", "kubernetes": manager}
    return {
        "crds": {"enabled": False},
        "config": {"envoyGateway": {"provider": provider}},
        "topologyInjector": {"enabled": False},
        "deployment": {"envoyGateway": {"resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}}},
    }


def _manifest(name: str, **images_used: str) -> str:
    return Template((MANIFESTS / name).read_text()).substitute(images_used)
