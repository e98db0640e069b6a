"""The reference file: how inputs and predictions of a model were distributed in training, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pointsman.evidence.bins import OTHER, Bins
from pointsman.evidence.profile import HOURS, Profile

FORMAT = "pointsman.dev/reference/v1"
MOST_BYTES = 1_000_000
"""Of a reference: what a ConfigMap holds, with room for its name and labels."""
_MOST = 256  # bins of a distribution, and distributions of a reference, as the inspector takes them

Count = Annotated[int, Field(ge=0, le=2**53)]
Counts = Annotated[tuple[Count, ...], Field(min_length=2, max_length=_MOST + 1)]
Name = Annotated[str, Field(min_length=1, max_length=256)]


class ReferenceFileError(ValueError):
    """The text is no reference: what is wrong, where, and what to write instead."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Distribution(_Strict):
    """How often the values of one feature or prediction fell into each bin.

    Attributes:
        edges: of numbers: upper edges of the bins, rising; the last bin holds what is over the last edge.
        categories: of everything else; the last bin holds all other values.
        counts: of each bin, one more than there are edges or categories.
        hours: instead of ``counts``: those of every hour of the week, 168 rows, the first from midnight to one on Monday, UTC.
        missing: values that were not there, or no number among numbers; nothing is compared with it.
    """

    edges: Annotated[tuple[Annotated[float, Field(allow_inf_nan=False)], ...], Field(max_length=_MOST)] = ()
    categories: Annotated[tuple[Annotated[str, Field(max_length=128)], ...], Field(max_length=_MOST)] = ()
    counts: Counts | None = None
    hours: Annotated[tuple[Counts, ...], Field(min_length=HOURS, max_length=HOURS)] | None = None
    missing: Count = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.counts is None) == (self.hours is None):
            raise ValueError("write `counts`, or `hours` with those of every hour of the week, and one of the two")
        if OTHER in self.categories:
            raise ValueError(f"{OTHER!r} is what the last bin is called: leave it out of `categories`")
        size = self.bins("it").size
        for row in self.hours or (self.counts or (),):
            if len(row) != size:
                raise ValueError(f"there are {size} bins, and {len(row)} counts: one more than edges or categories")
        return self

    def bins(self, name: str) -> Bins:
        """Return the bins."""
        return Bins(name, edges=self.edges, categories=self.categories)

    def profile(self, name: str) -> Profile:
        """Return what the detector compares with."""
        return Profile(self.bins(name), np.array(self.hours or (self.counts,), dtype=np.int64))

    @property
    def total(self) -> tuple[int, ...]:
        """The counts of all hours."""
        return self.counts or tuple(sum(column) for column in zip(*(self.hours or ()), strict=True))


Distributions = Annotated[dict[Name, Distribution], Field(max_length=_MOST)]


class Reference(_Strict):
    """All that was known of a model's inputs and predictions when it was made; names are those of the inspector's metrics."""

    format: Literal["pointsman.dev/reference/v1"] = "pointsman.dev/reference/v1"
    features: Distributions = Field(default_factory=dict)
    predictions: Distributions = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.features and not self.predictions:
            raise ValueError("it holds neither `features` nor `predictions`")
        return self

    @classmethod
    def of(cls, features: Iterable[Profile], predictions: Iterable[Profile]) -> Reference:
        """Return what was learnt as a reference."""
        return cls(
            features={one.bins.name: _distribution(one) for one in features},
            predictions={one.bins.name: _distribution(one) for one in predictions},
        )

    def profiles(self) -> tuple[tuple[Profile, ...], tuple[Profile, ...]]:
        """Return the profiles of the features and of the predictions, which ``evidence.drift.watching`` takes."""
        return _profiles(self.features), _profiles(self.predictions)

    def dump(self) -> str:
        """Return the file's text, a distribution a line; ``load`` gives the same reference back."""
        parts = [f'"format": {json.dumps(self.format)}']
        for what, found in (("features", self.features), ("predictions", self.predictions)):
            lines = [f"{json.dumps(name)}: {json.dumps(_plain(one))}" for name, one in found.items()]
            parts.append(f'"{what}": {{\n  ' + ",\n  ".join(lines) + "\n}" if lines else f'"{what}": {{}}')
        return "{\n" + ",\n".join(parts) + "\n}\n"


def load(text: str | bytes) -> Reference:
    """Return the reference that a file holds.

    Raises:
        ReferenceFileError: it is no JSON, or not that of a reference.
    """
    if len(text) > MOST_BYTES:
        raise ReferenceFileError(
            f"it has {len(text):,} bytes, and a reference at most {MOST_BYTES:,}: fewer bins would do"
        )
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReferenceFileError(f"it is not JSON: {error}") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ReferenceFileError(f'it is not a reference of this version: its `format` must be "{FORMAT}"')
    try:
        return Reference.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        said = first["msg"].removeprefix("Value error, ")
        raise ReferenceFileError(f"{where}: {said}" if where else said) from error


def configmap(reference: Reference, name: str) -> str:
    """Return the manifest of a ConfigMap with the reference in ``reference.json``, as YAML.

    Raises:
        ReferenceFileError: it is too large for a ConfigMap.
    """
    text = reference.dump()
    if len(text.encode()) > MOST_BYTES:
        raise ReferenceFileError(
            f"the reference has {len(text.encode()):,} bytes, and a ConfigMap holds {MOST_BYTES:,}: fewer features, or fewer bins"
        )
    block = "".join(f"    {line}\n" for line in text.splitlines())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  reference.json: |\n{block}"


def _profiles(found: Mapping[str, Distribution]) -> tuple[Profile, ...]:
    return tuple(one.profile(name) for name, one in found.items())


def _distribution(profile: Profile) -> Distribution:
    rows = tuple(tuple(row) for row in profile.counts.tolist())
    counted = {"hours": rows} if len(rows) > 1 else {"counts": rows[0]}
    return Distribution(edges=profile.bins.edges, categories=profile.bins.categories, **counted)


def _plain(one: Distribution) -> dict[str, Any]:
    return one.model_dump(mode="json", exclude_defaults=True)
