"""What a Prometheus wants to see of us: token, headers and its certificate authority, in files that are read anew for every query."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")  # RFC 9110, a token
_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")
_MOST_BYTES: Final = 1 << 16


class UnusableError(Exception):
    """A file cannot be used; the message names it, and holds nothing of its content."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Files, as a Secret is mounted: whoever replaces them need not restart us.

    Attributes:
        token_file: a bearer token.
        headers_folder: a file for each header; its name is the header's, its content the value.
        ca_file: the authorities that may have signed the server's certificate, as PEM; none: those that the system trusts.
    """

    token_file: Path | None = None
    headers_folder: Path | None = None
    ca_file: Path | None = None

    @classmethod
    def named(cls, *, token_file: str | None, headers_folder: str | None, ca_file: str | None) -> Credentials:
        """Files by their names; empty: none."""
        return cls(token_file=_path(token_file), headers_folder=_path(headers_folder), ca_file=_path(ca_file))

    def headers(self) -> dict[str, str]:
        """The headers as they are now.

        Raises:
            UnusableError: a file cannot be read, or is no header.
        """
        found = dict(self._of_folder())
        if self.token_file is not None:
            found["Authorization"] = f"Bearer {_line(self.token_file)}"
        return found

    def verify(self) -> str | bool:
        """What the server's certificate is checked with, in the terms of `requests`.

        Raises:
            UnusableError: the file cannot be read.
        """
        if self.ca_file is None:
            return True
        if "-----BEGIN CERTIFICATE-----" not in _text(self.ca_file):
            raise UnusableError(f"{self.ca_file} holds no certificate: write the authority's as PEM")
        return str(self.ca_file)

    def _of_folder(self) -> Iterator[tuple[str, str]]:
        if self.headers_folder is None:
            return
        try:
            files = sorted(file for file in self.headers_folder.iterdir() if not file.name.startswith("."))
        except OSError as error:
            raise UnusableError(f"{self.headers_folder} cannot be read: {error.strerror}") from error
        for file in files:
            if not _NAME.fullmatch(file.name):
                raise UnusableError(f"{file} is not named as a header is: write a name such as X-Scope-OrgID")
            yield file.name, _line(file)


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None


def _line(file: Path) -> str:
    line = _text(file).strip()
    if not _VALUE.fullmatch(line):
        what = "nothing" if not line else "more than one line of printable ASCII"
        raise UnusableError(f"{file} holds {what}: write the value of a header")
    return line


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UnusableError(f"{file} cannot be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise UnusableError(f"{file} holds more than {_MOST_BYTES >> 10} KiB: is it the right file?")
    return content.decode("latin-1")
