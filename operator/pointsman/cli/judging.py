"""What the API server and the operator would say of manifests, as far as the manifests themselves tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from pointsman.api import names
from pointsman.api.conditions import ACCEPTED
from pointsman.api.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus
from pointsman.api.modelruntime import LatencyMetric, Metrics, ModelRuntimeSpec, ModelRuntimeStatus, RequestsMetric
from pointsman.api.rolloutpolicy import RolloutPolicySpec, RolloutPolicyStatus
from pointsman.cli import admission
from pointsman.cli.documentfile import Document
from pointsman.cli.mistakes import Mistake, mistake
from pointsman.rollout import acceptance
from pointsman.rollout.acceptance import Refusal, Target
from pointsman.rollout.catalogue import policy_status, runtime_status
from pointsman.rollout.mirroring import MIRROR, MIRROR_PERCENT
from pointsman.rollout.observed import Deployment, Gateway, Holder, Json, Observed, Runtime, Settings

_NOW = datetime(2026, 1, 1, tzinfo=UTC)  # the checks do not depend on it


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the manifests meet in a cluster; by default none is known, and everything they name is taken to be there.

    routes    of the users' own, by the ModelDeployment that names one
    complete  whether what is not here is not there either
    """

    runtimes: Mapping[str, Runtime] = field(default_factory=dict)
    policies: Mapping[str, RolloutPolicySpec] = field(default_factory=dict)
    gateways: Mapping[str, Gateway] = field(default_factory=dict)
    holders: Mapping[tuple[str, str], Holder] = field(default_factory=dict)
    routes: Mapping[tuple[str, str], Json] = field(default_factory=dict)
    complete: bool = False
    settings: Settings = field(
        default_factory=lambda: Settings(
            storage_initializer="registry.invalid/storage-initializer",
            inspector_image="registry.invalid/pointsman",
            gateway_metrics="envoy-gateway",
        )
    )


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What was found.

    notes    what could not be checked, and why
    targets  what each acceptable ModelDeployment would run
    judged   how many objects are ours
    """

    mistakes: Sequence[Mistake]
    notes: Sequence[str]
    targets: Sequence[tuple[Document, Target]]
    sound: Sequence[Document]
    judged: int


def judge(documents: Iterable[Document], around: Surroundings, *, namespace: str) -> Judgement:
    """Judge all documents, each among the others.

    Args:
        documents: of our kinds; others are left alone.
        around: what else is there.
        namespace: of ModelDeployments that say none.
    """
    mistakes: list[Mistake] = []
    sound: list[Document] = []
    mine = [one for one in documents if admission.ours(one)]
    for document in mine:
        found = list(admission.faults(document))
        mistakes += found
        if not found:
            sound.append(document)
    runtimes = {**around.runtimes, **{one.name: _runtime(one) for one in _of("ModelRuntime", sound)}}
    policies = {**around.policies, **{one.name: _policy(one) for one in _of("RolloutPolicy", sound)}}
    for document in (*_of("ModelRuntime", sound), *_of("RolloutPolicy", sound)):
        mistakes += _catalogued(document, runtimes)
    notes: list[str] = []
    targets: list[tuple[Document, Target]] = []
    broken = {(one.kind, one.name) for one in mine} - {(one.kind, one.name) for one in sound}
    for document in _of("ModelDeployment", sound):
        observed = _observed(document, around, runtimes=runtimes, policies=policies, namespace=namespace)
        known = observed if around.complete else _pretended(observed, document, notes, broken)
        found_target = acceptance.target(known)
        if isinstance(found_target, Refusal):
            mistakes.append(_refused(document, found_target))
        else:
            targets.append((document, found_target))
    return Judgement(mistakes=mistakes, notes=notes, targets=targets, sound=sound, judged=len(mine))


def _of(kind: str, documents: Iterable[Document]) -> list[Document]:
    return [one for one in documents if one.kind == kind]


def _runtime(document: Document) -> Runtime:
    return Runtime(name=document.name, generation=1, spec=ModelRuntimeSpec.model_validate(document.value["spec"]))


def _policy(document: Document) -> RolloutPolicySpec:
    return RolloutPolicySpec.model_validate(document.value["spec"])


def _catalogued(document: Document, runtimes: Mapping[str, Runtime]) -> Iterator[Mistake]:
    """The verdict on a ModelRuntime or a RolloutPolicy."""
    if document.kind == "ModelRuntime":
        runtime = runtimes[document.name]
        status: ModelRuntimeStatus | RolloutPolicyStatus = runtime_status(
            runtime, catalogue=runtimes, before=ModelRuntimeStatus(), now=_NOW
        )
    else:
        status = policy_status(_policy(document), generation=1, before=RolloutPolicyStatus(), now=_NOW)
    for condition in status.conditions:
        if condition.type == ACCEPTED and condition.status == "False":
            yield _refused(document, Refusal(condition.reason, condition.message))


def _observed(
    document: Document,
    around: Surroundings,
    *,
    runtimes: Mapping[str, Runtime],
    policies: Mapping[str, RolloutPolicySpec],
    namespace: str,
) -> Observed:
    """What the operator would see, were it applied."""
    where = document.namespace or namespace
    spec = document.value["spec"]
    deployment = Deployment(
        namespace=where,
        name=document.name,
        uid="",
        generation=1,
        resource_version="",
        annotations={},
        written=spec,
        spec=ModelDeploymentSpec.model_validate(spec),
        status=ModelDeploymentStatus(),
    )
    return Observed(
        deployment=deployment,
        settings=around.settings,
        runtimes=runtimes,
        policies=policies,
        gateways=around.gateways,
        holder=around.holders.get((where, document.name)),
        users_route=around.routes.get((where, document.name)) if around.complete else _pretended_route(deployment),
    )


def _pretended_route(deployment: Deployment) -> Json | None:
    """The route that `routeRef` names, taken to be there and to be as it should."""
    traffic = deployment.spec.traffic
    if traffic is None or traffic.route_ref is None:
        return None
    rules = [{"backendRefs": [{"name": deployment.name}]}]
    return {"metadata": {"name": traffic.route_ref.name}, "spec": {"rules": rules}}


_ANYTHING: Final = ModelRuntimeSpec(
    template={"spec": {"containers": [{"name": names.CONTAINER, "image": "registry.invalid/server"}]}},
    port=8080,
    protocol="OpenInference",
    metrics=Metrics(
        port=8080,
        requests=RequestsMetric(counter="requests_total", failed={"code": "5.."}),
        latency=LatencyMetric(histogram="latency_seconds", unit="s", match=None),
        time_to_first_token=LatencyMetric(histogram="first_token_seconds", unit="s", match=None),
        time_per_output_token=LatencyMetric(histogram="output_token_seconds", unit="s", match=None),
    ),
)
"""A runtime that answers everything: it stands for one that is not known, so that the rest can be judged."""


def _pretended(observed: Observed, document: Document, notes: list[str], broken: set[tuple[str, str]]) -> Observed:
    """The same with everything that it names and nobody knows taken to be there; says so, where it matters."""
    spec, known = observed.deployment.spec, f"{document.source}: {document.kind} {document.name}"
    runtimes, policies = dict(observed.runtimes), dict(observed.policies)
    missing: list[str] = []
    if spec.runtime is not None and spec.runtime not in runtimes:
        runtimes[spec.runtime] = Runtime(name=spec.runtime, generation=1, spec=_ANYTHING)
        missing.append(f"ModelRuntime {spec.runtime!r}")
    elif (
        spec.runtime is None
        and spec.model.format is not None
        and not _serving(runtimes.values(), spec.model.format.name)
    ):
        offered = [{"name": spec.model.format.name, "autoSelect": True}]
        made = ModelRuntimeSpec.model_validate({**_ANYTHING.dump(), "formats": offered})
        runtimes[""] = Runtime(name="", generation=1, spec=made)
        missing.append(f"a ModelRuntime with autoSelect for format {spec.model.format.name!r}")
    named = None if spec.rollout is None else spec.rollout.policy
    if named is not None and named not in policies:
        policies[named] = RolloutPolicySpec()
        if ("RolloutPolicy", named) not in broken:
            missing.append(f"RolloutPolicy {named!r}")
    if missing:
        notes.append(
            f"{known}: what depends on {' and '.join(missing)} was not checked: give its file, too, or --server"
        )
    able = Gateway(gateway_class="", features=frozenset((MIRROR, MIRROR_PERCENT)))
    parents = spec.traffic.parent_refs if spec.traffic is not None else []
    gateways = {f"{one.namespace or observed.deployment.namespace}/{one.name}": able for one in parents}
    gateways = {**gateways, **observed.gateways}
    return replace(observed, runtimes=runtimes, policies=policies, gateways=gateways)


def _serving(runtimes: Iterable[Runtime], wanted: str) -> bool:
    return any(one.name == wanted and one.auto_select for runtime in runtimes for one in runtime.spec.formats)


def _refused(document: Document, refusal: Refusal) -> Mistake:
    return mistake(document, refusal.message, reason=refusal.reason)
