"""The four CRDs, made from the models: `python -m pointsman.api.crd FOLDER` writes them, `--check` says which file is stale."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pointsman.api.cel import RULES, rules
from pointsman.api.modeldeployment import NAME_LIMIT, ModelDeploymentSpec, ModelDeploymentStatus
from pointsman.api.modelrevision import ModelRevisionSpec, ModelRevisionStatus
from pointsman.api.modelruntime import ModelRuntimeSpec, ModelRuntimeStatus
from pointsman.api.rolloutpolicy import RolloutPolicySpec, RolloutPolicyStatus
from pointsman.api.schema import structural, without_defaults, without_rules
from pointsman.api.values import GROUP, VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

HEADER = "# Generated from the models in operator/pointsman/api by `python -m pointsman.api.crd`; edit those.\n"

Object = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """What a CRD says beside its schema."""

    kind: str
    short: str
    scope: str
    description: str
    spec: Object
    status: Object
    columns: tuple[tuple[str, str], ...]
    names: tuple[tuple[str, str], ...] = ()  # rules on metadata.name
    scale: Object | None = None

    @property
    def plural(self) -> str:
        """The name in paths."""
        return f"{self.kind.lower()}s" if not self.kind.endswith("y") else f"{self.kind.lower()[:-1]}ies"

    @property
    def file(self) -> str:
        """Its file under crds/."""
        return f"{GROUP}_{self.plural}.yaml"


def _user(model: type[BaseModel]) -> Object:
    """A spec that users write and whose defaults the decision fills in."""
    return without_defaults(structural(model))


def _status(model: type[BaseModel]) -> Object:
    """A status: only the operator writes it, so nothing in it is defaulted or judged again."""
    return without_rules(without_defaults(structural(model)))


def _awaited(model: type[BaseModel]) -> Object:
    """The status of what users write; at first that no generation was seen: Flux takes an object without a status for done."""
    return {**_status(model), "default": {"observedGeneration": -1}}


def _condition(type_: str) -> str:
    return f'.status.conditions[?(@.type=="{type_}")].status'


def _model_deployment() -> Kind:
    return Kind(
        kind="ModelDeployment",
        short="mdep",
        scope="Namespaced",
        description="Which version of a model should serve, and how a new one takes over.",
        spec=_user(ModelDeploymentSpec),
        status=_awaited(ModelDeploymentStatus),
        columns=(
            ("Version", ".status.stable.version"),
            ("Candidate", ".status.candidate.version"),
            ("Percent", ".status.rollout.percent"),
            ("Phase", ".status.rollout.phase"),
            ("Ready", _condition("Ready")),
        ),
        names=(
            (
                f"self.metadata.name.size() <= {NAME_LIMIT}",
                f"write a name of at most {NAME_LIMIT} characters: revisions add 9 and have to fit into a label",
            ),
            (
                "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
                "write a name of lower-case letters, digits and `-` that begins with a letter, as a Service's",
            ),
        ),
        scale={"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.stable.replicas"},
    )


def _model_revision() -> Kind:
    return Kind(
        kind="ModelRevision",
        short="mrev",
        scope="Namespaced",
        description="One immutable version as it runs, and the record of its attempts; written by the operator.",
        spec=_user(ModelRevisionSpec),
        status=_status(ModelRevisionStatus),
        columns=(
            ("Deployment", ".spec.deployment"),
            ("Version", ".spec.model.version"),
            ("State", ".status.state"),
        ),
    )


def _model_runtime() -> Kind:
    return Kind(
        kind="ModelRuntime",
        short="mrt",
        scope="Cluster",
        description="How a model server is run and what its metrics are called.",
        spec=structural(ModelRuntimeSpec),
        status=_awaited(ModelRuntimeStatus),
        columns=(("Accepted", _condition("Accepted")),),
    )


def _rollout_policy() -> Kind:
    return Kind(
        kind="RolloutPolicy",
        short="rpol",
        scope="Cluster",
        description="The steps a candidate takes and the proof it has to give.",
        spec=structural(RolloutPolicySpec),
        status=_awaited(RolloutPolicyStatus),
        columns=(("Accepted", _condition("Accepted")),),
    )


def kinds() -> tuple[Kind, ...]:
    """The kinds of the API."""
    return (_model_deployment(), _model_revision(), _model_runtime(), _rollout_policy())


def definition(kind: Kind) -> Object:
    """The CustomResourceDefinition."""
    columns: list[Object] = [{"name": name, "type": "string", "jsonPath": path} for name, path in kind.columns]
    columns.append({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
    singular = kind.kind.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": kind.scope,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": singular,
                "shortNames": [kind.short],
                "categories": ["pointsman"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": columns,
                    "subresources": {"status": {}} | ({"scale": kind.scale} if kind.scale else {}),
                    "schema": {"openAPIV3Schema": _root(kind)},
                }
            ],
        },
    }


def _root(kind: Kind) -> Object:
    root: Object = {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": kind.spec,
            "status": kind.status,
        },
    }
    if kind.names:
        root[RULES] = [{**rule, "fieldPath": ".metadata.name"} for rule in rules(*kind.names)[RULES]]
    return root


def files() -> dict[str, str]:
    """File name -> text, the same on every run."""
    return {
        kind.file: HEADER + yaml.safe_dump(definition(kind), sort_keys=False, width=120, allow_unicode=True)
        for kind in kinds()
    }


def write(folder: Path) -> None:
    """Write the CRDs into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")


def stale(folder: Path) -> list[str]:
    """One sentence a file that is not what the models say."""
    wanted = files()
    missing = [f"{folder / name} does not exist" for name in wanted if not (folder / name).exists()]
    different = [
        f"{folder / name} is not what the models say"
        for name, text in wanted.items()
        if (folder / name).exists() and (folder / name).read_text(encoding="utf-8") != text
    ]
    extra = [f"{path} belongs to no model" for path in sorted(folder.glob("*.yaml")) if path.name not in wanted]
    return missing + different + extra


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where `--check` finds a stale file."""
    parser = argparse.ArgumentParser(prog="python -m pointsman.api.crd", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    given = parser.parse_args(arguments)
    if not given.check:
        write(given.folder)
        return 0
    sentences = stale(given.folder)
    for sentence in sentences:
        sys.stderr.write(f"{sentence}: run `python -m pointsman.api.crd {given.folder}` and commit the result.\n")
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
