"""Judgement: what two replies to the same request amount to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from pointsman.inspector import comparators, documents, encodings, protocols, slices
from pointsman.inspector.assignment import Assignment, Bytes, Comparator
from pointsman.inspector.documents import Scalar, UnreadableError
from pointsman.inspector.outputs import Answer

Outcome: TypeAlias = Literal["ok", "refused", "error", "timeout", "unreachable", "too_large", "shed"]
"""Of one replay. ok: 2xx; refused: 4xx; error: anything else; shed: the inspector has no room left for the answer."""

REPLAYED: Final[tuple[Outcome, ...]] = tuple(one for one in get_args(Outcome) if one != "shed")
"""Those that are counted of a version: for want of room none is to blame."""

FAILURES: Final = frozenset({"error", "timeout", "unreachable"})

Handled: TypeAlias = Literal[
    "compared", "watched", "refused", "failed", "warmup", "unparsed", "too_large",
    "incomplete", "sampled_out", "shed", "abandoned", "crashed",
]  # fmt: skip
"""What became of a request; docs/inspector.md says what each means."""

HANDLED: Final[tuple[Handled, ...]] = get_args(Handled)
_CAPACITY: Final = frozenset({408, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How one version replied, in `seconds`; the body as it came, compressed perhaps."""

    outcome: Outcome
    seconds: float
    status: int = 0
    body: bytes = b""
    content_type: str = ""
    content_encoding: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of a request; `agreed` where the answers were compared, and the answers that could be read."""

    handled: Handled
    agreed: bool | None = None
    stable: Answer | None = None
    candidate: Answer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is counted of a request; its document is far larger and is not kept.

    slice     what it has where the slices look
    features  the value of each, or None
    """

    slice: str
    features: Sequence[Scalar]


NOTHING: Final = Asked(slice="", features=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """All that is counted of a request that was taken.

    replies   of stable and, where there is one, the candidate; none where they do not count
    asked     what the request said that is counted
    """

    finding: Finding
    replies: Sequence[Reply] = ()
    asked: Asked = NOTHING


class Judge:
    """Reads requests and answers by the assignment."""

    def __init__(self, assignment: Assignment) -> None:
        self._protocol = assignment.protocol
        self._comparators: Sequence[Comparator] = assignment.comparators
        self._limit = assignment.limits.bytes
        self._slices = assignment.slices
        self._features = assignment.counted_features
        self._opaque = bool(assignment.comparators) and all(isinstance(one, Bytes) for one in assignment.comparators)

    def request(self, body: bytes, headers: Mapping[str, str]) -> Asked:
        """What is counted of a request; nothing of one that cannot be read where only bytes are compared.

        Raises:
            UnreadableError: it cannot be read, so nothing that is answered to it could be.
        """
        document: Any = documents.MISSING
        try:
            document = documents.parse(encodings.decoded(body, headers.get("Content-Encoding", ""), self._limit))
        except UnreadableError:
            if not self._opaque:
                raise
        found = (documents.at(document, pointer) for pointer in self._features)
        return Asked(
            slice=slices.value(self._slices, headers, document) if self._slices is not None else "",
            features=[value if documents.is_scalar(value) else None for value in found],
        )

    def watched(self, reply: Reply) -> Finding:
        """What the only reply of a watch amounts to."""
        if reply.outcome != "ok":
            return Finding(handled=_without(reply.outcome))
        answer = self._read(reply)
        return Finding(handled="unparsed" if answer is None else "watched", stable=answer)

    def compared(self, stable: Reply, candidate: Reply) -> Finding:
        """What both replies amount to: agreement only where stable's answer can be read and the candidate's is the same.

        A candidate that refuses, or whose answer is too large or cannot be read, does not agree with a stable that answered.
        """
        outcomes = {stable.outcome, candidate.outcome}
        if "shed" in outcomes:
            return Finding(handled="shed")
        if outcomes & FAILURES or {stable.status, candidate.status} & _CAPACITY:
            return Finding(handled="failed")
        if stable.outcome == "too_large":
            return Finding(handled="too_large")
        if stable.outcome == "refused":
            same = candidate.outcome == "refused"
            return Finding(handled="refused") if same else Finding(handled="compared", agreed=False)
        answer = self._read(stable)
        if answer is None:
            return Finding(handled="unparsed")
        other = self._read(candidate) if candidate.outcome == "ok" else None
        agreed = other is not None and comparators.agree(self._comparators, answer, other)
        return Finding(handled="compared", agreed=agreed, stable=answer, candidate=other)

    def _read(self, reply: Reply) -> Answer | None:
        """The answer; None where it cannot be read or lacks what is compared."""
        try:
            body = encodings.decoded(reply.body, reply.content_encoding, self._limit)
            answer = (
                protocols.plain(body) if self._opaque else protocols.answer(self._protocol, body, reply.content_type)
            )
            return answer if comparators.readable(self._comparators, answer) else None
        except UnreadableError:
            return None


def _without(outcome: Outcome) -> Handled:
    match outcome:
        case "refused" | "too_large" | "shed":
            return outcome
        case _:
            return "failed"
