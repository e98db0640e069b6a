"""Everything that the demo does to the cluster and reads from it."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import sys
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import yaml
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from hack.cluster import clients, shell
from hack.demo.models import TEXTURE, Model
from hack.demo.sight import Json, requests_by_service

NAMESPACE = "pointsman-demo"
NAME = "cells"
HOST = "cells.example.com"
INFERENCE = f"/v2/models/{NAME}/infer"
OPERATOR_NAMESPACE = "pointsman"
ABORT = "pointsman.dev/abort"

_HERE = Path(__file__).with_name("manifests")
_POLICIES = {"demo": "policy.yaml", "demo-careful": "policy-careful.yaml"}
_CHART = Path(__file__).parents[2] / "charts" / "pointsman"
_GROUP = "/apis/pointsman.dev/v1alpha1"
_GATEWAY_PODS = "/api/v1/namespaces/envoy-gateway-system/pods"
_ENVOYS = {"labelSelector": "gateway.envoyproxy.io/owning-gateway-name=models"}
_ENVOY_METRICS_PORT = 19001
_MONITORING = "--namespace=monitoring"


class Stage:
    """The cluster, through its API server: reads over one connection, writes by kubectl and helm as a person would."""

    def __init__(self, kubeconfig: Path, reader: httpx.AsyncClient) -> None:
        self.kubeconfig = kubeconfig
        self._reader = reader

    @classmethod
    async def open(cls, kubeconfig: Path) -> Stage:
        """Connect as the kubeconfig says."""
        settings = Configuration()
        await config.load_kube_config(config_file=str(kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]
        trust = ssl.create_default_context(cafile=settings.ssl_ca_cert)
        trust.load_cert_chain(str(settings.cert_file), settings.key_file)
        reader = httpx.AsyncClient(base_url=settings.host, verify=trust, timeout=10, trust_env=False)
        return cls(kubeconfig, reader)

    async def close(self) -> None:
        """Close the connection."""
        await self._reader.aclose()

    async def define(self) -> None:
        """Apply the CRDs; Helm would not change those it finds."""
        await self._kubectl("apply", "--server-side", "--force-conflicts", "-f", _CHART / "crds")
        await self._kubectl("wait", "-f", _CHART / "crds", "--for=condition=Established", "--timeout=30s")

    async def clear(self) -> None:
        """Remove what an earlier demo has left; the operator's namespace too, or its lease would hold up the next one."""
        await self._helm("uninstall", "pointsman", f"--namespace={OPERATOR_NAMESPACE}", "--ignore-not-found", "--wait")
        gone = ("--ignore-not-found", "--timeout=120s")
        await self._kubectl("delete", "namespace", NAMESPACE, OPERATOR_NAMESPACE, *gone)
        await self._kubectl("delete", "rolloutpolicy", *_POLICIES, *gone)

    async def install(self, values: dict[str, str]) -> None:
        """Install the operator by Helm, and wait until it is ready."""
        words = [word for path, value in values.items() for word in ("--set-string", f"{path}={value}")]
        where = (f"--namespace={OPERATOR_NAMESPACE}", "--create-namespace")
        await self._helm("upgrade", "--install", "pointsman", _CHART, *where, "--wait", "--timeout=2m", *words)

    async def publish(self, models: Sequence[Model], *, image: str) -> None:
        """Put the model files on a web server in the cluster. `image` is one with Python."""
        await self._apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))
        for model in models:
            file = base64.b64encode(model.file).decode()
            meta = {"name": f"model-{model.version}", "namespace": NAMESPACE}
            files = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "binaryData": {"model.joblib": file}}
            await self._apply(json.dumps(files))
        sources = [
            {
                "configMap": {
                    "name": f"model-{it.version}",
                    "items": [{"key": "model.joblib", "path": f"{it.version}/model.joblib"}],
                }
            }
            for it in models
        ]
        await self._apply(
            Template((_HERE / "files.yaml").read_text()).substitute(image=image, sources=json.dumps(sources))
        )
        await self._kubectl("wait", "pod/files", f"--namespace={NAMESPACE}", "--for=condition=Ready", "--timeout=60s")

    async def apply_reference(self, table: str) -> None:
        """What the models were trained with, by the command that people use."""
        features = f"mean texture=/inputs/0/data/{TEXTURE},mean smoothness=/inputs/0/data/{TEXTURE + 3}"
        words = ("--features", features, "--predictions", "label=predict", "--configmap", "cells-reference")
        with TemporaryDirectory() as folder:
            file = Path(folder) / "train.csv"
            file.write_text(table)
            command = (sys.executable, "-m", "pointsman", "reference", "build", str(file), *words)
            made = await asyncio.to_thread(shell.run, *command)
        await asyncio.to_thread(
            clients.kubectl,
            self.kubeconfig,
            "apply",
            "--server-side",
            f"--namespace={NAMESPACE}",
            "-f",
            "-",
            stdin=made,
        )

    async def apply_policy(self) -> None:
        """Apply the demo's RolloutPolicies."""
        for file in _POLICIES.values():
            await self._apply((_HERE / file).read_text())

    async def apply_version(self, version: str, policy: str) -> None:
        """What an ML team does: apply the ModelDeployment with another version."""
        await self._apply(manifest(version, policy))

    async def annotate(self, key: str, value: str) -> None:
        """What a person does who wants something of a rollout."""
        where = f"--namespace={NAMESPACE}"
        await self._kubectl("annotate", where, "--overwrite", f"modeldeployment/{NAME}", f"{key}={value}")

    async def stop_prometheus(self) -> None:
        """Take Prometheus away, and wait until its pods are gone."""
        await self._kubectl("scale", "deployment/prometheus", _MONITORING, "--replicas=0")
        await self._kubectl("wait", "pod", _MONITORING, "--selector=app=prometheus", "--for=delete", "--timeout=60s")

    async def start_prometheus(self) -> None:
        """Give Prometheus back."""
        await self._kubectl("scale", "deployment/prometheus", _MONITORING, "--replicas=1")
        await self._kubectl("rollout", "status", "deployment/prometheus", _MONITORING, "--timeout=60s")

    async def deployment(self) -> Json:
        """The ModelDeployment; empty where there is none."""
        return await self._get(f"{_GROUP}/namespaces/{NAMESPACE}/modeldeployments/{NAME}")

    async def revision(self, name: str) -> Json:
        """A ModelRevision; empty where there is none."""
        return await self._get(f"{_GROUP}/namespaces/{NAMESPACE}/modelrevisions/{name}")

    async def gateway_requests(self) -> dict[str, int]:
        """How many requests the gateway has sent to each Service of the demo that it knows now."""
        envoys = (await self._get(_GATEWAY_PODS, _ENVOYS)).get("items", [])
        total: dict[str, int] = {}
        for envoy in envoys:
            path = f"{_GATEWAY_PODS}/{envoy['metadata']['name']}:{_ENVOY_METRICS_PORT}/proxy/stats/prometheus"
            answer = await self._reader.get(path, params={"filter": "upstream_rq_total"})
            answer.raise_for_status()
            for service, count in requests_by_service(answer.text, NAMESPACE).items():
                total[service] = total.get(service, 0) + count
        return total

    async def _get(self, path: str, params: dict[str, str] | None = None) -> dict[str, Any]:
        answer = await self._reader.get(path, params=params)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return {}
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    async def _apply(self, text: str) -> None:
        await asyncio.to_thread(clients.apply, self.kubeconfig, text)

    async def _kubectl(self, *words: str | Path) -> str:
        return await asyncio.to_thread(clients.kubectl, self.kubeconfig, *words)

    async def _helm(self, *words: str | Path) -> str:
        return await asyncio.to_thread(clients.helm, self.kubeconfig, *words)


def manifest(version: str, policy: str) -> str:
    """The ModelDeployment of a version that a policy rolls out."""
    return Template((_HERE / "modeldeployment.yaml").read_text()).substitute(version=version, policy=policy)


def policy(name: str) -> dict[str, Any]:
    """The spec of a RolloutPolicy of the demo."""
    spec: dict[str, Any] = yaml.safe_load((_HERE / _POLICIES[name]).read_text())["spec"]
    return spec
