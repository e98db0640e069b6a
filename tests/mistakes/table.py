"""The mistakes that people make in manifests, and what they are told: the table behind test_mistakes.py and docs/mistakes.md.

`python -m tests.mistakes.table` writes the document.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pointsman.api.values import API_VERSION

DOCUMENT = Path(__file__).parents[2] / "docs" / "mistakes.md"

SERVED = 'model: {version: "7"}\nruntime: RUNTIME\n'
ROUTED = SERVED + "traffic: {parentRefs: [{name: models}], hostnames: [NAME.example.com]}\n"
_HERE = "  # <--"


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake.

    title   what people do
    text    the part of `spec` that is wrong; the line with `# <--` is what `pointsman lint` names
    says    the sentence; RUNTIME, NAME and NAMESPACE stand for what the test calls them
    by      who says it: the API server, or the operator as `Accepted=False` with this reason
    server  the API server's own words, where it is not our sentence
    rest    of `spec`
    alone   whether the files alone show it; else it takes `pointsman lint --server`
    """

    title: str
    text: str
    says: str
    by: str = "the API server"
    server: str = ""
    kind: str = "ModelDeployment"
    rest: str = SERVED
    alone: bool = True

    def manifest(self, name: str, *, runtime: str, namespace: str) -> str:
        """The whole object."""
        where = f", namespace: {namespace}" if self.kind == "ModelDeployment" else ""
        head = f"apiVersion: {API_VERSION}\nkind: {self.kind}\nmetadata: {{name: {name}{where}}}\nspec:\n"
        spec = "".join(f"  {line}\n" for line in (self.rest + self.text).splitlines())
        return (head + spec).replace("RUNTIME", runtime).replace("NAMESPACE", namespace).replace("NAME", name)

    def told(self, name: str, *, runtime: str, namespace: str) -> str:
        """The sentence, with the names of a test."""
        return self.says.replace("RUNTIME", runtime).replace("NAMESPACE", namespace).replace("NAME", name)

    def line(self) -> int:
        """The line of the manifest that is named: the marked one, or that of `spec`, which is wrong as a whole."""
        lines = self.manifest("name", runtime="runtime", namespace="namespace").splitlines()
        marked = [number for number, line in enumerate(lines, 1) if line.endswith(_HERE)]
        return marked[0] if marked else 1 + lines.index("spec:")


MISTAKES = (
    Mistake(
        title="A field with a typing error",
        text="replcas: 4  # <--",
        says="spec.replcas: there is no such field; did you mean `replicas`?",
        server='unknown field "spec.replcas"',
    ),
    Mistake(
        title="A value that is none of those there are",
        text="rollout:\n  gates:\n  - {name: errors, signal: Error}  # <--",
        says=(
            "spec.rollout.gates[0].signal: write Errors, Latency, TimeToFirstToken, TimePerOutputToken, Agreement,"
            " PredictionDrift, Events or Threshold, not 'Error'"
        ),
        server='Unsupported value: "Error"',
    ),
    Mistake(
        title="A version that YAML reads as a number",
        text="model: {version: 7}  # <--\nruntime: RUNTIME",
        says="spec.model.version: write a string, not 7",
        server="must be of type string",
        rest="",
    ),
    Mistake(
        title="A duration in words",
        text="rollout:\n  steps:\n  - {canary: {percent: 5}, hold: 5 min}  # <--",
        says="spec.rollout.steps[0].hold: write a duration above zero, such as 30s, 5m or 1h30m",
    ),
    Mistake(
        title="A duration without a unit",
        text="rollout:\n  deadline: 7200  # <--",
        says="spec.rollout.deadline: write a duration above zero, such as 30s, 5m or 1h30m (it is 7200, not a string)",
        server="must be of type string",
    ),
    Mistake(
        title="A share with a percent sign",
        text='rollout:\n  steps:\n  - {canary: {percent: "5%"}}  # <--',
        says=(
            'spec.rollout.steps[0].canary.percent: write more than 0 and less than 100 percent, such as 5 or "0.5"; promotion'
            " follows the last step"
        ),
    ),
    Mistake(
        title="All of the traffic as the last step",
        text="rollout:\n  steps:\n  - {canary: {percent: 50}}\n  - {canary: {percent: 100}}  # <--",
        says=(
            'spec.rollout.steps[1].canary.percent: write more than 0 and less than 100 percent, such as 5 or "0.5"; promotion'
            " follows the last step"
        ),
    ),
    Mistake(
        title="Shares that should sum up to 100 %",
        text="rollout:  # <--\n  steps:\n  - {canary: {percent: 60}}\n  - {canary: {percent: 40}}",
        says=("spec.rollout: write the canary percentages in rising order: the share only grows from step to step"),
    ),
    Mistake(
        title="A tolerance as a decimal fraction",
        text='rollout:\n  gates:\n  - {name: errors, signal: Errors, tolerance: {ratio: "0.05"}}  # <--',
        says=(
            'spec.rollout.gates[0].tolerance.ratio: write a ratio of at least "1" in quotes: that many times as bad as stable is'
            " allowed"
        ),
    ),
    Mistake(
        title="A decimal number without quotes",
        text="rollout:\n  gates:\n  - {name: errors, signal: Errors, tolerance: {ratio: 1.5}}  # <--",
        says=(
            'spec.rollout.gates[0].tolerance.ratio: write a ratio of at least "1" in quotes: that many times as bad as stable is'
            " allowed (it is 1.5, not a string)"
        ),
        server="must be of type string",
    ),
    Mistake(
        title="A quantile as a percentage",
        text='rollout:\n  gates:\n  - {name: latency, signal: Latency, quantiles: ["99"]}  # <--',
        says='spec.rollout.gates[0].quantiles[0]: write a quantile between 0 and 1 in quotes, such as "0.99"',
    ),
    Mistake(
        title="Percentage points of a latency",
        text='rollout:\n  gates:\n  - {name: latency, signal: Latency, tolerance: {points: "5"}}  # <--',
        says=(
            "spec.rollout.gates[0]: write `ratio` instead of `points`: a latency signal is measured in times of stable's quantile"
        ),
    ),
    Mistake(
        title="An error probability as a fraction",
        text='rollout:\n  confidence: {falseRollback: "50"}  # <--',
        says='spec.rollout.confidence.falseRollback: write a percentage in quotes from "0.001" to "20"',
    ),
    Mistake(
        title="Two things in one step",
        text="rollout:\n  steps:\n  - {canary: {percent: 5}, approval: {}}  # <--",
        says="spec.rollout.steps[0]: write exactly one of `shadow`, `canary` and `approval` in a step",
    ),
    Mistake(
        title="A gate that needs a shadow step, without one",
        text="rollout:  # <--\n  steps:\n  - {canary: {percent: 5}}\n  gates:\n  - {name: agreement, signal: Agreement}",
        says=(
            "spec.rollout: add a shadow step, or remove the gates of signal Agreement and PredictionDrift: they compare mirrored"
            " requests"
        ),
    ),
    Mistake(
        title="A number of pods and autoscaling",
        text="replicas: 4\nautoscaling: {maxReplicas: 8}",
        says=(
            "spec: write `replicas` or `autoscaling`, not both: with `autoscaling` the number of pods follows the load"
        ),
    ),
    Mistake(
        title="No room for a candidate's pod",
        text="replicas: 4\nrollout:\n  capacity: {maxSurge: 0, maxUnavailable: 0}  # <--",
        says=(
            "spec.rollout.capacity: give maxSurge or maxUnavailable at least 1: with both 0 there is no pod to start with"
        ),
    ),
    Mistake(
        title="A share of the pods that is no pod",
        text='replicas: 4\nrollout:\n  capacity: {maxSurge: 0, maxUnavailable: "10%"}  # <--',
        says=(
            "the rollout policy in force: capacity leaves no pod to start with: of 4 replicas maxSurge 0 is 0 pods and"
            " maxUnavailable 10% is 0; write maxSurge: 1"
        ),
        by="InvalidPolicy",
    ),
    Mistake(
        title="A container of one's own that does not say its port",
        text="template: {spec: {containers: [{name: model, image: registry.example.com/churn}]}}",
        says="spec: write `port`, the port requests go to: a `template` alone does not say it",
        rest='model: {version: "7"}\n',
    ),
    Mistake(
        title="A port that no container has",
        text=(
            "template:\n  spec:\n    containers:\n    - {name: model, image: registry.example.com/churn, ports: [{name: http,"
            " containerPort: 8080}]}\nport: grpc  # <--"
        ),
        says='no container has a TCP port named "grpc" (there are: "http")',
        by="InvalidTemplate",
        rest='model: {version: "7"}\n',
    ),
    Mistake(
        title="A serving container of another name",
        text=("template: {spec: {containers: [{name: main, image: registry.example.com/churn}]}}  # <--\nport: 8080"),
        says="spec.template has no container named `model` (it has: `main`); name the one that answers requests so",
        by="InvalidTemplate",
        rest='model: {version: "7"}\n',
    ),
    Mistake(
        title="A path instead of a URI",
        text='model: {version: "7", storageUri: /models/churn/7}  # <--\nruntime: RUNTIME',
        says=(
            "spec.model.storageUri: write a URI such as pvc://claim/path, oci://registry/image:tag or https://host/path"
        ),
        rest="",
    ),
    Mistake(
        title="A URL instead of a host name",
        text='traffic: {parentRefs: [{name: models}], hostnames: ["http://churn.example.com"]}  # <--',
        says=(
            "spec.traffic.hostnames[0]: write a host name in lower case without port, such as churn.example.com or *.example.com"
        ),
    ),
    Mistake(
        title="PromQL that is none",
        text=(
            "rollout:\n  gates:\n  - name: memory  # <--\n    signal: Threshold\n"
            "    threshold: {query: 'max(gpu_memory_ratio', max: \"0.9\"}"
        ),
        says=(
            "the rollout policy in force: gate 'memory': threshold.query: column 21, at the end: `,` should stand here"
        ),
        by="InvalidPolicy",
    ),
    Mistake(
        title="A gate on what the model server does not measure",
        text="rollout:\n  gates:\n  - {name: latency, signal: Latency}  # <--",
        says=(
            "gate 'latency' cannot be answered: gate latency asks for Latency, but the candidate version's metrics list no"
            " `latency`: add `metrics.latency` to its ModelRuntime or ModelDeployment, write `source: Gateway`, or leave the gate"
            " out"
        ),
        by="GateUnanswerable",
    ),
    Mistake(
        title="The same thing twice in a list",
        text="formats: [{name: NAME, autoSelect: true}, {name: NAME, autoSelect: true}]  # <--\nport: 8080\ntemplate: {}",
        says="spec.formats[1]: name 'NAME' is there twice: write each once",
        server="Duplicate value",
        kind="ModelRuntime",
        rest="",
    ),
    Mistake(
        title="A runtime that does not exist",
        text='model: {version: "7"}\nruntime: NAME  # <--',
        says="spec.runtime: no ModelRuntime is named 'NAME'; there are: ",
        by="RuntimeNotFound",
        rest="",
        alone=False,
    ),
    Mistake(
        title="A policy that does not exist",
        text="rollout: {policy: NAME}  # <--",
        says="spec.rollout.policy: no RolloutPolicy is named 'NAME'; there are: ",
        by="PolicyNotFound",
        alone=False,
    ),
    Mistake(
        title="The Gateway of another namespace",
        text="traffic: {parentRefs: [{name: models, namespace: default}], hostnames: [NAME.example.com]}  # <--",
        says="spec.traffic.parentRefs: there is no Gateway default/models; create it or name another",
        by="GatewayNotFound",
        alone=False,
    ),
    Mistake(
        title="A route of one's own that does not say whose it is",
        text="traffic: {routeRef: {name: NAME}}  # <--",
        says=(
            "spec.traffic.routeRef: there is no HTTPRoute NAME in NAMESPACE that has the label `pointsman.dev/deployment: NAME`"
            " and is not Pointsman's own: write that label into the route of yours that this model may switch"
        ),
        by="RouteNotFound",
        alone=False,
    ),
    Mistake(
        title="A field of the container with a typing error",
        text="template: {spec: {containers: [{name: model, imagePullPolcy: Always}]}}  # <--",
        says="the API server refuses what this spec renders to: ",
        server="imagePullPolcy",
        by="TemplateRejected",
        alone=False,
    ),
    Mistake(
        title="A pod that asks for what is none",
        text="template: {spec: {containers: [{name: model, resources: {limits: {memory: 4 GB}}}]}}  # <--",
        says="the API server refuses what this spec renders to: ",
        server="quantities must match",
        by="TemplateRejected",
        alone=False,
    ),
)
"""Mistakes that are told at once."""


@dataclass(frozen=True, kw_only=True)
class Later:
    """A mistake that shows only when pods start or are asked: in a condition, while what serves goes on serving.

    condition, reason  where it is said
    says               a part of the message
    test               where it is tried
    """

    title: str
    condition: str
    reason: str
    says: str
    test: str


LATER = (
    Later(
        title="A quota that is too small for one pod more",
        condition="UpToDate=False",
        reason="InProgress",
        says="0 of 1 candidate pods are ready: ... exceeded quota: ...",
        test="test_operator_bad_input.py: test_no_room_for_the_candidates_pods",
    ),
    Later(
        title="A claim that does not exist",
        condition="UpToDate=False",
        reason="InProgress",
        says='0 of 1 candidate pods are ready: ... persistentvolumeclaim "models" not found',
        test="test_operator_bad_input.py: test_claim_that_does_not_exist",
    ),
    Later(
        title="An image that cannot be pulled",
        condition="UpToDate=False",
        reason="InProgress",
        says="0 of 1 candidate pods are ready: ImagePullBackOff",
        test="test_operator_bad_input.py: test_image_that_cannot_be_pulled_heals_when_it_can",
    ),
    Later(
        title="A metric that nobody exports",
        condition="UpToDate=False",
        reason="InProgress",
        says="not enough evidence for 50 % yet: errors is Undecided (`pointsman explain` has the query that finds nothing)",
        test="test_mistakes.py: test_a_metric_that_nobody_exports",
    ),
)


def page() -> str:
    """The document."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield "# Mistakes, and what you are told\n"
    yield "<!-- made by `make generate` from tests/mistakes/table.py, whose every line is tried on a real API server -->\n"
    yield "`pointsman lint FILE` says each of these before anything is applied, with the line of the file; those with a star need"
    yield "`--server`: they depend on what is in the cluster. `kubectl apply` says what the API server says; what the operator says"
    yield "is the condition `Accepted=False` with the reason shown, and nothing that runs changes.\n"
    for one in MISTAKES:
        star = "" if one.alone else " *"
        yield f"## {one.title}{star}\n"
        yield "```text"
        yield f"# spec of a {one.kind}"
        yield one.text.replace(_HERE, "")
        yield "```\n"
        yield f"> {one.says.rstrip(': ')}\n"
        if one.by == "the API server":
            yield f"The API server says `{one.server}`.\n" if one.server else "The API server says it in these words.\n"
        else:
            yield f"The operator says it: `Accepted=False`, reason `{one.by}`.\n"
    yield "# What shows only later\n"
    yield "No manifest tells these; `pointsman lint --server` tries one pod, and so finds quotas. The version that serves goes on"
    yield "serving, and all is well once the cause is gone.\n"
    yield "| mistake | condition | reason | message |\n|---|---|---|---|"
    for late in LATER:
        yield f"| {late.title} | `{late.condition}` | `{late.reason}` | {late.says} |"


if __name__ == "__main__":
    DOCUMENT.write_text(page(), encoding="utf-8")
