"""The shipped ModelRuntimes: the API server takes their pods, they read inference and nothing else, and the docs say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pointsman.api.modeldeployment import ModelDeploymentSpec
from pointsman.api.modelruntime import LatencyMetric, Metrics, ModelRuntimeSpec
from pointsman.render.template import Finished, finished_template
from tests.catalogue.exports import EXPORTS, Counts, Series

if TYPE_CHECKING:
    from hack.cluster.fixtures import Cluster

ROOT = Path(__file__).parents[2]
CATALOGUE: dict[str, dict[str, Any]] = {
    file.stem: yaml.safe_load(file.read_text(encoding="utf-8"))
    for file in sorted((ROOT / "charts" / "pointsman" / "runtimes").glob("*.yaml"))
}
NAMES = sorted(CATALOGUE)
# What runs a Bento is the Bento: the runtime has no image of its own.
TEMPLATES = {"bentoml": {"spec": {"containers": [{"name": "model", "image": "registry.example.com/churn:7"}]}}}


def spec_of(runtime: str) -> ModelRuntimeSpec:
    return ModelRuntimeSpec.model_validate(CATALOGUE[runtime]["spec"])


def metrics_of(runtime: str) -> Metrics:
    metrics = spec_of(runtime).metrics
    assert metrics is not None
    return metrics


def finished(runtime: str) -> Finished:
    """The pod of a model that names the runtime, its files on a volume claim."""
    model = {"version": "7", "storageUri": "pvc://models/churn/7"}
    written = {"model": model, "runtime": runtime, "template": TEMPLATES.get(runtime)}
    return finished_template(
        deployment="churn",
        revision="churn-0123abcd",
        spec=ModelDeploymentSpec.model_validate({key: value for key, value in written.items() if value}),
        runtime=spec_of(runtime),
        initializer_image=None,
    )


def test_it_is_complete() -> None:
    wanted = {"mlserver", "kserve-sklearn", "bentoml", "triton", "tensorflow-serving", "vllm", "sglang", "tgi", "ovms"}
    assert wanted == set(NAMES) == set(EXPORTS)
    assert all(CATALOGUE[name]["metadata"]["name"] == name for name in NAMES)


def test_no_two_serve_the_same_format_by_default() -> None:
    chosen = [form.name for name in NAMES for form in spec_of(name).formats if form.auto_select]
    assert len(chosen) == len(set(chosen))


@pytest.mark.parametrize("name", NAMES)
def test_each_has_all_probes_and_says_what_it_needs(name: str) -> None:
    (container,) = CATALOGUE[name]["spec"]["template"]["spec"]["containers"]
    assert {"startupProbe", "readinessProbe", "livenessProbe", "ports", "resources"} <= container.keys()
    assert spec_of(name).protocol is not None


@pytest.mark.parametrize("name", NAMES)
def test_switched_and_given_an_image_by_a_value_of_the_chart(name: str) -> None:
    values = yaml.safe_load((ROOT / "charts" / "pointsman" / "values.yaml").read_text(encoding="utf-8"))
    assert values["runtimes"][name] == {"enabled": True, "image": ""}


@pytest.mark.bare
@pytest.mark.parametrize("name", NAMES)
def test_the_api_server_takes_the_pod(crds: Cluster, name: str) -> None:
    template = finished(name).template
    selected = {"pointsman.dev/revision": "churn-0123abcd"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "churn", "namespace": "default"},
        "spec": {"selector": {"matchLabels": selected}, "template": template},
    }
    words = ("create", "--dry-run=server", "--validate=strict", "-f", "-", "-o", "name")
    crds.kubectl(*words, stdin=json.dumps(deployment))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_scraped_where_its_metrics_are(name: str) -> None:
    """A port that no container declares would be no target of Prometheus."""
    template = finished(name).template
    annotations = template["metadata"]["annotations"]
    (container,) = template["spec"]["containers"]
    assert int(annotations["prometheus.io/port"]) in {port["containerPort"] for port in container["ports"]}
    assert annotations["prometheus.io/path"] == metrics_of(name).path


def matches(one: Series, *matchers: dict[str, str] | None) -> bool:
    """As PromQL's `=~` does, anchored; a label that is not there is empty."""
    given = [pair for each in matchers for pair in (each or {}).items()]
    return all(re.fullmatch(pattern, one.labels.get(label, "")) for label, pattern in given)


def read_as(one: Series, metrics: Metrics) -> set[Counts]:
    """What a profile makes of a series."""
    found: set[Counts] = set()
    requests = metrics.requests
    if requests is not None and one.metric == requests.counter and matches(one, requests.match):
        found.add("request")
        if matches(one, requests.failed):
            found.add("failure")
    for kind, histogram in histograms(metrics).items():
        if one.metric == histogram.histogram and matches(one, histogram.match):
            found.add(kind)
    return found


def histograms(metrics: Metrics) -> dict[Counts, LatencyMetric]:
    measured: dict[Counts, LatencyMetric | None] = {
        "latency": metrics.latency,
        "timeToFirstToken": metrics.time_to_first_token,
        "timePerOutputToken": metrics.time_per_output_token,
    }
    return {kind: histogram for kind, histogram in measured.items() if histogram is not None}


@pytest.mark.parametrize(
    ("name", "one"),
    [
        pytest.param(name, one, id=f"{name}-{one.metric}-{'-'.join(one.labels.values())}")
        for name, exported in EXPORTS.items()
        for one in exported
    ],
)
def test_it_counts_inference_only(name: str, one: Series) -> None:
    assert read_as(one, metrics_of(name)) == one.counts


@pytest.mark.parametrize("name", NAMES)
def test_it_reads_nothing_that_the_server_does_not_export(name: str) -> None:
    metrics = metrics_of(name)
    labels = {
        one.metric: {label for it in EXPORTS[name] if it.metric == one.metric for label in it.labels}
        for one in EXPORTS[name]
    }
    asked: list[tuple[str, set[str]]] = [(it.histogram, set(it.match or {})) for it in histograms(metrics).values()]
    if metrics.requests is not None:
        asked.append((metrics.requests.counter, {*(metrics.requests.match or {}), *metrics.requests.failed}))
    for metric, used in asked:
        assert used <= labels[metric], f"{metric} has no such labels"


SIGNALS = {
    "Errors": "requests",
    "Latency": "latency",
    "TimeToFirstToken": "time_to_first_token",
    "TimePerOutputToken": "time_per_output_token",
}


def documented() -> dict[str, list[str]]:
    """The first table of docs/runtimes.md that has a row for each runtime: name -> cells."""
    lines = (ROOT / "docs" / "runtimes.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in rows if row[0].strip("`") in EXPORTS}


@pytest.mark.parametrize("name", NAMES)
def test_the_docs_say_what_it_answers_and_which_formats_choose_it(name: str) -> None:
    formats, *answers = documented()[name][:5]
    offered = [f"**{form.name}**" if form.auto_select else form.name for form in spec_of(name).formats]
    assert formats == ", ".join(offered)
    metrics = metrics_of(name)
    assert [answer.startswith("yes") for answer in answers] == [
        getattr(metrics, part) is not None for part in SIGNALS.values()
    ]
