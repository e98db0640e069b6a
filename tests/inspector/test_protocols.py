"""What answers say, by the protocol of the model server."""

from __future__ import annotations

import contextlib
import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.inspector.assignment import Protocol
from pointsman.inspector.documents import UnreadableError
from pointsman.inspector.outputs import Output
from pointsman.inspector.protocols import answer
from tests.inspector.test_documents import JSON
from tests.sizes import examples

EVENTS = "text/event-stream; charset=utf-8"


def tensor(name: str, data: Any, shape: Any = None) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": "FP64", "data": data}


def message(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **fields}, "finish_reason": "stop"}]}


def call(name: str, arguments: str, identity: str = "call_1") -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


READ: list[tuple[str, Protocol, Any, dict[str, Output]]] = [
    ("one value", "OpenInference", {"outputs": [tensor("predict", [1], [1])]}, {"predict": Output((1,), (1,))}),
    (
        "flat data has the tensor's shape",
        "OpenInference",
        {"outputs": [tensor("proba", [0.1, 0.9, 0.6, 0.4], [2, 2])]},
        {"proba": Output((0.1, 0.9, 0.6, 0.4), (2, 2))},
    ),
    (
        "nested data, two tensors",
        "OpenInference",
        {"id": "7f", "model_version": "7", "outputs": [tensor("a", [[1, 2]], [1, 2]), tensor("b", ["x"], [1])]},
        {"a": Output((1, 2), (1, 2)), "b": Output(("x",), (1,))},
    ),
    ("no tensor is a shape of words", "OpenInference", {"outputs": [tensor("a", [1], "x")]}, {"a": Output((1,), (1,))}),
    ("values", "KServeV1", {"predictions": [1, 0]}, {"predictions": Output((1, 0), (2,))}),
    ("rows", "KServeV1", {"predictions": [[1.5, 2], [3, 4]]}, {"predictions": Output((1.5, 2, 3, 4), (2, 2))}),
    (
        "rows of named outputs",
        "KServeV1",
        {"predictions": [{"score": 0.5, "label": "a"}, {"score": 0.25, "label": "b"}]},
        {"predictions/score": Output((0.5, 0.25), (2,)), "predictions/label": Output(("a", "b"), (2,))},
    ),
    ("columns", "KServeV1", {"outputs": {"score": [[0.5]]}}, {"outputs/score": Output((0.5,), (1, 1))}),
    (
        "a completion",
        "OpenAI",
        {"id": "cmpl-9", "choices": [{"index": 0, "text": " yes", "finish_reason": "length"}]},
        {"text": Output((" yes",), (1,)), "finish_reason": Output(("length",), (1,))},
    ),
    (
        "a chat",
        "OpenAI",
        message(content="Yes."),
        {"text": Output(("Yes.",), (1,)), "finish_reason": Output(("stop",), (1,))},
    ),
    (
        "choices by their index",
        "OpenAI",
        {"choices": [{"index": 1, "text": "b"}, {"index": 0, "text": "a"}]},
        {"text": Output(("a", "b"), (2,)), "finish_reason": Output(("", ""), (2,))},
    ),
    (
        "tool calls without their ids, whatever the order of keys",
        "OpenAI",
        message(content=None, tool_calls=[call("weather", '{"unit": "C", "city": "Bern"}')]),
        {
            "text": Output(("",), (1,)),
            "finish_reason": Output(("stop",), (1,)),
            "tool_calls": Output(('[["weather",{"city":"Bern","unit":"C"}]]',), (1,)),
        },
    ),
    (
        "leaves",
        "Json",
        {"score": 0.5, "why": {"top": ["age", "income"]}},
        {"/score": Output((0.5,), ()), "/why/top": Output(("age", "income"), (2,))},
    ),
    ("rows become columns", "Json", {"rows": [{"p": 1}, {"p": 2}]}, {"/rows/p": Output((1, 2), (2,))}),
    (
        "rows that differ are their text",
        "Json",
        {"rows": [{"p": 1}, {"q": 2}]},
        {"/rows": Output(('{"p":1}', '{"q":2}'), (2,))},
    ),
    ("a ragged list", "Json", {"a": [[1], [2, 3]]}, {"/a": Output((1, 2, 3), (2, -1))}),
    ("a single value", "Json", 0.5, {"": Output((0.5,), ())}),
]


@pytest.mark.parametrize(("protocol", "body", "outputs"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_what_is_read(protocol: Protocol, body: Any, outputs: dict[str, Output]) -> None:
    assert answer(protocol, json.dumps(body).encode(), "application/json").outputs == outputs


@pytest.mark.parametrize(
    ("protocol", "body"),
    [
        ("OpenInference", {"error": "no such model"}),
        ("OpenInference", {"outputs": []}),
        ("OpenInference", {"outputs": [{"name": "predict", "parameters": {"binary_data_size": 8}}]}),
        ("OpenInference", {"outputs": [tensor("a", [1]), tensor("a", [2])]}),
        ("OpenInference", []),
        ("KServeV1", {"error": "no such model"}),
        ("OpenAI", {"error": {"message": "overloaded"}}),
        ("OpenAI", {"choices": []}),
        ("OpenAI", {"choices": [{"index": -1, "text": "a"}]}),
        ("OpenAI", {"choices": [{"index": 10**9, "text": "a"}]}),
        ("OpenAI", message(content=["parts"])),
        ("OpenAI", message(tool_calls=["weather"])),
        ("Json", {str(number): number for number in range(300)}),
        ("Json", json.loads("[" * 40 + "]" * 40)),
    ],
)
def test_what_is_no_answer(protocol: Protocol, body: Any) -> None:
    with pytest.raises(UnreadableError):
        answer(protocol, json.dumps(body).encode(), "application/json")


def piece(**fields: Any) -> str:
    return json.dumps({"choices": [{"index": 0, **fields}]})


def test_a_streamed_chat_is_put_together() -> None:
    pieces = [
        ": a comment",
        f"data: {piece(delta={'role': 'assistant', 'content': ''})}",
        f"event: message\r\ndata:{piece(delta={'content': 'Ye'})}",
        f"data: {piece(delta={'content': 's.'})}",
        f"data: {piece(delta={}, finish_reason='stop')}",
        'data: {"choices": [], "usage": {"total_tokens": 9}}',
        "data: [DONE]",
        "data: what follows the end",
    ]
    body = "\r\n\r\n".join(pieces).encode()
    assert answer("OpenAI", body, EVENTS).outputs == {
        "text": Output(("Yes.",), (1,)),
        "finish_reason": Output(("stop",), (1,)),
    }


def test_streamed_tool_calls_are_put_together() -> None:
    pieces = [
        piece(delta={"tool_calls": [{"index": 0} | call("weather", "")]}),
        piece(delta={"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]}),
        piece(delta={"tool_calls": [{"index": 0, "function": {"arguments": '"Bern"}'}}]}),
    ]
    body = "".join(f"data: {one}\n\n" for one in pieces).encode()
    assert answer("OpenAI", body, EVENTS).outputs["tool_calls"].values == ('[["weather",{"city":"Bern"}]]',)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"data: [DONE]\n\n",
        b'data: {"choices": [{"index": 0, "delta": {"content": "Ye',
        b'data: {"choices": [{"index": 0, "delta": {"content": "Ye"}}]}\n\ndata: {"error": "out of memory"}\n\n',
        b'data: {"choices": []}\n\n' * 30_000,
    ],
    ids=["nothing", "only the end", "half a piece", "an error in its midst", "very many pieces"],
)
def test_a_stream_that_is_no_answer(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        answer("OpenAI", body, EVENTS)


WORDS = ["outputs", "predictions", "choices", "name", "data", "shape", "index", "delta", "message", "text", "content", "tool_calls",
         "function", "arguments"]  # fmt: skip
NEAR = st.recursive(
    st.none() | st.integers(-2, 3) | st.floats() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=examples(60))
@given(st.sampled_from(get_args(Protocol)), NEAR | JSON, st.sampled_from(["", "data: "]), st.booleans())
def test_any_document_is_an_answer_or_unreadable(protocol: Protocol, body: Any, before: str, cut: bool) -> None:  # noqa: FBT001
    text = before + json.dumps(body)
    with contextlib.suppress(UnreadableError):
        answer(protocol, (text[: len(text) // 2] if cut else text).encode(), EVENTS if before else "application/json")
