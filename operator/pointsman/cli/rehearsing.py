"""Asks a cluster what it would say of manifests: the server's own dry run of each object and of the pods it becomes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pointsman.api.names import DEPLOYMENT
from pointsman.cli import judging, linting
from pointsman.cli.documentfile import Document
from pointsman.cli.judging import Judgement, Surroundings
from pointsman.cli.linting import Verdict
from pointsman.cli.mistakes import Mistake, mistake
from pointsman.cli.place import Place
from pointsman.cli.session import Session, run
from pointsman.cluster.answers import Missing, Refused
from pointsman.cluster.cache import Change
from pointsman.cluster.kinds import (
    GATEWAY,
    GATEWAY_CLASS,
    MODEL_DEPLOYMENT,
    MODEL_RUNTIME,
    POD,
    ROLLOUT_POLICY,
    ROUTE,
    WORKLOAD,
    Json,
    Kind,
    kind_of,
)
from pointsman.controller.claims import Claims
from pointsman.controller.gateways import class_of, features_of
from pointsman.controller.gather import policy, runtime
from pointsman.rollout.acceptance import Target
from pointsman.rollout.arms import is_users
from pointsman.rollout.observed import Gateway, Holder

_MAY_NOT: Final = "cannot create resource"
"""In the API server's words where RBAC says no; a quota or an admission policy says something else."""
_YET_TO_COME: Final = "9999-12-31T23:59:59Z"
"""When an object is created that is not there yet: after everything that is."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What a cluster said; `notes` is what it would not say."""

    mistakes: list[Mistake]
    notes: list[str]


def online(paths: list[str], place: Place, *, gateway_metrics: str) -> Verdict:
    """What a cluster says of the files, beside what they tell alone.

    Raises:
        InputError: there is no file.
        ClusterError: the cluster does not answer, or does not let us read what is there.
    """
    found, faults = linting.read(paths)

    async def ask(session: Session) -> Verdict:
        around = await surroundings(session, found, gateway_metrics=gateway_metrics)
        judged = judging.judge(found, around, namespace=session.namespace)
        said = await rehearse(session, judged)
        return linting.verdict(judged, [*faults, *said.mistakes], said.notes)

    return run(place, ask)


async def surroundings(session: Session, documents: Iterable[Document], *, gateway_metrics: str) -> Surroundings:
    """What the manifests meet in the cluster."""
    runtimes = await session.client.list(MODEL_RUNTIME)
    policies = await session.client.list(ROLLOUT_POLICY)
    classes = {one["metadata"]["name"]: features_of(one) for one in await _optional(session, GATEWAY_CLASS)}
    gateways = {
        f"{one['metadata']['namespace']}/{one['metadata']['name']}": Gateway(
            gateway_class=class_of(one), features=classes.get(class_of(one))
        )
        for one in await _optional(session, GATEWAY)
    }
    models = (await session.client.list(MODEL_DEPLOYMENT)).items
    return Surroundings(
        runtimes={one.name: one for one in map(runtime, runtimes.items)},
        policies={one["metadata"]["name"]: policy(one) for one in policies.items},
        gateways=gateways,
        holders=_holders(session, documents, models),
        routes=await _routes(session, documents),
        complete=True,
        settings=replace(Surroundings().settings, gateway_metrics=gateway_metrics or None),
    )


async def rehearse(session: Session, judged: Judgement) -> Rehearsal:
    """What the API server says of the sound objects, and of the pods of those that the operator would accept."""
    mistakes: list[Mistake] = []
    notes: list[str] = []
    refused = set[int]()
    for document in judged.sound:
        said = await _apply(session, document)
        if said is not None:
            refused.add(id(document))
            mistakes.append(mistake(document, said))
    for document, target in judged.targets:
        if id(document) in refused:
            continue
        async for said in _pods(session, document, target):
            if _MAY_NOT in said:
                notes.append(f"{document.source}: {document.kind} {document.name}: its pods were not tried: {said}")
            else:
                mistakes.append(
                    mistake(
                        document,
                        f"the API server refuses what this spec renders to: {said}",
                        path="spec.template" if "template" in document.value["spec"] else "spec",
                        reason="TemplateRejected",
                    )
                )
                break
    return Rehearsal(mistakes=mistakes, notes=notes)


async def _apply(session: Session, document: Document) -> str | None:
    kind = kind_of(document.value)
    namespace = (document.namespace or session.namespace) if kind.namespaced else None
    try:
        await session.client.rehearse(document.value, namespace)
    except Refused as refusal:
        return str(refusal)
    return None


async def _pods(session: Session, document: Document, target: Target) -> AsyncIterator[str]:
    """What the API server has against the Deployment of a revision, and against one of its pods, which meets quotas."""
    namespace = document.namespace or session.namespace
    template: Mapping[str, Any] = target.finished.template
    metadata = {"generateName": f"{target.revision}-", "namespace": namespace}
    labels = template["metadata"]["labels"]
    workload = {
        "apiVersion": WORKLOAD.api_version,
        "kind": WORKLOAD.name,
        "metadata": metadata,
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    pod = {
        "apiVersion": POD.api_version,
        "kind": POD.name,
        "metadata": {**template["metadata"], **metadata},
        "spec": template["spec"],
    }
    for obj in (workload, pod):
        try:
            await session.client.rehearse(obj, namespace)
        except Refused as refusal:
            yield str(refusal)


async def _routes(session: Session, documents: Iterable[Document]) -> Mapping[tuple[str, str], Json]:
    """The users' own routes that a ModelDeployment may switch, by its name: from the files, or else what is there."""
    written = {(one.namespace or session.namespace, one.name): one.value for one in documents if one.kind == ROUTE.name}
    found: dict[tuple[str, str], Json] = {}
    for document in documents:
        name, namespace = _route_named(document), document.namespace or session.namespace
        if name is not None:
            with contextlib.suppress(Missing):
                route = written.get((namespace, name)) or await session.client.get(ROUTE, namespace, name)
                labels = route["metadata"].get("labels") or {}
                if labels.get(DEPLOYMENT) == document.name and is_users(route):
                    found[namespace, document.name] = route
    return found


def _route_named(document: Document) -> str | None:
    """The route of a user's that a ModelDeployment names; whatever else is written there is told elsewhere."""
    here: Any = document.value if document.kind == MODEL_DEPLOYMENT.name else None
    for key in ("spec", "traffic", "routeRef", "name"):
        here = here.get(key) if isinstance(here, dict) else None
    return here if isinstance(here, str) else None


async def _optional(session: Session, kind: Kind) -> tuple[Json, ...]:
    """All of a kind that need not be installed."""
    try:
        return (await session.client.list(kind)).items
    except Missing:
        return ()


def _holders(
    session: Session, documents: Iterable[Document], models: Iterable[Json]
) -> Mapping[tuple[str, str], Holder]:
    """Who has a hostname already: what is there is older than what is new."""
    there = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in models}
    claims = Claims()
    given = {}
    for document in documents:
        if document.kind == MODEL_DEPLOYMENT.name and document.name and isinstance(document.value.get("spec"), dict):
            key = (document.namespace or session.namespace, document.name)
            since = there[key]["metadata"]["creationTimestamp"] if key in there else _YET_TO_COME
            metadata = {"namespace": key[0], "name": key[1], "creationTimestamp": since}
            given[key] = {"metadata": metadata, "spec": document.value["spec"]}
    for obj in {**there, **given}.values():
        claims.update(Change(before=None, after=obj))
    found = {key: claims.holder(key) for key in given}
    return {key: holder for key, holder in found.items() if holder is not None}
