"""From a pydantic model to the structural schema that a CRD takes; refuses whatever the API server would drop in silence.

The API server rejects a part of what pydantic emits (`$ref`, arms for null, numeric `exclusiveMinimum`) and ignores another part without a word
(`const`, `propertyNames`, bare objects). So every keyword is either translated here or is an error, and everything has a maximum, because
CEL rules over unbounded values cost more than the server allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pointsman.api.cel import RULES, literal

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema = dict[str, Any]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"

_ANYWHERE = {"description", "default", "type", "enum", RULES}
_KEYWORDS = {
    "string": {"minLength", "maxLength", "format"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "boolean": set[str](),
    "array": {"items", "minItems", "maxItems", LIST_TYPE, LIST_KEYS},
    "object": {"properties", "required", "additionalProperties", "minProperties", "maxProperties", PRESERVE},
    INT_OR_STRING: {INT_OR_STRING, "maxLength"},
}


class SchemaError(ValueError):
    """The model says something that a CRD cannot: where, what, and what to write instead."""


def structural(model: type[BaseModel]) -> Schema:
    """The schema of a model as a CRD takes it: references inlined, optional fields plain, CEL rules kept.

    Raises:
        SchemaError: the model uses a keyword that the API server would reject or drop.
    """
    document = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(document, defs=document.pop("$defs", {}), path=model.__name__, seen=())


def without_defaults(schema: Schema) -> Schema:
    """The schema without `default`: what is not written stays absent, and the decision fills it in."""
    return _without(schema, "default")


def without_rules(schema: Schema) -> Schema:
    """The schema without CEL rules: for copies of what was checked where the user wrote it."""
    return _without(schema, RULES)


def _without(schema: Schema, keyword: str) -> Schema:
    kept = {key: value for key, value in schema.items() if key != keyword}
    if "properties" in kept:
        kept["properties"] = {name: _without(field, keyword) for name, field in kept["properties"].items()}
    for nested in ("items", "additionalProperties"):
        if nested in kept:
            kept[nested] = _without(kept[nested], keyword)
    return kept


def _convert(node: Schema, *, defs: dict[str, Schema], path: str, seen: tuple[str, ...]) -> Schema:
    node, seen = _resolved(node, defs=defs, path=path, seen=seen)
    node.pop("title", None)
    if node.get("additionalProperties") is False:
        del node["additionalProperties"]  # pruning says the same, and the server refuses it beside properties
    if "const" in node:
        node["enum"] = [node.pop("const")]
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in node:  # a number in JSON Schema, a boolean beside the bound in a CRD
            node |= {bound: node[exclusive], exclusive: True}
    _say_pattern_in_words(node, path=path)
    _check(node, path=path)
    if "properties" in node:
        node["properties"] = {
            name: _convert(field, defs=defs, path=f"{path}.{name}", seen=seen)
            for name, field in node["properties"].items()
        }
    for nested in ("items", "additionalProperties"):
        if nested in node:
            node[nested] = _convert(node[nested], defs=defs, path=f"{path}[]", seen=seen)
    if node.get("type") == "array":
        node.setdefault(LIST_TYPE, "atomic")
    if node.get("properties") == {}:
        del node["properties"]  # a model without fields: everything in it is pruned
    return node


def _resolved(
    node: Schema, *, defs: dict[str, Schema], path: str, seen: tuple[str, ...]
) -> tuple[Schema, tuple[str, ...]]:
    """The node with references and the arm for null replaced by what they stand for, and the models we are inside of."""
    node = dict(node)
    if "anyOf" in node:
        arms = [arm for arm in node.pop("anyOf") if arm != {"type": "null"}]
        if len(arms) != 1:
            raise SchemaError(f"{path}: a choice of types; write int-or-string, or one optional field for each")
        node = _merged(arms[0], node)
        if node.get("default", ...) is None:
            del node["default"]
    if "$ref" in node:
        name = node.pop("$ref").removeprefix("#/$defs/")
        if name in seen:
            raise SchemaError(f"{path}: {name} contains itself; a CRD has no references, so write the levels out")
        node, seen = _merged(defs[name], node), (*seen, name)
    return node, seen


def _merged(base: Schema, over: Schema) -> Schema:
    """`over` laid on `base`; rules of both hold."""
    merged = {**base, **over}
    if RULES in base and RULES in over:
        merged[RULES] = [*base[RULES], *over[RULES]]
    return merged


def _say_pattern_in_words(node: Schema, *, path: str) -> None:
    """Drop a pattern that a CEL rule with a message repeats; a bare pattern would be the only message the user gets."""
    pattern = node.pop("pattern", None)
    if pattern is None:
        return
    if not any(literal(pattern) in rule["rule"] for rule in node.get(RULES, ())):
        raise SchemaError(f"{path}: a pattern without a sentence; use cel.matching, which says it as a CEL rule")


def _check(node: Schema, *, path: str) -> None:
    """Raise where the server would drop, ignore or not be able to bound something."""
    kind = INT_OR_STRING if node.get(INT_OR_STRING) else node.get("type")
    if kind not in _KEYWORDS:
        raise SchemaError(f"{path}: type {kind!r}; a CRD here has {', '.join(sorted(_KEYWORDS))} and no floats")
    unknown = node.keys() - _KEYWORDS[kind] - _ANYWHERE
    if unknown:
        raise SchemaError(f"{path}: {', '.join(sorted(unknown))} means nothing to the API server on {kind}")
    if kind == INT_OR_STRING and not any("type(self) == int" in rule["rule"] for rule in node.get(RULES, ())):
        raise SchemaError(f"{path}: an int-or-string that no rule judges; build it with values.int_or_string")
    _check_maximum(node, kind=kind, path=path)
    if node.get("format", "date-time") != "date-time":
        raise SchemaError(f"{path}: format {node['format']!r}; only date-time means the same to Kubernetes")
    for rule in node.get(RULES, ()):
        if "\n" in rule["message"] or not rule["message"]:
            raise SchemaError(f"{path}: the message of {rule['rule']!r} has to be one line")


def _check_maximum(node: Schema, *, kind: str, path: str) -> None:
    if kind in ("string", INT_OR_STRING) and not node.keys() & {"maxLength", "enum", "format"}:
        raise SchemaError(f"{path}: a string without a maximum; give it max_length")
    if kind == "array" and "maxItems" not in node:
        raise SchemaError(f"{path}: a list without a maximum; give it max_length")
    if kind == "object" and "properties" not in node and not node.get(PRESERVE):
        if not isinstance(node.get("additionalProperties"), dict):
            raise SchemaError(f"{path}: an object that says nothing would be emptied; declare fields or {PRESERVE}")
        if "maxProperties" not in node:
            raise SchemaError(f"{path}: a map without a maximum; give it max_length")
