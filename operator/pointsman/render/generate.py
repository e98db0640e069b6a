"""Writes `kinds.py` from the API server's OpenAPI v3 documents: `python -m pointsman.render.generate FILE...`.

The documents are `/openapi/v3/` and `apis/apps/v1`, `api/v1` and `apis/autoscaling/v2` of a running server, or the files
`apis__apps__v1_openapi.json`, `api__v1_openapi.json` and `apis__autoscaling__v2_openapi.json` under `api/openapi-spec/v3` in the Kubernetes source.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pointsman.render.schema import Field, Json

ROOTS = (
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.api.core.v1.Service",
)
"""The kinds that Pointsman renders; PodTemplateSpec is part of the first. Their status is the server's."""

_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_HEADER = '''"""The fields of the kinds that Pointsman renders, as far as they are more than plain values; generated, do not edit.

To make it anew, see pointsman.render.generate.
"""

from typing import Final

from pointsman.render.schema import Field

KINDS: Final[dict[str, dict[str, Field]]] = {
'''


def table(documents: list[Json]) -> dict[str, dict[str, Field]]:
    """Kind (last part of the schema's name) -> its fields that are more than plain values.

    Raises:
        ValueError: A kind is missing, or two have the same last part.
    """
    schemas: Json = {}
    for document in documents:
        schemas |= document["components"]["schemas"]
    kinds: dict[str, dict[str, Field]] = {}
    origin: dict[str, str] = {}
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        short = _short(name)
        if origin.setdefault(short, name) != name:
            raise ValueError(f"{name} and {origin[short]} have the same short name")
        if short in kinds:
            continue
        if name not in schemas:
            raise ValueError(f"{name} is in none of the documents")
        fields: dict[str, Field] = {}
        for field, schema in sorted(schemas[name].get("properties", {}).items()):
            if field == "status" and name in ROOTS:
                continue
            entry = _field(schema, schemas)
            if entry is not None:
                fields[field] = entry
            waiting += _objects(schema, schemas)
        kinds[short] = fields
    return {kind: fields for kind, fields in sorted(kinds.items()) if fields}


def module(kinds: dict[str, dict[str, Field]]) -> str:
    """The text of `kinds.py`, as the formatter wants it."""
    lines = [_HEADER]
    for kind, fields in kinds.items():
        lines.append(f'    "{kind}": {{\n')
        lines += [f'        "{name}": {_code(field)},\n' for name, field in fields.items()]
        lines.append("    },\n")
    return "".join([*lines, "}\n"])


def _field(schema: Json, schemas: Json) -> Field | None:
    if _reference(schema) == _QUANTITY:
        return Field("quantity")
    if schema.get("type") == "array":
        by_key = schema.get("x-kubernetes-list-type") == "map"
        keys = tuple(schema["x-kubernetes-list-map-keys"]) if by_key else ()
        strategy = schema.get("x-kubernetes-patch-strategy", "").split(",")
        return Field(
            "list",
            of=_element(schema["items"], schemas),
            keys=keys,
            keep="given" if "retainKeys" in strategy else "all",
        )
    if "additionalProperties" in schema:
        of = "quantity" if _reference(schema["additionalProperties"]) == _QUANTITY else None
        return Field("map", of=of, atomic=schema.get("x-kubernetes-map-type") == "atomic")
    of = _element(schema, schemas)
    return None if of is None else Field("object", of=of)


def _element(schema: Json, schemas: Json) -> str | None:
    """The kind that a schema refers to, where that is an object."""
    name = _reference(schema)
    if name is None or "properties" not in schemas.get(name, {}):
        return None
    return _short(name)


def _objects(schema: Json, schemas: Json) -> list[str]:
    name = _reference(schema) or _reference(schema.get("items", {}))
    return [name] if name is not None and "properties" in schemas.get(name, {}) else []


def _reference(schema: Json) -> str | None:
    for part in (schema, *schema.get("allOf", [])):
        if "$ref" in part:
            return str(part["$ref"].rpartition("/")[2])
    return None


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _code(field: Field) -> str:
    if field.keep == "all" and not field.atomic:
        given = [repr(value) for value in (field.shape, field.of, field.keys)]
        while len(given) > 1 and given[-1] in ("None", "()"):
            given.pop()
    else:
        given = [repr(field.shape)] + [
            f"{name}={value!r}"
            for name, value in field._asdict().items()
            if name != "shape" and value != Field._field_defaults[name]
        ]
    return f"Field({', '.join(given)})".replace("'", '"')


def main(paths: list[str]) -> None:
    """Reads the documents and writes the module to standard output."""
    documents = [json.loads(Path(path).read_text()) for path in paths]
    sys.stdout.write(module(table(documents)))


if __name__ == "__main__":
    main(sys.argv[1:])
