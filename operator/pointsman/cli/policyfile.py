"""Reads the policy that a file holds: a RolloutPolicy, or a ModelDeployment with its `rollout`, checked as the cluster would."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from pointsman.api import schema
from pointsman.api.gates import Signal
from pointsman.api.modeldeployment import InlineRollout
from pointsman.api.modelruntime import Metrics
from pointsman.api.rolloutpolicy import RolloutFields, RolloutPolicySpec
from pointsman.api.values import API_VERSION
from pointsman.cli import manifest
from pointsman.cli.faults import InputError
from pointsman.rollout import policy as policies

_POLICY, _DEPLOYMENT = "RolloutPolicy", "ModelDeployment"
_MOST_BYTES: Final = 4_000_000
_MOST_FAULTS: Final = 10


@dataclass(frozen=True, kw_only=True)
class PolicyFile:
    """What a file says about rollouts.

    source    how messages call the file
    inline    a ModelDeployment's own `rollout`, or None
    named     the RolloutPolicy, or None
    replicas  a ModelDeployment's replicas, with `autoscaling` the fewest, or None
    """

    source: str
    inline: RolloutFields | None
    named: RolloutFields | None
    replicas: int | None

    def policy(self, metrics: Metrics | None, *, replicas: int) -> policies.Policy:
        """The effective policy in numbers.

        Args:
            metrics: what the model server exports; decides the default gates.
            replicas: pods of the model.

        Raises:
            InputError: it cannot be a policy for so many replicas.
        """
        try:
            fields = policies.effective(self.inline, self.named, metrics)
        except ValidationError as error:
            raise InputError(_pydantic(self.source, error)) from error
        problem = policies.faults(fields, replicas)
        if problem is not None:
            raise InputError(f"{self.source}: {problem}")
        return policies.resolve(fields)

    def offline(self, policy: policies.Policy, *, signals: Collection[Signal], done: str) -> policies.Policy:
        """The policy again, if all of it can be judged without a cluster.

        Args:
            policy: this file's.
            signals: those that are there.
            done: what is done with them, such as `recorded`.

        Raises:
            InputError: it mirrors requests, or a gate asks for something else; the message says what to leave out.
        """
        for number, stage in enumerate(policy.stages):
            if stage.kind == "Shadow":
                raise InputError(
                    f"{self.source}: steps[{number}].shadow: mirrored requests are not {done}: leave the step out"
                )
        for gate in policy.gates:
            if gate.signal not in signals:
                raise InputError(
                    f"{self.source}: gate {gate.name!r}: the signal {gate.signal} is not {done}: leave the gate out"
                )
        return policy


def load(path: str) -> PolicyFile:
    """The policy in a file, or on standard input for `-`.

    Raises:
        InputError: there is none, there are several, or it is not valid; a line for each fault.
    """
    source = "standard input" if path == "-" else path
    documents = [one for one in _documents(_text(path, source), source) if one is not None]
    policy, deployment = _only(documents, _POLICY, source), _only(documents, _DEPLOYMENT, source)
    if policy is None and deployment is None:
        raise InputError(
            f"{source}: there is no RolloutPolicy and no ModelDeployment in it: write `kind: RolloutPolicy` with its `spec`"
        )
    named = None if policy is None else _spec(policy, source)
    if deployment is None:
        return PolicyFile(source=source, inline=None, named=named, replicas=None)
    spec = _mapping(deployment.get("spec"), f"{source}: spec")
    inline = _inline(spec, source)
    name = None if inline is None else inline.policy
    if name is not None and (policy is None or _name(policy) != name):
        raise InputError(
            f"{source}: spec.rollout.policy: the RolloutPolicy `{name}` is not in this file: add it as a document of its own"
        )
    scaling = spec.get("autoscaling")
    replicas = scaling.get("minReplicas", 1) if isinstance(scaling, dict) else spec.get("replicas")
    return PolicyFile(
        source=source,
        inline=inline,
        named=named if name is not None else None,
        replicas=replicas if isinstance(replicas, int) and 1 <= replicas <= 1000 else None,  # noqa: PLR2004  the CRD's limits
    )


def _text(path: str, source: str) -> str:
    try:
        text = sys.stdin.buffer.read(_MOST_BYTES + 1) if path == "-" else _head(Path(path))
        if len(text) > _MOST_BYTES:
            raise InputError(f"{source}: this is no policy: it is over {_MOST_BYTES // 1_000_000} MB long")
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: byte {error.start + 1} is not UTF-8: write the policy as YAML text") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{source}: cannot be read: {reason}") from error


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES + 1)


def _documents(text: str, source: str) -> list[Any]:
    try:
        return list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}: column {mark.column + 1}" if mark else source
        raise InputError(f"{where}: this is no YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(
            f"{source}: this is no YAML: {str(error).splitlines()[0] if str(error) else 'too deep'}"
        ) from error


def _only(documents: list[Any], kind: str, source: str) -> Mapping[str, Any] | None:
    found = [one for one in documents if isinstance(one, dict) and one.get("kind") == kind]
    if len(found) > 1:
        names = ", ".join(f"`{_name(one)}`" for one in found)
        raise InputError(f"{source}: there are {len(found)} objects of kind {kind} ({names}): leave the one to be used")
    if not found:
        return None
    version = found[0].get("apiVersion")
    if version != API_VERSION:
        raise InputError(f"{source}: apiVersion: write {API_VERSION}, not {version!r}")
    return found[0]


def _name(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _spec(document: Mapping[str, Any], source: str) -> RolloutFields:
    spec = _mapping(document.get("spec", {}), f"{source}: spec")
    _judge(spec, _schema_of_policy(), path="spec", source=source)
    try:
        return RolloutPolicySpec.model_validate(spec)
    except ValidationError as error:
        raise InputError(_pydantic(f"{source}: spec", error)) from error


def _inline(spec: Mapping[str, Any], source: str) -> InlineRollout | None:
    if spec.get("rollout") is None:
        return None
    rollout = _mapping(spec["rollout"], f"{source}: spec.rollout")
    _judge(rollout, _schema_of_inline(), path="spec.rollout", source=source)
    try:
        return InlineRollout.model_validate(rollout)
    except ValidationError as error:
        raise InputError(_pydantic(f"{source}: spec.rollout", error)) from error


def _judge(value: Mapping[str, Any], against: schema.Schema, *, path: str, source: str) -> None:
    found = list(manifest.faults(value, against, path=path))
    if not found:
        return
    lines = [f"{source}: {fault}" for fault in found[:_MOST_FAULTS]]
    if len(found) > _MOST_FAULTS:
        lines.append(f"{source}: and {len(found) - _MOST_FAULTS} more")
    raise InputError("\n".join(lines))


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: write the fields of the object here, not {value!r:.40}")
    return value


def _pydantic(where: str, error: ValidationError) -> str:
    """What the schema let through: pydantic's own words, with the path."""
    lines = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False)[:_MOST_FAULTS]:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
        lines.append(f"{where}{path}: {fault['msg']}")
    return "\n".join(lines)


@cache
def _schema_of_policy() -> schema.Schema:
    return schema.structural(RolloutPolicySpec)


@cache
def _schema_of_inline() -> schema.Schema:
    return schema.structural(InlineRollout)
