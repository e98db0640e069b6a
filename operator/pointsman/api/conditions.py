"""Conditions: their types, their reasons, and how a new one replaces the one before."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from pointsman.api.values import ApiModel, Time

Status = Literal["True", "False", "Unknown"]

MESSAGE_LIMIT = 2048

# Types, all of them positive but for kstatus's Stalled and Drifted.
ACCEPTED = "Accepted"
READY = "Ready"
UP_TO_DATE = "UpToDate"
OBSERVED = "Observed"
PAUSED = "Paused"
DRIFTED = "Drifted"
NOTIFIED = "Notified"
RECONCILING = "Reconciling"
STALLED = "Stalled"


class Condition(ApiModel):
    """A Kubernetes condition (meta/v1)."""

    type: Annotated[str, Field(max_length=316)] = Field(description="Such as Ready.")
    status: Status
    reason: Annotated[str, Field(min_length=1, max_length=1024)] = Field(description="In one word.")
    message: Annotated[str, Field(max_length=32768)] = Field(
        "", description="In a sentence: what is wrong, and what to do."
    )
    last_transition_time: Time = Field(description="When `status` changed.")
    observed_generation: int | None = Field(None, description="The generation of the spec that this speaks of.")


Conditions = Annotated[
    list[Condition],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]


def condition(  # one argument a field of the condition
    type_: str, *, holds: bool | None, reason: str, message: str = "", now: datetime, generation: int | None = None
) -> Condition:
    """A condition; `holds=None` is Unknown."""
    status: Status = "Unknown" if holds is None else ("True" if holds else "False")
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message[:MESSAGE_LIMIT],
        last_transition_time=now,
        observed_generation=generation,
    )


def find(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """The condition of this type."""
    return next((c for c in conditions if c.type == type_), None)


def merge(before: Sequence[Condition], after: Sequence[Condition]) -> list[Condition]:
    """`after`, each with the transition time it had in `before` where its status did not change."""
    merged = []
    for new in after:
        old = find(before, new.type)
        if old is not None and old.status == new.status:
            merged.append(new.model_copy(update={"last_transition_time": old.last_transition_time}))
        else:
            merged.append(new)
    return merged
