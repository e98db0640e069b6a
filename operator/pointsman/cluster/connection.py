"""How the API server is reached: its address and credentials, from the pod's service account or a kubeconfig.

A pod's token and the API server's certificate authority are replaced while we run: both are followed.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import yaml
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config.incluster_config import InClusterConfigLoader
from pydantic_core import from_json

from pointsman.cluster.kinds import Json
from pointsman.errors import Terminal

POOL = 32  # connections; without a limit a restart with thousands of objects trips the API server's max-in-flight
_AGENT = "pointsman"
_MISREAD = (AttributeError, KeyError, TypeError, ValueError)  # of what loads a file that is no kubeconfig
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


async def connect(kubeconfig: str | None = None) -> ApiClient:
    """A client of the API server: of the kubeconfig or, without one, of the cluster that this pod runs in.

    Raises Terminal with what to do where there is neither.
    """
    configuration = Configuration(connection_pool_maxsize=POOL)
    loading: Any = config  # its functions have no types
    path = kubeconfig or os.environ.get("KUBECONFIG")
    try:
        if path:
            await loading.load_kube_config(config_file=path, client_configuration=configuration)
        else:
            _of_pod().load_and_set(configuration)
    except (config.ConfigException, OSError) as failure:
        where = f"the kubeconfig {path}" if path else "the pod's service account"
        raise Terminal(
            f"cannot reach the API server by {where}: {failure}; run in a pod, or set --kubeconfig or KUBECONFIG"
        ) from failure
    client = ApiClient(configuration)
    client.user_agent = _AGENT
    if not path:
        _follow(configuration, context=tls(client))
    return client


@dataclass(frozen=True, kw_only=True)
class Person:
    """A client of the API server for a person, and the namespace that the kubeconfig's context names."""

    api: ApiClient
    namespace: str


async def connect_as_person(kubeconfig: str | None, context: str | None, *, agent: str) -> Person:
    """As kubectl does it: by this kubeconfig, KUBECONFIG or ~/.kube/config, and this context or the current one.

    In a pod without a kubeconfig it is the pod's service account. Nothing is written into the kubeconfig.

    Raises Terminal with what to do where there is none of these.
    """
    configuration = Configuration(connection_pool_maxsize=POOL)
    loading: Any = config  # as above
    path = kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    namespace = None
    try:
        if _exists(path):
            loaded = await loading.load_kube_config(
                config_file=path, context=context, client_configuration=configuration, persist_config=False
            )
            namespace = loaded.current_context["context"].get("namespace")
        elif kubeconfig is None and context is None and in_pod():
            _of_pod().load_and_set(configuration)
            namespace = own_namespace()
        else:
            raise Terminal(f"there is no kubeconfig {path}: set --kubeconfig or KUBECONFIG")
    except (config.ConfigException, OSError, yaml.YAMLError, *_MISREAD) as failure:
        raise Terminal(f"the kubeconfig {path} cannot be used: {' '.join(str(failure).split())}") from failure
    client = ApiClient(configuration)
    client.user_agent = agent
    return Person(api=client, namespace=namespace or "default")


def _exists(path: str) -> bool:
    """Whether any of the files is there that a kubeconfig's path names."""
    return any(Path(one).expanduser().exists() for one in path.split(os.pathsep) if one)


def in_pod() -> bool:
    """Whether we run in a pod with a service account."""
    return SERVICE_ACCOUNT.exists()


def tls(client: ApiClient) -> ssl.SSLContext:
    """What the API server's certificate is checked with: by the client and by every session of Kopf's alike."""
    transport: Any = client.rest_client
    context: ssl.SSLContext = transport.ssl_context
    return context


def _of_pod() -> Any:
    loader: Any = InClusterConfigLoader  # it has no types
    return loader(token_filename=str(SERVICE_ACCOUNT / "token"), cert_filename=str(SERVICE_ACCOUNT / "ca.crt"))


def _follow(configuration: Any, *, context: ssl.SSLContext) -> None:
    """Look at the pod's files before every request, and take what the kubelet has put there.

    The library reads the token once a minute, which a token that was revoked does not wait for, and the authority never.
    """

    def take_token(path: Path) -> None:
        if token := path.read_text(encoding="ascii").strip():
            configuration.api_key["BearerToken"] = f"Bearer {token}"

    def take_authority(path: Path) -> None:
        # To those that it has, for a context cannot forget: one that was withdrawn is trusted until the process ends.
        context.load_verify_locations(path)

    files = (_Followed(SERVICE_ACCOUNT / "token", take_token), _Followed(SERVICE_ACCOUNT / "ca.crt", take_authority))

    def look(_: Configuration) -> None:
        for file in files:
            file.look()

    configuration.refresh_api_key_hook = look


class _Followed:
    """A file that is replaced now and then; `take` is called with its path when it was."""

    def __init__(self, path: Path, take: Callable[[Path], None]) -> None:
        self._path = path
        self._take = take
        self._taken: tuple[int, int] | None = None  # which file, and when it was written

    def look(self) -> None:
        """Take it, if it is another; what cannot be read is tried again the next time."""
        try:
            found = self._path.stat()
            there = (found.st_ino, found.st_mtime_ns)
            if there != self._taken:
                self._take(self._path)
                self._taken = there
        except (OSError, ValueError):  # ssl.SSLError is an OSError
            return


def own_namespace(default: str = "default") -> str:
    """The namespace that this pod runs in."""
    file = SERVICE_ACCOUNT / "namespace"
    return file.read_text().strip() if file.exists() else default


async def authorization(client: ApiClient) -> dict[str, str]:
    """The headers that prove who we are, with the token that is in the pod now."""
    headers: dict[str, str] = {}
    await client.update_params_for_auth(headers, None, ["BearerToken"], None, None, None)
    return headers


class Listener(Protocol):
    """Who is told what a watching session hears."""

    def heard(self, path: str) -> None:
        """A piece of a watch or list of this URL path has arrived, bookmarks included: Kopf itself does not tell."""

    def listed(self, path: str, answer: Json, *, first: bool) -> None:
        """A page of a list of this URL path, the first one or another.

        Kopf gets an empty one instead: it would start a task for each object, and forget what is gone when it lists again.
        """


async def watching_session(client: ApiClient, listener: Listener) -> aiohttp.ClientSession:
    """A session of its own for Kopf, which closes it when the credentials expire."""

    class Listened(aiohttp.ClientResponse):
        async def start(self, connection: Any) -> aiohttp.ClientResponse:
            await super().start(connection)
            if self.ok:
                listener.heard(self.url.path)
                self.content = _Overheard(self.content, lambda: listener.heard(self.url.path))  # type: ignore[assignment]
            return self

        async def json(self, **how: Any) -> Any:
            answer = await super().json(**{**how, "loads": from_json})  # half the time of the standard library's
            if self.ok and "items" in answer:
                listener.listed(self.url.path, answer, first="continue" not in self.url.query)
                answer["items"] = []
            return answer

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=POOL, ssl=tls(client)),
        headers={"User-Agent": _AGENT, **await authorization(client)},
        response_class=Listened,
        read_bufsize=2**21,
    )


class _Overheard:
    """A stream that says when something arrives; everything else is the stream's own."""

    def __init__(self, content: aiohttp.StreamReader, heard: Callable[[], None]) -> None:
        self._content = content
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        async for chunk in self._content.iter_chunked(size):
            self._heard()
            yield chunk
