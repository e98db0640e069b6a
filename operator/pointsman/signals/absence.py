"""Why Prometheus has nothing to say about a revision, in a sentence with what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointsman.signals.matching import NOWHERE, PART, UNLABELLED
from pointsman.signals.profiles import Shape
from pointsman.signals.queries import Labels
from pointsman.signals.samples import Sample


def no_target(
    who: str, owner: tuple[str, str], shape: Shape, up: Mapping[tuple[str, str], Sequence[Sample]], labels: Labels
) -> str:
    """Why an arm has no target: the pods are scraped without our labels, or not at all."""
    if shape.source == "Gateway":
        return (
            f"the gateway's metrics show no cluster service/{owner[0]}/{owner[1]}: is `mergeBackends` set in the"
            " EnvoyProxy, and does Prometheus scrape the Envoy pods?"
        )
    for samples in up.values():
        for sample in samples:
            part = sample.labels.get(PART)
            if part == NOWHERE and sample.labels.get(labels.revision) == owner[1]:
                return f"the scrape of {who} sets no label {labels.namespace!r}: add it by relabelling, or set its name in the operator's settings"
            if part == UNLABELLED and sample.labels.get(labels.pod, "").startswith(f"{owner[1]}-"):
                return (
                    f"Prometheus scrapes {who} but the label {labels.revision!r} does not arrive: copy the pod's labels"
                    " (a labelmap relabelling, or podTargetLabels: [pointsman.dev/revision, pointsman.dev/deployment] in the PodMonitor)"
                )
    if shape.source == "Inspector":
        return f"Prometheus has no target for the inspector of {who}: is the pod up, and its port of metrics scraped?"
    missing = f'up{{{labels.namespace}="{owner[0]}",{labels.revision}="{owner[1]}"}}'
    return f"Prometheus has no target for {who}, `{missing}` is empty: is the port of its metrics scraped?"
