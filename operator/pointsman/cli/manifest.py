"""A part of a manifest against the schema of its CRD: what is wrong, where, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pointsman.api.cel import RULES
from pointsman.api.schema import INT_OR_STRING, LIST_KEYS, LIST_TYPE, PRESERVE, Schema
from pointsman.cli import expressions

_NAMES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
_SAID = {
    "string": "a string",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


def faults(value: Any, schema: Schema, *, path: str) -> Iterator[str]:
    """Yield a sentence, beginning with the path, for everything that the API server would not take.

    Args:
        value: as YAML gives it.
        schema: as `api.schema.structural` makes it.
        path: where the value stands, such as `spec`.
    """
    unfit = _wrong_type(value, schema)
    if unfit is not None:
        yield f"{path}: {unfit}"
        return
    inner = list(_inner(value, schema, path))
    yield from inner
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: write {_choice(schema['enum'])}, not {_short(value)}"
    yield from _sizes(value, schema, path)
    if not inner:  # a rule about a whole says nothing useful while its parts are wrong
        for rule in schema.get(RULES, ()):
            if not _holds(rule["rule"], value):
                yield f"{path}: {rule['message']}"


def _holds(rule: str, value: Any) -> bool:
    try:
        return expressions.holds(rule, value)
    except expressions.UnsupportedError:
        return True  # the API server will say it


def _wrong_type(value: Any, schema: Schema) -> str | None:
    message = next((rule["message"] for rule in schema.get(RULES, ()) if " " in rule["message"]), None)
    if schema.get(INT_OR_STRING):
        fits = isinstance(value, int | str) and not isinstance(value, bool)
        return None if fits else f"{message or 'write a whole number or a string'} (it is {_short(value)})"
    kind = schema.get("type", "object")
    if isinstance(value, _NAMES[kind]) and (kind != "integer" or not isinstance(value, bool)):
        return None
    if kind == "string" and message is not None:
        return f"{message} (it is {_short(value)}, not a string)"
    return f"write {_SAID[kind]}, not {_short(value)}"


def _inner(value: Any, schema: Schema, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from faults(item, schema["items"], path=f"{path}[{index}]")
        yield from _doubles(value, schema, path)
        return
    if not isinstance(value, dict) or schema.get(PRESERVE):
        return
    properties: Mapping[str, Schema] = schema.get("properties", {})
    for name, part in value.items():
        if name in properties:
            if part is not None:
                yield from faults(part, properties[name], path=f"{path}.{name}")
        elif isinstance(schema.get("additionalProperties"), dict):
            yield from faults(part, schema["additionalProperties"], path=f"{path}.{name}")
        else:
            yield f"{path}.{name}: there is no such field{_meant(str(name), properties)}"
    for name in schema.get("required", ()):
        if value.get(name) is None:
            yield f"{path}.{name}: it is missing, and it has to be given"


def _doubles(value: list[Any], schema: Schema, path: str) -> Iterator[str]:
    keys = schema.get(LIST_KEYS)
    if schema.get(LIST_TYPE) not in ("map", "set"):
        return
    seen: list[Any] = []
    for index, item in enumerate(value):
        if keys and not isinstance(item, dict):
            continue  # said already
        key = tuple(item.get(name) for name in keys) if keys else item
        if key in seen:
            said = (
                ", ".join(f"{name} {_short(part)}" for name, part in zip(keys, key, strict=True))
                if keys
                else _short(item)
            )
            yield f"{path}[{index}]: {said} is there twice: write each once"
        seen.append(key)


def _sizes(value: Any, schema: Schema, path: str) -> Iterator[str]:
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        yield f"{path}: write at most {schema['maxLength']} characters, not {len(value)}"
    if isinstance(value, list) and len(value) > schema.get("maxItems", len(value)):
        yield f"{path}: write at most {schema['maxItems']} entries, not {len(value)}"
    if isinstance(value, list) and len(value) < schema.get("minItems", 0):
        yield f"{path}: write at least {schema['minItems']} {'entry' if schema['minItems'] == 1 else 'entries'}"
    if isinstance(value, int) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            yield f"{path}: write at least {schema['minimum']}, not {value}"
        if value > schema.get("maximum", value):
            yield f"{path}: write at most {schema['maximum']}, not {value}"


def _meant(name: str, known: Mapping[str, Schema]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; there are {', '.join(f'`{one}`' for one in known)}" if known else ""


def _choice(options: list[Any]) -> str:
    return ", ".join(map(str, options[:-1])) + (" or " if options[1:] else "") + str(options[-1])


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 40 else f"{said[:37]}..."  # noqa: PLR2004  a line is short
