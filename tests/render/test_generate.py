from pathlib import Path
from typing import Any

import pytest

from pointsman.render import generate, kinds
from pointsman.render.schema import Field

CORE = "io.k8s.api.core.v1"


def document(**schemas: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI v3 document: a Service with these fields, and other kinds of which nothing is known."""
    service = {root: {"properties": schemas} if root == f"{CORE}.Service" else {} for root in generate.ROOTS}
    parts = {f"{CORE}.Part": {"properties": {"name": {"type": "string"}}}, f"{CORE}.Text": {"type": "string"}}
    return {"components": {"schemas": service | parts}}


def reference(name: str) -> dict[str, Any]:
    return {"allOf": [{"$ref": f"#/components/schemas/{name}"}], "default": {}}


FIELDS = {
    "a plain value": ({"type": "string"}, None),
    "a named plain value": (reference(f"{CORE}.Text"), None),
    "an object": (reference(f"{CORE}.Part"), Field("object", "Part")),
    "a quantity": (reference("io.k8s.apimachinery.pkg.api.resource.Quantity"), Field("quantity")),
    "a map": ({"type": "object", "additionalProperties": {"type": "string"}}, Field("map")),
    "a map that is replaced whole": (
        {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": "atomic"},
        Field("map", atomic=True),
    ),
    "a map of quantities": (
        {"additionalProperties": reference("io.k8s.apimachinery.pkg.api.resource.Quantity")},
        Field("map", "quantity"),
    ),
    "a list of words": ({"type": "array", "items": {"type": "string"}}, Field("list")),
    "a list of objects": ({"type": "array", "items": reference(f"{CORE}.Part")}, Field("list", "Part")),
    "a keyed list": (
        {
            "type": "array",
            "items": reference(f"{CORE}.Part"),
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "x-kubernetes-patch-strategy": "merge,retainKeys",
        },
        Field("list", "Part", ("name",), keep="given"),
    ),
}


@pytest.mark.parametrize(("schema", "field"), FIELDS.values(), ids=FIELDS)
def test_reads_what_a_field_is(schema: dict[str, Any], field: Field | None) -> None:
    expected = {} if field is None else {"Service": {"it": field}}
    assert generate.table([document(it=schema)]) == expected


def test_names_the_kind_that_no_document_has() -> None:
    with pytest.raises(ValueError, match=r"^io\.k8s\.api\.core\.v1\.Service is in none of the documents$"):
        generate.table([{"components": {"schemas": {}}}])


def test_the_committed_table_is_as_the_generator_writes_it() -> None:
    assert generate.module(kinds.KINDS) == Path(kinds.__file__).read_text(encoding="utf-8")
