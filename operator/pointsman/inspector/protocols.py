"""Protocols: what the body of an answer says, by the API that the model server speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pointsman.inspector import openai
from pointsman.inspector.assignment import Protocol
from pointsman.inspector.documents import UnreadableError, parse
from pointsman.inspector.outputs import Answer, Output, named, output

_MOST_DIMENSIONS: Final = 16


def answer(protocol: Protocol, body: bytes, content_type: str) -> Answer:
    """What an answer says.

    Args:
        protocol: how the model server speaks.
        body: without its Content-Encoding.
        content_type: the header's value.

    Raises:
        UnreadableError: it is no answer of that protocol.
    """
    if protocol == "OpenAI" and content_type.strip().lower().startswith("text/event-stream"):
        return Answer(openai.streamed(body), None, body)
    document = parse(body)
    return Answer(_READERS[protocol](document), document, body)


def plain(body: bytes) -> Answer:
    """An answer of which only the bytes matter."""
    return Answer({}, None, body)


def _open_inference(document: Any) -> dict[str, Output]:
    """The Open Inference Protocol, version 2: `outputs`, a list of tensors with a name each."""
    found: dict[str, Output] = {}
    for tensor in _list(_object(document).get("outputs"), "outputs"):
        fields = _object(tensor)
        name, data = fields.get("name"), fields.get("data")
        if not isinstance(name, str) or not isinstance(data, list) or name in found:
            raise UnreadableError("an output of it has no name or data of its own")
        found[name] = _shaped(output(data), fields.get("shape"))
    if not found:
        raise UnreadableError("it has no outputs")
    return found


def _shaped(read: Output, shape: Any) -> Output:
    """Data may come flat: the shape is what the tensor says."""
    if isinstance(shape, list) and len(shape) <= _MOST_DIMENSIONS and all(type(size) is int for size in shape):
        return Output(read.values, tuple(shape))
    return read


def _kserve(document: Any) -> dict[str, Output]:
    """KServe's first protocol and TensorFlow Serving: `predictions`, row by row, or `outputs`, column by column."""
    fields = _object(document)
    for name in ("predictions", "outputs"):
        if name in fields:
            return named(name, fields[name])
    raise UnreadableError("it has neither predictions nor outputs")


def _json(document: Any) -> dict[str, Output]:
    """Anything: an output for every leaf, named by the pointer to it."""
    return named("", document)


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableError("it is no object where the protocol has one")
    return value


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise UnreadableError(f"its {name} are no list")
    return value


_READERS: Final[Mapping[Protocol, Callable[[Any], dict[str, Output]]]] = {
    "OpenInference": _open_inference,
    "KServeV1": _kserve,
    "OpenAI": openai.whole,
    "Json": _json,
}
