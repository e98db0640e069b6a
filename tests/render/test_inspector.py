"""What an inspector is told is what the inspector takes, and its pods are nobody else's."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import typer

from pointsman.api import names
from pointsman.api.modeldeployment import NAME_LIMIT, Model
from pointsman.cli.command import app
from pointsman.errors import Terminal
from pointsman.inspector.assignment import VARIABLE, Arm, Assignment, Slices, read
from pointsman.render.inspector import Image, Inspection, assignment, deployment
from pointsman.rollout.identity import revision_name
from tests.render.examples import EXAMPLES, SHADOW, WATCH, owner


def told(obj: dict[str, Any]) -> Assignment:
    """What the container reads, once Kubernetes has expanded its environment."""
    (container,) = obj["spec"]["template"]["spec"]["containers"]
    (variable,) = container["env"]
    assert variable["name"] == VARIABLE
    return read(re.sub(r"\$(\$|\(\w+\))", lambda found: "$" if found[0] == "$$" else "expanded", variable["value"]))


def test_the_inspector_takes_all_that_it_is_told() -> None:
    taken = told(EXAMPLES["churn-inspector"])
    assert (taken.namespace, taken.deployment, taken.attempt, taken.warmup) == ("ml", "churn", 2, 50)
    assert taken.stable == Arm(revision="churn-5f3a9c1b", url="http://churn-5f3a9c1b.ml:80")
    assert taken.candidate == Arm(revision="churn-81d0aa37", url="http://churn-81d0aa37.ml:80")
    assert taken.protocol == "OpenInference"
    comparators = [
        {"kind": "Label", "output": "predict"},
        {"kind": "Numeric", "output": "price", "absolute": 0.01, "relative": 0},
        {"kind": "Vector", "output": "embedding", "distance": "Cosine", "atMost": 0.001},
        {"kind": "TopK", "output": "ranks", "k": 5, "atLeast": 80},
        {"kind": "Text", "output": "/outputs/0/data/$(HOME)", "form": "Normalised"},
        {"kind": "Bytes"},
    ]
    assert assignment(SHADOW)["comparators"] == comparators
    assert [json.loads(one.model_dump_json(by_alias=True)) for one in taken.comparators] == comparators
    assert taken.features == ("/inputs/0/data/3",)
    assert taken.forward_headers == ("authorization",)
    assert taken.slices == Slices(header="x-tenant", max=20)


def test_it_is_started_with_options_that_it_has() -> None:
    pod = EXAMPLES["churn-inspector"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    name, *options = container["args"]
    group: Any = typer.main.get_command(app)  # its types are those of the click that typer carries along
    given = group.commands[name].make_context(name, list(options)).params
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": given["port"], "metrics": given["probes_port"]}
    assert pod["terminationGracePeriodSeconds"] > given["grace"]


def test_without_a_candidate_it_watches() -> None:
    taken = told(EXAMPLES["churn-inspector-watching"])
    assert (taken.stable.revision, taken.candidate, taken.comparators) == ("churn-81d0aa37", None, ())


MOUNTS = [
    pytest.param({}, None, None, None, id="no reference"),
    pytest.param(
        {"reference": {"configMap": "r"}},
        {"configMap": {"name": "r", "items": [{"key": "reference.json", "path": "reference.json"}], "optional": True}},
        None,
        "reference.json",
        id="a ConfigMap",
    ),
    pytest.param(
        {"storageUri": "pvc://models/churn/8", "reference": {"path": "docs/r.json"}},
        {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}},
        "churn/8",
        "docs/r.json",
        id="a file in a volume",
    ),
    pytest.param(
        {"storageUri": "oci://registry.example/m:8", "reference": {"path": "r.json"}},
        {"image": {"reference": "registry.example/m:8"}},
        None,
        "r.json",
        id="a file in an image",
    ),
]


@pytest.mark.parametrize(("model", "source", "below", "file"), MOUNTS)
def test_the_reference_is_mounted_where_the_inspector_looks_for_it(
    model: dict[str, Any], source: dict[str, Any] | None, below: str | None, file: str | None
) -> None:
    inspection = replace(SHADOW, model=Model.model_validate({"version": "8", **model}))
    obj = deployment(inspection, image=Image("pointsman:1"), owner=owner("churn"))
    pod = obj["spec"]["template"]["spec"]
    if source is None:
        assert "volumes" not in pod
        assert told(obj).reference is None
        return
    (volume,), (mount,) = pod["volumes"], pod["containers"][0]["volumeMounts"]
    assert volume == {"name": mount["name"], **source}
    assert (mount["readOnly"], mount.get("subPath")) == (True, below)
    assert told(obj).reference == f"{mount['mountPath']}/{file}"
    assert "imagePullSecrets" not in pod


def test_a_reference_beside_a_model_that_is_fetched_is_a_sentence() -> None:
    model = Model.model_validate({"version": "8", "storageUri": "s3://models/churn", "reference": {"path": "r.json"}})
    with pytest.raises(Terminal, match=r"storageUri is s3://; write the file into a ConfigMap"):
        assignment(replace(SHADOW, model=model))


def labels(name: str) -> dict[str, str]:
    found: dict[str, str] = EXAMPLES[name]["spec"]["template"]["metadata"]["labels"]
    return found


def selected(selector: dict[str, str], pod: dict[str, str]) -> bool:
    return selector.items() <= pod.items()


@pytest.mark.parametrize(
    "selector", [names.selector("churn"), names.selector("churn", "churn-81d0aa37"), names.selector("churn", "churn-5f3a9c1b")]
)  # fmt: skip
def test_no_service_of_the_model_takes_the_inspector_for_a_model(selector: dict[str, str]) -> None:
    assert not selected(selector, labels("churn-inspector"))
    assert not selected(names.inspector_selector("churn", "churn-81d0aa37"), labels("churn-deployment"))


@pytest.mark.parametrize(
    "other", [WATCH, replace(WATCH, deployment="fraud"), replace(SHADOW, candidate="churn-00000000")]
)
def test_its_service_finds_it_and_no_other_one(other: Inspection) -> None:
    pod = labels("churn-inspector")
    assert selected(EXAMPLES["churn-inspector-service"]["spec"]["selector"], pod)
    same = (other.deployment, other.revision) == (SHADOW.deployment, SHADOW.revision)
    assert selected(names.inspector_selector(other.deployment, other.revision), pod) is same


def test_its_name_fits_and_is_no_revisions() -> None:
    revision = revision_name("m" * NAME_LIMIT, {"model": {"version": "1"}})
    name = names.inspector(revision)
    assert len(name) <= 63
    assert name != revision
    assert not set(name.rpartition("-")[2]) <= set("0123456789abcdef")
