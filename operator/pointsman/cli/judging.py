"""What the API server and the operator would say of manifests, as far as the manifests themselves tell."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from pointsman.api import crd, names
from pointsman.api.conditions import ACCEPTED
from pointsman.api.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus
from pointsman.api.modelruntime import LatencyMetric, Metrics, ModelRuntimeSpec, ModelRuntimeStatus, RequestsMetric
from pointsman.api.rolloutpolicy import RolloutPolicySpec, RolloutPolicyStatus
from pointsman.api.values import API_VERSION, GROUP
from pointsman.cli import expressions, manifest
from pointsman.cli.documentfile import Document, Place, place
from pointsman.rollout import acceptance
from pointsman.rollout.acceptance import Refusal, Target
from pointsman.rollout.catalogue import policy_status, runtime_status
from pointsman.rollout.mirroring import MIRROR, MIRROR_PERCENT
from pointsman.rollout.observed import Deployment, Gateway, Holder, Json, Observed, Runtime, Settings

_PATH = re.compile(
    r"^(?:the rollout policy in force: )?((?:spec|metadata|steps|gates|compare|watch|notify|capacity)\b[\w.\[\]-]*)"
)
_GATE = re.compile(r"\bgates? '([^']+)'")
_FIELDS: Final = ("apiVersion", "kind", "metadata", "spec", "status")
_ANNOTATIONS: Final = (names.ABORT, names.PROMOTE, names.RETRY, names.APPROVE, names.PAUSE)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME: Final = 253
_NOW = datetime(2026, 1, 1, tzinfo=UTC)  # the checks do not depend on it


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One thing that is wrong.

    reason  of `Accepted=False`, where it is the operator that would say it; None: the API server
    """

    source: str
    line: int
    object: str
    path: str
    message: str
    reason: str | None = None

    def __str__(self) -> str:
        """As compilers say it: file, line, what, where, and what to write instead."""
        subject = f"{self.object}: " if self.object else ""
        where = f"{self.path}: " if self.path and not self.message.startswith(self.path) else ""
        return f"{self.source}:{self.line}: {subject}{where}{self.message}"

    def dump(self) -> dict[str, Any]:
        """As data; what is not known is absent."""
        found = {
            "file": self.source,
            "line": self.line,
            "object": self.object,
            "path": self.path,
            "reason": self.reason,
            "message": self.message,
        }
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the manifests meet in a cluster; by default none is known, and everything they name is taken to be there.

    complete  whether what is not here is not there either
    """

    runtimes: Mapping[str, Runtime] = field(default_factory=dict)
    policies: Mapping[str, RolloutPolicySpec] = field(default_factory=dict)
    gateways: Mapping[str, Gateway] = field(default_factory=dict)
    holders: Mapping[tuple[str, str], Holder] = field(default_factory=dict)
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


def ours(document: Document) -> bool:
    """Whether it is one of our kinds, or was meant to be."""
    version, kind = document.api_version, document.kind
    if version.partition("/")[0] == GROUP or difflib.get_close_matches(version, [API_VERSION], cutoff=0.8):
        return True
    return not version and kind in _kinds()


def judge(documents: Iterable[Document], around: Surroundings, *, namespace: str) -> Judgement:
    """Judge all documents, each among the others.

    Args:
        documents: of our kinds; others are left alone.
        around: what else is there.
        namespace: of ModelDeployments that say none.
    """
    mistakes: list[Mistake] = []
    sound: list[Document] = []
    mine = [one for one in documents if ours(one)]
    for document in mine:
        found = list(_admission(document))
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


def mistake(document: Document, message: str, *, path: str = "", reason: str | None = None) -> Mistake:
    """A mistake at a path of a document; without one where the message says it is."""
    where = place(path) if path else _meant(document, message)
    subject = "/".join(part for part in (document.namespace, document.name) if part)
    return Mistake(
        source=document.source,
        line=document.line(where),
        object=f"{document.kind} {subject}".strip(),
        path=path,
        message=message,
        reason=reason,
    )


# -- what the API server says


def _admission(document: Document) -> Iterator[Mistake]:
    """Everything that the schema and its rules have against it."""
    if not isinstance(document.value, dict):
        yield mistake(document, "write the fields of an object here")
        return
    kinds = _kinds()
    if document.kind not in kinds:
        close = difflib.get_close_matches(document.kind, kinds, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(kinds)}"
        yield mistake(document, f"there is no kind {document.kind!r} in {API_VERSION}; {hint}", path="kind")
        return
    if document.api_version != API_VERSION:
        yield mistake(document, f"write {API_VERSION}, not {document.api_version!r}", path="apiVersion")
        return
    yield from _top(document)
    spec = document.value.get("spec")
    if spec is None:
        yield mistake(document, "it is missing, and it has to be given", path="spec")
        return
    faults = [fault.split(": ", 1) for fault in manifest.faults(spec, kinds[document.kind].spec, path="spec")]
    for path, said in faults:
        yield mistake(document, said, path=path)
    if not faults:
        yield from _parsed(document)


def _top(document: Document) -> Iterator[Mistake]:
    """What is around the spec: fields of the object itself, its name and its annotations."""
    for key in document.value:
        if key not in _FIELDS:
            close = difflib.get_close_matches(str(key), _FIELDS, n=1)
            hint = f"; did you mean `{close[0]}`?" if close else ": what you ask for belongs into `spec`"
            yield mistake(document, f"there is no such field{hint}", path=str(key))
    metadata = document.value.get("metadata")
    if not isinstance(metadata, dict) or not (metadata.get("name") or metadata.get("generateName")):
        yield mistake(document, "it is missing, and it has to be given", path="metadata.name")
        return
    yield from _named(document, metadata.get("name"))
    for key in ("labels", "annotations"):
        yield from _texts(document, key, metadata.get(key))


def _named(document: Document, name: Any) -> Iterator[Mistake]:
    if name is None:
        return
    if not isinstance(name, str):
        yield mistake(document, f"write a string, not {name!r}: put it in quotes", path="metadata.name")
        return
    said = [text for rule, text in _kinds()[document.kind].names if not expressions.holds(rule, document.value)]
    if not said and (not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME):
        said = ["write the name of a Kubernetes object: lower-case letters, digits, `-` and `.`"]
    for message in said:
        yield mistake(document, message, path="metadata.name")


def _texts(document: Document, key: str, given: Any) -> Iterator[Mistake]:
    """Labels and annotations are strings, and those of our own are known."""
    if given is None:
        return
    if not isinstance(given, dict):
        yield mistake(document, "write a mapping of strings", path=f"metadata.{key}")
        return
    for name, value in given.items():
        where = ("metadata", key, str(name))
        said = None
        if not isinstance(value, str):
            shown = str(value).lower() if isinstance(value, bool) else value
            said = f'write a string: "{shown}", in quotes'
        elif key == "annotations" and str(name).startswith(f"{GROUP}/") and name not in _ANNOTATIONS:
            close = difflib.get_close_matches(str(name), _ANNOTATIONS, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"there are {', '.join(_ANNOTATIONS)}"
            said = f"Pointsman knows no such annotation; {hint}"
        if said is not None:
            found = mistake(document, said, path=".".join(where))
            yield Mistake(**{**vars(found), "line": document.line(where)})


def _parsed(document: Document) -> Iterator[Mistake]:
    """What the schema let through and the types do not: pydantic's own words."""
    types: dict[str, type[BaseModel]] = {
        "ModelDeployment": ModelDeploymentSpec,
        "ModelRuntime": ModelRuntimeSpec,
        "RolloutPolicy": RolloutPolicySpec,
    }
    if document.kind not in types:
        return
    try:
        types[document.kind].model_validate(document.value["spec"])
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in ("spec", *fault["loc"]))
            yield mistake(document, fault["msg"], path=path.removeprefix("."))


@cache
def _kinds() -> Mapping[str, crd.Kind]:
    return {kind.kind: kind for kind in crd.kinds()}


# -- what the operator says


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
        users_route=_users_route(deployment),
    )


def _users_route(deployment: Deployment) -> Json | None:
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
    return Observed(
        deployment=observed.deployment,
        settings=observed.settings,
        runtimes=runtimes,
        policies=policies,
        gateways={**gateways, **observed.gateways},
        holder=observed.holder,
        users_route=observed.users_route,
    )


def _serving(runtimes: Iterable[Runtime], wanted: str) -> bool:
    return any(one.name == wanted and one.auto_select for runtime in runtimes for one in runtime.spec.formats)


def _refused(document: Document, refusal: Refusal) -> Mistake:
    return mistake(document, refusal.message, reason=refusal.reason)


def _meant(document: Document, message: str) -> Place:
    """The place that a sentence is about, as well as it says."""
    rules: Place = ("spec", "rollout") if document.kind == "ModelDeployment" else ("spec",)
    found = _PATH.match(message)
    if found is not None:
        path = place(found.group(1))
        return path if path[0] in ("spec", "metadata") else (*rules, *path)
    gate = _GATE.search(message)
    if gate is not None:
        return (*rules, "gates", *_numbered(document, rules, gate.group(1)))
    if message.startswith(("no container", "the port ")):
        return ("spec", "port")
    return (*rules, "capacity") if "maxSurge" in message else rules if "rollout policy" in message else ("spec",)


def _numbered(document: Document, rules: Place, name: str) -> Place:
    """The number of the gate of this name."""
    spec = document.value.get("spec") or {}
    holder = spec.get("rollout") or {} if rules[-1] == "rollout" else spec
    gates = holder.get("gates") or []
    return tuple(number for number, gate in enumerate(gates) if isinstance(gate, dict) and gate.get("name") == name)[:1]
