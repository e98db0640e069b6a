"""Tells one webhook one thing: a CloudEvent as JSON, to an address that was checked, within a time limit and without redirects."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final, NoReturn

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pointsman.cluster.answers import Missing, Refused
from pointsman.cluster.kinds import Json
from pointsman.errors import PointsmanError, Unavailable
from pointsman.rollout.plan import Notice
from pointsman.webhooks import addresses

SECONDS: Final = 10.0  # for all of it: the Secret, the name, the connection, TLS and the answer's first line
_LONGEST_WAIT: Final = 3600.0
_NAMES_AT_ONCE: Final = 4
_HEADERS: Final = {"Content-Type": "application/cloudevents+json; charset=utf-8", "User-Agent": "pointsman"}

Secrets = Callable[[str, str], Awaitable[Json]]
"""Reads a Secret by namespace and name."""


class Undelivered(Unavailable):
    """It was not taken; `after` is how many seconds the other side asks for. The message says why, and never a URL's path."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class Sender:
    """Sends notices, each over a connection of its own; proxies of the environment are not used, they would resolve anew."""

    def __init__(self, secrets: Secrets, *, seconds: float = SECONDS) -> None:
        self._secrets = secrets
        self._seconds = seconds
        self._tls = ssl.create_default_context()  # the system's authorities, or SSL_CERT_FILE's
        self._names = ThreadPoolExecutor(_NAMES_AT_ONCE, thread_name_prefix="names")  # a slow one delays nobody else's

    async def send(self, notice: Notice) -> None:
        """Deliver it. Raises Undelivered."""
        try:
            async with asyncio.timeout(self._seconds):
                headers = await self._headers(notice)
                if notice.event is not None:
                    await self._post(notice, headers)
        except Undelivered:
            raise
        except TimeoutError:
            raise Undelivered(f"it did not answer within {self._seconds:g} s") from None
        except aiohttp.ClientConnectorCertificateError as failure:
            raise Undelivered(f"its certificate is not trusted: {failure.certificate_error}") from None
        except aiohttp.ClientConnectorDNSError:
            raise Undelivered("there is no such host") from None
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            raise Undelivered(f"no answer ({type(failure).__name__})") from None

    def close(self) -> None:
        """Look up no more names."""
        self._names.shutdown(wait=False, cancel_futures=True)

    async def _headers(self, notice: Notice) -> dict[str, str]:
        if notice.secret is None:
            return _HEADERS
        namespace, name, key = notice.secret
        try:
            secret = await self._secrets(namespace, name)
        except Missing:
            _undelivered(f"there is no Secret {namespace}/{name}: create it, with the key {key!r}")
        except Refused as refused:
            _undelivered(
                f"the operator may not read Secret {namespace}/{name} ({refused}); docs/notifications.md says how"
            )
        except PointsmanError as failure:
            _undelivered(f"Secret {namespace}/{name} is not known yet: {failure}")
        return {**_HEADERS, "Authorization": f"Bearer {_token(secret, notice.secret)}"}

    async def _post(self, notice: Notice, headers: dict[str, str]) -> None:
        url = URL(notice.url, encoded=True)  # as it is written
        _check_literal(url.host or "", allow_private=notice.allow_private)
        resolver = _Checked(self._names, allow_private=notice.allow_private)
        connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True, ssl=self._tls)
        body = json.dumps(notice.event, ensure_ascii=False).encode()
        async with (
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            answer.close()  # what else it has to say is not read
            if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                raise Undelivered(_refused(answer.status), _seconds(answer.headers.get("Retry-After")))


class _Checked(AbstractResolver):
    """Finds addresses and checks them: the connection is made to one of those, so that no second answer leads elsewhere."""

    def __init__(self, pool: ThreadPoolExecutor, *, allow_private: bool) -> None:
        self._pool = pool
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._pool, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        )
        resolved = []
        for kind, _, proto, _, address in found:
            at = str(address[0])
            _check(at, allow_private=self._allow_private)
            resolved.append(
                ResolveResult(hostname=host, host=at, port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST)
            )
        return resolved

    async def close(self) -> None:
        """Nothing is its own."""


def _check_literal(host: str, *, allow_private: bool) -> None:
    """An address that stands in the URL itself is not resolved."""
    try:
        ip_address(host)
    except ValueError:
        return
    _check(host, allow_private=allow_private)


def _check(address: str, *, allow_private: bool) -> None:
    refused = addresses.refusal(address, allow_private=allow_private)
    if refused is not None:
        raise Undelivered(refused)


def _token(secret: Json, where: tuple[str, str, str]) -> str:
    """The token of a Secret, without the line's end that a file had."""
    namespace, name, key = where
    data: dict[str, Any] = secret.get("data") or {}
    if key not in data:
        _undelivered(f"Secret {namespace}/{name} has no key {key!r}: add it")
    try:
        token = base64.b64decode(data[key]).decode("ascii").strip()
    except (binascii.Error, UnicodeDecodeError):
        token = ""
    if not token or not token.isprintable():
        _undelivered(f"key {key!r} of Secret {namespace}/{name} is no token: write one line of printable ASCII")
    return token


def _undelivered(why: str) -> NoReturn:
    raise Undelivered(why) from None


def _refused(status: int) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"it answered {status}, and redirects are not followed: write the URL that it leads to"
    return f"it answered {status}"


def _seconds(header: str | None) -> float:
    """What the other side asks to wait; a date is not read."""
    return min(float(header), _LONGEST_WAIT) if header is not None and header.isdecimal() else 0.0
