"""CEL rules as the models carry them: each with the one line that tells the user what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

RULES = "x-kubernetes-validations"


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Schema extra: rules and their messages."""
    return {RULES: [{"rule": rule, "message": message} for rule, message in pairs]}


def literal(text: str) -> str:
    r"""A CEL string literal: `a\.b` -> `'a\\.b'`."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def matching(
    pattern: str, message: str, *, max_length: int, also: str = "true", more: tuple[tuple[str, str], ...] = ()
) -> FieldInfo:
    """A string field that matches an RE2 pattern, with a sentence for those that do not.

    A bare `pattern` answers with the expression itself. Here it guards parsing in Python only; the API server says `message`.

    Args:
        pattern: anchored; without look-around.
        message: what to write instead.
        max_length: characters.
        also: a CEL condition, evaluated where the pattern matches.
        more: further rules and their messages.
    """
    condition = f"self.matches({literal(pattern)})" + ("" if also == "true" else f" && {also}")
    field: FieldInfo = Field(
        pattern=pattern, max_length=max_length, json_schema_extra=rules((condition, message), *more)
    )
    return field
