"""How the API server is reached: its address and credentials, from the pod's service account or a kubeconfig."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTClientObject

from pointsman.errors import Terminal

POOL = 32  # connections; without a limit a restart with thousands of objects trips the API server's max-in-flight
_AGENT = "pointsman"
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


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
            loading.load_incluster_config(client_configuration=configuration)
    except (config.ConfigException, OSError) as failure:
        where = f"the kubeconfig {path}" if path else "the pod's service account"
        raise Terminal(
            f"cannot reach the API server by {where}: {failure}; run in a pod, or set --kubeconfig or KUBECONFIG"
        ) from failure
    client = ApiClient(configuration)
    client.user_agent = _AGENT
    return client


def own_namespace(default: str = "default") -> str:
    """The namespace that this pod runs in."""
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else default


async def authorization(client: ApiClient) -> dict[str, str]:
    """The headers that prove who we are; a service account's token is read again when it is due."""
    headers: dict[str, str] = {}
    await client.update_params_for_auth(headers, None, ["BearerToken"], None, None, None)
    return headers


async def watching_session(client: ApiClient, heard: Callable[[str], None]) -> aiohttp.ClientSession:
    """A session of its own for Kopf, which closes it when the credentials expire.

    `heard(path)` is called with every piece of a watch or list that arrives, bookmarks included: Kopf itself does not tell.
    """

    class Listened(aiohttp.ClientResponse):
        async def start(self, connection: Any) -> aiohttp.ClientResponse:
            await super().start(connection)
            if self.ok:
                heard(self.url.path)
                self.content = _Overheard(self.content, lambda: heard(self.url.path))  # type: ignore[assignment]
            return self

    transport: Any = RESTClientObject(client.configuration)  # only for the TLS context it makes of the configuration
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=POOL, ssl=transport.ssl_context),
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
