"""What the converter translates, and what it refuses because the API server would drop it without a word."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import ConfigDict, Field, WithJsonSchema, create_model

from pointsman.api.cel import RULES, matching, rules
from pointsman.api.schema import SchemaError, structural, without_defaults, without_rules
from pointsman.api.values import ApiModel, PortRef, Time


class Inner(ApiModel):
    """Inner."""

    size: int = Field(3, description="How big.")

    model_config = ConfigDict(json_schema_extra=rules(("self.size > 0", "write a size above 0")))


class Empty(ApiModel):
    """Empty."""


class Node(ApiModel):
    """A tree."""

    children: Annotated[list[Node], Field(max_length=3)]


INNER = {
    "type": "object",
    "description": "Inner.",
    "properties": {"size": {"type": "integer", "description": "How big.", "default": 3}},
    RULES: [{"rule": "self.size > 0", "message": "write a size above 0"}],
}
SAID_HERE = {"rule": "self.size < 9", "message": "write a size below 9"}


def schema_of(type_: Any, field: Any = ...) -> dict[str, Any]:
    model = create_model("Model", __base__=ApiModel, given=(type_, field))
    given: dict[str, Any] = structural(model)["properties"]["given"]
    return given


@pytest.mark.parametrize(
    ("type_", "field", "schema"),
    [
        (bool, ..., {"type": "boolean"}),
        (int, 5, {"type": "integer", "default": 5}),
        (int | None, None, {"type": "integer"}),
        (int | None, 5, {"type": "integer", "default": 5}),
        (Annotated[int, Field(ge=1, le=9)], ..., {"type": "integer", "minimum": 1, "maximum": 9}),
        (Annotated[int, Field(gt=0)], ..., {"type": "integer", "minimum": 0, "exclusiveMinimum": True}),
        (Annotated[int, Field(lt=9)], ..., {"type": "integer", "maximum": 9, "exclusiveMaximum": True}),
        (Annotated[str, Field(min_length=1, max_length=9)], ..., {"type": "string", "minLength": 1, "maxLength": 9}),
        (Literal["Hold"], ..., {"type": "string", "enum": ["Hold"]}),
        (Literal["s", "ms"], ..., {"type": "string", "enum": ["s", "ms"]}),
        (Time, ..., {"type": "string", "format": "date-time"}),
        (
            Annotated[str, matching("^a+$", "write a's", max_length=9)],
            ...,
            {"type": "string", "maxLength": 9, RULES: [{"rule": "self.matches('^a+$')", "message": "write a's"}]},
        ),
        (
            Annotated[list[int], Field(max_length=2)],
            ...,
            {"type": "array", "maxItems": 2, "items": {"type": "integer"}, "x-kubernetes-list-type": "atomic"},
        ),
        (
            Annotated[list[int], Field(max_length=2, json_schema_extra={"x-kubernetes-list-type": "set"})],
            ...,
            {"type": "array", "maxItems": 2, "items": {"type": "integer"}, "x-kubernetes-list-type": "set"},
        ),
        (
            Annotated[dict[str, int], Field(max_length=2)],
            ...,
            {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "integer"}},
        ),
        (Inner, ..., INNER),
        (Inner | None, None, INNER),
        (Inner | None, Field(None, description="Said here."), {**INNER, "description": "Said here."}),
        (
            Inner | None,
            Field(None, json_schema_extra={RULES: [SAID_HERE]}),
            {**INNER, RULES: [*INNER[RULES], SAID_HERE]},
        ),
        (Empty, ..., {"type": "object", "description": "Empty."}),
    ],
)
def test_what_is_translated(type_: Any, field: Any, schema: dict[str, Any]) -> None:
    assert schema_of(type_, field) == schema


def test_an_int_or_string_keeps_its_rule() -> None:
    port = schema_of(PortRef)
    assert port["x-kubernetes-int-or-string"] is True
    assert "type" not in port
    assert len(port[RULES]) == 1


def raw(**schema: Any) -> Any:
    return Annotated[Any, WithJsonSchema(schema)]


@pytest.mark.parametrize(
    ("type_", "sentence"),
    [
        (float, "no floats"),
        (Any, "Model.given: type None"),
        (str, "a string without a maximum"),
        (list[int], "a list without a maximum"),
        (dict[str, Any], "would be emptied"),
        (dict[str, int], "a map without a maximum"),
        (Annotated[dict[Literal["a", "b"], int], Field(max_length=2)], "propertyNames means nothing"),
        (Annotated[set[int], Field(max_length=2)], "uniqueItems means nothing"),
        (tuple[int, int], "means nothing"),
        (int | str, "a choice of types"),
        (Inner | Empty, "a choice of types"),
        (Annotated[str, Field(max_length=9, pattern="^a$")], "a pattern without a sentence"),
        (Annotated[int, Field(multiple_of=5)], "multipleOf means nothing"),
        (Annotated[int, Field(examples=[1])], "examples means nothing"),
        (raw(type="string", format="duration"), "format 'duration'"),
        (raw(**{"x-kubernetes-int-or-string": True, "maxLength": 9}), "an int-or-string that no rule judges"),
        (raw(type="string", maxLength=9, nullable=True), "nullable means nothing"),
        (Annotated[int, Field(json_schema_extra=rules(("self > 1", "two\nlines")))], "has to be one line"),
        (Annotated[int, Field(json_schema_extra=rules(("self > 1", "")))], "has to be one line"),
        (Node, "Node contains itself"),
    ],
)
def test_what_is_refused(type_: Any, sentence: str) -> None:
    with pytest.raises(SchemaError, match=sentence):
        schema_of(type_)


def test_a_refusal_says_where() -> None:
    outer = create_model("Outer", __base__=ApiModel, steps=(Annotated[list[float], Field(max_length=2)], ...))
    with pytest.raises(SchemaError, match=r"^Outer\.steps\[\]: "):
        structural(outer)


def test_defaults_and_rules_can_be_left_out_at_every_depth() -> None:
    nested = schema_of(Annotated[list[Inner], Field(max_length=2)])
    plain = {"type": "object", "description": "Inner."}
    size = {"type": "integer", "description": "How big."}
    assert without_defaults(nested)["items"] == {**plain, "properties": {"size": size}, RULES: INNER[RULES]}
    assert without_rules(nested)["items"] == {**plain, "properties": {"size": {**size, "default": 3}}}
