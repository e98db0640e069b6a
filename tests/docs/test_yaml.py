"""Every YAML block of the documentation is taken by a real API server; a fragment as a part of what its info string names."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.docs.blocks import Block, blocks

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster
    from tests.conftest import Admission

Object = dict[str, Any]

GROUP = "pointsman.dev/v1alpha1"
LANGUAGES = {"", "yaml", "json", "csv", "sh", "console", "text", "python", "promql", "toml", "lua", "mermaid"}

_POD = {"spec": {"containers": [{"name": "model", "image": "x", "ports": [{"name": "http", "containerPort": 8080}]}]}}
_MODEL = {"version": "1", "storageUri": "pvc://models/docs/1"}
BASES: dict[str, Object] = {
    "ModelDeployment": {"spec": {"model": _MODEL, "runtime": "mlserver"}},
    "RolloutPolicy": {"spec": {}},
    "ModelRuntime": {"spec": {"template": _POD, "port": "http"}},
}
"""What a fragment is laid over, by the kind that it is a part of."""

UNKNOWN = {
    "argoproj.io": "Argo CD's kinds are not on the bare cluster",
    "source.toolkit.fluxcd.io": "Flux's kinds are not on the bare cluster",
    "kustomize.toolkit.fluxcd.io": "Flux's kinds are not on the bare cluster",
    "kustomize.config.k8s.io": "kustomize reads it itself",
    "helm.toolkit.fluxcd.io": "Flux's kinds are not on the bare cluster",
    "gateway.envoyproxy.io": "Envoy Gateway's kinds are not on the bare cluster",
    "monitoring.coreos.com": "the Prometheus operator's kinds are not on the bare cluster",
}
"""Groups whose objects are read and not asked about, and why."""

YAML = [block for block in blocks() if block.language == "yaml"]


def laid(over: Object, under: Object) -> Object:
    """`over` on `under`; what is an object in both is merged."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = laid(value, below) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged


def whole(block: Block) -> list[Object]:
    """The objects of a block; of a fragment the one that it makes.

    `yaml` alone holds whole objects, `yaml Kind` a part from `spec` on, `yaml Kind.spec.gates` what stands at that path, `yaml values` values of the
    chart and `yaml other` what is none of Kubernetes.
    """
    documents = [one for one in yaml.safe_load_all(block.text) if one is not None]
    if not block.about:
        return documents
    kind, *path = block.about.split(".")
    assert kind in BASES, f"{block.place}: write `yaml`, or `yaml` and one of {', '.join(BASES)} with a path"
    made = []
    for document in documents:
        part = document
        for key in reversed(path):
            part = {key: part}
        base = copy.deepcopy(BASES[kind])
        made.append({"apiVersion": GROUP, "kind": kind, "metadata": {"name": "docs"}, **laid(part, base)})
    return made


def test_there_is_something_to_test() -> None:
    assert len(YAML) > 8


def test_every_block_says_what_it_is() -> None:
    strange = [f"{block.place}: {block.info}" for block in blocks() if block.language not in LANGUAGES]
    assert not strange, f"write one of {sorted(LANGUAGES)} after the backticks"


@pytest.mark.parametrize(
    "block", [block for block in blocks() if block.language == "json"], ids=lambda block: block.place
)
def test_json_is_json(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.bare
@pytest.mark.parametrize(
    "block", [block for block in YAML if block.about not in ("values", "other")], ids=lambda block: block.place
)
def test_the_api_server_takes_it(admission: Admission, crds: Cluster, block: Block) -> None:
    for obj in whole(block):
        assert {"apiVersion", "kind", "metadata"} <= obj.keys(), (
            f"{block.place}: a fragment says of what, see docs/contributing.md"
        )
        if obj["apiVersion"] == GROUP:
            obj["metadata"].pop("namespace", None)
            assert admission.complaints(obj) == [], block.place
        elif obj["apiVersion"].partition("/")[0] not in UNKNOWN:
            obj["metadata"].pop("namespace", None)
            words = (
                "create",
                "-n",
                admission.namespace,
                "--dry-run=server",
                "--validate=strict",
                "-f",
                "-",
                "-o",
                "name",
            )
            crds.kubectl(*words, stdin=json.dumps(obj))
