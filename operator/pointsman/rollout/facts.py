"""What a decision knows: the observed objects, read once into the terms of a rollout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from pointsman.api import names
from pointsman.api.autoscaling import Autoscaling
from pointsman.api.comparison import Compare
from pointsman.api.modeldeployment import Model, Traffic
from pointsman.api.modelrevision import ModelRevisionSpec, ModelRevisionStatus, RuntimeRef
from pointsman.api.modelruntime import Metrics
from pointsman.api.rolloutpolicy import RolloutFields
from pointsman.render.users_route import Place
from pointsman.rollout import acceptance, arms
from pointsman.rollout import policy as policies
from pointsman.rollout.acceptance import Refusal, Target
from pointsman.rollout.actions import Asked
from pointsman.rollout.observed import Observed

T = TypeVar("T")


@dataclass(frozen=True)
class Facts:
    """The observed world at `now`."""

    observed: Observed
    now: datetime

    @cached_property
    def _known(self) -> dict[tuple[str | None, ...], Any]:
        return {}

    def _once(self, question: tuple[str | None, ...], answer: Callable[[], T]) -> T:
        """What a decision asks again and again is worked out once."""
        if question not in self._known:
            self._known[question] = answer()
        found: T = self._known[question]
        return found

    @cached_property
    def found(self) -> Target | Refusal:
        """What the spec asks for, or why it is not acted on."""
        return acceptance.target(self.observed)

    @property
    def accepted(self) -> bool:
        """Whether the spec can be acted on."""
        return isinstance(self.found, Target)

    @cached_property
    def target(self) -> str:
        """The revision that the spec names, acceptable or not."""
        return acceptance.target_name(self.observed)

    @cached_property
    def policy(self) -> policies.Policy:
        """The policy that the spec asks for; of a spec that is refused, as far as it can be read."""
        if isinstance(self.found, Target):
            return policies.resolve(self.found.fields)
        return policies.resolve(policies.effective(*self._written, None))

    @property
    def _written(self) -> tuple[RolloutFields | None, RolloutFields | None]:
        """What the ModelDeployment says itself, and the policy that it names, if that is there."""
        inline = self.observed.deployment.spec.rollout
        named = None if inline is None or inline.policy is None else self.observed.policies.get(inline.policy)
        return inline, named

    def compare(self, revision: str) -> Compare | None:
        """How the bodies of a revision that serves alone are read: as the policy says, else as its own runtime does."""
        spec = self.spec(revision)
        runtime = None if spec is None or spec.runtime is None else self.observed.runtimes.get(spec.runtime.name)
        protocol = None if runtime is None else runtime.spec.protocol
        return policies.effective(*self._written, None, protocol).compare

    @property
    def autoscaling(self) -> Autoscaling | None:
        """Between which numbers HPAs count the pods; None: the spec says how many."""
        return self.observed.deployment.spec.autoscaling

    @cached_property
    def asked(self) -> Asked:
        """The actions that people ask for."""
        return Asked(self.observed.deployment.annotations, self.observed.deployment.status.actions)

    @property
    def shared(self) -> bool:
        """Whether a route of the user's is in force; one of our own is until a spec that names another is accepted."""
        traffic = self.observed.deployment.spec.traffic
        named = traffic is not None and traffic.route_ref is not None
        return named and (self.accepted or self.observed.route is None)

    @cached_property
    def traffic(self) -> Traffic | None:
        """The Gateways and host names in force: a spec that is refused leaves those of the route that is there."""
        written = self.observed.deployment.spec.traffic
        route = self.observed.users_route if self.shared else self.observed.route
        if route is None or (self.accepted and not self.shared):
            return written
        namespace = self.observed.deployment.namespace
        parents = arms.parents(route)
        if not parents and not self.shared:
            return written
        # As it is: a route of the user's may have more of them than a ModelDeployment.
        kept = Traffic.model_construct(parent_refs=parents, hostnames=list(route["spec"].get("hostnames", ())))
        same = written is not None and _spelled(kept, namespace) == _spelled(written, namespace)
        return written if same else kept

    @cached_property
    def inspectors(self) -> frozenset[str]:
        """The Deployments and Services that are inspectors, not models."""
        found = (*self.observed.workloads.items(), *self.observed.services.items())
        return frozenset(name for name, live in found if arms.is_inspector(live))

    def pods(self, revision: str | None) -> arms.Pods:
        """The pods of a revision."""
        if revision is None:
            return arms.Pods()
        return self._once(("pods", revision), lambda: self._counted(revision))

    def _counted(self, revision: str) -> arms.Pods:
        return arms.pods(self.observed.workloads.get(revision), self.observed.autoscalers.get(revision))

    def switch(self, stable: str | None, candidate: str | None) -> arms.Switch:
        """How traffic is split between two revisions now."""
        return self._once(("switch", stable, candidate), lambda: self._switch(stable, candidate))

    def _switch(self, stable: str | None, candidate: str | None) -> arms.Switch:
        if self.traffic is not None and self.shared:
            return arms.users_switch(self.observed.users_route, self.traffic, self.place(stable))
        if self.traffic is not None:
            return arms.route_switch(self.observed.route, self.traffic)
        return arms.service_switch(
            self.observed.services.get(self.observed.deployment.name),
            (stable, self.pods(stable)),
            (candidate, self.pods(candidate)),
        )

    def place(self, stable: str | None) -> Place:
        """Where the model's part of a user's route is."""
        name = self.observed.deployment.name
        service = self.observed.services.get(name)
        selected = None if service is None else (service["spec"].get("selector") or {}).get(names.REVISION)
        return Place(deployment=name, behind=selected or stable)

    def spec(self, revision: str) -> ModelRevisionSpec | None:
        """What a revision runs: as recorded in it, or, where it is new, as the spec renders now."""
        return self._once(("spec", revision), lambda: self._spec(revision))

    def _spec(self, revision: str) -> ModelRevisionSpec | None:
        known = self.observed.revisions.get(revision)
        if known is not None:
            return known.spec.model_copy(update={"metrics": self._profile(revision, known.spec)})
        if isinstance(self.found, Target) and self.found.revision == revision:
            runtime = self.found.runtime
            return ModelRevisionSpec(
                deployment=self.observed.deployment.name,
                model=self.observed.deployment.spec.model,
                runtime=None if runtime is None else RuntimeRef(name=runtime.name, generation=runtime.generation),
                template=self.found.finished.template,
                port=self.found.finished.port,
                metrics=self.found.finished.metrics,
            )
        return self._found_again(revision)

    def _found_again(self, revision: str) -> ModelRevisionSpec | None:
        """What a revision runs whose ModelRevision was deleted by hand: what its Deployment, its Service and status say."""
        services, workload = self.observed.services, self.observed.workloads.get(revision)
        service = services.get(revision) or services.get(self.observed.deployment.name)
        status = self.observed.deployment.status
        arms_ = (status.stable, status.candidate, status.previous)
        arm = next((arm for arm in arms_ if arm is not None and arm.revision == revision), None)
        if workload is None or service is None or arm is None:
            return None
        return ModelRevisionSpec(
            deployment=self.observed.deployment.name,
            model=Model(version=arm.version or "unknown"),
            template=workload["spec"]["template"],
            port=service["spec"]["ports"][0]["targetPort"],
            metrics=self.found.finished.metrics if isinstance(self.found, Target) else None,
        )

    def _profile(self, revision: str, spec: ModelRevisionSpec) -> Metrics | None:
        """The metric profile follows its source; what is gone leaves the one recorded."""
        if spec.runtime is not None:
            source = self.observed.runtimes.get(spec.runtime.name)
            return spec.metrics if source is None else source.spec.metrics
        if isinstance(self.found, Target) and revision == self.target:
            return self.found.finished.metrics
        return spec.metrics

    def record(self, revision: str) -> ModelRevisionStatus:
        """The status of a revision as it was last written."""
        known = self.observed.revisions.get(revision)
        return ModelRevisionStatus() if known is None else known.status

    def running_policy(self, revision: str, attempt: int) -> policies.Policy | None:
        """The policy frozen at the start of an attempt."""
        for record in self.record(revision).attempts:
            if record.attempt == attempt:
                return policies.resolve(record.policy)
        return None


def _spelled(traffic: Traffic, namespace: str) -> object:
    """Traffic with the defaults that the API server adds spelled out, to be compared."""
    parents = [
        (
            p.group or "gateway.networking.k8s.io",
            p.kind or "Gateway",
            p.namespace or namespace,
            p.name,
            p.section_name,
            p.port,
        )
        for p in traffic.parent_refs
    ]
    return parents, sorted(traffic.hostnames)
