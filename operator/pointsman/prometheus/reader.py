"""Reads the queries of a look from Prometheus, all at once, off the event loop and never for longer than its limit."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from pointsman.prometheus.answer import parse, parse_range
from pointsman.prometheus.client import Client, LateError, QueryError, without_credentials
from pointsman.prometheus.credentials import Credentials
from pointsman.signals.queries import Query, RangeQuery
from pointsman.signals.samples import Answer, Failed, RangeAnswer

_Asked = TypeVar("_Asked", Query, RangeQuery)
_Told = TypeVar("_Told")
_GRACE: Final = 0.5  # seconds beyond the limit until we stop waiting for our own threads


class Reader:
    """Prometheus as the look loop sees it: queries in, an answer for each of them out."""

    def __init__(
        self,
        url: str,
        *,
        timeout: timedelta = timedelta(seconds=5),
        credentials: Credentials | None = None,
        workers: int = 4,
    ) -> None:
        """Make a reader; nothing is sent before the first `read`.

        Args:
            url: Prometheus' URL with its path prefix, without /api/v1.
            timeout: for all queries of a look together.
            credentials: what the server wants to see of us; none: nothing.
            workers: queries at the same time.

        Raises:
            ValueError: `url` is no HTTP URL.
        """
        if not _is_http(url):
            raise ValueError(
                f"the Prometheus URL is {without_credentials(url)!r}: write one such as http://prometheus.monitoring:9090"
            )
        self._name = without_credentials(url.rstrip("/"))
        self._limit = timeout.total_seconds()
        self._client = Client(url.rstrip("/"), credentials=credentials or Credentials())
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="prometheus")
        self._calculating = threading.Lock()
        self._closed = False

    async def read(self, queries: Iterable[Query], at: datetime) -> dict[Query, Answer]:
        """Evaluate the queries at one time; a fault of Prometheus is the query's answer, never an exception."""
        return await self._read(queries, at, self._ask)

    async def read_ranges(self, queries: Iterable[RangeQuery], at: datetime) -> dict[RangeQuery, RangeAnswer]:
        """The same for the time up to `at`. Where both are read at once, `read` first: it then waits for none of these."""
        return await self._read(queries, at, self._ask_range)

    async def _read(
        self, queries: Iterable[_Asked], at: datetime, ask: Callable[[_Asked, datetime, float], _Told | Failed]
    ) -> dict[_Asked, _Told | Failed]:
        wanted = list(dict.fromkeys(queries))
        if not wanted:
            return {}
        if self._closed:
            return dict.fromkeys(wanted, Failed("the operator is stopping"))
        deadline = time.monotonic() + self._limit
        loop = asyncio.get_running_loop()
        asked = {query: loop.run_in_executor(self._pool, ask, query, at, deadline) for query in wanted}
        await asyncio.wait(asked.values(), timeout=self._limit + _GRACE)
        answers: dict[_Asked, _Told | Failed] = {}
        for query, future in asked.items():
            if future.done() and not future.cancelled():
                answers[query] = future.result()
            else:
                future.cancel()
                answers[query] = self._late()
        return answers

    async def close(self) -> None:
        """Take no more queries; one that still waits for the server ends by its own limit and is not waited for."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _ask(self, query: Query, at: datetime, deadline: float) -> Answer:
        """One query, in a thread of the pool; parsed there too, so that the event loop never reads megabytes."""
        moment = {"time": f"{at.timestamp():.3f}"}
        answer = self._answer(lambda left: self._client.custom_query(query.text, params=moment, timeout=left), deadline)
        return answer if isinstance(answer, Failed) else self._parsed(parse, answer, query.about)

    def _ask_range(self, query: RangeQuery, at: datetime, deadline: float) -> RangeAnswer:
        begin, step = at - timedelta(seconds=query.seconds), f"{query.step:g}"
        answer = self._answer(
            lambda left: self._client.custom_query_range(query.text, begin, at, step, timeout=left), deadline
        )
        return answer if isinstance(answer, Failed) else self._parsed(parse_range, answer, query.about)

    def _parsed(self, parse_: Callable[[Any, str], _Told], answer: Any, about: str) -> _Told:
        """One answer at a time: several threads that only calculate would leave the event loop a fraction of the processor."""
        with self._calculating:
            return parse_(answer, about)

    def _answer(self, ask: Callable[[float], Any], deadline: float) -> Any | Failed:
        left = deadline - time.monotonic()
        if left <= 0:
            return self._late()
        try:
            return ask(left)
        except LateError:
            return self._late()
        except QueryError as error:
            return Failed(str(error))

    def _late(self) -> Failed:
        return Failed(f"Prometheus at {self._name} did not answer within {self._limit:g} s")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        return False
