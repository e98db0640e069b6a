"""The value types of the API: percentages, durations and ratios, as written and as numbers.

Shares of traffic are whole basis points (1/100 of a percent, 0..10000) inside Pointsman, so that sums are exact.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from pointsman.api.cel import literal, matching, rules

GROUP = "pointsman.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

WHOLE = 10_000  # basis points: all traffic

PERCENT = r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)$"
DURATION = r"^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$"  # with 16 characters never past Go's 292 years
DECIMAL = r"^[0-9]{1,6}(\.[0-9]{1,6})?$"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class ApiModel(BaseModel):
    """A part of an API object: frozen, camelCase on the wire, blind to fields of newer CRDs."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    def dump(self) -> dict[str, Any]:
        """The object as JSON: camelCase, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def int_or_string(pattern: str, whole: str, message: str, *, max_length: int, also: str = "true") -> WithJsonSchema:
    """An integer for which the CEL condition `whole` holds, or a string that matches and for which `also` holds."""
    string = f"self.matches({literal(pattern)})" + ("" if also == "true" else f" && {also}")
    return WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "maxLength": max_length,
            **rules((f"type(self) == int ? {whole} : {string}", message)),
        }
    )


Percent = Annotated[
    int | str,
    int_or_string(
        PERCENT, "self >= 0 && self <= 100", 'write a percentage from 0 to 100, such as 5 or "0.5"', max_length=6
    ),
]
"""A percentage of traffic: `5` or `"0.5"`."""

Mirrored = Annotated[
    int | str,
    int_or_string(
        PERCENT,
        "self > 0 && self <= 100",
        'write more than 0 and up to 100 percent, such as 20 or "0.5"',
        max_length=6,
        also="double(self) > 0.0",
    ),
]
"""A share of the requests that is copied: more than none of them."""

Quota = Annotated[
    int | str,
    int_or_string(
        r"^(0|[1-9][0-9]?|100)%$",
        "self >= 0 && self <= 10000",
        'write a number of pods, such as 1, or a percentage, such as "25%"',
        max_length=4,
    ),
]
"""A number of pods (`1`) or a share of the replicas (`"25%"`), as in a Deployment's maxSurge."""

PortRef = Annotated[
    int | str,
    int_or_string(
        r"^[a-z0-9-]*[a-z][a-z0-9-]*$",
        "self >= 1 && self <= 65535",
        "write the name of a container port, such as http, or its number from 1 to 65535",
        max_length=15,
    ),
]
"""A container port, by name or number."""

Duration = Annotated[
    str,
    matching(
        DURATION,
        "write a duration above zero, such as 30s, 5m or 1h30m",
        max_length=16,
        also="duration(self) > duration('0s')",
    ),
]
"""A Go duration: `30s`, `5m`, `1h30m`."""

DurationOrZero = Annotated[str, matching(DURATION, "write a duration, such as 0s, 30s or 1h30m", max_length=16)]
"""A Go duration that may be `0s`."""

LongDuration = Annotated[
    str,
    matching(
        r"^([1-9][0-9]{0,3}d|[1-9][0-9]{0,4}h)$",
        "write days or whole hours, such as 30d or 720h",
        max_length=6,
    ),
]
"""Days, or hours as Go writes them: `30d`, `720h`."""

Name = Annotated[
    str,
    matching(
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        "write the name of a Kubernetes object: lower-case letters, digits, `-` and `.`",
        max_length=253,
    ),
]
"""The name of a Kubernetes object."""

Label = Annotated[
    str,
    matching(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "write a name of lower-case letters, digits and `-`",
        max_length=63,
    ),
]
"""A DNS label: the name of a namespace or of a gate."""

HeaderName = Annotated[
    str,
    matching(
        "^[a-zA-Z0-9][-_a-zA-Z0-9]*$",
        "write the name of a header, such as x-tenant: letters, digits, `-` and `_`",
        max_length=128,
    ),
]
"""The name of an HTTP header, in any case."""

JsonPointer = Annotated[
    str,
    matching(
        "^(/([^~/]|~[01])*)+$",
        "write a JSON pointer that begins with `/`, such as /inputs/0/data/3",
        max_length=256,
    ),
]
"""A place in a JSON document (RFC 6901)."""


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Time = Annotated[AwareDatetime, PlainSerializer(_rfc3339), WithJsonSchema({"type": "string", "format": "date-time"})]
"""A point in time; microseconds, because looks are compared with them."""


@lru_cache(maxsize=1024, typed=True)
def basis_points(percent: float | str) -> int:
    """`5` -> 500, `"0.5"` -> 50: a percentage in whole basis points."""
    return int(Decimal(str(percent)) * 100)


def percent(basis: int) -> int | str:
    """500 -> `5`, 50 -> `"0.5"`: basis points as the API writes them."""
    whole, rest = divmod(basis, 100)
    return whole if rest == 0 else f"{whole}.{rest:02d}".rstrip("0")


def probability(percentage: float | str) -> float:
    """`"1"` -> 0.01: a percentage as a probability."""
    return float(Decimal(str(percentage)) / 100)


@lru_cache(maxsize=1024)
def seconds(duration: str) -> timedelta:
    """`1h30m` or `30d` -> timedelta."""
    parts = re.findall(r"([0-9.]+)(ms|s|m|h|d)", duration)
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


def pods(quota: int | str, replicas: int, *, up: bool) -> int:
    """How many pods a quota is: percentages of `replicas` are rounded up (maxSurge) or down (maxUnavailable)."""
    if isinstance(quota, int):
        return quota
    exact = Decimal(quota.removesuffix("%")) * replicas / 100
    return int(exact.to_integral_value(rounding="ROUND_CEILING" if up else "ROUND_FLOOR"))
