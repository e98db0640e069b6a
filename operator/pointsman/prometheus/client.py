"""One query over HTTP: prometheus-api-client by POST, with one deadline for the whole answer, warnings kept and faults in words."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests.adapters import Retry
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from pointsman.prometheus.body import read
from pointsman.prometheus.credentials import Credentials, UnusableError

_CHUNK: Final = 1 << 16
_LARGEST: Final = 1 << 28  # bytes of one answer; 5,000 rollouts' histograms are a tenth of it
_SHOWN: Final = 300  # characters of somebody else's error text
_OFF: Final = 30  # seconds between its clock and ours; a scrape may be a minute old, so this is not yet another time
_OK: Final = 200
_REDIRECT: Final = range(300, 400)


class QueryError(Exception):
    """There is no usable answer; the message is a sentence without credentials."""


class LateError(QueryError):
    """The answer was not complete in time."""


@dataclass(frozen=True, kw_only=True)
class _Identity:
    """Who we are to the server at one query, what its certificate is checked with, and what must not be told of it."""

    headers: Mapping[str, str]
    verify: str | bool
    secrets: tuple[str, ...]


class Client(PrometheusConnect):
    """Prometheus at a URL.

    The original sends even POSTs with the query in the URL, drops `warnings` (which mean partial data), follows redirects to
    login pages and waits as long as the server sends a byte now and then.
    """

    def __init__(self, url: str, *, credentials: Credentials) -> None:
        # No retries below: they would multiply the deadline. A query that was lost with its connection is asked again here.
        super().__init__(url=url, retry=Retry(total=0), method="POST")
        self._name = without_credentials(url)
        self._credentials = credentials

    def custom_query(self, query: str, params: dict[str, Any] | None = None, timeout: float | None = None) -> Any:
        """The whole JSON answer to an instant query.

        Args:
            query: PromQL.
            params: further parameters, such as `time`.
            timeout: seconds for connecting, waiting and reading together.

        Raises:
            LateError: the answer was not complete within `timeout`.
            QueryError: there is none, or it is not one of Prometheus.
        """
        return self._asked("query", {"query": query, **(params or {})}, timeout)

    def custom_query_range(  # noqa: PLR0917  the original's
        self,
        query: str,
        start_time: datetime,
        end_time: datetime,
        step: str,
        params: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """The whole JSON answer to a range query; the rest is as for an instant one.

        Args:
            query: PromQL.
            start_time: the first time, to the millisecond: the original rounds it to seconds.
            end_time: the last one.
            step: from one to the next, in seconds.
            params: further parameters.
            timeout: seconds for connecting, waiting and reading together.

        Raises:
            LateError: the answer was not complete within `timeout`.
            QueryError: there is none, or it is not one of Prometheus.
        """
        form = {
            "query": query,
            "start": f"{start_time.timestamp():.3f}",
            "end": f"{end_time.timestamp():.3f}",
            "step": step,
            **(params or {}),
        }
        return self._asked("query_range", form, timeout)

    def _asked(self, endpoint: str, parameters: Mapping[str, Any], timeout: float | None) -> Any:
        limit = 5.0 if timeout is None else timeout
        deadline = time.monotonic() + limit
        form = {"timeout": f"{limit * 1000:.0f}ms", **parameters}
        identity = self._identity()
        try:
            try:
                status, body = self._post(endpoint, form, identity, deadline=deadline)
            except (requests.ConnectionError, ProtocolError) as error:
                if isinstance(error, requests.Timeout | requests.exceptions.SSLError):
                    raise
                # Mostly a kept connection that the server closed in the meantime; a query can be asked twice.
                status, body = self._post(endpoint, form, identity, deadline=deadline)
        except (requests.Timeout, ReadTimeoutError) as error:
            raise LateError(f"Prometheus at {self._name} did not answer within {limit:g} s") from error
        except (requests.RequestException, HTTPError) as error:
            raise QueryError(
                f"Prometheus at {self._name} cannot be reached: {_shown(_cause(error), identity)}"
            ) from error
        return self._judged(status, body, identity)

    def _identity(self) -> _Identity:
        try:
            headers, verify = self._credentials.headers(), self._credentials.verify()
        except UnusableError as error:
            raise QueryError(f"Prometheus at {self._name} is not asked: {error}") from error
        return _Identity(headers=headers, verify=verify, secrets=_secrets(self.url, headers))

    def _post(
        self, endpoint: str, form: Mapping[str, str], identity: _Identity, *, deadline: float
    ) -> tuple[int, bytes]:
        left = deadline - time.monotonic()
        if left <= 0:
            raise requests.Timeout("no time left")
        response = self._session.post(
            f"{self.url}/api/v1/{endpoint}",
            data=form,
            headers=identity.headers,
            verify=identity.verify,
            timeout=left,
            stream=True,
            allow_redirects=False,
        )
        with response:
            self._compare_clocks(response.headers.get("Date"))
            body = bytearray()
            # read1 returns what is there: a server that sends a byte a second does not hold us past the deadline.
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                body += chunk
                if time.monotonic() > deadline:
                    raise requests.Timeout("slow answer")
                if len(body) > _LARGEST:
                    raise QueryError(f"Prometheus at {self._name} answers with more than {_LARGEST >> 20} MB")
            return response.status_code, bytes(body)

    def _compare_clocks(self, date: str | None) -> None:
        """Refuse an answer of a server to which it is another time than to us, where it says what time it is.

        We ask for its samples at our time: where its clock is ahead these are old ones, and it would call them fresh.
        """
        try:
            ahead = parsedate_to_datetime(date or "").timestamp() - time.time()
        except ValueError:
            return
        if abs(ahead) > _OFF:
            where = "ahead of" if ahead > 0 else "behind"
            raise QueryError(
                f"the clock of Prometheus at {self._name} is more than {_OFF} s {where} the operator's:"
                " set the clocks of their nodes (NTP)"
            )

    def _judged(self, status: int, body: bytes, identity: _Identity) -> Any:
        if status in _REDIRECT:
            raise QueryError(
                f"{self._name} answers with a redirect (HTTP {status}): is it a login page? Write the URL of Prometheus itself"
            )
        try:
            answer = read(body)
        except ValueError as error:
            what = "an HTML page" if body.lstrip()[:1] == b"<" else "something that is not JSON"
            raise QueryError(
                f"{self._name} answers with {what} (HTTP {status}): is it the URL of Prometheus, with its path prefix?"
            ) from error
        if status != _OK or not isinstance(answer, dict) or answer.get("status") != "success":
            said = answer.get("error") if isinstance(answer, dict) else None
            kind = answer.get("errorType", "error") if isinstance(answer, dict) else "error"
            text = f": {_shown(f'{kind}: {said}', identity)}" if said else ""
            raise QueryError(f"Prometheus at {self._name} refuses the query (HTTP {status}){text}")
        return answer


def _shown(text: str, identity: _Identity) -> str:
    """Somebody else's words: on one line, short, and without what we must not tell."""
    for secret in identity.secrets:
        text = text.replace(secret, "***")
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def without_credentials(url: str) -> str:
    """The URL as it may be shown; one that cannot be read is not shown at all."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "..."
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _secrets(url: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    """What must not be told: the URL's password, as written and as sent, and the values of headers."""
    parts = urlsplit(url)
    found = []
    if parts.password:
        user, password = unquote(parts.username or ""), unquote(parts.password)
        found += [
            parts.password,
            password,
            base64.b64encode(f"{user}:{password}".encode("latin-1", "replace")).decode(),
        ]
    for value in headers.values():
        found += [value, value.rpartition(" ")[2]]
    return tuple(sorted({secret for secret in found if secret}, key=len, reverse=True))


def _cause(error: BaseException) -> str:
    """The innermost reason, such as `Connection refused`: the layers above only wrap it."""
    inner: BaseException = error
    while True:
        nested = getattr(inner, "reason", None) or (inner.args[0] if inner.args else None)
        following = nested if isinstance(nested, BaseException) else inner.__cause__ or inner.__context__
        if following is None:
            break
        inner = following
    strerror = getattr(inner, "strerror", None)
    return str(strerror or inner or type(inner).__name__)
