"""Lays one pod template over another, the way core/v1 merges: objects by field, keyed lists by key, other lists whole.

Templates are untrusted input: the schema of ModelDeployment and ModelRuntime does not look into them. What merging has
to rely on is checked here and refused with a sentence; everything else is left to the API server's dry run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pointsman.errors import Terminal
from pointsman.render.kinds import KINDS
from pointsman.render.schema import Field, Json, item_key, item_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEPTH_LIMIT: Final = 32
"""Levels below which a template is refused; the deepest field of a PodTemplateSpec is at about 15."""

ONE_OF: Final[Mapping[str, frozenset[str]]] = {
    "EnvVar": frozenset({"value", "valueFrom"}),
    "EnvVarSource": frozenset({"configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"}),
    "LifecycleHandler": frozenset({"exec", "httpGet", "sleep", "tcpSocket"}),
    "Probe": frozenset({"exec", "grpc", "httpGet", "tcpSocket"}),
}
"""Fields of which an object has exactly one: a template that names one means it instead of the other.

The OpenAPI document does not say so; without this, replacing a runtime's `value` by `valueFrom` or its HTTP probe by a
command would give an object with both, which the API server refuses. Volumes are covered by `Field.keep`.
"""

_DIRECTIVE: Final = "$patch"

Place: TypeAlias = "str | tuple[Place, str | int | tuple[tuple[str, ...], tuple[Any, ...]]]"
"""Where a value is: what is above it, and a field, an index or the keys of an item. Only an error needs it as text."""


def lay(base: Json, over: Json, *, where: str = "template") -> Json:
    """The template `base` with what `over` says laid over it.

    Args:
        base: A PodTemplateSpec without null fields: `{}`, or what this function returned.
        over: A PodTemplateSpec as somebody wrote it. `null` deletes a field. An object with `$patch: delete` deletes
            what `base` has in its place, one with `$patch: replace` ignores it: strategic merge's directives, needed
            for items of keyed lists and because a client-side `kubectl apply` swallows nulls.
        where: What errors call `over`, such as `spec.template`.

    Returns:
        A new PodTemplateSpec without null fields. Items that both have stay where `base` has them, new ones follow.

    Raises:
        Terminal: A value has the wrong type, an item lacks its key or has it twice, or the nesting is too deep.
    """
    _check_depth(over, where)
    return lay_checked(base, over, where=where)


def lay_checked(base: Json, over: Json, *, where: str = "template") -> Json:
    """The same for what is ours, or what `lay` returned."""
    return _object("PodTemplateSpec", base, _a_dict(over, where), where)


def _check_depth(template: object, where: str) -> None:
    level = [template]
    for _ in range(DEPTH_LIMIT):
        level = [child for value in level for child in _children(value)]
        if not level:
            return
    raise Terminal(f"{where} is nested deeper than {DEPTH_LIMIT} levels; no pod template needs that")


def _children(value: object) -> Sequence[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _object(kind: str | None, base: Json, over: Json, where: Place) -> Json:
    fields = KINDS.get(kind, {}) if kind is not None else {}
    over, merged = _directed(base, over, where)
    for name, value in over.items():
        if value is None or _deletes(value):
            merged.pop(name, None)
        else:
            merged[name] = _value(fields.get(name), merged.get(name), value, (where, name))
    one_of = ONE_OF.get(kind, frozenset()) if kind is not None else frozenset()
    named = {name for name in one_of if over.get(name) is not None}
    if named:
        merged = {name: value for name, value in merged.items() if name not in one_of - named}
    return merged


def _deletes(value: object) -> bool:
    return isinstance(value, dict) and value.get(_DIRECTIVE) == "delete"


def _directed(base: Json, over: Json, where: Place) -> tuple[Json, Json]:
    """`over` without its directive, and what it is laid over."""
    if _DIRECTIVE not in over:
        return over, dict(base)
    if over[_DIRECTIVE] != "replace":
        raise Terminal(
            f"{_text(where)} has a `{_DIRECTIVE}` that does not work there; `{_DIRECTIVE}: replace` takes an object as it is,"
            f" `{_DIRECTIVE}: delete` takes away a field, or an item of a list that is merged by key"
        )
    return {name: value for name, value in over.items() if name != _DIRECTIVE}, {}


def _value(field: Field | None, base: Any, over: Any, where: Place) -> Any:
    if field is None or field.shape == "quantity":
        if isinstance(over, dict):
            return _object(None, base if isinstance(base, dict) else {}, over, where)
        return over
    if field.shape == "list":
        items = _a_list(over, where, field)
        if field.keys:
            return _keyed(field, base or [], items, where)
        if field.of is not None:
            return [_object(field.of, {}, _a_dict(v, (where, i)), (where, i)) for i, v in enumerate(items)]
        return items
    return _object(field.of if field.shape == "object" else None, base or {}, _a_dict(over, where), where)


def _keyed(field: Field, base: list[Json], over: list[Any], where: Place) -> list[Json]:
    merged = {item_key(item, field.keys): item for item in base}
    seen = set()
    for index, item in enumerate(over):
        at = (where, index)
        key = _key(field.keys, _a_dict(item, at), at)
        path = (where, (field.keys, key))
        if key in seen:
            raise Terminal(f"{_text(path)} is there twice; keep one")
        seen.add(key)
        if _deletes(item):
            merged.pop(key, None)
            continue
        below = merged.get(key, {})
        if field.keep == "given":
            below = {name: value for name, value in below.items() if name in item}
        merged[key] = _object(field.of, below, item, path)
    return list(merged.values())


def _key(keys: tuple[str, ...], item: Json, where: Place) -> tuple[Any, ...]:
    values = item_key(item, keys)
    for name, value in zip(keys, values, strict=True):
        if value is None:
            raise Terminal(f"{_text(where)} has no `{name}`; its list is merged by `{name}`, so every item needs one")
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise Terminal(f"{_text(where)}.{name} is {_kind_of(value)}; write a plain value")
    return values


def _a_dict(value: object, where: Place) -> Json:
    if isinstance(value, dict):
        return value
    raise Terminal(f"{_text(where)} is {_kind_of(value)}; write an object")


def _a_list(value: object, where: Place, field: Field) -> list[Any]:
    if isinstance(value, list):
        return value
    items = "" if field.of is None else " of objects"
    by = f", each with `{'` and `'.join(field.keys)}`" if field.keys else ""
    raise Terminal(f"{_text(where)} is {_kind_of(value)}; write a list{items}{by}")


def _text(where: Place) -> str:
    if isinstance(where, str):
        return where
    above, step = where
    if isinstance(step, str):
        return f"{_text(above)}.{step}"
    return f"{_text(above)}[{step}]" if isinstance(step, int) else item_path(_text(above), *step)


def _kind_of(value: object) -> str:
    words: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (type(None), "null"),
        (bool, "true or false"),
        (str, "a string"),
        ((int, float), "a number"),
        (list, "a list"),
        (dict, "an object"),
    )
    return next((word for types, word in words if isinstance(value, types)), f"a {type(value).__name__}")
