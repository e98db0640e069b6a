"""The API server as a user of it sees it: objects of one namespace and of the cluster, and their changes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import httpx

from pointsman.cluster.kinds import EVENT, Kind, kind_of

Object = dict[str, Any]
Seen = Callable[[str, Object], None]
T = TypeVar("T")

PATIENCE = 30.0
_POLL = 0.05
_WATCH_SECONDS = 2

CLAIM = Kind(api_version="v1", name="PersistentVolumeClaim", plural="persistentvolumeclaims")
QUOTA = Kind(api_version="v1", name="ResourceQuota", plural="resourcequotas")
VOLUME = Kind(api_version="v1", name="PersistentVolume", plural="persistentvolumes", namespaced=False)


def eventually(read: Callable[[], T], holds: Callable[[T], Any], seconds: float = PATIENCE) -> T:
    """What `read` gives once it `holds`; what it gave last, in an AssertionError, where that does not come."""
    deadline = time.monotonic() + seconds
    while True:
        found = read()
        if holds(found):
            return found
        if time.monotonic() > deadline:
            raise AssertionError(
                f"waited {seconds:g} s for it; at last it was {json.dumps(found, indent=1, default=str)}"
            )
        time.sleep(_POLL)


class Server:
    """Reads and writes of an administrator, in one namespace; unknown fields are refused."""

    def __init__(self, http: httpx.Client, namespace: str) -> None:
        self.http = http
        self.namespace = namespace

    def create(self, obj: Object) -> Object:
        """Create it; fails the test where the server refuses."""
        return _taken(self.http.post(kind_of(obj).path(self.namespace), json=obj))

    def dry_run(self, obj: Object) -> Object:
        """What creating it would answer."""
        return _taken(self.http.post(kind_of(obj).path(self.namespace), json=obj, params={"dryRun": "All"}))

    def post(self, kind: Kind, obj: Object) -> Object:
        """The same for kinds that the operator knows nothing of."""
        return _taken(self.http.post(kind.path(self.namespace), json=obj))

    def apply(self, obj: Object) -> Object:
        """`kubectl apply --server-side`, as the user `test`."""
        path = kind_of(obj).path(self.namespace, obj["metadata"]["name"])
        params = {"fieldManager": "test", "force": "true"}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        return _taken(self.http.patch(path, content=json.dumps(obj), params=params, headers=headers))

    def get(self, kind: Kind, name: str) -> Object | None:
        """The object, or None."""
        answer = self.http.get(kind.path(self.namespace, name))
        return None if answer.status_code == httpx.codes.NOT_FOUND else _taken(answer)

    def merge(self, kind: Kind, name: str, patch: Object, *more: str) -> Object:
        """`kubectl patch --type=merge`; `more` is a subresource."""
        headers = {"Content-Type": "application/merge-patch+json"}
        path = kind.path(self.namespace, name, *more)
        return _taken(self.http.patch(path, content=json.dumps(patch), headers=headers))

    def delete(self, kind: Kind, name: str) -> None:
        """`kubectl delete`, which does not fail where it is gone already."""
        answer = self.http.delete(kind.path(self.namespace, name))
        assert answer.is_success or answer.status_code == httpx.codes.NOT_FOUND, answer.text

    def every(self, kind: Kind, labels: Mapping[str, str] = MappingProxyType({})) -> list[Object]:
        """All of a kind with these labels."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        listed = _taken(self.http.get(kind.path(self.namespace), params={"labelSelector": selector}))
        items: list[Object] = listed["items"]
        return items

    def events(self, name: str) -> list[Object]:
        """The Events about the ModelDeployment of this name, the oldest first."""
        of_it = [e for e in self.every(EVENT) if e.get("regarding", {}).get("name") == name]
        return sorted(of_it, key=lambda e: e.get("eventTime") or "")

    def watch(self, kind: Kind, seen: Seen, stop: threading.Event) -> threading.Thread:
        """Tell `seen` every change of a kind, from now on and until `stop`; what is there already is told as ADDED."""
        thread = threading.Thread(target=self._watch, args=(kind, seen, stop), daemon=True, name=f"watch {kind.plural}")
        thread.start()
        return thread

    def _watch(self, kind: Kind, seen: Seen, stop: threading.Event) -> None:
        version = "0"
        while not stop.is_set():
            params = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(_WATCH_SECONDS)}
            with self.http.stream("GET", kind.path(self.namespace), params=params) as answer:
                for line in answer.iter_lines():
                    change = json.loads(line)
                    if change["type"] == "ERROR":  # the version is too old by now
                        version = "0"
                        break
                    version = change["object"]["metadata"]["resourceVersion"]
                    seen(change["type"], change["object"])


def _taken(answer: httpx.Response) -> Object:
    assert answer.is_success, answer.text
    taken: Object = answer.json()
    return taken
