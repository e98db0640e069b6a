"""What the components are told: certificates, configuration files, kwok's stages."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster import addons, certificates, layout, node, pretence
from hack.cluster.shell import run

POD_READY: dict[str, Any] = {
    "kind": "Stage",
    "metadata": {"name": "pod-ready"},
    "spec": {"resourceRef": {"kind": "Pod"}, "selector": {"matchExpressions": []}},
}


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> layout.Layout:
    made = replace(layout.whole(), run=tmp_path_factory.mktemp("run") / "cluster")
    certificates.make(made)
    return made


def test_every_certificate_is_the_authoritys(it: layout.Layout) -> None:
    for identity in certificates.identities(it):
        strict = ("-x509_strict", "-CAfile", it.pki / "ca.crt", it.pki / f"{identity.name}.crt")
        assert run("openssl", "verify", *strict).strip().endswith("OK")


def test_the_api_server_may_be_called_by_all_its_addresses(it: layout.Layout) -> None:
    said = run("openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", it.pki / "apiserver.crt")
    for name in ("DNS:kubernetes.default.svc", "IP Address:10.230.255.2", "IP Address:10.233.0.1"):
        assert name in said


def test_keys_are_their_owners_alone(it: layout.Layout) -> None:
    assert it.pki.stat().st_mode & 0o077 == 0
    assert it.kubeconfig.stat().st_mode & 0o077 == 0


def test_a_kubeconfig_can_be_copied_anywhere(it: layout.Layout) -> None:
    text = it.kubeconfig.read_text()
    assert str(it.run) not in text
    config = yaml.safe_load(text)
    assert config["clusters"][0]["cluster"]["server"] == it.api
    assert config["users"][0]["user"].keys() == {"client-certificate-data", "client-key-data"}


def test_every_file_of_the_node_is_whole(it: layout.Layout) -> None:
    assert it.network
    files = node.configuration(it, it.network)
    assert not [name for name, text in files.items() if "$" in text]
    assert tomllib.loads(files["containerd.toml"])["grpc"]["address"] == str(it.containerd)
    assert json.loads(files["cni/10-pods.conflist"])["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.231.0.0/24"}]]
    kubelet = yaml.safe_load(files["kubelet.yaml"])
    assert kubelet["cgroupRoot"] == f"/{it.cgroup}"
    assert kubelet["clusterDNS"] == [str(it.address)]
    assert yaml.safe_load(files["kube-proxy.yaml"])["clusterCIDR"] == str(it.network.pods)


def test_manifests_name_their_images() -> None:
    for name, values in (("gateway.yaml", {"envoy": "an/image:1"}), ("prometheus.yaml", {"prometheus": "an/image:1"})):
        text = addons._manifest(name, **values)
        assert "image: an/image:1" in text
        assert all(yaml.safe_load_all(text))


def test_prometheus_joins_address_and_port() -> None:
    (config,) = (
        it
        for it in yaml.safe_load_all(addons._manifest("prometheus.yaml", prometheus="x:1"))
        if it["kind"] == "ConfigMap"
    )
    (job,) = yaml.safe_load(config["data"]["prometheus.yml"])["scrape_configs"]
    (joined,) = (rule for rule in job["relabel_configs"] if rule.get("target_label") == "__address__")
    assert joined["replacement"] == "$1:$2"


def test_a_pod_either_becomes_ready_or_waits(tmp_path: Path) -> None:
    (tmp_path / "pod-ready.yaml").write_text(yaml.safe_dump(POD_READY))
    ready, waiting = pretence.stages([tmp_path / "pod-ready.yaml"])
    key = f'.metadata.annotations["{pretence.WAITING}"]'
    operators = [
        next(it["operator"] for it in stage["spec"]["selector"]["matchExpressions"] if it["key"] == key)
        for stage in (ready, waiting)
    ]
    assert operators == ["DoesNotExist", "Exists"]
    assert f'"{pretence.WAITING}"' in waiting["spec"]["next"]["statusTemplate"]
