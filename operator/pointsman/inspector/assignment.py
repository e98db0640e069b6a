"""What an inspector is told: one JSON document, the environment variable POINTSMAN_INSPECTOR; docs/inspector.md describes it."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

VARIABLE: Final = "POINTSMAN_INSPECTOR"
_MOST_FAULTS: Final = 10

Protocol = Literal["OpenInference", "KServeV1", "OpenAI", "Json"]


class AssignmentError(Exception):
    """It cannot be used; the message says where, what, and what to write instead."""


def _pointer(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"write a JSON pointer, such as /inputs/0/data/3, not {text!r}")
    return text


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")) or text.endswith("/"):
        raise ValueError(f"write where the version answers, such as http://churn-81d0aa37.ml:8080, not {text!r}")
    return text


Name = Annotated[str, Field(min_length=1, max_length=253)]
Header = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$")]
Pointer = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_pointer)]
OutputName = Annotated[str, Field(min_length=1, max_length=256)]
Url = Annotated[str, Field(max_length=1024), AfterValidator(_url)]
Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Part(BaseModel):
    """A part of the assignment: frozen, camelCase, and every field is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Arm(Part):
    """One of the two versions: its revision, and the Service of its pods."""

    revision: Name
    url: Url


class Label(Part):
    """The same values: strings, whole numbers, truth values."""

    kind: Literal["Label"] = "Label"
    output: OutputName


class Numeric(Part):
    """Numbers as near as the larger of two tolerances: `absolute`, or `relative` to the larger number."""

    kind: Literal["Numeric"] = "Numeric"
    output: OutputName
    absolute: Tolerance = 0.0
    relative: Tolerance = 1e-6


class Vector(Part):
    """Rows of numbers, such as embeddings, no farther apart than `atMost`; Cosine is 1 minus the cosine of the angle."""

    kind: Literal["Vector"] = "Vector"
    output: OutputName
    distance: Literal["Euclidean", "Cosine"] = "Euclidean"
    at_most: Tolerance


class TopK(Part):
    """The `k` best have at least `atLeast` percent in common: of rows of scores by place, of other lists the first k."""

    kind: Literal["TopK"] = "TopK"
    output: OutputName
    k: Annotated[int, Field(ge=1, le=1000)]
    at_least: Percent = 100.0


class Text(Part):
    """The same text; Normalised: apart from case, Unicode form, punctuation and white space."""

    kind: Literal["Text"] = "Text"
    output: OutputName
    form: Literal["Exact", "Normalised"] = "Exact"


class Bytes(Part):
    """The whole answer, byte by byte; bodies need not be of the protocol then."""

    kind: Literal["Bytes"] = "Bytes"


Comparator = Annotated[Label | Numeric | Vector | TopK | Text | Bytes, Field(discriminator="kind")]


class Slices(Part):
    """By what of a request agreement and failures are told apart: a header's value, or a value of its body."""

    header: Header | None = None
    path: Pointer | None = None
    max: Annotated[int, Field(ge=1, le=100)] = 20

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.header is None) == (self.path is None):
            raise ValueError("write either `header` or `path`")
        return self


class Limits(Part):
    """What it may use: requests replayed at a time, bytes of one body, seconds of one answer, replayed requests a second."""

    concurrency: Annotated[int, Field(ge=1, le=1000)] = 64
    bytes: Annotated[int, Field(ge=1024, le=8 * 2**20)] = 2**20
    seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    requests_per_second: Annotated[float, Field(gt=0, le=100_000)] = 500.0


def _rising(edges: tuple[float, ...]) -> tuple[float, ...]:
    if not all(math.isfinite(edge) for edge in edges) or not all(low < high for low, high in pairwise(edges)):
        raise ValueError("write finite numbers, each larger than the one before")
    return edges


class Scale(Part):
    """How values are counted: by the upper edges of buckets, or one by one where they are categories."""

    edges: Annotated[tuple[float, ...], Field(max_length=256), AfterValidator(_rising)] = ()
    categories: Annotated[tuple[Annotated[str, Field(max_length=128)], ...], Field(max_length=256)] = ()

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.edges) == bool(self.categories):
            raise ValueError("write either `edges` or `categories`")
        return self


class Scales(Part):
    """A scale for each feature (by its pointer) and prediction (by its output) that a reference describes."""

    features: Annotated[dict[Pointer, Scale], Field(max_length=256)] = {}
    predictions: Annotated[dict[OutputName, Scale], Field(max_length=256)] = {}


class Assignment(Part):
    """Whom to inspect, and how.

    candidate       None: nothing is compared; the inputs and stable's own answers are watched
    comparators     none: all outputs, floats to 1e-6 relative, everything else exactly
    forward_headers headers that are credentials and forwarded all the same
    reference       the path of a reference file that has the scales
    tolerance       how far a tail may move, a fraction: what the reference expects is then told, too
    warmup          requests replayed first to each version that are not counted
    """

    namespace: Name
    deployment: Name
    attempt: Annotated[int, Field(ge=0)]
    stable: Arm
    candidate: Arm | None = None
    protocol: Protocol
    comparators: Annotated[tuple[Comparator, ...], Field(max_length=16)] = ()
    features: Annotated[tuple[Pointer, ...], Field(max_length=64)] = ()
    slices: Slices | None = None
    forward_headers: Annotated[tuple[Header, ...], Field(max_length=16)] = ()
    limits: Limits = Limits()
    scales: Scales = Scales()
    reference: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    tolerance: Annotated[float, Field(gt=0, lt=1)] | None = None
    warmup: Annotated[int, Field(ge=0, le=100_000)] = 0

    @property
    def counted_features(self) -> tuple[str, ...]:
        """The features that were asked for, and those that have a scale."""
        return tuple(dict.fromkeys((*self.features, *self.scales.features)))

    @model_validator(mode="after")
    def _two(self) -> Self:
        if self.candidate is not None and self.candidate.revision == self.stable.revision:
            raise ValueError("`candidate` has to be another revision than `stable`; leave it out to watch stable only")
        if self.reference is not None and self.scales != Scales():
            raise ValueError("write either `scales` or `reference`")
        return self


def read(text: str) -> Assignment:
    """The assignment that a document describes.

    Raises:
        AssignmentError: it cannot be used.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AssignmentError(f"{VARIABLE}: write one JSON document: {error}") from error
    try:
        return Assignment.model_validate(document)
    except ValidationError as error:
        raise AssignmentError("\n".join(_faults(VARIABLE, error))) from error


def with_reference(assignment: Assignment, text: bytes) -> Assignment:
    """The assignment with the scales of the reference file that it names (docs/drift.md); counts are not for the inspector.

    Raises:
        AssignmentError: it is no reference, or names what is not in requests.
    """
    name = str(assignment.reference)
    try:
        document = json.loads(text)
        found = {
            part: {key: _scale(one) for key, one in document.get(part, {}).items()}
            for part in ("features", "predictions")
        }
    except (ValueError, RecursionError, AttributeError) as error:
        raise AssignmentError(f"{name}: it is no reference; `pointsman reference build` writes one") from error
    try:
        return assignment.model_copy(update={"scales": Scales.model_validate(found)})
    except ValidationError as error:
        raise AssignmentError("\n".join(_faults(name, error))) from error


def _scale(distribution: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in distribution.items() if key in Scale.model_fields}


def _faults(where: str, error: ValidationError) -> list[str]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [f"{where}{_path(fault['loc'])}: {_sentence(fault)}" for fault in found[:_MOST_FAULTS]]


def _path(loc: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc if part != "[key]")


def _sentence(fault: Any) -> str:
    match fault["type"]:
        case "extra_forbidden":
            return "there is no such field; leave it out"
        case "missing":
            return "is missing; write it"
        case _:
            return str(fault["msg"]).removeprefix("Value error, ")
