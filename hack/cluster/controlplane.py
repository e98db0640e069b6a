"""Starts what makes a Kubernetes API: etcd, API server, controllers and scheduler."""

from __future__ import annotations

import json
import ssl
import urllib.request
from typing import TYPE_CHECKING

from hack.cluster import binaries, certificates
from hack.cluster.clients import kubectl
from hack.cluster.console import step, wait_for
from hack.cluster.processes import start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hack.cluster.layout import Layout

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def launch(layout: Layout) -> None:
    """Start the control plane and wait until it answers and has made the objects that every namespace starts with."""
    with step("certificates"):
        certificates.make(layout)
    with step("etcd and API server"):
        start(layout, "etcd", binaries.program("etcd"), *_etcd(layout))
        start_api_server(layout)
    with step("controllers and scheduler"):
        start(layout, "kube-controller-manager", binaries.program("kube-controller-manager"), *_controllers(layout))
        start(layout, "kube-scheduler", binaries.program("kube-scheduler"), *_scheduler(layout))
        account = "/api/v1/namespaces/default/serviceaccounts/default"  # without it no pod can be created
        wait_for("The controllers", lambda: get(layout, account) is not None, seconds=60, logs=layout.logs)


def start_api_server(layout: Layout) -> None:
    """Start the API server alone and wait until it answers."""
    start(layout, "kube-apiserver", binaries.program("kube-apiserver"), *_apiserver(layout))
    wait_for("The API server", lambda: answers(layout), seconds=60, logs=layout.logs)


def answers(layout: Layout) -> bool:
    """Whether the API server says that it is ready."""
    return _fetch(layout, "/readyz") == b"ok"


def get(layout: Layout, path: str) -> dict[str, object] | None:
    """An object by its path in the API, or None where it is not there."""
    body = _fetch(layout, path)
    return None if body is None else dict(json.loads(body))


def nodes_ready(layout: Layout) -> int:
    """How many nodes, pretended or not, are Ready."""
    condition = "{.items[*].status.conditions[?(@.type=='Ready')].status}"
    return kubectl(layout.kubeconfig, "get", "nodes", "-o", f"jsonpath={condition}").split().count("True")


def _fetch(layout: Layout, path: str) -> bytes | None:
    keys = layout.pki
    try:
        context = ssl.create_default_context(cafile=keys / "ca.crt")
        context.load_cert_chain(keys / "admin.crt", keys / "admin.key")
        direct = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        with urllib.request.build_opener(*direct).open(f"{layout.api}{path}", timeout=2) as answer:
            body: bytes = answer.read()
            return body
    except OSError:  # refused, timed out, no keys yet, or an HTTP error: not there (yet)
        return None


def _etcd(layout: Layout) -> Sequence[str]:
    clients, peers = (f"http://127.0.0.1:{port}" for port in (layout.ports.etcd, layout.ports.etcd_peer))
    return (
        f"--data-dir={layout.run}/etcd",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",  # the data does not outlive the cluster
        "--log-level=warn",
    )


def _apiserver(layout: Layout) -> Sequence[str]:
    pki = layout.pki
    # Without a network of its own, the API is nowhere for pods to reach: there are none, and the loopback may not be advertised.
    reached = () if layout.network else ("--endpoint-reconciler-type=none",)
    return (
        f"--etcd-servers=http://127.0.0.1:{layout.ports.etcd}",
        f"--bind-address={'0.0.0.0' if layout.network else layout.address}",  # noqa: S104  # in its own network namespace
        f"--advertise-address={layout.address}",
        f"--secure-port={layout.ports.api}",
        f"--service-cluster-ip-range={layout.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        f"--kubelet-client-certificate={pki}/apikubelet.crt",
        f"--kubelet-client-key={pki}/apikubelet.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        # How API servers of others (metrics for HPAs) know whom a request that is passed on to them is from.
        f"--proxy-client-cert-file={pki}/aggregator.crt",
        f"--proxy-client-key-file={pki}/aggregator.key",
        f"--requestheader-client-ca-file={pki}/ca.crt",
        "--requestheader-allowed-names=pointsman-aggregator",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--kubelet-preferred-address-types=InternalIP",
        *reached,
    )


def _controllers(layout: Layout) -> Sequence[str]:
    pki = layout.pki
    return (
        *_as_component(layout, "kcm"),
        f"--secure-port={layout.ports.controllers}",
        f"--root-ca-file={pki}/ca.crt",
        f"--service-account-private-key-file={pki}/sa.key",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        "--use-service-account-credentials=true",
        "--kube-api-qps=200",  # the default of 20 is what tests that delete much would wait for
        "--kube-api-burst=400",
        "--horizontal-pod-autoscaler-sync-period=2s",  # tests would wait for the default of 15 s
    )


def _scheduler(layout: Layout) -> Sequence[str]:
    return (*_as_component(layout, "scheduler"), f"--secure-port={layout.ports.scheduler}")


def _as_component(layout: Layout, name: str) -> Sequence[str]:
    config = layout.kubeconfig_of(name)
    return (
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    )
