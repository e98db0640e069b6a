"""What the operator thinks of the platform team's objects: ModelRuntimes and RolloutPolicies, each with its Accepted condition."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pointsman.api import conditions as c
from pointsman.api import names
from pointsman.api.modelruntime import ModelRuntimeStatus
from pointsman.api.rolloutpolicy import RolloutPolicySpec, RolloutPolicyStatus
from pointsman.errors import Terminal
from pointsman.render.merge import lay
from pointsman.render.template import port_number
from pointsman.rollout import policy as policies
from pointsman.rollout.acceptance import Refusal
from pointsman.rollout.observed import Runtime
from pointsman.signals.patterns import pattern_fault

_MANY = 100  # replicas: so many that percentages of them are what they say


def runtime_status(
    runtime: Runtime, *, catalogue: Mapping[str, Runtime], before: ModelRuntimeStatus, now: datetime
) -> ModelRuntimeStatus:
    """The status of a ModelRuntime among all of them."""
    said = _conditions(_runtime_fault(runtime, catalogue), now=now, generation=runtime.generation)
    return ModelRuntimeStatus(observed_generation=runtime.generation, conditions=c.merge(before.conditions, said))


def policy_status(
    spec: RolloutPolicySpec, *, generation: int, before: RolloutPolicyStatus, now: datetime
) -> RolloutPolicyStatus:
    """The status of a RolloutPolicy by itself; what depends on a ModelDeployment is said there."""
    fault = policies.faults(policies.effective(None, spec, None), _MANY)
    said = _conditions(None if fault is None else Refusal("InvalidPolicy", fault), now=now, generation=generation)
    return RolloutPolicyStatus(observed_generation=generation, conditions=c.merge(before.conditions, said))


def _conditions(refusal: Refusal | None, *, now: datetime, generation: int) -> list[c.Condition]:
    """Accepted, and the opposite in the word of kstatus."""
    reason, message = ("Accepted", "") if refusal is None else (refusal.reason, refusal.message)
    holds = {c.ACCEPTED: refusal is None, c.STALLED: refusal is not None}
    return [
        c.condition(kind, holds=held, reason=reason, message=message, now=now, generation=generation)
        for kind, held in holds.items()
    ]


def _runtime_fault(runtime: Runtime, catalogue: Mapping[str, Runtime]) -> Refusal | None:
    for offered in runtime.spec.formats:
        others = [
            other.name
            for other in catalogue.values()
            if other.name != runtime.name
            and any(theirs.name == offered.name and theirs.auto_select for theirs in other.spec.formats)
        ]
        if offered.auto_select and others:
            both = " and ".join(sorted([runtime.name, *others]))
            return Refusal(
                "AmbiguousFormat", f"{both} all have autoSelect for format {offered.name!r}: leave it to one of them"
            )
    try:
        template = lay({}, runtime.spec.template, where="spec.template")
        containers = template.get("spec", {}).get("containers", [])
        if not any(container["name"] == names.CONTAINER for container in containers):
            return Refusal(
                "InvalidTemplate", f"spec.template: the serving container has to be named {names.CONTAINER!r}"
            )
        port_number(template, runtime.spec.port)
        if runtime.spec.metrics is not None:
            port_number(template, runtime.spec.metrics.port)
    except Terminal as error:
        return Refusal("InvalidTemplate", str(error))
    fault = None if runtime.spec.metrics is None else pattern_fault(runtime.spec.metrics)
    return None if fault is None else Refusal("InvalidMetrics", fault)
