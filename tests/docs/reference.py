"""docs/api.md, made from the types: `python -m tests.docs.reference` writes it. Every field has its type, default, an example and what it means.

Types and words are those of the CRDs, defaults those of the schema and of the decision, which fills in what the schema may not. Examples are
from everything.yaml, which the API server takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pointsman.api.crd import Kind, kinds
from pointsman.api.modelruntime import LatencyMetric, Metrics
from pointsman.api.schema import PRESERVE
from pointsman.rollout import policy

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
EVERYTHING = Path(__file__).with_name("everything.yaml")

Json = dict[str, Any]

HEAD = """# Reference

<!-- Made from operator/pointsman/api by `make generate`: edit those. -->

`pointsman.dev/v1alpha1`. Durations are written `30s`, `5m`, `2h`, `30d`; percentages `5` or `"0.5"`; numbers with a fraction are strings. **Bold** fields
are required where the object around them is written. A default stands where the schema or the operator fills one in; other words on what happens without a field
are in its meaning.
"""

ELSEWHERE = {
    ("ModelDeployment", "spec.rollout"): (
        ("policy",),
        "its other fields are those of a [RolloutPolicy](#rolloutpolicy)'s `spec`",
    ),
    ("ModelDeployment", "spec.metrics"): ((), "as `spec.metrics` of a [ModelRuntime](#modelruntime)"),
    ("ModelDeployment", "spec.autoscaling.metrics"): ((), ""),
    ("ModelRevision", "spec.model"): ((), "as `spec.model` of a [ModelDeployment](#modeldeployment)"),
    ("ModelRevision", "spec.metrics"): ((), "as `spec.metrics` of a [ModelRuntime](#modelruntime)"),
    ("ModelRevision", "status.attempts[].policy"): ((), "as `spec` of a [RolloutPolicy](#rolloutpolicy)"),
}
"""Fields that are written down once, by kind and path: those that stand here all the same, and where the others are."""

SCOPES = {
    "ModelDeployment": "Namespaced, short name `mdep`. Written by the ML team; [the first model](first-model.md).",
    "ModelRevision": "Namespaced, short name `mrev`. Written by the operator alone: one immutable version as it runs, and the record of its attempts.",
    "ModelRuntime": "Cluster-scoped, short name `mrt`. Written by the platform team; [runtimes](runtimes.md).",
    "RolloutPolicy": "Cluster-scoped, short name `rpol`. Written by the platform team; [choosing a policy](choosing-a-policy.md).",
}


@dataclass(frozen=True)
class Field:
    """A field of a kind."""

    path: str
    schema: Json
    required: bool

    @property
    def type(self) -> str:
        """As people call it; of a choice its words."""
        if "enum" in self.schema:
            return " \\| ".join(f"`{word}`" for word in self.schema["enum"])
        if self.schema.get("x-kubernetes-int-or-string"):
            return "integer or string"
        if self.schema.get(PRESERVE):
            return "PodTemplateSpec"
        kind = self.schema["type"]
        if kind == "array":
            inner = self.schema["items"]
            return f"list of {_plural(inner)}"
        return "map" if kind == "object" and "additionalProperties" in self.schema else str(kind)

    @property
    def is_leaf(self) -> bool:
        """Whether no field of it has a row of its own."""
        inner = self.schema.get("items", self.schema)
        return "properties" not in inner


def page() -> str:
    """The whole document."""
    return "\n".join((HEAD, *(part for kind in kinds() for part in _kind(kind)))) + "\n"


def undescribed() -> list[str]:
    """Fields that users write and of which no word is said."""
    return [
        f"{kind.kind}.{field.path}" for kind in kinds() for field in fields(kind, "spec") if not _meaning(kind, field)
    ]


def without_example() -> list[str]:
    """Fields that users write and that everything.yaml shows no value of."""
    shown = examples()
    return [
        f"{kind.kind}.{field.path}"
        for kind in kinds()
        if kind.kind != "ModelRevision"
        for field in fields(kind, "spec")
        if field.is_leaf and (kind.kind, field.path) not in shown
    ]


def examples() -> dict[tuple[str, str], Any]:
    """Kind and path -> the first value that everything.yaml has there."""
    found: dict[tuple[str, str], Any] = {}
    for obj in yaml.safe_load_all(EVERYTHING.read_text(encoding="utf-8")):
        for path, value in _values("spec", obj["spec"]):
            found.setdefault((obj["kind"], path), value)
    return found


def defaults() -> dict[str, Any]:
    """Of a policy's fields, by path: what the operator takes where nobody says it."""
    timed = LatencyMetric(histogram="x")
    taken = policy.effective(None, None, Metrics(port="x", latency=timed)).dump()
    return {path: value for path, value in _values("spec", taken) if "[]" not in path}


def fields(kind: Kind, part: str) -> Iterator[Field]:
    """The rows of `spec` or `status`."""
    yield from _fields(kind, part, kind.spec if part == "spec" else kind.status)


def _fields(kind: Kind, path: str, schema: Json) -> Iterator[Field]:
    kept, _ = ELSEWHERE.get((kind.kind, path), (None, ""))
    inner = schema.get("items", schema)
    for name, field in inner.get("properties", {}).items():
        if kept is not None and name not in kept:
            continue
        below = f"{path}{'[]' if 'items' in schema else ''}.{name}"
        yield Field(below, field, name in inner.get("required", ()))
        yield from _fields(kind, below, field)


def _kind(kind: Kind) -> Iterator[str]:
    shown, filled = examples(), defaults() if kind.kind == "RolloutPolicy" else {}
    yield f"## {kind.kind}\n\n{kind.description} {SCOPES[kind.kind]}\n"
    with_examples = kind.kind != "ModelRevision"
    yield (
        "| field | type | default | example | |\n|---|---|---|---|---|"
        if with_examples
        else "| field | type | |\n|---|---|---|"
    )
    for field in fields(kind, "spec"):
        cells = [_name(field), field.type]
        if with_examples:
            default = field.schema.get("default", filled.get(field.path))
            cells += [_code(default), _code(shown.get((kind.kind, field.path))) if field.is_leaf else ""]
        yield f"| {' | '.join((*cells, _meaning(kind, field)))} |"
    yield f"\n### Status of a {kind.kind}\n\n| field | type | |\n|---|---|---|"
    for field in fields(kind, "status"):
        yield f"| `{field.path}` | {field.type} | {_meaning(kind, field)} |"
    yield ""


def _name(field: Field) -> str:
    return f"**`{field.path}`**" if field.required else f"`{field.path}`"


def _meaning(kind: Kind, field: Field) -> str:
    """Its description; of an object that says nothing itself, what it is; and where its fields are."""
    inner = field.schema.get("items", {})
    said = field.schema.get("description") or inner.get("description", "")
    _, elsewhere = ELSEWHERE.get((kind.kind, field.path), ((), ""))
    return "; ".join(part for part in (said.rstrip("."), elsewhere) if part).replace("|", "\\|").replace("\n", " ")


def _values(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every path in a value, lists as `[]`; what is inside of a pod template is not a field of ours."""
    yield path, value
    if isinstance(value, dict) and not path.endswith(".template"):
        for key, inner in value.items():
            yield from _values(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict):
                for key, deeper in inner.items():
                    yield from _values(f"{path}[].{key}", deeper)


def _code(value: Any) -> str:
    """As YAML writes it in a line."""
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else _string(value)
    short = text if len(text) <= 90 else "..."
    return "" if short == "..." else f"`{short}`".replace("|", "\\|")


def _string(value: str) -> str:
    plain = yaml.safe_load(value) if value and ": " not in value and "#" not in value else None
    return value if plain == value else json.dumps(value, ensure_ascii=False)


def _plural(schema: Json) -> str:
    if "enum" in schema:
        return " \\| ".join(f"`{word}`" for word in schema["enum"])
    return {"string": "strings", "object": "objects", "integer": "integers"}[schema["type"]]


if __name__ == "__main__":
    DOCUMENT.write_text(page(), encoding="utf-8")
