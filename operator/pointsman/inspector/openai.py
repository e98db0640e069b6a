"""The OpenAI-compatible API: the text of completions and chats, answered at once or streamed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from pointsman.inspector.documents import UnreadableError, canonical, parse
from pointsman.inspector.outputs import Output

_MOST_CHOICES: Final = 128
_MOST_EVENTS: Final = 20_000
_MOST_CALLS: Final = 128
_DONE: Final = b"[DONE]"
_LINES: Final = re.compile(rb"\r\n|\n|\r")


@dataclass(slots=True)
class _Choice:
    """One of the answers that were asked for, put together from its pieces."""

    text: list[str] = field(default_factory=list)
    calls: dict[int, list[str]] = field(default_factory=dict)  # of tools: name and arguments, in pieces
    ending: str = ""


def whole(document: Any) -> dict[str, Output]:
    """The outputs of an answer: `text`, `finish_reason` and, where there are any, `tool_calls`, one value a choice.

    Raises:
        UnreadableError: it is no completion.
    """
    choices: dict[int, _Choice] = {}
    _add(choices, document, "message")
    return _outputs(choices)


def streamed(body: bytes) -> dict[str, Output]:
    """The same of an answer that came as server-sent events.

    Raises:
        UnreadableError: an event is no piece of a completion, such as an error in its midst.
    """
    choices: dict[int, _Choice] = {}
    for number, event in enumerate(_events(body)):
        if number == _MOST_EVENTS:
            raise UnreadableError("it has too many events")
        if event.strip() == _DONE:
            break
        _add(choices, parse(event), "delta")
    return _outputs(choices)


def _events(body: bytes) -> Iterator[bytes]:
    """The data of each event, as the HTML standard reads them."""
    data: list[bytes] = []
    for line in _LINES.split(body):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data = []
    if data:
        yield b"\n".join(data)


def _add(choices: dict[int, _Choice], document: Any, key: str) -> None:
    """Adds what a document says of each choice, under `message`, or under `delta` where it is streamed, or as `text`."""
    if not isinstance(document, dict) or not isinstance(document.get("choices"), list):
        raise UnreadableError("it has no choices")
    for piece in document["choices"]:
        index = piece.get("index", 0) if isinstance(piece, dict) else None
        if type(index) is not int or not 0 <= index < _MOST_CHOICES:
            raise UnreadableError("a choice of it has no index")
        choice = choices.setdefault(index, _Choice())
        said = piece.get(key)
        if isinstance(said, dict):
            choice.text.append(_text(said.get("content")))
            _add_calls(choice, said.get("tool_calls"))
        else:
            choice.text.append(_text(piece.get("text")))
        choice.ending = _text(piece.get("finish_reason")) or choice.ending


def _add_calls(choice: _Choice, calls: Any) -> None:
    for number, call in enumerate(calls if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            raise UnreadableError("a tool call of it names no function")
        index = call.get("index", number)
        if type(index) is not int or not 0 <= index < _MOST_CALLS:
            raise UnreadableError("a tool call of it has no index")
        parts = choice.calls.setdefault(index, ["", ""])
        parts[0] += _text(function.get("name"))
        parts[1] += _text(function.get("arguments"))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnreadableError("something is no text that should be")
    return value


def _outputs(choices: dict[int, _Choice]) -> dict[str, Output]:
    if not choices:
        raise UnreadableError("it has no choices")
    ordered = [choices[index] for index in sorted(choices)]
    found = {
        "text": ["".join(choice.text) for choice in ordered],
        "finish_reason": [choice.ending for choice in ordered],
    }
    if any(choice.calls for choice in ordered):
        found["tool_calls"] = [_calls(choice) for choice in ordered]
    return {name: Output(tuple(values), (len(values),)) for name, values in found.items()}


def _calls(choice: _Choice) -> str:
    """The calls without their random ids; arguments are JSON, of which the order of keys says nothing."""
    return canonical([[name, _arguments(text)] for _, (name, text) in sorted(choice.calls.items())])


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
