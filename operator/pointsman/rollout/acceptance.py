"""Whether a spec can be acted on: a chain of small checks, each giving a reason and a sentence."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from pointsman.api import names
from pointsman.api.modeldeployment import ModelDeploymentSpec
from pointsman.api.modelruntime import Metrics, ModelRuntimeSpec
from pointsman.api.rolloutpolicy import RolloutFields
from pointsman.errors import Terminal
from pointsman.remembered import remembered
from pointsman.render import users_route
from pointsman.render.template import Finished, finished_template
from pointsman.render.users_route import Place
from pointsman.rollout import mirroring, weighing
from pointsman.rollout import policy as policies
from pointsman.rollout.identity import revision_name
from pointsman.rollout.observed import Observed, Runtime
from pointsman.signals.own import Names
from pointsman.signals.patterns import pattern_fault
from pointsman.signals.profiles import Unanswerable


@dataclass(frozen=True)
class Refusal:
    """Why a spec is not acted on."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """The revision that the spec names, and what it would run."""

    revision: str
    runtime: Runtime | None
    finished: Finished
    fields: RolloutFields


class _Refused(Exception):  # noqa: N818  ends the chain, never leaves this module
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(reason, message)


def target(observed: Observed) -> Target | Refusal:
    """What the spec asks for, or the first check that it fails."""
    try:
        runtime = _runtime(observed)
        name = target_name(observed)
        finished = _finished(observed, name, runtime)
        fields = _policy(observed, finished.metrics, runtime)
        found = Target(revision=name, runtime=runtime, finished=finished, fields=fields)
        for check in CHAIN:
            check(observed, found)
    except _Refused as refused:
        return refused.refusal
    return found


def target_name(observed: Observed) -> str:
    """The name of the revision that the spec names, whether it is acceptable or not."""
    return revision_name(observed.deployment.name, observed.deployment.written)


def _runtime(observed: Observed) -> Runtime | None:
    spec = observed.deployment.spec
    if spec.runtime is not None:
        if spec.runtime not in observed.runtimes:
            known = ", ".join(sorted(observed.runtimes)) or "none"
            raise _Refused(
                "RuntimeNotFound", f"spec.runtime: no ModelRuntime is named {spec.runtime!r}; there are: {known}"
            )
        return observed.runtimes[spec.runtime]
    if spec.model.format is None:
        return None
    wanted = spec.model.format.name
    serving = [
        runtime
        for runtime in observed.runtimes.values()
        if any(offered.name == wanted and offered.auto_select for offered in runtime.spec.formats)
    ]
    if not serving:
        raise _Refused(
            "RuntimeNotFound",
            f"spec.model.format: no ModelRuntime serves {wanted!r} by autoSelect; name one in spec.runtime",
        )
    if len(serving) > 1:
        both = " and ".join(sorted(runtime.name for runtime in serving))
        raise _Refused(
            "AmbiguousRuntime",
            f"spec.model.format: {both} both serve {wanted!r} by autoSelect; name one in spec.runtime",
        )
    return serving[0]


def _finished(observed: Observed, name: str, runtime: Runtime | None) -> Finished:
    try:
        return _template(
            observed.deployment.name,
            name,
            observed.deployment.spec,
            None if runtime is None else runtime.spec,
            observed.settings.storage_initializer or None,
        )
    except Terminal as error:
        raise _Refused("InvalidTemplate", str(error)) from error


def _ingredients(
    deployment: str, revision: str, spec: ModelDeploymentSpec, runtime: ModelRuntimeSpec | None, initializer: str | None
) -> Hashable:
    """The revision's name stands for the identity fields of the spec; a parsed runtime is another object whenever it changed."""
    return deployment, revision, repr(spec.metrics), id(runtime), initializer


@remembered(1024, by=_ingredients)
def _template(
    deployment: str, revision: str, spec: ModelDeploymentSpec, runtime: ModelRuntimeSpec | None, initializer: str | None
) -> Finished:
    """Every decision asks for the same template until the spec or the runtime changes."""
    return finished_template(
        deployment=deployment, revision=revision, spec=spec, runtime=runtime, initializer_image=initializer
    )


def _policy(observed: Observed, metrics: Metrics | None, runtime: Runtime | None) -> RolloutFields:
    inline = observed.deployment.spec.rollout
    named = None
    if inline is not None and inline.policy is not None:
        if inline.policy not in observed.policies:
            known = ", ".join(sorted(observed.policies)) or "none"
            raise _Refused(
                "PolicyNotFound",
                f"spec.rollout.policy: no RolloutPolicy is named {inline.policy!r}; there are: {known}",
            )
        named = observed.policies[inline.policy]
    return policies.effective(inline, named, metrics, None if runtime is None else runtime.spec.protocol)


def _coherent(observed: Observed, found: Target) -> None:
    for replicas in _sizes(observed.deployment.spec):
        fault = policies.faults(found.fields, replicas)
        if fault is not None:
            raise _Refused("InvalidPolicy", f"the rollout policy in force: {fault}")


def _sizes(spec: ModelDeploymentSpec) -> tuple[int, ...]:
    """How many replicas a rollout may find; with `autoscaling` the fewest and the most."""
    scaling = spec.autoscaling
    return (spec.replicas or 1,) if scaling is None else (scaling.fewest, scaling.max_replicas)


def _patterns(_: Observed, found: Target) -> None:
    fault = None if found.finished.metrics is None else pattern_fault(found.finished.metrics)
    if fault is not None:
        raise _Refused("InvalidMetrics", f"{fault}; correct it where the metric profile is written")


def _answerable(observed: Observed, found: Target) -> None:
    asked = weighing.questions(
        policies.resolve(found.fields),
        stable=found.finished.metrics,
        candidate=found.finished.metrics,
        names=_names(observed, found),
        gateway=observed.settings.gateway_metrics,
        routed=observed.deployment.spec.traffic is not None,
    )
    for gate in found.fields.gates or ():
        answer = asked.get(gate.name)
        if gate.required is not False and isinstance(answer, Unanswerable):
            raise _Refused("GateUnanswerable", f"gate {gate.name!r} cannot be answered: {answer.reason}")


def _names(observed: Observed, found: Target) -> Names:
    """Of the rollout that the spec would begin; of a first version both arms are itself."""
    deployment, serving = observed.deployment, observed.deployment.status.stable
    version = deployment.spec.model.version
    return Names(
        namespace=deployment.namespace,
        deployment=deployment.name,
        stable=found.revision if serving is None else serving.revision,
        candidate=found.revision,
        stable_version=version if serving is None else serving.version,
        candidate_version=version,
    )


def _mirrored(observed: Observed, found: Target) -> None:
    """Whether requests can be mirrored and read, where a step or `watch` asks for it."""
    unable = mirroring.unable(observed, found.fields)
    if unable is not None:
        raise _Refused("ShadowUnanswerable", unable)
    asked = mirroring.asked(found.fields)
    if asked and (found.fields.compare is None or found.fields.compare.protocol is None):
        source = "spec.rollout.compare.protocol" if found.runtime is None else f"ModelRuntime {found.runtime.name}"
        raise _Refused(
            "ProtocolUnknown",
            f"the rollout policy in force: {asked[0].what} compares answers, and nobody says how to read them: write"
            f" `protocol: OpenInference` (or KServeV1, OpenAI, Json) in {source}",
        )


def _hostname_free(observed: Observed, _: Target) -> None:
    if observed.holder is not None:
        held = observed.holder
        raise _Refused(
            "HostnameTaken",
            f"spec.traffic.hostnames: {held.hostname} on Gateway {held.gateway} belongs to ModelDeployment"
            f" {held.deployment}, which is older; choose another host name",
        )


def _route_there(observed: Observed, found: Target) -> None:
    traffic, deployment = observed.deployment.spec.traffic, observed.deployment
    if traffic is None or traffic.route_ref is None:
        return
    name = traffic.route_ref.name
    if observed.users_route is None:
        label = f"{names.DEPLOYMENT}: {deployment.name}"
        raise _Refused(
            "RouteNotFound",
            f"spec.traffic.routeRef: there is no HTTPRoute {name} in {deployment.namespace} that has the label `{label}` and"
            " is not Pointsman's own: write that label into the route of yours that this model may switch",
        )
    place = Place(deployment=deployment.name, behind=None)
    fault = users_route.fault(observed.users_route["spec"].get("rules") or (), place)
    if fault is not None:
        raise _Refused("RouteUnusable", f"spec.traffic.routeRef: HTTPRoute {name}: {fault}")
    for gate in found.fields.gates or ():
        if gate.source == "Gateway":
            raise _Refused(
                "GateUnanswerable",
                f"gate {gate.name!r} asks the gateway, which counts stable's requests at a route of yours as those of the"
                f" Service {deployment.name} and not as its revision's: write `source: Runtime`, or `parentRefs` instead of"
                " `routeRef`",
            )


def _gateways_exist(observed: Observed, _: Target) -> None:
    traffic = observed.deployment.spec.traffic
    for parent in traffic.parent_refs if traffic is not None else ():
        name = f"{parent.namespace or observed.deployment.namespace}/{parent.name}"
        if (parent.kind or "Gateway") == "Gateway" and name not in observed.gateways:
            raise _Refused(
                "GatewayNotFound", f"spec.traffic.parentRefs: there is no Gateway {name}; create it or name another"
            )


def _not_refused(observed: Observed, found: Target) -> None:
    refusal = observed.refusals.get(found.revision)
    if refusal is not None:
        raise _Refused("TemplateRejected", f"the API server refuses what this spec renders to: {refusal}")
    refusal = observed.refusals.get(observed.deployment.name)
    if refusal is not None:
        raise _Refused("TrafficRejected", f"the API server refuses the route or Service of this model: {refusal}")


CHAIN: tuple[Callable[[Observed, Target], None], ...] = (
    _coherent,
    _patterns,
    _answerable,
    _hostname_free,
    _gateways_exist,
    _route_there,
    _mirrored,
    _not_refused,
)
