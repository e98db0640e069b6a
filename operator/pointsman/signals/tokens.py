"""The words of PromQL: a query as tokens, and strings as they are written and as they are meant."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, NoReturn

_DURATION = r"(?:[0-9]+(?:ms|[smhdwy]))+"
_TOKEN: Final = re.compile(
    rf"""(?P<space>\s+|\#[^\n]*)
    |(?P<number>0[xX][0-9a-fA-F]+|{_DURATION}|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)(?![\w.])
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |(?P<range>\[[^\]]*\])
    |(?P<sign>=~|!~|==|!=|<=|>=|[-+*/%^<>=(){{}},@])""",
    re.VERBOSE | re.ASCII,
)
DURATION: Final = re.compile(_DURATION, re.ASCII)
RANGE: Final = re.compile(rf"\[\s*(?P<length>{_DURATION})\s*(?P<colon>:\s*(?P<step>{_DURATION})?\s*)?\]", re.ASCII)

_ESCAPE: Final = re.compile(
    r"""\\(?:(?P<plain>[abfnrtv\\'"])|x(?P<hex>[0-7][0-9a-fA-F])|(?P<octal>[01][0-7]{2})"""
    r"""|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<unknown>.))""",
    re.DOTALL,
)
_PLAIN: Final = dict(zip("abfnrtv\\'\"", "\a\b\f\n\r\t\v\\'\"", strict=True))


class PromqlError(ValueError):
    """The text cannot be used; the message says where, why, and what to write instead."""


class Token(NamedTuple):
    """A word; `at` is its column, from 1; the last one is of the kind `end`."""

    kind: str
    text: str
    at: int

    def refuse(self, sentence: str) -> NoReturn:
        """Say what is wrong here.

        Raises:
            PromqlError: always.
        """
        what = "the end" if self.kind == "end" else repr(self.text[:20])
        raise PromqlError(f"column {self.at}, at {what}: {sentence}")


def tokens(text: str) -> list[Token]:
    """The words of a query, without spaces and comments.

    Raises:
        PromqlError: a part of it is no word of PromQL.
    """
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise PromqlError(f"column {position + 1}: {text[position : position + 20]!r} is no PromQL")
        if match.lastgroup != "space":
            found.append(Token(match.lastgroup or "", match[0], position + 1))
        position = match.end()
    return [*found, Token("end", "", len(text) + 1)]


def unquoted(token: Token) -> str:
    """What a string means.

    Raises:
        PromqlError: it is no string, or has an escape that there is not.
    """
    if token.kind != "string":
        token.refuse('write a string in quotes, such as "shop"')
    if token.text[0] == "`":
        return token.text[1:-1]

    def character(found: re.Match[str]) -> str:
        if found["plain"]:
            return _PLAIN[found["plain"]]
        if found["unknown"]:
            token.refuse(f"there is no `{found[0]}` in a string: a backslash of a pattern is written twice")
        code = int(found["hex"] or found["short"] or found["long"] or found["octal"], 8 if found["octal"] else 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:  # noqa: PLR2004  what Unicode has no character for
            token.refuse(f"`{found[0]}` is no character")
        return chr(code)

    return _ESCAPE.sub(character, token.text[1:-1])


def quoted(value: str) -> str:
    """A PromQL string that means this."""
    return '"' + "".join(_written(character) for character in value) + '"'


def _written(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character == "\n":
        return "\\n"
    return character if character >= " " and character != "\x7f" else f"\\x{ord(character):02x}"
