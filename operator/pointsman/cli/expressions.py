"""The part of CEL that the API's validation rules use, so that a policy in a file is judged by the rules of the cluster.

Values are those of YAML: dict, list, str, int, float, bool. As on the API server, an expression that cannot be evaluated (a
missing field, a number that is none) is not true, and `&&` and `||` take the side that can be where it decides.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias

from pointsman.api import values

Scope: TypeAlias = Mapping[str, Any]
Term: TypeAlias = Callable[[Scope], Any]


class UnsupportedError(ValueError):
    """The expression uses a part of CEL that is not built here."""


class EvaluationError(ValueError):
    """The expression has no value for this object."""


def holds(expression: str, self: Any) -> bool:
    """Whether a rule is true of `self`; a rule that has no value is not.

    Raises:
        UnsupportedError: the rule uses CEL that is not built here.
    """
    try:
        return _compiled(expression)({"self": self}) is True
    except EvaluationError:
        return False


@functools.cache
def _compiled(expression: str) -> Term:
    parser = _Parser(expression)
    term = parser.ternary()
    parser.expect("")
    return term


class _Token(NamedTuple):
    kind: str
    text: str


_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<number>\d+\.\d+|\d+)|(?P<name>[A-Za-z_]\w*)|(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"""|(?P<sign>\|\||&&|==|!=|<=|>=|[-+*/%<>!?:.,()\[\]]))"""
)
_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda item, container: item in container,
}
_ADD: Final[Mapping[str, Callable[[Any, Any], Any]]] = {"+": operator.add, "-": operator.sub}
_LITERALS: Final[Mapping[str, Any]] = {"true": True, "false": False, "null": None}
_TYPES: Final[Mapping[str, type]] = {
    "int": int,
    "string": str,
    "double": float,
    "bool": bool,
    "list": list,
    "map": dict,
}


def _duration(text: str) -> Any:
    if not re.fullmatch(values.DURATION.strip("^$"), text):
        raise EvaluationError(f"{text!r} is no duration")
    return values.seconds(text)


_FUNCTIONS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "double": float,
    "int": int,
    "string": str,
    "duration": _duration,
    "size": len,
    "type": type,
}
_METHODS: Final[Mapping[str, Callable[..., Any]]] = {
    "matches": lambda text, pattern: re.search(re.sub(r"\$$", r"\\Z", pattern), text) is not None,
    "size": len,
    "isSorted": lambda items: all(low <= high for low, high in pairwise(items)),
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": lambda whole, part: part in whole,
}
_MACROS: Final[Mapping[str, Callable[[list[tuple[Any, Any]]], Any]]] = {
    "all": lambda pairs: all(said is True for _, said in pairs),
    "exists": lambda pairs: any(said is True for _, said in pairs),
    "exists_one": lambda pairs: sum(said is True for _, said in pairs) == 1,
    "filter": lambda pairs: [item for item, said in pairs if said is True],
    "map": lambda pairs: [said for _, said in pairs],
}


def _attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, re.error) as error:
        raise EvaluationError(str(error)) from error


def _binary(function: Callable[[Any, Any], Any], left: Term, right: Term) -> Term:
    return lambda scope: _attempt(function, left(scope), right(scope))


def _decided_by(value: bool, left: Term, right: Term) -> Term:  # noqa: FBT001  `false` decides &&, `true` decides ||
    """`&&` and `||`: either side may have no value where the other one decides."""

    def term(scope: Scope) -> Any:
        try:
            first = left(scope)
        except EvaluationError:
            if right(scope) is not value:
                raise
            return value
        if first is value:
            return value
        return right(scope) is True

    return term


class _Parser:
    """Recursive descent; each method reads one level of precedence, loosest first."""

    def __init__(self, text: str) -> None:
        self._tokens: list[_Token] = []
        position, text = 0, text.strip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise UnsupportedError(f"{text[position : position + 20]!r} is not read here")
            self._tokens.append(_Token(match.lastgroup or "", match.group(match.lastgroup or 0)))
            position = match.end()
        self._tokens.append(_Token("end", ""))
        self._next = 0

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        return token

    def _accept(self, text: str) -> bool:
        found = self._peek().kind != "string" and self._peek().text == text
        self._next += found
        return found

    def expect(self, text: str) -> None:
        """Take this token ("": the end)."""
        token = self._peek()
        if token.kind == "string" or token.text != text:
            raise UnsupportedError(f"{token.text!r} stands where {text or 'the end'!r} is read here")
        self._take()

    def ternary(self) -> Term:
        """`a ? b : c`."""
        condition = self._or()
        if not self._accept("?"):
            return condition
        yes = self.ternary()
        self.expect(":")
        no = self.ternary()
        return lambda scope: yes(scope) if condition(scope) is True else no(scope)

    def _or(self) -> Term:
        left = self._and()
        while self._accept("||"):
            left = _decided_by(True, left, self._and())
        return left

    def _and(self) -> Term:
        left = self._relation()
        while self._accept("&&"):
            left = _decided_by(False, left, self._relation())
        return left

    def _relation(self) -> Term:
        left = self._sum()
        while self._peek().kind != "string" and self._peek().text in _COMPARE:
            left = _binary(_COMPARE[self._take().text], left, self._sum())
        return left

    def _sum(self) -> Term:
        left = self._unary()
        while self._peek().kind == "sign" and self._peek().text in _ADD:
            left = _binary(_ADD[self._take().text], left, self._unary())
        return left

    def _unary(self) -> Term:
        if self._accept("!"):
            inner = self._unary()
            return lambda scope: inner(scope) is not True
        if self._accept("-"):
            inner = self._unary()
            return lambda scope: _attempt(operator.neg, inner(scope))
        return self._member()

    def _member(self) -> Term:
        term = self._primary()
        while True:
            if self._accept("."):
                name = self._take().text
                term = self._call(term, name) if self._accept("(") else _field(term, name)
            elif self._accept("["):
                term = _binary(operator.getitem, term, self.ternary())
                self.expect("]")
            else:
                return term

    def _call(self, term: Term, name: str) -> Term:
        if name in _MACROS:
            variable = self._take().text
            self.expect(",")
            body = self.ternary()
            self.expect(")")
            macro = _MACROS[name]
            return lambda scope: macro(
                [(item, body({**scope, variable: item})) for item in _attempt(list, term(scope))]
            )
        if name not in _METHODS:
            raise UnsupportedError(f"the method {name} is not built here")
        arguments, method = self._arguments(")"), _METHODS[name]
        return lambda scope: _attempt(method, term(scope), *(argument(scope) for argument in arguments))

    def _arguments(self, closing: str) -> list[Term]:
        arguments: list[Term] = []
        while not self._accept(closing):
            arguments.append(self.ternary())
            if not self._accept(","):
                self.expect(closing)
                break
        return arguments

    def _primary(self) -> Term:
        token = self._take()
        if token.kind == "number":
            number = float(token.text) if "." in token.text else int(token.text)
            return lambda _: number
        if token.kind == "string":
            text = re.sub(r"\\(.)", r"\1", token.text[1:-1])
            return lambda _: text
        if token.text == "(" and token.kind == "sign":
            inner = self.ternary()
            self.expect(")")
            return inner
        if token.text == "[" and token.kind == "sign":
            items = self._arguments("]")
            return lambda scope: [item(scope) for item in items]
        if token.kind != "name":
            raise UnsupportedError(f"{token.text!r} is not read here")
        return self._named(token.text)

    def _named(self, name: str) -> Term:
        if self._accept("("):
            if name == "has":
                return self._has()
            if name not in _FUNCTIONS:
                raise UnsupportedError(f"the function {name} is not built here")
            (argument,), function = self._arguments(")"), _FUNCTIONS[name]
            return lambda scope: _attempt(function, argument(scope))
        if name in _LITERALS:
            return lambda _: _LITERALS[name]
        if name in _TYPES:
            return lambda _: _TYPES[name]
        return lambda scope: _attempt(operator.getitem, scope, name)

    def _has(self) -> Term:
        """`has(a.b.c)`: whether `c` is given in `a.b`, which must exist."""
        term = self._primary()
        self.expect(".")
        name = self._take().text
        while self._accept("."):
            term, name = _field(term, name), self._take().text
        self.expect(")")
        return lambda scope: _attempt(lambda parent: parent.get(name) is not None, term(scope))


def _field(term: Term, name: str) -> Term:
    return lambda scope: _attempt(operator.getitem, term(scope), name)
