"""Compares an object as the API server has it with the one we would apply, so that nothing is written when nothing changed.

A live object has more than we wrote: defaults, what others own, values in another notation. A difference is only what
an apply would change: a field of ours that is missing or differs, and a field that we wrote once and no longer want
(the server remembers that in `managedFields`). What others added beside ours is theirs, as in server-side apply.
"""

from __future__ import annotations

import json
import re
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Any, Final

from pointsman.api.names import MANAGER
from pointsman.render.kinds import KINDS
from pointsman.render.schema import Field, Json, item_key, item_path

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILT_IN: Final = {
    ("apps/v1", "Deployment"): "Deployment",
    ("v1", "Service"): "Service",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "HorizontalPodAutoscaler",
}
"""Kinds whose Go types drop empty values; custom resources keep exactly what was written."""

ZERO_KEPT: Final = frozenset(
    {
        "allowPrivilegeEscalation",
        "automountServiceAccountToken",
        "defaultMode",
        "enableServiceLinks",
        "fsGroup",
        "hostProcess",
        "hostUsers",
        "maxSurge",
        "maxUnavailable",
        "optional",
        "privileged",
        "readOnlyRootFilesystem",
        "replicas",
        "revisionHistoryLimit",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
        "terminationGracePeriodSeconds",
    }
)
"""Fields of built-in kinds that are pointers in Go (k8s.io/api core/v1 and apps/v1): `false` and 0 are kept there, and
their absence means something else. Elsewhere the server drops `false`, 0 and empty text."""

_QUANTITY = re.compile(r"([+-]?[0-9]{0,30}\.?[0-9]{0,30})([numkMGTPE]?|[KMGTPE]i|[eE][+-]?[0-9]{1,2})")
_SI: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = "KMGTPE"


def covers(live: Json, desired: Json) -> bool:
    """Whether applying `desired` would change nothing."""
    return next(_differences(live, desired), None) is None


def difference(live: Json, desired: Json) -> list[str]:
    """Where applying `desired` would change `live`: paths such as `spec.ports[port=80].targetPort`.

    Args:
        live: The object as the API server returned it, with `managedFields`: without them, a field that we wrote once and
            no longer want goes unnoticed.
        desired: The object as rendered.
    """
    return list(_differences(live, desired))


def _differences(live: Json, desired: Json) -> Iterator[str]:
    kind = BUILT_IN.get((desired["apiVersion"], desired["kind"]))
    for name, want in desired.items():
        if name in ("apiVersion", "kind"):  # items of a list answer carry neither
            continue
        if kind is not None:
            yield from _built_in(KINDS[kind].get(name), live.get(name), want, name)
        elif name == "metadata":
            yield from _built_in(Field("object", "ObjectMeta"), live.get(name), want, name)
        else:
            yield from _custom(live.get(name), want, name)
    for entry in live.get("metadata", {}).get("managedFields", []):
        if entry.get("manager") == MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            yield from _no_longer_wanted(entry.get("fieldsV1", {}), desired, "")


def _custom(have: Any, want: Any, path: str) -> Iterator[str]:
    """A value of a custom resource; its lists are compared whole, so what we render spells their defaults out."""
    if isinstance(have, dict) and isinstance(want, dict):
        for name, value in want.items():
            yield from _custom(have.get(name), value, f"{path}.{name}")
    elif have != want:
        yield path


def _built_in(field: Field | None, have: Any, want: Any, path: str) -> Iterator[str]:
    """A value of a built-in kind, `field` being None for plain values."""
    if have is None:
        if not _dropped(field, want, path):
            yield path
    elif field is None:
        if have != want:
            yield path
    elif field.shape == "quantity":
        if not _same_quantity(have, want):
            yield path
    elif isinstance(want, dict) and isinstance(have, dict):
        yield from _in_object(field, have, want, path)
    elif isinstance(want, list) and isinstance(have, list):
        yield from _in_list(field, have, want, path)
    else:
        yield path


def _in_object(field: Field, have: Json, want: Json, path: str) -> Iterator[str]:
    inner = Field("quantity") if field.of == "quantity" else None
    fields = KINDS.get(field.of or "", {}) if field.shape == "object" else {}
    for name, value in want.items():
        there = have.get(name)
        if there != value:  # most of an object is as it was rendered
            yield from _built_in(fields.get(name, inner), there, value, f"{path}.{name}")
    if field.atomic:
        yield from (f"{path}.{name}" for name in have if name not in want)


def _in_list(field: Field, have: list[Any], want: list[Any], path: str) -> Iterator[str]:
    item = Field("object", field.of) if field.of is not None else None
    if field.keys:
        by_key = {item_key(one, field.keys): one for one in have}
        for one in want:
            key = item_key(one, field.keys)
            yield from _built_in(item, by_key.get(key), one, item_path(path, field.keys, key))
    elif len(have) != len(want):
        yield path
    else:
        for index, (there, wanted) in enumerate(zip(have, want, strict=True)):
            yield from _built_in(item, there, wanted, f"{path}[{index}]")


def _dropped(field: Field | None, want: Any, path: str) -> bool:
    """Whether the server stores this value as nothing at all."""
    if want is None or want == []:
        return True
    if field is None:
        return want in ("", False, 0) and path.rpartition(".")[2] not in ZERO_KEPT
    return want == {} and field.shape == "map"


def _same_quantity(have: Any, want: Any) -> bool:
    """`0.5` and `500m`, `1024Mi` and `1Gi`: the server stores the shortest notation of the same amount."""
    amounts = _milli(have), _milli(want)
    return have == want if None in amounts else amounts[0] == amounts[1]


def _milli(quantity: Any) -> int | None:
    """A quantity in thousandths, rounded up as the server does; None for what is none."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None or not any(char.isdigit() for char in match[1]):
        return None
    number, suffix = Decimal(match[1]), match[2]
    if suffix.endswith("i"):
        number *= 1024 ** (_BINARY.index(suffix[0]) + 1)
    else:
        number = number.scaleb(_SI[suffix] if suffix in _SI else int(suffix[1:]))
    return int((number * 1000).to_integral_value(rounding=ROUND_CEILING))


def _no_longer_wanted(owned: Json, desired: Any, path: str) -> Iterator[str]:
    """What an earlier apply of ours wrote (a `fieldsV1` set) and `desired` does not have."""
    for element, below in owned.items():
        sort, _, name = element.partition(":")
        if sort == "f" and isinstance(desired, dict):
            there = f"{path}.{name}".removeprefix(".")
            if name not in desired:
                yield there
            else:
                yield from _no_longer_wanted(below, desired[name], there)
        elif sort == "k" and isinstance(desired, list):
            key: Json = json.loads(name)
            keys = tuple(key)
            there = item_path(path, keys, tuple(key.values()))
            match = next((item for item in desired if item_key(item, keys) == tuple(key.values())), None)
            if match is None:
                yield there
            else:
                yield from _no_longer_wanted({k: v for k, v in below.items() if k[2:] not in keys}, match, there)
