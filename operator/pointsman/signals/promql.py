"""PromQL that users write: read strictly, and written anew so that every selector in it stays inside of one namespace.

What is read here is written from what was understood, never copied: a name that is neither a function nor a word of the
grammar gets braces with our matcher, wherever it stands. What this grammar does not know is refused, so a part of PromQL
that is newer than it cannot lead around the matcher. Types are Prometheus' own affair.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from pointsman.signals.tokens import DURATION, RANGE, PromqlError, Token, quoted, tokens, unquoted

Op: TypeAlias = Literal["=", "!=", "=~", "!~"]
_Shape: TypeAlias = Literal["Instant", "Range", "String"]

_DEEPEST: Final = 40  # parentheses, calls and signs inside of each other

_PLACEHOLDER: Final = re.compile(r"\$([a-zA-Z_]+)")
PLACEHOLDERS: Final = ("namespace", "deployment", "revision")

_OPS: Final[Mapping[str, Op]] = {"=": "=", "!=": "!=", "=~": "=~", "!~": "!~"}
_AGGREGATION: Final = re.compile(
    "avg|bottomk|count|count_values|group|limitk|limit_ratio|max|min|quantile|stddev|stdvar|sum|topk"
)
_SETS: Final = frozenset(("and", "or", "unless", "atan2"))
_COMPARISONS: Final = frozenset(("==", "!=", ">", "<", ">=", "<="))
_ARITHMETIC: Final = frozenset("+-*/%^")
_WORDS: Final = _SETS | {"by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset"}
_CONSTANTS: Final = frozenset(("inf", "nan"))
_FUNCTION: Final = re.compile(  # not `info`, which reads series that no selector names
    r"""abs|absent(_over_time)?|a?(cos|sin|tan)h?|ceil|changes|clamp(_max|_min)?|day_of_(month|week|year)|days_in_month
    |deg|i?delta|deriv|exp|floor|histogram_(avg|count|fraction|quantile|stddev|stdvar|sum)|hour|increase|i?rate
    |label_(join|replace)|ln|log(10|2)|minute|month|pi|predict_linear|rad|resets|round|scalar|sgn|sort(_desc)?|sqrt
    |(avg|count|last|mad|max|min|present|quantile|stddev|stdvar|sum)_over_time|time|timestamp|vector|year""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label."""

    label: str
    op: Op
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.op}{quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric and conditions on its labels."""

    metric: str
    matchers: tuple[Matcher, ...] = ()

    def within(self, *matchers: Matcher) -> str:
        """As PromQL, with further conditions."""
        return f"{self.metric}{{{','.join(map(str, (*self.matchers, *matchers)))}}}"


def selector(text: str, names: Mapping[str, str]) -> Selector:
    """A plain selector of one metric by its name.

    Args:
        text: such as `orders_total{app="shop"}`.
        names: what `$namespace` and `$deployment` stand for in the values of labels.

    Raises:
        PromqlError: it is not one.
    """
    parser = _Parser(text, names)
    return parser.plain_selector()


def confined(text: str, names: Mapping[str, str], *, label: str = "namespace") -> str:
    """The query with every selector inside of the namespace `names["namespace"]`.

    Args:
        text: a query that answers with a number or an instant vector.
        names: what `$namespace`, `$deployment` and `$revision` stand for in the values of labels.
        label: what the scrape calls the namespace.

    Raises:
        PromqlError: it is no PromQL, or a part of it that cannot be confined.
    """
    own = Matcher(label, "=", names["namespace"])
    parser = _Parser(text, names, own)
    return parser.whole()


class _Parser:
    """Reads operand after operator; precedence does not matter, because what is written keeps its order."""

    def __init__(self, text: str, names: Mapping[str, str], own: Matcher | None = None) -> None:
        self._tokens = tokens(text)
        self._names = names
        self._own = () if own is None else (own,)
        self._next = 0
        self._depth = 0

    def plain_selector(self) -> Selector:
        name = self._take()
        if name.kind != "name" or _is_reserved(name.text.lower()):
            name.refuse('write a plain selector of counters, such as orders_total{app="shop"}')
        found = Selector(name.text, self._matchers() if self._peek().text == "{" else ())
        if self._peek().kind != "end":
            self._peek().refuse('write a plain selector of counters, such as orders_total{app="shop"}')
        if any(matcher.label == "__name__" for matcher in found.matchers):
            raise PromqlError("write the metric by its name alone, without a matcher of `__name__`")
        return found

    def whole(self) -> str:
        text, shape = self._expression()
        if self._peek().kind != "end":
            self._peek().refuse("the query should end here, or go on with an operator")
        if shape != "Instant":
            raise PromqlError(f"the query answers with a {shape.lower()}: write one that answers with numbers of now")
        return text

    def _expression(self) -> tuple[str, _Shape]:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._peek().refuse(f"more than {_DEEPEST} levels: write a recording rule for a part of it")
        text, shape = self._operand()
        while (operator := self._operator()) is not None:
            right, _ = self._operand()
            text, shape = f"{text} {operator} {right}", "Instant"
        self._depth -= 1
        return text, shape

    def _operator(self) -> str | None:
        token = self._peek()
        word = token.text.lower()
        if not (token.kind == "sign" and word in _ARITHMETIC | _COMPARISONS) and not (
            token.kind == "name" and word in _SETS
        ):
            return None
        self._take()
        parts = [word]
        if word in _COMPARISONS and self._word("bool"):
            parts.append("bool")
        matching = self._word("on", "ignoring")
        if matching:
            parts.append(f"{matching} {self._labels()}")
            group = self._word("group_left", "group_right")
            if group:
                parts.append(f"{group} {self._labels() if self._peek().text == '(' else '()'}")
        return " ".join(parts)

    def _operand(self) -> tuple[str, _Shape]:
        signs = ""
        while self._peek().kind == "sign" and self._peek().text in "+-":
            signs += f"{self._take().text} "  # apart: `--` would be no number of signs
            if len(signs) > _DEEPEST:
                self._peek().refuse("so many signs say nothing")
        text, shape = self._primary()
        while True:
            if self._peek().kind == "range":
                text, shape = text + self._range(), "Range"
            elif self._word("offset"):
                minus = "-" if self._accept("-") else ""
                text = f"{text} offset {minus}{self._duration()}"
            elif self._accept("@"):
                text = f"{text} @ {self._moment()}"
            else:
                return signs + text, shape

    def _range(self) -> str:
        token = self._take()
        found = RANGE.fullmatch(token.text)
        if found is None:
            token.refuse("write a range, such as [5m], or of a subquery [1h:1m]")
        return f"[{found['length']}:{found['step'] or ''}]" if found["colon"] else f"[{found['length']}]"

    def _moment(self) -> str:
        token = self._take()
        if token.kind == "name" and token.text.lower() in ("start", "end"):
            self._expect("(")
            self._expect(")")
            return f"{token.text.lower()}()"
        if token.kind != "number":
            token.refuse("after `@` write a Unix time, start() or end()")
        return token.text

    def _primary(self) -> tuple[str, _Shape]:
        token = self._peek()
        if token.kind == "number":
            return self._take().text, "Instant"
        if token.kind == "string":
            return quoted(unquoted(self._take())), "String"
        if self._accept("("):
            inner, shape = self._expression()
            self._expect(")")
            return f"({inner})", shape
        if token.text == "{":
            return self._selected("", self._matchers()), "Instant"
        if token.kind != "name":
            token.refuse("a metric, a number, a function or `(` should stand here")
        return self._named(self._take()), "Instant"

    def _named(self, token: Token) -> str:
        word, calls = token.text.lower(), self._peek().text == "("
        if word in _CONSTANTS:
            return word
        if _AGGREGATION.fullmatch(word):
            return self._aggregation(word)
        if word in _WORDS:
            token.refuse(f"`{token.text}` is a word of PromQL: for a metric of that name use a recording rule")
        if not calls:
            return self._selected(token.text, self._matchers() if self._peek().text == "{" else ())
        if not _FUNCTION.fullmatch(token.text):
            token.refuse(f"`{token.text}` is no function that a gate can use")
        return f"{token.text}({', '.join(self._arguments())})"

    def _aggregation(self, word: str) -> str:
        grouping = self._grouping()
        if self._peek().text != "(":
            self._peek().refuse(f"after `{word}` write what to aggregate in parentheses")
        inner = ", ".join(self._arguments())
        grouping = grouping or self._grouping()
        return f"{word} {grouping} ({inner})" if grouping else f"{word}({inner})"

    def _grouping(self) -> str:
        word = self._word("by", "without")
        return f"{word} {self._labels()}" if word else ""

    def _arguments(self) -> list[str]:
        self._expect("(")
        arguments: list[str] = []
        while not self._accept(")"):
            if arguments:
                self._expect(",")
            arguments.append(self._expression()[0])
        return arguments

    def _labels(self) -> str:
        self._expect("(")
        labels: list[str] = []
        while not self._accept(")"):
            if labels:
                self._expect(",")
                if self._accept(")"):
                    break
            labels.append(self._label())
        return f"({', '.join(labels)})"

    def _label(self) -> str:
        token = self._take()
        if token.kind != "name" or ":" in token.text:
            token.refuse("write the name of a label, without quotes")
        return token.text

    def _matchers(self) -> tuple[Matcher, ...]:
        self._expect("{")
        found: list[Matcher] = []
        while not self._accept("}"):
            if found:
                self._expect(",")
                if self._accept("}"):
                    break
            label, op = self._label(), self._take()
            if op.text not in _OPS:
                op.refuse(f"after the label `{label}` write =, !=, =~ or !~")
            found.append(self._replaced(Matcher(label, _OPS[op.text], unquoted(self._take()))))
        return tuple(found)

    def _replaced(self, matcher: Matcher) -> Matcher:
        """The matcher with names in place of what stands for them; a name has no character that a pattern reads otherwise."""

        def name(found: re.Match[str]) -> str:
            if found[1] not in self._names:
                known = ", ".join(f"${known}" for known in self._names)
                raise PromqlError(f"{matcher.label}: there is no {found[0]} here; there are {known}")
            return self._names[found[1]]

        return replace(matcher, value=_PLACEHOLDER.sub(name, matcher.value))

    def _selected(self, metric: str, matchers: tuple[Matcher, ...]) -> str:
        if not metric and not matchers:
            raise PromqlError("`{}` selects everything: name a metric")
        return Selector(metric, matchers).within(*self._own)

    def _duration(self) -> str:
        token = self._take()
        if not DURATION.fullmatch(token.text):
            token.refuse("write a duration, such as 5m or 1h30m")
        return token.text

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        return token

    def _accept(self, sign: str) -> bool:
        token = self._peek()
        if token.kind != "sign" or token.text != sign:
            return False
        self._take()
        return True

    def _expect(self, sign: str) -> None:
        if not self._accept(sign):
            self._peek().refuse(f"`{sign}` should stand here")

    def _word(self, *words: str) -> str | None:
        token = self._peek()
        if token.kind != "name" or token.text.lower() not in words:
            return None
        return self._take().text.lower()


def _is_reserved(word: str) -> bool:
    return word in _WORDS | _CONSTANTS or _AGGREGATION.fullmatch(word) is not None
