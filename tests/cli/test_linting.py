"""`pointsman lint` on files alone: where a mistake is, what is ours, and what cannot be known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pointsman.cli import documentfile, judging, linting
from pointsman.cli.command import app
from pointsman.cli.documentfile import Document
from pointsman.cli.judging import Surroundings

DEPLOYMENT = """\
apiVersion: pointsman.dev/v1alpha1
kind: ModelDeployment
metadata: {name: churn}
spec:
  model: {version: "7"}
  runtime: mlserver
"""
OTHERS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: churn}\ndata: {spec: wrong}\n"
RUNTIME = """\
apiVersion: pointsman.dev/v1alpha1
kind: ModelRuntime
metadata: {name: mlserver}
spec:
  port: 8080
  template: {spec: {containers: [{name: model, image: server}]}}
"""


def lint(folder: Path, **files: str) -> list[str]:
    """The mistakes in files of these names, as they are printed."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    found = linting.offline([str(folder)], namespace="")
    return [str(one).replace(f"{folder}/", "") for one in found.mistakes]


WRITTEN: dict[str, tuple[str, list[str]]] = {
    "nothing": ("", []),
    "nothing of ours": (OTHERS, []),
    "what is right": (DEPLOYMENT, []),
    "a runtime that is right": (RUNTIME, []),
    "a route of one's own": (f"{DEPLOYMENT}  traffic: {{routeRef: {{name: mine}}}}\n", []),
    "a mistake behind another object": (
        f"{OTHERS}---\n{DEPLOYMENT}  replicas: none\n",
        ["a.yaml:12: ModelDeployment churn: spec.replicas: write a whole number, not 'none'"],
    ),
    "an entry of a List": (
        (
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: pointsman.dev/v1alpha1\n  kind: ModelDeployment\n"
            "  metadata: {name: churn}\n  spec:\n    model: {version: 7}\n    runtime: mlserver\n"
        ),
        ["a.yaml:8: ModelDeployment churn: spec.model.version: write a string, not 7"],
    ),
    "a key twice": (
        f"{DEPLOYMENT}  replicas: 2\n  replicas: 3\n",
        ["a.yaml:8: `replicas` is there twice, in line 7, too: Kubernetes would take one of them"],
    ),
    "a kind with a typing error": (
        DEPLOYMENT.replace("ModelDeployment", "ModelDeploymnet"),
        [
            "a.yaml:2: ModelDeploymnet churn: kind: there is no kind 'ModelDeploymnet' in pointsman.dev/v1alpha1; did you mean ModelDeployment?"
        ],
    ),
    "another version": (
        DEPLOYMENT.replace("v1alpha1", "v1"),
        ["a.yaml:1: ModelDeployment churn: apiVersion: write pointsman.dev/v1alpha1, not 'pointsman.dev/v1'"],
    ),
    "no version": (
        DEPLOYMENT.partition("\n")[2],
        ["a.yaml:1: ModelDeployment churn: apiVersion: write pointsman.dev/v1alpha1, not ''"],
    ),
    "no spec": (
        DEPLOYMENT.partition("spec:")[0],
        ["a.yaml:1: ModelDeployment churn: spec: it is missing, and it has to be given"],
    ),
    "a field at the wrong level": (
        f"{DEPLOYMENT}replicas: 3\n",
        ["a.yaml:7: ModelDeployment churn: replicas: there is no such field: what you ask for belongs into `spec`"],
    ),
    "a name in capitals": (
        DEPLOYMENT.replace("churn", "Churn"),
        [
            (
                "a.yaml:3: ModelDeployment Churn: metadata.name: write a name of lower-case letters, digits and `-` that begins"
                " with a letter, as a Service's"
            )
        ],
    ),
    "an annotation that is no string": (
        DEPLOYMENT.replace("{name: churn}", "{name: churn, annotations: {pointsman.dev/pause: true}}"),
        [
            'a.yaml:3: ModelDeployment churn: metadata.annotations.pointsman.dev/pause: write a string: "true", in quotes'
        ],
    ),
    "an annotation with a typing error": (
        DEPLOYMENT.replace("{name: churn}", "{name: churn, annotations: {pointsman.dev/aprove: x}}"),
        [
            (
                "a.yaml:3: ModelDeployment churn: metadata.annotations.pointsman.dev/aprove: Pointsman knows no such annotation;"
                " did you mean `pointsman.dev/approve`?"
            )
        ],
    ),
    "a date is a string": (DEPLOYMENT.replace('"7"', "2026-11-21"), []),
    "no YAML": (
        "apiVersion: [pointsman.dev/v1alpha1\nkind: ModelDeployment\n",
        ["a.yaml:2: this is no YAML: expected ',' or ']', but got ':'"],
    ),
    "a template of Helm": (
        "{{- if .Values.x }}\napiVersion: v1\n",
        ["a.yaml:1: this is no YAML: expected the node content, but found '-'"],
    ),
    "a runtime without the serving container": (
        RUNTIME.replace("name: model", "name: main"),
        ["a.yaml:6: ModelRuntime mlserver: spec.template: the serving container has to be named 'model'"],
    ),
}


@pytest.mark.parametrize(("text", "said"), WRITTEN.values(), ids=WRITTEN)
def test_what_is_said_of_a_file(tmp_path: Path, text: str, said: list[str]) -> None:
    assert lint(tmp_path, a=text) == said


def test_files_are_judged_together(tmp_path: Path) -> None:
    latency = "  rollout: {gates: [{name: slow, signal: Latency}]}\n"
    counted = "  metrics: {port: 8080, requests: {counter: c, failed: {code: '5..'}}}\n"
    (said,) = lint(tmp_path, a=DEPLOYMENT + latency, b=RUNTIME + counted)
    assert said.startswith("a.yaml:7: ModelDeployment churn: gate 'slow' cannot be answered: ")


def test_what_is_not_among_the_files_is_noted(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(DEPLOYMENT + "  rollout: {policy: careful}\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["lint", str(file)])
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        f"note: {file}: ModelDeployment churn: what depends on ModelRuntime 'mlserver' and RolloutPolicy 'careful' was not"
        " checked: give its file, too, or --server\n1 object of Pointsman, no mistakes\n"
    )


def test_standard_input_and_data() -> None:
    result = CliRunner().invoke(app, ["lint", "-", "-o", "json"], input=f"{DEPLOYMENT}  replicas: 0\n")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["mistakes"] == [
        {
            "file": "standard input",
            "line": 7,
            "object": "ModelDeployment churn",
            "path": "spec.replicas",
            "message": "write at least 1, not 0",
        }
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere.yaml"], 1, "nowhere.yaml:1: cannot be read: No such file or directory\n"),
        ([], 2, "Missing argument 'FILE...'"),
    ],
)
def test_files_that_are_not_there(words: list[str], code: int, said: str) -> None:
    result = CliRunner().invoke(app, ["lint", *words])
    assert result.exit_code == code
    assert said in result.output


def test_a_folder_without_manifests(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["lint", str(tmp_path)])
    assert (result.exit_code, result.stderr) == (2, f"{tmp_path}: there is no *.yaml, *.yml or *.json in it\n")


def test_aliases_that_stand_for_more_than_there_is_memory(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    assert lint(tmp_path, a=f"apiVersion: v1\nkind: ConfigMap\n{bomb}") == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_FIELDS = st.sampled_from(
    ["model", "runtime", "template", "port", "metrics", "replicas", "traffic", "rollout", "formats"]
)


@given(
    kind=st.sampled_from(["ModelDeployment", "ModelRuntime", "RolloutPolicy", "ModelRevision"]),
    spec=st.dictionaries(_FIELDS, _JSON, max_size=5) | _JSON,
    metadata=st.fixed_dictionaries({"name": st.text(max_size=8)}) | _JSON,
)
def test_whatever_is_written_a_sentence_comes_back(kind: str, spec: object, metadata: object) -> None:
    value = {"apiVersion": "pointsman.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
    judged = judging.judge([Document(source="a.yaml", value=value)], Surroundings(), namespace="ml")
    assert judged.judged == 1
    assert all(str(one).startswith("a.yaml:1: ") and one.message for one in judged.mistakes)


@given(text=st.text(max_size=200))
def test_whatever_a_file_holds_it_is_read_or_said(text: str) -> None:
    for found in documentfile.documents(text, "a.yaml"):
        assert found.source == "a.yaml"
