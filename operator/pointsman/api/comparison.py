"""How the inspector reads the answers of both versions and tells whether they agree."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from pointsman.api.cel import matching, rules
from pointsman.api.modelruntime import Protocol
from pointsman.api.values import DECIMAL, ApiModel, HeaderName, JsonPointer

Output = Annotated[
    str,
    matching(
        r"^\S(.{0,254}\S)?$",
        "write the name of an output, such as predict, or a JSON pointer, such as /choices/0/text",
        max_length=256,
    ),
]

Deviation = Annotated[
    str,
    matching(DECIMAL, 'write a number from "0" up in quotes, such as "0.001"', max_length=13),
]

Overlap = Annotated[
    str,
    matching(
        DECIMAL,
        'write a percentage in quotes above "0" and up to "100", such as "80"',
        max_length=13,
        also="double(self) > 0.0 && double(self) <= 100.0",
    ),
]

_BELONGS = {
    "absolute": "Numeric",
    "relative": "Numeric",
    "distance": "Vector",
    "atLeast": "TopK",
    "form": "Text",
}


class Comparator(ApiModel):
    """When two answers, or two values of one output, are alike."""

    kind: Literal["Label", "Numeric", "Vector", "TopK", "Text", "Bytes"] = Field(description="What is alike.")
    output: Output | None = Field(
        None, description="An output by its name, or a place in the answer's JSON; Bytes compares whole answers."
    )
    absolute: Deviation | None = Field(None, description='Numeric: so far apart is alike; "0" by default.')
    relative: Deviation | None = Field(
        None, description='Numeric: so far apart, times the larger number, is alike; "0.000001" by default.'
    )
    distance: Literal["Euclidean", "Cosine"] | None = Field(None, description="Vector: Euclidean by default.")
    at_most: Deviation | None = Field(None, description="Vector: the distance up to which two rows are alike.")
    k: Annotated[int, Field(ge=1, le=1000)] | None = Field(None, description="TopK: how many of the best.")
    at_least: Overlap | None = Field(None, description='TopK: percent of them in common; "100" by default.')
    form: Literal["Exact", "Normalised"] | None = Field(
        None,
        description="Text: Normalised is apart from case, Unicode form, punctuation and white space; Exact by default.",
    )

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.output) == (self.kind != 'Bytes')",
                "write `output`, what of the answer to compare; only Bytes has none: it compares whole answers",
            ),
            (
                "has(self.atMost) == (self.kind == 'Vector')",
                "write `atMost`, the largest distance, with the kind Vector, and with no other one",
            ),
            (
                "has(self.k) == (self.kind == 'TopK')",
                "write `k`, how many of the best are compared, with the kind TopK, and with no other one",
            ),
            *(
                (f"!has(self.{field}) || self.kind == '{kind}'", f"remove `{field}`: only the kind {kind} has it")
                for field, kind in _BELONGS.items()
            ),
        )
    )


class Compare(ApiModel):
    """What of requests and answers is read and compared; by default all outputs, exact labels, numbers within 1e-6."""

    protocol: Protocol | None = Field(None, description="How bodies are read; by default as the ModelRuntime says.")
    comparators: Annotated[list[Comparator], Field(min_length=1, max_length=16)] | None = Field(
        None, description="All of them have to agree; by default every output by its type."
    )
    features: Annotated[list[JsonPointer], Field(min_length=1, max_length=64)] | None = Field(
        None,
        description="Places in the request whose values are counted, to tell drift of the inputs.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    forward_headers: Annotated[list[HeaderName], Field(min_length=1, max_length=16)] | None = Field(
        None,
        description="Headers with credentials that the copies carry, too, such as authorization; none by default.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
